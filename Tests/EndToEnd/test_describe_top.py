"""`weft describe` tells the story of objects, `weft top` what they do and use; the metrics API as kubectl asks for it."""

import re

import pytest

from test_exec import Terminal
from weftkit import Weft, fetch, new_folder, wait_until

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: tools}}
spec: {{directory: {folder}, command: [/bin/sh]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, annotations: {{note: hello}}}}
data: {{colour: blue, text: "one\\ntwo\\n"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: keys}}
stringData: {{password: hunter2}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: tools
        command: [/usr/bin/python3, -m, http.server, "8080", --directory, /proc/self/fd]
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /, port: http}}, periodSeconds: 1}}
        resources: {{limits: {{cpu: 500m, memory: 64Mi}}}}
        env:
        - {{name: PLAIN, value: "yes"}}
        - {{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: keys, key: password}}}}}}
        volumeMounts: [{{name: config, mountPath: /etc/config, readOnly: true}}]
      volumes: [{{name: config, configMap: {{name: settings}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: shy, labels: {{app: web}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: tools
    command: [/bin/sleep, "3600"]
    readinessProbe: {{exec: {{command: [/bin/false]}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Pod
metadata: {{name: crasher, labels: {{app: web}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: tools, command: [/bin/sh, -c, "exit 3"]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: LoadBalancer, selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: door}}
spec:
  rules: [{{host: web.localhost, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{name: http}}}}}}}}]}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: busy}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: spin, image: tools, command: [/usr/bin/python3, -c, "while True: pass"], resources: {{limits: {{cpu: 300m}}}}}}
  - {{name: hold, image: tools, command: [/usr/bin/python3, -c, "x = bytearray(60 << 20); import time; time.sleep(3600)"]}}
