"""`weft-proxy --supervise`: a proxy that dies is back, and a new one takes over, without a connection refused."""

import contextlib
import glob
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from proxykit import DEADLINE, Origin, Proxy, cluster, eventually, free_port, get, http_filter, listener, program, route, serving


def children(pid):
    with contextlib.suppress(OSError):
        return {int(word) for word in open(f"/proc/{pid}/task/{pid}/children").read().split()}
    return set()


def is_alive(pid):
    with contextlib.suppress(OSError):
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    return False


class Supervised(Proxy):
    """A proxy under its supervisor; `version` stands in its answers."""

    def __init__(self, origin):
        self.port = free_port()
        super().__init__([], [cluster("origin", origin.port)], "--supervise", "--drain-time-s", "3")
        self.say("1")

    def say(self, version, paths=(), **more):
        field = {"header": {"key": "x-version", "value": version}}
        http = http_filter([route()], **{"stream_idle_timeout": "0s", **more})
        http["typed_config"]["route_config"]["response_headers_to_add"] = [field]
        self.configuration["static_resources"]["listeners"] = [listener(self.port, http), *(
            {**listener(0, http, name=path), "address": {"pipe": {"path": path}}} for path in paths)]
        (self.folder / "bootstrap.json").write_text(json.dumps(self.configuration))

    def version(self):
        return get(self.port)[1].get("x-version")

    def proxies(self):
        return children(self.process.pid)

    def __exit__(self, *problem):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DEADLINE)
        super().__exit__(*problem)


class Visitors:
    """Clients with a fresh connection for each request, and others that keep theirs; what went wrong, by kind."""

    def __init__(self, port):
        self.port, self.wrong, self.count, self.stops = port, [], 0, False
        self.threads = [threading.Thread(target=self.visit, args=(keeps,), daemon=True) for keeps in (False, False, True, True)]

    def visit(self, keeps):
        one = None
        while not self.stops:
            try:
                one = one or http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
                one.request("GET", "/")
                answer = one.getresponse()
                answer.read()
                assert answer.status == 200, answer.status
                self.count += 1
                if keeps and not answer.will_close:
                    continue
            except (OSError, http.client.HTTPException, AssertionError) as problem:
                self.wrong.append(repr(problem))
            if one:
                one.close()
            one = None

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stops = True
        for thread in self.threads:
            thread.join(2 * DEADLINE)

    def goes_on(self, count=50):
        begin = self.count
        return eventually(lambda: self.count >= begin + count)


@pytest.fixture
def supervised():
    with Origin(serving()) as origin, Supervised(origin) as proxy:
        yield proxy


def test_a_proxy_that_dies_is_back_and_nobody_is_refused(supervised):
    with Visitors(supervised.port) as visitors:
        for _ in range(3):
            assert visitors.goes_on()
            before = eventually(supervised.proxies)
            os.kill(max(before), signal.SIGKILL)
            assert eventually(lambda: supervised.proxies() - before)
        assert visitors.goes_on()
    assert not [problem for problem in visitors.wrong if "refused" in problem.lower()]
    # What was open when it died, of four clients and three deaths.
    assert len(visitors.wrong) <= 12, visitors.wrong
    assert supervised.text().count("it is started again") == 3


def test_a_new_proxy_takes_over_without_a_failed_request(supervised):
    (first,) = eventually(supervised.proxies)
    with Visitors(supervised.port) as visitors:
        for number in ("2", "3"):
            assert visitors.goes_on()
            supervised.say(number)
            supervised.process.send_signal(signal.SIGHUP)
            assert eventually(lambda: supervised.text().count("a new proxy serves") == int(number) - 1)
            assert eventually(lambda: supervised.version() == number) and visitors.goes_on()
            assert eventually(lambda: len(supervised.proxies()) == 1)
    assert visitors.wrong == []
    assert not is_alive(first) and supervised.version() == "3"
    assert supervised.admin("/ready").startswith("LIVE")


