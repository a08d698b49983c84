"""HTTP/2 from clients that mean harm: requests that turn into others in HTTP/1, floods, bombs, and readers that do not read."""

import pathlib
import re
import select
import threading
import time

import pytest

from framekit import (
    ACK, DEADLINE, CONTINUATION, DATA, END_HEADERS, END_STREAM, Peer, block, data, frame, headers, ping, priority, request,
    reset, settings, text, window)
from proxykit import Origin, cluster, eventually, free_port, http_filter, listener, Proxy, route

POST = request("/", method="POST")
MALFORMED = {"stream PROTOCOL_ERROR"}
REFUSED = MALFORMED | {"status 400"}
CALM = {"connection ENHANCE_YOUR_CALM"}
MARK = ("x-mark", "unseen")
LARGE = b"y" * (4 << 20)
LIMIT = 32 << 10


def behaviour(peer):
    """Answers by path; what is not named is echoed."""
    while True:
        head = peer.until(b"\r\n\r\n")
        path = head.split(b" ")[1]
        if path.startswith(b"/hold"):
            peer.hold()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        body = b""
        if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.I):
            while size := int(peer.until(b"\r\n").split(b";")[0], 16):
                body += peer.exactly(size)
                peer.exactly(2)
            while peer.until(b"\r\n") != b"\r\n":
                pass
        elif length:
            body = peer.exactly(int(length.group(1)))
        if path == b"/101":
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            return
        peer.answer(LARGE if path == b"/large" else body)


def holding(over):
    """Requests for /hold are kept until the test is over, and what comes behind their heads is not read."""
    def serve(peer):
        peer.hold = over.wait
        behaviour(peer)
    return serve


@pytest.fixture(scope="module")
def field():
    """One proxy with a recording origin."""
    over = threading.Event()
    with Origin(holding(over)) as origin:
        port = free_port()
        routes = [route(prefix="/stall", target={"cluster": "origin", "prefix_rewrite": "/large", "idle_timeout": "0.2s", "timeout": "0s"}),
                  route(prefix="/", target={"cluster": "origin", "timeout": "0s"})]
        front = listener(port, http_filter(routes, codec_type="HTTP2"), per_connection_buffer_limit_bytes=LIMIT)
        back = cluster("origin", origin.port, per_connection_buffer_limit_bytes=LIMIT)
        with Proxy([front], [back]) as proxy:
            yield proxy, port, origin
            over.set()
            assert b"unseen" not in origin.bytes, "an origin saw a request that was refused"


