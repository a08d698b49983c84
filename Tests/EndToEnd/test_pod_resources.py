"""Limits of containers, ends and their reasons, deadlines, sidecars, names: what a pod's status and events tell."""

import json
import pathlib

import pytest

from podkit import pod, running
from weftkit import USERS, wait_until

EAT = "python3 -c 'b = []\nwhile True: b.append(bytearray(1 << 20))'"
LIMITS = "resources: {limits: {memory: 32Mi, cpu: 500m, ephemeral-storage: 1Gi}, requests: {cpu: 250m}}"
# Only where limits hold: it would take all of the machine's memory.
GLUTTON = pod("glutton", EAT, LIMITS)
MANIFEST = (
    pod("bounded", "echo $LIMIT $SHARE $MEMORY; sleep 600",
          LIMITS + ", env: [{name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}, "
          "{name: SHARE, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}, "
          "{name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}]")
    + pod("code", "echo some output; exit 7", "terminationMessagePolicy: FallbackToLogsOnError")
    + pod("words", "echo last words > $WHERE; exit 1",
          "terminationMessagePath: /tmp/words, env: [{name: WHERE, value: /tmp/words}]")
    + pod("flood", "yes words > /dev/termination-log & sleep 0.2; kill $!; exit 0")
    + pod("signalled", "kill -9 $$$$")
    + pod("nothing", "true").replace('args: ["true"]', 'command: [/no/such/program]')
    + pod("late", "sleep 600", "", "activeDeadlineSeconds: 1")
    + pod("named", "hostname; hostname -f; cat /etc/resolv.conf; getent hosts other.example | tr -s ' '",
          "", "hostname: front, subdomain: farm, setHostnameAsFQDN: true, "
          "hostAliases: [{ip: 192.0.2.7, hostnames: [other.example]}], "
          "dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1], searches: [example.org], options: [{name: ndots, value: '2'}]}")
    + pod("side", "sleep 0.2; exit 0", "",
          "initContainers: [{name: log, image: tools, restartPolicy: Always, args: ['echo up; sleep 600']}, "
          "{name: first, image: tools, args: ['sleep 0.1; exit 0']}]")
    + pod("order", "trap 'echo main >> /shared/order; exit 0' TERM; sleep 600 & wait; wait",
          "volumeMounts: [{name: shared, mountPath: /shared}]",
          "volumes: [{name: shared, hostPath: {path: FOLDER/order, type: Directory}}], initContainers: ["
          + ", ".join(
              f"{{name: {name}, image: tools, restartPolicy: Always, volumeMounts: [{{name: shared, mountPath: /shared}}], "
              f"readinessProbe: {{exec: {{command: [test, -e, /shared/{name}]}}, periodSeconds: 1}}, "
              f"args: [\"trap 'echo {name} >> /shared/order; exit 0' TERM; sleep 600 & wait; wait\"]}}" for name in ("one", "two"))
          + "]")
    + pod("apart", "ls /tmp/first /var/first /usr/first FOLDER/first 2>/dev/null; touch /tmp/x /var/x /usr/x FOLDER/x && echo own; "
          "head -1 /etc/resolv.conf; cat FOLDER/shown; test -e /run/lock && echo run; ls FOLDER/state | wc -l", "",
          "initContainers: [{name: first, image: tools, "
          "args: ['touch /tmp/first /var/first /usr/first FOLDER/first && ls /var/first']}]")
    + pod("failing-init", "true", "", "initContainers: [{name: first, image: tools, args: ['exit 3']}]")
)


@pytest.fixture(scope="module", params=USERS)
def cluster(request):
    with running(user=request.param) as program:
        (program.folder / "order").mkdir()
        (program.folder / "order").chmod(0o777)
        (program.folder / "shown").write_text("shown\n")
        program.apply(MANIFEST + (GLUTTON if request.param == "root" else ""))
        yield program


