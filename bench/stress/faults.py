"""Jobs in which something around the proxy breaks: clocks, endpoints, names, memory, the reader of its log."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import time

from processes import HERE, free_port, make_certificate
from stand import (
    Load, Watch, address, cluster, envoy_like, eventually, fetch, haproxy, http_chain, listener, loaded, lost, nginx, nginx_server,
    nginx_upstream, origins, route, simple)
from dnskit import AAAA, SERVFAIL, NameServer, a
from proxykit import get

RATE = 300
HOUR = 3600 * 10**9


# --- Clocks ------------------------------------------------------------------------------------------------------------------

def shim(folder):
    """The library that shifts clocks."""
    made = folder / "clock_shift.so"
    subprocess.run([shutil.which("cc") or "gcc", "-O2", "-shared", "-fPIC", "-o", str(made), str(HERE / "clock_shift.c"), "-ldl"],
                   check=True, capture_output=True, timeout=60)
    return str(made)


def clocks(name, folder, seconds):
    """The clock of the day jumps a day back and an hour ahead, and as after a sleep the other one ahead too, under load."""
    file = folder / "shift"
    file.write_bytes(struct.pack("qq", 0, 0))
    os.chmod(file, 0o644)
    under = ["env", f"LD_PRELOAD={shim(folder)}", f"CLOCK_SHIFT={file}"]

    def shift(wall, steady=0):
        with open(file, "r+b") as out:
            out.write(struct.pack("qq", wall, steady))
    with origins(folder) as (origin,), contextlib.ExitStack() as stack:
        if name in ("weft", "envoy"):
            routes = [route({"cluster": "origin", "timeout": "1s"})]
            proxy = stack.enter_context(envoy_like(name, folder, *simple([origin.port], routes=routes), under=under))
        else:
            return None
        if proxy is None:
            return None
        bad, timers = 0, []
        for wall, steady in ((0, 0), (-24 * HOUR, 0), (HOUR, 0), (0, 0), (0, HOUR)):
            with Load(folder, proxy.port, RATE, max(2, seconds / 2), 3000) as load:
                time.sleep(0.5)
                shift(wall, steady)
                result = load.finish()
            # A sleep ends what was under way.
            bad += lost(result) if steady == 0 else 0
            after = loaded(folder, proxy.port, RATE, 1, 3000)
            bad += lost(after)
            if steady == 0:
                timers.append(timed_out(origin, proxy.port))
        cpu = proxy.cpu_seconds()
        time.sleep(1)
        idle = proxy.cpu_seconds() - cpu
    worst = max(abs(took - 1) for took in timers)
    return {"failed": bad, "timer_off": round(100 * worst, 1), "idle_cpu_s": round(idle, 2),
            "holds": bad == 0 and worst <= 0.1 and idle < 0.2}


def timed_out(origin, port):
    """How long a timeout of a second takes."""
    origin.set(hang=1)
    begin = time.monotonic()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as one:
        one.settimeout(5)
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        one.recv(4096)
    took = time.monotonic() - begin
    origin.set(hang=0)
    return took


# --- Endpoints that nothing comes back from --------------------------------------------------------------------------------------

class Blackhole:
    """A port whose queue is full: the kernel drops what else wants in."""

    def __enter__(self):
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(0)
        self.port = self.server.getsockname()[1]
        self.filling = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", self.port))
            self.filling.append(one)
        return self

    def __exit__(self, *_):
        for one in [self.server, *self.filling]:
            one.close()


def blackholed(name, folder, ports):
    if name in ("weft", "envoy"):
        policy = {"retry_on": "connect-failure,reset,5xx", "num_retries": 2}
        routes = [route({"cluster": "origin", "timeout": "5s", "retry_policy": policy})]
        return envoy_like(name, folder, *simple(ports, routes=routes, connect_timeout="0.25s", outlier_detection={
            "consecutive_5xx": 3, "consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100,
            "base_ejection_time": "30s", "max_ejection_percent": 50}))
    if name == "nginx":
        return nginx(folder, nginx_server("proxy_connect_timeout 250ms; proxy_next_upstream error timeout;"),
                     nginx_upstream(ports, "max_fails=3 fail_timeout=30s"))
    return haproxy(folder, servers=ports, defaults="timeout connect 250ms\noption redispatch 1\nretries 2",
                   each="check inter 2s observe layer4 error-limit 3 on-error mark-down")


def blackhole(name, folder, seconds):
    """One of three endpoints swallows every connection."""
    with origins(folder, 2) as (one, two), Blackhole() as hole:
        with blackholed(name, folder, [one.port, two.port, hole.port]) as proxy:
            if proxy is None:
                return None
            result = loaded(folder, proxy.port, RATE, max(6, seconds), 5000)
    share = lost(result) / result["offered"]
    found = {"failed_share": round(100 * share, 2), "p99_ms": result["p99_ms"], "worst_ms": result["max_ms"]}
    return {**found, "holds": share <= 0.005 and result["p99_ms"] <= 750}


# --- Names -----------------------------------------------------------------------------------------------------------------------

def names(name, folder, seconds):
    """A name server that is slow, fails, flaps, lies and answers with thousands, under load: nobody notices."""
    if name not in ("weft", "envoy"):
        return None
    mode = ["plain"]
    asked = []

    def answers(asked_name, kind, transport):
        asked.append((time.monotonic(), mode[0]))
        if kind == AAAA:
            return []
        match mode[0]:
            case "slow":
                time.sleep(5)
                return [a(asked_name, "127.0.0.1", 1)]
            case "failing": return SERVFAIL
            case "empty": return []
            case "silent": return None
            case "lying": return [a("other.test", "127.0.0.66", 1)]
            case "garbage": return os.urandom(200)
            case "flapping": return [a(asked_name, "127.0.0.1", 0), *([a(asked_name, "127.0.0.2", 0)] if len(asked) % 2 else [])]
            case "huge": return [a(asked_name, f"127.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1) for n in range(1, 1501)] if transport == "tcp" \
                else [a(asked_name, f"127.0.{n >> 8}.{n & 255}", 1) for n in range(1, 100)]
        return [a(asked_name, "127.0.0.1", 1)]
    with NameServer(answers) as server, origins(folder) as (origin,):
        resolver = {"typed_dns_resolver_config": {"name": "cares", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [server.address], "dns_resolver_options": {"no_default_search_domain": True}}}}
        port = free_port()
        # The origin listens on every address of 127/8 that an answer names: 0.0.0.0 would; it has one, so others fail over.
        policy = {"retry_on": "connect-failure", "num_retries": 5, "retry_host_predicate": [{
            "name": "previous", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}],
            "host_selection_retry_max_attempts": 5}
        made = {**cluster("origin", {"endpoint": {"address": address(origin.port, "service.test")}}, **resolver), "type": "STRICT_DNS",
                "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "0.3s", "respect_dns_ttl": True, "connect_timeout": "0.25s"}
        routes = [route({"cluster": "origin", "timeout": "3s", "retry_policy": policy})]
        with envoy_like(name, folder, [listener(port, http_chain(routes))], [made]) as proxy:
            if proxy is None:
                return None
            eventually(lambda: lost(loaded(folder, port, 50, 0.2, 3000)) == 0)
            failed, worst = {}, 0
            for now in ("plain", "failing", "slow", "empty", "silent", "lying", "garbage", "flapping", "plain"):
                mode[0] = now
                result = loaded(folder, port, RATE, max(2.5, seconds / 2), 3000)
                failed[now], worst = lost(result), max(worst, result["p99_ms"])
            mode[0] = "huge"
            time.sleep(2.5)
            mode[0] = "plain"
            alive = eventually(lambda: lost(loaded(folder, port, 50, 0.2, 3000)) == 0) is not None
    # An empty answer says that there is nobody: what follows is not the proxy's fault, and that it recovers is seen in what comes next.
    bad = sum(count for key, count in failed.items() if key != "empty")
    return {"failed": bad, "p99_ms": worst, "questions": len(asked), "holds": bad == 0 and alive}


# --- A log that nobody reads -------------------------------------------------------------------------------------------------------

def stalled_log(name, folder, seconds):
    """Lines of the access log go to a pipe that nobody reads."""
    reader, writer = os.pipe()
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    # Held open, never read: as a log shipper that hangs.
    held = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    with origins(folder) as (origin,), contextlib.ExitStack() as stack:
        stack.callback(os.close, reader)
        stack.callback(os.close, held)
        if name in ("weft", "envoy"):
            log = {"name": "log", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"}}
            plain, clusters = simple([origin.port])
            logged, _ = simple([origin.port], chain={"access_log": [log]})
            listeners = [plain[0], {**logged[0], "name": "logged"}]
            proxy = stack.enter_context(envoy_like(name, folder, listeners, clusters, out=writer))
            port = logged[0]["address"]["socket_address"]["port_value"]
        elif name == "nginx":
            port = free_port()
            proxy = stack.enter_context(nginx(
                folder, nginx_server() + nginx_server(f"access_log {fifo};").replace("$port", str(port)), nginx_upstream([origin.port])))
        else:
            return None
        os.close(writer)
        if proxy is None:
            return None
        quiet = loaded(folder, proxy.port, 2000, max(3, seconds), 1000)
        before = proxy.memory()
        stalled = loaded(folder, port, 2000, max(8, seconds), 1000)
        grown = proxy.memory() - before
        lines = re.search(r"^access_log_dropped_total\S* (\d+)", stats_page(proxy), re.M) if name == "weft" else None
    found = {"failed": lost(stalled), "quiet_p99_ms": quiet["p99_ms"], "p99_ms": stalled["p99_ms"], "memory_mib": round(grown / (1 << 20), 1),
             **({"lines_lost": int(lines[1])} if lines else {})}
    # Below a millisecond the machine's own noise is larger than any difference.
    return {**found, "holds": found["failed"] == 0 and found["p99_ms"] <= max(1.2 * found["quiet_p99_ms"], found["quiet_p99_ms"] + 1)
            and grown <= 32 << 20 and (not lines or int(lines[1]) > 0)}


def stats_page(proxy):
    return fetch(proxy.admin_port, "/stats/prometheus")


# --- Memory --------------------------------------------------------------------------------------------------------------------------

READERS = 2000


def memory_cap(name, folder, seconds):
    """A budget of 128 MiB, 2000 clients, half of them over TLS, that ask for 10 MiB each and take nothing."""
    if name not in ("weft", "envoy"):
        return None
    make_certificate(folder)
    (folder / "big").write_bytes(os.urandom(10 << 20))
    triggers = [("shrink_heap", 0.9), ("disable_http_keepalive", 0.92), ("stop_accepting_connections", 0.95), ("stop_accepting_requests", 0.98)]
    manager = {"refresh_interval": "0.25s", "resource_monitors": [{"name": "heap", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes": 128 << 20}}],
        "actions": [{"name": f"envoy.overload_actions.{action}", "triggers": [{"name": "heap", "threshold": {"value": bound}}]}
                    for action, bound in triggers]}
    certificate = {"certificate_chain": {"filename": str(folder / "bench.pem")}, "private_key": {"filename": str(folder / "bench.key")}}
    with nginx(folder, f"server {{ listen 127.0.0.1:$port backlog=4096; root {folder}; }}") as big:
        listeners, clusters = simple([big.port])
        secured = {**simple([big.port])[0][0], "name": "secured"}
        secured["filter_chains"][0]["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [certificate]}}}
        port = secured["address"]["socket_address"]["port_value"]
        with envoy_like(name, folder, [*listeners, secured], clusters, overload_manager=manager) as proxy:
            if proxy is None:
                return None
            peak = [proxy.memory()]
            with Watch(lambda: peak.append(proxy.memory()), 0.2):
                held = readers(proxy.port, READERS // 2, None) + readers(port, READERS // 2, unchecked())
                time.sleep(max(3, seconds))
            alive = proxy.is_alive()
            for one in held:
                one.close()
            back = eventually(lambda: get(proxy.port, "/bench.pem")[0] == 200)
    most = max(peak) / (1 << 20)
    return {"memory_mib": round(most, 1), "back_s": None if back is None else round(back, 2),
            "holds": alive and most <= 160 and back is not None}


def unchecked():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def readers(port, count, secure):
    """Connections that ask and then take nothing."""
    held, end = [], time.monotonic() + 15
    for _ in range(count):
        if time.monotonic() > end:
            break
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(0.5)
        with contextlib.suppress(OSError):
            one.connect(("127.0.0.1", port))
            one = secure.wrap_socket(one) if secure else one
            one.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        held.append(one)
    return held


JOBS = [
    ("clock", "The clock of the day jumps a day back, an hour ahead and back again, the steady one an hour ahead, under load",
     "no request fails, timers within 10 %, at rest afterwards", clocks),
    ("blackhole", "One of three endpoints swallows every connection", "at most 0.5 % fail, p99 at most the connect timeout (250 ms) and 500 ms",
     blackhole),
    ("names", "A name server that fails, is slow, silent, lies, flaps, answers with nonsense and with thousands, under load", "no request fails", names),
    ("stalled-log", "An access log into a pipe that nobody reads", "no request fails, p99 as without (1.2 times, or 1 ms), at most 32 MiB, lost lines are counted",
     stalled_log),
    ("memory-cap", f"A budget of 128 MiB; {READERS} clients, half over TLS, ask for 10 MiB each and take nothing", "at most 160 MiB, serves afterwards",
     memory_cap),
]
