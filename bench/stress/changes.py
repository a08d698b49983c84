#!/usr/bin/env python3
"""From the store to the workers: how long a change of a Service's endpoints takes until every worker of weft's proxy uses it.

    bench/stress/changes.py [--services 100] [--endpoints 100] [--changes 300] [--seconds 60] [--rate 1000] [--goal 10]

First alone: one change after the other, of a whole Service; the time from the moment when the write is answered (it is on the disk)
until connections to every worker meet the new endpoints. Then `--seconds` of `--rate` changes a second from several writers under
load: no request may fail, memory has to stay flat, and the last change has to arrive. Fails above `--goal` ms (p99), or when a
request fails, or when memory grows. Needs nginx and wrk. WEFT_BUILD chooses the build (release).
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from proxykit import eventually, free_port  # noqa: E402
from weftkit import Weft  # noqa: E402

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


class API:
    """A connection to the daemon that stays open."""

    def __init__(self, weft):
        self.connection = http.client.HTTPConnection("weft")
        self.connection.sock = socket.socket(socket.AF_UNIX)
        self.connection.sock.connect(f"{weft.state}/weft.sock")

    def send(self, method, path, value, kind="application/json"):
        self.connection.request(method, path, json.dumps(value), {"Content-Type": kind})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text[:300])

    def ports(self, name, port):
        self.send("PATCH", f"{SLICES}/{name}", {"ports": [{"name": "http", "port": port, "protocol": "TCP"}]},
                  "application/merge-patch+json")


def service(name, kind="ClusterIP"):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": kind, "ports": [{"name": "http", "port": 80, "targetPort": 80}]}}


def endpoint_slice(name, number, count, port):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [f"127.{64 + number // 250}.{number % 250}.{one + 1}"], "conditions": {"ready": True}}
                          for one in range(count)]}


class Origins:
    """Two ports of an nginx on all addresses: the first says `a`, the second `b`."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.ports = [free_port(), free_port()]
        servers = "".join(f"server {{ listen {port}; location / {{ return 200 {text}; }} }}" for port, text in zip(self.ports, "ab"))
        path = pathlib.Path(self.folder.name) / "nginx.conf"
        path.write_text(
            f"daemon off; pid {path}.pid; error_log /dev/null; worker_processes 1; events {{ worker_connections 8192; }} "
            f"http {{ access_log off; keepalive_requests 1000000000; {servers} }}")
        self.process = subprocess.Popen(["nginx", "-c", str(path), "-p", self.folder.name], stderr=subprocess.DEVNULL)
        assert eventually(lambda: all(self.answers(port) for port in self.ports))
        return self.ports

    @staticmethod
    def answers(port):
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()


