"""What a pod sees: its namespaces, names, services of every kind, configuration, probes and restarts."""

import json
import os
import pathlib
import signal
import time

import pytest

from weftkit import USERS, Weft, fetch, leftovers, new_folder, wait_until

ECHO = """\
import http.server, os, socket
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        gone = os.path.exists("/tmp/unready") and self.path == "/ready"
        if self.path == "/unready": open("/tmp/unready", "w").close()
        body = socket.gethostname().encode()
        self.send_response(503 if gone else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""

GREETER = """\
import socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"220 hello\\r\\n")
        line = self.request.makefile().readline()
        self.request.sendall(b"250 " + line.encode())
class Server(socketserver.ThreadingTCPServer): allow_reuse_address = True
Server(("0.0.0.0", 2525), Handler).serve_forever()
"""

# Runs inside a pod and prints one line of JSON with everything it found.
EXPLORER = """\
import json, os, socket, subprocess, time, urllib.request
found = {}
def look(name, what):
    try: found[name] = what()
    except Exception as error: found[name] = f"{type(error).__name__}: {error}"
def greeting():
    start = time.monotonic()
    with socket.create_connection(("greeter", 2525), 5) as one:
        reader = one.makefile()
        first = reader.readline().strip()
        took = time.monotonic() - start
        one.sendall(b"me\\n")
        return [first, reader.readline().strip(), took < 2]
get = lambda url: urllib.request.urlopen(url, timeout=5).read().decode()
look("interfaces", lambda: sorted(os.listdir("/sys/class/net")))
look("hostname", socket.gethostname)
look("service", lambda: get("http://echo/"))
look("qualified", lambda: get("http://echo.default.svc.cluster.local:80/"))
look("headless", lambda: sorted(set(i[4][0] for i in socket.getaddrinfo("echo-headless", 8080, socket.AF_INET))))
look("direct", lambda: get(f"http://{found['headless'][0]}:8080/"))
look("greeting", greeting)
look("unknown name", lambda: socket.gethostbyname("nobody.default.svc.cluster.local"))
look("no endpoints", lambda: get("http://empty/"))
look("pids", lambda: sorted(int(p) for p in os.listdir("/proc") if p.isdigit())[:1])
look("capabilities", lambda: [l.split()[1] for l in open("/proc/self/status") if l.startswith(("CapEff", "NoNewPrivs"))])
look("state", lambda: os.listdir(os.environ["STATE"]))
look("environment", lambda: {k: os.environ.get(k) for k in ("PLAIN", "FROM_MAP", "FROM_SECRET", "EXPANDED", "NODE", "ALL_colour", "ECHO_SERVICE_PORT")})
look("address", lambda: os.environ["POD_IP"])
look("file", lambda: open("/etc/settings/colour").read())
print(json.dumps(found), flush=True)
time.sleep(3600)
"""

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: tools}}
spec: {{directory: {folder}, command: [/usr/bin/python3]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{colour: blue}}
---
apiVersion: v1
kind: Secret
metadata: {{name: key}}
stringData: {{password: hunter2}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: echo}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: echo}}}}
  template:
    metadata: {{labels: {{app: echo}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: main
          image: tools
          args: [echo.py]
          ports: [{{containerPort: 8080, name: web}}]
          readinessProbe: {{httpGet: {{path: /ready, port: web}}, periodSeconds: 1, failureThreshold: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec:
  type: NodePort
  selector: {{app: echo}}
  ports: [{{port: 80, targetPort: web}}]
---
apiVersion: v1
kind: Service
metadata: {{name: echo-headless}}
spec: {{clusterIP: None, selector: {{app: echo}}, ports: [{{port: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: empty}}
spec: {{selector: {{app: nobody}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: greeter, labels: {{app: greeter}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: tools, args: [greeter.py]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: greeter}}
spec: {{selector: {{app: greeter}}, ports: [{{port: 2525}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: explorer}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{{name: settings, configMap: {{name: settings}}}}]
  containers:
    - name: main
      image: tools
      args: [explorer.py]
      volumeMounts: [{{name: settings, mountPath: /etc/settings}}]
      envFrom: [{{prefix: ALL_, configMapRef: {{name: settings}}}}]
      env:
        - {{name: PLAIN, value: plain}}
        - {{name: STATE, value: {folder}/state}}
        - {{name: EXPANDED, value: "$(PLAIN)-$$(PLAIN)"}}
        - {{name: FROM_MAP, valueFrom: {{configMapKeyRef: {{name: settings, key: colour}}}}}}
        - {{name: FROM_SECRET, valueFrom: {{secretKeyRef: {{name: key, key: password}}}}}}
        - {{name: NODE, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}
        - {{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: crasher}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: tools, args: ["-c", "print('once'); raise SystemExit(7)"]}}]
"""


@pytest.fixture(scope="module", params=USERS)
def cluster(request, needs_namespaces):
    folder = new_folder(request.param)
    folder.chmod(0o755)
    for name, text in (("echo", ECHO), ("greeter", GREETER), ("explorer", EXPLORER)):
        (folder / f"{name}.py").write_text(text)
    (folder / "all.yaml").write_text(MANIFEST.format(folder=folder))
    program = Weft(folder / "state", request.param)
    with program.until_down():
        program.run("up", "--detach", "--timeout", "1", str(folder / "all.yaml"), timeout=60, check=False)
        wait_until(lambda: ready(program, "app=echo") == 2, "the echo pods are ready")
        program.run("delete", "pod", "explorer")
        program.run("apply", "-f", str(folder / "all.yaml"))
        yield program


def ready(program, labels):
    return sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        for pod in program.items("pods", "-l", labels)
    )


