"""Series of routes and endpoints: what they count, that they leave with what they are of, and that a budget holds."""

import json
import pathlib
import re
import shutil
import tempfile

import pytest

import envoykit
import proxykit
from proxykit import Client, Origin, cluster, endpoint, eventually, free_ports, http_filter, listener, route
from test_proxy_dynamic import ENDPOINTS, ROUTES, Files, assignment, chain, table


def picky(peer):
    while True:
        head = peer.request()[0]
        peer.answer(status="500 Server Error" if b" /fail" in head else "404 Not Found" if b" /missing" in head else "200 OK")


def get(port, path):
    with Client(port) as client:
        return client.send(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").response()[0]


def series(proxy, family):
    """{labels: value} of one family."""
    found = {}
    for line in proxy.admin("/stats/prometheus").splitlines():
        if match := re.fullmatch(rf"{family}(?:\{{(.*)\}})? (\S+)", line):
            found[frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[1] or ""))] = float(match[2])
    return found


def value(proxy, family, **labels):
    return sum(value for key, value in series(proxy, family).items() if set(labels.items()) <= key)


@pytest.fixture(scope="module", params=["weft", "envoy"])
def tracked(request):
    program = envoykit.Envoy if request.param == "envoy" else proxykit.Proxy
    ports = free_ports(["listener"])
    with Origin(picky) as origin:
        one = cluster("origin", origin.port, track_cluster_stats={"per_endpoint_stats": True})
        with program([listener(ports["listener"], http_filter([route()]))], [one]) as proxy:
            yield proxy, ports["listener"], origin.port


def test_each_endpoint_has_numbers_of_its_own(tracked):
    proxy, port, origin = tracked
    assert [get(port, path) for path in ["/", "/fail", "/missing"]] == [200, 500, 404]
    start = f"cluster.origin.endpoint.127.0.0.1_{origin}."
    lines = [line.split(": ") for line in proxy.admin("/stats").splitlines() if line.startswith(start)]
    counts = {name[len(start):]: value for name, value in lines}
    wanted = {"rq_total": "3", "rq_success": "2", "rq_error": "1", "rq_timeout": "0", "cx_connect_fail": "0", "rq_active": "0", "healthy": "1"}
    assert wanted.items() <= counts.items() and int(counts["cx_total"]) >= 1 and "cx_active" in counts
    labels = {"envoy_cluster_name": "origin", "envoy_endpoint_address": f"127.0.0.1:{origin}"}
    assert series(proxy, "envoy_cluster_endpoint_rq_total") == {frozenset(labels.items()): 3}
    assert series(proxy, "envoy_cluster_endpoint_healthy") == {frozenset(labels.items()): 1}


class Run:
    """Three routes of a watched file and two endpoints of another, with budgets for two of each and one."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir="/tmp"))
        self.files = Files(self.folder)
        self.port = free_ports(["listener"])["listener"]
        self.origins = [Origin(picky) for _ in range(3)]

    def __enter__(self):
        for origin in self.origins:
            origin.__enter__()
        self.routes("cart", "help", "rest")
        self.endpoints(*self.origins[:2])
        runtime = {"layers": [{"name": "static", "static_layer": {
            "weft.metrics.routes": True, "weft.metrics.route_limit": 2, "weft.metrics.endpoint_limit": 1}}]}
        one = self.files.eds("origin", track_cluster_stats={"per_endpoint_stats": True})
        self.proxy = proxykit.Proxy([listener(self.port, chain(self.files))], [one], layered_runtime=runtime)
        self.proxy.__enter__()
        return self

    def __exit__(self, *_):
        self.proxy.__exit__()
        for origin in self.origins:
            origin.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def routes(self, *names):
        self.version = self.files.write("rds.json", ROUTES, table(*[route(prefix=f"/{name}", name=name) for name in names]))

    def endpoints(self, *origins):
        return self.files.write("origin.json", ENDPOINTS, assignment("origin", *[origin.port for origin in origins]))


def test_series_have_a_budget_and_leave_with_what_they_are_of():
    with Run() as run:
        for path in ["/cart", "/cart/fail", "/help", "/rest", "/rest"]:
            get(run.port, path)
        get(run.port, "/nowhere")
        proxy = run.proxy
        names = {"direction": "outbound", "dst": "all"}
        cart, other = {**names, "rt_route": "cart"}, {"direction": "outbound", "dst": "__other__", "rt_route": "__other__"}
        assert series(proxy, "route_request_total") == {
            frozenset(cart.items()): 2, frozenset({**names, "rt_route": "help"}.items()): 1, frozenset(other.items()): 2}
        assert value(proxy, "route_response_total", **cart, status_code="200", classification="success") == 2
        assert value(proxy, "route_response_latency_ms_count", **cart) == 2 == value(proxy, "route_actual_request_total", **cart)
        assert value(proxy, "metric_series", kind="route") == 2 == value(proxy, "metric_series_limit", kind="route")
        assert value(proxy, "metric_series_overflow", kind="route") == 2

        # A route that has gone takes its series with it, and another may have its place, from nothing.
        run.routes("cart", "rest")
        assert run.files.applied(proxy, "rds.json", run.version)
        assert eventually(lambda: value(proxy, "metric_series", kind="route") == 1)
        assert {dict(key)["rt_route"] for key in series(proxy, "route_request_total")} == {"cart", "__other__"}
        run.routes("cart", "late")
        assert run.files.applied(proxy, "rds.json", run.version)
        assert get(run.port, "/late") == 200
        assert value(proxy, "route_request_total", rt_route="late") == 1 and value(proxy, "route_request_total", **cart) == 2

        # Of two endpoints one has series, the other's count with what is left of those before it.
        family = "envoy_cluster_endpoint_rq_total"
        before = {dict(key)["envoy_endpoint_address"]: value for key, value in series(proxy, family).items()}
        first, second, third = [f"127.0.0.1:{origin.port}" for origin in run.origins]
        assert set(before) == {first, "__other__"} and sum(before.values()) == 6
        assert value(proxy, "metric_series_overflow", kind="endpoint") == 1
        version = run.endpoints(run.origins[0], run.origins[2])
        assert run.files.applied(proxy, "origin.json", version)
        for _ in range(4):
            get(run.port, "/cart")
        after = {dict(key)["envoy_endpoint_address"]: value for key, value in series(proxy, family).items()}
        assert set(after) == {first, "__other__"} and sum(after.values()) == 10 and after["__other__"] >= before["__other__"]
        version = run.endpoints(run.origins[2])
        assert run.files.applied(proxy, "origin.json", version)
        assert set(dict(key)["envoy_endpoint_address"] for key in series(proxy, family)) == {third, "__other__"}
        assert value(proxy, family, envoy_endpoint_address="__other__") == after["__other__"]
