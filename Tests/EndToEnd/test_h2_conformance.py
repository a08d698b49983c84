"""HTTP/2 frame by frame, in the numbering that conformance suites use (RFC 7540's sections; `generic` and `hpack` beside
them): what is allowed is answered, and what is not ends the stream or the connection with the code that the RFC asks for.

A case is the bytes that are sent behind preface and SETTINGS, with waits between them, and the outcomes that are right:
`status 200`, `stream CODE`, `connection CODE`, or `pong` for what may have no effect."""

import itertools
import struct

import pytest

from framekit import (
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITISED, PRIORITY, PUSH, RST,
    SETTINGS, WINDOW, Peer, block, data, frame, headers, integer, ping, priority, request, reset, settings, text, window)
from proxykit import Origin, serving, simple_proxy

OK, PONG = "status 200", "pong"
POST = request("/", method="POST")
OPEN = headers(1, POST, END_HEADERS)
DONE = "the answer on 1 is there"
GET = headers()
MAX = 16384
HALF = block(request())[:10], block(request())[10:]


def literal(*fields):
    return b"".join(fields)


def connection(*codes):
    return {f"connection {code}" for code in codes}


def stream(*codes):
    return {f"stream {code}" for code in codes}


PROTOCOL, SIZE, CLOSED = connection("PROTOCOL_ERROR"), connection("FRAME_SIZE_ERROR"), connection("STREAM_CLOSED")
MALFORMED = stream("PROTOCOL_ERROR")
OVER = CLOSED | stream("STREAM_CLOSED")

# Indexed names of the static table: 2 GET, 4 /, 6 http, 1 :authority.
SHORT = b"\x82\x84\x86\x41" + text("a")

