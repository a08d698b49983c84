"""TLS: towards clients and endpoints, certificates demanded and reloaded, connections routed by the name they ask for."""

import contextlib
import ctypes
import json
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from h2kit import H2Client
from proxykit import (
    Client, Origin, Proxy, cluster, endpoint, free_port, http_filter, listener, program, route, serving, tcp_filter)
from weftkit import wait_until

TYPES = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
INSPECTOR = {"name": "tls", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SHOP = "spiffe://td/ns/shop/sa/web"


class Authority:
    """Certificates made by the openssl command."""

    def __init__(self, folder):
        self.folder = folder
        self.run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 30")
        self.run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout alien.key -out alien.pem -subj /CN=alien "
                 "-days 30 -addext subjectAltName=URI:" + SHOP + " -addext basicConstraints=critical,CA:FALSE")

    def run(self, command):
        done = subprocess.run(["openssl", *command.split()], cwd=self.folder, capture_output=True, timeout=20)
        assert done.returncode == 0, done.stderr

    def path(self, name):
        return str(self.folder / name)

    def leaf(self, name, names, dates="-days 5", use="clientAuth,serverAuth", authority="FALSE", more=""):
        (self.folder / f"{name}.ext").write_text(
            f"subjectAltName={names}\nextendedKeyUsage={use}\nbasicConstraints=CA:{authority}\n{more}\n")
        self.run(f"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
        self.run(f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial {dates} -extfile {name}.ext -out {name}.pem")
        return self.pair(name)

    def pair(self, name):
        return {"certificate_chain": {"filename": self.path(f"{name}.pem")}, "private_key": {"filename": self.path(f"{name}.key")}}


@pytest.fixture(scope="module")
def made():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-tls-", dir="/tmp"))
    authority = Authority(folder)
    authority.leaf("server", "DNS:server.example,DNS:localhost,IP:127.0.0.1")
    authority.leaf("other", "DNS:other.example,DNS:*.other.example")
    authority.leaf("shop", "URI:" + SHOP)
    yield authority
    shutil.rmtree(folder)


def server_tls(*pairs, **more):
    common = {"tls_certificates": list(pairs), **more.pop("common", {})}
    return {"name": "tls", "typed_config": {"@type": TYPES + "DownstreamTlsContext", "common_tls_context": common, **more}}


def client_tls(*pairs, **more):
    common = {"tls_certificates": list(pairs), **more.pop("common", {})}
    return {"name": "tls", "typed_config": {"@type": TYPES + "UpstreamTlsContext", "common_tls_context": common, **more}}


def trusting(made, *matchers):
    context = {"trusted_ca": {"filename": made.path("ca.pem")}}
    if matchers:
        context["match_typed_subject_alt_names"] = list(matchers)
    return {"validation_context": context}


def mutual(made, **more):
    return server_tls(made.pair("server"), require_client_certificate=True, common=trusting(
        made, {"san_type": "URI", "matcher": {"exact": SHOP}}), **more)


def context_for(made, pair=None, alpn=None, verify=True):
    context = ssl.create_default_context(cafile=made.path("ca.pem"))
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pair:
        context.load_cert_chain(made.path(f"{pair}.pem"), made.path(f"{pair}.key"))
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@contextlib.contextmanager
def connected(port, context, name="server.example"):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secure:
            yield secure


def ask(port, context, name="server.example", request=GET):
    """The whole answer to one request; an ssl.SSLError or OSError when TLS does not come to be."""
    with connected(port, context, name) as secure:
        secure.sendall(request)
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
        return answer


def chain(*filters, **more):
    return {"filters": list(filters), **more}


@pytest.fixture(scope="module")
def terminating(made):
    """HTTP over TLS with two certificates, ALPN, over a plaintext origin."""
    port = free_port()
    tls = server_tls(made.pair("server"), made.pair("other"), common={"alpn_protocols": ["h2", "http/1.1"]})
    with Origin(serving()) as origin, Proxy(
            [listener(port, filter_chains=[chain(http_filter([route()], use_remote_address=True), transport_socket=tls)])],
            [cluster("origin", origin.port)]) as proxy:
        yield proxy, port, origin


def test_http2_is_agreed_on_by_alpn(made, terminating):
    proxy, port, origin = terminating
    with connected(port, context_for(made, alpn=["h2", "http/1.1"])) as secure:
        assert secure.selected_alpn_protocol() == "h2"
        with H2Client(port, connection=secure) as client:
            answers = [client.request(f"/{number}") for number in range(20)]
            assert all(client.answer(stream).status == 200 for stream in answers)
    assert b"x-forwarded-proto: https" in origin.bytes


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_requests_pass_and_the_endpoint_is_told_of_https(made, terminating, version):
    proxy, port, origin = terminating
    context = context_for(made, alpn=["http/1.1"])
    context.minimum_version = context.maximum_version = version
    with connected(port, context) as secure:
        assert secure.selected_alpn_protocol() == "http/1.1"
        for _ in range(3):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Client-Cert: me\r\n\r\n")
            assert secure.recv(65536).startswith(b"HTTP/1.1 200")
    assert origin.bytes.count(b"x-forwarded-proto: https") == origin.bytes.count(b"GET /")
    assert b"client-cert" not in origin.bytes.lower()


@pytest.mark.parametrize("name, subject", [
    ("server.example", "server"), ("other.example", "other"), ("a.other.example", "other"), ("OTHER.example", "other")])
def test_the_certificate_follows_the_name(made, terminating, name, subject):
    with connected(terminating[1], context_for(made), name) as secure:
        assert secure.getpeercert()["subject"][0][0][1] == subject


def test_curl_and_s_client_agree(made, terminating):
    _, port, _ = terminating
    done = subprocess.run(
        ["curl", "-sS", "--http1.1", "--cacert", made.path("ca.pem"), "--resolve", f"server.example:{port}:127.0.0.1", "-o",
         "/dev/null", "-w", "%{http_code} %{ssl_verify_result}", f"https://server.example:{port}/"], capture_output=True, timeout=20)
    assert done.stdout == b"200 0", done
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-CAfile", made.path("ca.pem"), "-quiet", "-no_ign_eof"],
        input=b"R\n", capture_output=True, timeout=20)
    assert b"no renegotiation" in done.stderr, "T07: a renegotiation is refused"


def test_key_updates_are_bounded(made, terminating):
    """T07: a few are answered, a flood ends the connection; the OpenSSL library itself speaks, as Python cannot ask for one."""
    _, port, _ = terminating
    library = ctypes.CDLL("libssl.so.3")
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(library, name).restype = ctypes.c_void_p
    pointer = ctypes.c_void_p
    context = pointer(library.SSL_CTX_new(pointer(library.TLS_client_method())))

    def updated(times):
        """Whether three requests are answered, each after so many updates."""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.setblocking(True)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10, 0))
            session = pointer(library.SSL_new(context))
            library.SSL_set_fd(session, plain.fileno())
            assert library.SSL_connect(session) == 1
            request = GET.replace(b"close", b"keep-alive")
            buffer = ctypes.create_string_buffer(65536)
            for _ in range(3):
                for _ in range(times):
                    if library.SSL_key_update(session, 0) != 1 or library.SSL_do_handshake(session) != 1:
                        return False
                if library.SSL_write(session, request, len(request)) <= 0 or library.SSL_read(session, buffer, 65536) <= 0:
                    return False
            return True
    assert updated(15)
    assert not updated(40)
    assert updated(0)


