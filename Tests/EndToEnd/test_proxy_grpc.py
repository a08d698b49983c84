"""gRPC through the proxy, with a client and a server of the reference implementation, and HTTP/2 to endpoints for other clients."""

import base64
import hashlib
import queue
import re
import signal
import threading

import grpc
import pytest

from grpckit import call, channel, http2_cluster, server
from proxykit import DEADLINE, Client, Origin, Proxy, cluster, eventually, free_port, http_filter, listener, route

WAITS = {"cluster": "grpc", "timeout": "0s"}
RETRIES = {**WAITS, "retry_policy": {"retry_on": "unavailable", "num_retries": 3}}


@pytest.fixture(scope="module")
def served():
    """The port of a proxy before a gRPC server."""
    port = free_port()
    with server() as (process, origin):
        routes = [route("grpc", "/test/fail", route=RETRIES), route("grpc", route=WAITS)]
        with Proxy([listener(port, http_filter(routes))], [http2_cluster("grpc", origin)]) as proxy:
            yield proxy, port, process


@pytest.fixture
def client(served):
    with channel(served[1]) as client:
        yield client


def test_all_kinds_of_calls_pass(client):
    answer, done = client.unary_unary("/test/unary").with_call(b"ping", metadata=(("x-ask", "it"),), timeout=DEADLINE)
    assert answer == b"ping"
    assert ("x-first", "it") in done.initial_metadata()
    trailers = dict(done.trailing_metadata())
    assert trailers["x-last"] == "end" and trailers["x-last-bin"] == b"\x00\xff"
    parts = [bytes([65 + number]) * 1000 for number in range(20)]
    assert client.stream_unary("/test/collect")(iter(parts), timeout=DEADLINE) == b"".join(parts)
    assert b"".join(client.unary_stream("/test/spread")(b"abcdef", timeout=DEADLINE)) == b"abcdef"
    chat = client.stream_stream("/test/chat")(iter(parts), timeout=DEADLINE)
    assert list(chat) == parts


def test_both_sides_of_a_conversation_take_turns(client):
    said = threading.Semaphore(0)
    words = iter([b"one", b"two", b"three"])

    def speak():
        for word in words:
            yield word
            assert said.acquire(timeout=DEADLINE)

    answers = []
    for answer in client.stream_stream("/test/chat")(speak(), timeout=DEADLINE):
        answers.append(answer)
        said.release()
    assert answers == [b"one", b"two", b"three"]


def test_large_messages_pass_both_ways(served):
    body = bytes(range(256)) * 16_000
    with channel(served[1], **{"grpc.max_receive_message_length": 1 << 26}) as client:
        assert call(client, "unary", body) == body


def test_many_calls_share_a_connection(client, served):
    proxy = served[0]
    calls = [client.unary_unary("/test/unary").future(b"%d" % number, timeout=DEADLINE) for number in range(200)]
    assert [one.result() for one in calls] == [b"%d" % number for number in range(200)]
    assert eventually(lambda: 0 < proxy.stat("upstream_connections") <= 3)


def test_errors_of_the_server_keep_their_code(client):
    with pytest.raises(grpc.RpcError) as failure:
        call(client, "fail", b"a 5 9")
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND and failure.value.details() == "on purpose"
    with pytest.raises(grpc.RpcError) as failure:
        call(client, "nothing", b"")
    assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_call_that_the_client_gives_up_ends_at_the_server(client, served):
    hanging = client.unary_unary("/test/hang").future(b"", timeout=DEADLINE)
    assert served[2].stdout.readline() == "hanging\n"
    hanging.cancel()
    assert served[2].stdout.readline() == "cancelled\n"