GENERIC = {
    "generic/1/1 preface": ([GET], OK),
    "generic/2/1 PRIORITY on an idle stream": ([priority(1)], PONG),
    "generic/2/2 WINDOW_UPDATE on a half-closed stream": ([settings((4, 0)), GET, window(1, 1000)], OK),
    "generic/2/3 PRIORITY on a half-closed stream": ([GET, priority(1)], OK),
    "generic/2/4 RST_STREAM on a half-closed stream": ([GET, reset(1)], PONG),
    "generic/2/5 PRIORITY on a closed stream": ([GET, DONE, priority(1)], PONG),
    "generic/3.1/1 DATA": ([OPEN, data()], OK),
    "generic/3.1/2 several DATA": ([OPEN, data(flags=0), data(flags=0), data()], OK),
    "generic/3.1/3 DATA with padding": ([OPEN, frame(DATA, END_STREAM | PADDED, 1, b"\6hello" + bytes(6))], OK),
    "generic/3.2/1 HEADERS": ([GET], OK),
    "generic/3.2/2 HEADERS with padding": ([headers(flags=5 | PADDED, before=b"\6", after=bytes(6))], OK),
    "generic/3.2/3 HEADERS with priority": ([headers(flags=5 | PRIORITISED, before=struct.pack(">IB", 0, 255))], OK),
    "generic/3.3/1 PRIORITY": ([priority(1, 0, 255), GET], OK),
    "generic/3.3/2 PRIORITY, exclusive": ([priority(1, 0x80000000), GET], OK),
    "generic/3.3/3 PRIORITY on another stream": ([priority(1, 3), GET], OK),
    "generic/3.3/4 PRIORITY on a stream above": ([priority(5), GET], OK),
    "generic/3.3/5 PRIORITY in the middle of a body": ([OPEN, priority(1, 3), data()], OK),
    "generic/3.4/1 RST_STREAM": ([OPEN, reset(1)], PONG),
    "generic/3.5/1 SETTINGS": ([settings((3, 10), (4, 65535))], "acked"),
    "generic/3.7/1 PING": ([], PONG),
    "generic/3.8/1 GOAWAY": ([frame(GOAWAY, 0, 0, bytes(8))], {"pong", "closed"}),
    "generic/3.9/1 WINDOW_UPDATE of the connection": ([window(0, 1), GET], OK),
    "generic/3.9/2 WINDOW_UPDATE of a stream": ([GET, window(1, 1)], OK),
    "generic/3.10/1 CONTINUATION": ([headers(raw=HALF[0], flags=1), frame(CONTINUATION, 4, 1, HALF[1])], OK),
    "generic/3.10/2 several CONTINUATION": (
        [headers(raw=HALF[0], flags=1), frame(CONTINUATION, 0, 1, HALF[1][:5]), frame(CONTINUATION, 4, 1, HALF[1][5:])], OK),
    "generic/4/1 GET": ([GET], OK),
    "generic/4/2 HEAD": ([headers(1, request(method="HEAD"))], OK),
    "generic/4/3 POST": ([OPEN, data()], OK),
    "generic/4/4 POST with trailers": ([OPEN, data(flags=0), headers(1, [("x-test", "ok")])], OK),
    "generic/5/1 indexed": ([headers(raw=SHORT)], OK),
    "generic/5/2 literal, indexed, name known": ([headers(raw=SHORT + b"\x7a" + text("x"))], OK),
    "generic/5/3 literal, indexed, new name": ([headers(raw=SHORT + b"\x40" + text("x-a") + text("x"))], OK),
    "generic/5/4 literal, not indexed, name known": ([headers(raw=SHORT + b"\x0f\x2b" + text("x"))], OK),
    "generic/5/5 literal, not indexed, new name": ([headers(raw=SHORT + b"\x00" + text("x-a") + text("x"))], OK),
    "generic/5/6 never indexed, name known": ([headers(raw=SHORT + b"\x1f\x2b" + text("x"))], OK),
    "generic/5/7 never indexed, new name": ([headers(raw=SHORT + b"\x10" + text("x-a") + text("x"))], OK),
    "generic/5/8 size update": ([headers(raw=integer(128, 5, 0x20) + SHORT)], OK),
    "generic/5/9 size update, several": ([headers(raw=integer(0, 5, 0x20) + integer(4096, 5, 0x20) + SHORT)], OK),
    "generic/5/10 Huffman": ([headers(raw=b"\x82\x84\x86\x41\x8c" + bytes.fromhex("f1e3c2e5f23a6ba0ab90f4ff"))], OK),
    "generic/5/11 dynamic": ([headers(raw=SHORT + b"\x40" + text("x-a") + text("x") + b"\xbe")], OK),
    "generic/5/12 dynamic of an earlier head": (
        [headers(3, raw=b"\x82\x84\x86\x41" + text("a")), headers(5, raw=b"\x82\x84\x86\xbe"), headers(7, raw=b"\x82\x84\x86\xbe")],
        "status 200 on 7"),
    "generic/5/13 dynamic after an eviction": (
        [headers(1, raw=SHORT + b"\x40" + text("x-a") + text("y" * 4100)), headers(3, raw=SHORT)], "status 200 on 3"),
    "generic/5/14 empty table": ([headers(1, raw=SHORT), headers(3, raw=integer(0, 5, 0x20) + SHORT)], "status 200 on 3"),
    "generic/5/15 empty value": ([headers(raw=SHORT + b"\x00" + text("x-a") + text(""))], OK),
}

