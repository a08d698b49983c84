"""Without isolation: where no namespace can be made, as root and as an ordinary user."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal

import pytest

from weftkit import HOUSE, USERS, Weft, fetch, leftovers, new_folder, wait_until

# Listens as it is told: on $PORT, on the pod's own address, or on everybody's port 28080. Leaves a daemon of its own.
APP = """\
import http.server, json, os, subprocess, sys
if sys.argv[1] in ("port", "daemon"):
    place = ("127.0.0.1", int(os.environ.get("PORT_WEB", 0)))
else:
    place = (os.environ["POD_IP"], 8080) if sys.argv[1] == "address" else ("0.0.0.0", 28080)
if sys.argv[1] == "port":
    subprocess.run([sys.executable, sys.argv[0], "daemon"], env={})
if sys.argv[1] == "daemon":
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            import time
            time.sleep(1000)
    os._exit(0)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        facts = {"pod": os.environ["POD_NAME"], "environment": dict(os.environ)}
        volume = os.environ.get("WEFT_VOLUME_SETTINGS")
        facts["file"] = open(volume + "/colour").read() if volume else None
        body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(place, Handler).serve_forever()
"""

DEPLOYMENT = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{{name: settings, configMap: {{name: settings}}}}]
      containers:
        - name: main
          image: app
          args: [{name}]
          ports: [{{containerPort: {port}, name: web}}]
          env:
            - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
            - {{name: NEIGHBOUR, value: "http://$(PORT_SERVICE_HOST):$(PORT_SERVICE_PORT)"}}
          {mounts}
          {probes}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{type: LoadBalancer, selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: {port}}}]}}
"""

PROBES = """\
readinessProbe: {{httpGet: {{path: /, port: web}}, periodSeconds: 1}}
          livenessProbe: {{exec: {{command: [sh, -c, 'test "$WEFT_ISOLATION" = none']}}, periodSeconds: 1}}
"""

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: app}}
spec: {{directory: {folder}, command: [/usr/bin/python3, {folder}/app.py]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{colour: blue}}
"""


@pytest.fixture(scope="module", params=USERS)
def plain(request, needs_namespaces):
    """The shop and some pods, without isolation."""
    folder = new_folder(request.param)
    folder.chmod(0o755)
    (folder / "app.py").write_text(APP)
    text = MANIFEST.format(folder=folder)
    text += DEPLOYMENT.format(
        name="port", port=8080, replicas=2, mounts="volumeMounts: [{name: settings, mountPath: /etc/settings}]", probes=PROBES.format()
    )
    text += DEPLOYMENT.format(name="address", port=8080, replicas=2, mounts="", probes=PROBES.format())
    text += DEPLOYMENT.format(name="everywhere", port=28080, replicas=2, mounts="", probes="")
    (folder / "all.yaml").write_text(text)
    program = Weft(folder / "state", request.param, has_namespaces=False)
    try:
        program.run("up", "--detach", "--isolation=none", "--timeout", "15", str(HOUSE / "examples/shop"), timeout=60)
        program.run("apply", "-f", str(folder / "all.yaml"))
        for name in ("port", "address"):
            wait_until(lambda: ready(program, name) == 2, f"two pods of {name} are ready")
        yield program
    finally:
        addresses = {pod["status"].get("podIP") for pod in program.items("pods")}
        program.run("down", timeout=60, check=False)
        left = leftovers(folder)
        strays = processes_of(addresses)
        for process in [*left.processes, *strays]:
            os.kill(process, 9)
        shutil.rmtree(folder, ignore_errors=True)
    assert not left and not strays, f"left behind: {left} {strays}"


def ready(program, app):
    return sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        for pod in program.items("pods", "-l", f"app={app}")
    )


def processes_of(addresses):
    """Processes that were told that one of these is their pod's address."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = dict(word.split("=", 1) for word in (entry / "environ").read_text().split("\0") if "=" in word)
        except (OSError, UnicodeDecodeError):
            continue
        if words.get("POD_IP") in addresses and words.get("WEFT_ISOLATION"):
            found.append(int(entry.name))
    return found


def is_served(program, service):
    try:
        return fetch(program.balancer_address(service))[0] == 200
    except OSError:
        return False


def ask(program, service):
    return json.loads(fetch(program.balancer_address(service))[2])


def ask_all(program, service, count=40):
    address = program.balancer_address(service)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [json.loads(answer[2]) for answer in pool.map(lambda _: fetch(address), range(count))]


@pytest.mark.parametrize("user", USERS, indirect=True)
def test_what_is_forbidden_is_said_at_once_with_the_remedy(folder, user, needs_namespaces):
    program = Weft(folder / "state", user, has_namespaces=False)
    (folder / "empty.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n")
    done = program.run("up", "--detach", str(folder / "empty.yaml"), check=False)
    assert done.returncode == 1
    assert "pods cannot be isolated here: cannot make namespaces" in done.stderr
    assert "sysctl -w user.max_user_namespaces=65536" in done.stderr and "weft up --isolation=none" in done.stderr
    assert not (folder / "state").exists()
    done = program.run("serve", check=False)
    assert done.returncode == 1 and "weft up --isolation=none" in done.stderr
    report = json.loads(program.run("check", "-o", "json", check=False).stdout)
    finding = next(check for check in report["checks"] if check["name"] == "user namespaces")
    assert finding["state"] == "missing" and "user.max_user_namespaces is 0" in finding["detail"]
    assert "--isolation=none" in finding["remedy"]


def test_the_whole_shop_is_served(plain):
    address = plain.balancer_address("web")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, headers, body = fetch(address, "/orders", method="POST", body="item=loom&user=4", headers=form)
    assert (status, headers["Location"]) == (303, "/orders"), body
    assert b"Dorothea" in fetch(address, "/orders")[2]
    ingress = plain.json("get", "ingress", "shop")["status"]["loadBalancer"]["ingress"][0]
    assert fetch(ingress["ip"], port=ingress["ports"][0]["port"], headers={"Host": "shop.localhost"})[0] == 200


def test_callees_are_counted_and_the_caller_is_the_host(plain):
    wanted = {("host", "web"), ("host", "catalogue"), ("host", "users"), ("host", "orders")}
    wait_until(
        lambda: wanted
        <= {
            (edge["source"], edge["service"])
            for edge in plain.json("stat", "--edges", "--window", "60s")["edges"]
            if edge["requestRate"] > 0
        },
        "the shop's edges are seen at the proxy",
        30,
    )


@pytest.mark.parametrize("service", ["port", "address"])
def test_every_replica_is_told_apart_by_its_port_or_its_address(plain, service):
    pods = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in plain.items("pods", "-l", f"app={service}")}
    answers = ask_all(plain, service)
    assert {answer["pod"] for answer in answers} == set(pods)
    for answer in answers:
        variables = answer["environment"]
        assert variables["POD_IP"] == pods[answer["pod"]] and variables["POD_IP"].startswith("127.")
        assert variables["PORT"] == variables["PORT_8080"] == variables["PORT_WEB"]
    assert len({answer["environment"]["PORT"] for answer in answers}) == 2


