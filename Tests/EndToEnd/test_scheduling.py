"""Pods get the machine when they fit on it: room, ports, labels, taints, gates, priorities, and the bounds of namespaces."""

import http.client
import json
import shutil
import socket

import pytest

from kubekit import KUBECTLS, Kubectl, needs_kubectl, running
from weftkit import wait_until

pytestmark = needs_kubectl

IMAGE = "{apiVersion: weft.dev/v1alpha1, kind: Image, metadata: {name: shell}, spec: {directory: /, command: [/bin/sh]}}"


@pytest.fixture(scope="module")
def kubectl(needs_namespaces):
    with running() as weft:
        (weft.folder / "config").write_text(weft.run("kubeconfig").stdout)
        newest = max(KUBECTLS, key=lambda version: [int(part) for part in version[1:].split(".")[:2]])
        found = Kubectl(KUBECTLS[newest], weft.folder / "home", weft.folder / "config")
        found.weft = weft
        found("apply", "-f", "-", text=IMAGE)
        yield found
    shutil.rmtree(weft.folder, ignore_errors=True)


def pod(name, resources=None, ports=None, script="sleep 1000", **spec):
    container = {"name": "main", "image": "shell", "command": ["/bin/sh", "-c", script]}
    if resources:
        container["resources"] = {"requests": resources}
    if ports:
        container["ports"] = ports
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}}


def apply(kubectl, *objects):
    return kubectl("apply", "-f", "-", text="\n---\n".join(map(json.dumps, objects)))


def phase(kubectl, name):
    return kubectl.json("get", "pod", name)["status"]["phase"]


def until_runs(kubectl, name):
    wait_until(lambda: phase(kubectl, name) == "Running", f"{name} runs")


def until_refused(kubectl, name, why):
    def refused():
        conditions = kubectl.json("get", "pod", name)["status"].get("conditions", [])
        return any(one["type"] == "PodScheduled" and one["status"] == "False" and why in one.get("message", "") for one in conditions)
    wait_until(refused, f"{name} waits: {why}")


def test_a_pod_waits_for_room_and_for_the_machine_that_it_asks_for(kubectl):
    cores = int(kubectl.json("get", "node", "weft")["status"]["allocatable"]["cpu"])
    most = {"cpu": f"{cores * 1000 - 100}m"}
    apply(kubectl, pod("large", most), pod("fast", nodeSelector={"disk": "fast"}))
    until_runs(kubectl, "large")
    apply(kubectl, pod("second", most))
    until_refused(kubectl, "second", "0/1 nodes are available: 1 Insufficient cpu.")
    until_refused(kubectl, "fast", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.")
    wait_until(lambda: "FailedScheduling" in kubectl("describe", "pod", "second"), "the event")
    assert phase(kubectl, "second") == "Pending"
    kubectl("label", "node", "weft", "disk=fast")
    until_runs(kubectl, "fast")
    kubectl("delete", "pod", "large")
    until_runs(kubectl, "second")
    kubectl("create", "priorityclass", "urgent", "--value=1000")
    apply(kubectl, pod("first", most, priorityClassName="urgent"))
    until_runs(kubectl, "first")
    assert kubectl.run("get", "pod", "second", check=False).returncode == 1, "the less important pod went"
    wait_until(lambda: "Preempted" in kubectl("get", "events"), "the event")
    kubectl("delete", "pod", "first", "fast")


def test_a_cordon_taints_and_a_drain(kubectl):
    apply(kubectl, pod("frail"), pod("tough", tolerations=[{"operator": "Exists"}]))
    until_runs(kubectl, "frail")
    until_runs(kubectl, "tough")
    kubectl("taint", "node", "weft", "down=now:NoExecute")
    wait_until(lambda: kubectl.run("get", "pod", "frail", check=False).returncode == 1, "the frail pod goes")
    assert phase(kubectl, "tough") == "Running"
    apply(kubectl, pod("later"))
    until_refused(kubectl, "later", "1 node(s) had untolerated taint {down: now}.")
    kubectl("taint", "node", "weft", "down-")
    until_runs(kubectl, "later")
    assert "drained" in kubectl("drain", "weft", "--force", "--ignore-daemonsets")
    apply(kubectl, pod("again"))
    until_refused(kubectl, "again", "1 node(s) were unschedulable.")
    kubectl("uncordon", "weft")
    until_runs(kubectl, "again")
    kubectl("delete", "pod", "again")


def test_a_port_of_the_machine_and_neighbours_and_gates(kubectl):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    ports = [{"containerPort": 8080, "hostPort": number, "hostIP": "127.0.0.1"}]
    serve = "exec /usr/bin/python3 -S -m http.server 8080 --directory /tmp"
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "one"}}}]}}
    apply(kubectl, pod("one", ports=ports, script=serve), pod("gated", schedulingGates=[{"name": "example.com/later"}]))
    until_runs(kubectl, "one")

    def answers():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", number, timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except OSError:
            return False
    wait_until(answers, "the port of the machine leads to the pod")
    apply(kubectl, pod("two", ports=ports), pod("alone", affinity=apart))
    until_refused(kubectl, "two", "1 node(s) didn't have free ports for the requested pod ports.")
    until_refused(kubectl, "alone", "1 node(s) didn't match pod anti-affinity rules.")
    assert "SchedulingGated" in kubectl("get", "pod", "gated")
    kubectl("patch", "pod", "gated", "--type=json", "-p", '[{"op": "remove", "path": "/spec/schedulingGates"}]')
    until_runs(kubectl, "gated")
    kubectl("delete", "pod", "one")
    until_runs(kubectl, "two")
    until_runs(kubectl, "alone")
    kubectl("delete", "pod", "two", "alone", "gated")