FRAMES = {
    "3.5/1 preface": ([GET], OK),
    "4.1/1 unknown type": ([frame(0x16, 0, 0, bytes(8))], PONG),
    "4.1/2 undefined flags": ([frame(PING, 0xFE, 0, b"weftweft")], PONG),
    "4.1/3 reserved bit": ([frame(PING, 0, 0x80000000, b"weftweft")], PONG),
    "4.2/1 DATA of the largest size": ([OPEN, data(body=bytes(MAX))], OK),
    "4.2/2 DATA too large": ([OPEN, data(body=bytes(MAX + 1))], SIZE | stream("FRAME_SIZE_ERROR")),
    "4.2/3 HEADERS too large": ([headers(raw=block(request("/", ("x", "y" * (MAX + 1)))))], SIZE),
    "4.3/1 bad block": ([headers(raw=b"\x40")], connection("COMPRESSION_ERROR")),
    "4.3/2 PRIORITY within a block": ([headers(flags=1), priority(1)], PROTOCOL),
    "4.3/3 HEADERS of another stream within a block": ([headers(flags=1), headers(3)], PROTOCOL),
    "5.1/1 idle: DATA": ([data()], PROTOCOL),
    "5.1/2 idle: RST_STREAM": ([reset(1)], PROTOCOL),
    "5.1/3 idle: WINDOW_UPDATE": ([window(1, 100)], PROTOCOL),
    "5.1/4 idle: CONTINUATION": ([frame(CONTINUATION, 4, 1, block(request()))], PROTOCOL),
    "5.1/5 half-closed: DATA": ([GET, data()], OVER),
    "5.1/6 half-closed: HEADERS": ([GET, GET], OVER),
    "5.1/7 half-closed: CONTINUATION": ([GET, frame(CONTINUATION, 4, 1, block(request()))], PROTOCOL | OVER),
    "5.1/8 closed by RST_STREAM: DATA": ([OPEN, reset(1), data()], OVER),
    "5.1/9 closed by RST_STREAM: HEADERS": ([OPEN, reset(1), GET], OVER),
    "5.1/10 closed by RST_STREAM: CONTINUATION": ([OPEN, reset(1), frame(CONTINUATION, 4, 1, b"")], PROTOCOL | OVER),
    "5.1/11 closed: DATA": ([GET, DONE, data()], OVER),
    "5.1/12 closed: HEADERS": ([GET, DONE, GET], OVER | PROTOCOL),
    "5.1/13 closed: CONTINUATION": ([GET, DONE, frame(CONTINUATION, 4, 1, b"")], PROTOCOL | OVER),
    "5.1.1/1 even stream": ([headers(2)], PROTOCOL),
    "5.1.1/2 lower stream": ([headers(5, POST, END_HEADERS), headers(3)], PROTOCOL),
    "5.1.2/1 too many streams": (["fill", headers(401)], "refused"),
    "5.3.1/1 HEADERS on itself": ([headers(flags=5 | PRIORITISED, before=struct.pack(">IB", 1, 0))], PROTOCOL | MALFORMED | {OK}),
    "5.3.1/2 PRIORITY on itself": ([priority(1, 1)], PROTOCOL | MALFORMED | {PONG}),
    "5.4.1/1 connection error": ([frame(PING, 0, 0, b"short")], SIZE),
    "5.4.1/2 connection error closes": ([frame(PING, 0, 3, b"weftweft")], "closes"),
    "5.5/1 extension": ([frame(0x16, 0xFF, 1, b"abc"), GET], OK),
    "5.5/2 extension within a block": ([headers(flags=1), frame(0x16, 0, 0, bytes(8))], PROTOCOL),
    "6.1/1 DATA on 0": ([data(0)], PROTOCOL),
    "6.1/2 DATA on a stream that is not open": ([GET, DONE, data()], OVER),
    "6.1/3 DATA, padding as long as the payload": ([OPEN, frame(DATA, END_STREAM | PADDED, 1, b"\6abcde")], PROTOCOL),
    "6.1/4 DATA, padding beyond the payload": ([OPEN, frame(DATA, END_STREAM | PADDED, 1, b"\xffabc")], PROTOCOL),
    "6.1/5 DATA, padded and empty": ([OPEN, frame(DATA, END_STREAM | PADDED, 1, b"")], PROTOCOL | SIZE),
    "6.2/1 HEADERS then PRIORITY": ([headers(flags=1), priority(3)], PROTOCOL),
    "6.2/2 HEADERS then HEADERS": ([headers(flags=1), headers(3)], PROTOCOL),
    "6.2/3 HEADERS on 0": ([headers(0)], PROTOCOL),
    "6.2/4 HEADERS, padding too long": ([frame(HEADERS, 5 | PADDED, 1, b"\xff" + SHORT)], PROTOCOL),
    "6.2/5 HEADERS, padded and empty": ([frame(HEADERS, 5 | PADDED, 1, b"")], PROTOCOL | SIZE),
    "6.2/6 HEADERS, priority cut off": ([frame(HEADERS, 5 | PRIORITISED, 1, b"\0\0\0")], PROTOCOL | SIZE),
    "6.3/1 PRIORITY on 0": ([priority(0)], PROTOCOL),
    "6.3/2 PRIORITY of another size": ([OPEN, frame(PRIORITY, 0, 1, b"\0\0\0\1")], SIZE | stream("FRAME_SIZE_ERROR")),
    "6.4/1 RST_STREAM on 0": ([reset(0)], PROTOCOL),
    "6.4/2 RST_STREAM on idle": ([reset(1)], PROTOCOL),
    "6.4/3 RST_STREAM of another size": ([OPEN, frame(RST, 0, 1, b"\0\0\0")], SIZE),
    "6.5/1 SETTINGS ACK with payload": ([frame(SETTINGS, ACK, 0, bytes(6))], SIZE),
    "6.5/2 SETTINGS on a stream": ([frame(SETTINGS, 0, 1, bytes(6))], PROTOCOL),
    "6.5/3 SETTINGS of another size": ([frame(SETTINGS, 0, 0, bytes(3))], SIZE),
    "6.5.2/1 ENABLE_PUSH": ([settings((2, 2))], PROTOCOL),
    "6.5.2/2 INITIAL_WINDOW_SIZE": ([settings((4, 1 << 31))], connection("FLOW_CONTROL_ERROR")),
    "6.5.2/3 MAX_FRAME_SIZE too small": ([settings((5, MAX - 1))], PROTOCOL),
    "6.5.2/4 MAX_FRAME_SIZE too large": ([settings((5, 1 << 24))], PROTOCOL),
    "6.5.2/5 unknown setting": ([settings((0xFF, 1))], PONG),
    "6.5.3/1 the last value counts": ([settings((4, 100), (4, 1)), GET], "one byte"),
    "6.5.3/2 ACK": ([settings()], "acked"),
    "6.7/1 PING": ([], PONG),
    "6.7/2 PING with ACK has no answer": ([ping(b"not this", ACK)], "one pong"),
    "6.7/3 PING on a stream": ([frame(PING, 0, 1, b"weftweft")], PROTOCOL),
    "6.7/4 PING of another size": ([frame(PING, 0, 0, b"weft")], SIZE),
    "6.8/1 GOAWAY on a stream": ([frame(GOAWAY, 0, 1, bytes(8))], PROTOCOL),
    "6.8/2 GOAWAY too short": ([frame(GOAWAY, 0, 0, bytes(7))], SIZE),
    "6.9/1 WINDOW_UPDATE 0 of the connection": ([window(0, 0)], PROTOCOL),
    "6.9/2 WINDOW_UPDATE 0 of a stream": ([OPEN, window(1, 0)], PROTOCOL | MALFORMED),
    "6.9/3 WINDOW_UPDATE of another size": ([frame(WINDOW, 0, 0, b"\0\0\1")], SIZE),
    "6.9.1/1 one byte of window": ([settings((4, 1)), GET], "one byte"),
    "6.9.1/2 the connection's window overflows": ([window(0, 0x7FFFFFFF)] * 2, connection("FLOW_CONTROL_ERROR")),
    "6.9.1/3 a stream's window overflows": (
        [OPEN, window(1, 0x7FFFFFFF), window(1, 0x7FFFFFFF)], connection("FLOW_CONTROL_ERROR") | stream("FLOW_CONTROL_ERROR")),
    "6.9.2/1 the window changes behind HEADERS": ([settings((4, 0)), GET, settings((4, 1))], "one byte"),
    "6.9.2/2 the window goes below zero": (
        [settings((4, 3)), GET, "3 bytes", settings((4, 2)), window(1, 2)], "four bytes"),
    "6.9.2/3 the window is too large": ([settings((4, 1 << 31))], connection("FLOW_CONTROL_ERROR")),
    "6.9.2/4 a change overflows an open stream's": (
        [OPEN, window(1, 0x7FFFFFFF - 65535), settings((4, 65536))], connection("FLOW_CONTROL_ERROR") | stream("FLOW_CONTROL_ERROR")),
    "6.10/1 several CONTINUATION": (
        [headers(raw=HALF[0], flags=1), frame(CONTINUATION, 0, 1, HALF[1][:3]), frame(CONTINUATION, 4, 1, HALF[1][3:])], OK),
    "6.10/2 CONTINUATION then another frame": ([headers(raw=HALF[0], flags=1), frame(CONTINUATION, 0, 1, HALF[1]), data()], PROTOCOL),
    "6.10/3 CONTINUATION on 0": ([headers(raw=HALF[0], flags=1), frame(CONTINUATION, 4, 0, HALF[1])], PROTOCOL),
    "6.10/4 CONTINUATION behind a whole HEADERS": ([OPEN, frame(CONTINUATION, 4, 1, b"")], PROTOCOL),
    "6.10/5 CONTINUATION behind the last": (
        [headers(1, raw=HALF[0], flags=0), frame(CONTINUATION, 4, 1, HALF[1]), frame(CONTINUATION, 4, 1, b"")], PROTOCOL),
    "6.10/6 CONTINUATION behind DATA": ([OPEN, data(flags=0), frame(CONTINUATION, 4, 1, b"")], PROTOCOL),
    "7/1 GOAWAY with an unknown code": ([frame(GOAWAY, 0, 0, bytes(4) + b"\0\0\0\xff")], {"pong", "closed"}),
    "7/2 RST_STREAM with an unknown code": ([OPEN, reset(1, 0xFF)], PONG),
}