@pytest.mark.parametrize("arguments, alert", [
    (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], 70), (["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], 40), (["-alpn", "h3"], 120)],
    ids=["T01-version", "T01-cipher", "T02-alpn"])
def test_nothing_in_common_is_refused_with_the_right_alert(made, terminating, arguments, alert):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{terminating[1]}", *arguments], input=b"",
                          capture_output=True, timeout=20)
    assert f"SSL alert number {alert}".encode() in done.stderr, done.stderr


@pytest.mark.parametrize("garbage", [GET, b"\x80\x2e\x01\x00\x02" + bytes(43), b"SSH-2.0-x\r\n"], ids=["http", "sslv2", "ssh"])
def test_what_is_no_tls_is_closed_without_an_answer(terminating, garbage):
    with Client(terminating[1]) as client:
        client.send(garbage)
        assert b"HTTP/" not in client.rest()


@pytest.mark.parametrize("size", [1, 3000])
def test_large_bodies_pass_both_ways(made, size):
    """Records and reads of every size; the bytes come out as they went in."""
    port = free_port()
    body = bytes(range(256)) * 4 * size

    def echo(peer):
        connection = peer.connection
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        head, rest = head.split(b"\r\n\r\n", 1)
        while len(rest) < len(body):
            rest += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(rest) + rest)

    with Origin(echo) as origin, Proxy(
            [listener(port, filter_chains=[chain(http_filter([route()]), transport_socket=server_tls(made.pair("server")))])],
            [cluster("origin", origin.port)]):
        request = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        answer = ask(port, context_for(made), request=request)
        assert answer.split(b"\r\n\r\n", 1)[1] == body


