"""Taps: live requests as `POST /tap` of the admin streams them, with the same script against weft-proxy and, where there is one,
a real Envoy; and what is ours: who may, secrets, rates, limits."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import tempfile

import pytest

import envoykit
import proxykit
from proxykit import Client, Origin, cluster, eventually, free_ports, http_filter, listener, route

TOKEN = "a token that is not to be guessed"
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
TAP = {"name": "tap", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.tap.v3.Tap",
                                       "common_config": {"admin_config": {"config_id": "shop"}}}}


def shop(peer):
    while True:
        head = peer.request()[0]
        status = "404 Not Found" if b" /missing" in head else "200 OK"
        peer.answer(b"hello", status, b"Set-Cookie: secret=1\r\nX-Made-By: origin\r\n")


class Consumer:
    """A tap that is open; gives the messages one after another."""

    def __init__(self, run, body, query="", fields=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", run.proxy.admin_port, timeout=20)
        body = body if isinstance(body, str) else json.dumps(body)
        self.connection.request("POST", f"/tap{query}", body, fields if fields is not None else run.fields)
        self.answer = self.connection.getresponse()
        self.status, self.text = self.answer.status, ""

    def __enter__(self):
        assert self.status == 200, self.answer.read()
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.answer.close()

    def refusal(self):
        with contextlib.closing(self.connection):
            return self.status, self.answer.read().decode()

    def next(self):
        while True:
            with contextlib.suppress(ValueError):
                value, end = json.JSONDecoder().raw_decode(self.text.lstrip())
                self.text = self.text.lstrip()[end:]
                return value
            piece = self.answer.read1(65536)
            assert piece, f"the tap ended after {self.text!r}"
            self.text += piece.decode()


class Run:
    def __init__(self, kind):
        self.stack = contextlib.ExitStack()
        self.is_envoy = kind == "envoy"
        folder = pathlib.Path(tempfile.mkdtemp(dir="/tmp"))
        self.stack.callback(shutil.rmtree, folder, True)
        self.token = folder / "token"
        self.token.write_text(TOKEN + "\n")
        self.ports = free_ports(["tapped", "plain"])
        origin = self.stack.enter_context(Origin(shop))
        more = {"tapped": {"http_filters": [TAP, ROUTER]}, "plain": {}}
        listeners = [listener(self.ports[name], http_filter([route()], **more[name]), name=name) for name in self.ports]
        program = envoykit.Envoy if self.is_envoy else proxykit.Proxy
        arguments = [] if self.is_envoy else ["--tap-token-file", str(self.token)]
        self.fields = {} if self.is_envoy else {"authorization": f"Bearer {TOKEN}"}
        self.proxy = self.stack.enter_context(program(listeners, [cluster("origin", origin.port)], *arguments))

    def tap(self, match, query="", config="shop", **output):
        return Consumer(self, {"config_id": config, "tap_config": {
            "match": match, "output_config": {"sinks": [{"streaming_admin": {}}], **output}}}, query)

    def get(self, path="/", fields="", name="tapped", method="GET"):
        with Client(self.ports[name]) as client:
            return client.send(f"{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{fields}\r\n").response()[0]

    def stat(self, name):
        lines = dict(line.split(": ", 1) for line in self.proxy.admin("/stats").splitlines() if ": " in line)
        return int(lines[name])


@pytest.fixture(scope="module", params=["weft", "envoy"])
def run(request):
    made = Run(request.param)
    with made.stack:
        yield made


@pytest.fixture(scope="module")
def weft():
    made = Run("weft")
    with made.stack:
        yield made


def headers(message):
    return {pair["key"]: pair["value"] for pair in message["headers"]}


ANY = {"any_match": True}


def asks(name, **how):
    return {"http_request_headers_match": {"headers": [{"name": name, **how}]}}


def answers(name, **how):
    return {"http_response_headers_match": {"headers": [{"name": name, **how}]}}


def test_a_request_is_told_of_whole_at_its_end(run):
    with run.tap(ANY) as tap:
        assert run.get("/cart?size=2", "X-Colour: red\r\n") == 200
        trace = tap.next()["http_buffered_trace"]
    request, response = headers(trace["request"]), headers(trace["response"])
    assert (request[":method"], request[":path"], request[":authority"], request[":scheme"]) == ("GET", "/cart?size=2", "shop", "http")
    assert request["x-colour"] == "red" and request["x-forwarded-proto"] == "http" and "x-request-id" in request
    assert response[":status"] == "200" and response["x-made-by"] == "origin"
    assert trace["response"]["body"]["truncated"] in (True, False) and not trace["request"].get("body")
    assert trace["response"]["trailers"] == [] and run.stat("http.test.tap.rq_tapped") >= 1


def test_a_request_is_told_of_piece_by_piece(run):
    with run.tap(ANY, streaming=True) as tap:
        assert run.get("/missing") == 404
        first, second = tap.next(), None
        while second is None or "response_headers" not in second:
            second = tap.next()["http_streamed_trace_segment"]
    first = first["http_streamed_trace_segment"]
    assert headers(first["request_headers"])[":path"] == "/missing"
    assert headers(second["response_headers"])[":status"] == "404" and first["trace_id"] == second["trace_id"]


@pytest.mark.parametrize("match, wanted", [
    (asks(":path", string_match={"prefix": "/a"}), ["/a", "/ab"]),
    (asks("x-kind", string_match={"exact": "1"}), ["/b"]),
    ({"not_match": asks("x-kind", present_match=True)}, ["/a", "/ab", "/missing"]),
    ({"and_match": {"rules": [asks(":path", string_match={"prefix": "/a"}), asks(":method", string_match={"exact": "PUT"})]}}, ["/ab"]),
    ({"or_match": {"rules": [asks("x-kind", present_match=True), answers(":status", string_match={"exact": "404"})]}}, ["/b", "/missing"]),
    ({"and_match": {"rules": [ANY, answers("x-made-by", string_match={"exact": "origin"})]}}, ["/a", "/ab", "/b", "/missing"]),
], ids=["path", "field", "not", "and", "or", "answer"])
def test_what_is_wanted(run, match, wanted):
    with run.tap(match) as tap:
        run.get("/a")
        run.get("/ab", method="PUT")
        run.get("/b", "X-Kind: 1\r\n")
        run.get("/missing")
        assert [headers(tap.next()["http_buffered_trace"]["request"])[":path"] for _ in wanted] == wanted


def test_what_cannot_be_read_is_refused(run):
    sink = {"output_config": {"sinks": [{"streaming_admin": {}}]}}
    for body, says in [
        ("{}", "config_id" if not run.is_envoy else "ConfigId"),
        ({"config_id": "nobody", "tap_config": {"match": ANY, **sink}}, "Unknown config id 'nobody'"),
        ({"config_id": "shop", "tap_config": {"match": ANY, "output_config": {"sinks": []}}}, "sinks" if not run.is_envoy else "Sinks"),
        ("{", ""),
    ]:
        status, text = Consumer(run, body).refusal()
        assert status == 400 and says in text, (body, text)
    assert run.get() == 200


# --- What is ours ----------------------------------------------------------------------------------------------------

def test_only_those_who_know_the_token_may(weft):
    body = {"config_id": "weft", "tap_config": {"match": ANY, "output_config": {"sinks": [{"streaming_admin": {}}]}}}
    for fields in [{}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"authorization": f"Bearer {TOKEN}x"}]:
        status, text = Consumer(weft, body, fields=fields).refusal()
        assert status == 403 and "authorization: Bearer TOKEN" in text
    before = weft.stat("tap.refused")
    weft.token.write_text("short")
    assert Consumer(weft, body).refusal()[0] == 403
    weft.token.write_text(TOKEN)
    assert weft.stat("tap.refused") == before + 1 and weft.stat("tap.active") == 0


def test_secrets_are_not_told(weft):
    with weft.tap(ANY, "?redact=x-colour") as tap:
        weft.get("/in?token=tell&size=2&access_token=me", "Authorization: Basic c2VjcmV0\r\nCookie: a=secret\r\nX-Api-Key: secret\r\nX-Colour: red\r\n")
        trace = tap.next()["http_buffered_trace"]
    request, response = headers(trace["request"]), headers(trace["response"])
    for name in ["authorization", "cookie", "x-api-key", "x-colour"]:
        assert request[name] == "[redacted]", name
    assert request[":path"] == "/in?token=[redacted]&size=2&access_token=[redacted]"
    assert response["set-cookie"] == "[redacted]" and "secret" not in json.dumps(trace)


def test_lines_say_who_asked_whom_and_how_it_ended(weft):
    with weft.tap(ANY, "?format=lines", config="weft", streaming=True) as tap:
        assert weft.get("/missing", name="plain") == 404
        request, response, end = tap.next(), tap.next(), tap.next()
    assert [request["event"], response["event"], end["event"]] == ["request", "response", "end"]
    assert len({request["id"], response["id"], end["id"]}) == 1
    assert (request["method"], request["authority"], request["path"], request["protocol"]) == ("GET", "shop", "/missing", "HTTP/1.1")
    assert request["destination"]["labels"]["dst_cluster"] == "origin" and request["source"]["address"].startswith("127.0.0.1:")
    assert response["status"] == 404 and 0 < response["latency_us"] <= end["duration_us"]
    assert end["response_bytes"] == 5 and end["details"] == "via_upstream" and end["attempts"] == 1


def test_requests_beyond_the_rate_are_counted_and_left_out(weft):
    before = weft.stat("tap.dropped_rate")
    with weft.tap(ANY, "?max_rps=1") as tap:
        with Client(weft.ports["tapped"]) as client:
            for index in range(30):
                assert client.send(f"GET /{index} HTTP/1.1\r\nHost: shop\r\n\r\n").response()[0] == 200
        tap.next()
        assert weft.stat("tap.dropped_rate") > before
    assert eventually(lambda: weft.stat("tap.active") == 0), "a consumer that has gone is let go"
    assert weft.stat("tap.dropped_rate") > before


def test_so_many_consumers_and_no_more(weft):
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(weft.tap(ANY))
        status, text = weft.tap(ANY).refusal()
        assert status == 503 and "8 taps are open" in text
    assert eventually(lambda: weft.stat("tap.active") == 0)
    with weft.tap(ANY) as tap:
        weft.get("/again")
        assert headers(tap.next()["http_buffered_trace"]["request"])[":path"] == "/again"


def test_over_a_unix_socket_the_owner_needs_no_token():
    folder = pathlib.Path(tempfile.mkdtemp(dir="/tmp"))
    ports = free_ports(["tapped"])
    path = str(folder / "admin.sock")
    try:
        with Origin(shop) as origin:
            proxy = proxykit.Proxy([listener(ports["tapped"], http_filter([route()]))], [cluster("origin", origin.port)])
            proxy.configuration["admin"] = {"address": {"pipe": {"path": path}}}
            proxy.admin = lambda target, timeout=5: ask(path, "GET", target)[1]
            with proxy:
                body = json.dumps({"config_id": "weft", "tap_config": {"match": ANY, "output_config": {"sinks": [{"streaming_admin": {}}]}}})
                with socket.socket(socket.AF_UNIX) as tap:
                    tap.settimeout(20)
                    tap.connect(path)
                    tap.sendall(f"POST /tap HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                    text = b""
                    while b"\r\n\r\n" not in text:
                        text += tap.recv(65536)
                    assert text.startswith(b"HTTP/1.1 200"), text
                    with Client(ports["tapped"]) as client:
                        assert client.send("GET /unix HTTP/1.1\r\nHost: shop\r\n\r\n").response()[0] == 200
                    while b"/unix" not in text:
                        text += tap.recv(65536)
                if os.geteuid() == 0:
                    os.chmod(folder, 0o755)
                    os.chmod(path, 0o777)
                    status, text = ask(path, "POST", "/tap", body, user=65534)
                    assert status == 403 and "65534" in text
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ask(path, method, target, body="", user=None):
    """(status, body) of one request over a Unix socket, as another user where one is named."""
    import subprocess
    import sys

    script = """if True:
        import os, socket, sys
        if sys.argv[5]: os.setuid(int(sys.argv[5]))
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(5)
        one.connect(sys.argv[1])
        one.sendall(f"{sys.argv[2]} {sys.argv[3]} HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\nContent-Length: {len(sys.argv[4])}\\r\\n\\r\\n{sys.argv[4]}".encode())
        while piece := one.recv(65536): sys.stdout.buffer.write(piece)
    """
    result = subprocess.run([sys.executable, "-c", script, path, method, target, body, str(user or "")], capture_output=True)
    if result.returncode:
        raise OSError(result.stderr.decode())
    head, _, text = result.stdout.decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), text
