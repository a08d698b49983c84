"""Filters that ask a service: the same script, with real services, against weft-proxy and, where there is one, a real Envoy."""

import contextlib
import re
import threading

import pytest

import envoykit
import proxykit
from grpckit import http2_cluster
from protokit import dig, message, read, server, texts
from proxykit import DEADLINE, Client, Origin, cluster, eventually, free_port, free_ports, http_filter, listener, route
from test_proxy_filters import chain, step, told, typed

CHECK = "/envoy.service.auth.v3.Authorization/Check"
AUTHZ = "ext_authz.v3.ExtAuthz"


def option(name, value, **more):
    """A `HeaderValueOption`."""
    fields = [(1, message((1, name), (2, value)))]
    if "append" in more:
        fields.append((2, message((1, int(more["append"])))))
    if "action" in more:
        fields.append((3, more["action"]))
    return message(*fields)


def ok(*fields):
    return message((1, b""), (3, message(*fields)))


class Authority:
    """A service of authorization: what it says follows from the path; it keeps what it was asked."""

    def __init__(self):
        self.asked = []
        self.hold = threading.Event()

    def check(self, data, context):
        http = dig(data, 1, 4, 2)
        path = dig(http, 4).decode()
        self.asked.append(data)
        if "/hang" in path:
            self.hold.wait(DEADLINE)
        if "/broken" in path:
            import grpc

            context.abort(grpc.StatusCode.UNAVAILABLE, "on purpose")
        if "/garbage" in path:
            return b"\xff\xff\xff"
        if "/denied-bare" in path:
            return message((1, message((1, 7))))
        if "/denied" in path:
            return message((1, message((1, 16))), (2, message(
                (1, message((1, 401))), (2, option("x-why", "no token")), (2, option("www-authenticate", "Basic")),
                (2, option("content-type", "text/html")), (3, "<b>no</b>"))))
        if "/change" in path:
            return ok((2, option("x-set", "new")), (2, option("x-there", "more", append=True)),
                      (2, option("x-not-there", "more", append=True)), (2, option("x-over", "new", append=False)),
                      (5, "x-gone"), (6, option("x-answer", "one")), (6, option("x-origin", "two", append=False)))
        if "/query" in path:
            return ok((7, message((1, "a"), (2, "new"))), (8, "b"))
        if "/elsewhere" in path:
            return ok((2, option("x-route", "other")))
        if "/smuggle" in path:
            return ok((2, option("x-bad", "a\r\nx-evil: 1")), (2, option("content-length", "5")), (5, ":path"), (5, "host"))
        return ok()


def judge(peer):
    """The same over HTTP; the answer says what it was asked."""
    while True:
        head, body = peer.request()
        asked = b"x-asked: " + head.split(b"\r\n")[0].replace(b" ", b"_") + b"\r\nx-asked-body: %d\r\n" % len(body)
        if b"/denied" in head:
            peer.answer(b"no way", "402 Payment Required", asked + b"x-secret: 1\r\nlocation: /login\r\nx-shown: 1\r\n")
        elif b"/broken" in head:
            peer.answer(b"", "503 Service Unavailable")
        elif b"/cut" in head:
            peer.reset()
            return
        else:
            names = b",".join(sorted(line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:-2]
                                     if not line.lower().startswith((b"x-forwarded", b"x-envoy-exp", b"x-envoy-int"))))
            peer.answer(b"", fields=asked + b"x-names: " + names + b"\r\nx-user: ann\r\nx-group: dev\r\n"
                        b"x-client: seen\r\nx-other: 1\r\nx-envoy-auth-headers-to-remove: x-gone\r\n")


def grpc_authz(**more):
    return step("authz", AUTHZ, grpc_service={"envoy_grpc": {"cluster_name": "authority"}, "timeout": "2s"},
                transport_api_version="V3", **more)


def exact(*names):
    return {"patterns": [{"exact": name} for name in names]}


def http_authz(**more):
    service = {"server_uri": {"uri": "http://judge", "cluster": "judge", "timeout": "2s"}, "path_prefix": "/check",
               "authorization_request": {"headers_to_add": [{"key": "x-added", "value": "1"}]},
               "authorization_response": {
                   "allowed_upstream_headers": exact("x-user", "x-asked", "x-names", "x-asked-body"),
                   "allowed_upstream_headers_to_append": exact("x-group"),
                   "allowed_client_headers": exact("x-shown"),
                   "allowed_client_headers_on_success": exact("x-client")}}
    return step("authz", AUTHZ, http_service=service, allowed_headers=exact("x-told"), **more)