@pytest.fixture(scope="module")
def demanding(made):
    """A listener that wants the certificate of one SPIFFE id."""
    port = free_port()
    made.leaf("expired", "URI:" + SHOP, dates="-days -1")
    made.leaf("use", "URI:" + SHOP, use="serverAuth")
    made.leaf("signer", "URI:" + SHOP, authority="TRUE")
    made.leaf("keyuse", "URI:" + SHOP, more="keyUsage=digitalSignature,keyCertSign")
    made.leaf("two", "URI:" + SHOP + ",URI:spiffe://td/other")
    made.leaf("none", "DNS:shop.example")
    for index, text in enumerate(ODD):
        made.leaf(f"odd{index}", "URI:" + text)
    with Origin(serving()) as origin, Proxy(
            [listener(port, filter_chains=[chain(http_filter([route()]), transport_socket=mutual(made))])],
            [cluster("origin", origin.port)]) as proxy:
        yield proxy, port


ODD = ["spiffe://other/ns/shop/sa/web", "spiffe://td/ns/shop/sa/Web", "spiffe://TD/ns/shop/sa/web", "spiffe://td/ns/shop/sa/%77eb",
       "spiffe://td:1/ns/shop/sa/web", "spiffe://td/ns/shop/sa/web?a=b", "spiffe://u@td/ns/shop/sa/web", "https://td/ns/shop/sa/web"]


def test_the_right_certificate_is_served_and_no_session_is_resumed(made, demanding):
    _, port = demanding
    context = context_for(made, "shop")
    with connected(port, context) as secure:
        secure.sendall(GET)
        assert secure.recv(100).startswith(b"HTTP/1.1 200")
        session = secure.session
    assert session is None or not session.has_ticket
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain, server_hostname="server.example", session=session) as secure:
            secure.sendall(GET)
            assert secure.recv(100).startswith(b"HTTP/1.1 200") and not secure.session_reused


@pytest.mark.parametrize("pair, alert, reason", [
    (None, "certificate required", "gave no certificate"), ("alien", "unknown ca", "unknown authority"),
    ("expired", "certificate expired", "is expired since"), ("use", "unsupported certificate", "extended key usage"),
    ("signer", "certificate", "is an authority's"), ("keyuse", "certificate", "is an authority's"),
    ("two", "certificate", "exactly one URI"), ("none", "certificate", "name mismatch"),
    *[(f"odd{index}", "certificate", "") for index in range(len(ODD))]], ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_certificates_are_refused_with_alert_and_reason(made, demanding, pair, alert, reason):
    proxy, port = demanding
    failures = proxy.stat("tls_handshake_failures_total")
    with pytest.raises(OSError) as refused:
        ask(port, context_for(made, pair))
    assert alert.replace(" ", "") in str(refused.value).lower().replace(" ", "").replace("_", "")
    assert proxy.stat("tls_handshake_failures_total") == failures + 1


def test_plaintext_on_a_demanding_port_is_closed(demanding):
    with Client(demanding[1]) as client:
        client.send(GET)
        assert b"HTTP/" not in client.rest()


def secure_origin(made, pair, **more):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.path(f"{pair}.pem"), made.path(f"{pair}.key"))
    if more.get("demands"):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(made.path("ca.pem"))
    seen = []
    context.sni_callback = lambda _, name, __: seen.append(name)

    def serve(peer):
        with context.wrap_socket(peer.connection, server_side=True) as secure:
            while True:
                data = b""
                while b"\r\n\r\n" not in data:
                    piece = secure.recv(65536)
                    if not piece:
                        return
                    data += piece
                if more.get("answer"):
                    more["answer"](secure)
                    return
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    return Origin(serve), seen


