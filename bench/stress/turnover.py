"""Jobs in which the proxy itself changes under load: configurations, certificates, processes, and time that passes."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

from processes import free_port
from stand import (
    Load, Watch, cluster, envoy_like, eventually, fetch, haproxy, http_chain, listener, loaded, lost, nginx, nginx_server, nginx_upstream, origins, route, simple)
from h2kit import H2Client

RATE = 500
CLUSTER_TYPE = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ROUTES_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def replace(path, text):
    """As whoever feeds a proxy by files does it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.rename(fresh, path)


# --- Configurations --------------------------------------------------------------------------------------------------------

def resources(path, version, kind, *entries):
    replace(path, json.dumps({"version_info": str(version), "resources": [{"@type": kind, **one} for one in entries]}))


def reload_storm(name, folder, seconds):
    """Routes and clusters change ten times a second; every request passes by a route that changes."""
    with origins(folder, 2) as made, contextlib.ExitStack() as stack:
        ports = [one.port for one in made]
        if name in ("weft", "envoy"):
            routes, clusters = folder / "rds.json", folder / "cds.json"

            def change(number):
                if number % 2:
                    resources(routes, number, ROUTES_TYPE, {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                        route({"cluster": "origin", "timeout": "5s"}, f"/{number}"), route({"cluster": "origin", "timeout": "5s"})]}]})
                else:
                    resources(clusters, number, CLUSTER_TYPE, cluster("origin", *(ports if number % 4 else ports[:1])),
                              cluster(f"other{number}", ports[0]))
            change(0)
            change(1)
            port = free_port()
            chain = http_chain([])
            chain["typed_config"].pop("route_config")
            chain["typed_config"]["rds"] = {"route_config_name": "routes", "config_source": {"path_config_source": {"path": str(routes)}}}
            proxy = stack.enter_context(envoy_like(
                name, folder, [listener(port, chain)], [], dynamic_resources={"cds_config": {"path_config_source": {"path": str(clusters)}}}))
        elif name == "nginx":
            proxy = stack.enter_context(nginx(folder, nginx_server(), nginx_upstream(ports)))

            def change(number):
                # Each reload is a new set of workers: ten times as few.
                if number % 10 == 0:
                    proxy.process.process.send_signal(signal.SIGHUP)
        else:
            return None
        if proxy is None:
            return None
        eventually(lambda: lost(loaded(folder, proxy.port, 50, 0.2, 3000)) == 0)
        quiet = loaded(folder, proxy.port, RATE, 3, 3000)
        span, number = max(5, 2 * seconds), 2
        memory, held = proxy.memory(), proxy.descriptors()
        with Load(folder, proxy.port, RATE, span, 3000) as load:
            begin = time.monotonic()
            while (passed := time.monotonic() - begin) < span:
                while number < passed * 10:
                    change(number)
                    number += 1
                time.sleep(0.01)
                if passed < span / 3:
                    memory = max(memory, proxy.memory())
            result = load.finish()
        drift = (proxy.memory() - memory) / memory
        more = proxy.descriptors() - held
    found = {"failed": lost(result), "quiet_p99_ms": quiet["p99_ms"], "p99_ms": result["p99_ms"], "drift": round(100 * drift, 1), "descriptors": more}
    return {**found, "holds": found["failed"] == 0 and found["p99_ms"] <= max(1.5 * quiet["p99_ms"], quiet["p99_ms"] + 2) and drift <= 0.05
            # Connections that the load keeps come and go.
            and more <= 16}


# --- Drain -----------------------------------------------------------------------------------------------------------------

