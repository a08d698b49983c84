"""HTTP/1 through the proxy: framing, reuse, streaming, routing, rewriting, upgrades."""

import contextlib
import threading

import pytest

from proxykit import (Client, Origin, Proxy, cluster, echo, eventually, free_port, get, http_filter, listener,
                      route, serving, simple_proxy)


def test_a_request_and_its_answer_pass():
    with Origin(serving(b"hello")) as origin, simple_proxy(origin.port) as (_, port):
        status, fields, body = get(port, "/x?y=z", "Accept: */*\r\n", host="shop:80")
        assert (status, body) == (200, b"hello")
        assert fields["content-length"] == "5" and fields["connection"] == "close" and "date" in fields
        head = origin.bytes.decode()
        assert head.startswith("GET /x?y=z HTTP/1.1\r\nhost: shop:80\r\n")
        assert "Accept: */*" in head and "onnection" not in head and "x-forwarded-proto: http" in head


def test_both_sides_keep_their_connections():
    with Origin(serving()) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        for _ in range(50):
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[0] == 200
        assert len(origin.received) == 1


def test_pipelined_requests_are_answered_in_order():
    def behaviour(peer):
        while True:
            head, _ = peer.request()
            peer.answer(head.split(b" ")[1])
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("".join(f"GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(100)))
        assert [client.response()[2] for _ in range(100)] == [f"/{n}".encode() for n in range(100)]


def test_pipelined_direct_answers_come_in_order():
    port = free_port()
    routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "direct"}}}]
    with Proxy([listener(port, http_filter(routes))], []), Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 200)
        assert all(client.response()[2] == b"direct" for _ in range(200))


def test_a_head_may_come_byte_by_byte():
    with Origin(serving()) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"y" * 100 + b"\r\n\r\n":
            client.send(bytes([byte]))
        assert client.response()[0] == 200
        assert b"y" * 100 in origin.bytes