@contextlib.contextmanager
def towards(made, tls, pair="server", **more):
    origin, seen = secure_origin(made, pair, **more)
    port = free_port()
    with origin, Proxy([listener(port, http_filter([route()]))], [cluster("origin", origin.port, transport_socket=tls)]) as proxy:
        yield proxy, port, seen, origin


def test_endpoints_are_spoken_to_over_kept_connections(made):
    tls = client_tls(made.pair("shop"), sni="server.example", auto_sni_san_validation=True, common=trusting(made))
    with towards(made, tls, demands=True) as (proxy, port, seen, _):
        with Client(port) as client:
            for _ in range(5):
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.response()[0] == 200
        assert seen == ["server.example"]
        assert proxy.stat("tls_upstream_handshakes_total") == 1


@pytest.mark.parametrize("tls, pair, reason", [
    (dict(sni="wrong.example", auto_sni_san_validation=True), "server", b"name mismatch: wanted wrong.example, got server.example"),
    (dict(sni="server.example"), "alien", b"unknown authority"), (dict(sni="server.example"), "late", b"is expired since")],
    ids=["name", "authority", "expired"])
def test_a_wrong_endpoint_is_refused_and_the_answer_says_why(made, tls, pair, reason):
    if pair == "late":
        made.leaf("late", "DNS:server.example", dates="-days -1")
    with towards(made, client_tls(common=trusting(made), **tls), pair=pair) as (proxy, port, _, _):
        with Client(port) as client:
            client.send(GET)
            answer = client.rest()
        assert answer.startswith(b"HTTP/1.1 503")
        assert reason in answer
        assert proxy.stat("tls_upstream_failures_total") >= 1


def test_an_endpoint_that_speaks_no_tls_is_refused(made):
    port = free_port()
    with Origin(lambda peer: (peer.more(), peer.connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))) as origin, Proxy(
            [listener(port, http_filter([route()]))],
            [cluster("origin", origin.port, transport_socket=client_tls(common=trusting(made)))]):
        with Client(port) as client:
            client.send(GET)
            assert b"TLS with the endpoint failed: the peer does not speak TLS" in client.rest()


def test_a_body_that_is_cut_off_is_no_whole_body(made):
    """T11: the end of the connection without close_notify is no end of the body."""
    def cut(secure):
        secure.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart")
        socket.socket(fileno=secure.detach()).close()

    def whole(secure):
        secure.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart")
        with contextlib.suppress(OSError):
            secure.unwrap()

    for answer, ends in [(cut, False), (whole, True)]:
        with towards(made, client_tls(common=trusting(made)), answer=answer) as (_, port, _, _):
            with Client(port) as client:
                client.send(GET)
                assert client.rest().endswith(b"0\r\n\r\n") == ends


@pytest.fixture(scope="module")
def passing(made):
    """TLS passed through by name, terminated for another, raw bytes elsewhere."""
    port = free_port()
    first, _ = secure_origin(made, "server")
    second, _ = secure_origin(made, "other")
    with first, second, Origin(serving()) as plain:
        chains = [
            chain(tcp_filter("first"), name="a", filter_chain_match={"server_names": ["server.example"]}),
            chain(tcp_filter("second"), name="b", filter_chain_match={"server_names": ["*.other.example", "other.example"]}),
            chain(http_filter([route("plain")]), name="c", filter_chain_match={"server_names": ["deep.other.example"]},
                  transport_socket=server_tls(made.pair("other"))),
            chain(tcp_filter("plain"), name="d", filter_chain_match={"transport_protocol": "raw_buffer"}),
        ]
        with Proxy([listener(port, filter_chains=chains, listener_filters=[INSPECTOR])],
                   [cluster("first", first.port), cluster("second", second.port), cluster("plain", plain.port)]) as proxy:
            yield proxy, port


@pytest.mark.parametrize("name, subject", [
    ("server.example", "server"), ("SERVER.example", "server"), ("other.example", "other"), ("x.other.example", "other"),
    ("deep.other.example", "other")])
