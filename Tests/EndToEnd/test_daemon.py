"""The daemon: what survives its death, and how two of them live side by side."""

import json
import os
import pathlib
import signal
import time

import pytest

from weftkit import USERS, Weft, fetch, leftovers, wait_until

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: page}}
spec: {{directory: {folder}, command: [/usr/bin/python3, -u, -m, http.server, "8080"]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: page}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: page}}}}
  template:
    metadata: {{labels: {{app: page}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: main
          image: page
          ports: [{{containerPort: 8080}}]
          readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: page}}
spec:
  type: LoadBalancer
  selector: {{app: page}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
"""


@pytest.fixture
def page(weft, folder, needs_namespaces):
    """A small site, running."""
    (folder / "index.html").write_text("hello")
    (folder / "page.yaml").write_text(MANIFEST.format(folder=folder))
    weft.run("up", "--detach", str(folder / "page.yaml"), timeout=60)
    return weft


def is_served(weft):
    try:
        return fetch(weft.balancer_address("page"))[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("user", USERS, indirect=True)
def test_a_killed_daemon_is_followed_by_one_that_takes_everything_over(page, folder):
    before, processes = pods(page), inits(page)
    proxy = page.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"]
    address = page.balancer_address("page")
    os.kill(page.daemon_pid(), signal.SIGKILL)
    assert fetch(address)[0] == 200, "the site is served without a daemon"
    page.run("up", "--detach", timeout=60)
    assert (pods(page), inits(page)) == (before, processes)
    assert page.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"] == proxy
    assert is_served(page)
    status = page.api("/apis/weft.dev/v1alpha1/status")
    assert status["pods"] == 2 and not [w for w in status["warnings"] if "proxy" in w]


def pods(weft):
    """Uid, restarts and readiness of every pod."""
    return {pod["metadata"]["uid"]: [(status["restartCount"], status["ready"]) for status in pod["status"]["containerStatuses"]]
            for pod in weft.items("pods")}


def inits(weft):
    return {record.parent.name: json.loads(record.read_text())["pid"] for record in pathlib.Path(weft.state).glob("pods/*/pod.json")}


def test_a_failed_start_after_a_crash_removes_nothing(page, folder):
    before, processes = pods(page), inits(page)
    os.kill(page.daemon_pid(), signal.SIGKILL)
    (folder / "bad.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n")
    assert page.run("up", "--detach", str(folder / "bad.yaml"), check=False, timeout=60).returncode == 1
    page.run("up", "--detach", timeout=60)
    assert (pods(page), inits(page)) == (before, processes) and is_served(page)


def test_a_first_start_that_fails_leaves_nothing(weft, folder):
    (folder / "bad.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n")
    assert weft.run("up", "--detach", str(folder / "bad.yaml"), check=False, timeout=60).returncode == 1
    assert not pathlib.Path(weft.state).exists()


def test_a_stopped_daemon_keeps_its_objects(page, folder):
    pid = page.daemon_pid()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not pathlib.Path(page.state, "weft.sock").exists(), "the daemon has stopped", 20)
    page.run("up", "--detach", str(folder / "page.yaml"), timeout=60)
    assert "page" in page.run("get", "deployments").stdout
    wait_until(lambda: is_served(page), "the site is served again")


@pytest.mark.parametrize("user", USERS, indirect=True)
def test_a_killed_proxy_is_started_again_and_said(page):
    first = page.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: page.api("/apis/weft.dev/v1alpha1/status")["proxy"].get("pid") not in (None, first), "a new proxy")
    wait_until(lambda: is_served(page), "the site is served again", 10)
    assert page.api("/apis/weft.dev/v1alpha1/status")["proxy"]["restarts"] == 1
    wait_until(lambda: "ProxyEnded" in page.run("get", "events").stdout, "an event says it")


def test_a_second_daemon_on_the_same_state_is_refused(page):
    done = page.run("serve", "--state-dir", page.state, check=False)
    assert done.returncode == 1 and f"pid {page.daemon_pid()}" in done.stderr


def test_two_daemons_never_share_an_address(page, folder):
    other = Weft(folder / "other")
    try:
        other.run("up", "--detach", str(folder / "page.yaml"), timeout=60)
        addresses = {page.balancer_address("page"), other.balancer_address("page")}
        assert len(addresses) == 2
        assert is_served(page) and is_served(other)
    finally:
        other.run("down", "--now", timeout=60, check=False)
    assert not (folder / "other").exists()


def test_a_dead_process_is_out_of_traffic_at_once(page):
    state = pathlib.Path(page.state)
    pod = json.loads(next(state.glob("pods/*/pod.json")).read_text())
    assert pod["address"] in page.endpoints("service/default/page/80")
    start = time.monotonic()
    for child in children(pod["pid"]):
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: pod["address"] not in page.endpoints("service/default/page/80"), "the endpoint is gone", 5)
    # 30 ms are usual; a busy machine must not fail the suite.
    assert time.monotonic() - start < 2


def children(parent):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                    found.append(int(entry.name))
            except OSError:
                pass
    return found
