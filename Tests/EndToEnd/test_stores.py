"""The example of the stores: unmodified nginx, Redis and PostgreSQL, used through their Services, their data kept."""

import json
import os
import pathlib
import smtplib
import time

import pytest

from weftkit import HOUSE, USERS, Weft, fetch, new_folder, wait_until

EXAMPLE = HOUSE / "examples/stores"

MAIL = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {name: mail}
spec: {directory: /, command: [/usr/bin/python3, -W, ignore, -m, smtpd, -n, -c, DebuggingServer, "0.0.0.0:2525"]}
---
apiVersion: v1
kind: Pod
metadata: {name: mail, labels: {app: mail}}
spec: {containers: [{name: main, image: mail, readinessProbe: {tcpSocket: {port: 2525}, periodSeconds: 1}}]}
---
apiVersion: v1
kind: Service
metadata: {name: mail}
spec: {type: LoadBalancer, selector: {app: mail}, ports: [{port: 2500, targetPort: 2525}]}
"""

ABSENT = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {name: absent, annotations: {weft.dev/packages: "coreutils, no-such-store; -rf no-such-server"}}
spec: {directory: /, command: [/usr/sbin/no-such-server]}
---
apiVersion: v1
kind: Pod
metadata: {name: absent}
spec: {containers: [{name: main, image: absent}]}
"""


class Stores(Weft):
    """The example, with a client's view of it."""

    def up(self):
        return self.run("up", "--detach", str(EXAMPLE), timeout=90)

    def ask(self, path, text=None):
        """The status and the JSON of one request through nginx to the notes."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        method, body = ("POST", f"text={text}") if text else ("GET", None)
        status, _, answer = fetch(self.balancer_address("nginx"), path, method=method, body=body, headers=headers)
        return status, json.loads(answer) if answer.startswith((b"{", b"[")) else answer

    def notes(self):
        """What the notes hold, as soon as PostgreSQL answers."""
        return wait_until(lambda: (a := self.ask("/notes"))[0] == 200 and [note["text"] for note in a[1]], "the notes are there", 40)

    def visits(self):
        return wait_until(lambda: (a := self.ask("/visits"))[0] == 200 and a[1]["visits"], "the visits are counted", 40)

    def pod_of(self, app):
        """The name of the one pod of an app that is ready, and of no other."""
        def ready():
            pods = self.items("pods", "-l", f"app={app}")
            conditions = {c["type"]: c["status"] for c in pods[0]["status"].get("conditions", [])} if len(pods) == 1 else {}
            return conditions.get("Ready") == "True" and pods[0]["metadata"]["name"]
        return wait_until(ready, f"one pod of {app} is ready", 40)


@pytest.fixture(scope="module")
def stores(needs_namespaces):
    folder = new_folder(USERS[0])
    program = Stores(folder / "state", USERS[0])
    with program.until_down("--now", "--volumes"):
        program.up()
        yield program


def server_of(stores, program):
    """The process of a store on the host: the oldest of its name in one of our pods."""
    inits = {json.loads(path.read_text())["pid"] for path in pathlib.Path(stores.state).glob("pods/*/pod.json")}
    networks = {os.readlink(f"/proc/{pid}/ns/net") for pid in inits}
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, rest = (entry / "stat").read_text().rsplit(")", 1)
                network = os.readlink(entry / "ns/net")
            except OSError:
                continue
            if name.endswith(f"({program}") and network in networks:
                found.append((int(rest.split()[19]), int(entry.name)))
    return min(found)[1]


def test_the_stores_are_used_through_their_services(stores):
    assert b"Notes" in stores.ask("/")[1]
    assert stores.ask("/notes", "first")[0] == 201
    assert stores.notes() == ["first"]
    assert [stores.visits() for _ in range(3)] == [1, 2, 3]


def test_a_long_connection_survives_what_does_not_concern_it(stores):
    sessions = stores.ask("/sessions")
    assert sessions[0] == 200
    stores.run("scale", "deployment", "nginx", "--replicas=3")
    stores.run("rollout", "restart", "deployment/nginx")
    (pathlib.Path(stores.state).parent / "mail.yaml").write_text(MAIL)
    stores.run("apply", "-f", str(pathlib.Path(stores.state).parent / "mail.yaml"))
    stores.run("rollout", "status", "deployment/nginx", "--timeout=30", timeout=40)
    assert stores.ask("/sessions") == sessions


def test_a_server_that_speaks_first_is_not_kept_waiting(stores):
    wait_until(lambda: stores.json("get", "pod", "mail")["status"]["containerStatuses"][0]["ready"], "the mail server is ready")
    address = stores.balancer_address("mail")
    begin = time.monotonic()
    with smtplib.SMTP(address, 2500, timeout=10) as mail:
        assert mail.noop()[0] == 250
    # Waiting for a client's first bytes would take seconds.
    assert time.monotonic() - begin < 2


def test_data_outlives_a_deleted_pod_a_restart_and_a_kill(stores):
    stores.ask("/notes", "kept")
    before, visits = stores.notes(), stores.visits()
    stores.run("delete", "pod", stores.pod_of("postgres"), stores.pod_of("redis"))
    stores.pod_of("redis"), stores.pod_of("postgres")
    assert stores.notes() == before and stores.visits() > visits
    stores.run("rollout", "restart", "deployment/postgres", "deployment/redis")
    for name in ("postgres", "redis"):
        stores.run("rollout", "status", f"deployment/{name}", "--timeout=40", timeout=50)
    wait_until(lambda: stores.ask("/notes", "after-restart")[0] == 201, "a note can be kept again", 20)
    os.kill(server_of(stores, "postgres"), 9)
    restarted = lambda: stores.json("get", "pod", stores.pod_of("postgres"))["status"]["containerStatuses"][0]["restartCount"]
    wait_until(lambda: restarted() == 1, "PostgreSQL is started again", 30)
    assert stores.notes() == [*before, "after-restart"]


def test_what_is_not_installed_is_named_with_the_remedy(stores):
    path = pathlib.Path(stores.state).parent / "absent.yaml"
    path.write_text(ABSENT)
    stores.run("apply", "-f", str(path))
    waiting = wait_until(
        lambda: stores.json("get", "pod", "absent")["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {}).get("message"),
        "the pod says why it waits",
    )
    assert waiting == 'image "absent": no-such-server is not installed on this machine: apt-get install no-such-server', waiting
    stores.run("delete", "pod", "absent", "--grace-period=0")


def test_data_outlives_weft_itself_until_volumes_are_given_up(stores):
    before, visits = stores.notes(), stores.visits()
    stores.run("down", timeout=60)
    stores.up()
    assert stores.notes() == before and stores.visits() > visits
    stores.run("down", "--volumes", timeout=60)
    assert not pathlib.Path(stores.state).exists()