class Calls(threading.Thread):
    """Streams of HTTP/2, one request after the other, on a connection that is made anew when it says that it goes away."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.good, self.failures, self.stops = port, 0, [], False

    def run(self):
        while not self.stops:
            try:
                with H2Client(self.port) as client:
                    while not self.stops and not client.goaways and not client.closed:
                        self.call(client)
                        time.sleep(0.005)
            except OSError as problem:
                self.failures.append(type(problem).__name__)

    def call(self, client):
        stream = client.request("/")
        one = client.streams[stream]

        def beyond():
            """The proxy said that it does not answer this one: it may be asked elsewhere."""
            return bool(client.goaways) and client.goaways[-1][0] < stream
        with contextlib.suppress(AssertionError):
            client.until(lambda: one.ended or one.reset is not None or beyond())
        if one.ended and one.status == 200:
            self.good += 1
        elif not beyond() and one.reset != 7:
            self.failures.append(one.status or one.reset or "cut")

    def finish(self):
        self.stops = True
        self.join(10)


def drain(name, folder, seconds):
    """Five times a successor starts beside the proxy on its port, and the proxy is told to end, under kept and fresh connections."""
    if name not in ("weft", "envoy"):
        return None
    with origins(folder, service=2000) as (origin,), contextlib.ExitStack() as stack:
        listeners, clusters = simple([origin.port])
        port = listeners[0]["address"]["socket_address"]["port_value"]
        more = {"options": ["--drain-time-s", "5"]} if name == "weft" else {"options": ["--drain-time-s", "5", "--parent-shutdown-time-s", "6"]}
        proxy = stack.enter_context(envoy_like(name, folder, listeners, clusters, **more))
        if proxy is None:
            return None
        calls = Calls(port)
        calls.start()
        stack.callback(calls.finish)
        longest = 0
        with Load(folder, port, RATE, 22, 5000) as load:
            for _ in range(5):
                time.sleep(1)
                following = stack.enter_context(envoy_like(name, folder, listeners, clusters, **more))
                eventually(lambda: following.stats() != {} and "LIVE" in ready(following), 10)
                begin = time.monotonic()
                if name == "envoy":
                    # It ends at once when it is told to; its own way is to be told beforehand.
                    with contextlib.suppress(OSError):
                        post(proxy, "/drain_listeners?graceful&skip_exit")
                    time.sleep(1)
                proxy.process.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    proxy.process.process.wait(20)
                longest = max(longest, time.monotonic() - begin)
                proxy = following
            result = load.finish()
        calls.finish()
    found = {"good": result["good"] + calls.good, "failed": lost(result) + len(calls.failures), "worst_s": round(longest, 2)}
    return {**found, "holds": found["failed"] == 0 and longest <= 6}


def ready(proxy):
    return fetch(proxy.admin_port, "/ready")


def post(proxy, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}{path}", data=b"", timeout=5) as answer:
        return answer.read()


# --- Certificates -------------------------------------------------------------------------------------------------------------

def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True, timeout=20)


def authority(folder, name):
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-subj", f"/CN={name}", "-days", "2")


def leaf(folder, name, by):
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", f"/CN={name}")
    (folder / f"{name}.ext").write_text("subjectAltName=DNS:service.test\n")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial", "-days", "2",
            "-extfile", f"{name}.ext", "-out", f"{name}.pem")


SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


class Handshakes(threading.Thread):
    """Clients with certificates: connections of their own, and one that is kept, all with a request."""

    def __init__(self, port, folder):
        super().__init__(daemon=True)
        self.port, self.stops, self.good, self.failures = port, False, 0, []
        self.context = ssl.create_default_context(cafile=str(folder / "trusted.pem"))
        self.context.load_cert_chain(folder / "client.pem", folder / "client.key")

    def ask(self, one):
        one.sendall(b"GET / HTTP/1.1\r\nHost: service.test\r\n\r\n")
        return one.recv(65536).startswith(b"HTTP/1.1 200")

    def dial(self):
        raw = socket.create_connection(("127.0.0.1", self.port), 10)
        return self.context.wrap_socket(raw, server_hostname="service.test")

    def run(self):
        kept = None
        while not self.stops:
            try:
                kept = kept or self.dial()
                for _ in range(4):
                    self.good += self.ask(kept)
                with self.dial() as one:
                    self.good += self.ask(one)
            except OSError as problem:
                self.failures.append(str(problem))
                kept = None
            time.sleep(0.01)

    def finish(self):
        self.stops = True
        self.join(20)


def rotation(name, folder, seconds):
    """A new certificate each second, then another authority: old clients, new clients, and those of the old authority when it is gone."""
    if name not in ("weft", "envoy"):
        return None
    for one in ("old", "new"):
        authority(folder, one)
    (folder / "trusted.pem").write_text((folder / "old.pem").read_text() + (folder / "new.pem").read_text())
    leaf(folder, "client", "old")
    count = max(4, int(seconds))
    for number in range(count):
        leaf(folder, f"leaf{number}", "old" if number < count // 2 else "new")
    watched = folder / "secrets"
    watched.mkdir()

    def certificate(number):
        replace(watched / "own.json", json.dumps({"version_info": str(number), "resources": [{"@type": SECRET, "name": "own", "tls_certificate": {
            "certificate_chain": {"inline_string": (folder / f"leaf{number}.pem").read_text()},
            "private_key": {"inline_string": (folder / f"leaf{number}.key").read_text()}}}]}))

    def trust(*names):
        text = "".join((folder / f"{one}.pem").read_text() for one in names)
        replace(watched / "trust.json", json.dumps({"version_info": "-".join(names), "resources": [
            {"@type": SECRET, "name": "trust", "validation_context": {"trusted_ca": {"inline_string": text}}}]}))
    certificate(0)
    trust("old")

    def source(file):
        return {"path_config_source": {"path": str(watched / file), "watched_directory": {"path": str(watched)}}}
    with origins(folder) as (origin,):
        listeners, clusters = simple([origin.port])
        listeners[0]["filter_chains"][0]["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", "require_client_certificate": True,
            # A resumed session would carry what was proven before.
            "disable_stateless_session_resumption": True, "common_tls_context": {
                "tls_certificate_sds_secret_configs": [{"name": "own", "sds_config": source("own.json")}],
                "validation_context_sds_secret_config": {"name": "trust", "sds_config": source("trust.json")}}}}
        with envoy_like(name, folder, listeners, clusters) as proxy:
            if proxy is None:
                return None
            clients = [Handshakes(proxy.port, folder) for _ in range(4)]
            for one in clients:
                one.start()
            for number in range(1, count):
                time.sleep(1)
                certificate(number)
                if number == count // 2:
                    trust("old", "new")
            time.sleep(1)
            for one in clients:
                one.finish()
            failures = [problem for one in clients for problem in one.failures]
            trust("new")
            late = Handshakes(proxy.port, folder)

            def refused():
                try:
                    with late.dial() as one:
                        return not late.ask(one)
                except OSError:
                    return True
            out = eventually(refused, 10)
    good = sum(one.good for one in clients)
    return {"good": good, "failed": len(failures), "out_s": None if out is None else round(out, 2),
            "holds": not failures and good > 0 and out is not None and out <= 5}


# --- Time that passes ------------------------------------------------------------------------------------------------------------

# Seconds of the soak; None: by the length of the others.
SOAK = None


def soak(name, folder, seconds):
    """Minutes of kept and fresh connections, of clients that leave and of an endpoint that fails now and then: nothing grows."""
    span = SOAK or max(20, 12 * seconds)
    with origins(folder, 2, service=1000) as made, contextlib.ExitStack() as stack:
        ports = [one.port for one in made]
        if name in ("weft", "envoy"):
            policy = {"retry_on": "5xx,reset", "num_retries": 1}
            proxy = stack.enter_context(envoy_like(name, folder, *simple(ports, routes=[route(
                {"cluster": "origin", "timeout": "2s", "retry_policy": policy})])))
        elif name == "nginx":
            proxy = stack.enter_context(nginx(folder, nginx_server("proxy_next_upstream error http_500;"), nginx_upstream(ports, "max_fails=0")))
        else:
            proxy = stack.enter_context(haproxy(folder, servers=ports, back="retries 2\nretry-on 500", defaults="option redispatch 1"))
        if proxy is None:
            return None
        stops = threading.Event()

        def leavers():
            while not stops.wait(0.02):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.port), 2) as one:
                    one.sendall(b"GET /b/60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        thread = threading.Thread(target=leavers, daemon=True)
        thread.start()
        with Watch(lambda: (proxy.memory(), proxy.descriptors()), 0.5) as watch, Load(folder, proxy.port, RATE, span, 5000) as load:
            begin = time.monotonic()
            while time.monotonic() - begin < span:
                made[0].set(fail=1)
                time.sleep(0.2)
                made[0].set(fail=0)
                time.sleep(1.8)
            result = load.finish()
        stops.set()
        thread.join(5)
    early, late = watch.between(span / 4, span / 2), watch.between(span * 3 / 4, span)
    memory = [max(one for one, _ in part) / (1 << 20) for part in (early, late)]
    held = [sorted(two for _, two in part)[len(part) // 2] for part in (early, late)]
    found = {"good": result["good"], "failed": lost(result), "memory_mib": round(memory[1], 1), "drift": round(100 * (memory[1] / memory[0] - 1), 1),
             "descriptors": held[1] - held[0]}
    # Half of the time lies between the two looks. Of what is short nothing can be said by the hour.
    most = 5 if span < 3600 else span / 2 / 3600
    return {**found, "span_s": span, "holds": found["failed"] == 0 and found["drift"] <= most and found["descriptors"] <= 16}


JOBS = [
    ("reload-storm", "Routes and clusters change ten times a second (nginx: reloads, one a second)",
     "no request fails, p99 at most 1.5 times that in quiet (or 2 ms more), memory within 5 %, no descriptor is kept", reload_storm),
    ("drain", "A successor on the same port, then SIGTERM, five times, under HTTP/1 and HTTP/2", "no request fails, gone within 6 s", drain),
    ("rotation", "A new certificate each second, then a new authority, under clients with certificates",
     "no handshake and no request fails; the old authority is refused within 5 s", rotation),
    ("soak", "Kept and fresh connections, clients that leave, an endpoint that fails now and then", "no request fails, memory within 5 % (of an hour and longer: 1 % in an hour), descriptors flat", soak),
]
