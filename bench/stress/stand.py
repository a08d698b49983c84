"""Proxies with a configuration of a job's own, an origin of known capacity, and clients that keep a rate."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import processes
from processes import LOAD_CORE, PROGRAM, PROXY_CORE, ROOT, Process, compiled, find_envoy, free_port, pinned, wait_for

sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
from proxykit import address, cluster, http_filter, listener, route  # noqa: E402

FILTERS = "type.googleapis.com/envoy.extensions.filters.http."
# Every place is held open in debug builds and on busy machines too: waiting has these ends, measuring has none.
PATIENCE = 20


def program(folder):
    """The compiled bench/load.c."""
    found = folder / "load"
    return str(found) if found.exists() else compiled(folder, "load")


# --- The origin ------------------------------------------------------------------------------------------------------------

class Origin(Process):
    """`slots` requests at a time, each for `service` microseconds; the rest queues. 0 slots: all at once."""

    def __init__(self, folder, slots=0, service=0):
        self.port = free_port()
        super().__init__(f"origin{self.port}", [program(folder), "origin", str(self.port), str(slots), str(service)], LOAD_CORE, folder)
        wait_for(self.port, self)

    def set(self, **what):
        fetch(self.port, "/set?" + "&".join(f"{key}={value}" for key, value in what.items()))

    def count(self):
        return json.loads(fetch(self.port, "/count"))


@contextlib.contextmanager
def origins(folder, count=1, **more):
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(Origin(folder, **more))
            stack.callback(made[-1].stop)
        yield made


def fetch(port, path, timeout=5):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
        return answer.read().decode()


# --- Clients ---------------------------------------------------------------------------------------------------------------

class Load:
    """Requests by the clock, whether earlier ones have ended or not; `finish` says what became of them."""

    def __init__(self, folder, port, rate, seconds, deadline_ms=1000, connections=2048, path="/", field=None, skip=0):
        words = [program(folder), "open", str(port), str(rate), str(seconds), str(deadline_ms), str(connections), path]
        self.seconds = seconds
        self.process = subprocess.Popen(
            pinned(LOAD_CORE, words + ([field, str(skip)] if field else [])), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self):
        out, problem = self.process.communicate(timeout=self.seconds + 60)
        if self.process.returncode:
            raise SystemExit(f"the load ended with {self.process.returncode}: {problem}")
        return json.loads(out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def loaded(*words, **more):
    with Load(*words, **more) as load:
        return load.finish()


def lost(found):
    """Requests that were not answered well."""
    return found["offered"] - found["good"]


# --- Proxies ---------------------------------------------------------------------------------------------------------------

class Running:
    """One proxy of a job: its port, what it costs, and for those that have them statistics."""

    def __init__(self, name, process, port, admin=None):
        self.name, self.process, self.port, self.admin_port = name, process, port, admin

    def stats(self, pattern=""):
        """The numbers of `/stats`, by name."""
        text = fetch(self.admin_port, "/stats" + (f"?filter={pattern}" if pattern else ""))
        return {key: int(value) for key, value in re.findall(r"^(\S+): (\d+)$", text, re.M)}

    def stat(self, name):
        return self.stats(re.escape(name)).get(name, 0)

    def main(self):
        """The process of the proxy itself, under whatever pins or limits it."""
        return self.process.pids()[0]

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.process.pids() if os.path.exists(f"/proc/{pid}/fd"))

    def is_alive(self):
        return self.process.process.poll() is None

    def __getattr__(self, name):
        return getattr(self.process, name)


@contextlib.contextmanager
def envoy_like(name, folder, listeners, clusters, options=(), under=(), environment=None, out=None, ready=True, **more):
    """weft-proxy ("weft") or Envoy ("envoy") with this configuration, or None where it is not installed."""
    binary = str(PROGRAM) if name == "weft" else find_envoy()
    if not binary or not pathlib.Path(binary).exists():
        yield None
        return
    admin = free_port()
    config = {"node": {"id": "stress", "cluster": "stress"}, "admin": {"address": address(admin)},
              "static_resources": {"listeners": listeners, "clusters": clusters}, **more}
    path = folder / f"{name}-{admin}.json"
    path.write_text(json.dumps(config))
    words = [binary, "-c", str(path), "--concurrency", "1", *options]
    if name == "envoy":
        words += ["--disable-hot-restart", "-l", "error"]
    process = Process(f"{name}-{admin}", [*under, *words], PROXY_CORE, folder, environment) if out is None else Piped(
        f"{name}-{admin}", [*under, *words], folder, out)
    port = listeners[0]["address"]["socket_address"]["port_value"] if listeners else admin
    running = Running(name, process, port, admin)
    try:
        if ready:
            wait_for(port, process)
        yield running
    finally:
        process.stop()


class Piped(Process):
    """A process whose output goes where the job wants it."""

    def __init__(self, name, command, folder, out):
        self.name = name
        self.log = open(folder / f"{name}.log", "ab")
        self.process = subprocess.Popen(pinned(PROXY_CORE, command), stdout=out, stderr=self.log, start_new_session=True)


@contextlib.contextmanager
def nginx(folder, servers, before="", port=None, http="", access="access_log off;"):
    """nginx with `servers` inside its http block; `servers` may name the port as $port."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not binary:
        yield None
        return
    port = port or free_port()
    place = folder / f"nginx-{port}"
    place.mkdir()
    (place / "conf").write_text(
        f"daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error crit; worker_rlimit_nofile 16384;\n"
        f"events {{ worker_connections 16000; multi_accept on; }}\nhttp {{ {access} keepalive_requests 100000000;\n"
        f"keepalive_timeout 3600; {http}\n{before}\n{servers.replace('$port', str(port))} }}\n")
    process = Process(f"nginx-{port}", [binary, "-c", str(place / "conf"), "-p", str(place)], PROXY_CORE, folder)
    try:
        wait_for(port, process)
        yield Running("nginx", process, port)
    finally:
        process.stop()


