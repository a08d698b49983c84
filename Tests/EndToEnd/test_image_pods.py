"""Pods of OCI images, pulled from a registry: what they are run by, what they are told, and that they live as all pods do."""

import json
import os
import pathlib
import re
import subprocess
import tarfile
import threading

import pytest

from imagekit import Image, Registry, digest, entry, tar
from kubekit import KUBECTLS, Kubectl, needs_kubectl
from podkit import running
from weftkit import fetch, wait_until

BUSYBOX = pathlib.Path("/bin/busybox")
LINKS = ("sh", "cat", "echo", "httpd", "id", "ls", "seq", "sleep", "test", "touch", "wget")

pytestmark = pytest.mark.skipif(not BUSYBOX.exists(), reason="needs busybox-static")

SERVICE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: HOST/web:v1
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        livenessProbe: {exec: {command: [cat, /www/index.html]}, periodSeconds: 1, timeoutSeconds: 20}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
"""


def image_pod(name, image, args, container="", spec="restartPolicy: Never"):
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n"
        f"spec: {{terminationGracePeriodSeconds: 1, {spec}, containers: [{{name: main, image: '{image}', args: {args}"
        f"{', ' if container else ''}{container}}}]}}\n---\n"
    )


def link(name, to):
    return entry(name, type=tarfile.SYMTYPE, linkname=to, mode=0o777)


def shell_layer():
    users = b"root:x:0:0::/root:/bin/sh\nweb:x:101:102::/home/web:/bin/sh\n"
    return tar(
        entry("bin/"), entry("bin/busybox", BUSYBOX.read_bytes(), mode=0o755), *(link(f"bin/{name}", "busybox") for name in LINKS),
        entry("etc/"), entry("etc/passwd", users), entry("etc/group", b"root:x:0:\nweb:x:102:\nextra:x:103:web\n"),
        entry("tmp/", mode=0o1777), entry("old/"), entry("old/hidden", b"1"), entry("gone", b"2"),
    )


def program_layer(path, *more):
    """A program of this machine with the libraries that it needs."""
    listed = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    files = dict.fromkeys([path, *re.findall(r"(/\S+) \(0x", listed)])
    return tar(*(entry(file.lstrip("/"), pathlib.Path(file).read_bytes(), mode=0o755) for file in files), *more)


@pytest.fixture(scope="module")
def registry():
    served, base = Registry(), shell_layer()
    shell = {"Env": ["PATH=/bin", "FROM=image"], "Entrypoint": ["sh", "-c"], "WorkingDir": "/work"}
    served.push("base:1", Image(base, **shell))
    served.push("named:1", Image(base, **shell, User="web"))
    for version in ("v1", "v2"):
        top = tar(
            entry("www/"), entry("www/index.html", version.encode()), entry(".wh.gone", b""), entry("old/"),
            entry("old/.wh..wh..opq", b""),
        )
        # SIGTERM does nothing to it: the image asks for another signal.
        command = "trap 'exit 0' QUIT; trap '' TERM; httpd -f -p 8080 -h /www & while :; do sleep 0.1; done"
        served.push(f"web:{version}", Image(base, top, **shell, Cmd=[command], StopSignal="SIGQUIT"))
    with served.serve() as host:
        served.host = host
        yield served


@pytest.fixture(scope="module")
def cluster(registry):
    with running() as cluster:
        cluster.up(
            SERVICE.replace("HOST", registry.host)
            + image_pod("caller", f"{registry.host}/base:1", ["sleep 100000"], spec="restartPolicy: Always")
        )
        yield cluster


def call(cluster):
    answer = cluster.run("exec", "caller", "--", "wget", "-q", "-O", "-", "http://web/", check=False)
    return answer.stdout.strip() or answer.stderr.strip()


def pods(cluster):
    return [
        pod for pod in cluster.items("pods")
        if pod["metadata"].get("labels", {}).get("app") == "web" and not pod["metadata"].get("deletionTimestamp")
    ]


def test_a_deployment_of_an_image_serves_through_the_mesh(cluster, registry):
    assert call(cluster) == "v1"
    pod = pods(cluster)[0]
    name, status = pod["metadata"]["name"], pod["status"]["containerStatuses"][0]
    assert status["imageID"].startswith(f"{registry.host}/web@sha256:")
    assert any(event.startswith("Pulled: ") and "web:v1" in event for event in cluster.events(name))
    script = "echo $FROM; cat /etc/hosts; ls /old; test -e /gone || echo hidden; test -e /usr || echo alone"
    inside = cluster.run("exec", name, "--", "sh", "-c", script).stdout
    assert inside.startswith("image\n") and pod["status"]["podIP"] in inside and inside.endswith("\nhidden\nalone\n"), inside


def test_the_node_says_who_runs_images(cluster):
    node = cluster.items("nodes")[0]
    annotation = node["metadata"]["annotations"]["weft.dev/oci-runtime"]
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].split("://")[0] == annotation.split()[0]
    assert annotation in cluster.run("check", check=False).stdout


def test_users_are_those_of_the_image(cluster, registry):
    script = "id -u; id -g; id -G; echo $HOME $PWD; touch /new 2>/dev/null || echo no"
    cluster.apply(image_pod("who", f"{registry.host}/named:1", [script]))
    cluster.until_ended("who")
    expected = ["101", "102", "102 103", "/home/web /work", "no"]
    if os.geteuid() != 0:
        expected[2] = "102"
    assert cluster.log("who").splitlines() == expected


def test_names_that_lead_nowhere_say_so(cluster, registry):
    cluster.apply(
        image_pod("never", f"{registry.host}/web:v9", ["x"], "imagePullPolicy: Never")
        + image_pod("bad", "not@an@image", ["x"]) + image_pod("missing", f"{registry.host}/none:1", ["x"])
    )
    reasons = {"never": "ErrImageNeverPull", "bad": "InvalidImageName", "missing": "ImagePullBackOff"}
    for name, reason in reasons.items():
        wait_until(
            lambda: cluster.status(name).get("state", {}).get("waiting", {}).get("reason") == reason, f"{name} waits: {reason}"
        )
    assert any("Failed to pull image" in event and "none" in event for event in cluster.events("missing"))
    for name in reasons:
        cluster.run("delete", "pod", name, check=False)


def test_a_rollout_to_the_next_image_fails_no_request(cluster, registry):
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answers.append(call(cluster))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        cluster.run("set", "image", "deployment/web", f"main={registry.host}/web:v2")
        cluster.run("rollout", "status", "deployment/web", "--timeout", "100", timeout=120, check=False)
        wait_until(lambda: answers[-4:] == ["v2"] * 4, "the new image answers", 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {"v1", "v2"}, answers


def test_the_next_daemon_takes_pods_of_images_over(cluster):
    wait_until(lambda: len(pods(cluster)) == 2, "the old pods are gone", 60)
    name = pods(cluster)[0]["metadata"]["name"]
    before = cluster.status(name)
    cluster.kill_daemon()
    after = cluster.status(name)
    for field in ("state", "restartCount", "imageID"):
        assert after[field] == before[field]
    assert call(cluster) == "v2"


SIDES = """\
apiVersion: v1
kind: Pod
metadata: {name: sides}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - name: first
    image: HOST/base:1
    args: [echo one; echo made > /shared/made]
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: side
    image: HOST/base:1
    restartPolicy: Always
    args: [echo beside; exec httpd -f -p 9090 -h /shared]
    volumeMounts: [{name: shared, mountPath: /shared, readOnly: true}]
  containers:
  - name: main
    image: HOST/base:1
    args: ["until wget -q -O - http://127.0.0.1:9090/made; do sleep 0.05; done"]
