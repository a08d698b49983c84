"""Chaos: for a minute pods, the proxy and weft itself are killed at random under load.

What must hold, whatever dies: every object whose creation was acknowledged is there; the desired state is reached again, nothing runs
twice; nothing leaks. Requests from outside may fail only so:

- a process or pod was killed: POSTs that were on it at that moment (GETs are tried again elsewhere);
- the proxy was killed: requests that were on it at that moment, and for less than a second kept connections that the client has not
  yet seen closed; new connections wait for the next proxy;
- weft was killed: none.

WEFT_CHAOS_SECONDS (60) and WEFT_CHAOS_SEED choose another length and another run.
"""

import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import threading
import time

from test_order import Site, causes
from weftkit import USERS, leftovers, new_folder

SECONDS = float(os.environ.get("WEFT_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("WEFT_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
VICTIMS = os.environ.get("WEFT_CHAOS_VICTIMS", "process init delete proxy weft").split()
# How long after its death a proxy may be missed, and how long a request may be on its way.
PROXY_BACK, REQUEST = 1.0, 5.5


class Writer(threading.Thread):
    """Creates, changes and deletes ConfigMaps through the API, and remembers what was acknowledged."""

    def __init__(self, socket_path):
        super().__init__(daemon=True)
        self.path, self.stopping = socket_path, threading.Event()
        self.certain, self.doubtful, self.refused = {}, set(), []
        self.number = 0

    def call(self, method, target, body=None):
        connection = http.client.HTTPConnection("weft", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        try:
            connection.sock.connect(self.path)
            connection.request(method, target, body and json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def run(self):
        chance = random.Random(SEED + 1)
        base = "/api/v1/namespaces/default/configmaps"
        while not self.stopping.is_set():
            self.number += 1
            name, value = f"chaos-{self.number}", str(chance.random())
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}
            try:
                self.take("POST", base, body, name, value, 201)
                if chance.random() < 0.3:
                    body["data"]["value"] += "-changed"
                    self.take("PUT", f"{base}/{name}", body, name, body["data"]["value"], 200)
                elif chance.random() < 0.2:
                    self.take("DELETE", f"{base}/{name}", None, name, None, 200)
            except (OSError, http.client.HTTPException):
                # Nobody said yes: either outcome is right.
                self.doubtful.add(name)
                time.sleep(0.02)
            time.sleep(0.01)

    def take(self, method, target, body, name, value, wanted):
        status, answer = self.call(method, target, body)
        if status == wanted:
            self.certain[name] = value
        else:
            self.doubtful.add(name)
            self.refused.append((method, status, answer[:200]))


class Chaos:
    """Kills, and remembers what it killed when."""

    def __init__(self, site, chance):
        self.site, self.chance, self.log = site, chance, []

    def note(self, what, name=""):
        self.log.append((time.monotonic(), what, name))

    def step(self):
        getattr(self, self.chance.choice(VICTIMS))()
        time.sleep(self.chance.uniform(0.2, 1.5))

    def ready(self):
        """Pods that are ready, when all are: one at a time may be missing, or nobody would be left to answer."""
        pods = self.site.items("pods", "-l", "app=site")
        ready = [
            pod for pod in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
            and "deletionTimestamp" not in pod["metadata"]
        ]
        return ready if len(ready) == len(pods) == 3 else []

    def process(self):
        """A second end of the same container is followed by a pause of 10 s: such a pod is replaced."""
        pods = self.ready()
        fresh = [pod for pod in pods if not pod["status"]["containerStatuses"][0]["restartCount"]]
        if not pods or not fresh:
            return self.delete()
        name = self.chance.choice(fresh)["metadata"]["name"]
        pid = self.site.processes().get(name)
        if pid:
            self.note("process", name)
            os.kill(pid, signal.SIGKILL)

    def init(self):
        pods = self.ready()
        fresh = [pod for pod in pods if not pod["status"]["containerStatuses"][0]["restartCount"]]
        if not fresh:
            return self.delete()
        pod = self.chance.choice(fresh)["metadata"]
        record = pathlib.Path(self.site.state, "pods", pod["uid"], "pod.json")
        self.note("init", pod["name"])
        os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)

    def delete(self):
        pods = self.ready()
        if pods:
            name = self.chance.choice(pods)["metadata"]["name"]
            self.note("delete", name)
            self.site.run("delete", "pod", name, "--no-wait")

    def proxy(self):
        pid = self.site.api("/apis/weft.dev/v1alpha1/status")["proxy"].get("pid")
        if pid:
            self.note("proxy", pid)
            os.kill(pid, signal.SIGKILL)

    def weft(self):
        pid = self.site.daemon_pid()
        self.note("weft", pid)
        os.kill(pid, signal.SIGKILL)
        time.sleep(self.chance.uniform(0, 1))
        self.site.run("up", "--detach", self.site.write(1), timeout=60)
        self.note("weft is back")

    def excuses(self, failure):
        """Whether a failed request is one of those that may fail."""
        start, end = failure["start"], failure["end"]
        for when, what, _ in self.log:
            if what in ("process", "init") and failure["kind"].startswith("post") and start < when + 0.1 and end > when:
                return True
            if what == "proxy" and when - REQUEST < start < when + PROXY_BACK and end > when:
                return True
        return False


def test_chaos(needs_namespaces):
    print(f"WEFT_CHAOS_SEED={SEED}")
    folder = new_folder(USERS[0])
    site = Site(folder / "state", USERS[0])
    try:
        site.run("up", "--detach", site.write(1), timeout=60)
        site.settled()
        chaos, writer, load = Chaos(site, random.Random(SEED)), Writer(f"{site.state}/weft.sock"), site.load(SECONDS + 120, rate=200)
        writer.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            chaos.step()
        site.settled()
        writer.stopping.set()
        writer.join(10)
        report = load.finish()
        check_requests(report, chaos)
        check_objects(site, writer)
        check_state(site)
        print(f"{len(chaos.log)} blows, {report['requests']} requests, {report['failed']} failed, {len(writer.certain)} objects")
    finally:
        site.run("down", "--now", timeout=60, check=False)
        left = leftovers(folder)
        for process in left.processes:
            os.kill(process, 9)
        log = pathlib.Path(site.state, "serve.log")
        print(log.read_text()[-2000:] if log.exists() else "")
        shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"left behind: {left}"
    assert not inhabitants(folder)


def check_requests(report, chaos):
    wrong = [failure for failure in report["failures"] if not chaos.excuses(failure)]
    story = [(round(when - report["begin"], 3), what, name) for when, what, name in chaos.log]
    told = [(round(f["start"] - report["begin"], 3), round(f["end"] - f["start"], 3), f["kind"], f["cause"]) for f in wrong]
    assert not wrong, f"seed {SEED}: {len(wrong)} of {report['requests']} requests failed without excuse: {told[:5]}; story: {story}"
    assert report["requests"] >= SECONDS * 150, (report["requests"], causes(report))


def check_objects(site, writer):
    assert not writer.refused, writer.refused[:3]
    there = {item["metadata"]["name"]: item["data"]["value"] for item in site.items("configmaps") if item["metadata"]["name"].startswith("chaos-")}
    for name, value in writer.certain.items():
        if name not in writer.doubtful:
            assert there.get(name) == value, f"seed {SEED}: {name} is {there.get(name)}, acknowledged was {value}"
    assert not set(there) - set(writer.certain) - writer.doubtful
    assert len(writer.certain) > SECONDS * 2


def check_state(site):
    """One daemon, one proxy, one server of names, an init and a server for each pod, and no other."""
    status = site.api("/apis/weft.dev/v1alpha1/status")
    pods = {pod["metadata"]["uid"] for pod in site.items("pods", "-l", "app=site")}
    assert len(pods) == 3 and len(site.processes()) == 3
    assert {path.name for path in pathlib.Path(site.state, "pods").iterdir()} == pods
    folder = pathlib.Path(site.state).parent
    names = [command(pid) for pid in leftovers(folder).processes]
    assert sum("weft-proxy" in name for name in names) == 1, names
    for program in ("weft serve ", "weft serve-names "):
        assert sum(name.startswith(program) for name in names) == 1, names
    inside = inhabitants(folder)
    assert sum(name.startswith("weft-pod-init") for name in inside) == 3, inside
    assert sum("server.py" in name for name in inside) == 3, inside
    assert status["proxy"]["pid"] and status["pods"] == 3


def command(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def inhabitants(folder):
    """Processes whose mount namespace holds something of a folder, but is not the machine's: those of its pods, or what leaked."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "ns/mnt") != os.readlink("/proc/self/ns/mnt") and str(folder) in (entry / "mountinfo").read_text():
                    found.append(command(int(entry.name)))
            except OSError:
                pass
    return found