def nginx_server(location="", server="", name="origin"):
    return (f"server {{ listen 127.0.0.1:$port backlog=4096; {server} location / {{ proxy_pass http://{name}; proxy_http_version 1.1; "
            f"proxy_set_header Connection \"\"; {location} }} }}")


def nginx_upstream(ports, each="", more="", name="origin"):
    return f"upstream {name} {{ " + " ".join(f"server 127.0.0.1:{port} {each};" for port in ports) + \
        f" {more} keepalive 2048; keepalive_requests 100000000; }}"


@contextlib.contextmanager
def haproxy(folder, front="", back="", servers=(), each="", defaults="", global_="", port=None):
    binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not binary:
        yield None
        return
    port = port or free_port()
    lines = [f"    server s{index} 127.0.0.1:{one} pool-max-conn 4096 {each}" for index, one in enumerate(servers)]
    path = folder / f"haproxy-{port}.cfg"
    path.write_text("\n".join([
        "global", "    nbthread 1", "    maxconn 9700", *(f"    {line}" for line in global_.splitlines()), "defaults", "    mode http",
        "    timeout connect 1s", "    timeout client 3600s", "    timeout server 10s", "    timeout http-keep-alive 3600s", "    http-reuse always",
        *(f"    {line}" for line in defaults.splitlines()), "frontend in", f"    bind 127.0.0.1:{port} backlog 4096",
        *(f"    {line}" for line in front.splitlines()), "    default_backend origin", "backend origin",
        *(f"    {line}" for line in back.splitlines()), *lines]) + "\n")
    process = Process(f"haproxy-{port}", [binary, "-db", "-q", "-f", str(path)], PROXY_CORE, folder)
    try:
        wait_for(port, process)
        yield Running("haproxy", process, port)
    finally:
        process.stop()


def step(name, kind, **config):
    return {"name": name, "typed_config": {"@type": FILTERS + kind, **config}}


def http_chain(routes, *steps, **more):
    """A connection manager with these filters before the router."""
    made = http_filter(routes, generate_request_id=False, **more)
    made["typed_config"]["http_filters"] = [*steps, *made["typed_config"]["http_filters"]]
    return made


def simple(ports, *steps, port=None, routes=None, breakers=None, chain=None, **more):
    """Listeners and clusters of a proxy in front of these ports."""
    thresholds = [breakers or {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000, "max_retries": 100000}]
    listeners = [listener(port or free_port(), http_chain(routes or [route({"cluster": "origin", "timeout": "0s"})], *steps, **(chain or {})))]
    return listeners, [cluster("origin", *ports, circuit_breakers={"thresholds": thresholds}, **more)]


# --- Watching --------------------------------------------------------------------------------------------------------------

class Watch(threading.Thread):
    """Calls `look` every `pause` seconds and keeps (seconds since the start, what it gave)."""

    def __init__(self, look, pause=0.1):
        super().__init__(daemon=True)
        self.look, self.pause, self.seen, self.ends = look, pause, [], threading.Event()
        self.begun = time.monotonic()

    def run(self):
        while not self.ends.is_set():
            with contextlib.suppress(OSError):
                self.seen.append((time.monotonic() - self.begun, self.look()))
            self.ends.wait(self.pause)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join(10)

    def between(self, first, last):
        return [value for at, value in self.seen if first <= at < last]


def eventually(condition, seconds=PATIENCE, pause=0.02):
    """Waits for a condition; the seconds it took, or None."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        with contextlib.suppress(OSError):
            if condition():
                return time.monotonic() - begin
        time.sleep(pause)
    return None


def median(values):
    return statistics.median(values) if values else 0


def end_of(process, seconds=PATIENCE):
    """SIGTERM to the program itself; the seconds until it ended, or None."""
    begin = time.monotonic()
    process.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.process.wait(seconds)
        return time.monotonic() - begin
    return None
