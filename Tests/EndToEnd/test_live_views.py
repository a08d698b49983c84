"""`kubectl get http` and `kubectl get healthz`: what routes carry and how endpoints are, as it changes."""

import contextlib
import json
import subprocess
import threading

import pytest

from kubekit import KUBECTLS, Kubectl, needs_kubectl, running
from weftkit import fetch, wait_until

pytestmark = needs_kubectl

SERVER = """
import http.server, os, pathlib
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        fails = pathlib.Path(("unready-" if self.path == "/ready" else "fail-") + os.environ.get("WHO", "")).exists()
        self.send_response(500 if fails else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8080), Answer).serve_forever()
"""
HTTP_ROUTES = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: httproutes.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/gateway-api"}
spec:
  group: gateway.networking.k8s.io
  scope: Namespaced
  names: {plural: httproutes, singular: httproute, kind: HTTPRoute}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""
CONTAINER = """
      - name: web
        image: server
        env: [{{name: WHO, value: {who}}}]
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1, failureThreshold: 2}}
"""
APPLICATION = """
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: server}}
spec: {{directory: {folder}, command: [/usr/bin/python3, -u, server.py]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web, app.kubernetes.io/version: "1.2"}}}}
    spec:
      containers: {good}
---
apiVersion: v1
kind: Pod
metadata: {{name: odd, labels: {{app: web}}}}
spec:
      containers: {odd}
---
apiVersion: v1
kind: Service
metadata: {{name: service-a, labels: {{team: x}}, annotations: {{weft.dev/load-balancer: round_robin}}}}
spec: {{type: LoadBalancer, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080, name: http}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: empty}}
spec: {{selector: {{app: nothing}}, ports: [{{port: 80}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: shop}}
spec:
  rules:
  - host: shop.local
    http: {{paths: [{{path: /cart, pathType: Prefix, backend: {{service: {{name: service-a, port: {{number: 80}}}}}}}}]}}
"""


@pytest.fixture(scope="module")
def weft(needs_namespaces):
    with running("--api-port", "0") as weft:
        weft.site = weft.folder / "site"
        weft.site.mkdir()
        (weft.site / "server.py").write_text(SERVER)
        text = APPLICATION.format(folder=weft.site, good=CONTAINER.format(who="good"), odd=CONTAINER.format(who="odd"))
        (weft.folder / "app.yaml").write_text(text)
        weft.run("up", "--detach", str(weft.folder / "app.yaml"), timeout=90)
        weft.run("apply", "-f", "-", input=HTTP_ROUTES)
        weft.config = weft.folder / "config"
        weft.run("kubeconfig", "-o", str(weft.config))
        yield weft


@pytest.fixture(scope="module", params=KUBECTLS or ["none"])
def kubectl(request, weft):
    home = weft.folder / request.param
    home.mkdir()
    yield Kubectl(KUBECTLS[request.param], home, weft.config)


@contextlib.contextmanager
def traffic(weft):
    address, ends = weft.balancer_address("service-a"), threading.Event()

    def ask():
        while not ends.wait(0.02):
            with contextlib.suppress(OSError):
                fetch(address, port=address.port)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


@contextlib.contextmanager
def watching(kubectl, *words):
    """The lines that a `kubectl get -w` has written so far."""
    environment = {"HOME": str(kubectl.home), "KUBECONFIG": str(kubectl.config), "NO_COLOR": "1"}
    process = subprocess.Popen([kubectl.program, "get", *words, "-w"], stdout=subprocess.PIPE, text=True, env=environment)
    lines = []

    def read():
        for line in process.stdout:
            lines.append(line.split())

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait()
        thread.join()


def endpoint(weft, name):
    status = weft.api("/apis/live.weft.dev/v1alpha1/namespaces/default/servicehealths/service-a")["status"]
    return next(one for one in status["endpoints"] if one["pod"] == name)


def test_each_kubectl_finds_and_reads_them(kubectl):
    assert "serviceroutes" in kubectl("api-resources", "--api-group=live.weft.dev")
    assert "lastTime" in kubectl("explain", "servicehealths.status.endpoints.probes")
    rows = [line.split() for line in kubectl("get", "http").splitlines()]
    assert rows[0] == ["NAME", "ROUTE", "BACKENDS", "STATE", "RPS", "SUCCESS", "P50", "P95", "P99", "IN-FLIGHT", "RETRIES"]
    assert ["service-a", "Service", ":80", "service-a:80(2/2)"] in [row[:4] for row in rows]
    assert ["service-a", "Ingress/shop", "shop.local/cart", "service-a:80(2/2)"] in [row[:4] for row in rows]
    assert ["empty", "Service", ":80", "empty:80(0/0)", "NoEndpoints"] in [row[:5] for row in rows]
    assert "web@1(1/1)" in kubectl("get", "http", "service-a", "-o", "wide")
    assert kubectl("get", "healthz", "-A", "-l", "team=x", "-o", "name") == "servicehealth.live.weft.dev/service-a\n"
    wide = [line.split() for line in kubectl("get", "healthz", "service-a", "-o", "wide").splitlines()]
    assert {row[1] for row in wide[1:]} >= {"odd"} and len(wide) == 3
    refused = kubectl.run("delete", "http", "service-a", "--wait=false", check=False)
    assert refused.returncode != 0 and "does not allow this method" in refused.stderr


def test_a_route_that_nobody_acts_on_says_so(kubectl):
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "canary", "namespace": "default"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "service-a"}],
                 "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}], "backendRefs": [{"name": "service-a", "port": 80}]}]},
    }
    kubectl("apply", "-f", "-", "--validate=false", text=json.dumps(route))

    def found():
        routes = kubectl.json("get", "http", "service-a")["status"]["routes"]
        return next((one for one in routes if one["source"]["kind"] == "HTTPRoute"), None)

    assert wait_until(found, "the route")["state"] == "NotActedOn"
    kubectl("delete", "httproutes.gateway.networking.k8s.io", "canary")


def test_a_watch_tells_what_changes_and_nothing_else(weft):
    kubectl = Kubectl(list(KUBECTLS.values())[-1], weft.folder, weft.config)
    with watching(kubectl, "http", "service-a") as routes, watching(kubectl, "healthz", "service-a") as health:
        wait_until(lambda: len(routes) >= 3 and len(health) >= 3, "the first rows")
        with traffic(weft):
            wait_until(lambda: any(row[4] == "Live" and float(row[5]) > 1 and row[6] == "100%" for row in routes[1:]), "traffic", 40)
            # Five answers of 500 in a row, and the endpoint is out.
            weft.run("exec", "odd", "--", "touch", "fail-odd")
            wait_until(lambda: any(row[1] == "odd" and "ejected" in row for row in health), "the ejection", 40)
            outlier = endpoint(weft, "odd")["outlier"]
            assert outlier["ejected"] and outlier["ejections"] >= 1 and outlier["until"].endswith("Z")
            assert outlier["cause"].startswith("consecutive_")
            assert not endpoint(weft, [row[1] for row in health if row[1].startswith("web-")][0])["outlier"]["ejected"]
        # Only rows with news are told: no Ingress carried anything.
        assert sum(row[1] == "Ingress/shop" for row in routes) == 1
        weft.run("exec", "odd", "--", "touch", "unready-odd")
        wait_until(lambda: any(row[1:5] == ["odd", "no", "readiness", "failing"] for row in health), "the probe", 40)
        probe = endpoint(weft, "odd")["probes"][0]
        assert not probe["passed"] and probe["consecutiveFailures"] >= 2 and "500" in probe["message"]