def test_an_http1_client_gets_answers_of_an_http2_endpoint(served):
    with Client(served[1]) as client:
        body = b"\0\0\0\0\2hi"
        client.send(b"POST /test/unary HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n"
                    b"connection: te\r\ntransfer-encoding: chunked\r\n\r\n7\r\n" + body + b"\r\n0\r\n\r\n")
        answer = client.until(b"\r\n0\r\n") + client.until(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and body in answer and b"transfer-encoding: chunked" in answer
    assert b"grpc-status: 0" in answer.split(b"\r\n0\r\n")[1] and b"x-last: end" in answer


def test_a_killed_server_is_unavailable_until_it_is_back():
    port = free_port()
    with server() as (process, origin):
        with Proxy([listener(port, http_filter([route("grpc", route=WAITS)]))], [http2_cluster("grpc", origin)]) as proxy:
            with channel(port) as client:
                hanging = client.unary_unary("/test/hang").future(b"", timeout=DEADLINE)
                assert call(client, "unary", b"a") == b"a"
                process.kill()
                process.wait()
                with pytest.raises(grpc.RpcError) as failure:
                    hanging.result(timeout=DEADLINE)
                assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
                with pytest.raises(grpc.RpcError) as failure:
                    call(client, "unary", b"a")
                assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
                with server(origin):
                    assert call(client, "unary", b"b") == b"b"
            assert eventually(lambda: proxy.stat("downstream_requests") == 0)


def test_a_stream_goes_on_while_the_proxy_drains_and_is_unavailable_at_its_end():
    """R09: the client is told that no further call is taken; a conversation has the drain time, then it ends with UNAVAILABLE."""
    port, words = free_port(), queue.Queue()
    with server() as (_, origin):
        with Proxy([listener(port, http_filter([route("grpc", route=WAITS)]))], [http2_cluster("grpc", origin)], "--drain-time-s", "1") as proxy:
            with channel(port) as client:
                chat = client.stream_stream("/test/chat")(iter(words.get, None), timeout=DEADLINE)
                words.put(b"before")
                assert next(chat) == b"before"
                proxy.process.send_signal(signal.SIGTERM)
                assert eventually(lambda: "draining" in proxy.text())
                words.put(b"meanwhile")
                assert next(chat) == b"meanwhile"
                with pytest.raises(grpc.RpcError) as failure:
                    next(chat)
                assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
                words.put(None)
            assert proxy.process.wait(DEADLINE) == 0


def test_calls_are_tried_again_for_what_the_policy_names(client, served):
    assert call(client, "fail", b"b 14 2") == b"3"
    with pytest.raises(grpc.RpcError) as failure:
        call(client, "fail", b"c 13 1")
    assert failure.value.code() == grpc.StatusCode.INTERNAL


def test_the_deadline_of_a_call_is_bounded_and_passed_on():
    port = free_port()
    with server() as (_, origin):
        routes = [
            route("grpc", "/test/hang", route={"cluster": "grpc", "max_stream_duration": {"grpc_timeout_header_max": "0.2s"}}),
            route("grpc", "/test/time", route={"cluster": "grpc", "max_stream_duration": {"grpc_timeout_header_max": "50s"}})]
        with Proxy([listener(port, http_filter(routes))], [http2_cluster("grpc", origin)]), channel(port) as client:
            assert 0 < float(call(client, "time", b"", timeout=500)) <= 50
            with pytest.raises(grpc.RpcError) as failure:
                call(client, "hang", b"", timeout=500)
            assert failure.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_errors_of_the_proxy_are_statuses_for_both_versions():
    port, nobody = free_port(), free_port()
    with Proxy([listener(port, http_filter([route("grpc", "/test/")]))], [http2_cluster("grpc", nobody)]):
        with channel(port) as client:
            with pytest.raises(grpc.RpcError) as failure:
                call(client, "unary", b"")
            assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
            assert "connection refused" in failure.value.details()
            with pytest.raises(grpc.RpcError) as failure:
                client.unary_unary("/other/unary")(b"", timeout=DEADLINE)
            assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED
        with Client(port) as client:
            client.send(b"POST /test/unary HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 5\r\n\r\n"
                        b"\0\0\0\0\0")
            head = client.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\ngrpc-status: 14\r\n" in head
            assert b"\r\ncontent-length: 0\r\n" in head


def websocket_origin(peer):
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", peer.until(b"\r\n\r\n"))[1]
    answer = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
              b"sec-websocket-accept: " + answer + b"\r\n\r\n")
    while True:
        peer.send(peer.exactly(3))


def test_a_websocket_of_http1_reaches_an_endpoint_of_http2():
    first, second = free_port(), free_port()
    upgrades = [{"upgrade_type": "websocket"}]
    far = http_filter([route()], upgrade_configs=upgrades, http2_protocol_options={"allow_connect": True})
    near = http_filter([route()], upgrade_configs=upgrades)
    with Origin(websocket_origin) as origin, \
            Proxy([listener(second, far)], [cluster("origin", origin.port)]), \
            Proxy([listener(first, near)], [http2_cluster("origin", second)]), Client(first) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        head = client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        for word in (b"abc", b"def"):
            client.send(word)
            assert client.exactly(3) == word
