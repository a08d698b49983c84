"""An ordinary user: one id, no capabilities, no sudo. The whole shop as this user is in test_shop.py, and pods in test_pods.py."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from weftkit import ORDINARY, PROGRAM, ROOT, Weft, fetch, new_folder, wait_until

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: shell}}
spec: {{directory: {folder}, command: [/bin/sh, -c]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: somebody, labels: {{app: somebody}}}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsUser: 1234, runAsGroup: 1235, runAsNonRoot: true, fsGroup: 1236}}
  volumes: [{{name: data, emptyDir: {{}}}}]
  containers:
    - name: main
      image: shell
      args: ["touch /data/mine; echo $(id -u) $(id -g) $(stat -c %u:%g /data/mine); exec python3 -m http.server 80"]
      volumeMounts: [{{name: data, mountPath: /data}}]
      readinessProbe: {{exec: {{command: [sh, -c, "test $(id -u) = 1234 && touch /data/mine"]}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Pod
metadata: {{name: admin}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: shell
      args: ["touch /usr/mine && echo $(id -u) $(stat -c %u /usr/mine); exec sleep 1000"]
---
apiVersion: v1
kind: Service
metadata: {{name: somebody}}
spec:
  type: LoadBalancer
  selector: {{app: somebody}}
  ports: [{{name: http, port: 80}}, {{name: other, port: 8080, targetPort: 80}}]
"""


@pytest.fixture(scope="module")
def mine(needs_namespaces):
    """A daemon of an ordinary user, with a pod that is somebody else and one that is root."""
    folder = new_folder("ordinary")
    (folder / "all.yaml").write_text(MANIFEST.format(folder=folder))
    program = Weft(folder / "state", "ordinary")
    with program.until_down():
        program.run("up", "--detach", str(folder / "all.yaml"), timeout=60)
        yield program


def test_every_process_is_the_users_own_and_has_no_capability(mine):
    pods = [json.loads(path.read_text())["pid"] for path in pathlib.Path(mine.state).glob("pods/*/pod.json")]
    proxy = mine.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"]
    assert len(pods) == 2
    for pid in [mine.daemon_pid(), proxy, *pods]:
        facts = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        assert set(facts["Uid"].split()) == {str(os.geteuid() or 65534)}
        if pid not in pods:
            assert int(facts["CapEff"], 16) == 0 and int(facts["CapPrm"], 16) == 0


def test_a_container_may_be_any_user(mine):
    assert mine.run("logs", "somebody").stdout.splitlines()[0] == "1234 1235 1234:1235"
    assert mine.run("logs", "admin").stdout.splitlines()[0] == "0 0"


def test_low_ports_stay_in_pods_and_are_told_as_they_are_on_the_machine(mine):
    entry = mine.json("get", "service", "somebody")["status"]["loadBalancer"]["ingress"][0]
    ports = [port["port"] for port in entry["ports"]]
    assert ports == [8081, 8080], "80 moves up by 8000, past what the Service has itself"
    # The pod has no probe: it counts as ready before its program listens.
    wait_until(lambda: [fetch(entry["ip"], port=port)[0] for port in ports] == [200, 200], "both ports answer")
    events = mine.run("get", "events").stdout
    assert f"Reachable on this machine at {entry['ip']}:8081, {entry['ip']}:8080" in events


def test_check_finds_all_that_pods_need(mine):
    report = mine.json("check")
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert {states[name] for name in ("user namespaces", "pods", "nftables", "name server")} == {"ok"}


def test_another_users_state_is_refused(mine):
    folder = new_folder("ordinary")
    try:
        (folder / "state").mkdir(mode=0o755)
        done = Weft(folder / "state", "ordinary").run("serve", check=False)
        if os.geteuid() == 0:
            assert done.returncode == 1 and "belongs to user 0, not to user 65534" in done.stderr
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "variables, expected",
    [
        ({"XDG_STATE_HOME": "{folder}/xdg", "HOME": "{folder}"}, "{folder}/xdg/weft"),
        ({"XDG_STATE_HOME": "relative", "HOME": "{folder}"}, "{folder}/.local/state/weft"),
        ({"HOME": "{folder}"}, "{folder}/.local/state/weft"),
        ({}, "/tmp/weft-65534"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without a home")
def test_the_state_has_its_place_in_the_users_home(folder, variables, expected):
    given = {name: value.format(folder=folder) for name, value in variables.items()}
    done = subprocess.run(
        [*ORDINARY, PROGRAM, "get", "pods"], env={"PATH": os.environ["PATH"], **given}, capture_output=True, text=True, timeout=20
    )
    assert f"no Weft is running with the state directory {expected.format(folder=folder)}." in done.stderr


@pytest.fixture
def checkout(folder):
    """What the launcher needs of a checkout: built already, by root."""
    copy = folder / "copy"
    (copy / "Sources").mkdir(parents=True)
    (copy / ".build/release").mkdir(parents=True)
    shutil.copy(ROOT / "weft", copy)
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    (copy / "Package.swift").write_text("")
    for name in ("weft", "weft-pod-init", "weft-proxy"):
        program = copy / ".build/release" / name
        program.write_text("#!/bin/sh\necho ran $*\n")
        program.chmod(0o755)
    for tool in ("sudo", "apt-get"):
        path = folder / "tools" / tool
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho called {tool} >&2\nexit 1\n")
        path.chmod(0o755)
    folder.chmod(0o755)
    return copy


def launch(checkout, **more):
    user = ORDINARY if os.geteuid() == 0 else []
    path = f"{checkout.parent}/tools:/usr/bin:/bin"
    return subprocess.run(
        [*user, str(checkout / "weft"), "version"], env={"PATH": path, "HOME": "/nonexistent", **more},
        capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
    )


def test_the_launcher_uses_what_somebody_else_built_and_calls_no_sudo(checkout):
    before = sorted(path.name for path in (checkout / ".build").rglob("*"))
    done = launch(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran version\n", "")
    assert before == sorted(path.name for path in (checkout / ".build").rglob("*")) or os.geteuid() != 0


def test_the_launcher_says_what_to_install(checkout):
    (checkout.parent / "tools/dpkg-query").write_text("#!/bin/sh\n")
    (checkout.parent / "tools/dpkg-query").chmod(0o755)
    done = launch(checkout)
    assert done.returncode == 1
    wanted = subprocess.run(
        ["bash", "-c", f". {ROOT}/scripts/packages.sh; packages_of runtime"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert f"please run as root: apt-get install --no-install-recommends {wanted}" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a checkout of somebody else")
def test_the_launcher_says_who_has_to_build(checkout):
    source = checkout / "Sources/new.swift"
    source.write_text("")
    later = (checkout / ".build/release/weft").stat().st_mtime + 10
    os.utime(source, (later, later))
    done = launch(checkout)
    assert done.returncode == 1 and "belongs to root: have that user run ./weft once" in done.stderr