@pytest.mark.parametrize("size", [0, 1, 100, 16_000, 65_536, 200_000, 5_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_request_bodies_arrive_whole(size, chunked):
    body = bytes(n % 251 for n in range(size))
    with Origin(echo) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        for _ in range(2):
            if chunked:
                client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")

                def sender():
                    for start in range(0, size, 7777):
                        piece = body[start:start + 7777]
                        client.send(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
                    client.send(b"0\r\n\r\n")
            else:
                client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")

                def sender():
                    client.send(body)
            thread = threading.Thread(target=sender)
            thread.start()
            status, _, answer = client.response()
            thread.join()
            assert status == 200 and (answer == body) is True
        assert b"ext=1" not in origin.bytes[:2000]


@pytest.mark.parametrize("size", [0, 1, 5000, 65_536, 3_000_000])
@pytest.mark.parametrize("kind", ["length", "chunked", "close"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_response_bodies_arrive_whole(size, kind, version):
    body = bytes(n % 253 for n in range(size))

    def behaviour(peer):
        while True:
            peer.request()
            if kind == "length":
                peer.answer(body)
            elif kind == "chunked":
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for start in range(0, size, 9999):
                    piece = body[start:start + 9999]
                    peer.send(b"%X\r\n%s\r\n" % (len(piece), piece))
                peer.send(b"0\r\n\r\n")
            else:
                peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + body)
                return
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port):
        for _ in range(2):
            with Client(port) as client:
                client.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n")
                status, fields, answer = client.response()
                assert status == 200 and (answer == body) is True
                if version == "1.0":
                    assert "transfer-encoding" not in fields
                    assert client.is_closed()


def test_a_slow_reader_holds_the_origin_back_and_gets_everything():
    body = bytes(range(251)) * (48 * 4177)
    sent = []

    def behaviour(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
        view = memoryview(body)
        for start in range(0, len(body), 1 << 16):
            peer.connection.sendall(view[start:start + (1 << 16)])
            sent.append(start)
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until(b"\r\n\r\n")
        seen = -1
        # The origin comes to a halt long before it has sent everything.
        while len(sent) != seen:
            seen = len(sent)
            threading.Event().wait(0.3)
        assert seen < len(body) // (1 << 16) // 2
        assert client.exactly(len(body)) == body, "the bytes differ"


def test_long_bodies_of_many_clients_do_not_mix():
    size = 3_000_000

    def behaviour(peer):
        while True:
            peer.answer(peer.request()[0].split()[1][1:2] * size)
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), contextlib.ExitStack() as stack:
        clients = {letter: stack.enter_context(Client(port)) for letter in "abcdef"}
        for _ in range(2):
            for letter, client in clients.items():
                client.send(f"GET /{letter} HTTP/1.1\r\nHost: a\r\n\r\n")
            for client in clients.values():  # all have begun before the first is read
                client.until(b"\r\n\r\n")
            for letter, client in clients.items():
                assert (client.exactly(size) == letter.encode() * size) is True


@pytest.mark.parametrize("size", [12, 20_000])
def test_the_last_answer_is_whole_whatever_the_client_still_sends(size):
    with Origin(serving(b"z" * size)) as origin, simple_proxy(origin.port) as (_, port):
        for _ in range(5):
            with Client(port) as client:
                client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                client.send("\r\n\r\n")
                status, _, body = client.response()
                assert (status, body == b"z" * size) == (200, True)
                assert client.is_closed()


def test_answers_without_a_body_are_not_waited_for():
    def behaviour(peer):
        while True:
            head, _ = peer.request()
            path = head.split(b" ")[1]
            if head.startswith(b"HEAD"):
                peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            elif path == b"/204":
                peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                peer.send(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\netag: x\r\n\r\n")
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        status, fields, _ = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").response(to_head=True)
        assert (status, fields["content-length"]) == (200, "1000")
        status, fields, _ = client.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n").response()
        assert status == 204 and "content-length" not in fields
        assert client.send("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n").response()[0] == 304
        assert client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").response(to_head=True)[0] == 200
        assert len(origin.received) == 1


def test_100_continue_goes_through():
    def behaviour(peer):
        peer.until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert peer.exactly(5) == b"hello"
        peer.answer(b"got it")
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.send("hello").response()[2] == b"got it"


def test_an_early_final_answer_to_an_expecting_client_closes():
    def behaviour(peer):
        peer.until(b"\r\n\r\n")
        peer.answer(b"no", status="417 Expectation Failed")
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        status, _, _ = client.response()
        assert status == 417
        assert client.is_closed()


def test_an_early_answer_reaches_a_client_that_still_sends():
    def behaviour(peer):
        peer.until(b"\r\n\r\n")
        peer.answer(b"too large", status="413 Content Too Large", fields=b"connection: close\r\n")
        threading.Event().wait(1)
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + bytes(100_000))
        status, fields, body = client.response()
        assert (status, body, fields["connection"]) == (413, b"too large", "close")


def test_trailers_pass_both_ways_without_framing_fields():
    def behaviour(peer):
        peer.request()
        behaviour.trailers = peer.trailers
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\nContent-Length: 4\r\n\r\n")
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
                    "0\r\nX-Check: 1\r\nContent-Length: 5\r\nHost: b\r\nAuthorization: x\r\n\r\n")
        assert client.response()[2] == b"ok"
        assert client.trailers == b"X-Sum: 9\r\n"
        assert behaviour.trailers == b"X-Check: 1\r\n"


def test_an_old_client_may_keep_its_connection():
    with Origin(serving()) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        for _ in range(2):
            status, fields, _ = client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response()
            assert status == 200 and fields["connection"] == "keep-alive"


def test_a_client_that_ends_its_side_still_gets_its_answer():
    with Origin(serving(b"late")) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").finish()
        assert client.response()[2] == b"late"
        assert client.is_closed()


def test_a_truncated_request_is_never_finished_upstream():
    ended = threading.Event()

    def behaviour(peer):
        try:
            peer.request()
        finally:
            ended.set()
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port):
        with Client(port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
            assert eventually(lambda: b"hel" in origin.bytes)
        assert ended.wait(5)
        assert b"0\r\n\r\n" not in origin.bytes


@pytest.mark.parametrize("piece", [b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
                                   b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf"])
def test_a_truncated_answer_is_seen_to_be_truncated(piece):
    def behaviour(peer):
        peer.request()
        peer.send(piece)
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            client.response()


def test_bytes_behind_an_answer_never_reach_the_next_client():
    def behaviour(peer):
        while True:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        for _ in range(3):
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"ok"
        assert len(origin.received) == 3


@pytest.mark.parametrize("answer", [
    b"garbage\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x16\x03\x01\x00", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n",
    b"HTTP/1.1 103 Early\r\n\r\n" * 100, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
])
def test_an_answer_that_is_no_http_becomes_502(answer):
    def behaviour(peer):
        peer.request()
        peer.send(answer)
        threading.Event().wait(2)
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port):
        status, fields, body = get(port)
        assert status == 502 and "upstream_protocol_error" in fields["x-weft-reason"] and body


def test_hop_by_hop_fields_stay_on_their_hop():
    def behaviour(peer):
        while True:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: X-Up, keep-alive\r\nX-Up: 1\r\n"
                      b"Keep-Alive: timeout=5\r\nX-Stays: 1\r\n\r\n")
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Secret, Authorization, Cookie\r\nX-Secret: 1\r\n"
                    "Authorization: token\r\nCookie: c\r\nTE: trailers\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\n"
                    "Upgrade: h2c\r\nHTTP2-Settings: x\r\nX-Other: 1\r\n\r\n")
        _, fields, _ = client.response()
        assert "x-up" not in fields and "keep-alive" not in fields and fields["x-stays"] == "1"
        head = origin.bytes.decode().lower()
        for name in ("x-secret", "te:", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "connection"):
            assert f"\n{name}" not in head, name
        assert "authorization: token" in head and "cookie: c" in head and "x-other: 1" in head


def test_an_absolute_target_wins_over_host():
    with Origin(serving()) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send("GET http://real:81/x HTTP/1.1\r\nHost: other\r\n\r\n").response()
        assert origin.bytes.startswith(b"GET /x HTTP/1.1\r\nhost: real:81\r\n")
        assert b"other" not in origin.bytes


def test_paths_are_normalised_once_for_routing_and_upstream():
    routes = [{"match": {"prefix": "/admin"}, "direct_response": {"status": 403}}, route()]
    with Origin(serving()) as origin:
        port = free_port()
        with Proxy([listener(port, http_filter(routes, normalize_path=True, merge_slashes=True))],
                   [cluster("origin", origin.port)]):
            for path in ("/admin", "/%2e%2e/admin", "//admin", "/x/../admin", "/%61dmin", "/./admin"):
                assert get(port, path)[0] == 403, path
            assert get(port, "/a//b/../c?d=//..")[0] == 200
            assert b"GET /a/c?d=//.. HTTP/1.1" in origin.bytes
            for path in ("/a%00b", "/%c0%ae", "/a\\b"):
                assert get(port, path)[0] == 400, path


def websocket(peer):
    head = peer.until(b"\r\n\r\n")
    assert b"upgrade: websocket" in head and b"connection: upgrade" in head
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\nfirst")
    while True:
        piece = peer.connection.recv(1000)
        if not piece:
            break
        peer.send(b"<" + piece + b">")
    peer.send(b"bye")


UPGRADE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {0}\r\nSec-WebSocket-Version: 13\r\n\r\n".format(
    "dGhlIHNhbXBsZSBub25jZQ==")