def test_a_namespace_has_bounds(kubectl):
    kubectl("create", "namespace", "small")
    small = Kubectl(kubectl.program, kubectl.home, kubectl.config, "small")
    small("apply", "-f", "-", text="""\
apiVersion: v1
kind: LimitRange
metadata: {name: usual, namespace: small}
spec: {limits: [{type: Container, default: {cpu: 200m}, defaultRequest: {cpu: 100m}, max: {cpu: "1"}}]}
""")
    small("create", "quota", "few", "--hard=pods=2,requests.cpu=300m")
    small("create", "deployment", "web", "--image=shell", "--replicas=3", "--", "/bin/sleep", "1000")
    wait_until(lambda: len(small.json("get", "pods")["items"]) == 2, "two pods")
    wait_until(lambda: "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2" in small("get", "events"), "the event")
    wait_until(lambda: "2/2" in small("get", "quota"), "what is used")
    made = small.json("get", "pods")["items"][0]
    assert made["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}}
    large = json.dumps(pod("large", {"cpu": "2"}))
    refused = small.run("apply", "-f", "-", text=large, check=False)
    assert refused.returncode == 1 and "maximum cpu usage per Container is 1" in refused.stderr
    assert "cpu" in small("describe", "limits") and "pods" in small("describe", "quota")
    unknown = small.run("apply", "-f", "-", text=json.dumps(pod("odd", priorityClassName="none")), check=False)
    assert "no PriorityClass with name none was found" in unknown.stderr
    small("delete", "deployment", "web", "--wait=false")


def test_weft_says_why_a_pod_waits(kubectl):
    template = {"metadata": {"labels": {"app": "picky"}}, "spec": pod("picky", nodeSelector={"disk": "slow"})["spec"]}
    apply(kubectl, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "picky"},
                    "spec": {"selector": {"matchLabels": {"app": "picky"}}, "template": template}})

    def told():
        return "Unschedulable: 0/1 nodes are available" in kubectl.weft.run("describe", "deployment", "picky").stdout
    wait_until(told, "the reason stands beside the pod")
    kubectl("delete", "deployment", "picky")
