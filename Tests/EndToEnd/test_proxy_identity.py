"""What endpoints are told of the client (x-forwarded-client-cert, PROXY protocol), and how each of them is spoken to."""

import base64
import contextlib
import hashlib
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile

import pytest

import proxykit
from envoykit import Envoy
from proxykit import Client, Origin, Proxy, cluster, endpoint, eventually, free_port, http_filter, listener, route, serving
from proxykit import tcp_filter
from test_proxy_tls import SHOP, ask, chain, client_tls, context_for, made, secure_origin, server_tls, trusting  # noqa: F401

INTRODUCING = "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
RAW = {"name": "raw", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def introducing(version, inner=RAW, **more):
    return {"name": "proxy", "typed_config": {
        "@type": INTRODUCING, "config": {"version": version, **more}, "transport_socket": inner}}


def naming(**more):
    return {"typed_extension_protocol_options": {OPTIONS: {
        "@type": "type.googleapis.com/" + OPTIONS, "upstream_http_protocol_options": more,
        "explicit_http_config": {"http_protocol_options": {}}}}}


FORGED = "x-forwarded-client-cert: Hash=0000;URI=spiffe://td/forged"
MODES = {
    "SANITIZE": {}, "FORWARD_ONLY": {}, "ALWAYS_FORWARD_ONLY": {},
    "SANITIZE_SET": {"subject": True, "uri": True, "dns": True, "cert": True, "chain": True},
    "APPEND_FORWARD": {"uri": True, "dns": True},
}


@pytest.fixture(scope="module")
def people(made):  # noqa: F811
    made.leaf("gate", "URI:spiffe://td/gate,DNS:server.example")
    made.leaf("plain", "DNS:a.client.example,DNS:b.client.example")
    return made


def test_the_clients_certificate_is_told_as_envoy_tells_it(people):
    ports = {mode: free_port() for mode in MODES}
    common = {**trusting(people), "alpn_protocols": ["http/1.1"]}

    def fields(kind):
        found = {}
        with Origin(serving()) as origin:
            listeners = [listener(ports[mode], name=mode, filter_chains=[chain(
                http_filter([route()], forward_client_cert_details=mode,
                            **({"set_current_client_cert_details": parts} if parts else {})),
                transport_socket=server_tls(people.pair("gate"), common=common))]) for mode, parts in MODES.items()]
            with kind(listeners, [cluster("origin", origin.port)]):
                for mode in MODES:
                    for pair in ("shop", "plain", None):
                        before = len(origin.bytes)
                        request = f"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{FORGED}\r\n\r\n".encode()
                        assert ask(ports[mode], context_for(people, pair), request=request).startswith(b"HTTP/1.1 200")
                        lines = origin.bytes[before:].decode().split("\r\n")
                        found[mode, pair] = [line for line in lines if line.lower().startswith("x-forwarded-client-cert")]
        return found

    own = fields(Proxy)
    assert not any(own["SANITIZE", pair] for pair in ("shop", "plain", None))
    for mode in ("FORWARD_ONLY", "SANITIZE_SET", "APPEND_FORWARD"):
        assert own[mode, None] == []
    assert own["ALWAYS_FORWARD_ONLY", None] == [FORGED]
    assert "forged" not in own["SANITIZE_SET", "shop"][0] and f"URI={SHOP}" in own["SANITIZE_SET", "shop"][0]
    assert own == fields(Envoy)


HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen plain
  bind 127.0.0.1:{plain} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port] %[fc_pp_authority]"
