"""Subsets of endpoints (`lb_subset_config`, `metadata_match`) in a real Envoy and in weft-proxy: who answers which request."""

import contextlib
import json
import re
import subprocess

import pytest

import envoykit
import proxykit
from proxykit import Client, cluster, endpoint, free_port, http_filter, listener, route, tcp_filter

pytestmark = pytest.mark.one_worker

ENDPOINTS = {
    "a": {"version": "1", "stage": "prod"}, "b": {"version": "2", "stage": "prod"}, "c": {"version": "1", "stage": "dev"},
    "d": {"stage": "prod"}, "e": {"version": ["3", "4"], "stage": "test", "size": 2, "spare": True},
}
# By the name of the cluster: its rules.
RULES = {
    "none": {"subset_selectors": [{"keys": ["version"]}]},
    "any": {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": [{"keys": ["version"]}, {"keys": ["stage", "version"]}]},
    "default": {"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"stage": "dev"}, "subset_selectors": [{"keys": ["version"]}]},
    "lists": {"list_as_any": True, "subset_selectors": [{"keys": ["version"]}, {"keys": ["stage", "version"]}]},
    "kinds": {"subset_selectors": [{"keys": ["size"]}, {"keys": ["spare"]}, {"keys": ["version"]}]},
    "panic": {"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"stage": "nowhere"}, "panic_mode_any": True,
              "subset_selectors": [{"keys": ["version"]}]},
    "nowhere": {"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"stage": "nowhere"}, "subset_selectors": [{"keys": ["version"]}]},
    "selectors": {"fallback_policy": "ANY_ENDPOINT", "default_subset": {"stage": "test"}, "subset_selectors": [
        {"keys": ["version"], "fallback_policy": "NO_FALLBACK"},
        {"keys": ["stage"], "fallback_policy": "DEFAULT_SUBSET"},
        {"keys": ["size"], "fallback_policy": "ANY_ENDPOINT"},
        {"keys": ["stage", "version"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["stage"]}]},
    "off": {"fallback_policy": "NO_FALLBACK"},
}
# By the name of the route: what it asks for.
CRITERIA = {
    "nothing": None, "v1": {"version": "1"}, "v2": {"version": "2"}, "v4": {"version": "4"}, "v9": {"version": "9"},
    "prod1": {"stage": "prod", "version": "1"}, "prod9": {"stage": "prod", "version": "9"}, "none9": {"stage": "none", "version": "9"},
    "none": {"stage": "none"}, "size": {"size": 2}, "text": {"size": "2"}, "size9": {"size": 9}, "spare": {"spare": True},
    "list": {"version": ["3", "4"]},
}
EVERYBODY = set(ENDPOINTS)
# Some of what is to come out; the others are what Envoy says.
WANTED = {
    ("none", "nothing"): set(), ("none", "v1"): {"a", "c"}, ("none", "v9"): set(), ("any", "prod1"): {"a"},
    ("any", "v9"): EVERYBODY, ("default", "v9"): {"c"}, ("lists", "v4"): {"e"}, ("none", "v4"): set(), ("kinds", "text"): set(),
    ("kinds", "size"): {"e"}, ("selectors", "prod9"): {"a", "b", "d"}, ("selectors", "none9"): {"e"},
    ("selectors", "v9"): set(), ("selectors", "size9"): EVERYBODY, ("panic", "v9"): EVERYBODY, ("nowhere", "v9"): set(),
    ("off", "v9"): EVERYBODY,
}


def metadata(fields):
    return {"filter_metadata": {"envoy.lb": fields}}


def points(ports):
    return [endpoint(ports[name], metadata=metadata(fields)) for name, fields in ENDPOINTS.items()]


def configuration(ports, port, tcp):
    made = [cluster(name, *points(ports), lb_subset_config=rules) for name, rules in RULES.items()]
    zones = cluster("zones", lb_subset_config={"locality_weight_aware": True, "scale_locality_weight": True,
                                               "subset_selectors": [{"keys": ["version"]}]},
                    common_lb_config={"locality_weighted_lb_config": {}})
    zones["load_assignment"]["endpoints"] = [
        {"locality": {"zone": "near"}, "load_balancing_weight": 6, "lb_endpoints": points(ports)[:2] + points(ports)[3:4]},
        {"locality": {"zone": "far"}, "load_balancing_weight": 2, "lb_endpoints": points(ports)[2:3]}]
    made.append(zones)
    made.append(cluster("hashed", *points(ports), lb_policy="MAGLEV", lb_subset_config=RULES["any"]))
    routes = []
    for name in RULES:
        for asked, fields in CRITERIA.items():
            action = {"cluster": name, **({"metadata_match": metadata(fields)} if fields else {})}
            routes.append(route(action, f"/{name}/{asked}/"))
    routes.append(route({"cluster": "zones", "metadata_match": metadata({"version": "1"})}, "/zones/"))
    by_hash = {"cluster": "hashed", "metadata_match": metadata({"version": "1"}), "hash_policy": [{"header": {"header_name": "x-key"}}]}
    routes.append(route(by_hash, "/hashed/"))
    weighted = {"clusters": [{"name": "any", "weight": 1, "metadata_match": metadata({"version": "2"})}]}
    routes.append(route({"weighted_clusters": weighted, "metadata_match": metadata({"version": "1"})}, "/over/"))
    routes.append(route({"weighted_clusters": weighted, "metadata_match": metadata({"stage": "prod"})}, "/both/"))
    retry = {"retry_on": "5xx", "num_retries": 1, "retry_host_predicate": [{
        "name": "p", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}],
        "host_selection_retry_max_attempts": 5}
    routes.append(route({"cluster": "none", "metadata_match": metadata({"version": "1"}), "retry_policy": retry}, "/retry/"))
    relays = [listener(tcp["v2"], tcp_filter("any", metadata_match=metadata({"version": "2"})), name="v2")]
    shares = {"clusters": [{"name": "any", "weight": 1, "metadata_match": metadata({"stage": "prod"})}]}
    relay = tcp_filter(metadata_match=metadata({"version": "1"}), weighted_clusters=shares)
    del relay["typed_config"]["cluster"]
    relays.append(listener(tcp["weighted"], relay, name="weighted"))
    return [listener(port, http_filter(routes)), *relays], made


def saying(name):
    def behaviour(peer):
        while True:
            head, _ = peer.request()
            peer.answer(name.encode(), status="503 No" if b" /retry/" in head else "200 OK")
    return behaviour


@pytest.fixture(scope="module")
def proxies():
    """{name: (the proxy, its port, ports of its relays)} for Envoy and weft-proxy."""
    with contextlib.ExitStack() as stack:
        origins = {name: stack.enter_context(proxykit.Origin(saying(name))) for name in ENDPOINTS}
        running = {}
        for kind, program in (("envoy", envoykit.Envoy), ("weft", proxykit.Proxy)):
            port, tcp = free_port(), {name: free_port() for name in ("v2", "weighted")}
            made = configuration({name: origin.port for name, origin in origins.items()}, port, tcp)
            running[kind] = (stack.enter_context(program(*made)), port, tcp)
        yield running


def answered(port, path, count=10, fields=lambda index: ()):
    """Who answered so many requests; nobody is an empty list."""
    names = []
    with Client(port) as client:
        for index in range(count):
            lines = "".join(f"{line}\r\n" for line in fields(index))
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
            status, _, body = client.response()
            assert status in (200, 503), (path, status)
            names += [body.decode()] if status == 200 else []
    return names


@pytest.mark.parametrize("name", RULES)
def test_subsets(proxies, name):
    got = {kind: {asked: set(answered(port, f"/{name}/{asked}/")) for asked in CRITERIA} for kind, (_, port, _) in proxies.items()}
    assert got["weft"] == got["envoy"]
    for (rules, asked), wanted in WANTED.items():
        if rules == name:
            assert got["weft"][asked] == wanted, asked


def test_shares_and_hashes(proxies):
    """Weights of localities, by the share of a locality's endpoints in the subset; and places of hashes within it."""
    spread, placed = {}, {}
    for kind, (_, port, _) in proxies.items():
        names = answered(port, "/zones/", 200)
        spread[kind] = {name: names.count(name) for name in set(names)}
        placed[kind] = answered(port, "/hashed/", 40, lambda index: [f"x-key: key{index}"])
    # 6 x 1/3 to 2 x 1/1.
    assert all(abs(counts["a"] - 100) <= 10 and abs(counts["c"] - 100) <= 10 for counts in spread.values()), spread
    assert placed["weft"] == placed["envoy"]
    assert set(placed["weft"]) == {"a", "c"}


def test_weighted_clusters_and_relays(proxies):
    for kind, (_, port, tcp) in proxies.items():
        assert set(answered(port, "/over/")) == {"b"}, kind
        assert set(answered(port, "/both/")) == {"b"}, kind
        assert {name for _ in range(4) for name in answered(tcp["v2"], "/", 1)} == {"b"}, kind
        assert {name for _ in range(4) for name in answered(tcp["weighted"], "/", 1)} == {"a"}, kind


def test_a_retry_stays_in_its_subset(proxies):
    """Envoy and weft-proxy go to the other endpoint of the subset, and to nobody outside of it."""
    for kind, (_, port, _) in proxies.items():
        names = set()
        for _ in range(4):
            with Client(port) as client:
                client.send("GET /retry/ HTTP/1.1\r\nHost: a\r\n\r\n")
                status, _, body = client.response()
                assert status == 503, kind
                names.add(body.decode())
        assert names <= {"a", "c"}, (kind, names)


def test_numbers(proxies):
    """What happened by subset, under Envoy's names."""
    counts = {}
    for kind, (proxy, port, _) in proxies.items():
        def read():
            return {name: int(value) for name, value in re.findall(r"cluster\.panic\.lb_subsets_(\w+): (\d+)", proxy.admin("/stats"))}
        before = read()
        answered(port, "/panic/v1/", 3)
        answered(port, "/panic/v9/", 2)
        after = read()
        counts[kind] = {name: after[name] - before[name] for name in ("selected", "fallback", "fallback_panic")}
        # Envoy counts them once for each worker and for its main thread.
        counts[kind].update({name: after[name] // (2 if kind == "envoy" else 1) for name in ("active", "created", "removed")})
    assert counts["weft"] == counts["envoy"]
    assert counts["weft"] == {"active": 3, "created": 3, "removed": 0, "selected": 3, "fallback": 0, "fallback_panic": 2}


@pytest.mark.parametrize("rules, path", [
    ({"subset_selectors": [{"keys": ["a"], "fallback_policy": "KEYS_SUBSET"}]}, "lb_subset_config.subset_selectors[0]"),
    ({"subset_selectors": [{"keys": ["a", "b"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["a", "b"]}]}, "fallback_keys_subset"),
    ({"subset_selectors": [{"keys": ["a"], "single_host_per_subset": True}]}, "lb_subset_config.subset_selectors[0].single_host_per_subset"),
    ({"metadata_fallback_policy": "FALLBACK_LIST"}, "lb_subset_config.metadata_fallback_policy"),
    ({"scale_locality_weight": True, "subset_selectors": [{"keys": ["a"]}]}, "scale_locality_weight"),
])
def test_what_has_no_effect_is_refused(rules, path, tmp_path):
    made = {"static_resources": {"listeners": [], "clusters": [cluster("one", 1, lb_subset_config=rules)]}}
    (tmp_path / "c.json").write_text(json.dumps(made))
    done = subprocess.run([proxykit.program(), "--mode", "validate", "-c", str(tmp_path / "c.json")], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and path in done.stderr, done.stderr
