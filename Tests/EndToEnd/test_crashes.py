"""kill -9 of the daemon, at any moment: what runs goes on untouched, what happened meanwhile is known, nothing runs twice."""

import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from loadkit import Client
from podkit import pod, running
from weftkit import fetch, wait_until

NOTES = "volumes: [{name: notes, hostPath: {path: FOLDER}}]"
MOUNT = "volumeMounts: [{name: notes, mountPath: /notes}]"

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: main
          image: tools
          args: ["exec /usr/bin/python3 server.py"]
          readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
"""


SERVER = """\
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"%d" % len(self.rfile.read(int(self.headers.get("content-length") or 0)))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8080), Page).serve_forever()
"""


def noted(name, command, restart="Never", spec=""):
    """A pod that writes down each start, and then runs a command; it shares the test's folder."""
    return pod(name, f"echo started >> /notes/starts-{name}; {command}", MOUNT, ", ".join(filter(None, [NOTES, spec])), restart)


def until(name, then):
    """A shell command that waits for a file of the test's folder."""
    return f"while [ ! -e /notes/{name} ]; do sleep 0.02; done; {then}"


@pytest.fixture(scope="module")
def cluster():
    with running() as program:
        (program.folder / "server.py").write_text(SERVER)
        yield program


@pytest.fixture(autouse=True)
def cleared(request):
    """The next test of a shared daemon finds nothing of the one before."""
    yield
    if "cluster" in request.fixturenames:
        cluster = request.getfixturevalue("cluster")
        for kind in ["deployments", "services", "pods"]:
            cluster.run("delete", kind, "--all", "--grace-period=0", check=False)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill(processes):
    """kill -9 of processes, of which some may end by the end of others."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, 9)


def kill_daemon(cluster):
    pid = cluster.daemon_pid()
    os.kill(pid, 9)
    wait_until(lambda: not is_alive(pid), "the daemon is dead")


def records(cluster):
    """What is written down of every pod init, by uid."""
    return {p.parent.name: json.loads(p.read_text()) for p in pathlib.Path(cluster.state).glob("pods/*/pod.json")}


def processes(cluster):
    """Every process of every pod, by its pod's uid."""
    parents = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    inits = {record["pid"]: uid for uid, record in records(cluster).items()}
    found = {uid: set() for uid in inits.values()}
    for process in parents:
        at = process
        while at > 1 and at not in inits:
            at = parents.get(at, 0)
        if at in inits:
            found[inits[at]].add(process)
    return found


def starts(cluster, name):
    file = cluster.folder / f"starts-{name}"
    return len(file.read_text().splitlines()) if file.exists() else 0


def touch(cluster, name):
    (cluster.folder / name).touch()


def condition(status, kind):
    return next(c for c in status["conditions"] if c["type"] == kind)


def test_clients_notice_nothing(cluster):
    cluster.up(WEB)
    before = processes(cluster)
    ready = {p["metadata"]["name"]: condition(p["status"], "Ready") for p in cluster.items("pods")}
    proxy = cluster.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"]
    address = cluster.balancer_address("web")
    client = Client(address, address.port, rate=200)
    for _ in range(3):
        kill_daemon(cluster)
        cluster.up()
    # Twice in the middle of a start, too: whatever was half taken over is taken over again.
    kill_daemon(cluster)
    for pause in (0.02, 0.06):
        half = subprocess.Popen(cluster.command("serve"), env=cluster.environment(), stderr=subprocess.DEVNULL)
        time.sleep(pause)
        half.kill()
        half.wait()
    cluster.up()
    report = client.finish()
    assert report["failed"] == 0 and report["requests"], report["causes"]
    assert processes(cluster) == before
    assert cluster.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"] == proxy
    assert {p["metadata"]["name"]: condition(p["status"], "Ready") for p in cluster.items("pods")} == ready
    # And everything goes on from there.
    cluster.run("scale", "deployment", "web", "--replicas=3")
    wait_until(lambda: cluster.json("get", "deployment", "web")["status"].get("readyReplicas") == 3, "a third pod is ready")


def test_connections_wait_when_the_proxy_dies_with_the_daemon(cluster):
    cluster.up(WEB)
    address = cluster.balancer_address("web")
    proxy = cluster.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"]
    kill_daemon(cluster)
    os.kill(proxy, signal.SIGKILL)
    wait_until(lambda: not pathlib.Path(f"/proc/{proxy}/fd").exists() or not os.listdir(f"/proc/{proxy}/fd"), "the proxy has gone")
    client = http.client.HTTPConnection(address, address.port, timeout=60)
    client.request("GET", "/")
    cluster.up()
    assert client.getresponse().status == 200
    client.close()


