"""HTTP/2 from clients: every part of a message on its way to an origin that speaks HTTP/1, and the ends of connections."""

import base64
import hashlib
import re
import signal
import socket
import subprocess
import threading

import pytest

from h2kit import HEADERS, PREFACE, SETTINGS, H2Client, frame, last_word
from proxykit import DEADLINE, Client, Origin, Proxy, cluster, eventually, free_port, http_filter, listener, route, serving, simple_proxy


def origin_behaviour(peer):
    """Does what the path says."""
    while True:
        head, body = peer.request()
        path = head.split()[1].decode()
        if path.startswith("/size/"):
            peer.answer(b"x" * int(path[6:]))
        elif path == "/trailers":
            peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nkeep-alive: 5\r\nX-Big: A\r\n\r\n"
                      b"5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")
        elif path == "/close":
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
            return
        elif path == "/cut":
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            return
        elif path == "/empty":
            peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif path == "/unchanged":
            peer.send(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n")
        elif path == "/early":
            peer.answer(b"enough", "413 Content Too Large")
        elif path == "/head":
            peer.answer(head)
        elif path == "/hang":
            peer.more()
        elif head.startswith(b"HEAD"):
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n")
        else:
            peer.answer(body + getattr(peer, "trailers", b""))


def waiting_origin(peer):
    """Answers with 100 before it reads the body."""
    head = peer.until(b"\r\n\r\n")
    assert b"expect: 100-continue" in head
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    peer.answer(peer.exactly(5))
    peer.more()


@pytest.fixture(scope="module")
def origin():
    with Origin(origin_behaviour) as origin:
        yield origin


@pytest.fixture(scope="module")
def served(origin):
    direct = {"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "here"}}}
    with simple_proxy(origin.port, filters=[http_filter([direct, route()], access_log=[{
            "name": "log", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"}}])]) as (proxy, port):
        yield proxy, port


@pytest.fixture
def client(served):
    with H2Client(served[1]) as client:
        yield client


def test_bodies_pass_both_ways_in_every_framing(client):
    assert client.get("/size/0").body == b""
    assert client.get("/size/300000").body == b"x" * 300_000
    assert client.get("/", method="POST", body=b"y" * 60_000).body == b"y" * 60_000
    assert client.get("/", method="POST", body=b"y" * 60_000, fields=[("content-length", "60000")]).body == b"y" * 60_000
    assert client.get("/", method="POST", body=b"abc", trailers=[("x-last", "1")]).body == b"abcx-last: 1\r\n"
    answer = client.get("/trailers")
    assert (answer.body, answer.trailers) == (b"hello", {"x-sum": "7"})
    assert answer.fields["x-big"] == "A" and not {"keep-alive", "transfer-encoding", "connection"} & set(answer.fields)
    assert client.get("/close").body == b"until the end"
    assert client.get("/cut").reset == 2
    assert client.get("/empty").status == 204
    unchanged = client.get("/unchanged")
    assert (unchanged.status, unchanged.fields["content-length"], unchanged.body) == (304, "7", b"")
    head = client.get("/", method="HEAD")
    assert (head.fields["content-length"], head.body) == ("12", b"")
    assert client.get("/direct").body == b"here"


def test_the_origin_sees_one_well_formed_request(client):
    head = client.get("/head", fields=[
        ("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"), ("x-forwarded-proto", "gopher"), ("x-a", "1")]).body.decode()
    assert head.startswith("GET /head HTTP/1.1\r\nhost: a\r\n")
    assert head.count("host:") == 1 and "cookie: a=1; b=2\r\n" in head and "x-a: 1\r\n" in head
    assert "te:" not in head and "connection" not in head and "transfer-encoding" not in head


@pytest.mark.parametrize("fields, options", [
    ([("connection", "close")], {}), ([("transfer-encoding", "chunked")], {}), ([("te", "gzip")], {}),
    ([("upgrade", "websocket")], {}), ([("X-Upper", "1")], {}), ([("x-a", "b\r\nhost: c")], {}), ([("host", "b")], {}),
    ([("content-length", "3")], {}), ([(":path", "/x")], {}), ([], {"method": "GET /a HTTP/1.1"}), ([], {"path": "x"}),
    ([], {"path": None}), ([], {"host": "u@a, b"})])
def test_malformed_requests_end_their_stream_alone(client, origin, fields, options):
    before = len(origin.bytes)
    answer = client.get(fields=fields, **options)
    assert answer.reset == 1 or answer.status == 400
    assert len(origin.bytes) == before
    assert client.get("/direct").status == 200


def test_an_answer_before_the_end_of_the_request_asks_for_no_more(client):
    stream = client.request("/early", method="POST", fields=[("content-length", "5")], ends=False)
    client.data(stream, b"12345")
    assert client.answer(stream).body == b"enough"
    stream = client.request("/direct", method="POST", ends=False)
    found = client.answer(stream)
    client.until(lambda: found.reset is not None)
    assert (found.body, found.reset) == (b"here", 0)


def test_expectations_are_the_origins_matter():
    with Origin(waiting_origin) as origin, simple_proxy(origin.port) as (_, port), H2Client(port) as client:
        stream = client.request("/", method="POST", fields=[
            ("expect", "100-continue"), ("content-length", "5")], ends=False)
        client.until(lambda: client.streams[stream].interim)
        client.data(stream, b"hello", ends=True)
        assert client.answer(stream).body == b"hello"


def test_a_slow_reader_stalls_its_own_stream(served, origin):
    proxy, port = served
    with H2Client(port, grants=False) as client:
        slow = client.request("/size/50000000")
        client.until(lambda: len(client.streams[slow].body) == 65_535)
        # The window of the connection is used up, too.
        client.state.increment_flow_control_window(1_000_000)
        client.flush()
        assert client.get("/size/1000").body == b"x" * 1000
        assert proxy.stat("buffer_bytes") < 4_000_000
        assert len(client.streams[slow].body) == 65_535
        client.state.reset_stream(slow)
        client.flush()
        assert client.get("/direct").status == 200


def test_a_body_that_cannot_go_on_stalls_its_sender():
    release = threading.Event()

    def lazy(peer):
        while True:
            _, body = peer.request()
            release.wait(DEADLINE)
            peer.answer(b"%d" % len(body))

    one = {"circuit_breakers": {"thresholds": [{"max_connections": 1}]}}
    with Origin(lazy) as origin, simple_proxy(origin.port, cluster=one) as (proxy, port), H2Client(port) as client:
        client.until(lambda: client.settings)
        first = client.request("/")
        eventually(lambda: origin.bytes)
        # There is no connection for the second: its body waits in the proxy.
        second = client.request("/", method="POST", body=b"z" * 65_535, ends=False)
        client.data(second, b"z" * client.state.local_flow_control_window(second))
        for number in range(3):
            client.state.ping(b"%08d" % number)
            client.flush()
            client.until(lambda: len(client.pongs) > number)
        assert client.state.local_flow_control_window(second) == 0
        assert proxy.stat("buffer_bytes") < 1_000_000
        release.set()
        client.until(lambda: client.state.local_flow_control_window(second) > 0)
        client.data(second, b"end", ends=True)
        assert client.answer(first).body == b"0"
        assert client.answer(second).body == b"65539"


def test_a_reset_cancels_the_work_behind(served, origin):
    with H2Client(served[1]) as client:
        before = len(origin.connections)
        stream = client.request("/hang")
        eventually(lambda: b"GET /hang" in origin.bytes)
        client.state.reset_stream(stream, 8)
        client.flush()
        eventually(lambda: served[0].stat("downstream_requests_active") == 0)
        assert client.get("/direct").status == 200
        assert len(origin.connections) >= before


def websocket_origin(peer):
    head = peer.until(b"\r\n\r\n")
    key = re.search(rb"sec-websocket-key: (\S+)", head).group(1)
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11" if b" /chat " in head else b""
    accept = base64.b64encode(hashlib.sha1(key + guid).digest())
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
              b"sec-websocket-accept: %s\r\nsec-websocket-protocol: chat\r\n\r\nwelcome" % accept)
    while piece := peer.connection.recv(65536):
        peer.send(piece.upper())
    peer.send(b"bye")


def test_websockets_come_by_extended_connect():
    with Origin(websocket_origin) as origin, simple_proxy(
            origin.port, http2_protocol_options={"allow_connect": True}, upgrade_configs=[{"upgrade_type": "websocket"}],
    ) as (proxy, port), H2Client(port) as client:
        client.until(lambda: client.settings.get(8) == 1)
        stream = client.request("/chat", method="CONNECT", ends=False, fields=[
            (":protocol", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")])
        found = client.streams[stream]
        client.until(lambda: found.body == b"welcome")
        assert found.status == 200 and found.fields["sec-websocket-protocol"] == "chat"
        assert not {"sec-websocket-accept", "upgrade", "connection"} & set(found.fields)
        client.data(stream, b"a" * 10_000)
        client.until(lambda: found.body == b"welcome" + b"A" * 10_000)
        client.data(stream, b"", ends=True)
        assert client.answer(stream).body.endswith(b"bye")
        # The answer to another key.
        assert client.get("/forged", method="CONNECT", ends=False, fields=[
            (":protocol", "websocket"), ("sec-websocket-version", "13")]).status == 502
        other = client.request("/", method="CONNECT", fields=[(":protocol", "connect-udp")])
        assert client.answer(other).status == 501


def test_connect_opens_a_tunnel_on_its_stream():
    def upper(peer):
        while piece := peer.connection.recv(65536):
            peer.send(piece.upper())
        peer.send(b"END")

    tunnel = {"match": {"connect_matcher": {}}, "route": {
        "cluster": "origin", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}}
    with Origin(upper) as origin, simple_proxy(
            filters=[http_filter([tunnel], upgrade_configs=[{"upgrade_type": "CONNECT"}])], *[origin.port],
    ) as (_, port), H2Client(port) as client:
        stream = client.request(None, method="CONNECT", host="there:443", fields=[], ends=False, scheme=None)
        client.data(stream, b"early")
        found = client.streams[stream]
        client.until(lambda: found.body == b"EARLY")
        assert found.status == 200
        client.data(stream, b"x" * 16_384)
        client.until(lambda: len(found.body) == 5 + 16_384)
        client.data(stream, b"", ends=True)
        assert client.answer(stream).body.endswith(b"XXEND")


def test_calls_of_grpc_get_the_proxys_errors_as_their_own():
    with simple_proxy(free_port()) as (_, port), H2Client(port) as client:
        call = [("content-type", "application/grpc+proto"), ("te", "trailers")]
        answer = client.get("/shop.Shop/Buy", method="POST", body=b"\0\0\0\0\0", fields=call)
        assert (answer.status, answer.fields["grpc-status"], answer.body) == (200, "14", b"")
        assert "connection refused" in answer.fields["grpc-message"] and answer.fields["content-type"] == "application/grpc"
        assert client.get("/", method="POST", body=b"x", fields=[("content-type", "application/grpc-web")]).status == 503


def test_protocols_are_told_apart():
    with Origin(serving(b"ok")) as origin:
        port, strict, old = free_port(), free_port(), free_port()
        listeners = [
            listener(port, http_filter([route()]), name="auto"),
            listener(strict, http_filter([route()], codec_type="HTTP2"), name="strict"),
            listener(old, http_filter([route()], codec_type="HTTP1"), name="old")]
        with Proxy(listeners, [cluster("origin", origin.port)]) as proxy:
            with Client(port) as client:
                assert client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                   "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n").response()[0] == 200
            # The preface byte by byte.
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in PREFACE + frame(SETTINGS):
                    connection.sendall(bytes([byte]))
                assert connection.recv(9)[3] == SETTINGS
            assert last_word(strict, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 1
            with Client(old) as client:
                assert client.send(PREFACE + frame(SETTINGS)).response()[0] == 505
            done = subprocess.run(
                ["curl", "-sS", "--http2-prior-knowledge", f"http://127.0.0.1:{strict}/"], capture_output=True, timeout=20)
            assert done.stdout == b"ok"
            assert proxy.stat("downstream_http2_connections_total") >= 3


def test_floods_end_in_enhance_your_calm(served):
    proxy, port = served
    small = b"\x82\x84\x86\x41\x01a"
    reset = b"".join(
        frame(HEADERS, 5, stream, small) + frame(3, 0, stream, b"\0\0\0\x08") for stream in range(1, 1001, 2))
    assert last_word(port, PREFACE + frame(SETTINGS) + reset) == 11
    assert last_word(port, PREFACE + frame(SETTINGS) + frame(HEADERS, 0, 1, small) + frame(9, 0, 1, b"\x82") * 10) == 11
    bomb = small + b"\x60\x7f\x00" + b"c" * 127 + b"\xbe" * 16_000
    assert last_word(port, PREFACE + frame(SETTINGS) + frame(HEADERS, 1, 1, bomb) + frame(9, 4, 1, b"\xbe" * 16_000)) == 11
    for name in ("inbound_reset_flood", "inbound_continuation_flood", "header_overflow"):
        assert proxy.stat(f"http2_{name}_total") >= 1
    with H2Client(port) as client:
        assert client.get("/direct").status == 200


def test_a_drain_is_announced_and_streams_end_in_order(origin):
    with simple_proxy(origin.port) as (proxy, port):
        release = threading.Event()

        def slow(peer):
            peer.request()
            release.wait(DEADLINE)
            peer.answer(b"done")

        with Origin(slow) as late, Proxy(
                [listener(free := free_port(), http_filter([route()]))], [cluster("origin", late.port)]) as draining:
            with H2Client(free) as client:
                stream = client.request("/")
                eventually(lambda: late.bytes)
                draining.process.send_signal(signal.SIGTERM)
                client.until(lambda: client.goaways)
                client.until(lambda: client.goaways[-1][0] == stream)
                release.set()
                assert client.answer(stream).body == b"done"
                client.until(lambda: client.closed or not client.more())
            assert draining.process.wait(DEADLINE) == 0


def test_requests_of_one_connection_are_limited(origin):
    with simple_proxy(origin.port, common_http_protocol_options={"max_requests_per_connection": 2}, drain_timeout="0.1s",
                      ) as (_, port), H2Client(port) as client:
        assert client.get("/size/1").body == b"x"
        assert client.get("/size/1").body == b"x"
        client.until(lambda: client.goaways and client.goaways[-1][0] == 3)
        while client.more():
            pass
        assert client.goaways[-1] == (3, 0)


def test_slow_and_silent_peers_are_given_up(origin):
    with simple_proxy(origin.port, request_headers_timeout="0.2s", http2_protocol_options={
            "connection_keepalive": {"interval": "0.1s", "timeout": "0.2s"}}) as (proxy, port):
        small = b"\x82\x84\x86\x41\x01a"
        assert last_word(port, PREFACE) == 1
        assert last_word(port, PREFACE + frame(SETTINGS) + frame(HEADERS, 1, 1, small)) == 1
        # PINGs stay unanswered.
        assert last_word(port, PREFACE + frame(SETTINGS)) == 0
        assert proxy.stat("http2_keepalive_timeout_total") >= 1


def test_logs_and_numbers_tell_of_http2(served, client):
    proxy, _ = served
    before = proxy.stat("downstream_http2_requests_total")
    assert client.get("/direct").status == 200
    assert proxy.stat("downstream_http2_requests_total") == before + 1
    numbers = proxy.admin("/stats?filter=http.test.downstream_")
    assert re.search(r"downstream_cx_http2_active: [1-9]", numbers) and "downstream_rq_http2_total" in numbers
    eventually(lambda: '"GET /direct HTTP/2" 200' in proxy.text())