def per_route(name, kind, **fields):
    return {"typed_per_filter_config": {name: typed(kind, **fields)}}


def authz_routes():
    kind = "ext_authz.v3.ExtAuthzPerRoute"
    return [
        route(prefix="/free", **per_route("authz", kind, disabled=True)),
        route(prefix="/told", **per_route("authz", kind, check_settings={"context_extensions": {"a": "1", "b": "2"}})),
        {"match": {"prefix": "/", "headers": [{"name": "x-route", "string_match": {"exact": "other"}}]},
         "direct_response": {"status": 202}},
        route(),
    ]


LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
RATELIMIT = "ratelimit.v3.RateLimit"


class Counter:
    """A service of rate limits: what it says follows from the value of the first entry; it keeps what it was asked."""

    def __init__(self):
        self.asked = []
        self.hold = threading.Event()

    def should(self, data, context):
        self.asked.append(data)
        first = dig(read(read(data)[2][0])[1][0], 2).decode()
        window = message((1, 2 if first == "over" else 1), (2, message((1, 10), (2, 2), (3, "ten"))),
                         (3, 0 if first == "over" else 7), (4, message((1, 30))))
        other = message((1, 1), (2, message((1, 100), (2, 3))), (3, 50), (4, message((1, 9))))
        if first == "hang":
            self.hold.wait(DEADLINE)
        if first == "broken":
            import grpc

            context.abort(grpc.StatusCode.INTERNAL, "on purpose")
        if first == "unknown":
            return b""
        if first == "over":
            return message((1, 2), (2, window), (2, other), (3, message((1, "x-slow"), (2, "down"))), (5, b"too many"))
        return message((1, 1), (2, window), (3, message((1, "x-told"), (2, "fine"))), (4, message((1, "x-counted"), (2, "1"))))


def limiter(**more):
    return step("limit", RATELIMIT, domain="shop", rate_limit_service={
        "grpc_service": {"envoy_grpc": {"cluster_name": "counter"}}, "transport_api_version": "V3"},
        **{"timeout": "2s", **more})


def limits(*rules):
    return [rule if isinstance(rule, dict) else {"actions": list(rule)} for rule in rules]


FIRST = {"request_headers": {"header_name": "x-key", "descriptor_key": "key"}}


def limited(**more):
    """Routes with rate limits of their own and of their virtual host."""
    own = limits([FIRST, {"remote_address": {}}, {"destination_cluster": {}}],
                 [FIRST, {"generic_key": {"descriptor_value": "all"}},
                  {"request_headers": {"header_name": "x-none", "descriptor_key": "none", "skip_if_absent": True}}],
                 [{"request_headers": {"header_name": "x-none", "descriptor_key": "none"}}],
                 [FIRST, {"header_value_match": {"descriptor_value": "yes", "headers": [
                     {"name": "x-match", "string_match": {"exact": "1"}}]}}],
                 [FIRST, {"query_parameters": {"query_parameter_name": "q", "descriptor_key": "q"}}],
                 {"stage": 1, "actions": [{"generic_key": {"descriptor_value": "later"}}]})
    action = {"cluster": "origin", "timeout": "5s"}
    kind = "ratelimit.v3.RateLimitPerRoute"
    routes = [
        {"match": {"prefix": "/none"}, "route": action, **per_route("limit", kind, vh_rate_limits="IGNORE")},
        {"match": {"prefix": "/host"}, "route": action},
        {"match": {"prefix": "/both"}, "route": {**action, "rate_limits": limits([FIRST]), "include_vh_rate_limits": True}},
        {"match": {"prefix": "/own"}, "route": action, **per_route("limit", kind, domain="other", rate_limits=limits(
            [{"generic_key": {"descriptor_key": "k", "descriptor_value": "v"}}]))},
        {"match": {"prefix": "/"}, "route": {**action, "rate_limits": own}},
    ]
    return [{"name": "all", "domains": ["*"], "routes": routes,
             "rate_limits": limits([FIRST, {"generic_key": {"descriptor_value": "host"}}])}]


