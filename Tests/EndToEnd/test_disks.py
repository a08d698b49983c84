"""Full and read-only disks, damaged files, two callers at once: a clear message, nothing lost, nothing left behind."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from weftkit import Weft, fetch, leftovers, new_folder, wait_until

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: page}}
spec: {{directory: {folder}/site, command: [/usr/bin/python3, -u, -m, http.server, "8080"]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: page}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: page}}}}
  template:
    metadata: {{labels: {{app: page}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: main, image: page, readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: page}}
spec: {{type: LoadBalancer, selector: {{app: page}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


@pytest.fixture
def manifest(folder, needs_namespaces):
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("hello")
    (folder / "page.yaml").write_text(MANIFEST.format(folder=folder))
    return str(folder / "page.yaml")


@pytest.fixture
def disk(folder):
    """A disk of 8 MiB at `folder/disk`."""
    place = folder / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "weft-test", str(place)]).returncode:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small(disk):
    """A Weft whose state is on the small disk."""
    program = Weft(disk / "state")
    yield program
    program.run("down", "--now", timeout=60, check=False)
    left = leftovers(disk)
    for process in left.processes:
        os.kill(process, 9)
    assert not left.processes and not left.files, f"left behind: {left}"


def fill(disk):
    """Leaves no byte free."""
    with open(disk / "filler", "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(disk).free == 0


def kill_daemon(weft):
    pid = weft.daemon_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}/cmdline").exists() or not running(pid), "the daemon is dead")


def running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def config_map(name, size=20000):
    return f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: "{"x" * size}"}}\n'


def names(weft, kind):
    return {item["metadata"]["name"] for item in weft.items(kind)}


def test_a_full_disk_refuses_writes_and_nothing_else(small, disk, manifest):
    small.run("up", "--detach", manifest, timeout=60)
    small.run("apply", "-f", "-", input=config_map("before"))
    fill(disk)
    written = {"before"}
    for number in range(400):
        done = small.run("apply", "-f", "-", input=config_map(f"c{number}"), check=False)
        if done.returncode:
            break
        written.add(f"c{number}")
    assert done.returncode == 1 and "disk is full" in done.stderr and f"{small.state}/store.db" in done.stderr
    # What was acknowledged is there, what was refused is not; reading and traffic go on.
    assert names(small, "configmaps") == written
    assert fetch(small.balancer_address("page"))[0] == 200
    # A daemon that is killed meanwhile is followed by one that runs on the full disk, and knows all that was acknowledged.
    kill_daemon(small)
    small.run("up", "--detach", manifest, timeout=60, check=False)
    assert names(small, "configmaps") == written
    # With room again everything goes on by itself.
    (disk / "filler").unlink()
    small.run("scale", "deployment", "page", "--replicas=2")
    wait_until(lambda: small.json("get", "deployment", "page")["status"].get("readyReplicas") == 2, "both pods are ready")
    small.run("apply", "-f", "-", input=config_map("after"))
    # The end needs no room.
    fill(disk)
    small.run("down", timeout=30)
    assert not pathlib.Path(small.state).exists()


def test_a_disk_that_is_full_from_the_start_is_said(small, disk, manifest):
    fill(disk)
    done = small.run("up", "--detach", manifest, check=False)
    assert done.returncode == 1 and "disk is full" in done.stderr
    (disk / "filler").unlink()
    small.run("up", "--detach", manifest, timeout=60)


@pytest.mark.parametrize("user", ["ordinary"], indirect=True)
def test_a_read_only_state_directory_is_said_and_what_runs_can_be_ended(weft, folder, manifest):
    weft.run("up", "--detach", manifest, timeout=60)
    address = weft.balancer_address("page")
    kill_daemon(weft)
    os.chmod(weft.state, 0o555)
    done = weft.run("up", "--detach", manifest, check=False)
    assert done.returncode == 1 and f"{weft.state} cannot be written: Permission denied" in done.stderr
    assert fetch(address)[0] == 200
    done = weft.run("down", "--now", check=False, timeout=60)
    assert done.returncode == 1 and "everything has ended, but" in done.stderr and "Permission denied" in done.stderr
    assert not leftovers(folder).processes
    os.chmod(weft.state, 0o755)
    weft.run("down")
    assert not pathlib.Path(weft.state).exists()


def test_a_damaged_store_is_said_and_left_as_it_is(weft, folder, manifest):
    weft.run("up", "--detach", manifest, timeout=60)
    address = weft.balancer_address("page")
    kill_daemon(weft)
    state = pathlib.Path(weft.state)
    good = {name: (state / name).read_bytes() for name in ["store.db", "store.db-wal"]}
    bad = {name: damaged(content) for name, content in good.items()}
    for name, content in bad.items():
        (state / name).write_bytes(content)
    done = weft.run("up", "--detach", manifest, check=False)
    assert done.returncode == 1 and f"the store {state}/store.db is damaged" in done.stderr and "restore" in done.stderr
    assert {name: (state / name).read_bytes() for name in bad} == bad
    # What runs goes on until it is told otherwise, and a copy brings everything back.
    assert fetch(address)[0] == 200
    for name, content in good.items():
        (state / name).write_bytes(content)
    weft.run("up", "--detach", manifest, timeout=60)
    assert "page" in names(weft, "deployments")
    kill_daemon(weft)
    (state / "store.db").write_bytes(bad["store.db"])
    weft.run("down", timeout=60)
    assert not state.exists()


def damaged(content):
    """The same length, with noise in the middle of every page."""
    noise = bytearray(content)
    for place in range(100, len(noise) - 600, 4096):
        noise[place:place + 500] = b"\xa5" * 500
    return bytes(noise)


def test_damaged_small_files_are_survived(weft, folder, manifest):
    weft.run("up", "--detach", manifest, timeout=60)
    kill_daemon(weft)
    state = pathlib.Path(weft.state)
    for file in [state / "weft.pid", state / "proxy/weft-proxy.pid", *state.glob("claim"), *state.glob("pods/*/pod.json")]:
        file.write_bytes(b"\xff{\x00 no such thing")
    weft.run("up", "--detach", manifest, timeout=60)
    wait_until(lambda: fetch(weft.balancer_address("page"))[0] == 200, "the site is served")
    assert len(weft.items("pods")) == 1
    for name in ["weft.pid", "proxy/weft-proxy.pid"]:
        (state / name).write_bytes(b"")
    weft.run("down", timeout=60)
    # The fixture looks for processes that nobody has a record of any more.


def test_two_ups_at_once_share_one_daemon(weft, folder, manifest):
    callers = [weft.start("up", "--detach", manifest) for _ in range(4)]
    for caller in callers:
        output, errors = caller.communicate(timeout=60)
        assert caller.returncode == 0, errors
    log = pathlib.Path(weft.state, "serve.log").read_text()
    assert log.count("daemon=ready") == 1 and len(names(weft, "pods")) == 1


def test_a_daemon_that_hangs_is_named(weft, folder, manifest):
    weft.run("up", "--detach", manifest, timeout=60)
    pid = weft.daemon_pid()
    os.kill(pid, signal.SIGSTOP)
    threads = pathlib.Path(f"/proc/{pid}/task")
    wait_until(lambda: all((t / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for t in threads.iterdir()), "it has stopped")
    try:
        done = weft.run("down", check=False, timeout=40)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.returncode == 1 and f"kill -9 {pid}" in done.stderr


def test_a_taken_port_is_said_until_it_is_free(weft, folder, manifest):
    import socket

    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        port = holder.getsockname()[1]
        text = pathlib.Path(manifest).read_text().replace("ports: [{port: 80,", f"ports: [{{port: {port},")
        pathlib.Path(manifest).write_text(text)
        weft.run("up", "--detach", "--timeout", "3", manifest, timeout=60, check=False)
        wait_until(lambda: "ListenFailed" in weft.run("get", "events").stdout, "an event says it")
        said = weft.run("check", check=False).stdout
        assert str(port) in said and "cannot open the listener lb/default/page" in said
    address = weft.balancer_address("page")
    wait_until(lambda: is_served(address, port), "the port is served when it is free", 15)


def is_served(address, port):
    try:
        return fetch(address, port=port)[0] == 200
    except OSError:
        return False