def test_a_service_manager_can_end_the_daemon_alone(cluster):
    cluster.up(WEB)
    before = processes(cluster)
    kill_daemon(cluster)
    serve = cluster.start("serve", "--keep-pods")
    wait_until(lambda: cluster.run("version", check=False).returncode == 0 and pathlib.Path(cluster.state, "weft.sock").exists()
               and cluster.run("get", "pods", check=False).returncode == 0, "the daemon answers")
    serve.terminate()
    assert serve.wait(10) == 0, serve.stderr.read()
    serve.communicate()
    assert processes(cluster) == before
    cluster.up()
    assert processes(cluster) == before and fetch(cluster.balancer_address("web"))[0] == 200


def test_what_happens_while_the_daemon_is_dead_is_known_afterwards(cluster):
    first = json.dumps("echo one >> /notes/firsts; sleep 0.1")
    cluster.up(
        noted("fails", until("go", "echo last words; exit 7"))
        + noted("succeeds", until("go", "exit 0"))
        + noted("dies", until("go", "kill -9 $$$$"))
        + noted("again", until("go", "rm -f /notes/once && mkdir /notes/turn-$(wc -l < /notes/starts-again) && exit 3"), "Always")
        + noted("talks", "i=0; while sleep 0.05; do i=$((i+1)); echo line $i; done")
        + noted("leaves", f"trap '{until('bye', 'exit 0')}' TERM; while sleep 0.05; do :; done", spec="terminationGracePeriodSeconds: 30")
        .replace("terminationGracePeriodSeconds: 1, ", "")
        + noted("steady", "exec sleep 1000", "Always",
                "initContainers: [{name: first, image: tools, args: [%s], %s}]" % (first, MOUNT))
    )
    before = processes(cluster)
    uids = {p["metadata"]["name"]: p["metadata"]["uid"] for p in cluster.items("pods")}
    cluster.run("delete", "pod", "leaves", "--no-wait")
    kill_daemon(cluster)
    touch(cluster, "go")
    touch(cluster, "bye")
    for name in ["fails", "succeeds", "dies", "again"]:
        wait_until(lambda: len(processes(cluster)[uids[name]]) == 1, f"{name} has ended without a daemon")
    ended = time.time()
    cluster.run("up", "--detach", "--timeout", "1", timeout=30, check=False)
    assert cluster.until_ended("fails") == "Failed" and cluster.until_ended("succeeds") == "Succeeded"
    assert cluster.until_ended("dies") == "Failed"
    exits = {name: cluster.terminated(name) for name in ["fails", "succeeds", "dies"]}
    assert [exits[n]["exitCode"] for n in exits] == [7, 0, 137] and exits["fails"]["reason"] == "Error"
    assert exits["succeeds"]["reason"] == "Completed"
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ended))
    assert all(e["startedAt"] <= e["finishedAt"] <= end for e in exits.values())
    assert "last words" in cluster.log("fails")
    # The restart policy is followed, and counts go on.
    wait_until(lambda: cluster.status("again").get("restartCount") == 1, "it is started again")
    assert cluster.terminated("again")["exitCode"] == 3
    # A deletion that had begun goes on to its end.
    wait_until(lambda: "leaves" not in cluster.run("get", "pods").stdout, "the pod is gone")
    # The others are the same as before, and nothing was started twice.
    for name in ["talks", "steady"]:
        assert processes(cluster)[uids[name]] >= before[uids[name]] - {p for p in before[uids[name]] if not is_alive(p)}
        assert starts(cluster, name) == 1 and cluster.status(name).get("restartCount") == 0
    assert (cluster.folder / "firsts").read_text() == "one\n"
    assert all(starts(cluster, name) == 1 for name in ["fails", "succeeds", "dies", "leaves"])
    # Logs have every line, commands can be run, and followers hear what comes.
    lines = [line for line in cluster.log("talks").splitlines() if line.startswith("line ")]
    assert lines == [f"line {n}" for n in range(1, len(lines) + 1)]
    follower = cluster.start("logs", "-f", "talks")
    wait_until(lambda: f"line {len(lines) + 3}\n" == follower.stdout.readline() or None, "new lines are followed")
    follower.kill()
    follower.communicate()
    assert cluster.run("exec", "steady", "--", "echo", "here").stdout == "here\n"


def test_a_daemon_that_dies_while_it_makes_pods(cluster):
    text = noted("many", "exec sleep 1000", "Always")
    template = text.split("spec: ", 1)[1].split("\n---")[0].replace("starts-many", "starts-$HOSTNAME")
    deployment = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\nspec: {replicas: 20, selector: {matchLabels: {app: NAME}}, "
        f"template: {{metadata: {{labels: {{app: NAME}}}}, spec: {template}}}}}\n---\n"
    )
    dice = random.Random(7)
    for number in range(3):
        name = f"r{number}"
        cluster.apply(deployment.replace("NAME", name))
        for _ in range(2):
            time.sleep(dice.uniform(0, 0.15))
            kill_daemon(cluster)
            cluster.run("up", "--detach", "--timeout", "1", timeout=30, check=False)
        wait_until(
            lambda: cluster.json("get", "deployment", name)["status"].get("readyReplicas") == 20, "all pods are ready", 40
        )
        pods = [p for p in cluster.items("pods") if p["metadata"].get("labels", {}).get("app") == name]
        assert len(pods) == 20
        found = processes(cluster)
        for one in pods:
            uid, status = one["metadata"]["uid"], one["status"]["containerStatuses"][0]
            # A pod init and one sleep; one start for each run that is counted.
            assert len(found[uid]) == 2, one["metadata"]["name"]
            assert starts(cluster, one["metadata"]["name"]) <= 1 + status["restartCount"], one["metadata"]["name"]
        assert len({one["status"]["podIP"] for one in pods}) == 20
        cluster.run("delete", "deployment", name)
        wait_until(lambda: not [p for p in cluster.items("pods") if p["metadata"].get("labels", {}).get("app") == name], "gone")
    assert not strangers(cluster), "pod inits that nobody knows"