def test_connections_follow_the_name(made, passing, name, subject):
    with connected(passing[1], context_for(made, verify=False), name) as secure:
        assert f"CN={subject}".encode() in subprocess.run(
            ["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=secure.getpeercert(True), capture_output=True
        ).stdout.replace(b" ", b"")
        secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert secure.recv(100).startswith(b"HTTP/1.1 200")


def test_raw_bytes_go_where_raw_bytes_belong(passing):
    with Client(passing[1]) as client:
        assert client.send(GET).response()[0] == 200


@pytest.mark.parametrize("name", ["unknown.example", None])
def test_an_unknown_name_never_falls_back(made, passing, name):
    with pytest.raises(OSError):
        with connected(passing[1], context_for(made, verify=False), name):
            pass


def hello_of(name):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def test_a_hello_in_records_of_one_byte_is_read(passing):
    """T03: the inspector waits for the whole hello, however it is cut."""
    hello = hello_of("server.example")
    cut = b"".join(hello[:3] + b"\0\x01" + hello[5 + place:6 + place] for place in range(len(hello) - 5))
    with Client(passing[1]) as client:
        for start in range(0, len(cut), 700):
            client.send(cut[start:start + 700])
        client.socket.settimeout(5)
        # Whatever the endpoint makes of it: its answer is TLS, so it was reached.
        assert client.socket.recv(1)[0] in (0x16, 0x15)


def swap(made, source, target):
    for end in ("pem", "key"):
        shutil.copy(made.path(f"{source}.{end}"), made.path(f"{target}.{end}.new"))
    for end in ("key", "pem"):
        pathlib.Path(made.path(f"{target}.{end}.new")).rename(made.path(f"{target}.{end}"))


def test_certificates_are_reloaded_under_load_without_a_failed_handshake(made):
    port = free_port()
    for name in ("rolling", "before", "after"):
        made.leaf(name, f"DNS:server.example,DNS:{name}.example")
    swap(made, "before", "rolling")
    tls = server_tls(made.pair("rolling"))
    with Origin(serving()) as origin, Proxy(
            [listener(port, filter_chains=[chain(http_filter([route()]), transport_socket=tls)])],
            [cluster("origin", origin.port)]) as proxy:
        context = context_for(made)
        stop, failures, served = threading.Event(), [], []

        def load():
            while not stop.is_set():
                try:
                    with connected(port, context) as secure:
                        names = [value for _, value in secure.getpeercert()["subjectAltName"]]
                        secure.sendall(GET)
                        served.append((names[-1], secure.recv(20)[:12]))
                except OSError as error:
                    failures.append(error)

        def reloads():
            return int(json.loads(proxy.admin("/certs"))["certificates"][0]["reloads"])

        workers = [threading.Thread(target=load) for _ in range(2)]
        for worker in workers:
            worker.start()
        with connected(port, context) as kept:
            for source in ["after", "before", "after"]:
                swap(made, source, "rolling")
                wait_until(lambda: (names_of(proxy) or [""])[-1] == f"{source}.example", f"{source} is in use")
            kept.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert kept.recv(100).startswith(b"HTTP/1.1 200")
        seen = len(served)
        wait_until(lambda: len(served) > seen + 5, "more requests")
        stop.set()
        for worker in workers:
            worker.join()
        assert not failures and {name for name, _ in served} >= {"before.example", "after.example"}
        assert {status for _, status in served} == {b"HTTP/1.1 200"}
        assert served[-1][0] == "after.example"
        # A key of another certificate: the old pair stays, and the page says why.
        pathlib.Path(made.path("rolling.key")).write_text(pathlib.Path(made.path("before.key")).read_text())
        wait_until(lambda: "error" in json.loads(proxy.admin("/certs"))["certificates"][0], "the bad pair is refused")
        row = json.loads(proxy.admin("/certs"))["certificates"][0]
        assert "does not belong to the certificate" in row["error"] and reloads() >= 3
        assert ask(port, context).startswith(b"HTTP/1.1 200")


def names_of(proxy):
    rows = json.loads(proxy.admin("/certs"))["certificates"][0]["cert_chain"]
    return [name.get("dns") for name in rows[0]["subject_alt_names"]] if rows else []


def test_secrets_come_from_watched_files(made):
    port = free_port()
    file = pathlib.Path(made.path("secrets.json"))

    def write(pair):
        secrets = [
            {"@type": TYPES + "Secret", "name": "own", "tls_certificate": made.pair(pair)},
            {"@type": TYPES + "Secret", "name": "trust", "validation_context": {"trusted_ca": {"filename": made.path("ca.pem")}}}]
        new = file.with_suffix(".new")
        new.write_text(json.dumps({"version_info": "1", "resources": secrets}))
        new.rename(file)

    source = {"sds_config": {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}}
    tls = {"name": "tls", "typed_config": {
        "@type": TYPES + "DownstreamTlsContext", "require_client_certificate": True, "common_tls_context": {
            "tls_certificate_sds_secret_configs": [{"name": "own", **source}],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": SHOP}}]},
                "validation_context_sds_secret_config": {"name": "trust", **source}}}}}
    with Origin(serving()) as origin, Proxy(
            [listener(port, filter_chains=[chain(http_filter([route()]), transport_socket=tls)])],
            [cluster("origin", origin.port)]) as proxy:
        with pytest.raises(OSError):
            ask(port, context_for(made, "shop"))
        write("server")
        wait_until(lambda: "server.example" in names_of(proxy), "the secret is in use")
        assert ask(port, context_for(made, "shop")).startswith(b"HTTP/1.1 200")
        with pytest.raises(OSError):
            ask(port, context_for(made, "none") if pathlib.Path(made.path("none.pem")).exists() else context_for(made))
        write("other")
        wait_until(lambda: "other.example" in names_of(proxy), "the next secret is in use")
        assert ask(port, context_for(made, "shop"), name="other.example").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("tls, problem", [
    (lambda made: server_tls(), "a server needs at least one certificate"),
    (lambda made: server_tls({**made.pair("server"), "private_key": made.pair("other")["private_key"]}), "does not belong to the certificate"),
    (lambda made: server_tls(made.pair("server"), require_client_certificate=True), "needs a validation context with trusted_ca"),
    (lambda made: server_tls(made.pair("server"), common={"tls_params": {"tls_minimum_protocol_version": "TLSv1_0"}}), "TLSv1_0 is not supported"),
    (lambda made: server_tls({**made.pair("server"), "private_key": {"filename": "/nowhere"}}), "private_key: open /nowhere"),
    (lambda made: client_tls(), "UpstreamTlsContext is for clusters")],
    ids=["none", "mismatch", "trust", "version", "file", "direction"])
