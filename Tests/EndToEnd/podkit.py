"""A daemon of its own for a module, with an Image `tools` whose containers run Python or a shell."""

import contextlib
import json
import os
import subprocess

import pytest

from weftkit import USERS, Weft, new_folder, wait_until

IMAGE = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: tools}}
spec: {{directory: {folder}, command: [/bin/sh, -c]}}
---
"""


def is_alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Cluster(Weft):
    """A Weft that keeps the manifests of its tests in its folder."""

    def __init__(self, folder, user=USERS[0]):
        super().__init__(folder / "state", user)
        self.folder = folder

    def apply(self, text, check=True):
        """Applies documents; `FOLDER` in them is the test's folder."""
        path = self.folder / "manifest.yaml"
        path.write_text(IMAGE.format(folder=self.folder) + text.replace("FOLDER", str(self.folder)))
        return self.run("apply", "-f", str(path), check=check)

    def up(self, text="", timeout=40):
        path = self.folder / "up.yaml"
        path.write_text(IMAGE.format(folder=self.folder) + text.replace("FOLDER", str(self.folder)))
        return self.run("up", "--detach", "--timeout", str(timeout), str(path), timeout=timeout + 20)

    def pod(self, name):
        return self.json("get", "pod", name)

    def status(self, name, container=None):
        """The status of a pod's first container, or of a named one."""
        status = self.pod(name)["status"]
        every = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
        return next((c for c in every if container in (None, c["name"])), {})

    def until_ended(self, name, seconds=20):
        """Waits for the pod's end and gives its phase."""
        return wait_until(
            lambda: (p := self.pod(name)["status"].get("phase")) in ("Succeeded", "Failed") and p,
            f"pod {name} ends", seconds,
        )

    def terminated(self, name, container=None):
        status = self.status(name, container)
        return status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated")

    def kill_daemon(self):
        """Ends the daemon as a crash would, and starts another one on the same state."""
        pid = self.daemon_pid()
        os.kill(pid, 9)
        wait_until(lambda: not is_alive(pid), "the daemon is gone")
        self.up()

    def log(self, name, *words):
        return self.run("logs", name, *words, check=False).stdout

    def events(self, name):
        """`REASON: MESSAGE` of each event of an object."""
        return [
            f"{event['reason']}: {event['message']}"
            for event in self.items("events") if event["involvedObject"]["name"] == name
        ]

    def until_event(self, name, text, seconds=20):
        return wait_until(
            lambda: next((e for e in self.events(name) if text in e), None), f"an event of {name} with {text!r}", seconds
        )


def pod(name, command, container="", spec="", restart="Never"):
    """A pod of one container that runs a shell command; further fields in YAML's flow form."""
    comma = ", " if container else ""
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\n"
        f"spec: {{restartPolicy: {restart}, terminationGracePeriodSeconds: 1, {spec}{', ' if spec else ''}"
        f"containers: [{{name: main, image: tools, args: [{json.dumps(command)}]{comma}{container}}}]}}\n---\n"
    )


@contextlib.contextmanager
def running(text="", user=USERS[0]):
    """A running daemon of a user; nothing of it may be left afterwards."""
    if os.geteuid() != 0 and subprocess.run(["unshare", "-Urn", "true"], capture_output=True).returncode:
        pytest.skip("needs root or user namespaces")
    folder = new_folder(user)
    folder.chmod(0o755)
    cluster = Cluster(folder, user)
    with cluster.until_down("--now", "--volumes"):
        cluster.up(text)
        yield cluster
