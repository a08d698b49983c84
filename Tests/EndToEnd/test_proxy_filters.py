"""HTTP filters, each with the same script against weft-proxy and, where there is one, against a real Envoy."""

import contextlib
import re
import socket
import time

import pytest

import envoykit
import proxykit
from h2kit import H2Client
from proxykit import ROUTER, Client, Origin, cluster, eventually, free_ports, http_filter, listener, route

FILTERS = "type.googleapis.com/envoy.extensions.filters.http."


def typed(kind, **fields):
    """A message of a filter: `typed("fault.v3.HTTPFault", ...)`."""
    return {"@type": FILTERS + kind, **fields}


def step(name, kind, disabled=False, **fields):
    """An entry of `http_filters`."""
    return {"name": name, "typed_config": typed(kind, **fields), **({"disabled": True} if disabled else {})}


def chain(*steps, routes=None, **more):
    """A connection manager with these filters."""
    router = {"name": "router", "typed_config": {"@type": ROUTER}}
    return http_filter(routes or [route()], http_filters=[*steps, router], **more)


def told(peer):
    """Answers with the head and the length of the body that it got, in lines."""
    while True:
        head, body = peer.request()
        peer.answer(head + b"body: %d" % len(body), fields=b"x-origin: yes\r\n")


class Run:
    """One program with every listener of this file."""

    def __init__(self, kind):
        self.stack = contextlib.ExitStack()
        self.origin = self.stack.enter_context(Origin(told))
        self.ports = free_ports(LISTENERS)
        listeners = [listener(self.ports[name], make(), name=name) for name, make in LISTENERS.items()]
        program = envoykit.Envoy if kind == "envoy" else proxykit.Proxy
        self.is_envoy = kind == "envoy"
        self.proxy = self.stack.enter_context(program(listeners, [cluster("origin", self.origin.port), cluster("empty")]))

    def get(self, name, path="/", fields="", method="GET", host="a", body=b""):
        """(status, fields, body) of a request on a connection of its own."""
        with Client(self.ports[name]) as client:
            head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}"
            if body:
                head += f"Content-Length: {len(body)}\r\n"
            return client.send(head.encode() + b"\r\n" + body).response()

    def stat(self, name):
        """A counter under Envoy's name."""
        found = re.findall(rf"^{re.escape(name)}: (\d+)$", self.proxy.admin("/stats"), re.M)
        return sum(int(value) for value in found)


@pytest.fixture(scope="module", params=["weft-proxy", "envoy"])
def run(request):
    made = Run(request.param)
    with made.stack:
        yield made


LISTENERS = {}


def served(name):
    """Registers the maker of a listener's chain."""
    def register(make):
        LISTENERS[name] = make
        return make
    return register


# --- header_mutation --------------------------------------------------------------------------------------------------

def append(name, value, action="APPEND_IF_EXISTS_OR_ADD"):
    return {"append": {"header": {"key": name, "value": value}, "append_action": action}}


def without(prefix):
    return {"remove_on_match": {"key_matcher": {"prefix": prefix}}}


def mutations(request=(), response=()):
    return {"request_mutations": list(request), "response_mutations": list(response)}


@served("mutation")
def mutation():
    kind = "header_mutation.v3.HeaderMutation"
    own = typed("header_mutation.v3.HeaderMutationPerRoute", mutations=mutations(
        [append("x-level", "route"), {"remove": "x-secret"}], [append("x-answer", "route", "OVERWRITE_IF_EXISTS_OR_ADD")]))
    gone = typed("header_mutation.v3.HeaderMutationPerRoute", mutations=mutations(
        [append("x-own-late", "1"), without("x-own-"), append("x-own-after", "1")], [without("x-or")]))
    off = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
    on = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": typed("header_mutation.v3.HeaderMutationPerRoute")}
    return chain(
        step("first", kind, mutations=mutations(
            [append("x-level", "chain"), append("x-there", "no", "ADD_IF_ABSENT"), append("x-gone", "new", "OVERWRITE_IF_EXISTS")],
            [append("x-answer", "chain"), append("x-from", "%REQ(x-id)%"), {"remove": "x-origin"}])),
        step("second", kind, mutations=mutations([append("x-seen", "%REQ(x-level)%")], [append("x-order", "second")])),
        step("sleeping", kind, disabled=True, mutations=mutations([append("x-awake", "yes")])),
        routes=[
            route(prefix="/own", typed_per_filter_config={"first": own}),
            route(prefix="/off", typed_per_filter_config={"first": off}),
            route(prefix="/matching", typed_per_filter_config={"first": gone}),
            route(prefix="/on", typed_per_filter_config={"sleeping": on}),
            {"match": {"prefix": "/direct"}, "direct_response": {"status": 418, "body": {"inline_string": "tea"}}},
            route({"weighted_clusters": {"clusters": [
                {"name": "origin", "weight": 1, "typed_per_filter_config": {"second": off}}]}}, prefix="/weighted"),
            route(prefix="/in"),
        ],
        virtual_hosts=None)