def memory(proxy):
    """Proportional set size, bytes."""
    rollup = pathlib.Path(f"/proc/{proxy.process.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M).group(1)) << 10


def is_well(port):
    """Whether another client is served."""
    with Peer(port) as peer:
        return peer.send(headers(1, request("/well"))).answer()[0] == 200


# --- Requests that would be others in HTTP/1 -------------------------------------------------------------------------

def with_field(name, value=""):
    return request("/", (name, value), MARK)


SMUGGLED = {
    **{f"X01 name {name!r}": (with_field(name, "x"), MALFORMED) for name in (
        "X-A", "x a", "x\0", "x\n", "x\x1f", "x\x7f", "x\xff", "x:a", "", "x\r\nhost", "x\"", "x(")},
    **{f"X01 value {value!r}": (with_field("x-a", value), MALFORMED) for value in (
        "a\r\nTransfer-Encoding: chunked", "a\nb", "a\rb", "a\0b", "\x01", "\x7f", " a", "a ", "\ta", "a\t")},
    **{f"X02 {name}": (with_field(name, value), MALFORMED) for name, value in (
        ("connection", "close"), ("connection", "x-mark"), ("keep-alive", "timeout=5"), ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("upgrade", "websocket"), ("te", "x"), ("te", "gzip"))},
    **{f"X03 length {value!r}": (with_field("content-length", value), MALFORMED) for value in (
        "+0", "-1", "0x0", "", "1 1", "0,0", "1e0", "99999999999999999999")},
    "X03 two lengths": (request("/", ("content-length", "0"), ("content-length", "0"), MARK), MALFORMED),
    "X03 end with HEADERS": (with_field("content-length", "5"), MALFORMED),
    **{f"X04 :method {method!r}": (request("/", MARK, method=method), REFUSED) for method in (
        "GET /a HTTP/1.1", "GET\r\n", "G T", "", "G@T", "A" * 33)},
    **{f"X04 :path {path!r}": (request(path, MARK), REFUSED) for path in (
        "", "x", "*", "http://b/", "/a b", "/a HTTP/1.1\r\nx: y", "/a\tb", "/a\0", "/a#b", "/\x7f", "/a\xe9", "?a")},
    **{f"X04 :scheme {scheme!r}": (request("/", MARK, scheme=scheme), REFUSED) for scheme in (
        "", "ht tp", "http://b/?", "http\r\n", "1http", "h\0")},
    **{f"X04 :authority {name!r}": (request("/", MARK, authority=name), REFUSED) for name in (
        "u@a", "a,b", "a/b", "a b", "a\r\nx: y", "a\0", "a:b", "a?b", "a#b")},
    "X04 unknown pseudo": (request("/", (":x", "y"), MARK), MALFORMED),
    "X04 :path twice": ([(":path", "/a"), *request("/b", MARK)], MALFORMED),
    "X04 :authority twice": ([(":authority", "b"), *request("/", MARK)], MALFORMED),
    "X04 pseudo behind": ([*request(without=(":path",)), MARK, (":path", "/")], MALFORMED),
    "X04 OPTIONS *": (request("*", MARK, method="POST"), REFUSED),
    "X05 host and :authority": (request("/", ("host", "b"), MARK), REFUSED),
    "X05 two hosts": (request("/", ("host", "a"), ("host", "b"), MARK, without=(":authority",)), REFUSED),
    "X05 none": (request("/", MARK, without=(":authority",)), REFUSED),
    "X07 extended CONNECT without leave": (request("/", (":protocol", "websocket"), MARK, method="CONNECT"), MALFORMED),
    "X07 CONNECT with :path": (request("/", MARK, method="CONNECT"), MALFORMED),
    "X07 CONNECT": (request("/", MARK, method="CONNECT", authority="a:1", without=(":path", ":scheme")), {"status 403", "status 405", "status 404"}),
    "A09 %2f": (request("/a%00", MARK), REFUSED | {"status 200"}),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_h2_smuggling(field, name):
    _, port, _ = field
    fields, wanted = SMUGGLED[name]
    if "status 200" in wanted:
        fields = [one for one in fields if one != MARK]
    with Peer(port) as peer:
        assert peer.send(headers(1, fields)).outcome() in wanted
        assert peer.pong(), "the connection was to outlive its stream"


def test_h2_length_and_data(field):
    """X03: more or less DATA than the length says resets the stream, and the origin's request is not finished."""
    _, port, origin = field
    for length, body in ((5, b"abc"), (5, b"abcdefgh"), (0, b"a")):
        with Peer(port) as peer:
            # In one piece: a request whose length is 0 is answered as soon as its head is there.
            peer.send(headers(1, [*POST, ("content-length", str(length))], END_HEADERS) + data(1, body))
            assert peer.outcome() in MALFORMED, (length, body)
    assert b"abcdefgh" not in origin.bytes


def test_h2_translation(field):
    """X05, X06: one Host, cookies joined, trailers filtered, a body without a length sent in chunks."""
    _, port, origin = field
    with Peer(port) as peer:
        fields = request("/crumbs", ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), method="POST")
        peer.send(headers(1, fields, END_HEADERS) + data(1, b"hel", 0) + data(1, b"lo", 0))
        peer.send(headers(1, [("x-trailer", "t"), ("authorization", "x")]))
        assert peer.answer()[::2] == (200, b"hello")
        peer.send(headers(3, request("/host", ("host", "a"))))
        assert peer.answer(3)[0] == 200
        peer.send(headers(5, request("/only-host", ("host", "c"), without=(":authority",))))
        assert peer.answer(5)[0] == 200
    head = origin.bytes[origin.bytes.index(b"POST /crumbs"):].split(b"\r\n\r\n")[0].lower() + b"\r\n"
    assert b"\r\ncookie: a=1; b=2\r\n" in head and head.count(b"\r\nhost:") == 1 and b"\r\nhost: a\r\n" in head
    assert b"\r\ntransfer-encoding: chunked\r\n" in head and b"content-length" not in head
    tail = origin.bytes[origin.bytes.index(b"POST /crumbs"):].split(b"\r\n0\r\n")[1].split(b"\r\n\r\n")[0]
    assert b"x-trailer: t" in tail and b"authorization" not in tail
    other = origin.bytes[origin.bytes.index(b"GET /only-host"):].split(b"\r\n\r\n")[0].lower() + b"\r\n"
    assert other.count(b"\r\nhost:") == 1 and b"\r\nhost: c\r\n" in other


def test_h2_trailers_that_frame(field):
    """F15: fields of framing and routing in trailers end the request, or stay behind."""
    _, port, origin = field
    for name, value in (("content-length", "99"), ("host", "b"), ("transfer-encoding", "chunked"), ("connection", "close")):
        with Peer(port) as peer:
            peer.send(headers(1, request("/framed", method="POST"), END_HEADERS) + data(1, b"hello", 0))
            peer.send(headers(1, [(name, value), ("x-after", name)]))
            got = peer.outcome()
            assert got in MALFORMED or got == "status 200", (name, got)
    tails = [part for part in origin.bytes.split(b"\r\n0\r\n") if b"x-after" in part]
    assert not any(name in tail.lower() for tail in tails for name in (b"content-length: 99", b"host: b", b"connection: close"))


def test_h2_upgrade_from_the_origin(field):
    """X07: a 101 that nobody asked for is no answer for HTTP/2."""
    _, port, _ = field
    with Peer(port) as peer:
        assert peer.send(headers(1, request("/101"))).answer()[0] == 502


# --- Floods ----------------------------------------------------------------------------------------------------------

def flood(peer, pieces, stop=lambda peer: False):
    """Sends as fast as the other side takes it, reading meanwhile; ends with the connection. The verdict."""
    try:
        return _flood(peer, pieces, stop)
    finally:
        peer.socket.settimeout(DEADLINE)


def _flood(peer, pieces, stop):
    pending = b""
    source = iter(pieces)
    peer.socket.setblocking(False)
    done = False
    end = time.monotonic() + 30
    while peer.goaway in (None, "NO_ERROR") and not peer.is_closed and not stop(peer) and time.monotonic() < end:
        while not done and len(pending) < 1 << 16:
            piece = next(source, None)
            done = piece is None
            pending += piece or b""
        readable, writable, _ = select.select([peer.socket], [peer.socket] if pending else [], [], 5)
        if readable:
            try:
                peer.buffer += (got := peer.socket.recv(1 << 16))
                peer.is_closed = not got
            except ConnectionResetError:
                peer.is_closed = True
            while len(peer.buffer) >= 9 and len(peer.buffer) >= 9 + int.from_bytes(peer.buffer[:3], "big"):
                peer.step()
        if writable:
            try:
                pending = pending[peer.socket.send(pending):]
            except (BrokenPipeError, ConnectionResetError):
                pending = b""
        if done and not pending and not readable and not writable:
            break
    return peer.verdict()


def streams(count, made):
    return (made(1 + 2 * index) for index in range(count))


HOLD = request("/hold", method="POST")
FLOODS = {
    "H10 rapid reset": lambda: streams(2000, lambda stream: headers(stream, request("/hold")) + reset(stream)),
    "H11 windows of nothing": lambda: streams(2000, lambda stream: headers(stream, HOLD, END_HEADERS) + window(stream, 0)),
    "H11 windows too large": lambda: streams(2000, lambda stream: headers(stream, HOLD, END_HEADERS) + window(stream, 0x7FFFFFFF)),
    "H12 CONTINUATION": lambda: [headers(1, flags=END_STREAM), *[frame(CONTINUATION, 0, 1, block([("x", "y")]))] * 200],
    "H12 CONTINUATION, empty": lambda: [headers(1, flags=END_STREAM), *[frame(CONTINUATION, 0, 1)] * 200],
    "H13 SETTINGS": lambda: [settings() * 100] * 300,
    "H13 SETTINGS, full": lambda: [settings(*[(4, 65535)] * 2000)] * 11_000,
    "H13 PING": lambda: [ping() * 100] * 300,
    "H13 PING answers": lambda: [ping(flags=ACK) * 100] * 300,
    "H13 PRIORITY": lambda: [priority(1, 3) * 100] * 300,
    "H13 WINDOW_UPDATE": lambda: [window(0, 1) * 100] * 300,
    "H13 unknown types": lambda: [frame(0xEE, 0, 0) * 100] * 300,
    "H13 empty DATA": lambda: [headers(1, HOLD, END_HEADERS), *[data(1, b"", 0)] * 100],
    "H13 padded empty DATA": lambda: [headers(1, HOLD, END_HEADERS), *[frame(DATA, 8, 1, b"\x03abc")] * 100],
    "H16 windows flipped": lambda: [*streams(100, lambda stream: headers(stream, request("/large"))),
                                    *[(settings((4, 0)) + settings((4, 0x7FFFFFFF))) * 20] * 300],
}


@pytest.mark.parametrize("name", FLOODS)
def test_h2_flood(field, name):
    """The flooder's connection ends with ENHANCE_YOUR_CALM, its requests are given up, and others are served."""
    proxy, port, _ = field
    pairs = ((4, 0),) if name.startswith("H16") else ()
    with Peer(port, pairs) as peer:
        got = flood(peer, FLOODS[name]())
        allowed = CALM | ({"connection FLOW_CONTROL_ERROR", "connection PROTOCOL_ERROR"} if "windows" in name else set())
        assert got in allowed
        assert not peer.until(lambda one: False) and peer.is_closed
    assert is_well(port)
    assert eventually(lambda: proxy.stat("downstream_requests_active") == 0)


def test_h2_what_is_reset_at_once_reaches_no_origin(field):
    """H10: of requests whose reset comes in the same piece no endpoint hears, and the connection goes on."""
    _, port, origin = field
    with Peer(port) as peer:
        peer.pong()
        raw = b"".join(headers(stream, request("/never")) + reset(stream) for stream in range(1, 101, 2))
        assert peer.send(raw + headers(101, request("/after"))).answer(101)[0] == 200
    assert b"/after" in origin.bytes and b"/never" not in origin.bytes


@pytest.mark.parametrize("fields", (request("/", ("X", "y")), request("/", ("content-length", "5"), method="POST")))
def test_h2_flood_of_faults(field, fields):
    """H11: resets that the proxy itself is made to send share the budget of those that the client sends."""
    _, port, _ = field
    with Peer(port) as peer:
        for first in range(1, 4001, 40):
            peer.send(b"".join(headers(stream, fields) for stream in range(first, first + 40, 2)))
            if not peer.until(lambda one: first + 38 in one.resets):
                break
        assert peer.verdict() in CALM and len(peer.resets) < 1000
    assert is_well(port)


def test_h2_flood_without_reading(field):
    """H13: a client that pings and never reads holds no more than the limit of answers."""
    proxy, port, _ = field
    before = memory(proxy)
    with Peer(port) as peer:
        peer.socket.settimeout(0.3)
        try:
            for _ in range(2000):
                peer.socket.sendall(ping() * 100)
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        assert is_well(port)
        assert memory(proxy) - before < 16 << 20


def test_h2_bomb(field):
    """H15: a head that is small on the wire and large in memory is refused before it is made, with all its crumbs counted."""
    proxy, port, _ = field
    before = memory(proxy)
    crumb = b"\x60" + text("a")  # cookie: a, kept in the table as 62
    with Peer(port, ((4, 0),)) as peer:
        first = block(request("/hold")) + crumb + b"\xbe" * 15_000
        rest = b"\xbe" * 16_000

        def bomb(stream):
            return (headers(stream, raw=first, flags=END_STREAM) + frame(CONTINUATION, 0, stream, rest) * 4
                    + frame(CONTINUATION, END_HEADERS, stream, rest))

        got = flood(peer, streams(100, bomb))
        assert got in CALM | {"status 431", "stream PROTOCOL_ERROR", "stream ENHANCE_YOUR_CALM"}
    assert is_well(port)
    assert memory(proxy) - before < 16 << 20


def test_h2_broken_window(field):
    """More DATA than the window allows is an error of flow control."""
    _, port, _ = field
    with Peer(port) as peer:
        assert peer.until(lambda one: one.theirs is not None)
        allowed = peer.theirs.get(4, 65535)
        pieces = [headers(1, HOLD, END_HEADERS), *[data(1, bytes(16_384), 0)] * (allowed // 16_384 + 4096)]
        assert flood(peer, pieces, lambda one: 1 in one.resets) in {"connection FLOW_CONTROL_ERROR", "stream FLOW_CONTROL_ERROR"}


# --- Slow sides ------------------------------------------------------------------------------------------------------

def test_h2_slow_readers(field):
    """H14, L05: 400 MiB of answers for clients that take nothing: what is held stays within the limits."""
    proxy, port, _ = field
    before = memory(proxy)
    with Peer(port, ((4, 0),)) as peer:
        peer.send(b"".join(streams(100, lambda stream: headers(stream, request("/large")))))
        assert peer.until(lambda one: len(one.heads) == 100)
        held = memory(proxy) - before
        assert held < 48 << 20, f"{held >> 20} MiB for 100 streams"
        # One of them reads: it has its whole answer while the others still wait.
        for _ in range(4):
            peer.send(window(0, 1 << 20) + window(7, 1 << 20))
        peer.send(window(0, 1 << 20))
        assert peer.answer(7)[2] == LARGE
    assert eventually(lambda: proxy.stat("downstream_requests_active") == 0)


def test_h2_slow_origin(field):
    """Requests whose origin does not read: no more than the windows is held, and a stream that may go on does."""
    proxy, port, _ = field
    before = memory(proxy)
    with Peer(port) as peer:
        assert peer.until(lambda one: one.theirs is not None)
        piece = min(peer.theirs.get(4, 65535), 65_535) // 4
        for stream in range(1, 99, 2):
            peer.send(headers(stream, HOLD, END_HEADERS) + data(stream, bytes(piece), 0) * 2)
        assert peer.pong()
        assert memory(proxy) - before < 32 << 20
        peer.send(headers(101, POST, END_HEADERS) + data(101, b"hello"))
        assert peer.answer(101)[2] == b"hello"
    assert eventually(lambda: proxy.stat("downstream_requests_active") == 0)


def test_h2_stall_ends(field):
    """H14: WINDOW_UPDATEs of the connection do not keep a stream alive on which nothing moves."""
    _, port, _ = field
    with Peer(port, ((4, 0),)) as peer:
        peer.send(headers(1, request("/stall")))
        assert peer.until(lambda one: 1 in one.heads)
        for _ in range(4):  # as many as may come without DATA between them
            select.select([peer.socket], [], [], 0.04)
            peer.send(window(0, 1))
        assert peer.until(lambda one: 1 in one.resets)
        assert peer.pong(), peer.verdict()