def test_what_cannot_work_is_refused_with_its_path(made, tls, problem):
    port = free_port()
    chains = [chain(tcp_filter("origin") if problem.startswith("Up") else http_filter([route()]), transport_socket=tls(made))]
    configuration = {"static_resources": {
        "listeners": [listener(port, filter_chains=chains)], "clusters": [cluster("origin", 1)]}}
    file = pathlib.Path(made.path("bad.json"))
    file.write_text(json.dumps(configuration))
    done = subprocess.run([program(), "-c", str(file), "--mode", "validate"], capture_output=True, timeout=20)
    text = (done.stdout + done.stderr).decode()
    assert done.returncode != 0 and problem in text and "transport_socket" in text, text


def test_a_lax_connection_does_not_reach_a_strict_host(made):
    """T04: the name that the connection was made for decides, not only the Host that a request names."""
    port = free_port()
    lax = server_tls(made.pair("server"))
    chains = [
        chain(http_filter([route()]), name="lax", filter_chain_match={"server_names": ["server.example"]}, transport_socket=lax),
        chain(http_filter([route()]), name="same", filter_chain_match={"server_names": ["localhost"]}, transport_socket=lax),
        chain(http_filter([route()]), name="strict", filter_chain_match={"server_names": ["*.other.example"]},
              transport_socket=mutual(made))]
    with Origin(serving()) as origin, Proxy([listener(port, filter_chains=chains)], [cluster("origin", origin.port)]):
        for host, status in [("server.example", 200), ("localhost", 200), (f"localhost:{port}", 200), ("unknown", 200),
                             ("api.other.example", 421), (f"API.other.EXAMPLE.:{port}", 421)]:
            request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            assert ask(port, context_for(made), request=request).startswith(b"HTTP/1.1 %d" % status), host
        request = b"GET / HTTP/1.1\r\nHost: api.other.example\r\nConnection: close\r\n\r\n"
        strict = context_for(made, "shop", verify=False)
        assert ask(port, strict, name="api.other.example", request=request).startswith(b"HTTP/1.1 200")


