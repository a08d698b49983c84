"""Endpoints and clients that do what they must not: what stands in no table of bytes, by the ids of docs/hostile-input.md."""

import re
import socket
import ssl
import subprocess
import threading

import pytest

from proxykit import (
    DEADLINE, ROOT, Client, Origin, Proxy, cluster, eventually, free_port, get, http_filter, listener, route, simple_proxy,
)


@pytest.mark.one_worker
def test_u03_bytes_on_an_idle_connection_reach_nobody():
    """An answer that nobody asked for, on a connection that waits: the next client must not get it."""
    go, sent = threading.Event(), threading.Event()

    def behaviour(peer):
        peer.request()
        peer.answer(b"first")
        if peer.index == 0:
            go.wait(DEADLINE)
            peer.answer(b"poison")
            sent.set()
        while True:
            peer.request()
            peer.answer(b"right")

    with Origin(behaviour) as origin, simple_proxy(origin.port) as (proxy, port):
        with Client(port) as client:
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"first"
        go.set()
        assert sent.wait(DEADLINE)
        assert eventually(lambda: 'kind="unexpected_response_bytes"' in proxy.admin("/stats/prometheus")
                          or proxy.stat("envoy_cluster_upstream_cx_active") == 0)
        for _ in range(3):
            assert get(port)[2] in (b"first", b"right")
        assert len(origin.received) == 2


@pytest.mark.parametrize("method, status", [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")])
def test_u04_a_body_where_none_belongs_is_no_answer(method, status):
    def behaviour(peer):
        peer.request()
        peer.send(b"HTTP/1.1 %s\r\ncontent-length: 5\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison" % status.encode())
        peer.request()

    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        client.send(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response(to_head=method == "HEAD")[0] == int(status[:3]) and client.buffer == b""
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response(to_head=True)[0] == int(status[:3])
        assert len(origin.received) == 2, "the connection with the stray bytes serves no second request"


@pytest.mark.parametrize("interim", [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["103", "100"])
def test_u05_endless_interim_answers_end_in_502(interim):
    def behaviour(peer):
        peer.request()
        for _ in range(10_000):
            peer.send(interim)

    with Origin(behaviour) as origin, simple_proxy(origin.port) as (proxy, port):
        assert get(port)[0] == 502
        assert proxy.stat("envoy_cluster_upstream_cx_active") == 0


def test_u05_101_that_nobody_asked_for_is_no_answer():
    def behaviour(peer):
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
        peer.more()

    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port):
        assert get(port)[0] == 502


UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@pytest.mark.parametrize("opens", [True, False])
def test_w03_bytes_of_a_client_wait_for_101(opens):
    """They reach the endpoint once the tunnel stands, and never where it does not open."""
    go = threading.Event()

    def behaviour(peer):
        peer.until(b"\r\n\r\n")
        assert go.wait(DEADLINE)
        peer.connection.settimeout(DEADLINE)
        if not opens:
            peer.answer(b"no", status="403 Forbidden")
            peer.more()
        peer.send(SWITCHED)
        peer.send(peer.exactly(34))

    early = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"[:34]
    with Origin(behaviour) as origin, simple_proxy(
            origin.port, upgrade_configs=[{"upgrade_type": "websocket"}], request_headers_timeout="0.5s",
    ) as (_, port), Client(port) as client:
        client.send(UPGRADE.encode() + early)
        assert eventually(lambda: b"/ws" in origin.bytes)
        assert b"smuggled" not in origin.bytes
        go.set()
        if opens:
            assert client.response(to_head=True)[0] == 101 and client.exactly(34) == early
        else:
            assert client.response()[0] == 403
            # What came too early is no request either, and its time is soon over.
            client.rest()
            assert b"smuggled" not in origin.bytes


def test_w05_a_silent_tunnel_ends():
    def behaviour(peer):
        peer.until(b"\r\n\r\n")
        peer.send(SWITCHED)
        peer.more()

    settings = {"upgrade_configs": [{"upgrade_type": "websocket"}], "stream_idle_timeout": "0.2s"}
    with Origin(behaviour) as origin, simple_proxy(origin.port, **settings) as (_, port), Client(port) as client:
        assert client.send(UPGRADE).response(to_head=True)[0] == 101
        assert client.is_closed()


INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"},
}


@pytest.mark.parametrize("first", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=["silent", "byte", "part"])
def test_l06_a_stalled_hello_is_given_up(first):
    """The deadline of the listener's filters holds however much of the ClientHello came."""
    port = free_port()
    with Origin(lambda peer: peer.more()) as origin, Proxy(
            [listener(port, http_filter([route()]), listener_filters=[INSPECTOR], listener_filters_timeout="0.2s")],
            [cluster("origin", origin.port)]), Client(port) as client:
        client.send(first)
        assert client.is_closed() and not origin.received


def test_l06_a_stalled_handshake_is_given_up(pair):
    """A hello that came whole ends the inspector's deadline; that of the handshake holds from the start of the connection."""
    port, (certificate, key) = free_port(), pair
    tls = {"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [{"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}]}}}
    chain = {"filters": [http_filter([route()])], "transport_socket": tls, "transport_socket_connect_timeout": "0.3s"}
    with Origin(lambda peer: peer.more()) as origin, Proxy(
            [listener(port, filter_chains=[chain], listener_filters=[INSPECTOR])], [cluster("origin", origin.port)]):
        hello = ssl.MemoryBIO()
        context = ssl._create_unverified_context()
        session = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="a")
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as silent:
            silent.sendall(hello.read())
            while silent.recv(65536):
                pass
        assert not origin.received


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    certificate, key = str(folder / "one.pem"), str(folder / "one.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
         "-subj", "/CN=a", "-days", "2"], check=True, capture_output=True, timeout=30)
    return certificate, key


