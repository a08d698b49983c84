"""Backup and restore, and a store that is gone: what was there comes back, and nothing is swept away by mistake."""

import contextlib
import os
import pathlib
import random
import signal
import sqlite3

import pytest

from weftkit import Weft, new_folder, wait_until


@pytest.fixture(scope="module")
def house(needs_namespaces):
    """One daemon with one pod and some settings, for all tests of the module."""
    folder = new_folder()
    weft = Weft(folder / "state")
    with weft.until_down("--now"):
        weft.run("up", "--detach", "-", timeout=60, input=MANIFEST)
        wait_until(lambda: ready(weft), "the pod is ready")
        yield weft


# A time that no other process of this machine sleeps: by it the pod's process is known.
SECONDS = f"{random.randrange(100_000, 10_000_000)}"
MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {name: sleep}
spec: {directory: /, command: [/bin/sleep, "SECONDS"]}
---
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: sleep}]}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: open-sesame}
""".replace("SECONDS", SECONDS)


def ready(weft):
    return weft.json("get", "pod", "sleeper").get("status", {}).get("phase") == "Running"


def apply(weft, name, value):
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '{value}'}}\n"
    weft.run("apply", "-f", "-", input=text)


def values(weft):
    return {item["metadata"]["name"]: item["data"]["value"] for item in weft.items("configmaps") if "value" in item.get("data", {})}


def kill_daemon(weft):
    pid = weft.daemon_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), "the daemon is dead")


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def sleepers():
    """The pod's processes, by number and start time."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() == f"/bin/sleep\0{SECONDS}\0".encode():
                found.append((pid, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]))
        except OSError:
            continue
    assert len(found) == 1
    return found


def test_help_says_what_they_do(house):
    assert "copy all objects into a file" in house.run("--help").stdout
    assert "--force" in house.run("backup", "--help").stdout
    assert "Weft must not run" in house.run("restore", "--help").stdout


def test_a_backup_is_restored_beside_running_pods(house):
    state = pathlib.Path(house.state)
    apply(house, "settings", "old")
    file = state.parent / "copy.db"
    said = house.run("backup", str(file)).stdout
    assert str(file) in said and "objects at revision" in said
    assert file.stat().st_mode & 0o777 == 0o600 and not list(state.glob("copies/*"))
    assert [path.name for path in file.parent.glob("copy.db*")] == ["copy.db"]
    # A file that is there stays, until it may be replaced.
    again = house.run("backup", str(file), check=False)
    assert again.returncode == 1 and "is there already" in again.stderr
    house.run("backup", "--force", str(file))
    # A running daemon is not pulled away from under its pods.
    refused = house.run("restore", str(file), check=False)
    assert refused.returncode == 1 and "weft down --keep-state" in refused.stderr
    apply(house, "settings", "new")
    apply(house, "later", "new")
    revision = int(house.api("/api/v1/configmaps?limit=1")["metadata"]["resourceVersion"])
    pods = sleepers()
    kill_daemon(house)
    # Without a daemon it copies the file itself.
    house.run("backup", str(state.parent / "second.db"))
    refused = house.run("restore", str(file), check=False)
    assert refused.returncode == 1 and "holds a store already" in refused.stderr and "--force" in refused.stderr
    broken = state.parent / "broken.db"
    content = bytearray(file.read_bytes())
    content[content.index(b"open-sesame" if b"open-sesame" in content else b"settings")] ^= 1
    broken.write_bytes(content)
    refused = house.run("restore", "--force", str(broken), check=False)
    assert refused.returncode == 1 and "is no whole copy of a store" in refused.stderr and "nothing was changed" in refused.stderr
    said = house.run("restore", "--force", str(file)).stdout
    kept = pathlib.Path(said.split("is kept in ")[1].strip())
    house.run("up", "--detach", "-", timeout=60, input=MANIFEST)
    assert values(house) == {"settings": "old"}
    # Nobody meets a revision twice, and the pod that was in the copy is the one that runs.
    assert int(house.api("/api/v1/configmaps?limit=1")["metadata"]["resourceVersion"]) > revision
    wait_until(lambda: ready(house), "the pod is ready")
    assert sleepers() == pods
    # What was replaced is a store, too.
    kill_daemon(house)
    house.run("restore", "--force", str(kept / "store.db"))
    house.run("up", "--detach", "-", timeout=60, input=MANIFEST)
    assert values(house) == {"settings": "new", "later": "new"}


def test_a_store_that_is_gone_sweeps_no_pod_away(house):
    state = pathlib.Path(house.state)
    file = state.parent / "gone.db"
    house.run("backup", str(file))
    pods = sleepers()
    kill_daemon(house)
    for path in state.glob("store.db*"):
        path.rename(state.parent / f"moved-{path.name}")
    done = house.run("up", "--detach", "-", timeout=60, input=MANIFEST, check=False)
    assert done.returncode == 1 and f"the store {state}/store.db is missing" in done.stderr and "weft restore FILE" in done.stderr
    assert not (state / "store.db").exists() and sleepers() == pods
    assert len(list((state / "pods").iterdir())) == 1
    # A restore that was broken off is no reason to begin anew, either.
    (state / "store.db.restoring").write_bytes(b"half")
    done = house.run("up", "--detach", "-", timeout=60, input=MANIFEST, check=False)
    assert done.returncode == 1 and "was broken off" in done.stderr
    house.run("restore", str(file))
    house.run("up", "--detach", "-", timeout=60, input=MANIFEST)
    wait_until(lambda: ready(house), "the pod is ready")
    assert sleepers() == pods
    assert house.json("get", "secret", "key")["data"]["password"] == "b3Blbi1zZXNhbWU="


def test_a_store_of_an_earlier_layout_is_read(house):
    kill_daemon(house)
    with contextlib.closing(sqlite3.connect(f"{house.state}/store.db")) as store, store:
        store.execute("ALTER TABLE objects DROP COLUMN sum")
        store.execute("UPDATE facts SET value=1 WHERE name='layout'")
    for _ in range(2):
        house.run("up", "--detach", "-", timeout=60, input=MANIFEST)
        assert house.json("get", "secret", "key")["data"]["password"] == "b3Blbi1zZXNhbWU="
        kill_daemon(house)


def test_a_backup_with_nothing_there_is_said(folder):
    weft = Weft(folder / "state")
    done = weft.run("backup", str(folder / "copy.db"), check=False)
    assert done.returncode == 1 and "there is no store" in done.stderr and not list(folder.glob("copy*"))
    done = weft.run("restore", str(folder / "copy.db"), check=False)
    assert done.returncode == 1 and "cannot read" in done.stderr and not (folder / "state" / "store.db").exists()
