"""The example shop, run as a new user runs it."""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from weftkit import HOUSE, PROGRAM, ROOT, USERS, fetch, leftovers, wait_until

SERVICES = {"web": 2, "catalogue": 3, "users": 2, "orders": 1}


def test_every_service_is_ready(shop):
    deployments = {item["metadata"]["name"]: item for item in shop.items("deployments")}
    for name, replicas in {**SERVICES, "load": 1}.items():
        assert deployments[name]["status"]["readyReplicas"] == replicas
    table = shop.run("get", "pods").stdout.splitlines()
    assert re.split(r"\s{2,}", table[0].strip()) == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert len(table) == 1 + sum(SERVICES.values()) + 1
    assert all("Running" in line for line in table[1:])


def test_a_browser_opens_the_shop_at_the_balancers_address(shop):
    address = shop.balancer_address("web")
    assert address.startswith("127.")
    status, headers, body = fetch(address)
    assert status == 200
    assert b"The Weaver's Shop" in body or b"The Weaver&#x27;s Shop" in body
    assert headers["x-pod"].startswith("web-")


def test_the_ingress_serves_its_host_and_says_why_it_serves_no_other(shop):
    status = shop.json("get", "ingress", "shop")["status"]["loadBalancer"]["ingress"][0]
    port = status.get("ports", [{"port": 80}])[0]["port"]
    assert fetch(status["ip"], port=port, headers={"Host": "shop.localhost"})[0] == 200
    code, headers, body = fetch(status["ip"], port=port, headers={"Host": "other.localhost"})
    assert code == 404
    assert headers["x-weft-reason"] and body


def test_an_order_walks_through_four_services(shop):
    address = shop.balancer_address("web")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, headers, _ = fetch(address, "/orders", method="POST", body="item=loom&user=4", headers=form)
    assert (status, headers["Location"]) == (303, "/orders")
    assert b"Dorothea" in fetch(address, "/orders")[2]


def test_a_tap_shows_who_asks_whom(shop):
    # The example's load calls all the time: a line of each kind comes by itself.
    command = [str(PROGRAM), "tap", "catalogue", "--from", "deployment/web", "--state-dir", shop.state, "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tap:
        try:
            fetch(shop.balancer_address("web"))
            seen = {}
            while len(seen) < 3:
                line = tap.stdout.readline()
                assert line, tap.stderr.read()
                event = json.loads(line)
                seen.setdefault(event["event"], event)
        finally:
            tap.terminate()
    request, end = seen["request"], seen["end"]
    assert request["source"]["labels"]["deployment"] == "web" and request["destination"]["labels"]["dst_service"] == "catalogue"
    assert request["source"]["pod"].startswith("default/web-") and request["destination"]["pod"].startswith("default/catalogue-")
    assert request["method"] in ("GET", "POST") and end["status"] >= 200
    refused = shop.run("tap", "nosuch", check=False)
    assert refused.returncode == 1 and "nosuch" in refused.stderr


def test_every_replica_serves(shop):
    address = shop.balancer_address("web")
    # Balancing goes by latency and load: only visitors at the same time need more than the quickest pod.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        pods = collections.Counter(pool.map(lambda _: fetch(address)[1]["x-pod"], range(80)))
    assert len(pods) == SERVICES["web"], pods


def test_names_resolve_in_pods_and_every_connection_goes_through_the_proxy(shop):
    edges = wait_until(
        lambda: {
            (edge["source"], edge["service"])
            for edge in shop.json("stat", "--edges", "--window", "60s")["edges"]
            if edge["requestRate"] > 0
        }
        >= {("load", "web"), ("web", "catalogue"), ("web", "users"), ("web", "orders"), ("orders", "users")},
        "all five edges are seen at the proxy",
        40,
    )
    assert edges


def test_stat_counts_what_a_client_counts(shop):
    address = shop.balancer_address("web")
    before = totals(shop, "loadbalancer")
    for _ in range(50):
        assert fetch(address, "/healthz")[0] == 200
    assert fetch(address, "/nothing-here")[0] == 404
    wait_until(lambda: totals(shop, "loadbalancer") - before == 51, "the proxy counts 51 requests")


def totals(shop, workload):
    """Responses that the proxy counted for the edge from outside to web."""
    status = shop.api("/apis/weft.dev/v1alpha1/status")
    text = scrape(status["proxy"]["admin"])
    lines = [
        line
        for line in text.splitlines()
        if line.startswith("response_total{")
        and 'direction="outbound"' in line
        and 'dst_service="web"' in line
        and f'"{workload}"' in line
    ]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def scrape(admin):
    command = ["curl", "-sf", "-m", "5"]
    command += ["--unix-socket", admin, "http://admin/stats/prometheus"] if admin.startswith("/") else [f"http://{admin}/stats/prometheus"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_applying_the_same_files_twice_changes_nothing(shop):
    first = {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in shop.items("services")}
    done = shop.run("apply", "-f", str(HOUSE / "examples/shop"))
    lines = done.stdout.splitlines()
    assert lines and all(line.endswith(" unchanged") for line in lines), done.stdout
    assert first == {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in shop.items("services")}


def test_logs_show_what_the_pods_wrote(shop):
    text = shop.run("logs", "deployment/catalogue").stdout
    assert text.count("listens on port 8080") == SERVICES["catalogue"]
    assert shop.run("logs", "-l", "app=users", "--tail", "0").stdout == ""


def test_scaling_up_and_down_under_load_fails_no_request(shop):
    address = shop.balancer_address("web")
    stop, failures, count = [], [], [0]

    def visit():
        while not stop:
            status, headers, body = fetch(address, "/api/goods")
            count[0] += 1
            if status != 200:
                failures.append((status, headers.get("x-weft-reason"), body[:200]))

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        visitors = [pool.submit(visit) for _ in range(3)]
        try:
            for replicas in (5, 2, 3):
                shop.run("scale", "deployment", "catalogue", f"--replicas={replicas}")
                wait_until(lambda: pods_ready(shop, "catalogue") == (replicas, replicas), f"{replicas} pods are ready")
        finally:
            stop.append(True)
        for visitor in visitors:
            visitor.result(timeout=20)
    assert count[0] > 20
    assert not failures, failures[:3]


def pods_ready(shop, app):
    pods = shop.items("pods", "-l", f"app={app}")
    ready = sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])) for pod in pods
    )
    return len(pods), ready


