"""Hedging: a second try beside a slow first one. The same script against weft-proxy and, where there is one, a real Envoy."""

import contextlib
import re
import socket
import threading
import uuid

import pytest

import envoykit
import proxykit
from h2kit import H2Client
from h2origin import H2Origin
from proxykit import DEADLINE, Client, Origin, cluster, eventually, free_ports, http_filter, listener, route

HTTP2 = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {}}}}}


class Script:
    """What the tries of one request do: by the number that the proxy gives each of them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.events = {}
        self.bodies = {}

    def event(self, key, number, what):
        with self.lock:
            return self.events.setdefault((key, number, what), threading.Event())

    def __call__(self, peer):
        while True:
            head, body = peer.request()
            fields = dict(re.findall(rb"\r\n([^:]+): ([^\r]*)", head))
            key, number = fields[b"x-key"], int(fields[b"x-envoy-attempt-count"])
            act = fields[b"x-acts"].decode().split(",")[number - 1]
            self.bodies.setdefault(key, []).append(body)
            self.event(key, number, "came").set()
            act, _, awaited = act.partition("@")
            if awaited:
                # "ok@2came": once the second try is here; "ok@2ended": once the proxy has closed it.
                assert self.event(key, int(awaited[0]), awaited[1:]).wait(DEADLINE)
            if act == "hang":
                with contextlib.suppress(OSError, EOFError):
                    while True:
                        peer.more()
                self.event(key, number, "ended").set()
                raise EOFError
            if act == "drop":
                peer.reset()
                raise EOFError
            fields = b"" if act == "ok" else b"connection: close\r\n"
            peer.answer(b"%d" % number, status="200 OK" if act == "ok" else f"{act} Status", fields=fields)
            if act != "ok":
                with contextlib.suppress(OSError, EOFError):
                    peer.more()
                self.event(key, number, "ended").set()
                raise EOFError


def hedged(**policy):
    retry = {"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.15s",
             "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"}, **policy}
    return {"cluster": "origin", "timeout": "15s", "retry_policy": retry, "hedge_policy": {"hedge_on_per_try_timeout": True}}


class Run:
    def __init__(self, kind):
        self.stack = contextlib.ExitStack()
        self.script = Script()
        self.origin = self.stack.enter_context(Origin(self.script))
        self.ports = free_ports(["plain"])
        self.streams = self.stack.enter_context(H2Origin(whole=self.whole))
        other = {**hedged(), "cluster": "other"}
        host = {"name": "all", "domains": ["*"], "include_request_attempt_count": True,
                "hedge_policy": {"hedge_on_per_try_timeout": True}, "routes": [
                    route({**hedged(), "hedge_policy": {"hedge_on_per_try_timeout": False}}, prefix="/off"),
                    route({key: value for key, value in hedged().items() if key != "hedge_policy"}, prefix="/host"),
                    route(hedged(num_retries=2), prefix="/two"),
                    route(hedged(num_retries=0), prefix="/none"),
                    route({**hedged(per_try_timeout="0.02s"), "timeout": "0.9s"}, prefix="/short"),
                    route(other, prefix="/budget"),
                    route({**hedged(), "cluster": "streams"}, prefix="/streams"),
                    route(hedged(), prefix="/")]}
        few = {"circuit_breakers": {"thresholds": [{"max_retries": 0}]}}
        program = envoykit.Envoy if kind == "envoy" else proxykit.Proxy
        self.proxy = self.stack.enter_context(program(
            [listener(self.ports["plain"], http_filter([], virtual_hosts=[host]), name="plain")],
            [cluster("origin", self.origin.port), cluster("other", self.origin.port, **few),
             cluster("streams", self.streams.port, **HTTP2)]))

    def whole(self, request):
        """The endpoint of HTTP/2: a path ends with the number of the try that is answered, once both are there."""
        tries = [one for one in self.streams.requests if one.fields["x-key"] == request.fields["x-key"]]
        for one in tries if len(tries) == 2 else []:
            if one.path.endswith(one.fields["x-envoy-attempt-count"]):
                one.answer(one.body + one.fields["x-envoy-attempt-count"].encode())

    def ask(self, acts, path="/", body=b"", client=None):
        key = uuid.uuid4().hex.encode()
        method = "POST" if body else "GET"
        with Client(self.ports["plain"]) as client:
            client.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\nx-key: {key.decode()}\r\nx-acts: {acts}\r\n".encode()
                        + (b"Content-Length: %d\r\n" % len(body) if body else b"") + b"\r\n" + body)
            status, fields, answer = client.response()
        return status, answer, key

    def stat(self, name, of="origin"):
        return int(re.search(rf"^cluster\.{of}\.{name}: (\d+)$", self.proxy.admin("/stats"), re.M).group(1))

    def numbers(self):
        return {name: self.stat(name) for name in (
            "upstream_rq_total", "upstream_rq_retry", "upstream_rq_retry_success", "upstream_rq_retry_limit_exceeded",
            "upstream_rq_per_try_timeout", "upstream_rq_timeout", "upstream_rq_tx_reset")}

    def changes(self, before):
        return {name: value - before[name] for name, value in self.numbers().items() if value != before[name]}


@pytest.fixture(scope="module", params=["weft-proxy", "envoy"])
def run(request):
    made = Run(request.param)
    with made.stack:
        yield made


def test_the_second_try_wins_and_the_first_is_reset(run):
    before = run.numbers()
    status, answer, key = run.ask("hang,ok")
    assert (status, answer) == (200, b"2")
    assert run.script.event(key, 1, "ended").wait(DEADLINE)
    assert run.changes(before) == {
        "upstream_rq_total": 2, "upstream_rq_retry": 1, "upstream_rq_retry_success": 1}


def test_the_first_try_may_still_win(run):
    before = run.numbers()
    status, answer, key = run.ask("ok@2came,hang")
    assert (status, answer) == (200, b"1")
    assert run.script.event(key, 2, "ended").wait(DEADLINE)
    assert run.changes(before) == {"upstream_rq_total": 2, "upstream_rq_retry": 1}


def test_a_bad_answer_of_one_try_is_left_for_the_other(run):
    # The first one's, which was tried again already; and the last one's, which cannot be.
    assert run.ask("503@2came,ok@1ended")[:2] == (200, b"2")
    assert run.ask("ok@2ended,503")[:2] == (200, b"1")
    assert run.ask("ok@2came,drop@1came")[:2] == (200, b"1")


def test_the_last_bad_answer_is_the_clients(run):
    status, answer, key = run.ask("503@2ended,503")
    assert (status, answer) == (503, b"1")


def test_a_body_goes_to_both(run):
    body = b"x" * 5000
    status, answer, key = run.ask("hang,ok", body=body)
    assert (status, answer, [one == body for one in run.script.bodies[key]]) == (200, b"2", [True, True])


def test_more_than_two_run_beside_one_another(run):
    status, answer, key = run.ask("ok@3came,hang,hang", path="/two")
    assert (status, answer) == (200, b"1")
    for number in (2, 3):
        assert run.script.event(key, number, "ended").wait(DEADLINE)


def test_without_a_retry_the_try_goes_on(run):
    before = run.numbers()
    # The answer comes when its time is long over: another request has waited for as long behind it.
    status, answer, key = None, None, None
    with Client(run.ports["plain"]) as client:
        client.send("GET /none HTTP/1.1\r\nHost: a\r\nx-key: slow\r\nx-acts: ok@9came\r\n\r\n")
        assert run.script.event(b"slow", 1, "came").wait(DEADLINE)
        assert run.ask("hang,ok")[0] == 200
        run.script.event(b"slow", 9, "came").set()
        assert client.response()[::2] == (200, b"1")
    assert run.changes(before)["upstream_rq_total"] == 3


def test_the_budget_is_asked(run):
    before = run.stat("upstream_rq_retry_overflow", "other")
    with Client(run.ports["plain"]) as client:
        client.send("GET /budget HTTP/1.1\r\nHost: a\r\nx-key: budget\r\nx-acts: ok@9came\r\n\r\n")
        assert eventually(lambda: run.stat("upstream_rq_retry_overflow", "other") == before + 1)
        run.script.event(b"budget", 9, "came").set()
        assert client.response()[::2] == (200, b"1")


def test_the_routes_timeout_ends_all_tries(run):
    before = run.numbers()
    status, _, key = run.ask("hang,hang", path="/short")
    assert status == 504
    assert run.changes(before) == {
        "upstream_rq_total": 2, "upstream_rq_retry": 1, "upstream_rq_timeout": 2,
        "upstream_rq_retry_limit_exceeded": 1}
    assert eventually(lambda: run.stat("upstream_rq_active") == 0)


def test_a_route_may_say_otherwise_and_a_host_for_all(run):
    assert run.ask("ok@2came,ok", path="/host")[1] in (b"1", b"2")
    before = run.numbers()
    # The first one is cut when its time is over; on a busy machine that may befall the second one, too.
    run.ask("hang,ok", path="/off")
    assert run.changes(before)["upstream_rq_per_try_timeout"] >= 1


def test_a_client_that_leaves_ends_all_tries(run):
    with Client(run.ports["plain"]) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nx-key: left\r\nx-acts: hang,hang\r\n\r\n")
        assert run.script.event(b"left", 2, "came").wait(DEADLINE)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    for number in (1, 2):
        assert run.script.event(b"left", number, "ended").wait(DEADLINE)
    assert eventually(lambda: run.stat("upstream_rq_active") == 0)


def test_streams_are_hedged_too(run):
    with H2Client(run.ports["plain"]) as client:
        asked = {f"s{number}": client.request(f"/streams/{number}", "POST", b"body", [("x-key", f"s{number}")])
                 for number in (1, 2)}
        for name, stream in asked.items():
            client.until(lambda: client.streams[stream].ended)
            assert (client.streams[stream].status, client.streams[stream].body) == (200, b"body" + name[1:].encode())
    for name in asked:
        loser = next(one for one in run.streams.requests
                     if one.fields["x-key"] == name and not one.path.endswith(one.fields["x-envoy-attempt-count"]))
        assert eventually(lambda: loser.reset is not None) and loser.body == b"body"
    assert eventually(lambda: run.stat("upstream_rq_active", "streams") == 0)
