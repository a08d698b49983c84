"""Configurations as people write them for Envoy, run by a real Envoy and by weft-proxy: the same client gets the same answers.

Without an Envoy (scripts/peers.sh) the comparisons are skipped; weft-proxy then stands for itself."""

import base64
import concurrent.futures
import contextlib
import hashlib
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

import grpc
import pytest

import envoykit
import proxykit
from proxykit import Client, Origin, free_port

HERE = pathlib.Path(__file__).parent / "envoy"
NAMES = sorted(path.stem for path in HERE.glob("*.yaml"))


# --- Certificates ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def certs():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-suite-", dir="/tmp"))

    def run(command):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=20)

    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    run(f"req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=ca -days 30")
    for name, names in {"server": "DNS:server.example", "web": "URI:spiffe://td/ns/shop/sa/web",
                        "other": "URI:spiffe://td/ns/shop/sa/other", "two": "DNS:a.other.example"}.items():
        (folder / "ext").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        run(f"req -new {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        run(f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 5 -extfile ext -out {name}.pem")
    yield folder
    shutil.rmtree(folder)


def context(certs, own=None, protocols=("http/1.1",)):
    made = ssl.create_default_context(cafile=certs / "ca.pem")
    made.set_alpn_protocols(list(protocols))
    if own:
        made.load_cert_chain(certs / f"{own}.pem", certs / f"{own}.key")
    return made


# --- Origins -----------------------------------------------------------------------------------------------------------

