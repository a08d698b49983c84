"""securityContext: who a container is, what it may write, which privileges and system calls it has."""

import pytest

from podkit import pod, running
from weftkit import USERS

USER = "securityContext: {runAsUser: 1234, runAsGroup: 2345}"
# Tries a key ring, the kernel's log and a new user namespace; prints the errno of each, 0 for none.
CALLS = (
    "python3 -c 'import ctypes, platform; c = ctypes.CDLL(None, use_errno=True); "
    "n = {\\\"x86_64\\\": (250, 103, 272)}.get(platform.machine(), (219, 116, 97)); "
    "print(*[ctypes.get_errno() if c.syscall(*a) < 0 else 0 "
    "for a in ((n[0], 0, -3, 0), (n[1], 10, 0, 0), (n[2], 0x10000000))])'"
).replace("\\\"", '"')
STATUS = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp|Groups):' /proc/self/status"

MANIFEST = (
    pod("user", "id -u; id -g; echo $HOME; touch /root/x 2>/dev/null || echo refused", USER)
    + pod("groups", "id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' '; stat -c '%g %a' /data; touch /data/x; stat -c %g /data/x",
          f"{USER}, volumeMounts: [{{name: data, mountPath: /data}}]",
          "securityContext: {fsGroup: 777, supplementalGroups: [888]}, volumes: [{name: data, emptyDir: {}}]")
    + pod("root-refused", "true", "securityContext: {runAsNonRoot: true}")
    + pod("root-allowed", "id -u", "securityContext: {runAsNonRoot: false}", "securityContext: {runAsNonRoot: true}")
    + pod("read-only", "for f in /x /etc/x /usr/x /tmp/x /var/x /root/x; do touch $f 2>/dev/null && echo $f; done; "
          "echo ok > /data/x && cat /data/x; echo y > /data/deep/y; echo > /dev/null; echo last > /dev/termination-log",
          "securityContext: {readOnlyRootFilesystem: true}, "
          "volumeMounts: [{name: data, mountPath: /data}, {name: deep, mountPath: /data/deep}]",
          "volumes: [{name: data, emptyDir: {}}, {name: deep, emptyDir: {medium: Memory}}]")
    + pod("writable", "touch /x /etc/x /usr/x /tmp/x /var/x && echo all", "", "")
    + pod("plain", STATUS)
    + pod("bare", STATUS, "securityContext: {capabilities: {drop: [ALL]}}")
    + pod("some", STATUS, "securityContext: {capabilities: {drop: [ALL], add: [NET_BIND_SERVICE, CAP_NET_RAW]}}")
    + pod("greedy", STATUS, "securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN, NET_ADMIN]}}")
    + pod("calls", CALLS)
    + pod("calls-strict", CALLS, "securityContext: {seccompProfile: {type: RuntimeDefault}}")
    + pod("calls-off", CALLS, "securityContext: {seccompProfile: {type: Unconfined}}")
    + pod("masked", "head -c 1 /proc/timer_list 2>/dev/null | wc -c; touch /proc/sys/kernel/x 2>&1 | wc -l; ls /sys/firmware | wc -l; "
          "ls /dev | tr '\\n' ' '")
    + pod("host", "ls /sys/class/net", "", "hostNetwork: true")
)


@pytest.fixture(scope="module", params=USERS)
def cluster(request):
    with running(user=request.param) as program:
        program.apply(MANIFEST)
        yield program


def lines(cluster, name):
    assert cluster.until_ended(name) == "Succeeded", cluster.log(name) + str(cluster.status(name))
    return cluster.log(name).splitlines()


def facts(cluster, name):
    return dict(line.split(":\t", 1) for line in lines(cluster, name))


def test_a_container_runs_as_its_user_and_group(cluster):
    assert lines(cluster, "user") == ["1234", "2345", "/", "refused"]


def test_volumes_belong_to_the_group_of_the_pod(cluster):
    if cluster.user != "root":
        assert cluster.until_event("groups", "GroupsIgnored")
        assert lines(cluster, "groups")[-1] == "2345"
        return
    assert lines(cluster, "groups") == ["777 888 2345 777 2777", "777"]


def test_a_container_that_must_not_be_root_is_not_started_as_root(cluster):
    assert "runAsNonRoot" in cluster.until_event("root-refused", "Error: container has runAsNonRoot")
    assert cluster.status("root-refused")["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    assert lines(cluster, "root-allowed") == ["0"], "a container's own word comes before its pod's"


def test_a_read_only_root_leaves_volumes_and_devices_writable(cluster):
    assert lines(cluster, "read-only") == ["ok"]
    assert cluster.terminated("read-only")["message"] == "last\n"
    assert lines(cluster, "writable") == ["all"]


def test_capabilities_are_dropped_and_added(cluster):
    usual = int(facts(cluster, "plain")["CapEff"], 16)
    assert usual & 1 << 0 and usual & 1 << 10 and not usual & (1 << 12 | 1 << 13 | 1 << 21)
    bare = facts(cluster, "bare")
    assert int(bare["CapEff"], 16) == int(bare["CapBnd"], 16) == 0
    assert int(facts(cluster, "some")["CapEff"], 16) == 1 << 10 | 1 << 13


def test_what_would_open_the_pod_is_refused_and_said(cluster):
    effective = int(facts(cluster, "greedy")["CapEff"], 16)
    assert effective & 1 << 12 and not effective & 1 << 21
    assert "SYS_ADMIN" in cluster.until_event("greedy", "CapabilityRefused")
    assert "NET_ADMIN" not in cluster.until_event("greedy", "CapabilityRefused")
    assert cluster.until_event("greedy", "PrivilegedRefused")
    assert cluster.until_event("host", "HostNamespaceRefused")
    assert lines(cluster, "host") == ["lo"]
    before = len(cluster.events("greedy"))
    cluster.apply(MANIFEST)
    assert len(cluster.events("greedy")) == before


def test_no_container_gains_privileges(cluster):
    plain = facts(cluster, "plain")
    assert plain["NoNewPrivs"] == "1" and plain["Seccomp"] == "2"


def test_dangerous_system_calls_are_refused(cluster):
    assert lines(cluster, "calls") == ["1 1 0"]
    assert lines(cluster, "calls-strict") == ["1 1 1"]
    assert lines(cluster, "calls-off")[0].split()[0] == "0", "without a filter the key ring answers"


def test_the_kernels_files_are_masked(cluster):
    found = lines(cluster, "masked")
    assert found[:3] == ["0", "1", "0"]
    assert set(found[3].split()) <= {
        "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "termination-log", "tty",
        "urandom", "zero",
    }
