"""Fields that are seldom set: each has in weft-proxy the effect that it has in a running Envoy. A row is a listener of its own."""

import base64
import gzip
import hashlib
import hmac
import json
import time

import pytest

import envoykit
from proxykit import Client, Origin, Proxy, cluster, http_filter, listener, quiet_port, route

pytestmark = pytest.mark.one_worker

TYPES = "type.googleapis.com/envoy.extensions."
FILTERS = TYPES + "filters.http."
ROUTER = {"name": "router", "typed_config": {"@type": FILTERS + "router.v3.Router"}}


def origin_of(peer):
    """Answers with the head that came, as the path asks: `/slow`, `/fail`, `/move`, `/large`, `/etag`, `/no-transform`, `/status-NNN`."""
    while True:
        head, body = peer.request()
        lines = [line.decode() for line in head.split(b"\r\n") if line]
        path = lines[0].split(" ")[1]
        if any(line.lower() == "expect: 100-continue" for line in lines):
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        status, fields = "200 OK", ""
        if "/slow" in path:
            time.sleep(0.3)
        if "/fail" in path:
            status = "503 No"
        if "/move" in path:
            status, fields = "302 Found", "location: https://a/landed\r\n"
        if "/status-" in path:
            status = f"{path.split('-')[1][:3]} Odd"
        if "/etag" in path:
            fields += 'etag: "abc"\r\n'
        if "/no-transform" in path:
            fields += "cache-control: no-transform\r\n"
        if "/grpc-" in path:
            fields += f"grpc-status: {path.split('-')[1]}\r\n"
        text = json.dumps(lines)
        if "/large" in path or "/etag" in path or "/status-" in path:
            text += " " * 4000
        body = b"" if "/grpc-" in path else text.encode()
        if "/gzip" in path:
            fields, body = fields + "content-encoding: gzip\r\n", gzip.compress(body)
        kind = "application/grpc" if "/grpc-" in path else "application/json"
        peer.answer(body, status=status, fields=f"content-type: {kind}\r\n{fields}".encode())


def guard(peer):
    """An authority: refuses `/deny` with a body of a hundred bytes, and tells whether it was told the secret."""
    while True:
        head, _ = peer.request()
        told = b"yes" if b"\r\nx-secret:" in head.lower() else b"no"
        if b"/deny" in head.split(b"\r\n")[0]:
            peer.answer(b"n" * 100, status="403 Forbidden")
        else:
            peer.answer(b"", fields=b"x-told: " + told + b"\r\n")


def send(port, path="/", method="GET", body=b"", fields=(), host="a"):
    with Client(port) as client:
        lines = "".join(f"{line}\r\n" for line in fields)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        client.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}{lines}\r\n".encode() + body)
        status, got, text = client.response()
        fields = {name.lower(): value for name, value in dict(got).items()}
        fields["body"] = len(text)
        seen = json.loads(text) if text.startswith(b"[") and not fields.get("content-encoding") else []
        return status, fields, [line.lower() for line in seen]


def saw(seen, name):
    return [line.split(":", 1)[1].strip() for line in seen if line.startswith(f"{name}:")]


class Row:
    """A listener, the requests that it gets, and what of the answers counts."""

    def __init__(self, name, asks, pick=None, routes=None, filters=(), hosts=None, table=None, **manager):
        self.name, self.asks, self.pick = name, asks, pick or (lambda status, fields, seen: status)
        self.routes, self.filters, self.hosts, self.table, self.manager = routes or [route()], filters, hosts, table, manager

    def outcome(self, port):
        """What counts of each answer; of many alike requests, by chance, only what came at all."""
        picked = [self.pick(*send(port, **one)) for one in self.asks]
        return sorted(set(picked)) if len(picked) > 10 else picked

    def chain(self):
        made = http_filter(self.routes, **self.manager)
        # Filters of one name and stat_prefix count together.
        made["typed_config"]["http_filters"] = [*({**one, "name": f"{self.name}-{place}"} for place, one in enumerate(self.filters)), ROUTER]
        if self.hosts:
            made["typed_config"]["route_config"]["virtual_hosts"] = self.hosts
        made["typed_config"]["route_config"].update(self.table or {})
        return made


def ask(path="/", **more):
    return {"path": path, **more}


def seen_field(name):
    return lambda status, fields, seen: saw(seen, name)