def test_services_are_found_by_their_variables(plain):
    variables = ask(plain, "address")["environment"]
    host, port = variables["PORT_SERVICE_HOST"], int(variables["PORT_SERVICE_PORT"])
    assert host.startswith("127.") and variables["NEIGHBOUR"] == f"http://{host}:{port}"
    assert json.loads(fetch(host, port=port)[2])["pod"].startswith("port-")


def test_a_volume_is_a_directory_and_an_event_names_the_mount(plain):
    assert ask(plain, "port")["file"] == "blue"
    events = [event["message"] for event in plain.items("events") if event["reason"] == "MountIgnored"]
    assert any(
        "containers[main].volumeMounts[settings]" in text and "$WEFT_VOLUME_SETTINGS" in text and "/etc/settings" in text
        for text in events
    ), events


def test_two_programs_on_one_port_are_told_about_the_variable(plain):
    event = wait_until(
        lambda: next((event for event in plain.items("events") if event["reason"] == "PortShared"), None), "an event tells"
    )
    assert "port 28080" in event["message"] and "$PORT" in event["message"]
    served = {answer["pod"] for answer in ask_all(plain, "everywhere", 10)}
    assert len(served) == 1, "the one that has the port serves; the other one is no endpoint"


def family(root):
    """A process and all that descend from it."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
            except OSError:
                pass
    found, rest = [], [root]
    while rest:
        found += rest
        rest = [child for parent in rest for child in children.get(parent, [])]
    return found


def pod_of(plain, app):
    pod = plain.items("pods", "-l", f"app={app}")[0]
    record = pathlib.Path(plain.state, "pods", pod["metadata"]["uid"], "pod.json")
    return pod["metadata"]["name"], json.loads(record.read_text())["pid"]


def are_gone(processes):
    return not any(pathlib.Path(f"/proc/{pid}").exists() for pid in processes)


def test_a_killed_program_takes_its_daemons_along_and_starts_again(plain):
    name, pod = pod_of(plain, "port")
    before = family(pod)[1:]
    daemon = next(pid for pid in before if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0daemon\0"))
    program = next(pid for pid in before if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0port\0"))
    assert pathlib.Path(f"/proc/{daemon}/environ").read_bytes() == b""
    os.kill(program, signal.SIGKILL)
    wait_until(lambda: are_gone(before), "the program's processes are gone")
    status = wait_until(
        lambda: (s := plain.json("get", "pod", name)["status"]["containerStatuses"][0])["restartCount"] >= 1 and s["ready"] and s,
        "the container runs again",
    )
    assert status["lastState"]["terminated"]["exitCode"] == 137
    wait_until(lambda: name in {answer["pod"] for answer in ask_all(plain, "port")}, "it serves again")


def test_a_killed_pod_init_takes_everything_along(plain):
    name, pod = pod_of(plain, "port")
    before = family(pod)
    assert len(before) >= 4
    os.kill(pod, signal.SIGKILL)
    wait_until(lambda: are_gone(before), "the pod's processes are gone")
    wait_until(lambda: ready(plain, "port") == 2, "both pods are ready again")


def test_the_mode_is_remembered_and_shown(plain):
    done = plain.run("up", "--detach", "--isolation=namespaces", str(HOUSE / "examples/shop"), check=False)
    assert done.returncode == 1 and "has --isolation=none" in done.stderr
    assert plain.run("up", "--detach", "--isolation=everything", str(HOUSE / "examples/shop"), check=False).returncode == 2
    assert "isolation none" in plain.run("version").stdout
    assert plain.api("/apis/weft.dev/v1alpha1/status")["isolation"] == "none"
    assert "isolation" in {check["name"] for check in plain.json("check")["checks"]}


def test_a_killed_daemon_is_followed_by_one_of_the_same_mode(plain):
    os.kill(plain.daemon_pid(), signal.SIGKILL)
    # One of the pods that want the same port is never ready for long: nothing is waited for here.
    plain.run("up", "--detach", "--timeout", "1", str(HOUSE / "examples/shop"), timeout=60, check=False)
    assert plain.api("/apis/weft.dev/v1alpha1/status")["isolation"] == "none"
    wait_until(lambda: is_served(plain, "web"), "the shop is served again")
    wait_until(lambda: ready(plain, "port") == 2, "both pods are ready again")
