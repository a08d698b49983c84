"""Runs the built `weft-proxy` on a configuration made here, against origins whose every byte is known."""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("WEFT_BUILD", "release")
DEADLINE = 10
# Workers of a proxy where nothing else is said, and the bytes of buffers that they keep for themselves.
WORKERS = int(os.environ.get("WEFT_WORKERS", "1"))
OWN_BUFFERS = 65_536 * WORKERS


def program():
    """The proxy under test: the release build, unless WEFT_BUILD or WEFT_PROXY name another."""
    return os.environ.get("WEFT_PROXY") or str(ROOT / ".build" / BUILD / "weft-proxy")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def free_ports(names):
    """A port for each name, no two alike: all are held until the last is found."""
    with contextlib.ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in names}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in sockets.items()}


GIVEN = set()


def quiet_port():
    """A free port that no outgoing connection is given, never twice: for tests that need many, on a machine that is busy."""
    while True:
        port = random.randrange(10_000, 19_000)
        if port in GIVEN:
            continue
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            GIVEN.add(port)
            return port


# --- Configuration ---------------------------------------------------------------------------------------------------

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def address(port, host="127.0.0.1"):
    return {"socket_address": {"address": host, "port_value": port}}


def endpoint(port, host="127.0.0.1", **more):
    return {"endpoint": {"address": address(port, host)}, **more}


def cluster(name, *ports, **more):
    return {
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            port if isinstance(port, dict) else endpoint(port) for port in ports]}]},
        **more,
    }


def route(target="origin", prefix="/", **more):
    action = {"cluster": target, "timeout": "5s"} if isinstance(target, str) else target
    return {"match": {"prefix": prefix}, "route": action, **more}


def http_filter(routes, **more):
    hosts = more.pop("virtual_hosts", None) or [{"name": "all", "domains": ["*"], "routes": routes}]
    return {"name": "http", "typed_config": {
        "@type": HCM, "stat_prefix": "test", "route_config": {"name": "routes", "virtual_hosts": hosts},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}], **more}}


def tcp_filter(target="origin", **more):
    return {"name": "tcp", "typed_config": {"@type": TCP_PROXY, "stat_prefix": "test", "cluster": target, **more}}


def listener(port, *filters, name="listener", **more):
    chains = more.pop("filter_chains", [{"filters": list(filters)}])
    return {"name": name, "address": address(port), "filter_chains": chains, **more}