"""


def test_init_containers_and_sidecars_of_images(cluster, registry):
    cluster.apply(SIDES.replace("HOST", registry.host))
    assert cluster.until_ended("sides") == "Succeeded"
    first, side = (cluster.status("sides", name) for name in ("first", "side"))
    assert first["state"]["terminated"]["reason"] == "Completed" and side["restartCount"] == 0
    events = cluster.events("sides")
    assert "Killing: Stopping container side" in events and not any("SandboxChanged" in event for event in events), events
    assert first["imageID"] == side["imageID"] == cluster.status("sides", "main")["imageID"]
    assert [cluster.log("sides", "-c", name) for name in ("first", "side", "main")] == ["one\n", "beside\n", "made\n"]


def test_commands_read_what_is_typed(cluster):
    assert cluster.run("exec", "-i", "caller", "--", "cat", input="in and out\n").stdout == "in and out\n"
    done = cluster.run("exec", "-i", "caller", "--", "sh", "-c", "cat; echo bad >&2; exit 7", input="x", check=False)
    assert (done.returncode, done.stdout) == (7, "x") and "bad\n" in done.stderr


@pytest.fixture
def kubectl(cluster):
    config = cluster.folder / "config"
    cluster.run("kubeconfig", "-o", str(config))
    return Kubectl(list(KUBECTLS.values())[-1], cluster.folder, config)


@needs_kubectl
def test_kubectl_attaches_and_forwards_ports(cluster, registry, kubectl):
    script = "while read line; do echo got $line; done; exit 3"
    cluster.apply(image_pod("talk", f"{registry.host}/base:1", [script], "stdin: true, stdinOnce: true"))
    wait_until(lambda: "running" in cluster.status("talk").get("state", {}), "it runs")
    done = kubectl.run("attach", "-i", "talk", text="one\ntwo\n", check=False)
    assert done.stdout == "got one\ngot two\n", done.stderr
    cluster.until_ended("talk")
    assert cluster.terminated("talk")["exitCode"] == 3
    assert kubectl("logs", "talk") == "got one\ngot two\n"
    cluster.run("delete", "pod", "talk")
    words = [kubectl.program, "--kubeconfig", kubectl.config, "port-forward", "deployment/web", ":8080"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as forwarding:
        try:
            port = int(forwarding.stdout.readline().split("127.0.0.1:")[1].split()[0])
            assert fetch("127.0.0.1", port=port, timeout=20)[2] in (b"v1", b"v2")
        finally:
            forwarding.kill()


def test_an_image_that_eats_too_much_memory_is_killed_for_it(cluster, registry):
    # 128 MiB in the end: no harm where nothing bounds it.
    script = "x=0123456789abcdef; for i in $(seq 23); do x=$x$x; done; echo ${#x}"
    cluster.apply(image_pod("glutton", f"{registry.host}/base:1", [script], "resources: {limits: {memory: 24Mi}}"))
    phase, ended = cluster.until_ended("glutton", 60), cluster.terminated("glutton")
    cluster.run("delete", "pod", "glutton")
    if any("LimitsNotEnforced: limits of memory" in event for event in cluster.events("glutton")):
        pytest.skip("no control group of this user bounds memory")
    assert (phase, ended["reason"], ended["exitCode"]) == ("Failed", "OOMKilled", 137)


def test_registries_with_passwords(cluster):
    private = Registry("user", "secret")
    private.push("team/app:1", Image(shell_layer(), Env=["PATH=/bin"], Cmd=["echo", "let in"]))
    with private.serve() as host:
        login = {"auths": {host: {"username": "user", "password": "secret"}}}
        secret = {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps(login)},
        }
        known = "restartPolicy: Never, imagePullSecrets: [{name: login}]"
        image = f"{host}/team/app:1"
        cluster.apply(json.dumps(secret) + "\n---\n" + image_pod("stranger", image, []))
        cluster.until_event("stranger", f'Failed to pull image "{image}"')
        assert not cluster.log("stranger")
        cluster.apply(image_pod("known", image, [], "imagePullPolicy: Always", spec=known))
        assert cluster.until_ended("known") == "Succeeded"
        assert cluster.log("known") == "let in\n"
        cluster.run("delete", "pod", "stranger", check=False)


def test_a_daemon_killed_amid_a_pull_pulls_again(cluster):
    registry = Registry()
    top = tar(entry("here", os.urandom(100_000)))
    image = registry.push("late:1", Image(shell_layer(), top, Env=["PATH=/bin"], Cmd=["ls", "/here"]))
    registry.trouble[digest(image.packed[1])] = "stuck"
    with registry.serve() as host:
        cluster.apply(image_pod("late", f"{host}/late:1", []))
        assert registry.started.wait(30)
        registry.trouble.clear()
        cluster.kill_daemon()
        assert cluster.until_ended("late", 60) == "Succeeded"
        assert cluster.log("late") == "/here\n"
        assert cluster.status("late")["restartCount"] == 0


@pytest.mark.skipif(not pathlib.Path("/usr/sbin/nginx").exists(), reason="needs nginx")
def test_a_server_with_its_libraries_runs_as_an_image(cluster, registry):
    paths = "".join(f"{kind}_temp_path /tmp/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = f"daemon off; pid /tmp/pid; events {{}} http {{ access_log /dev/stdout; {paths} server {{ listen 80; return 200 nginx; }} }}"
    folders = [entry(f"{name}/") for name in ("etc/nginx", "var/log/nginx", "var/lib/nginx")]
    layer = program_layer(
        "/usr/sbin/nginx", *folders, entry("tmp/", mode=0o1777), entry("etc/nginx/nginx.conf", conf.encode()),
        entry("etc/passwd", b"www:x:33:33::/:\n"),
    )
    registry.push("nginx:1", Image(layer, Entrypoint=["/usr/sbin/nginx", "-e", "stderr"], User="www", StopSignal="SIGQUIT"))
    probe = "readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}"
    cluster.apply(image_pod("nginx", f"{registry.host}/nginx:1", [], probe, "restartPolicy: Always"))
    wait_until(lambda: cluster.status("nginx").get("ready"), "nginx is ready", 30)
    assert "nginx version" in cluster.run("exec", "nginx", "--", "/usr/sbin/nginx", "-v").stderr


def test_an_ordinary_user_runs_images_too(registry):
    if os.geteuid() != 0:
        pytest.skip("all tests here are that")
    with running(user="ordinary") as cluster:
        base = f"{registry.host}/base:1"
        cluster.apply(
            image_pod("mine", base, ["id -u; touch /new && ls /new; test -e /usr || echo alone"])
            + image_pod("other", base, ["id -u"], "securityContext: {runAsUser: 4242}")
        )
        cluster.until_ended("mine")
        assert cluster.log("mine").split() == ["0", "/new", "alone"]
        cluster.until_ended("other")
        assert cluster.log("other").split() == ["4242"]