"""


@pytest.fixture(scope="module")
def story(needs_namespaces):
    folder = new_folder()
    program = Weft(folder / "state")
    with program.until_down("--now"):
        (folder / "story.yaml").write_text(MANIFEST.format(folder=folder))
        program.run("up", "--detach", "--timeout", "1", str(folder / "story.yaml"), timeout=60, check=False)
        ready = lambda: program.json("get", "deployment", "web")["status"].get("readyReplicas") == 2
        wait_until(ready, "the web is ready")
        crashes = lambda: program.json("get", "pod", "crasher")["status"]["containerStatuses"][0]["restartCount"] > 0
        wait_until(crashes, "the crasher has crashed")
        wait_until(lambda: "Unhealthy" in program.run("get", "events").stdout, "the shy one is unhealthy")
        yield program


def field(text, name):
    """The value of a field, wherever it stands."""
    found = re.search(rf"^ *{re.escape(name)}: +(.*)$", text, re.M)
    return found.group(1) if found else None


def test_a_pod(story):
    name = next(p["metadata"]["name"] for p in story.items("pods", "-l", "app=web") if p["metadata"]["name"].startswith("web-"))
    text = story.run("describe", f"pod/{name}").stdout
    assert field(text, "Name") == name and field(text, "Status") == "Running" and field(text, "Namespace") == "default"
    assert field(text, "Controlled By").startswith("ReplicaSet/web-")
    assert field(text, "Port") == "8080/TCP (http)" and field(text, "State") == "Running" and field(text, "Ready") == "True"
    assert (field(text, "cpu"), field(text, "memory")) == ("500m", "64Mi")
    assert field(text, "Readiness") == "http-get http://:http/ delay=0s timeout=1s period=1s #success=1 #failure=3"
    assert field(text, "PLAIN") == "yes" and field(text, "PASSWORD") == "<set to the key 'password' in secret 'keys'>"
    assert field(text, "Mounts") == "/etc/config from config (ro)" and "hunter2" not in text
    assert re.search(r"^  Ready +True$", text, re.M) and field(text, "Uses").startswith("CPU ")
    story_told = re.findall(r"^  Normal +(\w+) ", text, re.M)
    assert story_told == ["Scheduled", "Pulled", "Created", "Started"]


def test_a_pod_that_crashes(story):
    text = wait_until(
        lambda: (t := story.run("describe", "pod", "crasher").stdout) and "CrashLoopBackOff" in t and "(x" in t and t,
        "the crasher backs off",
    )
    last = text.split("Last State:")[1]
    assert field(last, "Reason") == "Error" and field(last, "Exit Code") == "3"
    assert int(field(text, "Restart Count")) > 0
    assert re.search(r"^  Warning +BackOff +\d+s .*Back-off restarting failed container main in pod crasher", text, re.M)
    assert re.search(r"^  Normal +Started +\d+s \(x\d+ over \d+s\) +kubelet ", text, re.M), text


def test_a_service_says_who_gets_no_traffic_and_why(story):
    address = story.balancer_address("web")
    for _ in range(20):
        assert fetch(address)[0] == 200
    text = story.run("describe", "service", "web").stdout
    assert field(text, "LoadBalancer Ingress") == address and field(text, "Selector") == "app=web"
    assert len(field(text, "Endpoints").split(", ")) == 2 and field(text, "Port") == "http 80/TCP"
    assert re.fullmatch(r"[\d.]+ requests/s, 100% succeed, p50 .*ms, p95 .*, p99 .* \(last 10 s\)", field(text, "Traffic"))
    assert len(re.findall(r"^  web-\S+ +10\.\S+ +yes$", text, re.M)) == 2
    assert re.search(r"^  shy +10\.\S+ +no +main: not ready: Readiness probe failed: ", text, re.M)
    assert re.search(r"^  crasher +10\.\S+ +no +main: (CrashLoopBackOff, its last run )?ended with exit code 3$", text, re.M)


def test_workloads_nodes_and_data(story):
    text = story.run("describe", "deployment/web").stdout
    assert field(text, "Replicas") == "2 desired | 2 updated | 2 total | 2 available | 0 unavailable"
    assert re.search(r"^  web-\S+ +1 +2 +2 +\S+ +present$", text, re.M) and "ScalingReplicaSet" in text
    # The pods that its selector chooses, the odd ones with what is wrong.
    assert re.search(r"^  shy +0/1 +Running +0 +\S+ +main: not ready$", text, re.M)
    text = story.run("describe", "rs").stdout
    assert field(text, "Controlled By") == "Deployment/web" and field(text, "Replicas") == "2 current / 2 desired"
    text = story.run("describe", "ingress/door").stdout
    assert re.search(r"^  web.localhost +/ +Prefix +web:http \(2 of [34] endpoints ready\)$", text, re.M), text
    text = story.run("describe", "node").stdout
    assert re.search(r"^  default +web-\S+ +500m +500m +64Mi +64Mi ", text, re.M) and "%" in field(text, "Uses")
    text = story.run("describe", "configmap", "settings").stdout
    assert "\ncolour:\n----\nblue\n" in text and "\ntext:\n----\none\ntwo\n" in text and field(text, "Annotations") == "note: hello"
    text = story.run("describe", "secret", "keys").stdout
    assert field(text, "password") == "7 bytes" and "hunter2" not in text and "aHVudGVyMg" not in text
    assert field(story.run("describe", "namespace", "default").stdout, "Phase") == "Active"


def test_several_objects_and_none(story):
    done = story.run("describe", "pods", "-l", "app=web")
    assert done.stdout.count("\n\nName:") == 3
    # The beginning of names is enough; what does not exist is told, the rest is shown.
    done = story.run("describe", "pod", "web-", "nobody", check=False)
    assert done.returncode == 1 and 'pods "nobody" not found' in done.stderr
    assert len(re.findall(r"^Name: +web-", done.stdout, re.M)) == 2
    assert story.run("describe", "pvc").stderr == "No resources found.\n"


def test_the_metrics_api(story):
    groups = {group["name"] for group in story.api("/apis")["groups"]}
    assert "metrics.k8s.io" in groups
    names = [resource["name"] for resource in story.api("/apis/metrics.k8s.io/v1beta1")["resources"]]
    assert names == ["nodes", "pods"]
    pods = story.api("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods")
    assert pods["kind"] == "PodMetricsList"
    busy = next(item for item in pods["items"] if item["metadata"]["name"] == "busy")
    use = {container["name"]: container["usage"] for container in busy["containers"]}
    assert int(use["spin"]["cpu"].removesuffix("n")) > 100_000_000 > 50_000_000 > int(use["hold"]["cpu"].removesuffix("n"))
    assert 60 << 10 < int(use["hold"]["memory"].removesuffix("Ki")) < 90 << 10
    chosen = story.api("/apis/metrics.k8s.io/v1beta1/pods?labelSelector=app%3Dweb")["items"]
    assert {item["metadata"]["labels"]["app"] for item in chosen} == {"web"} and len(chosen) >= 3
    node = story.api("/apis/metrics.k8s.io/v1beta1/nodes")["items"][0]
    assert int(node["usage"]["cpu"].removesuffix("n")) > 0 and node["kind"] == "NodeMetrics"
    missing = story.api("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/nobody")
    assert missing["code"] == 404


def test_top_as_tables(story):
    text = story.run("top", "pods", "--sort-by", "cpu").stdout
    assert text.startswith("NAME ") and re.search(r"\nbusy +[1-9]\d\dm +\d+Mi\n", text)
    text = story.run("top", "pods", "busy", "--containers", "--no-headers").stdout
    assert re.match(r"busy +spin +\d+m +\d+Mi\nbusy +hold +\d+m +[67]\dMi\n$", text)
    assert re.search(r"\nweft +\d+m +\d+% +\d+Mi +\d+%\n", story.run("top", "nodes").stdout)
    done = story.run("top", "pods", "nobody", check=False)
    assert done.returncode == 1 and 'pod "nobody" does not run' in done.stderr
    fetch(story.balancer_address("web"))
    text = story.run("top", "--once").stdout
    assert re.search(r"\nweb +2/4 +[\d.]+ +100% +\S+ms +\S+ms +\S+ms +\d+m +\d+Mi +[1-9]\d*\n", text), text
    row = next(row for row in story.json("top")["services"] if row["service"] == "web")
    assert row["podsReady"] == 2 and row["memoryBytes"] > 1 << 20 and row["successRate"] == 1
    assert story.run("top", "services", check=False).returncode == 2


def test_top_live(story):
    terminal = Terminal(story, "top", columns=120)
    terminal.expect("SERVICE")
    terminal.expect("(name)")
    # A second frame comes by itself, and keys are obeyed at once.
    terminal.expect("SERVICE")
    terminal.type("c")
    terminal.expect("(cpu)")
    terminal.type("c")
    terminal.expect("(cpu, reversed)")
    terminal.type("q")
    terminal.expect("\x1b[?1049l")
    assert terminal.end() == 0
    terminal = Terminal(story, "top")
    terminal.expect("SERVICE")
    terminal.process.terminate()
    terminal.expect("\x1b[?1049l")
    assert terminal.end() == -15