class Proxy:
    """One running proxy; use it as a context."""

    def __init__(self, listeners, clusters, *arguments, **more):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-proxy-", dir="/tmp"))
        self.admin_port = free_port()
        self.command = [program()]
        self.arguments = ["--concurrency", os.environ.get("WEFT_WORKERS", "1"), *arguments]
        self.configuration = {
            "node": {"id": "test", "cluster": "test"},
            "admin": {"address": address(self.admin_port)},
            "static_resources": {"listeners": listeners, "clusters": clusters},
            **more,
        }

    def __enter__(self):
        self.begin()
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the proxy ended: {self.text()}"
            with contextlib.suppress(OSError):
                if self.admin("/ready", timeout=1).startswith("LIVE"):
                    return self
            time.sleep(0.01)
        self.__exit__()
        raise AssertionError(f"the proxy is not ready: {self.text()}")

    def begin(self):
        """Starts the program without waiting for it."""
        is_text = isinstance(self.configuration, str)
        path = self.folder / ("bootstrap.yaml" if is_text else "bootstrap.json")
        path.write_text(self.configuration if is_text else json.dumps(self.configuration))
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [*self.command, "-c", str(path), *self.arguments], stdout=self.log, stderr=self.log, start_new_session=True)

    def __exit__(self, *_):
        crashed = self.process.poll()
        if crashed is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)
        text = self.text()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert crashed in (None, 0), f"the proxy crashed with {crashed}: {text}"

    def text(self):
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def admin(self, path, timeout=5):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=timeout) as answer:
            return answer.read().decode()

    def post(self, path, timeout=5):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", data=b"", timeout=timeout) as answer:
            return answer.read().decode()

    def stat(self, name):
        """The sum of all series of a metric."""
        lines = self.admin("/stats/prometheus").splitlines()
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}(\{{| )", line)]
        return sum(values)


@contextlib.contextmanager
def simple_proxy(*ports, filters=None, **more):
    """A proxy with one HTTP listener in front of the origins at `ports`; gives (proxy, port)."""
    port = free_port()
    settings = more.pop("cluster", {})
    chain = filters or [http_filter([route()], **more)]
    with Proxy([listener(port, *chain)], [cluster("origin", *ports, **settings)]) as proxy:
        yield proxy, port


# --- Origins ---------------------------------------------------------------------------------------------------------

class Origin:
    """A server whose behaviour is a function of the connection; keeps every byte it received, per connection and in all."""

    def __init__(self, behaviour, port=0, host="127.0.0.1"):
        self.behaviour = behaviour
        self.received = []
        self.pieces = []
        self.server = socket.create_server((host, port), backlog=1024)
        self.port = self.server.getsockname()[1]
        self.connections = []
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while self.open:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            index = len(self.received)
            self.received.append(b"")
            self.connections.append(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection, index), daemon=True).start()

    def _serve(self, connection, index):
        with contextlib.suppress(OSError, EOFError, ValueError):
            self.behaviour(Peer(connection, self, index))
        with contextlib.suppress(OSError):
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open = False
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.close()

    @property
    def bytes(self):
        """All bytes in the order in which they came: what came later stands behind."""
        return b"".join(self.pieces)

    def take(self, index, piece):
        self.received[index] += piece
        self.pieces.append(piece)


class Peer:
    """The origin's end of a connection."""

    def __init__(self, connection, origin, index):
        self.connection, self.origin, self.index, self.buffer = connection, origin, index, b""

    def more(self):
        piece = self.connection.recv(65536)
        if not piece:
            raise EOFError
        self.origin.take(self.index, piece)
        self.buffer += piece

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head + mark

    def exactly(self, count):
        while len(self.buffer) < count:
            self.more()
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def request(self):
        """One whole request: (head, body); chunks are taken off."""
        head = self.until(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.I):
            body = b""
            while True:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    self.trailers = b""
                    while not (line := self.until(b"\r\n")) == b"\r\n":
                        self.trailers += line
                    return head, body
                body += self.exactly(size)
                self.exactly(2)
        return head, self.exactly(int(length.group(1))) if length else b""

    def send(self, data):
        self.connection.sendall(data)

    def answer(self, body=b"ok", status="200 OK", fields=b""):
        self.send(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n%s\r\n%s" % (status.encode(), len(body), fields, body))

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.connection.close()


def serving(body=b"ok", **more):
    """An origin that answers every request in the same way."""
    def behaviour(peer):
        while True:
            peer.request()
            peer.answer(body, **more)
    return behaviour


def echo(peer):
    """Answers with the body it got."""
    while True:
        _, body = peer.request()
        peer.answer(body)


# --- Clients ---------------------------------------------------------------------------------------------------------

class Client:
    """A client that speaks in bytes."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def finish(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError(f"closed after {bytes(self.buffer[-200:])!r}")
        self.buffer += piece

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head + mark

    def exactly(self, count):
        pieces, have = [self.buffer], len(self.buffer)
        while have < count:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise EOFError(f"closed after {have} of {count} bytes")
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self.buffer = data[count:]
        return data[:count]

    def response(self, to_head=False):
        """One response: (status, fields as a dictionary of lower-case names, body)."""
        head = self.until(b"\r\n\r\n").decode("latin-1")
        status = int(head.split(" ")[1])
        fields = {}
        for line in head.split("\r\n")[1:-2]:
            name, _, value = line.partition(":")
            fields[name.lower()] = fields[name.lower()] + "," + value.strip() if name.lower() in fields else value.strip()
        if to_head or status in (204, 304) or status < 200:
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            self.trailers = b""
            while not (line := self.until(b"\r\n")) == b"\r\n":
                self.trailers += line
            return status, fields, body
        if "content-length" in fields:
            return status, fields, self.exactly(int(fields["content-length"]))
        return status, fields, self.rest()

    def rest(self):
        """All bytes until the peer closes."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                self.more()
        data, self.buffer = self.buffer, b""
        return data

    def is_closed(self, within=DEADLINE):
        """Whether the peer closes without sending anything more."""
        self.socket.settimeout(within)
        try:
            return self.socket.recv(1) == b"" and not self.buffer
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def get(port, path="/", fields="", host="a"):
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n").response()


def eventually(condition, seconds=DEADLINE):
    """Waits for a condition to hold; its last value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.01)
