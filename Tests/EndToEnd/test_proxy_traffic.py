"""Retries, mirrors, header changes and the `x-envoy-` headers: the same configuration and script through weft-proxy and Envoy."""

import queue
import socket
import threading
import time

import pytest

import envoykit
import proxykit
from proxykit import Client, cluster, free_port, http_filter, listener

SEEN = queue.SimpleQueue()
LOCK = threading.Lock()
COUNTS = {}


def add(name, value, action="OVERWRITE_IF_EXISTS_OR_ADD", **more):
    return {"header": {"key": name, "value": value}, "append_action": action, **more}


def header(name, value):
    return {"name": name, "string_match": {"exact": value}}


def retry(path, policy, **more):
    return {"match": {"prefix": path}, "route": {"cluster": "origin", "timeout": "5s", "retry_policy": policy, **more}}


QUICK = {"base_interval": "0.001s", "max_interval": "0.002s"}
ROUTES = [
    retry("/5xx", {"retry_on": "5xx", "num_retries": 2, "retry_back_off": QUICK}),
    retry("/gateway", {"retry_on": "gateway-error", "retry_back_off": QUICK}),
    retry("/4xx", {"retry_on": "retriable-4xx", "retry_back_off": QUICK}),
    retry("/codes", {"retry_on": "retriable-status-codes", "retriable_status_codes": [202, 404],
                     "retry_back_off": QUICK}),
    retry("/headers", {"retry_on": "retriable-headers", "retriable_headers": [header("x-again", "yes")],
                       "retry_back_off": QUICK}),
    retry("/limited", {"retry_on": "envoy-ratelimited", "retry_back_off": QUICK}),
    retry("/some", {"retry_on": "5xx", "retriable_request_headers": [header("x-try", "1")], "retry_back_off": QUICK}),
    retry("/after", {"retry_on": "5xx", "retry_back_off": QUICK, "rate_limited_retry_back_off": {
        "reset_headers": [{"name": "retry-after", "format": "SECONDS"}], "max_interval": "0.5s"}}),
    retry("/plain", {}),
    {"match": {"prefix": "/mirror"}, "route": {"cluster": "origin", "prefix_rewrite": "/m", "request_mirror_policies": [
        {"cluster": "mirror"}, {"cluster": "mirror", "disable_shadow_host_suffix_append": True},
        {"cluster": "mirror", "runtime_fraction": {"default_value": {"numerator": 100}, "runtime_key": "off"}}]}},
    {"match": {"prefix": "/edits"}, "name": "edits", "route": {"cluster": "origin"},
     "request_headers_to_add": [
         add("x-path", "%REQ(:METHOD)% %REQ(:PATH)% %REQ(x-none?x-in):3%"), add("x-level", "route"),
         add("x-new", "no", "OVERWRITE_IF_EXISTS"), add("x-in", "yes", "OVERWRITE_IF_EXISTS"),
         add("x-in2", "no", "ADD_IF_ABSENT"), add("x-many", "b", "APPEND_IF_EXISTS_OR_ADD"),
         add("x-empty", "%REQ(x-none)%"), add("x-route", "%ROUTE_NAME% %PROTOCOL%")],
     "request_headers_to_remove": ["x-gone"],
     "response_headers_to_add": [add("x-was", "%REQ(:PATH)% %RESP(x-kept)% %RESPONSE_CODE% %REQ(x-in2)%")],
     "response_headers_to_remove": ["x-hidden"]},
    {"match": {"prefix": "/drawn"}, "route": {"weighted_clusters": {
        "header_name": "x-draw", "runtime_key_prefix": "w", "clusters": [
            {"name": "origin", "weight": 90, "response_headers_to_add": [add("x-drawn", "one")]},
            {"cluster_header": "x-cluster", "weight": 10, "response_headers_to_add": [add("x-drawn", "two")],
             "request_headers_to_add": [add("x-level", "weighted")]}]}}},
    {"match": {"prefix": "/host/header"}, "route": {"cluster": "origin", "host_rewrite_header": "x-host"}},
    {"match": {"prefix": "/host/path"}, "route": {"cluster": "origin", "append_x_forwarded_host": True,
     "host_rewrite_path_regex": {"pattern": {"regex": "^/host/path/(.+)$"}, "substitution": "\\1.example"}}},
    {"match": {"prefix": "/grpc", "grpc": {}}, "direct_response": {"status": 200}},
    {"match": {"prefix": "/off", "runtime_fraction": {"default_value": {"numerator": 100}, "runtime_key": "off"}},
     "direct_response": {"status": 200}},
    {"match": {"prefix": "/on", "runtime_fraction": {"default_value": {"numerator": 0}, "runtime_key": "deep.on"}},
     "direct_response": {"status": 200}},
    {"match": {"path": "/exact"}, "direct_response": {"status": 200}},
    {"match": {"prefix": "/nobody"}, "non_forwarding_action": {}},
    {"match": {"prefix": "/to/https"}, "redirect": {"https_redirect": True}},
    {"match": {"prefix": "/to/port"}, "redirect": {"port_redirect": 8443, "https_redirect": True}},
    {"match": {"prefix": "/to/plain"}, "redirect": {"port_redirect": 8080, "response_code": "TEMPORARY_REDIRECT"}},
    {"match": {"prefix": "/to/host"}, "redirect": {"host_redirect": "b.example:8", "response_code": "FOUND"}},
    {"match": {"prefix": "/to/scheme"}, "redirect": {"scheme_redirect": "https", "strip_query": True}},
    {"match": {"prefix": "/to/path"}, "redirect": {"path_redirect": "/new", "response_code": "SEE_OTHER"}},
    {"match": {"prefix": "/to/query"}, "redirect": {"path_redirect": "/new?x=y", "host_redirect": "c"}},
    {"match": {"prefix": "/to/prefix"}, "redirect": {"prefix_rewrite": "/p", "response_code": "PERMANENT_REDIRECT"}},
    {"match": {"path": "/to/exact"}, "redirect": {"prefix_rewrite": "/p"}},
    {"match": {"path_separated_prefix": "/to/apart"}, "redirect": {"prefix_rewrite": "/q"}},
    {"match": {"prefix": "/to/regex"}, "redirect": {"regex_rewrite": {
        "pattern": {"regex": "^/to/regex/([a-z]+)"}, "substitution": "/r/\\1"}}},
    {"match": {"prefix": "/rewritten/"}, "route": {"cluster": "origin", "prefix_rewrite": "/", "host_rewrite_literal": "h"}},
]