def lines(body):
    """The head that the origin got, as a dictionary."""
    fields = {}
    for line in body.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        fields[name.lower()] = fields[name.lower()] + "," + value if name.lower() in fields else value
    return fields


def test_headers_change_on_the_way_there_and_back(run):
    status, fields, body = run.get("mutation", "/in", "x-id: 7\r\nx-there: yes\r\n")
    got = lines(body)
    assert status == 200 and "x-origin" not in fields
    assert (got["x-level"], got["x-there"], "x-gone" in got) == ("chain", "yes", False)
    assert got["x-seen"] == "chain" and "x-awake" not in got
    assert (fields["x-answer"], fields["x-order"], fields["x-from"]) == ("chain", "second", "7")


def test_headers_go_by_patterns_of_their_names(run):
    _, fields, body = run.get("mutation", "/matching", "X-Own-A: 1\r\nx-own-b: 2\r\nx-ownership: 3\r\n")
    got = lines(body)
    assert [name for name in got if name.startswith("x-own")] == ["x-ownership", "x-own-after"] and got["x-level"] == "chain"
    assert fields["x-answer"] == "chain" and not any(name.startswith("x-or") and name != "x-order" for name in fields)


def test_routes_have_their_own_changes_and_leave_filters_out_and_in(run):
    _, fields, body = run.get("mutation", "/own", "x-secret: a\r\nx-gone: old\r\n")
    got = lines(body)
    assert got["x-level"] == "chain,route" and "x-secret" not in got and got["x-gone"] == "new"
    assert fields["x-answer"] == "route"
    _, fields, body = run.get("mutation", "/off")
    assert "x-level" not in lines(body) and "x-answer" not in fields and fields["x-order"] == "second"
    assert lines(run.get("mutation", "/on")[2])["x-awake"] == "yes"
    _, fields, body = run.get("mutation", "/weighted")
    assert "x-seen" not in lines(body) and lines(body)["x-level"] == "chain" and "x-order" not in fields


def test_answers_of_the_proxy_pass_through_the_filters_too(run):
    status, fields, body = run.get("mutation", "/direct")
    assert (status, body, fields["x-answer"], fields["x-order"]) == (418, b"tea", "chain", "second")
    status, fields, _ = run.get("mutation", "/nowhere")
    assert (status, fields["x-answer"]) == (404, "chain")


def test_streams_of_http2_pass_through_the_same_filters(run):
    with H2Client(run.ports["mutation"]) as client:
        stream = client.get("/own", fields=[("x-secret", "a")])
        fields = stream.fields
        got = lines(stream.body)
        assert stream.status == 200 and fields["x-answer"] == "route" and got["x-level"] == "chain,route"


# --- fault ------------------------------------------------------------------------------------------------------------

def always(number=100):
    return {"numerator": number, "denominator": "HUNDRED"}