def named(name):
    """Tells who it is, and what it was asked; /flaky works at the third try, /fail never."""
    tries = {"count": 0}

    def behaviour(peer):
        while True:
            head, body = peer.request()
            lines = head.decode("latin-1").split("\r\n")
            fields = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines[1:] if ":" in line}
            if fields.get("upgrade") == "websocket":
                digest = hashlib.sha1((fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
                peer.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                          b"sec-websocket-accept: " + base64.b64encode(digest) + b"\r\n\r\n")
                while True:
                    peer.send(peer.exactly(1))
            tries["count"] += 1
            status = "200 OK"
            if "/fail" in lines[0] or ("/flaky" in lines[0] and tries["count"] % 3):
                status = "503 Service Unavailable"
            asked = " ".join([name, lines[0], fields["host"], fields.get("x-via-front", "-"), body.decode()])
            peer.answer(asked.encode(), status, b"x-internal: secret\r\nx-origin: " + name.encode() + b"\r\n")
    return behaviour


def raw(name):
    """Sends its name, then everything back, and ends when the other side does."""
    def behaviour(peer):
        peer.send(name.encode() + b"\n")
        with contextlib.suppress(EOFError):
            while True:
                peer.more()
                peer.send(peer.buffer)
                peer.buffer = b""
        peer.send(b"end")
    return behaviour


def secured(name, certs, pair):
    """TLS of its own: says its name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certs / f"{pair}.pem", certs / f"{pair}.key")

    def behaviour(peer):
        with server.wrap_socket(peer.connection, server_side=True) as stream:
            stream.sendall(name.encode())
    return behaviour


class Calls:
    """A server of gRPC that tells its name."""

    def __init__(self, name):
        def upper(request, call):
            call.set_trailing_metadata((("x-from", name),))
            if request == b"fail":
                call.abort(grpc.StatusCode.FAILED_PRECONDITION, "asked for")
            return name.encode() + b" " + request.upper()

        def chat(requests, call):
            for request in requests:
                yield name.encode() + b" " + request

        handlers = {"Upper": grpc.unary_unary_rpc_method_handler(upper), "Chat": grpc.stream_stream_rpc_method_handler(chat)}
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", handlers),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(None)


# --- The clients' scripts: each gives a list of what it saw ------------------------------------------------------------

SEEN = ("location", "x-route", "x-asked", "x-internal", "x-origin", "content-length", "content-type")


def ask(port, path, method="GET", host="shop.example", body="", **fields):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"] if body else [
        f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    with Client(port) as client:
        client.send("\r\n".join(lines) + "\r\n\r\n" + body)
        status, answer, content = client.response(method == "HEAD")
    # Bodies of the proxies' own errors are their own.
    own = status >= 400 and "x-origin" not in answer
    kept = {name: answer[name] for name in SEEN if name in answer and not (own and name.startswith("content"))}
    return status, kept, b"" if own else content


def front_proxy(ports, _):
    yield ask(ports["port"], "/healthz")
    yield ask(ports["port"], "/healthz", "HEAD")
    yield ask(ports["port"], "/old/a?b=c")
    yield ask(ports["port"], "/service/1/things?x=1", x_asked="12345678", x_other="second")
    yield ask(ports["port"], "/service/1/things", "POST", body="hello", x_other="second")
    yield ask(ports["port"], "/service/1//a/../b/./c")
    yield ask(ports["port"], "/service/1/flaky")
    yield ask(ports["port"], "/service/1/fail")
    yield ask(ports["port"], "/service/two/x", x_version="v2", x_via_front="forged")
    yield ask(ports["port"], "/service/two/x")
    yield ask(ports["port"], "/nowhere")


def calls(ports, _):
    def outcome(work):
        try:
            return work()
        except grpc.RpcError as error:
            # Whatever the proxy says itself it says in its own words.
            text = error.details() if error.code() == grpc.StatusCode.FAILED_PRECONDITION else ""
            return error.code().name, text

    with grpc.insecure_channel(f"127.0.0.1:{ports['port']}") as channel:
        for path in ("/echo.Echo/Upper", "/none.None/Upper"):
            for message in (b"hello", b"x" * 100_000, b"fail"):
                yield outcome(lambda: channel.unary_unary(path)(message, timeout=10))
        response, call = channel.unary_unary("/echo.Echo/Upper").with_call(b"a", timeout=10)
        yield response, [pair for pair in call.trailing_metadata() if pair[0] == "x-from"]
        yield outcome(lambda: list(channel.stream_stream("/echo.Echo/Chat")(iter([b"a", b"b", b"c"]), timeout=10)))
        yield outcome(lambda: channel.unary_unary("/echo.Echo/Missing")(b"", timeout=10))


def over_tls(port, certs, own=None, protocols=("http/1.1",)):
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, \
                context(certs, own, protocols).wrap_socket(plain, server_hostname="server.example") as secure:
            seen = secure.version(), secure.selected_alpn_protocol()
            if seen[1] == "h2":
                return seen
            secure.sendall(b"GET /a HTTP/1.1\r\nHost: server.example\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := secure.recv(65536):
                answer += piece
            return *seen, answer.split(b"\r\n")[0], answer.split(b"\r\n\r\n", 1)[1]
    except OSError:
        return ("refused",)


def tls(ports, certs):
    yield over_tls(ports["port"], certs)
    yield over_tls(ports["port"], certs, protocols=("h2", "http/1.1"))
    yield ask(ports["plain"], "/a?b=c", host="server.example")


def mutual_tls(ports, certs):
    for own in ("web", "other", None):
        yield own, over_tls(ports["port"], certs, own)


def websocket(ports, _):
    def upgrade(path):
        with Client(ports["port"]) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            status, fields, _ = client.response(to_head=True)
            if status != 101:
                return (status,)
            client.send(b"\x81\x85\x00\x00\x00\x00hello")
            return status, fields["sec-websocket-accept"], client.exactly(11)
    yield upgrade("/ws/chat")
    yield upgrade("/elsewhere")


def tcp(ports, _):
    with Client(ports["port"]) as client:
        yield client.until(b"\n")
        client.send("x" * 100_000)
        yield hashlib.sha256(client.exactly(100_000)).hexdigest()
        client.finish()
        yield client.rest()


def sni(ports, certs):
    def name(wanted):
        try:
            with socket.create_connection(("127.0.0.1", ports["port"]), 10) as plain, \
                    context(certs).wrap_socket(plain, server_hostname=wanted) as secure:
                return secure.recv(100)
        except OSError:
            return "refused"
    yield from map(name, ("server.example", "a.other.example", "unknown.example"))


def canary(ports, _):
    yield ask(ports["port"], "/a", x_canary="always")
    for _ in range(5):
        yield ask(ports["port"], "/a")
    end = time.monotonic() + 10
    while ports["third"].bytes.count(b"GET /a ") < 5 and time.monotonic() < end:
        time.sleep(0.01)
    yield sorted(line for line in ports["third"].bytes.split(b"\r\n") if line.lower().startswith(b"host:"))


def failover(ports, _):
    for path in ("/whole", "/broken"):
        for _ in range(4):
            yield ask(ports["port"], path)


SCRIPTS = {"front-proxy": front_proxy, "grpc": calls, "tls": tls, "mutual-tls": mutual_tls, "websocket": websocket,
           "tcp": tcp, "sni": sni, "canary": canary, "failover": failover}


# --- Running -----------------------------------------------------------------------------------------------------------

class Run:
    """A proxy on one of the configurations, with its own origins."""

    def __init__(self, kind, name, certs):
        self.kind, self.name, self.certs, self.stack = kind, name, certs, contextlib.ExitStack()

    def origin(self, name):
        if self.name == "grpc":
            return Calls(name)
        if self.name == "tcp":
            return Origin(raw(name))
        if self.name == "sni":
            return Origin(secured(name, self.certs, "server" if name == "one" else "two"))
        return Origin(named(name))

    def results(self):
        with self.stack as stack:
            origins = {name: stack.enter_context(self.origin(name)) for name in ("one", "two", "three")}
            ports = {name: origin.port for name, origin in origins.items()}
            ports |= {"port": free_port(), "plain": free_port(), "third": origins["three"]}
            proxy = self.kind([], [])
            text = (HERE / f"{self.name}.yaml").read_text().replace("{{certs}}", str(self.certs))
            for name, value in {**ports, "admin": proxy.admin_port}.items():
                text = text.replace("{{%s}}" % name, str(value))
            proxy.configuration = text
            stack.enter_context(proxy)
            return list(SCRIPTS[self.name](ports, self.certs))


@pytest.mark.parametrize("name", NAMES)
def test_the_answers_are_envoys(name, certs):
    if envoykit.program() is None:
        Run(proxykit.Proxy, name, certs).results()
        pytest.skip("no Envoy to compare with (scripts/peers.sh)")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(lambda kind: Run(kind, name, certs).results(), (envoykit.Envoy, proxykit.Proxy))
    assert ours == theirs