def test_a_killed_process_is_started_again(shop):
    pod = shop.items("pods", "-l", "app=orders")[0]["metadata"]["name"]
    process = next(
        int(entry.name)
        for entry in pathlib.Path("/proc").iterdir()
        if entry.name.isdigit() and is_process(entry, "orders.py", pod)
    )
    os.kill(process, signal.SIGKILL)
    restarted = wait_until(
        lambda: (status := shop.json("get", "pod", pod)["status"]["containerStatuses"][0])["restartCount"] == 1
        and status["ready"]
        and status,
        "the container runs again",
    )
    assert restarted["lastState"]["terminated"]["exitCode"] == 137
    assert pods_ready(shop, "orders") == (1, 1)


def is_process(entry, script, pod):
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
        environment = (entry / "environ").read_bytes()
    except OSError:
        return False
    return script.encode() in words and f"POD_NAME={pod}".encode() in environment.split(b"\0")


def test_a_deleted_pod_is_replaced(shop):
    name = shop.items("pods", "-l", "app=users")[0]["metadata"]["name"]
    shop.run("delete", "pod", name)
    wait_until(lambda: pods_ready(shop, "users") == (2, 2), "two pods are ready again")
    assert name not in [pod["metadata"]["name"] for pod in shop.items("pods", "-l", "app=users")]


def test_events_tell_what_happened(shop):
    reasons = {event["reason"] for event in shop.items("events")}
    assert {"Scheduled", "Started", "ScalingReplicaSet"} <= reasons, reasons


@pytest.mark.parametrize("user", USERS, indirect=True)
def test_ctrl_c_stops_everything_and_leaves_nothing(weft, folder, needs_namespaces):
    process = weft.start("up", str(HOUSE / "examples/shop"), start_new_session=True)
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("web: 2/2 pods ready"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert seen and seen[-1].startswith("web: 2/2 pods ready"), seen
    assert not leftovers(folder), leftovers(folder)


def test_the_launcher_builds_only_when_a_source_is_newer(folder):
    stale = "build_is_stale {0} && echo stale || echo fresh"
    copy = folder / "copy"
    (copy / "Sources").mkdir(parents=True)
    (copy / ".build/release").mkdir(parents=True)
    (copy / "Package.swift").write_text("")
    ask = lambda: subprocess.run(
        ["bash", "-c", f". {ROOT}/scripts/build.sh; " + stale.format(copy)], capture_output=True, text=True, timeout=20
    ).stdout.strip()
    later = time.time() + 10
    for name in ("weft", "weft-pod-init", "weft-proxy"):
        assert ask() == "stale", f"{name} is missing"
        program = copy / ".build/release" / name
        program.write_text("")
        program.chmod(0o755)
        os.utime(program, (later, later))
    assert ask() == "fresh"
    os.utime(program, (later - 60, later - 60))
    assert ask() == "stale", "one of them is old"
    os.utime(program, (later, later))
    assert ask() == "fresh"
    source = copy / "Sources/new.swift"
    source.write_text("")
    os.utime(source, (later + 10, later + 10))
    assert ask() == "stale"
