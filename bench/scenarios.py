"""What is measured: load scenarios with wrk, system calls, allocations, memory."""

import dataclasses
import pathlib
import re
import resource
import socket
import ssl
import statistics
import struct
import subprocess
import time

from processes import HERE, LOAD_CORE, PROXY_CORE, pinned, start_proxy

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE
TLS.set_alpn_protocols(["http/1.1"])


@dataclasses.dataclass
class Scenario:
    """One load: what sends it, and to which port of which profile of the proxies."""
    key: str
    title: str
    path: str = "/"
    connections: int = 64
    is_closing: bool = False
    tool: str = "wrk"
    profile: str = ""
    port: str = "port"
    streams: int = 1
    without: tuple = ()
    fields: tuple = ()


# Signed with the key of peers/envoy-filters.yaml; it never ends.
TOKEN = ("eyJhbGciOiJIUzI1NiIsImtpZCI6ImJlbmNoIiwidHlwIjoiSldUIn0"
         ".eyJpc3MiOiJiZW5jaCIsInN1YiI6ImxvYWQiLCJhdWQiOiJvcmlnaW4ifQ.3CwmGBc50xV1I6PK77jwFcUKFyd4MjKveK0UY5xgRNU")

SCENARIOS = [
    Scenario("keepalive-64", "HTTP/1.1 keep-alive, 64 connections, 12-byte body", without=("nghttpx",)),
    Scenario("keepalive-1000", "HTTP/1.1 keep-alive, 1000 connections", connections=1000, without=("nghttpx",)),
    Scenario("close", "connection per request", is_closing=True, without=("nghttpx",)),
    Scenario("64k", "64 KiB bodies", "/64k", without=("nghttpx",)),
    Scenario("1m", "1 MiB bodies", "/1m", 16, without=("nghttpx",)),
    Scenario("h2c", "HTTP/2 cleartext, 8 connections x 32 streams", connections=8, streams=32, tool="h2load", profile="more", port="h2"),
    Scenario("tls", "TLS 1.3, HTTP/1.1 keep-alive, 64 connections", profile="more", port="tls"),
    Scenario("tls-h2", "TLS 1.3, HTTP/2, 8 connections x 32 streams", connections=8, streams=32, tool="h2load", profile="more", port="tls"),
    Scenario("handshake", "TLS handshake per request (ECDSA P-256)", is_closing=True, profile="more", port="tls"),
    Scenario("grpc", "gRPC unary, HTTP/2 on both sides, 8 connections x 32 streams", "/bench.Echo/Say", 8, tool="h2load", profile="grpc",
             port="h2", streams=32),
    Scenario("websocket", "WebSocket echo, 64 connections, 64-byte messages", "/ws", tool="ws", profile="more"),
    Scenario("tcp", "TCP, 8 connections, per MiB", connections=8, tool="tcp", profile="more", port="tcp", without=("nginx", "nghttpx")),
    Scenario("filters", "five filters: rate limit, CORS, JWT (HS256), RBAC, header changes; else as the first line", profile="filters",
             without=("nginx", "haproxy", "nghttpx"),
             fields=("origin: https://shop.example", "x-team: web", f"authorization: Bearer {TOKEN}")),
]


def run_load(proxy, scenario, seconds, origins):
    """(requests, p50 ms, p99 ms, errors) of one run of the scenario's tool on the load's core."""
    port = proxy.ports["port" if scenario.profile == "grpc" else scenario.port]
    run = {"wrk": run_wrk, "h2load": run_h2load}.get(scenario.tool, run_echo)
    return run(port, scenario, seconds, origins)


def run_echo(port, scenario, seconds, origins):
    command = [origins.echo, "load", scenario.tool, str(port), str(scenario.connections), str(seconds)]
    done = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise SystemExit(f"{scenario.key}: {done.stderr}")
    count = int(done.stdout)
    return count // 1024 if scenario.tool == "tcp" else count, None, None, 0 if count else 1


# Requests of h2load for each second that a run shall last, about; the same for every proxy.
H2LOAD_REQUESTS = 48_000


def run_h2load(port, scenario, seconds, origins):
    # A number of requests, not a time: a connection that h2load has made after the end of a time never ends.
    scheme, count = "https" if scenario.port == "tls" else "http", int(seconds * H2LOAD_REQUESTS)
    command = ["h2load", "-t1", f"-c{scenario.connections}", f"-m{scenario.streams}", f"-n{count}"]
    if scenario.profile == "grpc":
        command += ["-d", origins.call, "-H", "content-type: application/grpc", "-H", "te: trailers"]
    done = subprocess.run(
        pinned(LOAD_CORE, [*command, f"{scheme}://127.0.0.1:{port}{scenario.path}"]),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds + 180).stdout
    found = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done)
    if not found:
        raise SystemExit(f"{scenario.key}: h2load wrote: {done[-500:]}")
    count, well, *bad = map(int, found.groups())
    return well, None, None, sum(bad) + count - well