@served("fault")
def fault():
    kind = "fault.v3.HTTPFault"
    asked = {"delay": {"header_delay": {}, "percentage": always()}, "abort": {"header_abort": {}, "percentage": always()}}

    def own(prefix, **fields):
        return route(prefix=prefix, typed_per_filter_config={"fault": typed(kind, **fields)})
    return chain(step("fault", kind, **asked), routes=[
        own("/fixed", delay={"fixed_delay": "0.2s", "percentage": always()}, abort={"http_status": 418, "percentage": always()}),
        own("/call", abort={"grpc_status": 7, "percentage": always()}),
        own("/never", abort={"http_status": 500, "percentage": always(0)}, delay={"fixed_delay": "60s"}),
        own("/full", abort={"http_status": 500, "percentage": always()}, max_active_faults=0),
        own("/headers", abort={"http_status": 500, "percentage": always()}, headers=[{"name": "x-break", "string_match": {"exact": "1"}}]),
        own("/other", abort={"http_status": 500, "percentage": always()}, upstream_cluster="elsewhere"),
        own("/tardy", response_rate_limit={"fixed_limit": {"limit_kbps": 100}, "percentage": always()}),
        own("/asked", response_rate_limit={"header_limit": {}, "percentage": always()}),
        own("/this", abort={"http_status": 503, "percentage": always()}, upstream_cluster="origin"),
        route(),
    ], stat_prefix="fault")


def test_requests_fail_as_the_rules_say(run):
    assert run.get("fault", "/this")[0] == 503
    status, fields, body = run.get("fault", "/call")
    assert (status, body) == (200, b"fault filter abort")
    status, fields, _ = run.get("fault", "/call", "content-type: application/grpc\r\n", "POST", body=b"12345")
    assert (status, fields["grpc-status"], fields["grpc-message"]) == (200, "7", "fault filter abort")
    assert run.get("fault", "/headers", "x-break: 1\r\n")[0] == 500
    for path in ("/never", "/full", "/headers", "/other", "/"):
        assert run.get("fault", path)[0] == 200, path
    assert run.stat("http.fault.fault.aborts_injected") == 4 and run.stat("http.fault.fault.faults_overflow") == 1
    assert run.stat("http.fault.fault.active_faults") == 0