listen secure
  bind 127.0.0.1:{secure} accept-proxy ssl crt {pem}
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port] %[ssl_fc_sni]"
"""


@contextlib.contextmanager
def haproxy(people):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-haproxy-", dir="/tmp"))
    plain, secure = free_port(), free_port()
    pem = folder / "server.pem"
    pem.write_text(pathlib.Path(people.path("server.pem")).read_text() + pathlib.Path(people.path("server.key")).read_text())
    (folder / "haproxy.cfg").write_text(HAPROXY.format(plain=plain, secure=secure, pem=pem))
    process = subprocess.Popen(
        ["haproxy", "-db", "-f", folder / "haproxy.cfg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    try:
        assert eventually(lambda: listens(plain) and listens(secure))
        yield plain, secure
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def test_haproxy_hears_of_each_client_by_itself(people):
    ports = {name: free_port() for name in ("v1", "v2", "tls", "tcp")}
    tls = client_tls(sni="server.example", auto_sni_san_validation=True, common=trusting(people))
    value = {"added_tlvs": [{"type": 2, "value": base64.b64encode(b"blue").decode()}]}
    with haproxy(people) as (plain, secure):
        clusters = [
            cluster("v1", plain, transport_socket=introducing("V1")),
            cluster("v2", plain, transport_socket=introducing("V2", **value)),
            cluster("tls", secure, transport_socket=introducing("V2", tls)),
            cluster("tcp", plain, transport_socket=introducing("V1")),
        ]
        listeners = [listener(ports[name], http_filter([route(name)]), name=name) for name in ("v1", "v2", "tls")]
        listeners.append(listener(ports["tcp"], tcp_filter("tcp"), name="tcp"))
        with Proxy(listeners, clusters) as proxy:
            def told(name, end):
                with socket.create_connection(("127.0.0.1", ports[name]), proxykit.DEADLINE, ("127.0.0.7", 0)) as one:
                    client = Client.__new__(Client)
                    client.socket, client.buffer = one, b""
                    for _ in range(3):
                        one.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                        seen = client.response()[2].decode().strip()
                        assert seen == f"127.0.0.7:{one.getsockname()[1]} 127.0.0.1:{ports[name]} {end}".strip()

            for _ in range(2):
                told("v1", ""), told("v2", "blue"), told("tls", "server.example"), told("tcp", "")
            # Requests of one client share a connection, those of two never do.
            assert proxy.stat("upstream_connections_total") == 8
            eventually(lambda: proxy.stat("upstream_connections") == 0)


@pytest.mark.one_worker
def test_endpoints_are_spoken_to_by_their_metadata_and_the_requests_host(people):
    secret, names = secure_origin(people, "other")
    port, auto = free_port(), free_port()
    tls = client_tls(common=trusting(people))
    with Origin(serving(b"clear")) as clear, secret:
        marked = endpoint(secret.port, metadata={"filter_metadata": {"envoy.transport_socket_match": {"mtls": True}}})
        mixed = cluster("mixed", endpoint(clear.port), marked, transport_socket_matches=[
            {"name": "tls", "match": {"mtls": True}, "transport_socket": client_tls(common=trusting(people))},
            {"name": "raw", "match": {}, "transport_socket": RAW}])
        by_host = cluster("auto", secret.port, transport_socket=tls, **naming(auto_sni=True, auto_san_validation=True))
        with Proxy([listener(port, http_filter([route("mixed")]), name="mixed"),
                    listener(auto, http_filter([route("auto")]), name="auto")], [mixed, by_host]) as proxy:
            assert {proxykit.get(port)[2] for _ in range(4)} == {b"clear", b"ok"}
            names.clear()
            before = proxy.stat("upstream_connections_total")
            answers = {host: [proxykit.get(auto, host=host)[0] for _ in range(2)] for host in (
                "other.example", "a.other.example:8080", "server.example")}
            assert answers == {"other.example": [200, 200], "a.other.example:8080": [200, 200],
                               "server.example": [503, 503]}
            assert names[:2] == ["other.example", "a.other.example"] and set(names[2:]) == {"server.example"}
            assert proxy.stat("upstream_connections_total") == before + 2 + len(names[2:])


def test_certificates_are_known_by_their_digests_and_sessions_are_resumed(people):
    text = ssl.PEM_cert_to_DER_cert(pathlib.Path(people.path("other.pem")).read_text())
    key = subprocess.run(["openssl", "x509", "-in", people.path("other.pem"), "-pubkey", "-noout"],
                         capture_output=True, check=True).stdout
    key = base64.b64decode(b"".join(key.splitlines()[1:-1]))
    right = hashlib.sha256(text).hexdigest()
    spki = base64.b64encode(hashlib.sha256(key).digest()).decode()
    contexts = {
        "hash": {"verify_certificate_hash": [right.upper()]},
        "colons": {"verify_certificate_hash": [":".join(right[at:at + 2] for at in range(0, 64, 2))]},
        "key": {"verify_certificate_spki": [spki]},
        "either": {"verify_certificate_hash": ["00" * 32], "verify_certificate_spki": [spki]},
        "wrong": {"verify_certificate_hash": ["00" * 32]},
        "untrusted": {"verify_certificate_hash": ["00" * 32], "trust_chain_verification": "ACCEPT_UNTRUSTED"},
    }
    ports = {name: free_port() for name in contexts}
    origin, _ = secure_origin(people, "other")
    with origin:
        listeners = [listener(ports[name], http_filter([route(name)]), name=name) for name in contexts]
        clusters = [cluster(name, origin.port, transport_socket=client_tls(common={"validation_context": context}))
                    for name, context in contexts.items()]
        with Proxy(listeners, clusters):
            got = {name: proxykit.get(ports[name])[0] for name in contexts}
            assert got == {**dict.fromkeys(contexts, 200), "wrong": 503}


@pytest.mark.parametrize("wanted", [0, 1])
def test_sessions_with_endpoints_are_resumed_as_often_as_configured(people, wanted):
    context, resumed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(people.path("server.pem"), people.path("server.key"))

    def serve(peer):
        with context.wrap_socket(peer.connection, server_side=True) as secure:
            resumed.append(secure.session_reused)
            data = b""
            while b"\r\n\r\n" not in data:
                data += secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            # An end that is not declared would spoil the session.
            with contextlib.suppress(OSError):
                secure.recv(1)

    tls = client_tls(max_session_keys=wanted, sni="server.example", common=trusting(people))
    port = free_port()
    with Origin(serve) as origin, Proxy([listener(port, http_filter([route()]))],
                                        [cluster("origin", origin.port, transport_socket=tls, max_requests_per_connection=1)]) as proxy:
        for _ in range(3):
            assert proxykit.get(port)[0] == 200
        assert proxy.stat("tls_resumed_total") == 2 * wanted
    assert resumed == ([False, True, True] if wanted else [False] * 3)
