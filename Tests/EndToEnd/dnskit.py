"""A name server for tests: UDP and TCP on one port of the loopback; its answers are a function of the question."""

import socket
import struct
import threading

A, CNAME, AAAA = 1, 5, 28
SERVFAIL, NXDOMAIN = 2, 3


def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.rstrip(".").split(".")) + b"\0"


def record(owner, kind, data, ttl=60):
    return name(owner) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def a(owner, address, ttl=60):
    return record(owner, A, socket.inet_aton(address), ttl)


def aaaa(owner, address, ttl=60):
    return record(owner, AAAA, socket.inet_pton(socket.AF_INET6, address), ttl)


def cname(owner, target, ttl=60):
    return record(owner, CNAME, name(target), ttl)


class NameServer:
    """`answers(name, kind, transport)` gives records, an rcode, raw bytes (sent as they are), or None (no answer at all).

    What does not fit into 512 bytes is cut off and marked, as RFC 1035 has it: the client comes back over TCP.
    """

    def __init__(self, answers):
        self.answers, self.asked = answers, []
        self.changed = threading.Condition()
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            try:
                self.tcp = socket.create_server(("127.0.0.1", self.port))
                break
            except OSError:
                self.udp.close()
        for serve in (self._datagrams, self._connections):
            threading.Thread(target=serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (self.udp, self.tcp):
            one.close()

    @property
    def address(self):
        return {"socket_address": {"address": "127.0.0.1", "port_value": self.port}}

    def wait_for(self, condition, deadline=10):
        """Until the list of questions (name, kind, transport) fulfils the condition."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.asked), deadline), self.asked

    def _datagrams(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            answer = self._answer(data, "udp")
            if answer is not None:
                self.udp.sendto(answer, peer)

    def _connections(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._stream, args=(connection,), daemon=True).start()

    def _stream(self, connection):
        with connection, connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                answer = self._answer(stream.read(struct.unpack(">H", head)[0]), "tcp")
                if answer is not None:
                    connection.sendall(struct.pack(">H", len(answer)) + answer)

    def _answer(self, data, transport):
        labels, position = [], 12
        while data[position]:
            labels.append(data[position + 1:position + 1 + data[position]].decode())
            position += 1 + data[position]
        kind = struct.unpack(">H", data[position + 1:position + 3])[0]
        question = ".".join(labels).lower()
        given = self.answers(question, kind, transport)
        with self.changed:
            self.asked.append((question, kind, transport))
            self.changed.notify_all()
        if given is None or isinstance(given, bytes):
            return given
        rcode, records = (given, []) if isinstance(given, int) else (0, given)
        body = data[12:position + 5] + b"".join(records)
        flags, count = 0x8180 | rcode, len(records)
        if transport == "udp" and len(body) > 500:
            flags, count, body = flags | 0x0200, 0, data[12:position + 5]
        return data[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + body
