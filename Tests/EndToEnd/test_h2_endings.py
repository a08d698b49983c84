"""HTTP/2 endpoints that end, change their minds or break the rules at every moment: each request gets the right answer, or another try."""

import contextlib
import re
import signal
import socket
import threading
import time
import urllib.request

import pytest

from framekit import Peer, headers
from grpckit import http2_cluster
from h2kit import H2Client
from h2origin import H2Origin
from proxykit import Client, DEADLINE, OWN_BUFFERS, Origin, Proxy, eventually, free_port, get, http_filter, listener, cluster, route


@contextlib.contextmanager
def fronted(*origins, target=None, options=None, cluster_more=None, arguments=(), **more):
    """A proxy in front of one cluster of HTTP/2 origins: (proxy, port)."""
    port = free_port()
    routes = [route({"cluster": "c", "timeout": "0s", **(target or {})})]
    back = http2_cluster("c", *[origin.port for origin in origins], options=options, **(cluster_more or {}))
    with Proxy([listener(port, http_filter(routes, **more))], [back], *arguments) as proxy:
        yield proxy, port


# --- GOAWAY ----------------------------------------------------------------------------------------------------------

def once(action):
    """An origin whose first request meets an action; all others are answered."""
    done = []

    def begun(request):
        if not done:
            done.append(request)
            action(request)
        else:
            request.answer(b"again")
    return H2Origin(begun=begun, whole=lambda request: None)


def goaway_below(request):
    request.link.goaway(last=request.stream - 2 if request.stream > 1 else 0)


def goaway_then_answer(request):
    request.link.goaway(last=request.stream)
    request.answer(b"whole")


def goaway_behind_the_head(request):
    request.head(200)
    request.link.goaway(last=request.stream)
    request.data(b"wh")
    request.data(b"ole", ends=True)


def two_goaways(request):
    request.link.goaway(last=0x7FFFFFFF)
    request.head(200)
    request.link.goaway(last=request.stream)
    request.data(b"whole", ends=True)
    request.link.goaway(last=request.stream)


def goaway_and_end(request):
    request.link.goaway(last=0)
    request.link.close()


def refused(request):
    request.break_off(7)


ENDINGS = {
    "below the stream": (goaway_below, b"again"), "before the answer": (goaway_then_answer, b"whole"),
    "behind the head": (goaway_behind_the_head, b"whole"), "twice": (two_goaways, b"whole"),
    "with the connection's end": (goaway_and_end, b"again"), "REFUSED_STREAM": (refused, b"again"),
}


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_goaway_loses_nothing(name, method):
    """G11: what was begun is finished, what was not begun goes to another connection, whatever its method; once."""
    action, body = ENDINGS[name]
    with once(action) as origin, fronted(origin) as (_, port), H2Client(port) as client:
        found = client.get("/", method=method, body=b"x" * 100 if method == "POST" else None)
        assert (found.status, found.body) == (200, body)
        assert client.get("/").body == b"again"
        assert len(origin.links) == (1 if name == "REFUSED_STREAM" else 2)


def test_a_goaway_among_many_streams():
    """G11: a hundred streams, of which the endpoint takes half: these finish, the others are each asked for once more elsewhere."""
    waiting, lock = [], threading.Lock()

    def begun(request):
        with lock:
            if request.link.number > 0:
                return request.answer(request.path.encode())
            waiting.append(request)
            if len(waiting) < 100:
                return None
        request.link.goaway(last=99)
        for one in waiting:
            if one.stream <= 99:
                one.answer(one.path.encode())
        return None
    with H2Origin(begun=begun, whole=lambda request: None) as origin, fronted(origin) as (proxy, port), H2Client(port) as client:
        client.until(lambda: client.settings)
        streams = {client.request(f"/{number}"): f"/{number}".encode() for number in range(100)}
        for stream, path in streams.items():
            found = client.answer(stream)
            assert (found.status, found.body) == (200, path)
        assert [len(link.requests) for link in origin.links] == [100, 50]
        assert proxy.stat("retry_total") >= 50