LISTENERS = {
    "limit": lambda: chain(limiter(enable_x_ratelimit_headers="DRAFT_VERSION_03", response_headers_to_add=[
        {"header": {"key": "x-refused", "value": "yes"}}]), virtual_hosts=limited()),
    "limit-hard": lambda: chain(limiter(failure_mode_deny=True, timeout="0.05s", rate_limited_status={"code": "ServiceUnavailable"},
                                        disable_x_envoy_ratelimited_header=True, rate_limited_as_resource_exhausted=True),
                                virtual_hosts=limited()),
    "limit-shadow": lambda: chain(limiter(filter_enforced={"default_value": {"numerator": 0}}), virtual_hosts=limited()),
    "grpc": lambda: chain(grpc_authz(), routes=authz_routes()),
    "routed": lambda: chain(grpc_authz(clear_route_cache=True, stat_prefix="routed"), routes=authz_routes()),
    "short": lambda: chain(step("authz", AUTHZ, transport_api_version="V3", status_on_error={"code": "ServiceUnavailable"},
                                grpc_service={"envoy_grpc": {"cluster_name": "authority"}, "timeout": "0.05s"})),
    "lenient": lambda: chain(grpc_authz(failure_mode_allow=True, failure_mode_allow_header_add=True)),
    "gone": lambda: chain(step("authz", AUTHZ, transport_api_version="V3",
                               grpc_service={"envoy_grpc": {"cluster_name": "nobody"}, "timeout": "2s"})),
    "body": lambda: chain(grpc_authz(with_request_body={"max_request_bytes": 10})),
    "part": lambda: chain(grpc_authz(
        with_request_body={"max_request_bytes": 10, "allow_partial_message": True, "pack_as_bytes": True})),
    "off": lambda: chain(grpc_authz(filter_enabled={"default_value": {"numerator": 0}})),
    "shut": lambda: chain(grpc_authz(filter_enabled={"default_value": {"numerator": 0}},
                                     deny_at_disable={"default_value": True, "runtime_key": "x"})),
    "http": lambda: chain(http_authz()),
    "http-body": lambda: chain(http_authz(with_request_body={"max_request_bytes": 1000})),
}


class Run:
    """One program with every listener of this file, and the services that it asks."""

    def __init__(self, kind):
        self.stack = contextlib.ExitStack()
        self.authority = Authority()
        self.counter = Counter()
        services = self.stack.enter_context(server(**{CHECK: self.authority.check, LIMIT: self.counter.should}))
        self.origin = self.stack.enter_context(Origin(told))
        self.judge = self.stack.enter_context(Origin(judge))
        self.ports = free_ports(LISTENERS)
        listeners = [listener(self.ports[name], make(), name=name) for name, make in LISTENERS.items()]
        clusters = [cluster("origin", self.origin.port), cluster("judge", self.judge.port),
                    http2_cluster("authority", services), http2_cluster("counter", services),
                    http2_cluster("nobody", free_port())]
        program = envoykit.Envoy if kind == "envoy" else proxykit.Proxy
        self.is_envoy = kind == "envoy"
        self.proxy = self.stack.enter_context(program(listeners, clusters))

    def get(self, name, path="/", fields="", method="GET", body=b"", host="a"):
        """(status, fields, body) of a request on a connection of its own."""
        with Client(self.ports[name]) as client:
            head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}"
            if body:
                head += f"Content-Length: {len(body)}\r\n"
            return client.send(head.encode() + b"\r\n" + body).response()

    def forwarded(self, *arguments, **more):
        """What the origin got, as a dictionary of names; of several of one name all values."""
        status, _, body = self.get(*arguments, **more)
        assert status == 200, (status, body)
        lines = body.decode("latin-1").split("\r\n")
        fields = {"": lines[0]}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if not name:
                continue
            fields[name.lower()] = fields[name.lower()] + "," + value.strip() if name.lower() in fields else value.strip()
        return fields

    def stat(self, name):
        found = re.search(rf"^{re.escape(name)}: (\d+)$", self.proxy.admin("/stats"), re.M)
        return int(found.group(1)) if found else 0

    def asked(self, path):
        """The last request that the authority was asked about with this path."""
        return next(data for data in reversed(self.authority.asked) if dig(data, 1, 4, 2, 4).decode() == path)


@pytest.fixture(scope="module", params=["weft", "envoy"])
def run(request):
    made = Run(request.param)
    with made.stack:
        yield made
        made.authority.hold.set()
        made.counter.hold.set()


# --- ext_authz over gRPC -----------------------------------------------------------------------------------------------