def test_requests_wait_as_the_rules_say_and_keep_their_bodies(run):
    before = run.stat("http.fault.fault.delays_injected")
    began = time.monotonic()
    status, _, body = run.get("fault", "/fixed")
    assert (status, body) == (418, b"fault filter abort") and time.monotonic() - began >= 0.1
    wait = "x-envoy-fault-delay-request: 100\r\n"
    status, _, body = run.get("fault", "/", wait, "POST", body=b"x" * 100_000)
    assert status == 200 and body.endswith(b"body: 100000")
    assert run.get("fault", "/", wait + "x-envoy-fault-delay-request-percentage: 0\r\nx-envoy-fault-abort-request: 429\r\n")[0] == 429
    assert run.stat("http.fault.fault.delays_injected") == before + 2
    with Client(run.ports["fault"]) as client:
        # In chunks, of which some come while the request waits, and a second request behind it.
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{wait}Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
        client.send("3\r\n678\r\n0\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response()[2].endswith(b"body: 8")
        assert client.response()[2].startswith(b"GET /second")


def test_streams_wait_and_keep_their_bodies(run):
    with H2Client(run.ports["fault"]) as client:
        fields = [("x-envoy-fault-delay-request", "100")]
        first = client.request("/", "POST", b"a" * 30_000, fields)
        second = client.request("/", "POST", None, fields, ends=False)
        client.data(second, b"b" * 10)
        client.data(second, b"c" * 10, ends=True)
        third = client.request("/", fields=fields)
        answers = [client.answer(stream) for stream in (first, second, third)]
        assert [answer.status for answer in answers] == [200] * 3
        assert [answer.body.split(b"body: ")[1] for answer in answers] == [b"30000", b"20", b"0"]


def test_answers_come_as_slowly_as_the_rules_say(run):
    before = run.stat("http.fault.fault.response_rl_injected")
    # The origin tells what it got: the answer is as long as the request.
    fill = "x-fill: " + "a" * 40_000 + "\r\n"
    for path, fields in (("/tardy", ""), ("/asked", "x-envoy-fault-throughput-response: 100\r\n")):
        began = time.monotonic()
        status, _, body = run.get("fault", path, fill + fields)
        assert status == 200 and len(body) > 40_000 and time.monotonic() - began >= 0.2
    with H2Client(run.ports["fault"]) as client:
        began = time.monotonic()
        stream = client.get("/tardy", fields=[("x-fill", "a" * 40_000)])
        assert len(stream.body) > 40_000 and time.monotonic() - began >= 0.2
    assert run.get("fault", "/asked")[0] == 200
    share = "x-envoy-fault-throughput-response: 1\r\nx-envoy-fault-throughput-response-percentage: 0\r\n"
    assert len(run.get("fault", "/asked", fill + share)[2]) > 40_000
    assert run.stat("http.fault.fault.response_rl_injected") == before + 3
    assert run.stat("http.fault.fault.active_faults") == 0


def test_a_client_that_leaves_while_its_request_waits_is_forgotten(run):
    before = run.stat("http.fault.fault.active_faults")
    client = Client(run.ports["fault"])
    client.send("GET /gone HTTP/1.1\r\nHost: a\r\nx-envoy-fault-delay-request: 60000\r\n\r\n")
    assert eventually(lambda: run.stat("http.fault.fault.active_faults") == before + 1)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.socket.close()
    assert eventually(lambda: run.stat("http.fault.fault.active_faults") == before)
    with H2Client(run.ports["fault"]) as streams:
        streams.request("/gone", fields=[("x-envoy-fault-delay-request", "60000")])
        assert eventually(lambda: run.stat("http.fault.fault.active_faults") == before + 1)
    assert eventually(lambda: run.stat("http.fault.fault.active_faults") == before)
    assert b"/gone" not in run.origin.bytes


# --- buffer -----------------------------------------------------------------------------------------------------------

@served("buffer")
def buffer():
    per_route = "buffer.v3.BufferPerRoute"
    return chain(step("buffer", "buffer.v3.Buffer", max_request_bytes=1000), routes=[
        route(prefix="/large", typed_per_filter_config={"buffer": typed(per_route, buffer={"max_request_bytes": 1_000_000})}),
        route(prefix="/off", typed_per_filter_config={"buffer": typed(per_route, disabled=True)}),
        route()])


def test_a_body_is_whole_before_the_endpoint_hears_of_it(run):
    with Client(run.ports["buffer"]) as client:
        client.send("POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
        assert run.get("buffer", "/meanwhile")[0] == 200 and b"/slow" not in run.origin.bytes
        client.send("3\r\n678\r\n0\r\n\r\n")
        got = lines(client.response()[2])
        assert got["content-length"] == "8" and "transfer-encoding" not in got
    assert run.get("buffer", "/large", method="POST", body=b"x" * 700_000)[2].endswith(b"body: 700000")
    assert run.get("buffer", "/off", method="POST", body=b"x" * 5000)[2].endswith(b"body: 5000")
    assert run.get("buffer", "/", method="POST", body=b"x" * 1000)[2].endswith(b"body: 1000")


def test_a_body_that_is_too_large_is_refused(run):
    status, _, body = run.get("buffer", "/", method="POST", body=b"x" * 1001)
    assert (status, body) == (413, b"Payload Too Large")
    with Client(run.ports["buffer"]) as client:
        client.send("POST /toolarge HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"800\r\n" + b"x" * 0x800 + b"\r\n")
        assert client.response()[0] == 413
    with H2Client(run.ports["buffer"]) as client:
        assert client.answer(client.request("/large", "POST", b"a" * 60_000)).body.endswith(b"body: 60000")
        long = client.request("/", "POST", b"a" * 2000, ends=False)
        assert client.answer(long).status == 413
        assert client.answer(client.request("/", "POST", b"a" * 20)).body.endswith(b"body: 20")
    assert b"/toolarge" not in run.origin.bytes


# --- cors -------------------------------------------------------------------------------------------------------------

@served("cors")
def cors():
    def policy(**fields):
        return {"cors": typed("cors.v3.CorsPolicy", **fields)}
    site = {"allow_origin_string_match": [{"exact": "https://good.example"}, {"safe_regex": {"regex": "https://[a-z]+\\.house"}}]}
    hosts = [{"name": "all", "domains": ["*"], "typed_per_filter_config": policy(
        **site, allow_methods="GET, PUT", allow_headers="x-a", expose_headers="x-b", max_age="100", allow_credentials=True,
        allow_private_network_access=True), "routes": [
            route(prefix="/own", typed_per_filter_config=policy(allow_origin_string_match=[{"prefix": "http://own"}], allow_methods="POST")),
            route(prefix="/strict", typed_per_filter_config=policy(**site, forward_not_matching_preflights=False)),
            route(prefix="/shadow", typed_per_filter_config=policy(
                **site, filter_enabled={"default_value": always(0)}, shadow_enabled={"default_value": always()})),
            route(prefix="/any", typed_per_filter_config=policy(allow_origin_string_match=[{"exact": "*"}])),
            route()]}]
    return chain(step("cors", "cors.v3.Cors"), virtual_hosts=hosts, stat_prefix="cors")


def allowed(fields):
    return {name.removeprefix("access-control-"): value for name, value in fields.items() if name.startswith("access-control-")}


def test_pages_of_other_sites(run):
    good, ask = "Origin: https://good.example\r\n", "Access-Control-Request-Method: GET\r\n"
    named = {"allow-origin": "https://good.example", "allow-credentials": "true", "expose-headers": "x-b"}
    status, fields, body = run.get("cors", "/", good)
    assert status == 200 and body.startswith(b"GET") and allowed(fields) == named
    status, fields, body = run.get("cors", "/", good + ask, "OPTIONS")
    assert (status, body) == (200, b"")
    assert allowed(fields) == {**named, "allow-methods": "GET, PUT", "allow-headers": "x-a", "max-age": "100"}
    fields = run.get("cors", "/", good + ask + "Access-Control-Request-Private-Network: true\r\n", "OPTIONS")[1]
    assert allowed(fields)["allow-private-network"] == "true"
    assert allowed(run.get("cors", "/", "Origin: https://any.house\r\n")[1])["allow-origin"] == "https://any.house"
    # Without a question about a method it is a request like others, and so is one without an origin.
    assert run.get("cors", "/", good, "OPTIONS")[2].startswith(b"OPTIONS") and not allowed(run.get("cors", "/")[1])
    for fields in ("Origin: https://bad.example\r\n", "Origin: https://any.house.bad\r\n"):
        status, got, body = run.get("cors", "/", fields + ask, "OPTIONS")
        assert body.startswith(b"OPTIONS") and not allowed(got)
    status, fields, body = run.get("cors", "/strict", "Origin: https://bad.example\r\n" + ask, "OPTIONS")
    assert (status, body, "allow-origin" in allowed(fields)) == (200, b"", False)
    fields = run.get("cors", "/own", "Origin: http://own.example\r\n" + ask, "OPTIONS")[1]
    assert (allowed(fields)["allow-methods"], allowed(fields)["max-age"]) == ("POST", "100")
    assert not allowed(run.get("cors", "/shadow", good)[1])
    assert allowed(run.get("cors", "/any", "Origin: x\r\n")[1])["allow-origin"] == "x"
    assert (run.stat("http.cors.cors.origin_valid"), run.stat("http.cors.cors.origin_invalid")) == (8, 3)


# --- health_check -----------------------------------------------------------------------------------------------------

@served("health")
def health():
    kind = "health_check.v3.HealthCheck"

    def at(path):
        return [{"name": ":path", "string_match": {"exact": path}}]
    return chain(
        step("plain", kind, pass_through_mode=False, headers=at("/plain")),
        step("well", kind, pass_through_mode=False, headers=at("/well"), cluster_min_healthy_percentages={"origin": {"value": 100}}),
        step("empty", kind, pass_through_mode=False, headers=at("/empty"), cluster_min_healthy_percentages={"empty": {"value": 1}}),
        step("none", kind, pass_through_mode=False, headers=at("/none"), cluster_min_healthy_percentages={"nowhere": {"value": 1}}),
        step("through", kind, pass_through_mode=True, cache_time="600s", headers=at("/through")))


def test_questions_about_health(run):
    statuses = {path: run.get("health", path)[0] for path in ("/plain", "/well", "/empty", "/none")}
    assert statuses == {"/plain": 200, "/well": 200, "/empty": 503, "/none": 503}
    status, fields, body = run.get("health", "/plain")
    assert (status, body, fields["x-envoy-upstream-healthchecked-cluster"]) == (200, b"", "test")
    assert run.get("health", "/through")[2].startswith(b"GET")
    assert run.get("health", "/through")[2] == b"", "the answer is remembered"
    assert "x-envoy-immediate-health-check-fail" not in run.get("health", "/else")[1]
    run.proxy.post("/healthcheck/fail")
    try:
        assert run.get("health", "/plain")[0] == 503 and run.get("health", "/through")[0] == 503
        assert run.get("health", "/else")[1]["x-envoy-immediate-health-check-fail"] == "true"
    finally:
        run.proxy.post("/healthcheck/ok")
    assert run.get("health", "/plain")[0] == 200


# --- rbac -------------------------------------------------------------------------------------------------------------

def policy(permissions, principals=({"any": True},)):
    return {"permissions": list(permissions), "principals": list(principals)}


@served("rbac")
def rbac():
    def own(prefix, action, rule, who=({"any": True},), shadow=False):
        rules = {"action": action, "policies": {"the rule": policy([rule], who)}}
        config = {"shadow_rules" if shadow else "rules": rules}
        return route(prefix=prefix, typed_per_filter_config={"rbac": typed("rbac.v3.RBACPerRoute", rbac=config)})

    def path(text):
        return {"url_path": {"path": {"prefix": text}}}

    def header(name, value):
        return {"header": {"name": name, "string_match": {"exact": value}}}
    near, far = {"address_prefix": "127.0.0.0", "prefix_len": 8}, {"address_prefix": "10.0.0.0", "prefix_len": 8}
    return chain(
        step("rbac", "rbac.v3.RBAC", rules={"action": "DENY", "policies": {"secret": policy([path("/secret")])}}),
        step("more", "rbac.v3.RBAC", rules_stat_prefix="more", rules={"policies": {
            "b": policy([{"not_rule": header("x-bad", "1")}])}}, shadow_rules={"policies": {"none": policy([path("/nothing")])}}),
        routes=[
            own("/header", "ALLOW", {"and_rules": {"rules": [header("x-a", "1"), {"or_rules": {"rules": [
                header(":method", "GET"), header("x-b", "2")]}}]}}),
            own("/near", "ALLOW", {"any": True}, [{"and_ids": {"ids": [
                {"direct_remote_ip": near}, {"remote_ip": near}, {"not_id": {"source_ip": far}}]}}]),
            own("/far", "ALLOW", {"any": True}, [{"or_ids": {"ids": [{"direct_remote_ip": far}, {"remote_ip": far}]}}]),
            own("/known", "ALLOW", {"any": True}, [{"authenticated": {}}]),
            own("/here", "ALLOW", {"destination_ip": near}),
            own("/port", "ALLOW", {"destination_port_range": {"start": 1, "end": 80}}),
            own("/log", "LOG", header("x-a", "1")),
            own("/shadow", "DENY", {"any": True}, shadow=True),
            route(prefix="/open", typed_per_filter_config={"rbac": typed("rbac.v3.RBACPerRoute")}),
            route()],
        stat_prefix="access")


def test_who_may_do_what(run):
    status, fields, body = run.get("rbac", "/secret/thing")
    assert (status, body) == (403, b"RBAC: access denied")
    if not run.is_envoy:
        assert fields["x-weft-reason"] == "rbac_access_denied_matched_policy[secret]"
    statuses = {path: run.get("rbac", path)[0] for path in (
        "/", "/near", "/far", "/known", "/here", "/port", "/log", "/shadow", "/open", "/header")}
    assert statuses == {"/": 200, "/near": 200, "/far": 403, "/known": 403, "/here": 200, "/port": 403, "/log": 200,
                        "/shadow": 200, "/open": 200, "/header": 403}
    assert run.get("rbac", "/header", "x-a: 1\r\n")[0] == 200
    assert run.get("rbac", "/header", "x-a: 1\r\n", "DELETE")[0] == 403
    assert run.get("rbac", "/header", "x-a: 1\r\nx-b: 2\r\n", "DELETE")[0] == 200
    assert run.get("rbac", "/", "x-bad: 1\r\n")[0] == 403
    assert run.get("rbac", "/near", "x-forwarded-for: 10.0.0.1\r\n")[0] == 403
    names = ["rbac.allowed", "rbac.denied", "rbac.shadow_denied", "rbac.more.allowed", "rbac.more.denied", "rbac.shadow_allowed"]
    values = [run.stat(f"http.access.{name}") for name in names]
    assert values[1] == 7 and values[4] == 1 and values[5] == 0, dict(zip(names, values))


def test_a_path_is_judged_in_its_normal_form(run):
    if run.is_envoy:
        pytest.skip("a real one normalises only where it is told to")
    for path in ("/%73ecret", "/a/../secret", "//secret", "/./secret/", "/secret?x"):
        assert run.get("rbac", path)[0] == 403, path


# --- fallback: not Envoy's --------------------------------------------------------------------------------------------

def fallback(**fields):
    return {"name": "fallback", "typed_config": {"@type": "type.googleapis.com/weft.filters.http.fallback.v3.Fallback", **fields}}


def test_a_cluster_that_fails_has_a_stand_in():
    def flaky(peer):
        while True:
            head, body = peer.request()
            wanted = re.search(rb"/(\d+)", head)
            peer.answer(b"first", status=f"{int(wanted[1]) if wanted else 200} X")
    fixed = {"status": 203, "body": "sorry", "content_type": "text/x-sorry", "headers": [{"key": "x-from", "value": "fallback"}]}
    everything = {"circuit_open": True, "retries_exhausted": True, "no_healthy_endpoint": True, "connect_failure": True,
                  "timeout": True, "statuses": [500, 418]}
    with Origin(flaky) as origin, Origin(told) as other:
        ports = free_ports(["fixed", "other", "both"])
        dead = free_ports(["dead"])["dead"]
        routes = [route("empty", "/empty"), route("dead", "/dead"), route("closed", "/closed"),
                  route({"cluster": "origin", "retry_policy": {"retry_on": "5xx", "num_retries": 1, "retry_back_off": {
                      "base_interval": "0.001s"}}}, "/retry"), route()]
        chains = {"fixed": fallback(on=everything, response=fixed), "other": fallback(on=everything, cluster="other"),
                  "both": fallback(on=everything, cluster="empty", response=fixed)}
        none = {"circuit_breakers": {"thresholds": [{"max_requests": 0}]}}
        log = {"name": "log", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
               "log_format": {"text_format_source": {"inline_string": "flags=%RESPONSE_FLAGS% %RESPONSE_CODE%\n"}}}}
        with proxykit.Proxy(
                [listener(ports[name], chain(made, routes=routes, stat_prefix=name, access_log=[log]), name=name)
                 for name, made in chains.items()],
                [cluster("origin", origin.port), cluster("other", other.port), cluster("empty"), cluster("dead", dead),
                 cluster("closed", origin.port, **none)]) as proxy:
            for path in ("/empty", "/dead", "/closed", "/500", "/418"):
                status, fields, body = proxykit.get(ports["fixed"], path)
                assert (status, body, fields["x-from"], fields["content-type"]) == (203, b"sorry", "fallback", "text/x-sorry"), path
                assert fields["x-weft-reason"] == "fallback_response"
                status, _, body = proxykit.get(ports["other"], path)
                assert status == 200 and body.startswith(b"GET " + path.encode()), path
                assert proxykit.get(ports["both"], path)[2] == b"sorry", path
            # What is not named goes on as it came, and so do bodies.
            assert proxykit.get(ports["fixed"], "/404")[0] == 404 and proxykit.get(ports["other"], "/200")[2] == b"first"
            with Client(ports["other"]) as client:
                client.send(b"POST /500 HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
                assert client.response()[2].endswith(b"body: 5000")
            with H2Client(ports["fixed"]) as client:
                assert client.get("/500").body == b"sorry"
            assert eventually(lambda: "flags=UO,FB 203" in proxy.text() and "flags=FB 200" in proxy.text()), proxy.text()
            stats = proxy.admin("/stats?filter=fallback")
            assert "http.fixed.fallback.response_served: 6" in stats and "http.other.fallback.cluster_tried: 6" in stats
            assert "http.both.fallback.cluster_failed: 4" in stats and "http.both.fallback.response_served: 5" in stats


# --- local_ratelimit --------------------------------------------------------------------------------------------------

@served("limit")
def local_limit():
    kind = "local_ratelimit.v3.LocalRateLimit"

    def bucket(most):
        return {"max_tokens": most, "tokens_per_fill": 1, "fill_interval": "3600s"}
    on = {"default_value": always()}

    def own(prefix, most, actions=(), **fields):
        config = typed(kind, **{"stat_prefix": prefix[1:], "token_bucket": bucket(most), "filter_enabled": on, "filter_enforced": on, **fields})
        action = {"cluster": "origin", "timeout": "5s"}
        if actions:
            action["rate_limits"] = [{"actions": list(actions)}]
        return route(action, prefix, typed_per_filter_config={"limit": config})

    def entries(**pairs):
        return {"entries": [{"key": key, "value": value} for key, value in pairs.items()], "token_bucket": bucket(1)}
    counted = [{"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}]
    shaped = [{"generic_key": {"descriptor_value": "all"}}, {"destination_cluster": {}}, {"source_cluster": {}}, {"remote_address": {}},
              {"masked_remote_address": {"v4_prefix_mask_len": 8}},
              {"header_value_match": {"descriptor_value": "get", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}},
              {"query_parameters": {"query_parameter_name": "q", "descriptor_key": "query"}}]
    return chain(step("limit", kind, stat_prefix="chain"), routes=[
        own("/two", 2, response_headers_to_add=[{"header": {"key": "x-limited", "value": "yes"}}], enable_x_ratelimit_headers="DRAFT_VERSION_03"),
        own("/seen", 1, filter_enforced={"default_value": always(0)},
            request_headers_to_add_when_not_enforced=[{"header": {"key": "x-limited", "value": "seen"}}]),
        own("/off", 1, filter_enabled={"default_value": always(0)}),
        own("/status", 1, status={"code": "ServiceUnavailable"}, rate_limited_as_resource_exhausted=True),
        own("/users", 100, counted, descriptors=[entries(user="one"), entries(user="two")]),
        own("/shape", 100, shaped, descriptors=[entries(
            generic_key="all", destination_cluster="origin", source_cluster="test", remote_address="127.0.0.1",
            masked_remote_address="127.0.0.0/8", header_match="get", query="5")]),
        route()], stat_prefix="limit")


def test_so_many_requests_pass_in_a_time(run):
    answers = [run.get("limit", "/two") for _ in range(4)]
    assert [answer[0] for answer in answers] == [200, 200, 429, 429]
    _, fields, body = answers[3]
    assert (body, fields["x-limited"], "x-limited" in answers[0][1]) == (b"local_rate_limited", "yes", False)
    assert [(answer[1]["x-ratelimit-limit"], answer[1]["x-ratelimit-remaining"]) for answer in answers] == [
        ("2", "1"), ("2", "0"), ("2", "0"), ("2", "0")]
    assert [run.stat(f"two.http_local_rate_limit.{name}") for name in ("enabled", "ok", "rate_limited", "enforced")] == [4, 2, 2, 2]
    seen = [lines(run.get("limit", "/seen")[2]).get("x-limited") for _ in range(2)]
    assert seen == [None, "seen"] and run.stat("seen.http_local_rate_limit.enforced") == 0
    assert [run.get("limit", path)[0] for path in ("/off", "/off", "/none", "/none")] == [200] * 4
    call = "content-type: application/grpc\r\n"
    assert run.get("limit", "/status")[0] == 200 and run.get("limit", "/status")[0] == 503
    status, fields, _ = run.get("limit", "/status", call, "POST", body=b"12345")
    assert (status, fields["grpc-status"]) == (200, "8")


def test_requests_are_counted_under_what_they_say(run):
    def user(name):
        return run.get("limit", "/users", f"x-user: {name}\r\n" if name else "")[0]
    assert [user(name) for name in ("one", "one", "two", "two", "three", "three", "")] == [200, 429, 200, 429, 200, 200, 200]
    assert [run.get("limit", path)[0] for path in ("/shape?q=5", "/shape?q=5", "/shape?q=6", "/shape")] == [200, 429, 200, 200]
