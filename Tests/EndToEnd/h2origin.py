"""An endpoint of HTTP/2 for tests, in the clear or behind TLS: what came is kept by connection, what goes back is up to the test."""

import contextlib
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from proxykit import DEADLINE

PREFACE = b"PRI * HTTP/2.0"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def code(name):
    return getattr(h2.settings.SettingCodes, name.upper())


class Request:
    """One stream: its head, and what came of its body; `ended` once all came."""

    def __init__(self, link, stream, fields):
        self.link, self.stream, self.fields = link, stream, dict(fields)
        self.body, self.ended, self.reset, self.trailers = b"", False, None, None

    @property
    def path(self):
        return self.fields.get(":path", "")

    def answer(self, body=b"ok", status=200, fields=(), trailers=None, ends=True):
        self.head(status, fields, ends=ends and not body and not trailers)
        if body:
            self.data(body, ends=ends and not trailers)
        if trailers:
            self.link.do(lambda state: state.send_headers(self.stream, trailers, end_stream=True))

    def head(self, status=200, fields=(), ends=False):
        self.link.do(lambda state: state.send_headers(self.stream, [(":status", str(status)), *fields], end_stream=ends))

    def data(self, body, ends=False):
        """Sends as the window allows; from another thread than the connection's where it is larger than that."""
        position = 0
        while position < len(body) or (ends and not body):
            room = self.link.room(self.stream)
            piece = body[position:position + room]
            position += len(piece)
            is_last = ends and position >= len(body)
            self.link.do(lambda state: state.send_data(self.stream, piece, end_stream=is_last))
            if not body:
                return

    def break_off(self, code=2):
        self.link.do(lambda state: state.reset_stream(self.stream, code))


class Link:
    """One connection. `raw` sends bytes past the library."""

    def __init__(self, origin, connection, number):
        self.origin, self.connection, self.number = origin, connection, number
        self.requests, self.pings, self.goaways, self.resets, self.protocol = {}, 0, [], {}, None
        self.name, self.header, self.is_closed, self.changed = None, b"", False, threading.Condition(threading.RLock())
        config = h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_inbound_headers=False,
            validate_outbound_headers=False, normalize_outbound_headers=False)
        self.state = h2.connection.H2Connection(config)

    def do(self, action):
        with self.changed:
            action(self.state)
            self.connection.sendall(self.state.data_to_send())

    def raw(self, data):
        with self.changed:
            self.connection.sendall(data)

    def settings(self, **pairs):
        self.do(lambda state: state.update_settings({code(name): value for name, value in pairs.items()}))

    def goaway(self, last=0, code=0):
        self.raw(b"\0\0\x08\x07\0\0\0\0\0" + struct.pack(">II", last, code))

    def close(self, reset=False):
        with contextlib.suppress(OSError):
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def room(self, stream):
        with self.changed:
            while (room := min(self.state.local_flow_control_window(stream), 16_384)) <= 0:
                assert self.changed.wait(DEADLINE) and not self.is_closed, "the window stays closed"
            return room

    # What comes.

    def serve(self):
        first = self.connection.recv(65536)
        while first and self.origin.introduces and b"\r\n" not in first:
            first += self.connection.recv(65536)
        if self.origin.introduces:
            self.header, first = first.split(b"\r\n", 1)
        while len(first) < len(PREFACE):
            if not (piece := self.connection.recv(65536)):
                return
            first += piece
        if not first.startswith(PREFACE):
            self.serve_http1(first)
            return
        self.protocol = "h2"
        if self.origin.opening:
            self.raw(self.origin.opening)
        with self.changed:
            self.state.local_settings = h2.settings.Settings(client=False, initial_values={
                **self.state.local_settings, **{code(name): value for name, value in (self.origin.settings or {}).items()}})
            self.state.initiate_connection()
            self.do(lambda _: None)
        while first:
            with self.changed:
                events = self.state.receive_data(first)
                self.connection.sendall(self.state.data_to_send())
                self.changed.notify_all()
            for event in events:
                self.take(event)
            first = self.connection.recv(65536)

    def serve_http1(self, data):
        self.protocol = "http/1.1"
        while True:
            while b"\r\n\r\n" not in data:
                if not (piece := self.connection.recv(65536)):
                    return
                data += piece
            head, data = data.split(b"\r\n\r\n", 1)
            number = len(self.requests) + 1
            self.requests[number] = Request(self, number, [(":path", head.split(b" ")[1].decode())])
            self.connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhttp/1.1")

    def take(self, event):
        origin, stream = self.origin, getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            request = self.requests[stream] = Request(self, stream, event.headers)
            origin.begun(request)
        elif isinstance(event, h2.events.DataReceived):
            request = self.requests[stream]
            request.body += event.data
            origin.piece(request, event.data)
            if origin.grants and event.flow_controlled_length:
                self.do(lambda state: state.acknowledge_received_data(event.flow_controlled_length, stream))
        elif isinstance(event, h2.events.TrailersReceived):
            self.requests[stream].trailers = dict(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self.requests[stream].ended = True
            origin.whole(self.requests[stream])
        elif isinstance(event, h2.events.StreamReset):
            self.resets[stream] = int(event.error_code)
            if stream in self.requests:
                self.requests[stream].reset = int(event.error_code)
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append(int(event.error_code))


class H2Origin:
    """`begun` is called with the head of a request, `piece` with each of its body, `whole` at its end; in the connection's thread.

    `tls` is a server's context. `introduces`: connections begin with a line of the PROXY protocol. `opening` are bytes that go out
    before the library says anything. Without `grants` what comes of bodies is not given back to the sender.
    """

    def __init__(self, whole=None, begun=None, piece=None, tls=None, introduces=False, settings=None, opening=b"", grants=True,
                 host="127.0.0.1"):
        self.piece = piece or (lambda request, data: None)
        self.whole = whole or (lambda request: request.answer(request.body or b"ok"))
        self.begun = begun or (lambda request: None)
        self.tls, self.introduces, self.settings, self.opening, self.grants = tls, introduces, settings, opening, grants
        self.links, self.failures, self.names = [], [], []
        if tls:
            tls.sni_callback = lambda connection, name, context: self.names.append(name)
        self.server = socket.create_server((host, 0), backlog=1024)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        link = None
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            link = Link(self, connection, len(self.links))
            self.links.append(link)
            link.serve()
        except (OSError, EOFError, AssertionError, h2.exceptions.H2Error) as problem:
            self.failures.append(problem)
        if link:
            with link.changed:
                link.is_closed = True
                link.changed.notify_all()
        with contextlib.suppress(OSError):
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for link in self.links:
            link.close()

    @property
    def requests(self):
        return [request for link in list(self.links) for request in list(link.requests.values())]

    @property
    def open_links(self):
        return [link for link in self.links if not link.is_closed]
