"""HTTP/2 in raw frames: what a peer may and may not send is written down byte by byte, and what comes back is read."""

import socket
import struct

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 1, 1, 4, 8, 0x20
CODES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
         "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]
DEADLINE = 20


# --- Frames ----------------------------------------------------------------------------------------------------------

def frame(kind, flags, stream, payload=b"", length=None):
    """One frame; `length` lies about the payload's."""
    return struct.pack(">I", len(payload) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def text(value, mark=0):
    """A string of HPACK, without Huffman's code."""
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    return integer(len(raw), 7, mark) + raw


def integer(value, bits, mark=0):
    """An integer of HPACK with a prefix of so many bits, below the mark."""
    full = (1 << bits) - 1
    if value < full:
        return bytes([mark | value])
    value, out = value - full, [mark | full]
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def block(fields):
    """A block of fields, each written out and kept in no table: the bytes do not depend on what went before."""
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def request(path="/", *more, method="GET", scheme="http", authority="a", without=()):
    """The fields of a request; `without` names pseudo fields to leave away."""
    pseudo = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]
    return [one for one in pseudo if one[0] not in without] + list(more)


def headers(stream=1, fields=None, flags=END_STREAM | END_HEADERS, raw=None, before=b"", after=b""):
    """A HEADERS frame: a request for `/` that has no body, unless it says otherwise."""
    return frame(HEADERS, flags, stream, before + (block(fields or request()) if raw is None else raw) + after)


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window(stream, step):
    return frame(WINDOW, 0, stream, struct.pack(">I", step))


def reset(stream, code=8):
    return frame(RST, 0, stream, struct.pack(">I", code))


def priority(stream, on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", on, weight))


def ping(data=b"weftweft", flags=0):
    return frame(PING, flags, 0, data)


def data(stream=1, body=b"hello", flags=END_STREAM):
    return frame(DATA, flags, stream, body)


# --- The peer --------------------------------------------------------------------------------------------------------

class Closed(Exception):
    """The connection ended."""


class Peer:
    """A connection on which bytes go out as they are; what comes back is kept by stream."""

    def __init__(self, port, pairs=(), start=True, tls=None, host="127.0.0.1", deadline=DEADLINE):
        self.socket = socket.create_connection((host, port), deadline)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="a")
        self.buffer, self.decoder = b"", hpack.Decoder()
        self.heads, self.bodies, self.ended, self.resets, self.acks, self.pongs = {}, {}, set(), {}, 0, []
        self.goaway, self.is_closed, self.theirs = None, False, None
        if start:
            self.send(PREFACE + settings(*pairs))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, raw):
        """Sends bytes; a peer that has closed meanwhile is found out when reading."""
        try:
            self.socket.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def _exactly(self, count):
        while len(self.buffer) < count:
            try:
                piece = self.socket.recv(1 << 16)
            except (ConnectionResetError, BrokenPipeError):
                piece = b""
            if not piece:
                self.is_closed = True
                raise Closed
            self.buffer += piece
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def step(self):
        """Reads one frame and takes note of it."""
        head = self._exactly(9)
        kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0] & 0x7FFFFFFF
        payload = self._exactly(int.from_bytes(head[:3], "big"))
        self._note(kind, flags, stream, payload)
        return kind, flags, stream, payload

    def _note(self, kind, flags, stream, payload):
        if kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        elif kind == HEADERS:
            assert flags & END_HEADERS and not flags & PADDED, "a head in several frames is not expected here"
            self.heads.setdefault(stream, []).append(self.decoder.decode(payload, raw=True))
        elif kind == RST:
            self.resets[stream] = CODES[int.from_bytes(payload, "big")]
        elif kind == GOAWAY and CODES[int.from_bytes(payload[4:8], "big")] != "NO_ERROR":
            self.goaway = CODES[int.from_bytes(payload[4:8], "big")]
        elif kind == GOAWAY:
            self.goaway = self.goaway or "NO_ERROR"
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == SETTINGS and flags & ACK:
            self.acks += 1
        elif kind == SETTINGS:
            pairs = [struct.unpack(">HI", payload[place:place + 6]) for place in range(0, len(payload), 6)]
            self.theirs = {**(self.theirs or {}), **dict(pairs)}
            self.send(frame(SETTINGS, ACK, 0))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.add(stream)

    def until(self, condition):
        """Reads until a condition of this peer holds, or the connection ends (then False)."""
        try:
            while not condition(self):
                self.step()
        except Closed:
            return bool(condition(self))
        return True

    def status(self, stream=1):
        heads = self.heads.get(stream)
        return int(dict(heads[-1 if len(heads) == 1 else 0])[b":status"]) if heads else None

    def answer(self, stream=1):
        """Waits for the whole answer on a stream: (status, fields, body)."""
        over = self.until(lambda peer: stream in peer.ended or stream in peer.resets)
        assert over and stream in self.ended, f"no answer on {stream}: {self.verdict(stream)}"
        return self.status(stream), dict(self.heads[stream][0]), self.bodies.get(stream, b"")

    def pong(self, mark=b"sentinel"):
        """Whether the connection still answers a PING."""
        self.send(ping(mark))
        return self.until(lambda peer: mark in peer.pongs)

    def verdict(self, stream=1):
        """What became of the connection and a stream, in words."""
        if self.goaway not in (None, "NO_ERROR"):
            return f"connection {self.goaway}"
        if stream in self.resets:
            return f"stream {self.resets[stream]}"
        if self.status(stream):
            return f"status {self.status(stream)}"
        return "closed" if self.is_closed else "nothing"

    def outcome(self, stream=1):
        """Reads until the connection failed, or the stream was reset or answered."""
        def is_over(peer):
            return stream in peer.resets or stream in peer.ended or peer.goaway not in (None, "NO_ERROR")
        self.until(is_over)
        return self.verdict(stream)