def test_a_websocket_becomes_a_tunnel_after_101():
    with Origin(websocket) as origin:
        with simple_proxy(origin.port, upgrade_configs=[{"upgrade_type": "websocket"}]) as (_, port):
            with Client(port) as client:
                client.send(UPGRADE)
                head = client.until(b"\r\n\r\n").lower()
                assert b" 101 " in head and b"upgrade: websocket" in head and b"x-a: 1" in head
                assert client.exactly(5) == b"first"
                for _ in range(10):
                    assert client.send("ping").exactly(6) == b"<ping>"
                assert client.finish().rest() == b"bye"


def test_a_refused_upgrade_opens_no_tunnel():
    def behaviour(peer):
        while True:
            head, _ = peer.request()
            peer.answer(head.split(b" ")[1], status="200 OK")
    with Origin(behaviour) as origin:
        with simple_proxy(origin.port, upgrade_configs=[{"upgrade_type": "websocket"}]) as (_, port):
            with Client(port) as client:
                client.send(UPGRADE + "GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.response()[2] == b"/"
                # The bytes behind the request were read as a request, not tunnelled.
                assert client.response()[2] == b"/second"


def test_an_upgrade_that_is_not_allowed_is_refused():
    with Origin(serving()) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        assert client.send(UPGRADE).response()[0] == 403
        assert origin.bytes == b""


def test_routes_by_host_path_header_query_and_method():
    def named(name):
        return Origin(serving(name.encode()))
    with named("a") as a, named("b") as b, named("c") as c:
        port = free_port()
        hosts = [
            {"name": "b", "domains": ["b.com", "*.b.com"], "routes": [
                {"match": {"prefix": "/", "headers": [{"name": "x-c", "string_match": {"exact": "1"}}]},
                 "route": {"cluster": "c"}},
                {"match": {"path": "/exact"}, "route": {"cluster": "a"}},
                {"match": {"prefix": "/", "query_parameters": [{"name": "v", "string_match": {"exact": "2"}}]},
                 "route": {"cluster": "c"}},
                {"match": {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "DELETE"}}]},
                 "route": {"cluster": "a"}},
                {"match": {"path_separated_prefix": "/api"}, "route": {"cluster": "c", "prefix_rewrite": "/v1"}},
                route("b")]},
            {"name": "rest", "domains": ["*"], "routes": [route("a", prefix="/yes")]}]
        clusters = [cluster("a", a.port), cluster("b", b.port), cluster("c", c.port)]
        with Proxy([listener(port, http_filter([], virtual_hosts=hosts))], clusters):
            assert get(port, host="b.com")[2] == b"b"
            assert get(port, host="x.b.com")[2] == b"b"
            assert get(port, host="B.COM")[2] == b"b"
            assert get(port, host="b.com", fields="X-C: 1\r\n")[2] == b"c"
            assert get(port, "/exact", host="b.com")[2] == b"a"
            assert get(port, "/exact/more", host="b.com")[2] == b"b"
            assert get(port, "/x?v=2", host="b.com")[2] == b"c"
            assert get(port, "/api/z?q=1", host="b.com")[2] == b"c"
            assert b"GET /v1/z?q=1 HTTP/1.1" in c.bytes
            assert get(port, "/apiary", host="b.com")[2] == b"b"
            assert get(port, "/yes", host="other")[2] == b"a"
            status, fields, _ = get(port, "/no", host="other")
            assert status == 404 and "route_not_found" in fields["x-weft-reason"]