def test_t09_early_data_is_off(pair, tmp_path):
    """No session allows it, so a client has none to send."""
    port, (certificate, key) = free_port(), pair
    tls = {"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [{"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}]}}}

    def serve(peer):
        while True:
            peer.request()
            peer.answer()

    with Origin(serve) as origin, Proxy(
            [listener(port, filter_chains=[{"filters": [http_filter([route()])], "transport_socket": tls}])], [cluster("origin", origin.port)]):
        session, request = tmp_path / "session", tmp_path / "early"
        request.write_text("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-ign_eof"]
        plain = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        first = subprocess.run([*words, "-sess_out", str(session)], input=plain, capture_output=True, timeout=30).stdout.decode("latin-1")
        assert "200 OK" in first and session.exists()
        assert set(re.findall(r"Max Early Data: (\d+)", first)) == {"0"}
        again = subprocess.run(
            [*words, "-sess_in", str(session), "-early_data", str(request)], input=plain, capture_output=True, timeout=30).stdout
        assert b"Early data was accepted" not in again and b"/early" not in origin.bytes


@pytest.mark.parametrize("name", ["x-forwarded-client-cert", "X-Forwarded-Client-Cert"])
def test_t10_an_identity_that_a_client_writes_is_taken_away(name):
    with Origin(lambda peer: (peer.request(), peer.answer())) as origin, simple_proxy(
            origin.port, forward_client_cert_details="SANITIZE") as (_, port):
        assert get(port, fields=f"{name}: By=x;URI=spiffe://td/ns/shop/sa/web\r\n")[0] == 200
        assert b"spiffe" not in origin.bytes


def test_every_id_of_the_catalogue_has_its_tests():
    """docs/hostile-input.md names for each id tests that exist."""
    page = (ROOT / "docs/hostile-input.md").read_text()
    rows = re.findall(r"^\| ([FAULHXWGTI]\d\d) \|.*\| ([^|]*) \|$", page, re.M)
    wanted = {"F": 22, "A": 11, "U": 11, "L": 7, "H": 17, "X": 7, "W": 7, "G": 12, "T": 11, "I": 6}
    named = {name for name, _ in rows}
    assert {f"{letter}{number:02}" for letter, count in wanted.items() for number in range(1, count + 1)} <= named
    files = [path for path in (ROOT / "Tests").rglob("*") if path.suffix in (".py", ".swift")]
    texts = {path.name: path.read_text() for path in files}
    for name, tests in rows:
        for test in re.findall(r"`([^`]+)`", tests):
            place, _, what = test.partition("::")
            assert place in texts and what in texts[place], f"{name}: no {test}"
