"""What is measured: load scenarios with wrk, system calls, allocations, memory."""

import dataclasses
import pathlib
import re
import resource
import socket
import struct
import subprocess
import time

from processes import HERE, LOAD_CORE, pinned, start_proxy


@dataclasses.dataclass
class Scenario:
    key: str
    title: str
    path: str
    connections: int
    is_closing: bool = False


SCENARIOS = [
    Scenario("keepalive-64", "HTTP/1.1 keep-alive, 64 connections, 12-byte body", "/", 64),
    Scenario("keepalive-1000", "HTTP/1.1 keep-alive, 1000 connections", "/", 1000),
    Scenario("close", "connection per request", "/", 64, is_closing=True),
    Scenario("64k", "64 KiB bodies", "/64k", 64),
    Scenario("1m", "1 MiB bodies", "/1m", 16),
]


def run_wrk(port, scenario, seconds):
    """(requests, p50 ms, p99 ms, errors) of one run of wrk on the load's core."""
    command = ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    if scenario.is_closing:
        command += ["-H", "Connection: close"]
    done = subprocess.run(
        pinned(LOAD_CORE, [*command, f"http://127.0.0.1:{port}{scenario.path}"]),
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    ).stdout
    requests = int(re.search(r"(\d+) requests in", done).group(1))
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", done)))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done)
    times = {key: milliseconds(value) for key, value in re.findall(r"^\s+(50|99)%\s+(\S+)$", done, re.M)}
    return requests, times.get("50"), times.get("99"), errors + (int(bad.group(1)) if bad else 0)


def milliseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]


def measure(proxy, scenario, seconds):
    """One round: CPU µs per request, requests per second, latencies, errors."""
    before, start = proxy.cpu_seconds(), time.monotonic()
    requests, p50, p99, errors = run_wrk(proxy.port, scenario, seconds)
    took, cpu = time.monotonic() - start, proxy.cpu_seconds() - before
    return {
        "cpu_us": cpu * 1e6 / max(1, requests), "rps": requests / took, "p50_ms": p50, "p99_ms": p99, "errors": errors
    }


def system_calls(proxy, seconds=3):
    """System calls per request under 64 kept connections, from strace's summary."""
    pids = [word for pid in proxy.pids() for word in ("-p", str(pid))]
    tracer = subprocess.Popen(["strace", "-c", "-f", *pids], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    requests = run_wrk(proxy.port, SCENARIOS[0], seconds)[0]
    tracer.send_signal(2)
    summary = tracer.communicate(timeout=30)[1]
    calls = {
        name: int(count)
        for count, name in re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", summary, re.M)
        if name != "total"
    }
    return sum(calls.values()) / max(1, requests), {k: round(v / max(1, requests), 3) for k, v in calls.items() if v > requests * 0.005}


def allocations(name, folder, origin, seconds=2):
    """Allocations per request at steady state, counted by a preloaded library; None where it cannot count."""
    library = folder / "malloc_count.so"
    build = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "malloc_count.c")]
    if subprocess.run(build, capture_output=True).returncode != 0:
        return None
    counter = folder / f"{name}.count"
    proxy = start_proxy(name, folder, origin, {"LD_PRELOAD": str(library), "MALLOC_COUNT": str(counter)})
    try:
        run_wrk(proxy.port, SCENARIOS[0], 1)  # pools fill
        before = read_count(counter)
        requests = run_wrk(proxy.port, SCENARIOS[0], seconds)[0]
        after = read_count(counter)
    finally:
        proxy.stop()
    return None if after == 0 else (after - before) / max(1, requests)


def read_count(path):
    try:
        return struct.unpack("Q", pathlib.Path(path).read_bytes()[:8])[0]
    except (OSError, struct.error):
        return 0


def idle_memory(proxy, counts):
    """Bytes at rest, and for each count the bytes per idle kept connection after one request on each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, max(counts) + 256)), hard))
    time.sleep(2)  # what start-up needed is given back
    rest = proxy.memory()
    held, each = [], {}
    try:
        for count in counts:
            while len(held) < count:
                held.append(used_connection(proxy))
            time.sleep(0.5)
            each[str(count)] = (proxy.memory() - rest) / count
        return {"rest": rest, "each": each}
    finally:
        for one in held:
            one.close()


def used_connection(proxy):
    """A connection on which one request was answered."""
    one = socket.create_connection(("127.0.0.1", proxy.port), 5)
    one.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    data = b""
    while b"hello world\n" not in data:
        part = one.recv(4096)
        if not part:
            raise SystemExit(f"{proxy.name} closed an idle connection")
        data += part
    return one
