"""A real Prometheus scrapes the proxy, and its answers agree with what the client counted."""

import json
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from weftkit import ROOT, fetch, wait_until

APP = """\
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(0.02)
        status = 500 if self.path.startswith("/fail") else 200
        body = b"x" * 10
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: counted}}
spec: {{directory: {folder}, command: [/usr/bin/python3, app.py]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: counted}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: counted}}}}
  template:
    metadata: {{labels: {{app: counted}}}}
    spec:
      containers:
        - name: main
          image: counted
          ports: [{{containerPort: 8080}}]
          readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: counted}}
spec:
  type: LoadBalancer
  selector: {{app: counted}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
"""


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
def test_prometheus_agrees_with_the_client(weft, folder, needs_namespaces):
    (folder / "app.py").write_text(APP)
    (folder / "app.yaml").write_text(MANIFEST.format(folder=folder))
    weft.run("up", "--detach", str(folder / "app.yaml"), timeout=60)
    address = weft.balancer_address("counted")
    metrics = urllib.parse.urlsplit(weft.api("/apis/weft.dev/v1alpha1/status")["metrics"])
    prometheus, port = start_prometheus(folder, metrics)
    try:
        wait_until(lambda: query(port, 'up{job="weft"} == 1'), "Prometheus scrapes the proxy", 30)
        # A counter that is born with its value shows no increase: let every series exist and be scraped first.
        assert fetch(address)[0] == 200 and fetch(address, "/fail")[0] == 500
        selector = '{direction="inbound",deployment="counted"}'
        wait_until(lambda: number(port, f"sum(response_total{selector})") == 2, "the first two are scraped", 30)
        good, bad, times = 0, 0, []
        for index in range(120):
            start = time.monotonic()
            status = fetch(address, "/fail" if index % 4 == 3 else "/")[0]
            times.append((time.monotonic() - start) * 1000)
            good, bad = good + (status == 200), bad + (status == 500)
        assert (good, bad) == (90, 30)
        wait_until(lambda: number(port, f"sum(response_total{selector})") == 122, "all of them are scraped", 30)

        failures = '{direction="inbound",deployment="counted",classification="failure"}'
        requests = number(port, f"sum(increase(response_total{selector}[5m]))")
        errors = number(port, f"sum(increase(response_total{failures}[5m])) / sum(increase(response_total{selector}[5m]))")
        mean = number(
            port, f"sum(response_latency_ms_sum{selector}) / sum(response_latency_ms_count{selector})"
        )
        assert errors == pytest.approx(0.25, abs=0.02)
        assert requests > 0 and number(port, f"sum(rate(request_total{selector}[5m]))") > 0
        client = sum(times) / len(times)
        assert 20 <= mean <= client + 1, (mean, client)
        quantile = number(
            port, f"histogram_quantile(0.5, sum by (le) (rate(response_latency_ms_bucket{selector}[5m])))"
        )
        assert 10 <= quantile <= 100
        stat = next(row for row in weft.json("stat", "--window", "2m")["services"] if row["service"] == "counted")
        assert stat["successRate"] == pytest.approx(0.75, abs=0.02)
    finally:
        prometheus.send_signal(signal.SIGTERM)
        prometheus.wait(15)


def start_prometheus(folder, metrics):
    port = free_port()
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                "scrape_configs": [
                    {"job_name": "weft", "metrics_path": metrics.path, "static_configs": [{"targets": [metrics.netloc]}]}
                ],
            }
        )
    )
    log = open(folder / "prometheus.log", "w")
    process = subprocess.Popen(
        [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ],
        stdout=log, stderr=log,
    )
    wait_until(lambda: responds(port), "Prometheus is ready", 30)
    return process, port


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def responds(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def query(port, expression):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)["data"]["result"]


def number(port, expression):
    result = query(port, expression)
    return float(result[0]["value"][1]) if result else 0.0

