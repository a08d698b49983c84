"""Statistics under Envoy's names: the same traffic through a real Envoy gives the same numbers."""

import http.client
import re

import pytest

import envoykit
from proxykit import (DEADLINE, ROOT, Origin, Proxy, cluster, eventually, free_port, http_filter, listener, route,
                      tcp_filter)

# What is counted in another way here; docs/envoy.md says how.
APART = re.compile(r"bytes_(total|buffered)|_ms$|_time$|flow_control|_flush_|^cluster\.empty\.lb_healthy_panic")


def behaviour(peer):
    """By path: an answer, a slow one, a reset, one that fails at first."""
    while True:
        head, _ = peer.request()
        path = head.split(b" ")[1]
        if path.startswith(b"/hang"):
            peer.more()
        elif path.startswith(b"/cut"):
            return
        elif path.startswith(b"/503"):
            peer.answer(b"no", status="503 Service Unavailable")
        elif path.startswith(b"/404"):
            peer.answer(b"no", status="404 Not Found")
        elif path.startswith(b"/last"):
            peer.answer(b"ok", fields=b"connection: close\r\n")
            return
        else:
            peer.answer(b"ok")


def ask(port, *paths):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    for path in paths:
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()


def numbers(proxy):
    rows = (line.split(": ", 1) for line in proxy.admin("/stats").splitlines() if ": " in line)
    return {name: int(value) for name, value in rows if value.isdigit()}


def traffic(kind, origin):
    """Runs the same requests; the statistics afterwards."""
    port, relay = free_port(), free_port()
    timed = {"cluster": "origin", "timeout": "5s", "retry_policy": {
        "retry_on": "5xx,reset,gateway-error", "num_retries": 1, "per_try_timeout": "0.2s",
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}}}
    host = {
        "name": "shop", "domains": ["*"],
        "virtual_clusters": [
            {"name": "missing", "headers": [{"name": ":path", "string_match": {"prefix": "/404"}}]},
            {"name": "posts", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]}],
        "routes": [
            {"match": {"prefix": "/hang"}, "route": timed, "stat_prefix": "slow"},
            {"match": {"prefix": "/503"}, "route": timed, "stat_prefix": "failing"},
            {"match": {"prefix": "/moved"}, "redirect": {"path_redirect": "/"}},
            {"match": {"prefix": "/fixed"}, "direct_response": {"status": 200, "body": {"inline_string": "x"}}},
            {"match": {"prefix": "/nowhere"}, "route": {"cluster": "empty"}},
            route("origin")]}
    listeners = [listener(port, http_filter([], virtual_hosts=[host])),
                 listener(relay, tcp_filter("origin", stat_prefix="relay"), name="relay")]
    clusters = [cluster("origin", origin.port, circuit_breakers={"thresholds": [{"track_remaining": True}]}),
                cluster("empty")]
    with kind(listeners, clusters) as proxy:
        ask(port, "/", "/", "/404", "/moved", "/fixed", "/nowhere", "/last")
        ask(port, "/cut")
        ask(port, "/503", "/503")
        ask(port, "/hang")
        ask(relay, "/")
        # All is over when both sides of every connection of clients are.
        eventually(lambda: numbers(proxy)["http.test.downstream_cx_active"] == 0
                   and numbers(proxy)["cluster.origin.upstream_rq_active"] == 0)
        eventually(lambda: numbers(proxy)["tcp.relay.downstream_cx_tx_bytes_total"] > 0)
        values = numbers(proxy)
        page = proxy.admin("/stats/prometheus")
    short = {name.replace(f"127.0.0.1_{port}", "HTTP").replace(f"127.0.0.1_{relay}", "TCP"): value
             for name, value in values.items()}
    return short, page


@pytest.fixture(scope="module")
def ours():
    with Origin(behaviour) as origin:
        return traffic(Proxy, origin)


@pytest.mark.one_worker
def test_they_are_those_of_envoy(ours):
    with Origin(behaviour) as origin:
        theirs, page = traffic(envoykit.Envoy, origin)
    scopes = ("cluster.", "http.test.", "listener.HTTP", "listener.TCP", "tcp.", "vhost.")
    shared = {name for name in set(theirs) & set(ours[0]) if name.startswith(scopes) and not APART.search(name)}
    assert len(shared) > 150
    different = {name: (ours[0][name], theirs[name]) for name in sorted(shared) if ours[0][name] != theirs[name]}
    assert not different, "\n".join(f"{name}: ours {one}, Envoy's {two}" for name, (one, two) in different.items())
    # Whatever has a value there and is counted here has its name and its labels.
    kinds = r"^(envoy_(?:cluster|http|listener|tcp|vhost)_\w+)\{"
    families, mine = (set(re.findall(kinds, text, re.M)) for text in (page, ours[1]))
    assert sorted(mine - families - {"envoy_cluster_upstream_rq_drop_overload"}) == []


def test_connections_tries_and_routes_are_counted(ours):
    values, page = ours
    origin = {name.removeprefix("cluster.origin."): value for name, value in values.items()}
    assert origin["upstream_rq_200"] == 3 and origin["upstream_rq_404"] == 1
    assert origin["upstream_rq_per_try_timeout"] == 2 and origin["upstream_cx_destroy_remote_with_active_rq"] >= 1
    assert origin["external.upstream_rq_200"] == 3
    assert origin["circuit_breakers.default.remaining_cx"] <= 1024
    assert values["vhost.shop.vcluster.missing.upstream_rq_404"] == 1
    assert values["vhost.shop.vcluster.posts.upstream_rq_total"] == 0
    assert values["vhost.shop.route.failing.upstream_rq_503"] == 2
    assert values["http.test.rq_direct_response"] == 2, "a redirect is a direct answer, too"
    assert 'envoy_vhost_vcluster_upstream_rq{envoy_response_code="404",envoy_virtual_cluster="missing",' in page
    assert re.search(r'^envoy_cluster_upstream_cx_length_ms_bucket\{envoy_cluster_name="origin",le="0.5"\} \d+$', page,
                     re.M)


def test_every_metric_that_the_list_of_limits_names_is_there(ours):
    """The second and third columns of docs/limits.md, as far as they are the proxy's."""
    values, page = ours
    text = (ROOT / "docs" / "limits.md").read_text().split("## API server")[0]
    families = set(re.findall(r"^# TYPE (\w+)", page, re.M))
    series = set(re.findall(r'^\w+\{[^}]*?(\w+="\w+")', page, re.M)) | set(re.findall(r'(\w+="\w+")', page))
    missing = []
    for name, labels in re.findall(r"`([a-z0-9_]+_total|buffer_bytes|upstream_connections_idle)(\{[^}`]*\})?`", text):
        missing += [name] if name not in families and name != "http2_NAME_total" else []
        missing += [f"{name}{labels}" for label in re.findall(r'\w+="\w+"', labels) if label not in series]
    for label in re.findall(r'`(?:\{)?(\w+="\w+")\}?`', text):
        missing += [label] if label not in series else []
    for name in re.findall(r"`((?:inbound|outbound|stream|header)_[a-z_]*(?:flood|errors|overflow))`", text):
        missing += [name] if f"http2_{name}_total" not in families else []
    assert not missing