def test_redirects_direct_answers_and_header_changes():
    routes = [
        {"match": {"prefix": "/old"}, "redirect": {"path_redirect": "/new", "response_code": "FOUND"}},
        {"match": {"prefix": "/tea"}, "direct_response": {"status": 418, "body": {"inline_string": "short and stout"}}},
        route({"cluster": "origin", "host_rewrite_literal": "inner"},
              request_headers_to_add=[{"header": {"key": "x-added", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
                                       "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
              request_headers_to_remove=["x-gone"],
              response_headers_to_add=[{"header": {"key": "x-served", "value": "yes"}}],
              response_headers_to_remove=["x-internal"])]
    with Origin(serving(fields=b"X-Internal: 1\r\nX-Kept: 1\r\n")) as origin:
        port = free_port()
        with Proxy([listener(port, http_filter(routes))], [cluster("origin", origin.port)]):
            status, fields, _ = get(port, "/old/x", host="h")
            assert (status, fields["location"]) == (302, "http://h/new")
            assert get(port, "/tea")[::2] == (418, b"short and stout")
            _, fields, _ = get(port, fields="X-Gone: 1\r\nX-Added: fake\r\nX-Stays: 2\r\n")
            assert fields["x-served"] == "yes" and "x-internal" not in fields and fields["x-kept"] == "1"
            head = origin.bytes.decode()
            assert "\r\nhost: inner\r\n" in head and "x-added: 127.0.0.1\r\n" in head and "X-Stays: 2" in head
            assert "X-Gone" not in head and "fake" not in head


def test_weighted_clusters_share_by_weight():
    with Origin(serving(b"a")) as a, Origin(serving(b"b")) as b:
        action = {"weighted_clusters": {"clusters": [{"name": "a", "weight": 80}, {"name": "b", "weight": 20}]}}
        port = free_port()
        with Proxy([listener(port, http_filter([route(action)]))], [cluster("a", a.port), cluster("b", b.port)]):
            with Client(port) as client:
                answers = [client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] for _ in range(1000)]
            assert 120 < answers.count(b"b") < 290


def test_slow_heads_are_cut_off_by_one_deadline():
    with Origin(serving()) as origin:
        with simple_proxy(origin.port, request_headers_timeout="0.3s") as (_, port), Client(port) as client:
            client.send("GET / HTTP/1.1\r\n")
            for _ in range(20):
                try:
                    client.send("X: y\r\n")
                except OSError:
                    break
                threading.Event().wait(0.05)
            assert client.rest().startswith(b"HTTP/1.1 408 ")


def test_large_heads_are_refused():
    with Origin(serving()) as origin, simple_proxy(origin.port) as (_, port):
        with Client(port) as client:
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 200 + "\r\n").response()[0] == 431
        with Client(port) as client:
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + "y" * 30_000 + "\r\n\r\n").response()[0] == 200
        with Client(port) as client:
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + "y" * 90_000).response()[0] == 431