@pytest.fixture(scope="module")
def found(cluster):
    text = wait_until(lambda: cluster.run("logs", "explorer", check=False).stdout.strip(), "the explorer reports", 40)
    return json.loads(text.splitlines()[-1])


def test_a_pod_has_its_own_network_with_only_lo(found):
    assert found["interfaces"] == ["lo"]
    assert found["hostname"] == "explorer"


def test_services_answer_by_short_and_full_name(found, cluster):
    names = {pod["metadata"]["name"] for pod in cluster.items("pods", "-l", "app=echo")}
    assert found["service"] in names
    assert found["qualified"] in names


def test_a_headless_service_resolves_to_its_pods_and_they_answer_directly(found, cluster):
    addresses = sorted(pod["status"]["podIP"] for pod in cluster.items("pods", "-l", "app=echo"))
    assert found["headless"] == addresses
    assert found["direct"].startswith("echo-")


def test_a_server_that_speaks_first_is_not_stalled(found):
    assert found["greeting"] == ["220 hello", "250 me", True]


def test_a_name_that_does_not_exist_does_not_resolve(found):
    assert "gaierror" in found["unknown name"]


def test_a_service_without_pods_answers_503(found):
    assert "503" in found["no endpoints"]


def test_a_pod_is_shut_in(found):
    assert found["pids"] == [1]
    effective, no_new_privileges = sorted(found["capabilities"], key=len, reverse=True)
    assert no_new_privileges == "1"
    assert int(effective, 16) & (1 << 21 | 1 << 12 | 1 << 13) == 0, "no SYS_ADMIN, NET_ADMIN, NET_RAW"
    assert found["state"] == [] or "Error" in found["state"], "the daemon's state is hidden"


def test_values_reach_the_pod(found):
    assert found["environment"] == {
        "PLAIN": "plain", "FROM_MAP": "blue", "FROM_SECRET": "hunter2", "EXPANDED": "plain-$(PLAIN)", "NODE": "weft",
        "ALL_colour": "blue", "ECHO_SERVICE_PORT": "80",
    }
    assert found["address"].startswith("10.244.")
    assert found["file"] == "blue"


def test_a_node_port_is_open_on_the_machine(cluster):
    port = cluster.json("get", "service", "echo")["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    assert fetch(cluster.node_address(), port=port)[2].startswith(b"echo-")


def test_an_unready_pod_gets_no_traffic(cluster):
    port = cluster.json("get", "service", "echo")["spec"]["ports"][0]["nodePort"]
    node = cluster.node_address()
    chosen = fetch(node, "/unready", port=port)[2].decode()
    wait_until(lambda: ready(cluster, "app=echo") == 1, "one pod is unready")
    address = next(p["status"]["podIP"] for p in cluster.items("pods", "-l", "app=echo") if p["metadata"]["name"] == chosen)
    wait_until(lambda: address not in cluster.run("get", "endpoints", "echo").stdout, "its endpoint is gone")
    assert {fetch(node, port=port)[2].decode() for _ in range(20)}.isdisjoint({chosen})


def test_a_process_that_ends_is_started_again_with_growing_pauses(cluster):
    status = wait_until(
        lambda: (s := cluster.json("get", "pod", "crasher")["status"]["containerStatuses"][0])["restartCount"] >= 1
        and s["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        and s,
        "the crasher backs off",
        30,
    )
    assert status["lastState"]["terminated"]["exitCode"] == 7
    assert "CrashLoopBackOff" in cluster.run("get", "pods").stdout
    assert "once" in cluster.run("logs", "crasher", "--previous", check=False).stdout + cluster.run("logs", "crasher").stdout


def test_up_detach_says_what_is_not_ready_and_why(cluster):
    folder = pathlib.Path(cluster.state).parent
    done = cluster.run("up", "--detach", "--timeout", "1", str(folder / "all.yaml"), check=False)
    assert done.returncode == 1
    assert "crasher" in done.stderr and ("CrashLoopBackOff" in done.stderr or "exit code 7" in done.stderr)


@pytest.mark.parametrize("user", USERS, indirect=True)
def test_a_killed_daemon_leaves_nothing_for_the_next_one(weft, folder, needs_namespaces):
    (folder / "echo.py").write_text(ECHO)
    folder.chmod(0o755)
    text = MANIFEST.format(folder=folder).split("---\n")
    (folder / "some.yaml").write_text("---\n".join(text[i] for i in (0, 3, 4)))
    weft.run("up", "--detach", str(folder / "some.yaml"), timeout=60)
    os.kill(weft.daemon_pid(), signal.SIGKILL)
    weft.run("up", "--detach", str(folder / "some.yaml"), timeout=60)
    assert ready(weft, "app=echo") == 2
    os.kill(weft.daemon_pid(), signal.SIGKILL)
    weft.run("down", timeout=60)
    assert not leftovers(folder), leftovers(folder)


STUBBORN = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: tools}}
spec: {{directory: {folder}, command: [/usr/bin/python3]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: stubborn}}
spec:
  selector: {{matchLabels: {{app: stubborn}}}}
  template:
    metadata: {{labels: {{app: stubborn}}}}
    spec:
      terminationGracePeriodSeconds: 600
      containers:
        - name: main
          image: tools
          args: ["-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"]
"""


def test_a_second_interrupt_hurries(weft, folder, needs_namespaces):
    folder.chmod(0o755)
    (folder / "stubborn.yaml").write_text(STUBBORN.format(folder=folder))
    process = weft.start("up", str(folder / "stubborn.yaml"), start_new_session=True)
    for line in process.stdout:
        if line.startswith("stubborn: 1/1 pods ready"):
            break
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if line.startswith("stopping"):
            break
    process.send_signal(signal.SIGINT)
    # The pod may take ten minutes; hurried, it must not.
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "hurrying" in errors
    assert not leftovers(folder), leftovers(folder)