def trailers(*fields):
    return [OPEN, data(flags=0), headers(1, list(fields))]


MESSAGES = {
    "8.1/1 a second HEADERS without END_STREAM": ([OPEN, data(flags=0), headers(1, [("x", "y")], END_HEADERS)], MALFORMED | PROTOCOL),
    "8.1.2/1 upper case": ([headers(1, request("/", ("X-Test", "ok")))], MALFORMED),
    "8.1.2.1/1 unknown pseudo field": ([headers(1, request("/", (":test", "ok")))], MALFORMED),
    "8.1.2.1/2 pseudo field of answers": ([headers(1, request("/", (":status", "200")))], MALFORMED),
    "8.1.2.1/3 pseudo field in trailers": (trailers((":method", "200")), MALFORMED),
    "8.1.2.1/4 pseudo field behind another": ([headers(1, [("x-test", "ok"), *request()])], MALFORMED),
    "8.1.2.2/1 connection": ([headers(1, request("/", ("connection", "keep-alive")))], MALFORMED),
    "8.1.2.2/2 te": ([headers(1, request("/", ("te", "trailers, deflate")))], MALFORMED),
    "8.1.2.2/3 te: trailers": ([headers(1, request("/", ("te", "trailers")))], OK),
    "8.1.2.3/1 empty :path": ([headers(1, request(""))], MALFORMED),
    "8.1.2.3/2 no :method": ([headers(1, request(without=(":method",)))], MALFORMED),
    "8.1.2.3/3 no :scheme": ([headers(1, request(without=(":scheme",)))], MALFORMED),
    "8.1.2.3/4 no :path": ([headers(1, request(without=(":path",)))], MALFORMED),
    "8.1.2.3/5 :method twice": ([headers(1, [(":method", "GET"), *request()])], MALFORMED),
    "8.1.2.3/6 :scheme twice": ([headers(1, [(":scheme", "http"), *request()])], MALFORMED),
    "8.1.2.3/7 :path twice": ([headers(1, [(":path", "/"), *request()])], MALFORMED),
    "8.1.2.6/1 content-length and DATA": ([headers(1, [*POST, ("content-length", "1")], 4), data(body=b"test")], MALFORMED),
    "8.1.2.6/2 content-length and several DATA": (
        [headers(1, [*POST, ("content-length", "1")], 4), data(body=b"test", flags=0), data(body=b"test")], MALFORMED),
    "8.1.2.6/3 content-length above DATA": ([headers(1, [*POST, ("content-length", "9")], 4), data(body=b"test")], MALFORMED),
    "8.1.2.6/4 content-length without DATA": ([headers(1, [*POST, ("content-length", "4")])], MALFORMED),
    "8.2/1 PUSH_PROMISE": ([frame(PUSH, 4, 1, struct.pack(">I", 2) + block(request()))], PROTOCOL),
    "8.2/2 PUSH_PROMISE on an open stream": ([OPEN, frame(PUSH, 4, 1, struct.pack(">I", 2) + block(request()))], PROTOCOL),
}

