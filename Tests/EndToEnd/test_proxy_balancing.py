"""Balancing beside a real Envoy: the same configuration places the same requests on the same endpoints."""

import contextlib
import json
import re
import subprocess

import pytest

import envoykit
import proxykit
from proxykit import Client, cluster, endpoint, free_port, http_filter, listener, route

EXTENSIONS = "type.googleapis.com/envoy.extensions.load_balancing_policies."
HEADER = [{"header": {"header_name": "x-key"}}]


def policy(kind, name, **more):
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": {
        "name": f"envoy.load_balancing_policies.{kind}",
        "typed_config": {"@type": f"{EXTENSIONS}{kind}.v3.{name}", **more}}}]}}


def spread(name, ports, **more):
    """A cluster whose endpoints have weights, a hash key of their own, and a host name."""
    points = [endpoint(port, load_balancing_weight=1 + index) for index, port in enumerate(ports)]
    points[1]["metadata"] = {"filter_metadata": {"envoy.lb": {"hash_key": "my-own-key"}}}
    points[2]["endpoint"]["hostname"] = "third.example"
    return cluster(name, *points, **more)


def localities(name, groups, policy=None, **more):
    """A cluster of groups: (priority, weight, [(port, health)])."""
    made = cluster(name, **more)
    made["load_assignment"]["endpoints"] = [{
        "priority": priority, "locality": {"zone": f"zone{index}"}, "load_balancing_weight": weight,
        "lb_endpoints": [endpoint(port, health_status=health) for port, health in points]}
        for index, (priority, weight, points) in enumerate(groups)]
    if policy:
        made["load_assignment"]["policy"] = policy
    return made


