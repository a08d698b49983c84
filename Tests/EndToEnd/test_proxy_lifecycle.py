"""A proxy's life: drain, limits of the machine, many connections."""

import resource
import signal
import socket
import threading
import time

from proxykit import Client, Origin, eventually, get, serving, simple_proxy


def test_sigterm_lets_requests_end_and_refuses_new_connections():
    release = threading.Event()

    def behaviour(peer):
        while True:
            peer.request()
            release.wait(5)
            peer.answer(b"done")
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (proxy, port):
        busy = Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        idle = Client(port)
        assert eventually(lambda: origin.bytes)
        proxy.process.send_signal(signal.SIGTERM)

        def refused():
            try:
                Client(port).socket.close()
                return False
            except OSError:
                return True
        assert eventually(refused)
        assert idle.is_closed()
        release.set()
        status, fields, body = busy.response()
        assert (status, body, fields["connection"]) == (200, b"done", "close")
        assert busy.is_closed()
        assert proxy.process.wait(5) == 0


def test_under_load_a_drain_fails_no_request():
    failures = []
    with Origin(serving()) as origin, simple_proxy(origin.port) as (proxy, port):
        stop = threading.Event()

        def load():
            while not stop.is_set():
                try:
                    client = Client(port)
                except OSError:
                    return
                try:
                    for _ in range(1000):
                        status, fields, _ = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()
                        if status != 200:
                            failures.append(status)
                        if fields.get("connection") == "close":
                            break
                except (EOFError, OSError) as error:
                    # A request that met the close of an idle connection is the client's to repeat.
                    if client.buffer:
                        failures.append(error)
                finally:
                    client.socket.close()
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(10) == 0
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []


def test_a_second_signal_ends_at_once():
    with Origin(lambda peer: threading.Event().wait(5)) as origin, simple_proxy(origin.port) as (proxy, port):
        with Client(port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert eventually(lambda: origin.connections)
            proxy.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            proxy.process.send_signal(signal.SIGTERM)
            proxy.process.wait(3)


def test_without_descriptors_accepting_rests_and_comes_back():
    with Origin(serving()) as origin, simple_proxy(origin.port) as (proxy, port):
        assert get(port)[0] == 200
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (40, 4096))
        crowd = []
        for _ in range(60):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            crowd.append(client)
        time.sleep(0.3)
        before = sum(map(int, open(f"/proc/{proxy.process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
        time.sleep(1)
        after = sum(map(int, open(f"/proc/{proxy.process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
        assert after - before < 30, "it spins"
        for client in crowd:
            client.close()

        def serves():
            try:
                return get(port)[0] == 200
            except OSError:
                return False

        assert eventually(serves), "connections are taken again"


def test_idle_connections_are_cheap():
    def memory(pid):
        text = open(f"/proc/{pid}/smaps_rollup").read()
        return int(text.split("Pss:")[1].split()[0])
    with Origin(serving()) as origin, simple_proxy(origin.port) as (proxy, port):
        for _ in range(20):
            assert get(port)[0] == 200
        before = memory(proxy.process.pid)
        crowd = [Client(port) for _ in range(1000)]
        for client in crowd:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in crowd:
            assert client.response()[0] == 200
        grown = memory(proxy.process.pid) - before
        assert grown < 4 * 1000, f"{grown} KiB for 1000 connections"
        for client in crowd:
            client.socket.close()

