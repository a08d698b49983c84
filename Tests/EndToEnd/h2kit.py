"""A client of HTTP/2 for tests: frames of one's own making, and what came back by stream."""

import socket
import struct
import time

import h2.config
import h2.connection
import h2.events
import h2.settings

from proxykit import DEADLINE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Stream:
    """What came on one stream."""

    def __init__(self):
        self.fields, self.interim, self.trailers, self.body = {}, [], None, b""
        self.ended, self.reset = False, None

    @property
    def status(self):
        return int(self.fields.get(":status", 0))


class H2Client:
    """One connection; `window` is what the proxy may send on a stream and on all before more is granted."""

    def __init__(self, port, host="127.0.0.1", connection=None, window=None, grants=True):
        self.connection = connection or socket.create_connection((host, port), timeout=DEADLINE)
        self.connection.settimeout(DEADLINE)
        config = h2.config.H2Configuration(
            header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False)
        self.state = h2.connection.H2Connection(config)
        if window is not None:
            self.state.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.grants = grants
        self.streams, self.pongs, self.settings = {}, [], {}
        self.goaways, self.closed, self.buffer = [], False, b""
        self.state.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def flush(self):
        self.connection.sendall(self.state.data_to_send())

    def raw(self, data):
        self.connection.sendall(data)

    def request(self, path="/", method="GET", body=None, fields=(), ends=True, trailers=None, host="a", scheme="http"):
        stream = self.state.get_next_available_stream_id()
        self.streams[stream] = Stream()
        head = [(":method", method), (":scheme", scheme), (":authority", host), (":path", path), *fields]
        self.state.send_headers(stream, [pair for pair in head if pair[1] is not None], end_stream=body is None and ends)
        for start in range(0, len(body or b""), 16_384):
            piece = body[start:start + 16_384]
            self.state.send_data(stream, piece, end_stream=ends and not trailers and start + len(piece) == len(body))
        if trailers:
            self.state.send_headers(stream, trailers, end_stream=True)
        self.flush()
        return stream

    def data(self, stream, body, ends=False):
        self.state.send_data(stream, body, end_stream=ends)
        self.flush()

    def more(self):
        """Takes what came; False at the end of the connection."""
        try:
            piece = self.connection.recv(65536)
        except ConnectionError:
            piece = b""
        if not piece:
            self.closed = True
            return False
        for event in self.state.receive_data(self.without_goaways(piece)):
            self.take(event)
        self.flush_quietly()
        return True

    def without_goaways(self, piece):
        """Takes GOAWAY frames out, after which the library would hear nothing more."""
        self.buffer += piece
        kept, position = b"", 0
        while position + 9 <= len(self.buffer):
            end = position + 9 + int.from_bytes(self.buffer[position:position + 3], "big")
            if end > len(self.buffer):
                break
            whole = self.buffer[position:end]
            if whole[3] == GOAWAY:
                self.goaways.append(struct.unpack(">II", whole[9:17]))
            else:
                kept += whole
            position = end
        self.buffer = self.buffer[position:]
        return kept

    def flush_quietly(self):
        try:
            self.flush()
        except OSError:
            pass

    def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None)) or Stream()
        if isinstance(event, h2.events.ResponseReceived):
            stream.fields = dict(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(dict(event.headers))
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if self.grants and event.flow_controlled_length:
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings.update({int(code): change.new_value for code, change in event.changed_settings.items()})

    def until(self, condition):
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end and self.more(), "what was awaited did not come"
        return self

    def answer(self, stream):
        """The stream when it has ended, in order or by a reset."""
        found = self.streams[stream]
        self.until(lambda: found.ended or found.reset is not None)
        return found

    def get(self, *arguments, **more):
        return self.answer(self.request(*arguments, **more))


def last_word(port, data, host="127.0.0.1"):
    """Sends bytes and reads to the end of the connection: the code of the last GOAWAY; None where there was none."""
    with socket.create_connection((host, port), timeout=DEADLINE) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    code, position = None, 0
    while position + 9 <= len(answer):
        length, kind = int.from_bytes(answer[position:position + 3], "big"), answer[position + 3]
        if kind == GOAWAY:
            code = int.from_bytes(answer[position + 13:position + 17], "big")
        position += 9 + length
    return code