def clusters(ports):
    a, b, c, d, e = ports
    yes, no, half = "HEALTHY", "UNHEALTHY", "DEGRADED"
    hostnames = {"common_lb_config": {"consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}}
    plain = [endpoint(port) for port in ports]
    for point in plain:
        point["endpoint"]["hostname"] = f"host-{point['endpoint']['address']['socket_address']['port_value']}"
    weighted = {"common_lb_config": {"locality_weighted_lb_config": {}, "healthy_panic_threshold": {"value": 0}}}
    ill = [(0, 1, [(a, yes), (b, no)]), (1, 1, [(c, yes), (d, yes), (e, yes)])]
    return {
        "ring": cluster("ring", *ports, lb_policy="RING_HASH"),
        "small": spread("small", ports, lb_policy="RING_HASH", ring_hash_lb_config={
            "minimum_ring_size": 37, "maximum_ring_size": 50, "hash_function": "MURMUR_HASH_2"}),
        "maglev": cluster("maglev", *ports, lb_policy="MAGLEV"),
        "table": spread("table", ports, lb_policy="MAGLEV", maglev_lb_config={"table_size": 1009}),
        "names": cluster("names", *plain, lb_policy="MAGLEV", type="STRICT_DNS", **hostnames),
        "typed_ring": spread("typed_ring", ports, **policy("ring_hash", "RingHash", minimum_ring_size=100)),
        "typed_maglev": spread("typed_maglev", ports, **policy("maglev", "Maglev", table_size=101)),
        "bounded": cluster("bounded", *ports, lb_policy="RING_HASH",
                           common_lb_config={"consistent_hashing_lb_config": {"hash_balance_factor": 120}}),
        "failover": localities("failover", ill, lb_policy="RING_HASH"),
        "zones": localities("zones", [(0, 1, [(a, yes), (b, yes)]), (0, 3, [(c, yes)]), (0, 2, [(d, no), (e, yes)])],
                            lb_policy="MAGLEV", **weighted),
        "panic": localities("panic", [(0, 1, [(a, yes), (b, no), (c, no), (d, no), (e, no)])], lb_policy="MAGLEV"),
        "degraded": localities("degraded", [(0, 1, [(a, yes), (b, half), (c, no), (d, no)]), (1, 1, [(e, no)])],
                               policy={"overprovisioning_factor": 200}, lb_policy="RING_HASH"),
    }


SHARES = {
    # Two of five endpoints of the first priority: 56 %.
    "first": (lambda p: localities("first", [
        (0, 1, [(p[0], "HEALTHY"), (p[1], "HEALTHY"), (1, "UNHEALTHY"), (2, "UNHEALTHY"), (3, "UNHEALTHY")]),
        (1, 1, [(p[3], "HEALTHY"), (p[4], "HEALTHY")])]), (0, 1)),
    "weights": (lambda p: localities("weights", [
        (0, 1, [(p[0], "HEALTHY"), (p[1], "HEALTHY")]), (0, 3, [(p[2], "HEALTHY"), (p[3], "HEALTHY")])],
        common_lb_config={"locality_weighted_lb_config": {}}), (0, 1)),
    "unequal": (lambda p: cluster("unequal", endpoint(p[0], load_balancing_weight=5), endpoint(p[1])), (0,)),
    "least": (lambda p: cluster("least", endpoint(p[0], load_balancing_weight=5), endpoint(p[1]),
                                lb_policy="LEAST_REQUEST"), (0,)),
}
ROUTES = {
    "/header": HEADER,
    "/rewritten": [{"header": {"header_name": "x-key", "regex_rewrite": {
        "pattern": {"regex": "[0-9]$"}, "substitution": ""}}}],
    "/query": [{"query_parameter": {"name": "key"}}],
    "/cookie": [{"cookie": {"name": "key"}}],
    "/both": [{"header": {"header_name": "x-key"}}, {"query_parameter": {"name": "key"}}],
    "/terminal": [{"header": {"header_name": "x-key"}, "terminal": True}, {"query_parameter": {"name": "key"}}],
    "/address": [{"connection_properties": {"source_ip": True}}],
}


def tell_port(peer):
    while True:
        peer.request()
        peer.answer(str(peer.origin.port).encode())


@pytest.fixture(scope="module")
def side_by_side():
    """(ports of the origins, {name: (the proxy's port, its admin's stats)}) for Envoy and weft-proxy."""
    with contextlib.ExitStack() as stack:
        ports = sorted(stack.enter_context(proxykit.Origin(tell_port)).port for _ in range(5))
        made = clusters(ports)
        routes = [route({"cluster": "maglev", "hash_policy": rules}, prefix) for prefix, rules in ROUTES.items()]
        routes += [route({"cluster": name, "hash_policy": HEADER}, f"/to/{name}/") for name in made]
        routes += [route({"cluster": name}, f"/to/{name}/") for name in SHARES]
        routes.append(route({"cluster": "maglev", "hash_policy": [{"cookie": {
            "name": "fresh", "ttl": "60s", "path": "/p", "attributes": [{"name": "SameSite", "value": "Strict"}]}}]},
            "/fresh"))
        both = {}
        for kind in (envoykit.Envoy, proxykit.Proxy):
            port = free_port()
            proxy = stack.enter_context(kind(
                [listener(port, http_filter(routes))], [*made.values(), *(make(ports) for make, _ in SHARES.values())]))
            both[kind.__name__] = (port, proxy)
        yield ports, both


def ask(port, requests):
    """The bodies of the answers to requests: (path, lines of fields)."""
    bodies = []
    with Client(port) as client:
        for path, fields in requests:
            status, _, body = client.send(f"GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n").response()
            bodies.append(body.decode() if status == 200 else status)
    return bodies


KEYS = [f"key-{number}" for number in range(60)]


@pytest.mark.parametrize("name", sorted(clusters([1, 2, 3, 4, 5])))
def test_hashes_lead_to_the_same_endpoints_as_in_envoy(side_by_side, name):
    _, both = side_by_side
    requests = [(f"/to/{name}/", f"x-key: {key}\r\n") for key in KEYS]
    envoy, weft = (ask(both[kind][0], requests) for kind in ("Envoy", "Proxy"))
    assert weft == envoy
    # Hashes do not go to degraded endpoints while a healthy one is left.
    assert (len(set(weft)) > 1) == (name != "degraded")


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_what_is_hashed_is_the_same_as_in_envoy(side_by_side, path):
    _, both = side_by_side
    requests = [(f"{path}?a=b&key={key}&key=other", f"x-key: {key}\r\nx-key: a{key}\r\ncookie: a=b; key=\"{key}\"\r\n")
                for key in KEYS[:30]]
    requests += [(path, f"x-key: {key}\r\n") for key in KEYS[:10] if path in ("/header", "/rewritten", "/terminal")]
    envoy, weft = (ask(both[kind][0], requests) for kind in ("Envoy", "Proxy"))
    assert weft == envoy
    assert (len(set(weft)) > 1) == (path != "/address")


@pytest.mark.parametrize("name", sorted(SHARES))
def test_shares_are_those_of_envoy(side_by_side, name):
    ports, both = side_by_side
    shares = []
    for kind in ("Envoy", "Proxy"):
        bodies = ask(both[kind][0], [(f"/to/{name}/", "")] * 600)
        shares.append(sum(body in {str(ports[place]) for place in SHARES[name][1]} for body in bodies) / 600)
    # More than five standard deviations of 600 draws.
    assert abs(shares[0] - shares[1]) < 0.15, shares


def test_a_new_cookie_keeps_its_client_at_its_endpoint(side_by_side):
    _, both = side_by_side
    tails = []
    for kind in ("Envoy", "Proxy"):
        with Client(both[kind][0]) as client:
            _, fields, first = client.send("GET /fresh HTTP/1.1\r\nhost: a\r\n\r\n").response()
            value, tail = re.fullmatch(r'fresh="([0-9a-f]{16})"(.*)', fields["set-cookie"]).groups()
            tails.append(tail)
        for _ in range(5):
            with Client(both[kind][0]) as client:
                _, fields, body = client.send(
                    f"GET /fresh HTTP/1.1\r\nhost: a\r\ncookie: fresh={value}\r\n\r\n").response()
                assert body == first and "set-cookie" not in fields
    assert tails[0] == tails[1]


def test_statistics_of_tables_and_panic_are_those_of_envoy(side_by_side):
    _, both = side_by_side
    ask(both["Envoy"][0], [("/to/panic/", "x-key: a\r\n")])
    ask(both["Proxy"][0], [("/to/panic/", "x-key: a\r\n")])
    names = ["cluster.ring.ring_hash_lb.size", "cluster.small.ring_hash_lb.min_hashes_per_host",
             "cluster.small.ring_hash_lb.max_hashes_per_host", "cluster.maglev.maglev_lb.min_entries_per_host",
             "cluster.table.maglev_lb.max_entries_per_host"]
    found = []
    for kind in ("Envoy", "Proxy"):
        stats = dict(line.split(": ", 1) for line in both[kind][1].admin("/stats").splitlines() if ": " in line)
        assert int(stats["cluster.panic.lb_healthy_panic"]) > 0
        found.append([stats[name] for name in names])
    assert found[0] == found[1]


def check(tmp_path, *made, hash_policy=HEADER):
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps({"static_resources": {
        "listeners": [listener(1, http_filter([route({"cluster": "origin", "hash_policy": hash_policy})]))],
        "clusters": list(made)}}))
    done = subprocess.run([proxykit.program(), "--mode", "validate", "-c", str(path)], capture_output=True, text=True,
                          timeout=20)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("settings,place", [
    ({"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 1000}}, "maglev_lb_config.table_size"),
    ({"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 10, "maximum_ring_size": 9}},
     "ring_hash_lb_config.minimum_ring_size"),
    ({"lb_policy": "LEAST_REQUEST", "least_request_lb_config": {"active_request_bias": {
        "default_value": -1, "runtime_key": "a"}}}, "least_request_lb_config.active_request_bias"),
    ({"round_robin_lb_config": {"slow_start_config": {"slow_start_window": "1s", "aggression": {
        "default_value": 0, "runtime_key": "a"}}}}, "slow_start_config.aggression"),
    ({"lb_subset_config": {"metadata_fallback_policy": "FALLBACK_LIST"}}, "lb_subset_config.metadata_fallback_policy"),
    ({"common_lb_config": {"override_host_status": {}}}, "override_host_status"),
])
def test_what_does_not_work_is_refused_by_path(tmp_path, settings, place):
    code, text = check(tmp_path, cluster("origin", 9, **settings))
    assert code != 0 and place in text, text


def test_requests_are_dropped_by_share_and_connections_hashed_by_address():
    with contextlib.ExitStack() as stack:
        origins = [stack.enter_context(proxykit.Origin(tell_port)) for _ in range(3)]
        ports = [origin.port for origin in origins]
        http, tcp = free_port(), free_port()
        dropping = cluster("origin", *ports)
        dropping["load_assignment"]["policy"] = {"drop_overloads": [
            {"category": "all", "drop_percentage": {"numerator": 100}}]}
        relayed = proxykit.tcp_filter("hashed", hash_policy=[{"source_ip": {}}])
        proxy = stack.enter_context(proxykit.Proxy(
            [listener(http, http_filter([route()])), listener(tcp, relayed, name="tcp")],
            [dropping, cluster("hashed", *ports, lb_policy="MAGLEV")]))
        assert ask(http, [("/", "")] * 3) == [503] * 3
        assert "cluster.origin.upstream_rq_drop_overload: 3\n" in proxy.admin("/stats")
        assert len({ask(tcp, [("/", "")])[0] for _ in range(8)}) == 1