def test_an_end_in_the_midst_of_an_answer_is_told():
    """G06: a body that is cut off never looks whole, for both kinds of clients."""
    def cut(request):
        request.head(200, [("content-length", "1000")])
        request.data(b"x" * 100)
        request.link.close()
    with H2Origin(begun=cut, whole=lambda request: None) as origin, fronted(origin) as (_, port):
        with H2Client(port) as client:
            found = client.get("/")
            assert found.status == 200 and found.reset is not None and not found.ended
        with Client(port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with pytest.raises((EOFError, ConnectionResetError)):
                client.response()


# --- Lengths and orders ----------------------------------------------------------------------------------------------

def wrong_length(length, body):
    def begun(request):
        request.head(200, [("content-length", str(length))])
        request.link.raw(len(body).to_bytes(3, "big") + b"\0\1" + request.stream.to_bytes(4, "big") + body)
    return begun


WRONG = {
    "too little": wrong_length(10, b"abc"), "too much": wrong_length(2, b"abc"),
    "trailers with a status": lambda request: (request.head(200), request.data(b"a"), request.link.raw(
        b"\0\0\1\1\5" + request.stream.to_bytes(4, "big") + b"\x88")),
    "a second head": lambda request: (request.head(200), request.link.raw(b"\0\0\1\1\4" + request.stream.to_bytes(4, "big") + b"\x88")),
    "DATA behind the end": lambda request: (request.head(200, ends=True), request.link.raw(
        b"\0\0\1\0\0" + request.stream.to_bytes(4, "big") + b"a")),
    "a window too large": lambda request: (request.head(200), request.link.raw(
        b"\0\0\4\x08\0" + request.stream.to_bytes(4, "big") + b"\x7f\xff\xff\xff")),
    "a huge frame": lambda request: (request.head(200), request.link.raw(b"\xff\xff\xff\0\0" + request.stream.to_bytes(4, "big") + bytes(99))),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_never_whole(name):
    """X03 on the endpoint's side, G06: the client hears of it by a reset, and the next request is answered."""
    with once(WRONG[name]) as origin, fronted(origin) as (_, port), H2Client(port) as client:
        found = client.get("/")
        is_whole = found.ended and found.reset is None
        assert is_whole == (name == "DATA behind the end"), (found.status, found.body)
        assert client.get("/").body == b"again"


def test_an_endpoint_that_ignores_the_window_is_given_up():
    """H17, L05: what is sent beyond the window is not held; the connection ends, and so does the stream, whose client reads nothing."""
    def flood(request):
        request.head(200)
        frame = b"\0\x40\0\0\0" + request.stream.to_bytes(4, "big") + bytes(16_384)
        with contextlib.suppress(OSError):
            for _ in range(1024):
                request.link.raw(frame)
    with once(flood) as origin, fronted(origin) as (proxy, port), Peer(port, ((4, 0),)) as client:
        client.send(headers(1))
        assert client.until(lambda peer: 1 in peer.resets), client.verdict()
        assert held(proxy) < LIMIT
        assert get(port)[2] == b"again"


def test_a_head_beyond_the_limit_is_refused():
    """H15 on the endpoint's side."""
    with once(lambda request: request.head(200, [("x", "y" * 16_000)] * 8, ends=True)) as origin, fronted(origin) as (_, port):
        status, fields, _ = get(port)
        assert status in (502, 503) and "x-weft-reason" in fields
        assert get(port)[2] == b"again"


@pytest.mark.parametrize("code", [7, 8, 11, 12, 2])
def test_resets_become_a_status_of_grpc(code):
    """G03: before the answer's head the call is UNAVAILABLE, as in Envoy, whatever code the reset had; tries are few."""
    with H2Origin(begun=lambda request: request.break_off(code), whole=lambda request: None) as origin, fronted(origin) as (_, port):
        with H2Client(port) as client:
            found = client.get("/s/m", method="POST", body=b"\0\0\0\0\0", fields=[("content-type", "application/grpc"), ("te", "trailers")])
            assert (found.status, found.fields["grpc-status"]) == (200, "14") and found.ended
        assert len(origin.requests) <= 4


# --- Settings and windows --------------------------------------------------------------------------------------------

def test_settings_change_under_way():
    """A window of 0 stalls bodies until it opens, by SETTINGS or by WINDOW_UPDATE; fewer streams at once are kept to."""
    with H2Origin(settings={"initial_window_size": 0}) as origin, fronted(origin) as (_, port), H2Client(port) as client:
        client.until(lambda: client.settings)
        # The first stream may be on its way before the SETTINGS are.
        assert client.get("/").status == 200
        stream = client.request("/", method="POST", body=b"x" * 5000)
        assert eventually(lambda: len(origin.requests) == 2)
        link = origin.links[0]
        assert origin.requests[1].body == b"" and not client.streams[stream].ended
        link.settings(initial_window_size=1000)
        assert eventually(lambda: len(origin.requests[1].body) >= 1000)
        link.settings(initial_window_size=60_000)
        assert client.answer(stream).body == b"x" * 5000
        link.settings(max_concurrent_streams=1)
        assert eventually(lambda: link.state.local_settings.max_concurrent_streams == 1), "the proxy knows"
        release = threading.Event()
        origin.whole = lambda request: threading.Thread(target=lambda: (release.wait(DEADLINE), request.answer(b"ok"))).start()
        assert eventually(lambda: link.state.open_inbound_streams == 0)
        streams = [client.request("/") for _ in range(3)]
        assert eventually(lambda: len(origin.requests) == 5 and len(origin.links) == 2), "further streams go elsewhere"
        assert link.state.open_inbound_streams == 1
        release.set()
        assert [client.answer(one).status for one in streams] == [200] * 3


def test_windows_of_one_byte_carry_a_body():
    """H16 on the endpoint's side: small steps are slow, and nothing else."""
    with H2Origin(settings={"initial_window_size": 1}) as origin, fronted(origin) as (_, port), H2Client(port) as client:
        assert client.get("/").status == 200
        assert client.get("/", method="POST", body=b"abcdefgh").body == b"abcdefgh"


# --- Flow control ----------------------------------------------------------------------------------------------------

LIMIT = 1 << 20
# Python's frames are slow; plain bytes have to be more than sockets hold.
PLAIN, FRAMED = 24 << 20, 3 << 20


def held(proxy):
    return proxy.stat("buffer_bytes")


class Sender:
    """Sends a body in a thread of its own; `done` counts its bytes."""

    def __init__(self, send, size):
        self.done, self.size, self.problem = 0, size, None

        def run():
            piece = bytes(65_536)
            try:
                while self.done < size:
                    send(piece, self.done + len(piece) >= size)
                    self.done += len(piece)
            except OSError as problem:
                self.problem = problem
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def stalled(self):
        """Waits until nothing moves any more; a slow machine may be taken for a stalled one, which only asks less of the proxy."""
        before = -1
        while before != self.done and self.done < self.size:
            before = self.done
            time.sleep(0.1)


class PlainOrigin(Origin):
    """Of HTTP/1: reads nothing of an upload until `go`, or sends a large answer."""

    def __init__(self, upload, size):
        self.go, self.size, self.sender = threading.Event(), 0, None

        def behaviour(peer):
            peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            head = peer.until(b"\r\n\r\n")
            if not upload:
                peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
                self.sender = Sender(lambda piece, _: peer.send(piece), size)
                self.sender.thread.join()
                return
            self.go.wait(DEADLINE)
            total = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
            self.size = len(peer.buffer)
            while self.size < total:
                self.size += len(peer.connection.recv(1 << 20))
            peer.answer(b"%d" % self.size)
        super().__init__(behaviour)


class StreamOrigin(H2Origin):
    """The same of HTTP/2."""

    def __init__(self, upload, size):
        self.go, self.size, self.sender = threading.Event(), 0, None

        def begun(request):
            if not upload:
                request.head(200, [("content-length", str(size))])
                self.sender = Sender(lambda piece, is_last: request.data(piece, ends=is_last), size)

        def piece(request, data):
            self.size += len(data)
            self.go.wait(DEADLINE)
            request.link.do(lambda state: state.acknowledge_received_data(len(data), request.stream))
        super().__init__(begun=begun, piece=piece, grants=False,
                         whole=lambda request: request.answer(b"%d" % self.size) if upload else None)


def upload(port, version, origin, size, check):
    """A client that sends as fast as it may, to an origin that reads late."""
    if version == 1:
        with Client(port) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: %d\r\n\r\n" % size)
            sender = Sender(lambda piece, _: client.socket.sendall(piece), size)
            sender.stalled()
            check(sender)
            return client.response()[2]
    with H2Client(port) as client:
        stream = client.request("/", method="POST", ends=False, fields=[("content-length", str(size))])
        sender = type("Sent", (), {"done": 0, "size": size})()

        def push():
            while sender.done < size and (room := min(client.state.local_flow_control_window(stream), 16_384, size - sender.done)) > 0:
                client.data(stream, bytes(room), ends=sender.done + room == size)
                sender.done += room
        with contextlib.suppress(TimeoutError):
            client.connection.settimeout(0.3)
            while sender.done < size:
                push()
                client.more()
        client.connection.settimeout(DEADLINE)
        check(sender)
        while sender.done < size:
            push()
            if sender.done < size:
                assert client.more()
        return client.answer(stream).body


def download(port, version, origin, size, check):
    """A client that reads late, of an origin that sends as fast as it may."""
    if version == 1:
        with Client(port) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert eventually(lambda: origin.sender)
            origin.sender.stalled()
            check(origin.sender)
            return b"%d" % len(client.response()[2])
    with H2Client(port, grants=False) as client:
        stream = client.request("/")
        assert eventually(lambda: origin.sender)
        origin.sender.stalled()
        check(origin.sender)
        total = 0
        while not client.streams[stream].ended:
            assert client.more()
            piece, client.streams[stream].body = len(client.streams[stream].body), b""
            total += piece
            if piece:
                client.state.acknowledge_received_data(piece, stream)
                client.flush()
        return b"%d" % total


@pytest.mark.parametrize("direction", [upload, download])
@pytest.mark.parametrize("server", [1, 2])
@pytest.mark.parametrize("client", [1, 2])
def test_a_slow_side_holds_the_other_back(client, server, direction):
    """G10, L05: whoever reads late, and whatever both speak, the proxy holds little, and everything comes in the end."""
    size = PLAIN if client == server == 1 else FRAMED
    origin = (PlainOrigin if server == 1 else StreamOrigin)(direction is upload, size)
    back = {"per_connection_buffer_limit_bytes": 65_536}
    with origin:
        port = free_port()
        target = cluster("c", origin.port, **back) if server == 1 else http2_cluster("c", origin.port, **back)
        front = listener(port, http_filter([route({"cluster": "c", "timeout": "0s"})]), **back)
        with Proxy([front], [target]) as proxy:
            def check(sender):
                assert held(proxy) < LIMIT, f"{held(proxy)} bytes are held while {sender.done} were sent"
                if server == 2 and client == 2:
                    assert sender.done < size / 2, "the sender was not held back"
                origin.go.set()
            assert direction(port, client, origin, size, check) == b"%d" % size
            assert eventually(lambda: held(proxy) <= OWN_BUFFERS)


# --- Drain -----------------------------------------------------------------------------------------------------------

def test_a_gradual_drain_tells_connections_one_after_another():
    """With a day for it none is told at once; with three seconds each is, before its connection ends."""
    with H2Origin() as origin:
        gradual = ("--drain-strategy", "gradual", "--drain-time-s")
        with fronted(origin, arguments=(*gradual, "86400")) as (proxy, port), contextlib.ExitStack() as stack:
            clients = [stack.enter_context(H2Client(port)) for _ in range(3)]
            assert all(client.get("/").status == 200 for client in clients)
            proxy.process.send_signal(signal.SIGTERM)
            assert eventually(lambda: '"state": "DRAINING"' in proxy.admin("/server_info"))
            assert all(client.get("/").status == 200 and not client.goaways for client in clients)
            proxy.process.send_signal(signal.SIGTERM)
            assert proxy.process.wait(DEADLINE) == 0
        with fronted(origin, arguments=(*gradual, "3")) as (proxy, port), contextlib.ExitStack() as stack:
            clients = [stack.enter_context(H2Client(port)) for _ in range(2)]
            assert all(client.get("/").status == 200 for client in clients)
            proxy.process.send_signal(signal.SIGTERM)
            for client in clients:
                client.until(lambda: client.goaways)
                assert client.goaways[0] == (0x7FFFFFFF, 0)
            assert proxy.process.wait(DEADLINE) == 0


def test_listeners_drain_while_streams_go_on():
    """/drain_listeners?graceful: GOAWAY, no further connections, and the stream that is open ends in order, with its endpoint's."""
    release = threading.Event()

    def whole(request):
        request.head(200)
        threading.Thread(target=lambda: (release.wait(DEADLINE), request.data(b"late", ends=True))).start()
    with H2Origin(whole=whole) as origin, fronted(origin) as (proxy, port), H2Client(port) as client:
        stream = client.request("/")
        client.until(lambda: client.streams[stream].fields)
        request = urllib.request.Request(f"http://127.0.0.1:{proxy.admin_port}/drain_listeners?graceful", method="POST")
        assert urllib.request.urlopen(request, timeout=DEADLINE).status == 200
        client.until(lambda: len(client.goaways) == 2)
        assert client.goaways == [(0x7FFFFFFF, 0), (stream, 0)]
        with pytest.raises(OSError):
            Client(port)
        release.set()
        assert client.answer(stream).body == b"late"
        while client.more():
            pass
        assert proxy.process.poll() is None
