"""Compressor and decompressor, beside a real Envoy where it has the same idea of them."""

import contextlib
import gzip
import random
import re
import threading
import zlib

import brotli
import pytest
import zstandard

from envoykit import Envoy
from proxykit import Client, Origin, Proxy, cluster, free_port, http_filter, listener, route

COMPRESSOR = "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor"
DECOMPRESSOR = "type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor"
PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.CompressorPerRoute"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
TYPES = {"gzip": "gzip.{}.v3.Gzip", "br": "brotli.{}.v3.Brotli", "zstd": "zstd.{}.v3.Zstd"}
UNPACK = {"gzip": gzip.decompress, "br": brotli.decompress, None: bytes,
          "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)}
PACK = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.ZstdCompressor().compress}
LONG = random.Random(7).randbytes(1 << 20)
TEXT = b"a text that is long enough to be compressed, and that is much the same everywhere. " * 40
BOTH = pytest.mark.parametrize("program", [Proxy, Envoy], ids=["weft-proxy", "envoy"])


def library(coding, kind, **settings):
    return {"name": coding, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.compression." + TYPES[coding].format(kind), **settings}}


def compressor(coding, name=None, **more):
    return {"name": name or f"compressor.{coding}", "typed_config": {
        "@type": COMPRESSOR, "compressor_library": library(coding, "compressor"), **more}}


def decompressor(coding, settings={}, **more):
    return {"name": f"decompressor.{coding}", "typed_config": {
        "@type": DECOMPRESSOR, "decompressor_library": library(coding, "decompressor", **settings), **more}}


@contextlib.contextmanager
def chain(program, port, *filters, routes=None):
    front = free_port()
    hcm = http_filter(routes or [route()], http_filters=[*filters, {"name": "router", "typed_config": {"@type": ROUTER}}])
    with program([listener(front, hcm)], [cluster("origin", port)]) as proxy:
        yield proxy, front


def described(peer):
    """Answers as the request's path says: /STATUS/FIELD=VALUE/..."""
    while True:
        head, body = peer.request()
        _, status, *fields = head.split(b" ")[1].decode().split("/")
        length = b"content-length: 2800\r\n" if b"HEAD " in head[:5] or status == "304" else b""
        text = "".join(f"{pair.replace('=', ': ', 1)}\r\n" for pair in fields if pair).replace("~", "/").encode()
        if length or status == "204":
            peer.send(b"HTTP/1.1 %s X\r\n%s%s\r\n" % (status.encode(), length, text))
        else:
            peer.answer(LONG if b"long" in head else b"short" if b"short" in head else TEXT, status=f"{status} X", fields=text)


def ask(client, path, accept=None, method="GET"):
    fields = f"accept-encoding: {accept}\r\n" if accept is not None else ""
    client.send(f"{method} {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
    return client.response(to_head=method == "HEAD")


def post(client, body, fields="", chunks=0, path="/"):
    framing = "transfer-encoding: chunked" if chunks else f"content-length: {len(body)}"
    client.send(f"POST {path} HTTP/1.1\r\nhost: a\r\n{fields}{framing}\r\n\r\n")
    for start in range(0, len(body) if chunks else 0, chunks or 1):
        client.send(b"%x\r\n%s\r\n" % (len(body[start:start + chunks]), body[start:start + chunks]))
    client.send(b"0\r\n\r\n" if chunks else body)
    return client.response()


def numbers(proxy, part):
    lines = proxy.admin(f"/stats?filter={part}").splitlines()
    return {line.rsplit(": ", 1)[0]: int(line.rsplit(": ", 1)[1]) for line in lines if line.rsplit(": ", 1)[-1].isdigit()}


ANSWERS = [
    # path, what the client accepts, coding, whether Vary names it
    ("/200", "gzip", "gzip", True),
    ("/200", None, None, True),
    ("/200", "br, gzip;q=0.5", "br", True),
    ("/200", "br;q=0.1, zstd;q=0.7, gzip;q=0.5", "zstd", True),
    ("/200", "gzip, br", "gzip", True),
    ("/200", "identity", None, True),
    ("/200", "gzip;q=0", None, True),
    ("/200", "*", "gzip", True),
    ("/200", "gzip;q=0,*", "br", True),
    ("/200/content-type=text~plain;charset=utf-8", "gzip", "gzip", True),
    ("/200/content-type=image~png", "gzip", None, False),
    ("/200/cache-control=no-transform", "gzip", None, False),
    ("/200/content-encoding=x-own", "gzip", None, False),
    ("/404", "gzip", "gzip", True),
    ("/200/short=1", "gzip", None, False),
    ("/204", "gzip", None, False),
    ("/304", "gzip", None, True),
]


@BOTH
def test_answers_are_compressed_for_those_who_take_it(program):
    """By weight, type, length and state; with Vary, without a strong etag; flushed piece by piece."""
    with Origin(described) as origin, chain(
            program, origin.port, compressor("gzip"), compressor("br"), compressor("zstd")) as (proxy, port), \
            Client(port) as client:
        for path, accept, coding, varies in ANSWERS:
            status, fields, body = ask(client, path, accept)
            told = fields.get("content-encoding")
            assert (told if told != "x-own" else None, path, accept) == (coding, path, accept)
            if status not in (204, 304):
                assert UNPACK[coding](body) == (b"short" if "short" in path else TEXT)
                assert ("content-length" in fields) == (coding is None)
            if status != 204:
                assert ("accept-encoding" in fields.get("vary", "").lower()) == varies, (path, accept)
        status, fields, body = ask(client, "/200/long=1", "gzip")
        assert (fields["content-encoding"], gzip.decompress(body)) == ("gzip", LONG)
        status, fields, _ = ask(client, "/200", "gzip", "HEAD")
        assert (status, fields.get("content-encoding"), fields.get("content-length")) == (200, None, "2800")
        for tag, left in [('"strong"', None), ('W~"weak"', 'W/"weak"')]:
            _, fields, _ = ask(client, f"/200/etag={tag}", "gzip")
            assert fields.get("etag") == left
        _, fields, _ = ask(client, "/200/vary=Origin", "gzip")
        assert fields["vary"].replace(" ", "").lower() == "origin,accept-encoding"
        counted = numbers(proxy, "compressor.")
        assert counted["http.test.compressor.gzip.gzip.header_wildcard"] == 2
        assert counted["http.test.compressor.gzip.gzip.header_compressor_used"] == 10
        assert counted["http.test.compressor.gzip.gzip.no_accept_header"] == 1
        assert counted["http.test.compressor.gzip.gzip.content_length_too_small"] == 1
        assert counted["http.test.compressor.br.brotli.compressed"] == 2
        assert counted["http.test.compressor.br.brotli.total_uncompressed_bytes"] == 2 * len(TEXT)
        assert counted["http.test.compressor.zstd.zstd.header_compressor_overshadowed"] == 11


@BOTH
def test_requests_are_compressed_and_decompressed_on_their_way(program):
    """A compressor packs what the endpoint gets, a decompressor unpacks what came, and tells the endpoint what it takes."""
    def telling(peer):
        while True:
            head, body = peer.request()
            told = re.search(rb"\r\ncontent-encoding: *([^\r]+)", head, re.I)
            accepts = re.search(rb"\r\naccept-encoding: *([^\r]+)", head, re.I)
            peer.answer(b"|".join([told.group(1) if told else b"-", accepts.group(1) if accepts else b"-", body]))

    hides = {"response_direction_config": {"remove_accept_encoding_header": True}, "request_direction_config": {}}
    off = {"typed_per_filter_config": {"packs": {"@type": PER_ROUTE, "disabled": True}}}
    with Origin(telling) as origin, \
            chain(program, origin.port, {**compressor("gzip"), "name": "packs"}, {**compressor("br"), **{"typed_config": {
                **compressor("br")["typed_config"], **hides}}},
                routes=[{**route(prefix="/off"), **off}, route()]) as (_, packs), \
            chain(program, origin.port, decompressor("gzip"), decompressor("br"), decompressor("zstd")) as (proxy, unpacks):
        with Client(packs) as client:
            told, accepts, body = post(client, TEXT, "accept-encoding: x-none\r\n")[2].split(b"|", 2)
            assert (told, accepts, brotli.decompress(body)) == (b"br", b"-", TEXT)
            assert post(client, b"short")[2] == b"-|-|short"
            assert post(client, TEXT, "content-encoding: x-own\r\n")[2] == b"x-own|-|" + TEXT
            assert post(client, TEXT, chunks=100)[2].split(b"|", 2)[0] == b"br"
        with Client(unpacks) as client:
            for coding, pack in PACK.items():
                for chunks in (0, 50):
                    told, accepts, body = post(client, pack(TEXT), f"content-encoding: {coding}\r\n", chunks)[2].split(b"|", 2)
                    assert (told, body) == (b"-", TEXT)
                    assert set(accepts.replace(b" ", b"").split(b",")) == {b"gzip", b"br", b"zstd"}
            told, _, body = post(client, TEXT, "content-encoding: x-own\r\n")[2].split(b"|", 2)
            assert (told, body) == (b"x-own", TEXT)
        counted = numbers(proxy, "decompressor.")
        assert counted["http.test.decompressor.gzip.gzip.request.decompressed"] == 2
        assert counted["http.test.decompressor.gzip.gzip.request.total_uncompressed_bytes"] == 2 * len(TEXT)


@BOTH
def test_answers_are_decompressed_and_flow_on_in_pieces(program):
    """What the endpoint packed arrives plain; an event arrives before the next one is made, packed or not."""
    go = threading.Semaphore(0)

    def packed(peer):
        while True:
            head, _ = peer.request()
            kind = head.split(b" ")[1].decode().strip("/")
            if kind in PACK:
                peer.answer(PACK[kind](TEXT), fields=f"content-encoding: {kind}\r\n".encode())
                continue
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
            for event in (b"data: one\n\n", b"data: two\n\n"):
                peer.send(b"%x\r\n%s\r\n" % (len(event), event))
                assert go.acquire(timeout=10)
            peer.send(b"0\r\n\r\n")

    with Origin(packed) as origin, \
            chain(program, origin.port, decompressor("gzip"), decompressor("br"), decompressor("zstd")) as (_, plain), \
            chain(program, origin.port, compressor("gzip")) as (_, packs):
        with Client(plain) as client:
            for coding in PACK:
                status, fields, body = ask(client, f"/{coding}")
                assert (status, body, fields.get("content-encoding")) == (200, TEXT, None)
        with Client(packs) as client:
            client.send("GET /events HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
            assert b"content-encoding: gzip" in client.until(b"\r\n\r\n").lower()
            unpack, seen = zlib.decompressobj(31), b""
            for event in (b"data: one\n\n", b"data: two\n\n"):
                while not seen.endswith(event):
                    size = int(client.until(b"\r\n"), 16)
                    seen += unpack.decompress(client.exactly(size))
                    client.exactly(2)
                go.release()
            assert seen == b"data: one\n\ndata: two\n\n"


def test_corrupt_bodies_and_bombs_are_stopped():
    """400 for a client's, 502 for an endpoint's before anything of it went on, a cut answer after that."""
    zeros = bytes(8 << 20)
    go = threading.Semaphore(0)
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(TEXT) + packer.flush(zlib.Z_SYNC_FLUSH)
    bombs = {coding: pack(zeros) for coding, pack in PACK.items()}

    def sends(peer):
        while True:
            head, body = peer.request()
            kind = head.split(b" ")[1].decode().strip("/").split("/")
            if kind[0] == "late":
                peer.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
                          b"%x\r\n%s\r\n" % (len(first), first))
                assert go.acquire(timeout=10)
                peer.send(b"9\r\nno stream\r\n0\r\n\r\n")
                continue
            data = {"bad": b"this is no stream of any coding at all", "cut": PACK["gzip"](TEXT)[:-9], "bomb": bombs.get(kind[-1]),
                    "echo": body}[kind[0]]
            coding = kind[-1] if kind[0] != "echo" else "identity"
            peer.answer(data, fields=f"content-encoding: {coding}\r\n".encode())

    with Origin(sends) as origin, \
            chain(Proxy, origin.port, decompressor("gzip"), decompressor("br"), decompressor("zstd")) as (proxy, port):
        for coding in PACK:
            for data in (b"this is no stream of any coding", bombs[coding]):
                with Client(port) as client:
                    assert post(client, data, f"content-encoding: {coding}\r\n", path="/echo")[0] == 400
            with Client(port) as client:
                assert ask(client, f"/bad/{coding}")[0] == 502
            with Client(port) as client:
                assert ask(client, f"/bomb/{coding}")[0] == 502
        with Client(port) as client:
            assert ask(client, "/cut/gzip")[0] == 502
        with Client(port) as client:
            client.send("GET /late HTTP/1.1\r\nhost: a\r\n\r\n")
            assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
            go.release()
            rest = client.rest()
            assert not rest.endswith(b"0\r\n\r\n") and b"no stream" not in rest
        with Client(port) as client:
            assert post(client, PACK["gzip"](TEXT), "content-encoding: gzip\r\n", path="/echo")[2] == TEXT
        counted = numbers(proxy, "decompressor.")
        assert counted["http.test.decompressor.br.brotli.request.corrupt"] == 1
        assert counted["http.test.decompressor.br.brotli.request.too_large"] == 1
        assert counted["http.test.decompressor.zstd.zstd.response.too_large"] == 1
