"""HTTP filters, each with the same script against weft-proxy and, where there is one, against a real Envoy."""

import contextlib
import re

import pytest

import envoykit
import proxykit
from h2kit import H2Client
from proxykit import ROUTER, Client, Origin, cluster, free_ports, http_filter, listener, route

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
        self.proxy = self.stack.enter_context(program(listeners, [cluster("origin", self.origin.port)]))

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


def mutations(request=(), response=()):
    return {"request_mutations": list(request), "response_mutations": list(response)}


@served("mutation")
def mutation():
    kind = "header_mutation.v3.HeaderMutation"
    own = typed("header_mutation.v3.HeaderMutationPerRoute", mutations=mutations(
        [append("x-level", "route"), {"remove": "x-secret"}], [append("x-answer", "route", "OVERWRITE_IF_EXISTS_OR_ADD")]))
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