NGINX = """daemon off; worker_processes 1; error_log stderr; pid {folder}/pid;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {ca}/server.pem; ssl_certificate_key {ca}/server.key;
    ssl_client_certificate {ca}/ca.pem; ssl_verify_client on;
    location / {{ return 200 "$ssl_client_verify $ssl_server_name"; }} }} }}
"""


def test_nginx_as_an_endpoint_sees_the_certificate_and_the_name(made, tmp_path):
    nginx, port = shutil.which("nginx") or "/usr/sbin/nginx", free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, ca=made.folder))
    process = subprocess.Popen([nginx, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        def listens():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True

        wait_until(listens, "nginx listens")
        front = free_port()
        tls = client_tls(made.pair("shop"), auto_host_sni=True, auto_sni_san_validation=True, common=trusting(made))
        named = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "hostname": "server.example"}}
        with Proxy([listener(front, http_filter([route()]))], [cluster("origin", named, transport_socket=tls)]) as proxy:
            with Client(front) as client:
                for _ in range(3):
                    assert client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"SUCCESS server.example"
            assert proxy.stat("tls_upstream_handshakes_total") == 1
    finally:
        process.terminate()
        process.wait(10)


# --- Every kind of certificate at every kind of listener ----------------------------------------------------------------

URI, DNS = ({"san_type": kind, "matcher": {"exact": text}} for kind, text in (("URI", SHOP), ("DNS", "shop.example")))
# What a listener asks for, and which of the certificates below it lets in.
LISTENERS = {
    "asks for nothing": (None, False, "nobody shop web two expired alien server-use authority signing odd"),
    "wants one that is trusted": ((), False, "nobody shop web odd"),
    "demands one that is trusted": ((), True, "shop web odd"),
    "wants one id": ((URI,), False, "nobody shop"),
    "demands one id": ((URI,), True, "shop"),
    "demands one name": ((DNS,), True, "web"),
    "demands one of both": ((URI, DNS), True, "shop web"),
}
CERTIFICATES = "nobody shop web two expired alien server-use authority signing odd".split()


@pytest.fixture(scope="module")
def doors(made):
    """A port for each kind of listener."""
    made.leaf("web", "DNS:shop.example")
    made.leaf("two", "URI:" + SHOP + ",URI:spiffe://td/other")
    made.leaf("expired", "URI:" + SHOP, dates="-days -1")
    made.leaf("server-use", "URI:" + SHOP, use="serverAuth")
    made.leaf("authority", "URI:" + SHOP, authority="TRUE")
    made.leaf("signing", "URI:" + SHOP, more="keyUsage=digitalSignature,keyCertSign")
    made.leaf("odd", "URI:spiffe://td/ns/shop/sa/Web")
    ports, listeners = {}, []
    for name, (matchers, requires, _) in LISTENERS.items():
        ports[name] = free_port()
        common = {} if matchers is None else trusting(made, *matchers)
        tls = server_tls(made.pair("server"), require_client_certificate=requires, common=common)
        listeners.append(listener(ports[name], name=name, filter_chains=[chain(http_filter([route()]), transport_socket=tls)]))
    contexts = {pair: context_for(made, None if pair == "nobody" else pair) for pair in CERTIFICATES}
    with Origin(serving()) as origin, Proxy(listeners, [cluster("origin", origin.port)]):
        yield ports, contexts, origin


@pytest.mark.parametrize("name", LISTENERS)
def test_every_certificate_at_every_listener(doors, name):
    ports, contexts, origin = doors
    let_in = set()
    for pair, context in contexts.items():
        before = len(origin.bytes)
        with contextlib.suppress(OSError):
            if ask(ports[name], context).startswith(b"HTTP/1.1 200"):
                let_in.add(pair)
        assert pair in let_in or len(origin.bytes) == before, "no byte of a refused client goes on"
    assert let_in == set(LISTENERS[name][2].split())
