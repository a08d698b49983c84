"""The runtime: layers, what the admin changes of them, and the keys that mean something by themselves, beside Envoy."""

import contextlib
import json
import urllib.error
import urllib.request

import pytest

import envoykit
from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, http_filter, listener, serving


def post(proxy, path):
    request = urllib.request.Request(f"http://127.0.0.1:{proxy.admin_port}{path}", method="POST")
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status
    return "refused"


def ask(port, path="/"):
    with Client(port) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        status, _, body = client.response()
        return body.decode() if status == 200 else status


def shared(default, key):
    return {"default_value": {"numerator": default}, "runtime_key": key}


def run(kind):
    ports = [free_port() for _ in range(2)]
    with Origin(serving(b"one")) as one, Origin(serving(b"two")) as two:
        routes = [
            {"match": {"prefix": "/shift", "runtime_fraction": shared(100, "routes.shift")}, "route": {"cluster": "one"}},
            {"match": {"prefix": "/weights"}, "route": {"weighted_clusters": {"runtime_key_prefix": "weights", "clusters": [
                {"name": "one", "weight": 0}, {"name": "two", "weight": 100}]}}},
            {"match": {"prefix": "/"}, "route": {"cluster": "two"}}]
        layers = {"layers": [
            {"name": "static", "static_layer": {
                "routes": {"shift": 0}, "envoy.resource_limits.listener.small.connection_limit": 1}},
            {"name": "admin", "admin_layer": {}}]}
        listeners = [listener(ports[0], http_filter(routes), name="main"),
                     listener(ports[1], http_filter(routes), name="small")]
        with kind(listeners, [cluster("one", one.port), cluster("two", two.port)], layered_runtime=layers) as proxy:
            main, small = ports
            seen = {"static": ask(main, "/shift"), "page": json.loads(proxy.admin("/runtime"))["entries"]["routes.shift"]}
            assert post(proxy, "/runtime_modify?routes.shift=100&weights.one=100&weights.two=0") == 200
            # Workers take it over in their own time.
            eventually(lambda: ask(main, "/shift") == "one" and ask(main, "/weights") == "one")
            seen["changed"] = ask(main, "/shift"), ask(main, "/weights")
            seen["changed page"] = json.loads(proxy.admin("/runtime"))["entries"]["routes.shift"]
            stats = proxy.admin("/stats?filter=runtime.(admin_overrides_active|num_layers)")
            seen["stats"] = sorted(stats.splitlines())
            assert post(proxy, "/runtime_modify?routes.shift=&weights.one=&weights.two=") == 200
            eventually(lambda: ask(main, "/shift") == "two" and ask(main, "/weights") == "two")
            seen["removed"] = ask(main, "/shift"), ask(main, "/weights")
            assert post(proxy, "/runtime_modify?circuit_breakers.one.default.max_requests=0&routes.shift=100") == 200
            eventually(lambda: ask(main, "/shift") == 503)
            seen["breaker"] = ask(main, "/shift"), ask(main, "/other")
            seen["empty"] = post(proxy, "/runtime_modify")
            with Client(small) as first:
                first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                seen["first"] = first.response()[0]
                with Client(small) as second:
                    seen["second"] = second.is_closed()
            name = f"listener.127.0.0.1_{small}.downstream_cx_overflow"

            def refused():
                return proxy.admin(f"/stats?filter={name}").split(": ")[1].strip()

            # Envoy counts after it has closed.
            eventually(lambda: refused() != "0")
            seen["overflow"] = refused()
    return seen


def test_the_admin_changes_keys_as_in_envoy():
    ours, theirs = run(Proxy), run(envoykit.Envoy)
    assert ours == theirs
    assert ours["static"] == "two" and ours["changed"] == ("one", "one") and ours["removed"] == ("two", "two")
    assert ours["breaker"] == (503, "two") and (ours["first"], ours["second"], ours["overflow"]) == (200, True, "1")


@pytest.mark.parametrize("layers,words", [
    ([{"name": "s", "static_layer": {"overload.global_downstream_max_connections": 1}}], ""),
    ([{"name": "s", "static_layer": {"upstream.use_retry": False, "mine": 1}}], "upstream.use_retry has no meaning here")])
def test_keys_of_envoys_own(layers, words):
    port = free_port()
    with Origin(serving(b"one")) as origin, Proxy(
            [listener(port, http_filter([{"match": {"prefix": "/"}, "route": {"cluster": "one"}}]))],
            [cluster("one", origin.port)], layered_runtime={"layers": layers}) as proxy:
        assert post(proxy, "/runtime_modify?a=1") == "refused", "there is no layer for the admin"
        assert words in proxy.text() and "mine has no" not in proxy.text()
        with Client(port) as first:
            first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert first.response()[0] == 200
            if not words:
                with Client(port) as second:
                    assert second.is_closed()