def test_a_container_that_eats_too_much_memory_is_killed_for_it(cluster):
    assert "ephemeral-storage" in cluster.until_event("bounded", "ephemeral-storage")
    if cluster.user != "root":
        assert "memory and cpu" in cluster.until_event("bounded", "LimitsNotEnforced: limits of memory")
        return
    assert cluster.until_ended("glutton") == "Failed"
    ended = cluster.terminated("glutton")
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_limits_stand_in_the_kernels_groups(cluster):
    wait_until(lambda: cluster.log("bounded"), "it runs")
    assert cluster.log("bounded").split() == ["500", "250", "32"]
    if cluster.user != "root":
        return
    uid = cluster.pod("bounded")["metadata"]["uid"]
    record = json.loads(pathlib.Path(cluster.state, f"pods/{uid}/pod.json").read_text())
    child = pathlib.Path(f"/proc/{record['pid']}/task/{record['pid']}/children").read_text().split()[0]
    groups = dict(line.split(":", 2)[1:] for line in pathlib.Path(f"/proc/{child}/cgroup").read_text().splitlines())
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    def value(controller, first, second):
        """The file of version 1, or that of version 2."""
        for _, place, kind, options, *_ in mounts:
            if kind == "cgroup" and controller in options.split(","):
                name = next(group for names, group in groups.items() if controller in names.split(","))
                return pathlib.Path(place + name, first).read_text().strip()
        place = next(place for _, place, kind, *_ in mounts if kind == "cgroup2")
        return pathlib.Path(place + groups[""], second).read_text().strip()
    assert value("memory", "memory.limit_in_bytes", "memory.max") == str(32 << 20)
    assert value("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert value("pids", "pids.max", "pids.max") == "4096"
    cluster.run("delete", "pod", "bounded", "--grace-period", "0")


def test_the_end_of_a_container_is_told(cluster):
    assert cluster.until_ended("code") == "Failed"
    ended = cluster.terminated("code")
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (7, "Error", "some output\n")
    assert ended["startedAt"] <= ended["finishedAt"]
    cluster.until_ended("words")
    assert cluster.terminated("words")["message"] == "last words\n"
    cluster.until_ended("flood")
    assert len(cluster.terminated("flood")["message"]) == 4096
    cluster.until_ended("signalled")
    assert (cluster.terminated("signalled")["exitCode"], cluster.terminated("signalled")["signal"]) == (137, 9)
    assert cluster.terminated("signalled")["reason"] == "Error"
    cluster.until_ended("nothing")
    assert cluster.terminated("nothing")["reason"] == "StartError"
    assert "/no/such/program" in cluster.terminated("nothing")["message"]


def test_a_pod_beyond_its_deadline_fails(cluster):
    assert cluster.until_ended("late") == "Failed"
    assert cluster.pod("late")["status"]["reason"] == "DeadlineExceeded"


def test_names_are_what_the_pod_asks_for(cluster):
    cluster.until_ended("named")
    found = cluster.log("named").splitlines()
    assert found[0] == found[1] == "front.farm.default.svc.cluster.local"
    assert "search example.org" in found and "options ndots:2" in found
    assert found[-1] == "192.0.2.7 other.example"
    assert cluster.until_event("named", "NameServersIgnored")


def test_sidecars_run_beside_and_end_with_the_others(cluster):
    assert cluster.until_ended("side") == "Succeeded"
    assert cluster.terminated("side", "first")["exitCode"] == 0
    assert cluster.log("side", "-c", "log") == "up\n"
    assert cluster.until_ended("failing-init") == "Failed"
    assert cluster.terminated("failing-init", "first")["exitCode"] == 3
    assert not cluster.log("failing-init")


def test_sidecars_count_for_readiness_and_end_in_reverse(cluster):
    folder = cluster.folder / "order"
    def ready():
        conditions = cluster.pod("order")["status"].get("conditions", [])
        return next((c for c in conditions if c["type"] == "Ready"), {})
    wait_until(lambda: cluster.status("order", "main").get("ready"), "the main container runs")
    (folder / "one").touch()
    wait_until(lambda: ready().get("message", "").endswith("[two]"), "only the second sidecar is missing")
    (folder / "two").touch()
    wait_until(lambda: ready().get("status") == "True", "the sidecars are ready")
    cluster.run("delete", "pod", "order")
    assert (folder / "order").read_text().split() == ["main", "two", "one"]


def test_containers_of_a_pod_do_not_see_each_others_writes(cluster):
    assert cluster.until_ended("apart") == "Succeeded", cluster.status("apart")
    assert cluster.log("apart", "-c", "first") == "/var/first\n"
    assert cluster.log("apart", "-c", "main").splitlines() == ["own", "nameserver 10.96.0.10", "shown", "run", "0"], "and the state stays hidden"
    assert not (cluster.folder / "x").exists() and not (cluster.folder / "first").exists()