COMPRESSION = connection("COMPRESSION_ERROR")
HPACK = {
    "hpack/2.3.3/1 index beyond the tables": ([headers(raw=SHORT + b"\xc6")], COMPRESSION),
    "hpack/2.3.3/2 name's index beyond the tables": ([headers(raw=SHORT + b"\x7f\x07" + text("empty"))], COMPRESSION),
    "hpack/4.2/1 size update at the end": ([headers(raw=SHORT + b"\x20")], COMPRESSION),
    "hpack/5.1/1 integer without end": ([headers(raw=SHORT + b"\xff" + b"\xff" * 12)], COMPRESSION),
    "hpack/5.1/2 integer beyond 32 bits": ([headers(raw=SHORT + b"\x00\x7f" + b"\xff" * 9 + b"\x01")], COMPRESSION),
    "hpack/5.2/1 Huffman: more than 7 bits of padding": ([headers(raw=SHORT + b"\x00" + text("x") + b"\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")], COMPRESSION),
    "hpack/5.2/2 Huffman: padding is not EOS": ([headers(raw=SHORT + b"\x00" + text("x") + b"\x83\x49\x50\x90")], COMPRESSION),
    "hpack/5.2/3 Huffman: EOS": ([headers(raw=SHORT + b"\x00" + text("x") + b"\x88\xf2\xb2\x4a\x84\xff\xff\xff\xff")], COMPRESSION),
    "hpack/5.2/4 string beyond the block": ([headers(raw=SHORT + b"\x00" + text("x") + b"\x50ab")], COMPRESSION),
    "hpack/6.1/1 index 0": ([headers(raw=SHORT + b"\x80")], COMPRESSION),
    "hpack/6.3/1 size update above the setting": ([headers(raw=integer(4097, 5, 0x20) + SHORT)], COMPRESSION),
}