def behaviour(name):
    def serve(peer):
        while True:
            head, body = peer.request()
            line, *fields = head.decode().split("\r\n")[:-2]
            target = line.split(" ")[1]
            fields = dict(field.lower().split(": ", 1) for field in fields)
            SEEN.put((name, target, fields, body))
            case = fields.get("x-case", "")
            with LOCK:
                COUNTS[case] = COUNTS.get(case, 0) + 1
                number = COUNTS[case]
            wanted = fields.get("x-answers", "200").split("/")
            status, _, more = wanted[min(number, len(wanted)) - 1].partition(" ")
            peer.answer(b"%d" % number, f"{status} X", b"x-kept: k\r\nx-hidden: h\r\n" + more.encode() + b"\r\n" * bool(more))
    return serve


CASES = [
    # target, what the origin answers in turn, further fields
    ("/5xx", "503/500/200", {}), ("/5xx", "503/503/503/200", {}), ("/5xx", "404/200", {}), ("/5xx", "503/200", {}),
    ("/5xx", "503 x-envoy-ratelimited: 1/200", {}), ("/gateway", "500/200", {}), ("/gateway", "502/200", {}),
    ("/4xx", "409/200", {}), ("/4xx", "404/200", {}), ("/codes", "202/200", {}), ("/codes", "404/200", {}),
    ("/codes", "503/200", {}), ("/headers", "200 x-again: yes/200", {}), ("/headers", "200 x-again: no/200", {}),
    ("/limited", "429 x-envoy-ratelimited: 1/200", {}), ("/limited", "429/200", {}),
    ("/some", "503/200", {}), ("/some", "503/200", {"x-try": "1"}), ("/after", "503 retry-after: 1/200", {}),
    ("/plain", "503/200", {}), ("/plain", "503/503/200", {"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "2"}),
    ("/plain", "404/200", {"x-envoy-retry-on": "retriable-status-codes", "x-envoy-retriable-status-codes": "404"}),
    ("/plain", "200 x-why: a/200", {"x-envoy-retry-on": "retriable-headers",
                                    "x-envoy-retriable-header-names": "X-Why"}),
    ("/plain", "200", {"x-envoy-upstream-rq-timeout-ms": "700", "x-envoy-expected-rq-timeout-ms": "1"}),
    ("/plain", "200", {"x-envoy-upstream-rq-timeout-ms": "700", "x-envoy-upstream-rq-per-try-timeout-ms": "300"}),
    ("/edits/a?b=c", "200", {"x-in": "abcdef", "x-in2": "kept", "x-gone": "1", "x-many": "a"}),
    ("/drawn", "200", {"x-draw": "89"}), ("/drawn", "200", {"x-draw": "90", "x-cluster": "mirror"}),
    ("/host/header", "200", {"x-host": "other"}), ("/host/header", "200", {}), ("/host/path/abc?d", "200", {}),
    ("/grpc", "200", {"content-type": "application/grpcx"}),
    ("/plain", "200", {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b",
                      "b3": "1-2-1", "x-b3-traceid": "463ac35c9f6413ad", "x-b3-sampled": "1"}),
    ("/plain/%2F/a%5Cb?c", "200", {}), *((f"/to/{place}", "200", {}) for place in (
        "https/a?b", "port/a", "plain/a?b=c", "host/a", "scheme/a?b", "path/a?b", "query/a?b", "prefix/a?b", "exact?b",
        "apart", "apart/a?b", "regex/abc/d?e", "prefix")),
    ("/rewritten/a/b?c", "200", {}), ("/rewritten/", "200", {}), ("/off", "200", {}), ("/on", "200", {}), ("/exact;v=1", "200", {}), ("/nobody", "200", {}),
]

# What differs by its nature: times, ids, and what Weft adds or orders in its own way.
LOOSE = {"date", "x-request-id", "x-envoy-upstream-service-time", "server", "x-weft-reason", "content-type",
         "content-length", "transfer-encoding", "connection", "x-envoy-external-address",
         "x-forwarded-for"}


def configuration(port, origin, mirror):
    hosts = [{"name": "all", "domains": ["*"], "routes": ROUTES, "include_request_attempt_count": True,
              "include_attempt_count_in_response": True, "request_headers_to_add": [add("x-level", "host")]}]
    chain = http_filter([], virtual_hosts=hosts, use_remote_address=True, append_x_forwarded_port=True, normalize_path=True,
                        path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT",
                        strip_matching_host_port=True, strip_trailing_host_dot=True, internal_address_config={
                            "cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]})
    routes = chain["typed_config"]["route_config"]
    routes["ignore_path_parameters_in_path_matching"] = True
    routes["request_headers_to_add"] = [add("x-level", "table")]
    routes["most_specific_header_mutations_wins"] = True
    return ([listener(port, chain)], [cluster("origin", origin.port), cluster("mirror", mirror.port)]), {
        "layered_runtime": {"layers": [{"name": "fixed", "static_layer": {"off": 0, "deep": {"on": 100}}},
                                       {"name": "admin", "admin_layer": {}}]}}


class Run:
    """One proxy with its origins; asks and tells what came of it."""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        self.port = free_port()
        self.origin = proxykit.Origin(behaviour("origin"))
        self.mirror = proxykit.Origin(behaviour("mirror"))
        settings, more = configuration(self.port, self.origin, self.mirror)
        self.proxy = self.kind(*settings, **more)
        self.proxy.__enter__()
        return self

    def __exit__(self, *_):
        self.proxy.__exit__()
        self.origin.__exit__()
        self.mirror.__exit__()

    def ask(self, case, target, answers, fields, host="a.example.:{port}", seen=None, body=b""):
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        method = "POST" if body else "GET"
        with LOCK:
            COUNTS[case] = 0
        with Client(self.port) as client:
            status, answered, text = client.send(
                f"{method} {target} HTTP/1.1\r\nhost: {host.format(port=self.port)}\r\nx-case: {case}\r\n"
                f"x-answers: {answers}\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body).response()
        count = COUNTS[case] if seen is None else seen
        got = sorted((SEEN.get(timeout=10) for _ in range(count)), key=lambda one: (one[0], str(one[2].get("host"))))
        return status, answered, text, got

    def summary(self, case, target, answers, fields):
        status, answered, text, got = self.ask(case, target, answers, fields)

        def strict(table):
            table = {name: value.replace(str(self.port), "PORT") for name, value in table.items() if name not in LOOSE}
            if table.get("x-envoy-attempt-count", "1") != "1" and "x-envoy-expected-rq-timeout-ms" in table:
                # What is left of the time.
                table["x-envoy-expected-rq-timeout-ms"] = int(table["x-envoy-expected-rq-timeout-ms"]) <= 5000
            return table
        return status, strict(answered), text if got else None, [
            (name, path, strict(table), body) for name, path, table, body in got]


@pytest.fixture(scope="module")
def weft():
    with Run(proxykit.Proxy) as run:
        yield run


@pytest.fixture(scope="module")
def envoy():
    with Run(envoykit.Envoy) as run:
        yield run


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number][0] + " " + CASES[number][1])
def test_the_same_as_envoy(weft, envoy, number):
    ours, theirs = (run.summary(f"{number}", *CASES[number]) for run in (weft, envoy))
    assert ours == theirs


def mirrored(run, body):
    """What origin and mirror got of one request, by host."""
    _, _, text, got = run.ask("mirror", "/mirror/a", "200", {}, seen=3, body=body)
    return text, sorted((name, path, table["host"].replace(str(run.port), "PORT"), sent) for name, path, table, sent in got)


@pytest.mark.parametrize("body", [b"", b"x" * 40_000], ids=["empty", "40 KB"])
def test_mirrors_get_what_envoys_get(weft, envoy, body):
    ours, theirs = mirrored(weft, body), mirrored(envoy, body)
    assert ours[1] == theirs[1]
    assert ours[1] == [("mirror", "/m/a", "a.example", body), ("mirror", "/m/a", "a.example-shadow", body),
                       ("origin", "/m/a", "a.example", body)]


def test_the_pause_is_what_the_endpoint_asks_for():
    pauses = []

    def limited(peer):
        while True:
            head, _ = peer.request()
            pauses.append(time.monotonic())
            peer.answer(status="429 X", fields=b"x-reset: 1\r\n") if len(pauses) == 1 else peer.answer()
    policy = {"retry_on": "retriable-status-codes", "retriable_status_codes": [429], "rate_limited_retry_back_off": {
        "reset_headers": [{"name": "x-reset", "format": "SECONDS"}]}}
    action = {"cluster": "origin", "timeout": "20s", "retry_policy": policy}
    with proxykit.Origin(limited) as origin, proxykit.simple_proxy(
            origin.port, filters=[http_filter([proxykit.route(action)])]) as (_, port):
        assert proxykit.get(port)[0] == 200
    # A coarse clock may fire a little early; without the header it would be a quarter of a second at most.
    assert pauses[1] - pauses[0] > 0.9


def test_a_mirror_that_does_not_read_is_given_up_and_the_original_goes_on():
    hold = threading.Event()

    def silent(peer):
        hold.wait(proxykit.DEADLINE * 2)
    body = b"y" * 8_000_000
    with proxykit.Origin(proxykit.echo) as origin, proxykit.Origin(silent) as mirror:
        mirror.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        action = {"cluster": "origin", "timeout": "0s", "request_mirror_policies": [{"cluster": "mirror"}]}
        port = free_port()
        with proxykit.Proxy([listener(port, http_filter([proxykit.route(action)]))],
                            [cluster("origin", origin.port), cluster("mirror", mirror.port)]) as proxy:
            with Client(port) as client:
                writer = threading.Thread(target=client.send, args=(
                    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body,), daemon=True)
                writer.start()
                assert client.response()[2] == body
            assert proxykit.eventually(lambda: proxy.stat("mirror_total") == 2)
            assert 'mirror_total{outcome="given_up"} 1' in proxy.admin("/stats/prometheus")
            hold.set()


def test_a_try_may_not_be_silent_for_long():
    def slow(peer):
        if peer.index == 0:
            peer.request()
            peer.more()
        peer.request()
        peer.answer(b"second")
    policy = {"retry_on": "reset,5xx", "per_try_idle_timeout": "0.2s", "retry_back_off": QUICK}
    action = {"cluster": "origin", "timeout": "20s", "retry_policy": policy}
    hosts = [{"name": "all", "domains": ["*"], "include_is_timeout_retry_header": True,
              "routes": [proxykit.route(action)]}]
    with proxykit.Origin(slow) as origin, proxykit.simple_proxy(
            origin.port, filters=[http_filter([], virtual_hosts=hosts)]) as (_, port):
        assert proxykit.get(port)[2] == b"second"
        assert b"x-envoy-is-timeout-retry: true\r\n" in origin.bytes


def test_old_clients_get_the_default_host_and_the_id_of_their_request():
    with proxykit.Origin(proxykit.serving()) as origin, proxykit.simple_proxy(origin.port, filters=[http_filter(
            [proxykit.route()], http_protocol_options={"accept_http_10": True, "default_host_for_http_10": "old.example"},
            always_set_request_id_in_response=True, preserve_external_request_id=True)]) as (_, port):
        with Client(port) as client:
            status, fields, _ = client.send("GET / HTTP/1.0\r\nx-request-id: mine\r\n\r\n").response()
        assert (status, fields["x-request-id"]) == (200, "mine")
        assert b"host: old.example\r\n" in origin.bytes
