"""The jobs of bench/stress/attacks: what is done to a proxy, what is measured, and when it counts as held."""

import contextlib
import dataclasses
import os
import pathlib
import select
import signal
import socket
import statistics
import sys
import threading
import time

import faults
import overload
import turnover
from processes import ROOT, memory_of

sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
from framekit import CONTINUATION, END_HEADERS, PREFACE, block, frame, headers, ping, request, reset, settings, text

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Good(threading.Thread):
    """Good traffic: a connection per request, one after another, at most 200 a second; times of the answers, and failures."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.times, self.failures, self.stops = port, [], [], False

    def run(self):
        while not self.stops:
            begin = time.monotonic()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as one:
                    one.settimeout(5)
                    one.sendall(REQUEST)
                    answer = b""
                    while piece := one.recv(65536):
                        answer += piece
                if answer.startswith(b"HTTP/1.1 200"):
                    self.times.append(time.monotonic() - begin)
                else:
                    self.failures.append(answer[:40].decode("latin-1"))
            except OSError as problem:
                self.failures.append(type(problem).__name__)
            time.sleep(max(0, 0.005 - (time.monotonic() - begin)))

    def finish(self):
        self.stops = True
        self.join(10)
        return self

    @property
    def p99(self):
        return statistics.quantiles(self.times, n=100)[98] * 1000 if len(self.times) > 1 else float("inf")


@contextlib.contextmanager
def good_traffic(port):
    good = Good(port)
    good.start()
    try:
        yield good
    finally:
        good.finish()


def quiet(port, seconds):
    with good_traffic(port) as good:
        time.sleep(seconds)
    return good


def beside(proxy, seconds, attack):
    """Good traffic in quiet, then beside an attack; what the attack cost."""
    before = quiet(proxy.port, min(3, seconds))
    memory, cpu = proxy.memory(), proxy.cpu_seconds()
    peak = [memory]
    with good_traffic(proxy.port) as good:
        more = attack(lambda: peak.append(proxy.memory())) or {}
    return {
        "good": len(good.times), "failed": len(good.failures), "p99_ms": round(good.p99, 2), "quiet_p99_ms": round(before.p99, 2),
        "memory_mib": round((max(peak) - memory) / (1 << 20), 1), "cpu_s": round(proxy.cpu_seconds() - cpu, 2), **more,
    }


@dataclasses.dataclass
class Job:
    key: str
    title: str
    condition: str
    run: object
    without: tuple = ()
    # It starts what it needs itself: `run(name, folder, seconds)`, None where the proxy cannot.
    own: bool = False


# --- Slow clients ---------------------------------------------------------------------------------------------------------

SLOW = 1000


def slow_clients(name, proxy, seconds):
    """1000 connections with a byte of a head each second: gone 15 s after the limit for heads, and nobody else notices."""
    def attack(look):
        slow = []
        for _ in range(SLOW):
            one = socket.create_connection(("127.0.0.1", proxy.port), 5)
            one.setblocking(False)
            slow.append(one)
        text = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "
        end = time.monotonic() + 25
        place, most = 0, len(slow)
        while time.monotonic() < end and slow:
            slow = [one for one in slow if still_open(one, text[place:place + 1] or b"a")]
            place += 1
            look()
            time.sleep(1)
        left = len(slow)
        for one in slow:
            one.close()
        return {"attackers": most, "left": left}

    found = beside(proxy, seconds, attack)
    return {**found, "holds": not found["failed"] and found["left"] == 0 and is_quick(found, 2, 1)}


def is_quick(found, times, least_ms):
    return found["p99_ms"] <= max(times * found["quiet_p99_ms"], least_ms)


def still_open(one, byte):
    try:
        one.send(byte)
        return one.recv(4096) != b""
    except BlockingIOError:
        return True
    except OSError:
        one.close()
        return False


# --- HTTP/2 ---------------------------------------------------------------------------------------------------------------

def flood(pieces):
    """A job that sends the same bytes again and again over HTTP/2 connections of 4 clients, and counts how often they were thrown out."""
    def run(name, proxy, seconds):
        def attack(look):
            count = {"thrown_out": 0, "sent_mib": 0.0}
            stop = time.monotonic() + seconds
            threads = [threading.Thread(target=drown, args=(proxy.ports["h2"], pieces, stop, count), daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            while time.monotonic() < stop:
                time.sleep(0.2)
                look()
            for thread in threads:
                thread.join(10)
            return {key: round(value, 1) for key, value in count.items()}

        found = beside(proxy, seconds, attack)
        # The attack comes as fast as the other core can send it, and has as much of the proxy's as the good traffic.
        return {**found, "holds": not found["failed"] and found["memory_mib"] <= 32 and found["thrown_out"] > 0 and is_quick(found, 3, 20)}
    return run


def drown(port, pieces, stop, count):
    while time.monotonic() < stop:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as one:
            one.settimeout(2)
            one.sendall(PREFACE + settings())
            stream = 1
            while time.monotonic() < stop:
                raw = pieces(stream)
                stream += 200
                one.sendall(raw)
                count["sent_mib"] += len(raw) / (1 << 20)
                while select.select([one], [], [], 0)[0]:
                    if not one.recv(1 << 16):
                        raise ConnectionResetError
                if stream > 1 << 30:
                    break
            continue
        if time.monotonic() < stop:
            count["thrown_out"] += 1


def resets(first):
    return b"".join(headers(stream) + reset(stream) for stream in range(first, first + 200, 2))


def pings(_):
    return ping() * 500


def continuations(first):
    return headers(first, flags=1) + frame(CONTINUATION, 0, first, block([("x", "y" * 100)])) * 100


def crumbs(first):
    """A head of few bytes that unpacks to 100,000 cookies."""
    rest = b"\xbe" * 16_000
    return (headers(first, raw=block(request()) + b"\x60" + text("a") + b"\xbe" * 15_000, flags=1)
            + frame(CONTINUATION, 0, first, rest) * 4 + frame(CONTINUATION, END_HEADERS, first, rest))


# --- Clients that do not read -------------------------------------------------------------------------------------------------

READERS = 1000


def slow_readers(name, proxy, seconds):
    """1000 clients ask for 1 MiB each and take nothing: what is held for them is bounded."""
    def attack(look):
        held = []
        for _ in range(READERS):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", proxy.port))
            one.sendall(b"GET /1m HTTP/1.1\r\nHost: a\r\n\r\n")
            held.append(one)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            look()
            time.sleep(0.5)
        for one in held:
            one.close()

    found = beside(proxy, seconds, attack)
    return {**found, "holds": not found["failed"] and found["memory_mib"] <= 160}


# --- Faults ----------------------------------------------------------------------------------------------------------------

def out_of_descriptors(name, proxy, seconds):
    """The descriptors run out under 1000 connections: who is connected goes on, and there is room again when they leave."""
    kept = socket.create_connection(("127.0.0.1", proxy.port), 5)
    ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    crowd, answered = [], 0
    cpu = proxy.cpu_seconds()
    for _ in range(SLOW):
        one = socket.socket()
        one.settimeout(1)
        with contextlib.suppress(OSError):
            one.connect(("127.0.0.1", proxy.port))
        crowd.append(one)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            kept.settimeout(2)
            kept.sendall(ask)
            answered += kept.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.1)
    spent = proxy.cpu_seconds() - cpu
    for one in crowd:
        one.close()
    begin, back = time.monotonic(), None
    while back is None and time.monotonic() - begin < 15:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.port), 1) as one:
            one.settimeout(1)
            one.sendall(REQUEST)
            if one.recv(65536).startswith(b"HTTP/1.1 200"):
                back = time.monotonic() - begin
    kept.close()
    alive = proxy.process.poll() is None
    return {
        "kept_answered": answered, "back_s": None if back is None else round(back, 2), "cpu_s": round(spent, 2),
        "holds": alive and answered >= 20 and back is not None and back <= 1,
    }


def killed(name, proxy, seconds):
    """What serves is killed twenty times under traffic: how long until the next answer, and how many were refused.

    weft-proxy runs under its supervisor; nginx has its master; the others have nobody."""
    worst, failures = 0.0, []
    for _ in range(20):
        serving = servers(name, proxy)
        if not serving:
            break
        with good_traffic(proxy.port) as good:
            # What dies within its first second is started again with a pause.
            time.sleep(1.5)
            os.kill(serving[-1], signal.SIGKILL)
            begin, count = time.monotonic(), len(good.times)
            while len(good.times) < count + 3 and time.monotonic() - begin < 10:
                time.sleep(0.001)
            worst = max(worst, time.monotonic() - begin)
            time.sleep(0.3)
        failures += good.failures
    refused = sum(1 for one in failures if "Refused" in one)
    return {"worst_s": round(worst, 3), "failed": len(failures), "refused": refused, "holds": worst < 1 and refused == 0}


def servers(name, proxy):
    pids = [pid for pid in proxy.pids() if memory_of(pid)]
    return pids[1:] if name in ("weft", "nginx") else pids


def replaced(name, proxy, seconds):
    """A new process takes over ten times under traffic."""
    number = {"weft": signal.SIGHUP, "nginx": signal.SIGHUP}[name]
    main = next(pid for pid in proxy.pids() if name in pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0])
    with good_traffic(proxy.port) as good:
        for _ in range(10):
            before = set(proxy.pids())
            os.kill(main, number)
            end = time.monotonic() + 10
            while set(proxy.pids()) <= before and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.5)
    return {"good": len(good.times), "failed": len(good.failures), "p99_ms": round(good.p99, 2), "holds": not good.failures}


FLOOD = "no good request fails, p99 at most 3 times that in quiet or 20 ms, at most 32 MiB, thrown out"
JOBS = [
    Job("slow-clients", "1000 clients with a byte of a head per second", "no good request fails, p99 at most twice that in quiet or 1 ms; all gone within 25 s", slow_clients),
    Job("rapid-reset", "HTTP/2: requests that are reset at once (CVE-2023-44487)", FLOOD, flood(resets), ("nghttpx",)),
    Job("ping-flood", "HTTP/2: PING without end", FLOOD, flood(pings), ("nghttpx",)),
    Job("continuation", "HTTP/2: CONTINUATION without end (CVE-2024-27316)", FLOOD, flood(continuations), ("nghttpx",)),
    Job("cookie-bomb", "HTTP/2: heads that unpack to 79,000 cookies", FLOOD, flood(crumbs), ("nghttpx",)),
    Job("slow-readers", "1000 clients ask for 1 MiB and take nothing", "no good request fails, at most 160 MiB", slow_readers),
    Job("descriptors", "256 descriptors, 1000 connections", "who is connected is answered; room again within 1 s", out_of_descriptors),
    Job("kill", "kill -9 of what serves, twenty times", "answers again within 1 s, none refused", killed, ("haproxy", "nghttpx", "envoy")),
    Job("replace", "a new process takes over, ten times", "no request fails", replaced, ("haproxy", "nghttpx", "envoy")),
    *(Job(*row, ("nghttpx",), own=True) for row in (*overload.JOBS, *faults.JOBS, *turnover.JOBS)),
]