def got_field(*names):
    return lambda status, fields, seen: [fields.get(name) for name in names]


def http(kind, name, **settings):
    return {"name": f"{kind}-{name}", "typed_config": {"@type": f"{FILTERS}{kind}.v3.{name}", **settings}}


def limit(tokens=1):
    return {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "3600s"}


def local_limit(entries, **more):
    always = {"default_value": {"numerator": 100}, "runtime_key": "none"}
    return http("local_ratelimit", "LocalRateLimit", stat_prefix="l", filter_enabled=always, filter_enforced=always,
                token_bucket=limit(1000), descriptors=[{"entries": entries, "token_bucket": limit()}], **more)


def limited(*actions, **more):
    return [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "rate_limits": [{"actions": list(actions), **more}]}}]


def compress(**more):
    library = {"name": "gzip", "typed_config": {"@type": TYPES + "compression.gzip.compressor.v3.Gzip"}}
    return http("compressor", "Compressor", compressor_library=library, **more)


GZIP = ["accept-encoding: gzip"]
ENCODED = got_field("content-encoding", "etag")


def fault(**more):
    return http("fault", "HTTPFault", **more)


ABORT = {"http_status": 418, "percentage": {"numerator": 100}}
KEY = b"a key of thirty-two bytes and more"


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(**claims):
    head = encoded(json.dumps({"alg": "HS256", "kid": "k"}).encode())
    text = head + b"." + encoded(json.dumps({"iss": "me", **claims}).encode())
    return (text + b"." + encoded(hmac.new(KEY, text, hashlib.sha256).digest())).decode()


def jwt(**more):
    keys = json.dumps({"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": encoded(KEY).decode()}]})
    provider = {"issuer": "me", "local_jwks": {"inline_string": keys}, **more}
    return http("jwt_authn", "JwtAuthentication", providers={"p": provider},
                rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}])


def bearer(**claims):
    return [f"authorization: Bearer {token(**claims)}"]


def to(target="origin", **more):
    return [{"match": {"prefix": "/"}, "route": {"cluster": target, **more}}]


