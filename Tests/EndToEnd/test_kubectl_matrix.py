"""What kubectl asks for, with real kubectls: an old one from Debian and the newest that is here."""

import subprocess

import pytest

from kubekit import KUBECTLS, Kubectl, needs_kubectl, running
from weftkit import fetch, wait_until

pytestmark = needs_kubectl

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: echo, ports: [{name: http, containerPort: 8080}]}
"""
IMAGE = """
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: echo}}
spec: {{directory: {folder}, command: [/usr/bin/python3, -u, -m, http.server, "8080"]}}
"""


@pytest.fixture(scope="module")
def weft(needs_namespaces):
    with running("--api-port", "0", "--api-tls", "127.0.0.1:0") as weft:
        site = weft.folder / "site"
        site.mkdir()
        (site / "index.html").write_text("hello\n")
        weft.run("apply", "-f", "-", input=IMAGE.format(folder=site) + "---" + DEPLOYMENT)
        weft.config = weft.folder / "config"
        weft.run("kubeconfig", "-o", str(weft.config))
        assert weft.config.stat().st_mode & 0o777 == 0o600
        yield weft


@pytest.fixture(scope="module", params=KUBECTLS or ["none"])
def kubectl(request, weft):
    home = weft.folder / request.param
    home.mkdir()
    kubectl = Kubectl(KUBECTLS[request.param], home, weft.config)
    name = request.param.split("+")[0].replace(".", "-")
    kubectl("create", "namespace", name)
    kubectl.namespace = name
    kubectl.version = request.param
    kubectl.is_old = request.param.startswith("v1.20")
    yield kubectl
    kubectl("delete", "namespace", name, "--wait=false")


def test_it_finds_the_server_and_what_it_serves(kubectl):
    assert "v1.33.0" in kubectl("version", "-o", "json")
    words = kubectl("api-resources", "-o", "name").split()
    assert {"pods", "deployments.apps", "ingresses.networking.k8s.io", "images.weft.dev", "selfsubjectaccessreviews.authorization.k8s.io"} <= set(words)
    assert kubectl("auth", "can-i", "create", "pods").strip() == "yes"
    assert kubectl("get", "--raw", "/readyz").strip() == "ok"
    assert len(kubectl("get", "--raw", "/openapi/v2")) > 10000


def test_generators_make_what_they_say(kubectl):
    for words in [
        ["configmap", "a", "--from-literal=x=1"],
        ["secret", "generic", "s", "--from-literal=p=1"],
        ["deployment", "none", "--image=echo", "--replicas=0"],
        ["service", "clusterip", "c", "--tcp=80:8080"],
        ["cronjob", "cj", "--image=echo", "--schedule=0 0 1 1 *"],
        ["serviceaccount", "robot"],
        ["role", "r", "--verb=get", "--resource=pods"],
        ["rolebinding", "rb", "--role=r", "--serviceaccount=default:robot"],
        ["quota", "q", "--hard=pods=2"],
        ["poddisruptionbudget", "p", "--selector=a=b", "--min-available=1"],
        ["ingress", "i", "--rule=a.b/x*=c:80"],
    ]:
        kubectl("create", *words)
    assert kubectl.json("get", "cm", "a")["data"] == {"x": "1"}
    assert kubectl.json("get", "secret", "s")["data"] == {"p": "MQ=="}
    made = kubectl.json("get", "deployment", "none")
    assert made["spec"]["replicas"] == 0 and made["spec"]["strategy"]["type"] == "RollingUpdate"
    assert kubectl.json("get", "ingress", "i")["spec"]["rules"][0]["host"] == "a.b"
    assert kubectl.json("get", "pdb", "p")["spec"]["minAvailable"] == 1
    assert kubectl.json("get", "rolebinding", "rb")["subjects"][0]["name"] == "robot"
    kubectl("autoscale", "deployment", "none", "--min=1", "--max=3", "--cpu-percent=50")
    metric = kubectl.json("get", "hpa", "none")["spec"]["metrics"][0]["resource"]
    assert metric == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}


def test_apply_and_its_checks(kubectl):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {k: '%s'}\n"
    assert "server dry run" in kubectl("apply", "--dry-run=server", "-f", "-", text=text % 1)
    assert kubectl.run("get", "cm", "b", check=False).returncode == 1
    assert "created" in kubectl("apply", "-f", "-", text=text % 1)
    assert "unchanged" in kubectl("apply", "-f", "-", text=text % 1)
    difference = kubectl.run("diff", "-f", "-", text=text % 2, check=False)
    assert difference.returncode == 1 and '+  k: "2"' in difference.stdout
    assert "configured" in kubectl("apply", "-f", "-", text=text % 2)
    wrong = kubectl.run("apply", "-f", "-", text=text.replace("\ndata:", "\ndatum:") % 1, check=False)
    assert wrong.returncode == 1 and "datum" in wrong.stderr
    assert "replicas" in kubectl("explain", "deployment.spec")


def test_apply_on_the_server_knows_owners(kubectl):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned}\ndata: {%s}\n"
    kubectl("apply", "--server-side", "-f", "-", text=text % "k: one, l: two")
    conflict = kubectl.run("apply", "--server-side", "--field-manager=other", "-f", "-", text=text % "k: three", check=False)
    assert conflict.returncode == 1 and 'conflict with "kubectl": .data.k' in conflict.stderr
    kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", text=text % "k: three")
    kubectl("apply", "--server-side", "-f", "-", text=text % "m: four")
    assert kubectl.json("get", "cm", "owned")["data"] == {"k": "three", "m": "four"}


def test_apply_on_the_server_takes_over_what_it_applied_itself(kubectl):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: moved}\ndata: {%s}\n"
    kubectl("apply", "-f", "-", text=text % "k: one, l: two")
    kubectl("apply", "--server-side", "-f", "-", text=text % "k: new, l: two")
    kubectl("apply", "--server-side", "-f", "-", text=text % "l: two")
    # What changed is its own alone from then on, so that it goes when it is applied no more.
    assert kubectl.json("get", "cm", "moved")["data"] == {"l": "two"}


def test_what_others_made_is_theirs(kubectl):
    """Every creation says who made it, named or not: the first apply of it meets a conflict, and takes it by force."""
    kubectl("create", "configmap", "theirs", "--from-literal=k=one")
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\ndata: {k: two}\n"
    conflict = kubectl.run("apply", "--server-side", "-f", "-", text=text, check=False)
    assert conflict.returncode == 1 and 'conflict with "kubectl-create" using v1: .data.k' in conflict.stderr
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=text)
    assert kubectl.json("get", "cm", "theirs")["data"] == {"k": "two"}


def test_changes(kubectl):
    kubectl("create", "configmap", "changing", "--from-literal=a=b")
    kubectl("label", "cm", "changing", "x=y")
    kubectl("annotate", "cm", "changing", "n=m")
    kubectl("patch", "cm", "changing", "--type=json", "-p", '[{"op":"add","path":"/data/j","value":"1"}]')
    kubectl("patch", "cm", "changing", "--type=merge", "-p", '{"data":{"a":null}}')
    kubectl("patch", "cm", "changing", "-p", '{"data":{"s":"1"}}')
    changed = kubectl.json("get", "cm", "-l", "x=y")["items"][0]
    assert changed["data"] == {"j": "1", "s": "1"} and changed["metadata"]["annotations"]["n"] == "m"
    kubectl("create", "deployment", "turning", "--image=echo", "--replicas=0")
    kubectl("set", "image", "deployment/turning", "*=other")
    kubectl("rollout", "restart", "deployment", "turning")
    wait_until(lambda: "3 " in kubectl("rollout", "history", "deployment", "turning"), "three revisions")
    kubectl("rollout", "undo", "deployment", "turning", "--to-revision=1")
    wait_until(
        lambda: kubectl.json("get", "deployment", "turning")["spec"]["template"]["spec"]["containers"][0]["image"] == "echo", "the first image"
    )
    kubectl("scale", "deployment", "turning", "--replicas=0")


def test_reading(kubectl):
    for number in range(3):
        kubectl("create", "configmap", f"page{number}", "--from-literal=a=b")
    names = kubectl("get", "cm", "--chunk-size=1", "-o", "name").split()
    assert {f"configmap/page{number}" for number in range(3)} <= set(names)
    assert "page1" in kubectl("get", "cm", "--sort-by=.metadata.name")
    assert kubectl("get", "cm", "page0", "-o", "jsonpath={.data.a}") == "b"
    assert kubectl("get", "cm", "--field-selector=metadata.name=page2", "-o", "name").split() == ["configmap/page2"]
    assert "web" in kubectl("get", "all", "-A") and "service/kubernetes" in kubectl("get", "svc", "-A", "-o", "name")
    assert "Namespace:" in kubectl("describe", "cm", "page0")
    missing = kubectl.run("get", "cm", "nothing", check=False)
    assert 'configmaps "nothing" not found' in missing.stderr


def test_deletion_waits_as_it_is_told(kubectl):
    kubectl("create", "deployment", "owner", "--image=echo", "--replicas=0")
    wait_until(lambda: kubectl("get", "rs", "-l", "app=owner", "-o", "name"), "a ReplicaSet")
    kubectl("delete", "deployment", "owner", "--cascade=foreground")
    assert kubectl("get", "rs", "-l", "app=owner", "-o", "name") == ""
    kubectl("create", "deployment", "parent", "--image=echo", "--replicas=0")
    wait_until(lambda: kubectl("get", "rs", "-l", "app=parent", "-o", "name"), "a ReplicaSet")
    kubectl("delete", "deployment", "parent", "--cascade=orphan")
    orphan = kubectl.json("get", "rs", "-l", "app=parent")["items"][0]
    assert "ownerReferences" not in orphan["metadata"]
    kubectl("delete", "rs", "-l", "app=parent")
    kubectl("delete", "cm", "--all")


def test_watch_shows_changes_as_they_come(kubectl):
    environment = {"HOME": str(kubectl.home), "KUBECONFIG": str(kubectl.config), "PATH": "/usr/bin:/bin"}
    words = [kubectl.program, "-n", kubectl.namespace, "get", "cm", "-w", "-l", "watched=yes", "--no-headers", "-o", "name"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as watching:
        try:
            kubectl("create", "-f", "-", text="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: seen, labels: {watched: 'yes'}}\n")
            assert watching.stdout.readline().strip() == "configmap/seen"
        finally:
            watching.kill()


def test_pods_are_reached(kubectl):
    there = Kubectl(kubectl.program, kubectl.home, kubectl.config)
    assert "successfully rolled out" in there("rollout", "status", "deployment/web", "--timeout=60s")
    assert "condition met" in there("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    wait_until(lambda: "Serving HTTP" in there("logs", "deploy/web"), "a line of the log")
    assert len(there("logs", "deploy/web", "--tail=1").splitlines()) == 1
    line = there("get", "pods", "-l", "app=web", "-o", "wide").splitlines()[1].split()
    assert line[1:3] == ["1/1", "Running"]


def test_commands_and_ports(kubectl):
    """Old kubectls speak SPDY, new ones WebSockets, and SPDY inside them."""
    there = Kubectl(kubectl.program, kubectl.home, kubectl.config)
    there("rollout", "status", "deployment/web", "--timeout=60s")
    assert there("exec", "deploy/web", "--", "echo", "hi") == "hi\n"
    assert there("exec", "-i", "deploy/web", "--", "cat", text="in and out\n") == "in and out\n"
    both = there.run("exec", "deploy/web", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (both.returncode, both.stdout) == (7, "out\n") and both.stderr.startswith("err\n")
    environment = {"HOME": str(kubectl.home), "KUBECONFIG": str(kubectl.config), "PATH": "/usr/bin:/bin"}
    words = [kubectl.program, "port-forward", "deployment/web", ":8080"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as forwarding:
        try:
            port = int(forwarding.stdout.readline().split("127.0.0.1:")[1].split()[0])
            for _ in range(3):
                assert fetch("127.0.0.1", port=port)[2] == b"hello\n"
        finally:
            forwarding.kill()


def test_accounts_and_roles(kubectl, weft):
    """Certificates and tokens say who asks; Roles say what that one may do, and nobody gives away what he has not."""
    name = f"alice-{kubectl.namespace}"
    weft.run("kubeconfig", "--user", name, "--group", "devs", "-o", str(kubectl.home / "alice"))
    alice = Kubectl(kubectl.program, kubectl.home, kubectl.home / "alice", kubectl.namespace)
    refused = alice.run("get", "pods", check=False)
    assert f'User "{name}" cannot list resource "pods"' in refused.stderr
    kubectl("create", "rolebinding", "alice", "--clusterrole=edit", f"--user={name}")
    alice("get", "pods")
    alice("create", "configmap", "hers", "--from-literal=a=b")
    assert "forbidden" in alice.run("get", "nodes", check=False).stderr
    assert kubectl("auth", "can-i", "create", "pods", f"--as={name}").strip() == "yes"
    assert "forbidden" in kubectl.run("get", "nodes", f"--as={name}", check=False).stderr
    assert "cannot impersonate" in alice.run("get", "nodes", "--as=weft-admin", "--as-group=system:masters", check=False).stderr
    assert "forbidden" in alice.run("create", "rolebinding", "up", "--clusterrole=admin", f"--user={name}", check=False).stderr
    kubectl("create", "role", "binder", "--verb=create", "--resource=rolebindings.rbac.authorization.k8s.io")
    kubectl("create", "rolebinding", "binder", "--role=binder", "--group=devs")
    excess = alice.run("create", "rolebinding", "up", "--clusterrole=admin", f"--user={name}", check=False)
    assert "attempting to grant RBAC permissions not currently held" in excess.stderr
    alice("create", "rolebinding", "same", "--clusterrole=view", "--user=bob")


def test_containers_that_are_talked_to(kubectl):
    """`run -i` attaches: the container reads what is typed until its end, and its exit code is kubectl's."""
    command = ["--rm", "-i", "--restart=Never", "--image=echo", "--pod-running-timeout=60s", "--command", "--"]
    done = kubectl.run("run", "talk", *command, "sh", "-c", "while read line; do echo got $line; done; exit 3", text="one\ntwo\n", check=False)
    assert done.stdout.startswith("got one\ngot two\n") and "couldn't attach" not in done.stderr
    assert done.returncode == (3 if not kubectl.is_old else done.returncode)
    wait_until(lambda: kubectl.run("get", "pod", "talk", check=False).returncode, "the removal")