def run_wrk(port, scenario, seconds, origins=None):
    seconds = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    if scenario.is_closing:
        command += ["-H", "Connection: close"]
    for field in scenario.fields:
        command += ["-H", field]
    scheme = "https" if scenario.port == "tls" else "http"
    done = subprocess.run(
        pinned(LOAD_CORE, [*command, f"{scheme}://127.0.0.1:{port}{scenario.path}"]),
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


def measure(proxy, scenario, seconds, origins):
    """One round: CPU µs per request, requests per second, latencies, errors."""
    before, start = proxy.cpu_seconds(), time.monotonic()
    requests, p50, p99, errors = run_load(proxy, scenario, seconds, origins)
    took, cpu = time.monotonic() - start, proxy.cpu_seconds() - before
    return {
        "cpu_us": cpu * 1e6 / max(1, requests), "rps": requests / took, "p50_ms": p50, "p99_ms": p99, "errors": errors
    }


def system_calls(proxy, scenario, origins, seconds=2):
    """System calls per request, from strace's summary, and those of them that matter."""
    pids = [word for pid in proxy.pids() for word in ("-p", str(pid))]
    tracer = subprocess.Popen(["strace", "-c", "-f", *pids], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    requests = run_load(proxy, scenario, seconds, origins)[0]
    tracer.send_signal(2)
    summary = tracer.communicate(timeout=30)[1]
    calls = {
        name: int(count)
        for count, name in re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", summary, re.M)
        if name != "total"
    }
    return sum(calls.values()) / max(1, requests), {k: round(v / max(1, requests), 3) for k, v in calls.items() if v > requests * 0.005}


def allocations(name, scenario, folder, origins, seconds=2):
    """Allocations per request at steady state, counted by a preloaded library; None where it cannot count."""
    library = folder / "malloc_count.so"
    build = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "malloc_count.c")]
    if not library.exists() and subprocess.run(build, capture_output=True).returncode != 0:
        return None
    counter = folder / f"{name}.count"
    counter.unlink(missing_ok=True)
    environment = {"LD_PRELOAD": str(library), "MALLOC_COUNT": str(counter)}
    proxy = start_proxy(name, folder, origins, environment, scenario.profile)
    if proxy is None:
        return None
    try:
        run_load(proxy, scenario, 1, origins)  # pools fill
        before = read_count(counter)
        requests = run_load(proxy, scenario, seconds, origins)[0]
        after = read_count(counter)
    finally:
        proxy.stop()
    return None if after == 0 else (after - before) / max(1, requests)


def read_count(path):
    try:
        return struct.unpack("Q", pathlib.Path(path).read_bytes()[:8])[0]
    except (OSError, struct.error):
        return 0


def idle_memory(proxy, counts, is_tls=False):
    """Bytes at rest, and for each count the bytes per idle kept connection after one request on each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, max(counts) + 256)), hard))
    used_connection(proxy, is_tls).close()
    time.sleep(2)  # what start-up needed is given back
    rest = proxy.memory()
    held, each = [], {}
    try:
        for count in counts:
            while len(held) < count:
                held.append(used_connection(proxy, is_tls))
            time.sleep(0.5)
            each[str(count)] = (proxy.memory() - rest) / count
        return {"rest": rest, "each": each}
    finally:
        for one in held:
            one.close()


def used_connection(proxy, is_tls=False):
    """A connection on which one request was answered."""
    one = socket.create_connection(("127.0.0.1", proxy.ports["tls" if is_tls else "port"]), 5)
    if is_tls:
        one = TLS.wrap_socket(one, server_hostname="bench")
    one.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    data = b""
    while b"hello world\n" not in data:
        part = one.recv(4096)
        if not part:
            raise SystemExit(f"{proxy.name} closed an idle connection")
        data += part
    return one


def two_workers(folder, origins, scenario, seconds):
    """What two workers on two cores can do, as a multiple of one: by CPU per request, since the load needs a core as well."""
    costs = []
    for workers, cores in ((1, PROXY_CORE), (2, "0,1")):
        proxy = start_proxy("weft", folder, origins, profile=scenario.profile, cores=cores, workers=workers)
        try:
            run_load(proxy, scenario, 1, origins)
            costs.append(statistics.median(measure(proxy, scenario, seconds, origins)["cpu_us"] for _ in range(3)))
        finally:
            proxy.stop()
    return {"one_us": costs[0], "two_us": costs[1], "times": 2 * costs[0] / costs[1]}
