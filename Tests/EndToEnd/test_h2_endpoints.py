"""HTTP/2 from endpoints that mean harm (H17): the client gets an answer that says so, nothing spins, and others are served."""

import contextlib
import threading

import pytest

from framekit import (
    CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, PUSH, block, data, frame, ping, reset, settings)
from proxykit import Origin, Proxy, cluster, free_port, get, http_filter, listener, route, serving

OK = block([(":status", "200")])
OPTIONS = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {}}}}

# What an endpoint says at once, and what it says to the first request.
FIRST, THEN = {}, {}
FIRST["goaway"] = settings() + frame(GOAWAY, 0, 0, bytes(8))
FIRST["no streams"] = settings((3, 0))
FIRST["http1"] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
FIRST["noise"] = bytes(range(256)) * 8
THEN["push"] = frame(PUSH, END_HEADERS, 1, b"\0\0\0\2" + block([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]))
THEN["pings"] = ping() * 20_000
THEN["settings"] = settings((4, 1)) * 20_000
THEN["continuation"] = frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 0, 1, block([("x", "y")])) * 500
THEN["bomb"] = frame(HEADERS, END_HEADERS, 1, OK + b"\x60\x01a" + b"\xbe" * 16_000)
THEN["no status"] = frame(HEADERS, END_HEADERS | END_STREAM, 1, block([("x", "y")]))
THEN["bad status"] = frame(HEADERS, END_HEADERS | END_STREAM, 1, block([(":status", "2x0")]))
THEN["bad field"] = frame(HEADERS, END_HEADERS | END_STREAM, 1, OK + block([("x", "a\r\nb: c")]))
THEN["bad block"] = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x40")
THEN["other stream"] = frame(HEADERS, END_HEADERS | END_STREAM, 7, OK)
THEN["data first"] = data(1)
THEN["interim"] = frame(HEADERS, END_HEADERS, 1, block([(":status", "103")])) * 200
THEN["switching"] = frame(HEADERS, END_HEADERS, 1, block([(":status", "101")]))
THEN["reset"] = reset(1, 2)
CASES = [*FIRST, *THEN]


def behaviour(name):
    def serve(peer):
        peer.exactly(len(PREFACE))
        peer.send(FIRST.get(name) or settings())
        while True:
            head = peer.exactly(9)
            peer.exactly(int.from_bytes(head[:3], "big"))
            if head[3] == HEADERS and name in THEN:
                # Reads meanwhile: the proxy may answer each frame.
                threading.Thread(target=send, args=(peer, THEN[name]), daemon=True).start()
    return serve


def send(peer, raw):
    with contextlib.suppress(OSError):
        peer.send(raw)


@pytest.fixture(scope="module")
def field():
    """One proxy in front of an endpoint for each case."""
    with contextlib.ExitStack() as stack:
        origins = {name: stack.enter_context(Origin(behaviour(name))) for name in CASES}
        well = stack.enter_context(Origin(serving()))
        port = free_port()
        routes = [route({"cluster": name, "timeout": "0.5s"}, f"/{index}/") for index, name in enumerate(CASES)]
        clusters = [cluster(name, one.port, typed_extension_protocol_options=OPTIONS) for name, one in origins.items()]
        front = listener(port, http_filter([*routes, route("well")]))
        stack.enter_context(Proxy([front], [*clusters, cluster("well", well.port)]))
        yield port, origins


@pytest.mark.parametrize("name", CASES)
def test_h2_hostile_endpoint(field, name):
    port, origins = field
    status, _, _ = get(port, f"/{CASES.index(name)}/")
    assert status in (502, 503, 504)
    assert len(origins[name].received) < 20, "connections are opened without end"
    assert get(port)[0] == 200