CASES = {**GENERIC, **FRAMES, **MESSAGES, **HPACK}


@pytest.fixture(scope="module")
def field():
    """One proxy with a recording origin for all cases."""
    with Origin(serving(b"hello")) as origin:
        with simple_proxy(origin.port, codec_type="HTTP2") as (proxy, port):
            yield proxy, port, origin


def play(peer, steps):
    """Sends what stands between two waits in one piece: nothing can be answered in the middle of it."""
    for are_bytes, group in itertools.groupby(steps, lambda step: isinstance(step, bytes)):
        if are_bytes:
            peer.send(b"".join(group))
        else:
            for step in group:
                wait(peer, step)


def wait(peer, step):
    if step == "3 bytes":
        assert peer.until(lambda one: len(one.bodies.get(1, b"")) == 3), peer.verdict()
    elif step == "fill":
        assert peer.until(lambda one: one.theirs is not None)
        limit = peer.theirs[3]
        assert 1 <= limit <= 200, f"SETTINGS say {limit} concurrent streams"
        peer.send(b"".join(headers(1 + 2 * index, POST, END_HEADERS) for index in range(limit)))
    else:
        peer.answer()
        peer.ended.clear()
        peer.heads.clear()


def check_special(peer, wanted):
    if wanted == "refused":
        assert peer.outcome(401) == "stream REFUSED_STREAM"
    elif wanted == "closes":
        assert not peer.until(lambda one: False) and peer.is_closed and peer.goaway == "PROTOCOL_ERROR"
    elif wanted == "acked":
        assert peer.until(lambda one: one.acks == 2), peer.verdict()
    elif wanted == "one byte":
        assert peer.until(lambda one: 1 in one.bodies) and peer.bodies[1] == b"h"
        assert peer.pong() and peer.bodies[1] == b"h"
    elif wanted == "four bytes":
        assert peer.until(lambda one: len(one.bodies.get(1, b"")) >= 4) and peer.bodies[1] == b"hell"
        assert peer.pong() and peer.bodies[1] == b"hell"
    elif wanted == "one pong":
        assert peer.pong() and peer.pongs == [b"sentinel"]
    else:
        _, status, _, stream = wanted.split()
        assert wanted.startswith("status") and peer.answer(int(stream))[0] == int(status)


@pytest.mark.parametrize("name", CASES)
def test_h2_conformance(field, name):
    _, port, _ = field
    steps, wanted = CASES[name]
    with Peer(port) as peer:
        play(peer, steps)
        if wanted == PONG:
            assert peer.pong(), peer.verdict()
        elif wanted == OK:
            assert peer.outcome() == OK
        elif isinstance(wanted, str):
            check_special(peer, wanted)
        elif "pong" in wanted:
            got = "pong" if peer.pong() else peer.verdict()
            assert got in wanted
        else:
            got = peer.outcome()
            assert got in wanted
            if got.startswith("stream"):
                assert peer.pong(), "the connection was to outlive its stream"
            else:
                assert not peer.until(lambda one: False) and peer.is_closed


def test_h2_preface(field):
    """3.5/2: another protocol than HTTP/2, and a preface that goes wrong later, end the connection."""
    _, port, _ = field
    for raw in (b"INVALID CONNECTION PREFACE\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", PREFACE[:-1] + b"X" + settings(),
                PREFACE + GET, PREFACE + ping()):
        with Peer(port, start=False) as peer:
            peer.send(raw)
            assert not peer.until(lambda one: one.heads or one.pongs) and peer.is_closed, raw