RETRY = {"retry_policy": {"retry_on": "5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}}}
BODIES = [ask("/fail", method="POST", body=b"x" * 10), ask("/fail", method="POST", body=b"x" * 20_000)]
COUNTED = {"include_attempt_count_in_response": True}
TRIES = got_field("x-envoy-attempt-count")


def counted(routes, **more):
    return [{"name": "all", "domains": ["*"], "routes": routes, **COUNTED, **more}]


GRPC = {"content-type": "application/grpc"}
CALL = [ask("/", method="POST", body=b"x", fields=["content-type: application/grpc", f"grpc-timeout: {text}"]) for text in ("1S", "60S")]
EXPECTED = seen_field("x-envoy-expected-rq-timeout-ms")

def inflate(**more):
    library = {"name": "gzip", "typed_config": {"@type": TYPES + "compression.gzip.decompressor.v3.Gzip"}}
    return http("decompressor", "Decompressor", decompressor_library=library, **more)


def authorize(allowed=None, **more):
    service = {"server_uri": {"uri": "http://guard", "cluster": "guard", "timeout": "5s"}, "authorization_response": {
        "allowed_upstream_headers": {"patterns": [{"exact": "x-told"}]}}}
    if allowed:
        service["authorization_request"] = {"allowed_headers": {"patterns": [{"prefix": allowed}]}}
    return http("ext_authz", "ExtAuthz", http_service=service, **more)


def admit(**more):
    return http("admission_control", "AdmissionControl", enabled={"default_value": True, "runtime_key": "none"}, sampling_window="60s",
                **{"success_criteria": {"http_criteria": {"http_success_status": [{"start": 200, "end": 300}]},
                                        "grpc_criteria": {"grpc_success_status": [0]}}, **more})


ADMITTED = "x-envoy-upstream-service-time"
ORIGINS = lambda status, fields, seen: ADMITTED in fields  # noqa: E731
FEW = {"rps_threshold": {"default_value": 0, "runtime_key": "none"}}
FAILS, HALF = [ask("/fail")] * 40, [ask("/"), ask("/fail")] * 30
CALLS = [ask("/grpc-5", method="POST", body=b"x", fields=["content-type: application/grpc"])] * 40

ROWS = [
    # Bodies from the endpoint, and what it is told.
    Row("inflate", [ask("/gzip"), ask("/gzip/no-transform")], ENCODED, filters=[inflate()]),
    Row("inflate-always", [ask("/gzip"), ask("/gzip/no-transform")], ENCODED,
        filters=[inflate(response_direction_config={"common_config": {"ignore_no_transform_header": True}})]),
    Row("inflate-told", [ask()], seen_field("accept-encoding"), filters=[inflate(request_direction_config={"advertise_accept_encoding": True})]),
    Row("inflate-untold", [ask()], seen_field("accept-encoding"), filters=[inflate(request_direction_config={"advertise_accept_encoding": False})]),
    # An authority.
    Row("authority", [ask(fields=["x-secret: 1"]), ask("/deny")], lambda s, f, seen: (s, saw(seen, "x-told"), f["body"] if s == 403 else None),
        filters=[authorize("x-")]),
    Row("authority-untold", [ask(fields=["x-secret: 1"])], seen_field("x-told"), filters=[authorize("x-", disallowed_headers={"patterns": [{"exact": "x-secret"}]})]),
    Row("authority-short", [ask("/deny")], lambda s, f, seen: (s, f["body"]), filters=[authorize("x-", max_denied_response_body_bytes=10)]),
    # What is let in by how much succeeds.
    Row("admit", FAILS, ORIGINS, filters=[admit(**FEW)]),
    Row("admit-few", FAILS, ORIGINS, filters=[admit(rps_threshold={"default_value": 1_000_000, "runtime_key": "none"})]),
    Row("admit-half", HALF, ORIGINS, filters=[admit(**FEW)]),
    Row("admit-half-enough", HALF, ORIGINS, filters=[admit(**FEW, sr_threshold={"default_value": {"value": 1}, "runtime_key": "none"})]),
    Row("admit-calls", CALLS, ORIGINS, filters=[admit(**FEW, success_criteria={"grpc_criteria": {"grpc_success_status": [0]}, "http_criteria": {
        "http_success_status": [{"start": 200, "end": 300}]}})]),
    Row("admit-calls-good", CALLS, ORIGINS, filters=[admit(**FEW, success_criteria={"grpc_criteria": {"grpc_success_status": [0, 5]}, "http_criteria": {
        "http_success_status": [{"start": 200, "end": 300}]}})]),
    # Bodies that are kept for a retry.
    Row("buffer-none", BODIES, TRIES, hosts=counted(to(**RETRY))),
    Row("buffer-route", BODIES, TRIES, hosts=counted([{**to(**RETRY)[0], "per_request_buffer_limit_bytes": 100}])),
    Row("buffer-host", BODIES, TRIES, hosts=counted(to(**RETRY), per_request_buffer_limit_bytes=100)),
    Row("body-route", BODIES, TRIES, hosts=counted([{**to(**RETRY)[0], "request_body_buffer_limit": 100}])),
    Row("body-host", BODIES, TRIES, hosts=counted(to(**RETRY), request_body_buffer_limit=100)),
    # The table of routes.
    Row("internal-only", [ask(fields=["x-secret: 1", "x-open: 1", "x-forwarded-for: 9.9.9.9"])], lambda s, f, seen: (saw(seen, "x-secret"), saw(seen, "x-open")),
        table={"internal_only_headers": ["x-secret"]}, use_remote_address=False,
        internal_address_config={"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}),
    Row("raw", [ask()], seen_field("x-raw"), routes=[route(request_headers_to_add=[
        {"header": {"key": "x-raw", "raw_value": base64.b64encode(b"plain").decode()}}])]),
    Row("total", [ask()], routes=to() and [{"match": {"prefix": "/"}, "route": {"weighted_clusters": {
        "total_weight": 3, "clusters": [{"name": "origin", "weight": 1}, {"name": "origin", "weight": 2}]}}}]),
    Row("same-scheme", [ask("/move")], routes=to(internal_redirect_policy={"max_internal_redirects": 1})),
    Row("cross-scheme", [ask("/move")], routes=to(internal_redirect_policy={"allow_cross_scheme_redirect": True})),
    Row("grpc-max", CALL, EXPECTED, routes=to(max_stream_duration={"grpc_timeout_header_max": "10s"})),
    Row("grpc-offset", CALL, EXPECTED, routes=to(max_stream_duration={"grpc_timeout_header_max": "10s", "grpc_timeout_header_offset": "0.2s"})),
    Row("old-max", CALL, EXPECTED, routes=to(max_grpc_timeout="10s")),
    Row("old-offset", CALL, EXPECTED, routes=to(max_grpc_timeout="10s", grpc_timeout_offset="0.2s")),
    # The connection manager.
    Row("absolute", [ask("http://b.example/x")], lambda s, f, seen: (s, saw(seen, "host"))),
    Row("scheme", [ask()], seen_field("x-forwarded-proto"), scheme_header_transformation={"match_upstream": True}),
    Row("bounded-stream", [ask("/slow")], routes=to(timeout="0.1s", max_stream_duration={"max_stream_duration": "60s"})),
    Row("bounded-time", [ask("/slow")], routes=to(timeout="0.1s")),
    # Limits by descriptors.
    Row("limit-query", [ask("/?a=1"), ask("/?a=1"), ask("/?a=2"), ask("/?a=2")], filters=[local_limit([{"key": "query_match", "value": "v"}])],
        routes=limited({"query_parameter_value_match": {"descriptor_value": "v", "query_parameters": [{"name": "a", "string_match": {"exact": "1"}}]}})),
    Row("limit-no-query", [ask("/?a=1"), ask("/?a=1"), ask("/?a=2"), ask("/?a=2")], filters=[local_limit([{"key": "query_match", "value": "v"}])],
        routes=limited({"query_parameter_value_match": {"descriptor_value": "v", "expect_match": False, "query_parameters": [
            {"name": "a", "string_match": {"exact": "1"}}]}})),
    Row("limit-no-header", [ask(fields=["x-a: 1"]), ask(fields=["x-a: 1"]), ask(), ask()], filters=[local_limit([{"key": "header_match", "value": "v"}])],
        routes=limited({"header_value_match": {"descriptor_value": "v", "expect_match": False, "headers": [{"name": "x-a", "present_match": True}]}})),
    Row("limit-default-kept", [ask(), ask(), ask(fields=["x-a: 1"]), ask(fields=["x-a: 1"])], filters=[{
        **local_limit([{"key": "header_match", "value": "v"}], always_consume_default_token_bucket=False)}],
        routes=limited({"header_value_match": {"descriptor_value": "v", "headers": [{"name": "x-a", "present_match": True}]}})),
    # Faults by runtime.
    Row("fault-percent", [ask()], filters=[fault(abort={**ABORT, "percentage": {"numerator": 0}}, abort_percent_runtime="on")]),
    Row("fault-off", [ask()], filters=[fault(abort=ABORT, abort_percent_runtime="off")]),
    Row("fault-status", [ask()], filters=[fault(abort=ABORT, abort_http_status_runtime="status")]),
    Row("fault-few", [ask()], filters=[fault(abort=ABORT, max_active_faults_runtime="off")]),
    Row("fault-node", [ask(), ask(fields=["x-envoy-downstream-service-node: n1"])], filters=[fault(abort=ABORT, downstream_nodes=["n1"])]),
    Row("fault-delay-off", [ask()], filters=[fault(delay={"fixed_delay": "600s", "percentage": {"numerator": 100}}, delay_percent_runtime="off")]),
    Row("fault-delay-short", [ask()], filters=[fault(delay={"fixed_delay": "600s", "percentage": {"numerator": 100}}, delay_duration_runtime="short")]),
    Row("fault-grpc", [ask("/", method="POST", body=b"x", fields=["content-type: application/grpc"])], got_field("grpc-status"),
        filters=[fault(abort={"grpc_status": 5, "percentage": {"numerator": 100}}, abort_grpc_status_runtime="grpc")]),
    Row("fault-rate-off", [ask("/large")], filters=[fault(response_rate_limit={"fixed_limit": {"limit_kbps": 1}, "percentage": {"numerator": 100}},
                                                          response_rate_limit_percent_runtime="off")]),
    # Compression.
    Row("gzip-min", [ask("/", fields=GZIP), ask("/large", fields=GZIP)], ENCODED,
        filters=[compress(response_direction_config={"common_config": {"min_content_length": 2000}})]),
    Row("gzip-etag", [ask("/etag", fields=GZIP)], ENCODED, filters=[compress()]),
    Row("gzip-no-etag", [ask("/etag", fields=GZIP)], ENCODED, filters=[compress(response_direction_config={"disable_on_etag_header": True})]),
    Row("gzip-weak-etag", [ask("/etag", fields=GZIP)], ENCODED, filters=[compress(response_direction_config={"weaken_etag_on_compress": True})]),
    Row("gzip-codes", [ask("/status-404", fields=GZIP), ask("/status-201", fields=GZIP)], ENCODED,
        filters=[compress(response_direction_config={"uncompressible_response_codes": [404]})]),
    Row("gzip-first", [ask("/large", fields=["accept-encoding: gzip;q=0.5, br;q=0.5"])], ENCODED, filters=[compress(choose_first=True)]),
    # Tokens.
    Row("jwt-lifetime", [ask(fields=bearer(exp=int(time.time()) + 3000)), ask(fields=bearer(exp=int(time.time()) + 86_400)), ask(fields=bearer())],
        filters=[jwt(max_lifetime="3600s", require_expiration=True)]),
    Row("jwt-pad", [ask(fields=bearer(sub=name)) for name in ("a", "ab", "abc")], lambda s, f, seen: [len(value) % 4 for value in saw(seen, "x-payload")],
        filters=[jwt(forward_payload_header="x-payload", pad_forward_payload_header=True)]),
    Row("jwt-no-pad", [ask(fields=bearer(sub=name)) for name in ("a", "ab", "abc")], lambda s, f, seen: [len(value) % 4 for value in saw(seen, "x-payload")],
        filters=[jwt(forward_payload_header="x-payload")]),
    Row("jwt-scope", [ask(fields=bearer(team={"name": "web"}))], seen_field("x-team"),
        filters=[jwt(claim_to_headers=[{"header_name": "x-team", "claim_name": "team.name"}])]),
]
RUNTIME = {"layers": [{"name": "static", "static_layer": {"on": 100, "off": 0, "status": 503, "short": 1, "grpc": 7}}]}


def run(kind):
    ports = {row.name: quiet_port() for row in ROWS}
    with Origin(origin_of) as origin, Origin(guard) as authority:
        listeners = [listener(ports[row.name], row.chain(), name=row.name) for row in ROWS]
        with kind(listeners, [cluster("origin", origin.port), cluster("guard", authority.port)], layered_runtime=RUNTIME):
            return {row.name: row.outcome(ports[row.name]) for row in ROWS}


@pytest.fixture(scope="module")
def outcomes():
    return {name: run(kind) for name, kind in (("envoy", envoykit.Envoy), ("weft", Proxy))}


# Envoy reads these and goes by none of them.
OURS = {"raw"}
# What shows that the field has an effect at all.
WANTED = {
    "inflate": [[None, None], ["gzip", None]], "inflate-always": [[None, None], [None, None]], "inflate-untold": [[]],
    "inflate-told": [["gzip"]], "authority": [(200, ["yes"], None), (403, [], 100)], "authority-untold": [["no"]], "authority-short": [(403, 10)],
    "admit": [False, True], "admit-few": [True], "admit-half": [False, True], "admit-half-enough": [True], "admit-calls": [False, True],
    "admit-calls-good": [True],
    "buffer-none": [["2"], ["2"]], "buffer-route": [["2"], ["1"]], "buffer-host": [["2"], ["1"]], "body-route": [["2"], ["1"]],
    "body-host": [["2"], ["1"]], "raw": [["plain"]], "bounded-stream": [200], "bounded-time": [504], "same-scheme": [302], "cross-scheme": [200], "limit-query": [200, 429, 200, 200],
    "limit-no-query": [200, 200, 200, 429], "limit-no-header": [200, 200, 200, 429], "fault-percent": [418], "fault-off": [200],
    "fault-status": [503], "fault-few": [200], "fault-node": [200, 418], "fault-delay-off": [200], "fault-delay-short": [200],
    "fault-grpc": [["7"]], "fault-rate-off": [200], "gzip-codes": [[None, None], ["gzip", None]],
    "gzip-weak-etag": [["gzip", 'W/"abc"']], "gzip-no-etag": [[None, '"abc"']], "jwt-lifetime": [200, 401, 401],
    "jwt-pad": [[0], [0], [0]], "jwt-scope": [["web"]],
}


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_a_field_has_the_effect_that_it_has_in_envoy(outcomes, name):
    if name not in OURS:
        assert outcomes["weft"][name] == outcomes["envoy"][name]
    if name in WANTED:
        assert outcomes["weft"][name] == WANTED[name]