def test_files_are_copied_both_ways(kubectl):
    there = Kubectl(kubectl.program, kubectl.home, kubectl.config)
    there("rollout", "status", "deployment/web", "--timeout=60s")
    pod = there("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    (kubectl.home / "to").write_bytes(bytes(range(256)) * 300)
    there("cp", str(kubectl.home / "to"), f"{pod}:/tmp/copied-{kubectl.namespace}")
    there("cp", f"{pod}:/tmp/copied-{kubectl.namespace}", str(kubectl.home / "back"))
    assert (kubectl.home / "back").read_bytes() == (kubectl.home / "to").read_bytes()


def test_what_is_only_tried_changes_nothing(kubectl):
    there = Kubectl(kubectl.program, kubectl.home, kubectl.config)
    names = there("get", "pods", "-l", "app=web", "-o", "name")
    assert "drained (server dry run)" in there("drain", "weft", "--ignore-daemonsets", "--force", "--dry-run=server")
    assert there("get", "pods", "-l", "app=web", "-o", "name") == names
    assert there.json("get", "node", "weft")["spec"].get("unschedulable") is None


def test_the_rest_of_its_commands(kubectl):
    kubectl("create", "configmap", "edited", "--from-literal=a=b")
    script = kubectl.home / "editor"
    script.write_text("#!/bin/sh\nsed -i 's/a: b/a: c/' \"$1\"\n")
    script.chmod(0o755)
    command = ["env", f"EDITOR={script}", f"KUBECONFIG={kubectl.config}", f"HOME={kubectl.home}"]
    subprocess.run([*command, kubectl.program, "-n", kubectl.namespace, "edit", "cm", "edited"], check=True, capture_output=True, timeout=60)
    edited = kubectl.json("get", "cm", "edited")
    assert edited["data"] == {"a": "c"}
    kubectl("replace", "--force", "-f", "-", text='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"edited"},"data":{"a":"d"}}')
    assert kubectl.json("get", "cm", "edited")["metadata"]["uid"] != edited["metadata"]["uid"]
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {set: one}}\n"
    kubectl("apply", "-f", "-", text=text % "first")
    # Without a list an old one asks for kinds that no server has any more.
    kinds = f"--prune-{'whitelist' if kubectl.is_old else 'allowlist'}=core/v1/ConfigMap"
    assert "configmap/first pruned" in kubectl("apply", "--prune", kinds, "-l", "set=one", "-f", "-", text=text % "second")
    (kubectl.home / "kustomization.yaml").write_text("configMapGenerator: [{name: made, literals: [a=b]}]\n")
    assert "created" in kubectl("apply", "-k", str(kubectl.home))
    assert "PodList" in kubectl("cluster-info", "dump", "--namespaces", kubectl.namespace)
    assert "FIELDS" in kubectl("explain", "deployment", "--recursive")
    if not kubectl.is_old:
        assert kubectl("create", "token", "default").count(".") == 2
        assert kubectl("wait", "--for=jsonpath={.data.a}=d", "cm/edited", "--timeout=20s")
        assert kubectl("events").strip() and "ATTRIBUTE" in kubectl("auth", "whoami")
