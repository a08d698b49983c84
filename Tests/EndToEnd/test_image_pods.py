"""Pods of OCI images, pulled from a registry: what they are run by, what they are told, and that they live as all pods do."""

import os
import pathlib
import re
import subprocess
import tarfile
import threading

import pytest

from imagekit import Image, Registry, entry, tar
from podkit import running
from weftkit import wait_until

BUSYBOX = pathlib.Path("/bin/busybox")
LINKS = ("sh", "cat", "echo", "httpd", "id", "ls", "sleep", "test", "touch", "wget")

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
