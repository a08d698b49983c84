"""What clients notice while pods and Weft come and go: rolling updates, scaling down, pods and the daemon killed, under a steady load."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from processes import compiled

RATE = 500
REPLICAS = 4


def until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Load:
    """Requests by the clock for so many seconds."""

    def __init__(self, folder, address, port, seconds):
        program = compiled(folder, "load")
        words = [str(program), "open", f"{address}:{port}", str(RATE), str(seconds), "5000", "256"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.end = time.monotonic() + seconds

    def goes_on(self, margin=0.0):
        return time.monotonic() + margin < self.end

    def finish(self):
        out, problem = self.process.communicate(timeout=90)
        if self.process.returncode:
            raise SystemExit(f"the load ended with {self.process.returncode}: {problem}")
        return json.loads(out)


def ready(pods, count):
    status = pods.get("deployment", "web").get("status", {})
    return status.get("readyReplicas") == count == status.get("updatedReplicas") == status.get("replicas")


def update(pods, load):
    """The pods are replaced by a rolling update, again and again."""
    pods.weft("rollout", "restart", "deployment", "web")
    pods.weft("rollout", "status", "deployment", "web", "--timeout=60", timeout=90)


def scale(pods, load):
    """Half of the pods go, and come back."""
    for count in (REPLICAS // 2, REPLICAS):
        pods.weft("scale", "deployment", "web", f"--replicas={count}")
        until(lambda: ready(pods, count), f"{count} replicas")
        time.sleep(0.5)


def kill_pod(pods, load):
    """The processes of a pod are killed; later the pod goes for good, so that no restart has to wait."""
    places = {json.loads(p.read_text())["address"]: json.loads(p.read_text())["pid"] for p in pods.state.glob("pods/*/pod.json")}
    pod = next(one for one in pods.get("pods", "-l", "app=web")["items"] if one["status"].get("podIP") in places)
    init = places[pod["status"]["podIP"]]
    for child in pathlib.Path(f"/proc/{init}/task/{init}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)
    time.sleep(1)
    pods.weft("delete", "pod", pod["metadata"]["name"])
    until(lambda: ready(pods, REPLICAS), "all replicas")


def kill_weft(pods, load):
    """The daemon is killed, and a second later it is started again."""
    pid = int((pods.state / "weft.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    pods.weft("up", "--detach", str(pods.folder / "images.yaml"))
    until(lambda: ready(pods, REPLICAS), "all replicas")
    time.sleep(1)


JOBS = {
    "rolling update": update,
    "scale down and up": scale,
    "kill -9 of a pod's processes": kill_pod,
    "kill -9 of weft": kill_weft,
}


def run(pods, seconds):
    """Each job under the load; what became of the requests."""
    pods.deploy("web", REPLICAS, "web", ", readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}")
    service = pods.get("service", "web")
    address, port = service["status"]["loadBalancer"]["ingress"][0]["ip"], service["spec"]["ports"][0]["port"]
    # Where port 80 is not to be had, the status names another.
    told = re.search(r"(\d+)", str(service["status"]["loadBalancer"]["ingress"][0].get("ports", [{}])[0].get("port", "")))
    port = int(told[1]) if told else port
    found = {}
    for name, job in JOBS.items():
        load, times = Load(pods.folder, address, port, seconds), 0
        while load.goes_on(2):
            job(pods, load)
            times += 1
        result = load.finish()
        found[name] = {"times": times, "offered": result["offered"], "failed": result["offered"] - result["good"], "p99_ms": result["p99_ms"]}
        print(f"{name}: {found[name]}", file=sys.stderr)
        until(lambda: ready(pods, REPLICAS), "all replicas")
    pods.weft("delete", "deployment,service", "web")
    return found


def figures(found, seconds):
    return {
        f"{RATE} requests/s for {seconds} s, {name} {one['times']} times: failed (goal 0) · p99": f"{one['failed']} · {one['p99_ms']:.1f} ms"
        for name, one in found.items()
    }
