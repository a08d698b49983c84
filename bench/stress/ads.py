#!/usr/bin/env python3
"""Endpoints change many times a second under load: no request may fail, memory stays flat, changes are in force at once.

    bench/stress/ads.py [--seconds 60] [--rate 1000] [--clusters 1000] [--endpoints 10] [--variant DELTA_GRPC] [--proxy weft]

Needs nginx and wrk. WEFT_BUILD chooses the build (release), `--proxy envoy` runs an Envoy on the same script.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

import envoykit  # noqa: E402
from adskit import ControlPlane, dynamic, eds_cluster, rds_filter  # noqa: E402
from proxykit import Proxy, endpoint, eventually, free_port, get, listener, route  # noqa: E402


def assignment(name, ports):
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(port) for port in ports]}]}


def resident(process):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def number(proxy, name):
    found = re.search(rf"^{re.escape(name)}: (\d+)$", proxy.admin("/stats?filter=" + re.escape(name)), re.M)
    return int(found[1]) if found else 0


class Origins:
    """Two ports of an nginx."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.ports = [free_port(), free_port()]
        servers = "".join(f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }}" for port in self.ports)
        path = pathlib.Path(self.folder.name) / "nginx.conf"
        path.write_text(
            f"daemon off; pid {path}.pid; error_log /dev/null; worker_processes 1; events {{}} "
            f"http {{ access_log off; keepalive_requests 1000000000; {servers} }}")
        self.process = subprocess.Popen(["nginx", "-c", str(path), "-p", self.folder.name], stderr=subprocess.DEVNULL)
        for port in self.ports:
            assert eventually(lambda port=port: self.answers(port))
        return self.ports

    @staticmethod
    def answers(port):
        try:
            return get(port)[0] == 200
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--rate", type=float, default=1000)
    options.add_argument("--clusters", type=int, default=1000)
    options.add_argument("--endpoints", type=int, default=10)
    options.add_argument("--variant", default="DELTA_GRPC")
    options.add_argument("--proxy", default="weft")
    options.add_argument("--connections", type=int, default=16)
    chosen = options.parse_args()
    program = envoykit.Envoy if chosen.proxy == "envoy" else Proxy
    with Origins() as ports, ControlPlane() as plane:
        port = free_port()
        names = [f"c{index}" for index in range(chosen.clusters)]
        others = [free_port() for _ in range(chosen.endpoints)]
        plane.put(
            cds=[eds_cluster("origin"), *(eds_cluster(name) for name in names)],
            eds=[assignment("origin", ports), *(assignment(name, others) for name in names)],
            lds=[listener(port, rds_filter())], rds=[{"name": "routes", "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [route()]}]}])
        begun = time.monotonic()
        with dynamic(plane, program, chosen.variant) as proxy:
            print(f"{chosen.clusters * chosen.endpoints} endpoints ready after {time.monotonic() - begun:.2f} s")
            load = subprocess.Popen(
                ["wrk", "-t1", f"-c{chosen.connections}", f"-d{chosen.seconds:.0f}s", "--latency", f"http://127.0.0.1:{port}/"],
                stdout=subprocess.PIPE, text=True)
            begun, done, memory = time.monotonic(), 0, []
            while (passed := time.monotonic() - begun) < chosen.seconds:
                if done >= passed * chosen.rate:
                    time.sleep(0.0005)
                    continue
                done += 1
                if done % 4 == 0:
                    plane.put(eds=[assignment("origin", ports if done % 8 else ports[:1])])
                else:
                    moved = others[done % len(others):] + others[:done % len(others)]
                    plane.put(eds=[assignment(names[done % len(names)], moved[:-1] if done % 2 else moved)])
                if done % max(1, int(chosen.rate)) == 0:
                    memory.append(resident(proxy.process))
            text = load.communicate(timeout=60)[0]
            plane.settled("eds")
            failed = sum(int(one) for one in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
            errors = re.search(r"Socket errors: (.*)", text)
            requests = int(re.search(r"(\d+) requests in", text)[1])
            settled = memory[len(memory) // 4:] or memory
            print(f"{done} changes, {done / chosen.seconds:.0f}/s; {requests} requests, {failed} failed, "
                  f"socket errors: {errors[1] if errors else 'none'}")
            print(f"memory {settled[0]:.1f} MB after a quarter of the time, {settled[-1]:.1f} MB at the end, most {max(memory):.1f} MB")
            print(f"rejected: {number(proxy, 'cluster_manager.cds.update_rejected')}; refusals heard: {len(plane.nacks)}")
            print(next((line for line in proxy.admin("/stats").splitlines() if "configuration_apply_time" in line), ""))
            print(re.search(r"Latency Distribution.*?\n\n|Latency Distribution(.*\n){5}", text)[0].rstrip())
            sys.exit(bool(failed or errors or plane.nacks))


main()