class Probe:
    """A connection that stays open: which origin answers now."""

    def __init__(self, address):
        self.socket = socket.create_connection((str(address), address.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self):
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: probe\r\n\r\n")
        text = b""
        while b"\r\n\r\n" not in text or len(text.split(b"\r\n\r\n", 1)[1]) < 1:
            piece = self.socket.recv(4096)
            assert piece, "the connection was closed"
            text += piece
        assert text.startswith(b"HTTP/1.1 200"), text[:200]
        return text.split(b"\r\n\r\n", 1)[1].decode()


def proxy_pid(weft):
    return int(pathlib.Path(weft.state, "proxy/weft-proxy.pid").read_text().split()[0])


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def alone(weft, probes, ports, count):
    """Milliseconds from a write's answer until every probe meets the new endpoints."""
    api, times = API(weft), []
    for turn in range(count):
        wanted = (turn + 1) % 2
        api.ports("probe", ports[wanted])
        begun, text = time.monotonic(), "ab"[wanted]
        left = list(probes)
        while left:
            left = [probe for probe in left if probe.ask() != text]
        times.append((time.monotonic() - begun) * 1000)
        time.sleep(0.005)
    return times


def storm(weft, names, ports, address, chosen):
    """Many writers under load; the count of changes and what wrk says."""
    load = subprocess.Popen(
        ["wrk", "-t1", "-c16", f"-d{chosen.seconds:.0f}s", "--latency", f"http://{address}:{address.port}/"],
        stdout=subprocess.PIPE, text=True)
    pids = {"weft": weft.daemon_pid(), "weft-proxy": proxy_pid(weft)}
    begun, counts, memory = time.monotonic(), [0] * chosen.writers, []

    def write(number):
        api = API(weft)
        while (passed := time.monotonic() - begun) < chosen.seconds:
            if counts[number] >= passed * chosen.rate / chosen.writers:
                time.sleep(0.001)
                continue
            turn = counts[number]
            # One in eight changes is of what the load uses.
            name = "probe" if number == 0 and turn % 2 else names[(turn * chosen.writers + number) % len(names)]
            api.ports(name, ports[turn // 2 % 2])
            counts[number] += 1

    writers = [threading.Thread(target=write, args=[number], daemon=True) for number in range(chosen.writers)]
    for writer in writers:
        writer.start()
    while time.monotonic() - begun < chosen.seconds:
        memory.append({name: resident(pid) for name, pid in pids.items()})
        time.sleep(1)
    for writer in writers:
        writer.join()
    return sum(counts), load.communicate(timeout=60)[0], memory


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--services", type=int, default=100)
    options.add_argument("--endpoints", type=int, default=100)
    options.add_argument("--changes", type=int, default=300)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--rate", type=float, default=1000)
    options.add_argument("--writers", type=int, default=8)
    options.add_argument("--goal", type=float, default=10)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="weft-", dir="/tmp") as folder, Origins() as ports:
        weft = Weft(pathlib.Path(folder) / "state")
        pathlib.Path(folder, "probe.yaml").write_text(json.dumps(service("probe", "LoadBalancer")))
        weft.run("up", "--detach", "--isolation=none", f"{folder}/probe.yaml", timeout=60)
        try:
            api = API(weft)
            names = [f"s{number}" for number in range(chosen.services - 1)]
            # The storm is of smaller ones: what counts is the changes, not the bytes of their writes.
            small = [f"t{number}" for number in range(100)]
            for number, name in enumerate(small if chosen.seconds else []):
                api.send("POST", "/api/v1/namespaces/default/services", service(name))
                api.send("POST", SLICES, endpoint_slice(name, 9000 + number, 5, ports[0]))
            for number, name in enumerate([*names, "probe"]):
                if name != "probe":
                    api.send("POST", "/api/v1/namespaces/default/services", service(name))
                api.send("POST", SLICES, endpoint_slice(name, number, chosen.endpoints, ports[0]))
            address = weft.balancer_address("probe")
            wanted = chosen.services * chosen.endpoints
            known = lambda: sum(len(one.get("host_statuses", [])) for one in weft.api(
                "/apis/weft.dev/v1alpha1/clusters")["cluster_statuses"] if one["name"].startswith("service/default/"))
            assert eventually(lambda: known() >= wanted, 60), known()
            failures = []
            print(f"pids {weft.daemon_pid()} {proxy_pid(weft)}", flush=True)
            if chosen.changes:
                probes = [Probe(address) for _ in range(4 * (os.cpu_count() or 1))]
                times = sorted(alone(weft, probes, ports, chosen.changes))
                for probe in probes:
                    probe.socket.close()
                p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
                print(f"{wanted} endpoints, {len(times)} changes one by one: p50 {statistics.median(times):.1f} ms, "
                      f"p90 {times[int(len(times) * 0.9)]:.1f} ms, p99 {p99:.1f} ms, most {times[-1]:.1f} ms")
                if p99 > chosen.goal:
                    failures.append(f"p99 {p99:.1f} ms is above {chosen.goal} ms")
            if chosen.seconds:
                count, text, memory = storm(weft, small, ports, address, chosen)
                print(text)
                failed = sum(int(one) for one in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
                errors = re.search(r"Socket errors: (.*)", text)
                print(f"{count} changes, {count / chosen.seconds:.0f}/s; {failed} failed, socket errors: {errors[1] if errors else 'none'}")
                if failed or errors:
                    failures.append("requests failed")
                if count < 0.9 * chosen.seconds * chosen.rate:
                    failures.append(f"the store took {count / chosen.seconds:.0f} changes a second of {chosen.rate:.0f}")
                for name in memory[0]:
                    values = [one[name] for one in memory]
                    middle, last = values[len(values) // 2], values[-1]
                    print(f"memory of {name}: {values[0]:.1f} MB, {middle:.1f} MB in the middle, {last:.1f} MB at the end")
                    if last > middle * 1.1 + 2:
                        failures.append(f"memory of {name} grows")
                api.ports("probe", ports[1])
                if not eventually(lambda: Probe(address).ask() == "b", 10):
                    failures.append("the last change did not arrive")
            print("failed: " + "; ".join(failures) if failures else "passed")
            sys.exit(bool(failures))
        finally:
            weft.run("down", "--now", timeout=60, check=False)


main()