def test_the_authority_is_told_of_the_request(run):
    run.forwarded("grpc", "/told/x?y=1", "X-One: a\r\nx-one: b\r\nUser-Agent: me\r\n", host="shop:80")
    data = run.asked("/told/x?y=1")
    attributes = dig(data, 1)
    http = dig(attributes, 4, 2)
    assert dig(http, 2) == b"GET" and dig(http, 5) == b"shop:80" and dig(http, 6) == b"http" and dig(http, 10) == b"HTTP/1.1"
    told = texts(http, 3)
    assert told["x-one"] == "a,b" and told["user-agent"] == "me" and told["x-forwarded-proto"] == "http"
    assert {name: told[name] for name in (":authority", ":method", ":path", ":scheme")} == {
        ":authority": "shop:80", ":method": "GET", ":path": "/told/x?y=1", ":scheme": "http"}
    assert texts(attributes, 10) == {"a": "1", "b": "2"}
    assert dig(attributes, 1, 1, 1, 2) == b"127.0.0.1" and dig(attributes, 1, 1, 1, 3) > 0
    assert dig(attributes, 2, 1, 1, 3) == run.ports["grpc"]
    assert dig(attributes, 4, 1, 1) > 1_700_000_000 and dig(http, 9, default=0) == 0 and dig(http, 1) != b""


def test_a_refusal_is_what_the_authority_makes_it(run):
    status, fields, body = run.get("grpc", "/denied")
    assert status == 401 and body == b"<b>no</b>" and fields["x-why"] == "no token"
    assert fields["content-type"] == "text/html" and fields["www-authenticate"] == "Basic"
    assert run.get("grpc", "/denied-bare")[0] == 403
    assert run.get("grpc", "/denied", "Content-Type: application/grpc\r\n", "POST", b"\0" * 5)[1]["grpc-status"] == "16"


def test_a_request_that_passes_is_changed(run):
    seen = run.forwarded("grpc", "/change", "x-there: old\r\nx-over: old\r\nx-gone: 1\r\nx-set: old\r\n")
    assert seen["x-set"] == "new" and seen["x-over"] == "new" and seen["x-there"].replace(" ", "") == "old,more"
    assert "x-gone" not in seen and "x-not-there" not in seen
    _, fields, _ = run.get("grpc", "/change")
    assert fields["x-answer"] == "one" and fields["x-origin"] == "two"
    assert run.forwarded("grpc", "/query?a=1&b=2&c=3")[""] in ("GET /query?c=3&a=new HTTP/1.1", "GET /query?a=new&c=3 HTTP/1.1")


def test_nothing_that_would_break_a_head_gets_into_one(run):
    status, _, body = run.get("grpc", "/smuggle")
    assert b"x-evil" not in body.lower().replace(b"x-bad", b"") or status != 200
    if not run.is_envoy:
        assert status == 200 and body.startswith(b"GET /smuggle HTTP/1.1\r\nhost: a\r\n") and b"body: 0" in body


def test_without_a_verdict_nothing_passes(run):
    for path in ("/broken", "/garbage"):
        assert run.get("grpc", path)[0] == 403
    assert run.get("short", "/hang")[0] == 503
    assert run.get("gone")[0] == 403
    assert run.forwarded("lenient", "/broken")["x-envoy-auth-failure-mode-allowed"] == "true"
    assert "x-envoy-auth-failure-mode-allowed" not in run.forwarded("lenient", "/")


def test_routes_may_leave_it_out_and_the_route_may_follow_from_it(run):
    before = len(run.authority.asked)
    run.forwarded("grpc", "/free")
    assert len(run.authority.asked) == before
    assert run.get("grpc", "/elsewhere")[0] == 200
    assert run.get("routed", "/elsewhere")[0] == 202


def test_bodies(run):
    seen = run.forwarded("body", "/b1", method="POST", body=b"0123456789")
    assert seen["body"] == "10"
    data = run.asked("/b1")
    assert dig(data, 1, 4, 2, 11) == b"0123456789" and texts(dig(data, 1, 4, 2), 3)["x-envoy-auth-partial-body"] == "false"
    assert run.get("body", "/b2", method="POST", body=b"0123456789x")[0] == 413
    seen = run.forwarded("part", "/b3", method="POST", body=b"0123456789" * 1000)
    assert seen["body"] == "10000"
    data = run.asked("/b3")
    assert dig(data, 1, 4, 2, 12) == b"0123456789" and texts(dig(data, 1, 4, 2), 3)["x-envoy-auth-partial-body"] == "true"
    assert run.forwarded("body", "/b4")["body"] == "0"


def test_shares(run):
    before = len(run.authority.asked)
    assert run.get("off")[0] == 200 and run.get("shut")[0] == 403
    assert len(run.authority.asked) == before


# --- ext_authz over HTTP -----------------------------------------------------------------------------------------------