def strangers(cluster):
    """Pod inits of this state directory without a record."""
    known = {record["pid"] for record in records(cluster).values()}
    found = set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text() == "weft-pod-init\n" and os.readlink(entry / "cwd").startswith(cluster.state):
                found.add(int(entry.name))
        except OSError:
            continue
    return found - known


def test_a_number_that_belongs_to_another_process_now_is_left_alone(cluster):
    cluster.up(noted("kept", "exec sleep 1000", "Always"))
    uid = cluster.pod("kept")["metadata"]["uid"]
    proxy = cluster.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"]
    with subprocess.Popen(["sleep", "1000"]) as other:
        try:
            kill_daemon(cluster)
            file = pathlib.Path(cluster.state, "pods", uid, "pod.json")
            record = json.loads(file.read_text())
            file.write_text(json.dumps({**record, "pid": other.pid}, separators=(",", ":")))
            start = pathlib.Path(f"/proc/{other.pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
            pathlib.Path(cluster.state, "proxy/weft-proxy.pid").write_text(f"{other.pid} {start}\n")
            cluster.up()
            assert other.poll() is None
        finally:
            other.kill()
    status = cluster.status("kept")
    # The pod could not be told for sure: it was ended and made again, once.
    assert status["restartCount"] == 1 and status["lastState"]["terminated"]["exitCode"] == 255
    assert len(processes(cluster)[uid]) == 2 and not strangers(cluster)
    assert starts(cluster, "kept") == 2
    assert cluster.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"] == proxy


def test_after_a_restart_of_the_machine_everything_comes_back(cluster):
    cluster.up(WEB + noted("done", "exit 0") + noted("once", "exec sleep 1000"))
    cluster.until_ended("done")
    before = {p["metadata"]["name"]: p["metadata"]["uid"] for p in cluster.items("pods")}
    inits = {record["pid"] for record in records(cluster).values()}
    status = cluster.api("/apis/weft.dev/v1alpha1/status")
    kill_daemon(cluster)
    # A machine that loses power: no process is left, files and sockets are, and the numbers mean nothing any more.
    kill(inits | {status["proxy"]["pid"]} | helpers(cluster))
    wait_until(lambda: not any(is_alive(p) for p in inits), "all is dead")
    for file in pathlib.Path(cluster.state).glob("pods/*/pod.json"):
        record = json.loads(file.read_text())
        file.write_text(json.dumps({**record, "pid": os.getpid(), "boot": "0"}, separators=(",", ":")))
    pathlib.Path(cluster.state, "proxy/weft-proxy.pid").write_text(f"{os.getpid()} 1\n")
    cluster.up()
    assert {p["metadata"]["name"]: p["metadata"]["uid"] for p in cluster.items("pods")} == before
    for name in before:
        restarts = cluster.status(name)["restartCount"]
        assert restarts == (0 if name == "done" else 1), name
    assert cluster.pod("done")["status"]["phase"] == "Succeeded"
    ended = cluster.status("once")["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (255, "Unknown")
    address = cluster.balancer_address("web")
    assert [fetch(address)[0] for _ in range(20)] == [200] * 20


def helpers(cluster):
    """Processes of the daemon's beside the proxy and the pods: the server of names."""
    found = set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if cluster.state in words and "pytest" not in words:
            found.add(int(entry.name))
    return found


def groups(uids):
    return [str(p) for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/*") for uid in uids
            for p in pathlib.Path("/").glob(f"{root[1:]}/weft/{uid}")]


@pytest.mark.parametrize("killed", ["daemon", "daemon and proxy", "daemon and pods", "everything"])
def test_down_after_a_crash_leaves_nothing(killed):
    with running() as cluster:
        (cluster.folder / "server.py").write_text(SERVER)
        cluster.up(WEB)
        uids = set(records(cluster))
        proxy = cluster.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"]
        inits = [record["pid"] for record in records(cluster).values()]
        kill_daemon(cluster)
        kill({
            "daemon": [], "daemon and proxy": [proxy], "daemon and pods": inits[:1], "everything": [proxy, *inits, *helpers(cluster)]
        }[killed])
        assert "removed what a daemon that was killed had left" in cluster.run("down", timeout=60).stderr
        assert not groups(uids) and not pathlib.Path(cluster.state).exists()
        # `running` looks for processes and mounts.
