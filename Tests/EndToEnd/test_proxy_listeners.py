"""The proxy and the keeper of its listening sockets, with a keeper made here: an honest one, a wrong one, and none."""

import array
import contextlib
import os
import shutil
import socket
import struct
import tempfile
import threading

import pytest
from proxykit import Origin, Proxy, cluster, free_port, http_filter, listener, route, serving
from weftkit import fetch, wait_until

HELLO, HOLD, DROP, CLAIMED, RELEASE, HELD, END = range(1, 8)


def name_of(port, host="127.0.0.1", network=0):
    """A kept socket's name: family, address, port, network."""
    return struct.pack(">B16sHQ", 4, socket.inet_aton(host), port, network)


class Keeper:
    """Holds what it is given; gives what is in `given` to a proxy that starts."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="weft-keep-", dir="/tmp")
        self.path = f"{self.folder}/k"
        self.given, self.held, self.words = [], {}, []
        self.lock = threading.Lock()
        self.listen()

    def listen(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.door.bind(self.path)
        self.door.listen()
        threading.Thread(target=self._accept, args=(self.door,), daemon=True).start()

    def _accept(self, door):
        while True:
            try:
                channel, _ = door.accept()
            except OSError:
                return
            self.channel = channel
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()

    def _serve(self, channel):
        with contextlib.suppress(OSError):
            while True:
                message, extra, _, _ = channel.recvmsg(512, socket.CMSG_SPACE(4))
                if not message:
                    return
                fds = array.array("i")
                for _, _, data in extra:
                    fds.frombytes(data)
                self._take(channel, message, list(fds))

    def _take(self, channel, message, fds):
        with self.lock:
            self.words.append(message[0])
            if message[0] == HELLO and message[2] == 1:
                for text, fd in self.given:
                    socket.send_fds(channel, [text], [fd] if fd is not None else [])
                channel.send(bytes([END]))
            elif message[0] == HOLD:
                self.held[os.fstat(fds[0]).st_ino] = (message[1:], fds[0])
            elif message[0] == DROP:
                _, fd = self.held.pop(struct.unpack(">Q", message[1:])[0])
                os.close(fd)

    def hand_over(self):
        """What it holds is for the next proxy."""
        with self.lock:
            self.given = [(bytes([HELD]) + name, fd) for name, fd in self.held.values()]
            self.held, self.words = {}, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.door.close()
        for fd in {fd for _, fd in self.given if fd is not None} | {fd for _, fd in self.held.values()}:
            with contextlib.suppress(OSError):
                os.close(fd)
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def proxy(keeper, port, origin, workers=1, **more):
    with Proxy(
        [listener(port, http_filter([route()]), **more)], [cluster("origin", origin.port)],
        "--concurrency", str(workers), "--listener-keeper", keeper.path,
    ) as one:
        yield one


@pytest.mark.parametrize("before, after", [(1, 1), (4, 1), (1, 3), (3, 2)])
def test_connections_made_without_a_proxy_wait_for_the_next(before, after):
    with Keeper() as keeper, Origin(serving()) as origin:
        port = free_port()
        with proxy(keeper, port, origin, before):
            wait_until(lambda: CLAIMED in keeper.words, "the proxy claims what it uses")
            assert [name for name, _ in keeper.held.values()] == [name_of(port)] * before
        keeper.hand_over()
        # Enough of them that every socket of the group has some in its queue.
        waiting = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(24)]
        for one in waiting:
            one.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        with proxy(keeper, port, origin, after) as new:
            for one in waiting:
                assert one.recv(15) == b"HTTP/1.1 200 OK"
                one.close()
            assert new.stat("listeners_taken_over_total") == before
            wait_until(lambda: CLAIMED in keeper.words, "the proxy claims what it uses")
            assert len(keeper.held) == max(before, after)


def test_what_is_not_configured_any_more_is_let_go_and_sockets_of_others_are_refused():
    with Keeper() as keeper, Origin(serving()) as origin, socket.create_server(("127.0.0.1", 0)) as stranger:
        port, old = free_port(), free_port()
        kept = socket.socket()
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", old))
        kept.listen()
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        reader, writer = os.pipe()
        held = bytes([HELD])
        keeper.given = [
            (held + name_of(old), kept.detach()),  # no longer configured
            (held + name_of(port), stranger.fileno()),  # another address, and not of a group
            (held + name_of(port), datagram.fileno()),
            (held + name_of(port), reader),
            (held + name_of(port), None),
            (held + name_of(port, network=7), stranger.fileno()),
            (held, stranger.fileno()),
            (b"\xff" * 400, writer),
            (bytes([HELLO, 9, 9]), None),
            (b"\0", stranger.fileno()),
        ]
        with proxy(keeper, port, origin) as one:
            assert fetch("127.0.0.1", port=port)[0] == 200
            assert one.stat("listeners_taken_over_total") == 0
            wait_until(lambda: CLAIMED in keeper.words, "the proxy claims what it uses")
            keeper.channel.send(b"\xfe" * 512)
            socket.send_fds(keeper.channel, [b"\x06"], [reader])
            assert fetch("127.0.0.1", port=port)[0] == 200
            assert len(os.listdir(f"/proc/{one.process.pid}/fd")) < 40
        keeper.given = []
        datagram.close()
        os.close(reader)
        os.close(writer)


def test_a_new_keeper_is_told_of_every_socket_and_a_drained_proxy_is_not_waited_for():
    with Keeper() as keeper, Origin(serving()) as origin:
        port = free_port()
        with proxy(keeper, port, origin, 2) as one:
            wait_until(lambda: CLAIMED in keeper.words, "the proxy claims what it uses")
            first = set(keeper.held)
            keeper.door.close()
            keeper.channel.shutdown(socket.SHUT_RDWR)
            keeper.hand_over()
            keeper.listen()
            wait_until(lambda: CLAIMED in keeper.words, "the new keeper is told of everything")
            assert set(keeper.held) == first
            assert keeper.words.count(HOLD) == 2
            assert fetch("127.0.0.1", port=port)[0] == 200
            one.process.terminate()
            assert one.process.wait(10) == 0
        # The process ended in order, but somebody else may take over: nothing was given up.
        assert RELEASE not in keeper.words and DROP not in keeper.words
        assert set(keeper.held) == first


def test_without_a_keeper_the_proxy_works_as_ever():
    with Keeper() as keeper, Origin(serving()) as origin:
        keeper.door.close()
        port = free_port()
        with proxy(keeper, port, origin) as one:
            assert fetch("127.0.0.1", port=port)[0] == 200
            keeper.listen()
            wait_until(lambda: CLAIMED in keeper.words, "a keeper that comes later is told of everything")
            assert [name for name, _ in keeper.held.values()] == [name_of(port)]
            assert one.stat("listeners_taken_over_total") == 0
