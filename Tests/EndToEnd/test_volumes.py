"""Volumes: claims whose data outlives pods and daemons, memory, links to the machine, files made from objects."""

import os
import pathlib
import signal

import pytest

from podkit import pod, running
from weftkit import leftovers, wait_until

CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: NAME}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}MORE}
---
"""


def claim(name, more=""):
    return CLAIM.replace("NAME", name).replace("MORE", more)


def mounted(name, command, claim, **more):
    """A pod with a claim at /data."""
    volumes = f"volumes: [{{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}]"
    return pod(name, command, "volumeMounts: [{name: data, mountPath: /data}]", volumes, **more)


@pytest.fixture(scope="module")
def cluster():
    with running() as program:
        yield program


def phase(cluster, name):
    return cluster.json("get", "pvc", name)["status"].get("phase")


def test_a_claim_is_bound_and_shown(cluster):
    cluster.apply(claim("plain") + claim("standard", ", storageClassName: standard"))
    wait_until(lambda: phase(cluster, "plain") == "Bound" and phase(cluster, "standard") == "Bound", "claims are bound")
    line = next(l for l in cluster.run("get", "pvc").stdout.splitlines() if l.startswith("plain"))
    assert line.split()[1:4] == ["Bound", "1Gi", "RWO"]
    assert "Weft keeps" not in cluster.apply(claim("plain")).stderr


def test_data_outlives_its_pod(cluster):
    cluster.apply(claim("kept") + mounted("writer", "echo first > /data/text; id -u", "kept"))
    assert cluster.until_ended("writer") == "Succeeded", cluster.log("writer")
    cluster.run("delete", "pod", "writer")
    cluster.apply(mounted("reader", "cat /data/text", "kept"))
    assert cluster.until_ended("reader") == "Succeeded"
    assert cluster.log("reader") == "first\n"


def test_a_pod_waits_for_a_claim_that_is_missing(cluster):
    cluster.apply(mounted("early", "echo here > /data/x", "late"))
    assert 'persistentvolumeclaim "late" not found' in cluster.until_event("early", "FailedMount")
    assert "not found" in cluster.status("early")["state"]["waiting"]["message"]
    cluster.apply(claim("late"))
    assert cluster.until_ended("early") == "Succeeded"


def test_a_claim_of_an_unknown_class_waits_until_there_is_one(cluster):
    cluster.apply(claim("odd", ", storageClassName: gp3"))
    assert "leave storageClassName out" in cluster.until_event("odd", "ProvisioningFailed")
    assert phase(cluster, "odd") == "Pending"
    assert "required" in cluster.apply(claim("wrong").replace("accessModes: [ReadWriteOnce], ", ""), check=False).stderr.lower()


def test_a_deleted_claim_stays_until_its_pod_is_gone_and_takes_its_data_along(cluster):
    place = pathlib.Path(cluster.state, "volumes/default/held")
    cluster.apply(claim("held") + mounted("holder", "echo x > /data/x; sleep 600", "held"))
    wait_until(lambda: (place / "x").exists(), "the pod writes")
    cluster.run("delete", "pvc", "held", "--no-wait")
    wait_until(lambda: "deletionTimestamp" in cluster.json("get", "pvc", "held")["metadata"], "the claim is marked")
    assert (place / "x").exists()
    cluster.run("delete", "pod", "holder", "--grace-period", "0")
    wait_until(lambda: cluster.run("get", "pvc", "held", check=False).returncode == 1, "the claim is gone")
    assert not place.exists()


VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: shelf}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  storageClassName: shelf
  hostPath: {path: FOLDER/shelf, type: DirectoryOrCreate}
---
"""


def test_a_claim_gets_a_volume_of_its_class(cluster):
    cluster.apply(VOLUME + claim("books", ", storageClassName: shelf") + mounted("librarian", "echo book > /data/b", "books"))
    assert cluster.until_ended("librarian") == "Succeeded"
    assert (cluster.folder / "shelf/b").read_text() == "book\n"
    assert cluster.json("get", "pvc", "books")["spec"]["volumeName"] == "shelf"
    assert "default/books" in cluster.run("get", "pv").stdout
    cluster.run("delete", "pod", "librarian")
    cluster.run("delete", "pvc", "books")
    wait_until(lambda: cluster.json("get", "pv", "shelf")["status"]["phase"] == "Released", "the volume is released")
    assert (cluster.folder / "shelf/b").exists(), "the machine's own directory is never emptied"


def test_data_outlives_a_killed_daemon_and_weft_down(weft, folder, needs_namespaces):
    folder.chmod(0o755)
    image = f"apiVersion: weft.dev/v1alpha1\nkind: Image\nmetadata: {{name: tools}}\nspec: {{directory: {folder}, command: [/bin/sh, -c]}}\n---\n"
    def run(name, command):
        (folder / "all.yaml").write_text(image + claim("data") + claim("unused") + mounted(name, command, "data"))
        weft.run("up", "--detach", str(folder / "all.yaml"), timeout=60)
        wait_until(lambda: weft.json("get", "pod", name)["status"].get("phase") in ("Succeeded", "Failed"), f"{name} ends")
        return weft.run("logs", name).stdout
    run("one", "echo 1 >> /data/text")
    os.kill(weft.daemon_pid(), signal.SIGKILL)
    run("two", "echo 2 >> /data/text")
    down = weft.run("down", timeout=60)
    assert f"kept 1 volume in {folder}/state/volumes; remove it with: weft down --volumes" in down.stderr + down.stdout
    assert run("three", "cat /data/text") == "1\n2\n"
    weft.run("down", "--volumes", timeout=60)
    assert not leftovers(folder)
    weft.run("down", timeout=60)