def test_a_service_of_http_judges(run):
    seen = run.forwarded("http", "/a?b=1", "Authorization: x\r\nx-told: 1\r\nx-hidden: 1\r\nx-gone: 1\r\nx-group: ops\r\n")
    assert seen["x-asked"] == "GET_/check/a?b=1_HTTP/1.1" and seen["x-user"] == "ann"
    assert seen["x-group"].replace(" ", "") == "ops,dev" and "x-gone" not in seen and "x-other" not in seen
    names = set(seen["x-names"].split(",")) - {"content-length", "transfer-encoding"}
    assert names == {"host", "authorization", "x-told", "x-added"}
    assert run.forwarded("http", "/")["x-group"] == "dev"
    assert run.get("http", "/")[1]["x-client"] == "seen"
    status, fields, body = run.get("http", "/denied")
    assert (status, body, fields["x-shown"], fields["location"]) == (402, b"no way", "1", "/login")
    assert "x-secret" not in fields
    assert run.get("http", "/broken")[0] == 403
    assert run.get("http", "/cut")[0] == 403
    assert run.forwarded("http-body", "/", method="POST", body=b"12345")["x-asked-body"] == "5"


def test_the_numbers_of_ext_authz(run):
    for name in ("ok", "denied", "error", "failure_mode_allowed", "disabled"):
        assert eventually(lambda: run.stat(f"http.test.ext_authz.{name}")) > 0, name
    assert run.stat("http.test.ext_authz.routed.ok") == 1


# --- ratelimit ---------------------------------------------------------------------------------------------------------

def descriptors(data):
    return [[(dig(entry, 1).decode(), dig(entry, 2).decode()) for entry in read(one)[1]] for one in read(data)[2]]


def test_what_a_request_is_counted_under(run):
    status, fields, _ = run.get("limit", "/?q=5", "x-key: fine\r\nx-match: 1\r\n")
    assert status == 200 and fields["x-told"] == "fine"
    data = run.counter.asked[-1]
    assert dig(data, 1) == b"shop"
    assert descriptors(data) == [
        [("key", "fine"), ("remote_address", "127.0.0.1"), ("destination_cluster", "origin")],
        [("key", "fine"), ("generic_key", "all")], [("key", "fine"), ("header_match", "yes")], [("key", "fine"), ("q", "5")]]
    assert run.forwarded("limit", "/", "x-key: fine\r\n")["x-counted"] == "1"
    run.get("limit", "/host", "x-key: a\r\n")
    assert descriptors(run.counter.asked[-1]) == [[("key", "a"), ("generic_key", "host")]]
    run.get("limit", "/both", "x-key: a\r\n")
    assert descriptors(run.counter.asked[-1]) == [[("key", "a")], [("key", "a"), ("generic_key", "host")]]
    run.get("limit", "/own", "x-key: a\r\n")
    assert descriptors(run.counter.asked[-1]) == [[("k", "v")]] and dig(run.counter.asked[-1], 1) == b"other"
    before = len(run.counter.asked)
    assert run.get("limit", "/none", "x-key: over\r\n")[0] == run.get("limit", "/")[0] == 200
    assert len(run.counter.asked) == before


def test_one_too_many(run):
    status, fields, body = run.get("limit", "/", "x-key: over\r\n")
    assert status == 429 and fields["x-envoy-ratelimited"] == "true" and body == b"too many"
    assert fields["x-slow"] == "down" and fields["x-refused"] == "yes"
    assert fields["x-ratelimit-limit"] == '10, 10;w=60;name="ten", 100;w=3600'
    assert fields["x-ratelimit-remaining"] == "0" and fields["x-ratelimit-reset"] == "30"
    assert run.get("limit", "/", "x-key: fine\r\n")[1]["x-ratelimit-remaining"] == "7"
    status, fields, _ = run.get("limit-hard", "/", "x-key: over\r\n")
    assert status == 503 and "x-envoy-ratelimited" not in fields and "x-ratelimit-limit" not in fields
    _, fields, _ = run.get("limit-hard", "/", "x-key: over\r\nContent-Type: application/grpc\r\n", "POST", b"\0" * 5)
    assert fields["grpc-status"] == "8"
    assert run.get("limit-shadow", "/", "x-key: over\r\n")[0] == 200


def test_without_a_count_requests_pass_unless_told_otherwise(run):
    # An answer that says neither yes nor no is none here; Envoy takes it for a yes.
    for key in ("broken",) if run.is_envoy else ("broken", "unknown"):
        assert run.get("limit", "/", f"x-key: {key}\r\n")[0] == 200, key
        assert run.get("limit-hard", "/", f"x-key: {key}\r\n")[0] == 500, key
    assert run.get("limit-hard", "/", "x-key: hang\r\n")[0] == 500
    for name in ("ok", "over_limit", "error", "failure_mode_allowed"):
        assert eventually(lambda: run.stat(f"cluster.origin.ratelimit.{name}")) > 0, name
