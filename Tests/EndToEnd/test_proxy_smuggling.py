"""Hostile requests through the whole proxy: the origin sees nothing of them, or exactly one well-formed request."""


import pytest

from proxykit import Client, Origin, Proxy, cluster, free_port, http_filter, listener, route, serving, simple_proxy

G = "GET / HTTP/1.1\r\nHost: a\r\n"
P = "POST / HTTP/1.1\r\nHost: a\r\n"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
U = "{0} / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {1}\r\n{2}\r\n"
HIDDEN = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

REFUSED = {
    "F01 CL.TE": P + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "F02 TE.CL": P + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + HIDDEN + "0\r\n\r\n",
    "F06 two lengths": P + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "F06 same lengths": P + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "F06 list": P + "Content-Length: 5, 5\r\n\r\nhello",
    **{f"F07 {value!r}": P + f"Content-Length: {value}\r\n\r\nhello" for value in (
        "+5", "-0", "-1", "0x5", "5 5", "5_0", "5;", "1e1", "", "12345678901234567890")},
    **{f"F08 {value!r}": P + f"Transfer-Encoding: {value}\r\n\r\n0\r\n\r\n" for value in (
        "xchunked", "identity", "gzip", "chunked, gzip", "chunked;x=1", ",chunked", "chunked,", '"chunked"',
        "\x0bchunked", "chunked\x00", "", "chunked, chunked", "gzip, chunked", "chunked\r\nTransfer-Encoding: chunked")},
    "F09 space": P + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "F09 tab": P + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "F09 leading": P + " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "F09 underscore": P + "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
    "F10 old": "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "F16 bare LF": "GET / HTTP/1.1\nHost: a\n\n",
    "F16 mixed": "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "F17 CR": G + "X: a\rB: c\r\n\r\n",
    "F17 NUL": G + "X: a\x00b\r\n\r\n",
    "F17 CR only": "GET / HTTP/1.1\rHost: a\r\r",
    "F18 fold": G + "X: a\r\n b\r\n\r\n",
    "F18 fold TE": P + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "F19 no colon": G + "nothing\r\n\r\n",
    "F19 no name": G + ": x\r\n\r\n",
    "F19 high": G + "X\xe9: a\r\n\r\n",
    "F19 first": "GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n",
    **{f"F20 {line!r}": line + "\r\nHost: a\r\n\r\n" for line in (
        "GET  / HTTP/1.1", "GET\t/ HTTP/1.1", "GET HTTP/1.1", "GET /\nHTTP/1.1", "GET / http/1.1", "GET / HTTP/1.10",
        "GET / HTTP/01.1", "GET / HTTP/2.0", "G@T / HTTP/1.1", "A" * 33 + " / HTTP/1.1", "GET /")},
    "A01 none": "GET / HTTP/1.1\r\n\r\n",
    "A01 two": G + "Host: a\r\n\r\n",
    **{f"A01 {host!r}": f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n" for host in ("a, b", "u@a", "a/b", "", "a:b", "a b")},
    **{f"A03 {target!r}": f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n" for target in (
        "/x#y", "http://u:p@a/", "*", "/\xe9", "x", "ftp://a/")},
    "A03 CONNECT": "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
    "A03 CONNECT other": "CONNECT a:443 HTTP/1.1\r\nHost: b\r\n\r\n",
    "A04 CONNECT": "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nearly",
    "A09 slash": "GET /admin%2fx HTTP/1.1\r\nHost: a\r\n\r\n",
    "A09 backslash": "GET /\\admin HTTP/1.1\r\nHost: a\r\n\r\n",
    "A09 overlong": "GET /%c0%ae HTTP/1.1\r\nHost: a\r\n\r\n",
    "A09 nul": "GET /admin%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "F05 expectation": P + "Expect: x\r\nContent-Length: 1\r\n\r\nx",
    **{f"W01 key {key!r}": U.format("GET", key, "Sec-WebSocket-Version: 13\r\n") for key in (
        "", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQQQ", "dGhlIHNhbXBsZSBub25jZ!==",
        KEY + "\r\nSec-WebSocket-Key: " + KEY)},
    **{f"W01 version {more!r}": U.format("GET", KEY, more) for more in (
        "", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n")},
    "W01 method": U.format("POST", KEY, "Sec-WebSocket-Version: 13\r\n"),
    "W01 body": U.format("GET", KEY, "Sec-WebSocket-Version: 13\r\nContent-Length: 3\r\n") + "abc",
    "L01 target": "GET /" + "a" * 20_000 + " HTTP/1.1\r\nHost: a\r\n\r\n",
    "L02 fields": G + "X: y\r\n" * 150 + "\r\n",
}

# The framing is bad after the head: a part of the request may have gone, its end never.
BAD_CHUNKS = ["0x5\r\nhello", "+5\r\nhello", "-5\r\n", "5_\r\nhello", " 5\r\nhello", "5 \r\nhello", "\r\n", "G\r\n", "5junk\r\nhello",
              "FFFFFFFFFFFFFFFFF\r\n", "10000000000000005\r\nhello", "5;\nhello", "2\r\r;a", "5;a\x00\r\nhello",
              "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "0\r\nX:POST /\n\r\n", "5\nhello\r\n0\r\n\r\n",
              "5;" + "a" * 70_000]


@pytest.fixture(scope="module")
def field():
    """One proxy with a recording origin for all the bytes."""
    with Origin(serving()) as origin:
        with simple_proxy(origin.port, normalize_path=True, merge_slashes=True) as (proxy, port):
            yield proxy, port, origin


@pytest.mark.parametrize("name", REFUSED)
def test_refused_requests_never_reach_the_origin(field, name):
    proxy, port, origin = field
    before = origin.bytes
    with Client(port) as client:
        client.send(REFUSED[name] + HIDDEN)
        status, fields, body = client.response()
        assert status in (400, 403, 405, 408, 414, 417, 426, 431, 501, 505)
        assert fields["connection"] == "close" and fields["x-weft-reason"] and body
        assert client.rest() == b"", "something was answered after the refusal"
    assert origin.bytes == before
    assert proxy.process.poll() is None


@pytest.mark.parametrize("chunks", BAD_CHUNKS, ids=[chunk[:20].encode().hex() for chunk in BAD_CHUNKS])
def test_bad_chunks_end_the_request(field, chunks):
    _, port, origin = field
    before = len(origin.bytes)
    with Client(port) as client:
        try:
            client.send(P + "Transfer-Encoding: chunked\r\n\r\n").send(chunks + "\r\n\r\n").send(HIDDEN)
        except OSError:
            pass
        data = client.rest()
    seen = origin.bytes[before:]
    assert data == b"" or data.startswith(b"HTTP/1.1 400 ")
    assert data.count(b"HTTP/1.1 ") <= 1
    assert b"hidden" not in seen
    assert not seen.endswith(b"0\r\n\r\n"), "a malformed request was finished upstream"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "POST"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_f03_f22_bodies_stay_bodies_whatever_the_method(field, method, framing):
    _, port, origin = field
    # A path of its own: bytes of requests before may arrive only now.
    path = f"/x-{method}-{framing}"
    start = f"{method} {path} HTTP/1.1\r\nHost: a\r\n"
    if framing == "length":
        message = start + f"Content-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}"
    else:
        message = start + f"Transfer-Encoding: chunked\r\n\r\n{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n"
    with Client(port) as client:
        client.send(message)
        assert client.response(to_head=method == "HEAD")[0] == 200
        client.send(message)
        assert client.response(to_head=method == "HEAD")[0] == 200
    line = f"{method} {path} HTTP/1.1".encode()
    heads = [rest.split(b"\r\n\r\n")[0].lower() for rest in bytes(origin.bytes).split(line)[1:]]
    assert len(heads) == 2
    length, chunked = b"content-length: %d" % len(HIDDEN), b"transfer-encoding: chunked"
    for head in heads:
        assert (length in head, chunked in head) == (framing == "length", framing == "chunked"), head


def test_f21_a_bad_request_in_a_pipeline_ends_it(field):
    _, port, origin = field
    before = len(origin.bytes)
    with Client(port) as client:
        good = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
        client.send(good * 3 + "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n" + good)
        assert [client.response()[0] for _ in range(4)] == [200, 200, 200, 400]
        assert client.rest() == b""
    assert origin.bytes[before:].count(b"GET /good") == 3


def test_f07_lengths_are_written_anew(field):
    _, port, origin = field
    before = len(origin.bytes)
    with Client(port) as client:
        assert client.send(P + "Content-Length: 0005\r\n\r\nhello").response()[0] == 200
    assert b"content-length: 5\r\n" in origin.bytes[before:]


def test_f04_a_direct_answer_leaves_no_body_to_be_read_as_a_request():
    routes = [{"match": {"prefix": "/static"}, "direct_response": {"status": 200, "body": {"inline_string": "s"}}}]
    port = free_port()
    with Proxy([listener(port, http_filter(routes))], []):
        with Client(port) as client:
            client.send(f"POST /static HTTP/1.1\r\nHost: a\r\nContent-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}")
            assert client.response()[0] == 200
            assert client.send("GET /static HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"s"
        with Client(port) as client:
            client.send(f"POST /static HTTP/1.1\r\nHost: a\r\nContent-Length: {len(HIDDEN) + 5}\r\n\r\n")
            status, fields, _ = client.response()
            assert (status, fields["connection"]) == (200, "close")
            client.send(HIDDEN)
            assert client.rest() == b""


EARLY = {
    "redirect": ({"redirect": {"path_redirect": "/new"}}, 301),
    "refusal": ({"direct_response": {"status": 403}}, 403),
    "too many": ({"direct_response": {"status": 429, "body": {"inline_string": "slow down"}}}, 429),
    "no endpoint": ({"route": {"cluster": "nobody"}}, 503),
}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("name", EARLY)
def test_f04_the_body_of_a_request_that_is_answered_early_is_never_a_request(early, name, framing):
    port, origin = early
    status = EARLY[name][1]
    head = f"POST /{name.replace(' ', '-')} HTTP/1.1\r\nHost: a\r\n"
    if framing == "length":
        message = head + f"Content-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}"
    else:
        message = head + f"Transfer-Encoding: chunked\r\n\r\n{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n"
    for pieces in ([message], [message[: -len(HIDDEN) // 2], message[-len(HIDDEN) // 2 :]], list(message)):
        before = origin.bytes
        with Client(port) as client:
            try:
                for piece in pieces:
                    client.send(piece)
                client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            except OSError:
                pass
            answer = client.response()
            assert answer[0] == status
            if answer[1].get("connection") == "close":
                assert client.rest() == b"", "bytes behind an early answer were answered"
                assert origin.bytes == before
            else:
                assert client.response()[0] == 200
                assert origin.bytes[len(before):].count(b" HTTP/1.1") == 1
        assert b"hidden" not in origin.bytes


@pytest.fixture(scope="module")
def early():
    routes = [{"match": {"path": f"/{name.replace(' ', '-')}"}, **action} for name, (action, _) in EARLY.items()]
    port = free_port()
    with Origin(serving()) as origin:
        clusters = [cluster("origin", origin.port), cluster("nobody")]
        with Proxy([listener(port, http_filter([*routes, route()]))], clusters):
            yield port, origin


PROTECTED = "X-Forwarded-For, Authorization, Host, Cookie, Content-Length, X-Request-ID, Forwarded, X-Real-IP, Via"


def test_a06_connection_takes_out_what_it_names_but_no_protected_field():
    with Origin(serving()) as origin, simple_proxy(origin.port, use_remote_address=True) as (_, port):
        with Client(port) as client:
            client.send(
                f"POST / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine, {PROTECTED}\r\nConnection: x-too\r\nX-Mine: 1\r\n"
                "X-Too: 2\r\nX-Stays: 3\r\nAuthorization: Basic eDp5\r\nCookie: c=d\r\nVia: 1.1 edge\r\n"
                "X-Forwarded-For: 6.6.6.6\r\nContent-Length: 5\r\n\r\nhello")
            status, fields, _ = client.response()
            assert (status, fields["connection"]) == (200, "close")
        head = origin.bytes.decode().lower()
    assert "x-mine" not in head and "x-too" not in head and "connection:" not in head
    for line in ("host: a", "authorization: basic edp5", "cookie: c=d", "via: 1.1 edge", "x-stays: 3", "content-length: 5",
                 "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"):
        assert head.count(line + "\r\n") == 1, line
    assert head.count("x-request-id: ") == 1 and "6.6.6.6" not in head


BORDER = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Real-IP", "Forwarded"]


def spellings(name):
    swapped = name.swapcase()
    return {name.lower(), name.upper(), swapped, name.replace("-", "_"), swapped.replace("-", "_"), name.replace("-", "_", 1)}


@pytest.mark.parametrize("name", BORDER)
def test_a07_no_spelling_of_a_border_field_comes_from_an_untrusted_client(border, name):
    strict, lenient, origin = border
    for spelling in spellings(name):
        for port in (strict, lenient):
            before = len(origin.bytes)
            with Client(port) as client:
                status, _, _ = client.send(G + f"{spelling}: evil\r\n\r\n").response()
            if "_" in spelling and port == strict:
                assert status == 400
            else:
                assert status == 200 and b"evil" not in origin.bytes[before:], spelling
        with Client(strict) as client:
            assert client.send(G + f"{spelling} : evil\r\n\r\n").response()[0] == 400


@pytest.fixture(scope="module")
def border():
    """Two listeners before one origin: the default, and one that lets underscores in names pass."""
    with Origin(serving()) as origin:
        allows = {"common_http_protocol_options": {"headers_with_underscores_action": "ALLOW"}}
        with simple_proxy(origin.port, use_remote_address=True) as (_, strict):
            with simple_proxy(origin.port, use_remote_address=True, **allows) as (_, lenient):
                yield strict, lenient, origin


def test_a07_other_names_with_underscores_pass_where_they_are_allowed(border):
    _, lenient, origin = border
    with Client(lenient) as client:
        assert client.send(G + "X_Mine: 1\r\n\r\n").response()[0] == 200
    assert b"X_Mine: 1\r\n" in origin.bytes


@pytest.mark.parametrize("fields, status", [
    ("X-Role: evil\r\n", 403), ("X-Role: good\r\nX-Role: evil\r\n", 403), ("X-Role: evil\r\nX-Role: good\r\n", 403),
    ("X-Role: good\r\nX-Other: 1\r\nx-role: evil\r\nX-ROLE: good\r\n", 403), ("X-Role: good\r\n", 200),
    ("X-Role: good, evil\r\n", 200), ("", 200)])
def test_a08_every_value_of_a_field_is_looked_at_and_none_is_joined(fields, status):
    denied = {"match": {"prefix": "/", "headers": [{"name": "x-role", "string_match": {"exact": "evil"}}]},
              "direct_response": {"status": 403}}
    joined = {"match": {"prefix": "/", "headers": [{"name": "x-role", "string_match": {"exact": "good,evil"}}]},
              "direct_response": {"status": 500}}
    port = free_port()
    with Proxy([listener(port, http_filter([joined, denied, {"match": {"prefix": "/"}, "direct_response": {"status": 200}}]))], []):
        with Client(port) as client:
            assert client.send(G + fields + "\r\n").response()[0] == status


FORGED = ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\n"
          "X-Forwarded-Host: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n")


def test_a10_an_untrusted_client_cannot_say_where_it_comes_from():
    with Origin(serving()) as origin, simple_proxy(origin.port, use_remote_address=True) as (_, port):
        with Client(port) as client:
            assert client.send(G + FORGED + "\r\n").response()[0] == 200
        head = origin.bytes.decode().lower()
        assert "x-forwarded-for: 127.0.0.1\r\n" in head and "6.6.6.6" not in head and "/evil" not in head
        assert "x-forwarded-proto: http\r\n" in head and head.count("x-request-id: ") == 1


def test_a10_a_trusted_hop_in_front_is_believed():
    with Origin(serving()) as origin, simple_proxy(origin.port, use_remote_address=True, xff_num_trusted_hops=1) as (_, port):
        with Client(port) as client:
            assert client.send(G + "X-Forwarded-For: 9.9.9.9, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n").response()[0] == 200
        head = origin.bytes.decode().lower()
        assert "x-forwarded-for: 9.9.9.9, 192.0.2.1, 127.0.0.1\r\n" in head and "x-forwarded-proto: https\r\n" in head


def test_w01_an_unknown_version_is_told_the_known_one(field):
    _, port, _ = field
    with Client(port) as client:
        status, fields, _ = client.send(U.format("GET", KEY, "Sec-WebSocket-Version: 25\r\n")).response()
        assert (status, fields["sec-websocket-version"], fields["upgrade"]) == (426, "13", "websocket")