class PathVisitors(threading.Thread):
    """Connects to a Unix socket again and again, and asks for the version there."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.place, self.versions, self.wrong, self.ends = place, [], [], threading.Event()

    def run(self):
        while not self.ends.is_set():
            try:
                with socket.socket(socket.AF_UNIX) as one:
                    one.settimeout(DEADLINE)
                    one.connect(self.place.replace("@", "\0"))
                    one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    answer = one.makefile("rb").read()
                found = re.search(rb"x-version: (\S+)", answer)
                if found:
                    self.versions.append(found[1].decode())
                else:
                    self.wrong.append(answer[:100])
            except OSError as problem:
                self.wrong.append(repr(problem))


def test_unix_sockets_are_handed_over_and_nobody_is_refused(supervised):
    """Both a path and an abstract name, which clients ask for without a pause over two restarts; the paths go with the last proxy."""
    places = [str(supervised.folder / "in"), f"@{supervised.folder.name}"]
    supervised.say("1", places)
    supervised.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: "a new proxy serves" in supervised.text())
    clients = [PathVisitors(place) for place in places]
    for client in clients:
        client.start()
    for number in ("2", "3"):
        assert eventually(lambda: all(client.versions for client in clients))
        supervised.say(number, places)
        supervised.process.send_signal(signal.SIGHUP)
        # Both proxies answer until the old one has left.
        assert eventually(lambda: all(number in client.versions[-1:] for client in clients)), supervised.text()
        assert eventually(lambda: supervised.text().count("a new proxy serves") == int(number))
        assert eventually(lambda: len(supervised.proxies()) == 1)
    seen = [len(client.versions) for client in clients]
    assert eventually(lambda: all(len(client.versions) > count for client, count in zip(clients, seen)))
    for client in clients:
        client.ends.set()
        client.join(DEADLINE)
    assert [client.wrong for client in clients] == [[], []] and all(client.versions[-1] == "3" for client in clients)
    # What is no longer configured goes away, and so does the last.
    again = str(supervised.folder / "again")
    supervised.say("4", [again])
    supervised.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: os.path.exists(again) and not os.path.exists(places[0]))
    supervised.process.send_signal(signal.SIGTERM)
    assert eventually(lambda: not os.path.exists(again))


def test_a_configuration_that_cannot_be_used_leaves_the_old_proxy_alone(supervised):
    before = eventually(supervised.proxies)
    (supervised.folder / "bootstrap.json").write_text('{"static_resources": {"listeners": [{}]}}')
    supervised.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: "the new proxy ended before it served" in supervised.text())
    assert supervised.proxies() == before and supervised.version() == "1"
    # It is still watched over, its sockets are still held.
    supervised.say("2")
    os.kill(max(before), signal.SIGKILL)
    assert supervised.version() == "2"


def test_the_first_proxy_that_cannot_start_is_the_end(tmp_path):
    (tmp_path / "bad.json").write_text('{"static_resources": {"listeners": [{"name": 1}]}}')
    done = subprocess.run(
        [program(), "--supervise", "-c", str(tmp_path / "bad.json")], capture_output=True, text=True, timeout=20, env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert done.returncode == 1 and "static_resources.listeners[0]" in done.stderr
    assert not glob.glob(str(tmp_path / "weft-proxy-*"))
    wrong = subprocess.run([program(), "--supervise", "--mode", "validate"], capture_output=True, text=True, timeout=20)
    assert wrong.returncode == 1 and "--supervise" in wrong.stderr


def test_without_its_supervisor_a_proxy_ends():
    with Origin(serving()) as origin, Supervised(origin) as proxy:
        (child,) = eventually(proxy.proxies)
        assert proxy.version() == "1"
        proxy.process.kill()
        proxy.process.wait(DEADLINE)
        assert eventually(lambda: not is_alive(child))
        with socket.create_server(("127.0.0.1", proxy.port)):
            pass
        proxy.process = subprocess.Popen(["true"])
        proxy.process.wait(DEADLINE)
