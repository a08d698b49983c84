"""Volumes: claims whose data outlives pods and daemons, memory, links to the machine, files made from objects."""

import os
import pathlib
import signal

import pytest

from podkit import pod, running
from weftkit import USERS, leftovers, wait_until

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


@pytest.fixture(scope="module", params=USERS)
def cluster(request):
    with running(user=request.param) as program:
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
    wait_until(
        lambda: "not found" in cluster.status("early").get("state", {}).get("waiting", {}).get("message", ""), "the pod says why"
    )
    cluster.apply(claim("late"))
    assert cluster.until_ended("early") == "Succeeded"


def test_a_claim_of_an_unknown_class_waits_until_there_is_one(cluster):
    cluster.apply(claim("odd", ", storageClassName: gp3"))
    assert "leave storageClassName out" in cluster.until_event("odd", "ProvisioningFailed")
    assert phase(cluster, "odd") == "Pending"
    assert "required" in cluster.apply(claim("wrong").replace("accessModes: [ReadWriteOnce], ", ""), check=False).stderr.lower()


LATE = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: late}
provisioner: weft.dev/local
volumeBindingMode: WaitForFirstConsumer
---
"""


def test_a_claim_may_wait_for_its_first_pod(cluster):
    cluster.apply(LATE + claim("patient", ", storageClassName: late"))
    assert cluster.until_event("patient", "WaitForFirstConsumer") == "WaitForFirstConsumer: waiting for first consumer to be created before binding"
    assert phase(cluster, "patient") == "Pending"
    cluster.apply(mounted("consumer", "echo here > /data/x", "patient"))
    assert cluster.until_ended("consumer") == "Succeeded"
    assert phase(cluster, "patient") == "Bound"


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


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {password: VALUE}\n---\n"
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: VALUE, b: VALUE}\n---\n"
FILES = pod(
    "files",
    # Both keys must always be of one version: a reader never sees half of a change.
    "stat -f -c %T /key; stat -L -c %a /key/password; cat /all/labels /all/name /all/where/password; echo; "
    "cd /settings; while :; do d=$(readlink ..data); a=$(cat $d/a 2>/dev/null); b=$(cat $d/b 2>/dev/null); "
    "[ -d $d ] && [ \"$a\" != \"$b\" ] && [ -d $d ] && echo torn; k=$(cat /key/password); "
    "[ \"$a $k\" != \"$last\" ] && echo \"$a $k\"; last=\"$a $k\"; done",
    "volumeMounts: [{name: key, mountPath: /key}, {name: settings, mountPath: /settings}, {name: all, mountPath: /all}]",
    "volumes: [{name: key, secret: {secretName: key, defaultMode: 256}}, {name: settings, configMap: {name: settings}}, "
    "{name: all, projected: {sources: [{downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, "
    "{path: name, fieldRef: {fieldPath: metadata.name}}]}}, "
    "{secret: {name: key, items: [{key: password, path: where/password}]}}, "
    "{serviceAccountToken: {path: token}}]}}]",
)


def test_files_made_from_objects_change_at_once(cluster):
    cluster.apply(SECRET.replace("VALUE", "old") + SETTINGS.replace("VALUE", "one") + FILES)
    wait_until(lambda: "one old" in cluster.log("files"), "the first version is read")
    assert cluster.log("files").splitlines()[:3] == ["tmpfs", "400", 'app="files"filesold']
    cluster.apply(SETTINGS.replace("VALUE", "two"))
    wait_until(lambda: "two old" in cluster.log("files"), "the new settings are read")
    cluster.apply(SECRET.replace("VALUE", "new"))
    wait_until(lambda: "two new" in cluster.log("files"), "the new password is read")
    assert "torn" not in cluster.log("files")
    assert cluster.until_event("files", "TokenNotIssued")
    # A daemon that comes after a crash goes on with the same pod.
    before = cluster.pod("files")["metadata"]["uid"], cluster.status("files")["restartCount"]
    cluster.kill_daemon()
    cluster.apply(SECRET.replace("VALUE", "newest") + SETTINGS.replace("VALUE", "three"))
    wait_until(lambda: "three newest" in cluster.log("files"), "what the next daemon is told is read")
    assert before == (cluster.pod("files")["metadata"]["uid"], cluster.status("files")["restartCount"])
    # No Secret stands on the disk.
    found = [p for p in pathlib.Path(cluster.state, "pods").rglob("*") if p.is_file() and p.read_bytes().startswith((b"old", b"new"))]
    assert not found
    cluster.run("delete", "pod", "files")


PARTS = pod(
    "parts",
    "cat /one /expanded/text; echo new > /made/x; ls /whole/deep; stat -f -c %T /memory; "
    "dd if=/dev/zero of=/memory/big bs=1M count=4 2>/dev/null || echo full; cat /host/greeting; "
    "touch /host/x 2>/dev/null || echo read-only",
    "env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], "
    "volumeMounts: [{name: settings, mountPath: /one, subPath: a}, {name: data, mountPath: /whole}, "
    "{name: data, mountPath: /made, subPath: deep/er}, {name: data, mountPath: /expanded, subPathExpr: for-$(NAME)}, "
    "{name: memory, mountPath: /memory}, {name: host, mountPath: /host, readOnly: true}]",
    "volumes: [{name: settings, configMap: {name: settings}}, {name: data, emptyDir: {}}, "
    "{name: memory, emptyDir: {medium: Memory, sizeLimit: 2Mi}}, {name: host, hostPath: {path: FOLDER/host, type: Directory}}], "
    "initContainers: [{name: fill, image: tools, args: [\"mkdir /whole/for-parts; echo mine > /whole/for-parts/text\"], "
    "volumeMounts: [{name: data, mountPath: /whole}]}]",
)


def test_parts_of_volumes_memory_and_links_to_the_machine(cluster):
    (cluster.folder / "host").mkdir()
    (cluster.folder / "host/greeting").write_text("hello\n")
    cluster.apply(SETTINGS.replace("VALUE", "one\\n").replace("a: one", 'a: "one').replace("one\\n,", 'one\\n",') + PARTS)
    assert cluster.until_ended("parts") == "Succeeded", cluster.status("parts")
    assert cluster.log("parts").splitlines() == ["one", "mine", "er", "tmpfs", "full", "hello", "read-only"]


def test_a_link_does_not_lead_a_part_out_of_its_volume(cluster):
    cluster.apply(pod(
        "escape", "ls /part",
        "volumeMounts: [{name: data, mountPath: /part, subPath: link}]",
        "volumes: [{name: data, emptyDir: {}}, {name: key, secret: {secretName: key}}], "
        "initContainers: [{name: plant, image: tools, args: [\"ln -s ../key /data/link\"], "
        "volumeMounts: [{name: data, mountPath: /data}]}]",
    ))
    assert cluster.until_ended("escape") == "Failed"
    assert "leads out of the volume" in cluster.terminated("escape", "main")["message"]


def test_a_link_to_the_machine_of_the_wrong_kind_waits(cluster):
    cluster.apply(pod("kind", "true", "", "volumes: [{name: host, hostPath: {path: FOLDER, type: Socket}}]"))
    assert "is not a Socket" in cluster.until_event("kind", "FailedMount")


def test_a_volume_beyond_its_limit_evicts_the_pod(cluster):
    cluster.apply(pod(
        "hoarder", "dd if=/dev/zero of=/data/x bs=1M count=3 2>/dev/null; sleep 600",
        "volumeMounts: [{name: data, mountPath: /data}]", "volumes: [{name: data, emptyDir: {sizeLimit: 1Mi}}]",
    ))
    cluster.until_event("hoarder", 'Usage of EmptyDir volume "data" exceeds the limit "1Mi"')
    assert cluster.until_ended("hoarder") == "Failed"
    assert cluster.pod("hoarder")["status"]["reason"] == "Evicted"


def test_a_deleted_namespace_takes_its_claims_and_their_data_along(cluster):
    cluster.run("apply", "-f", "-", input="apiVersion: v1\nkind: Namespace\nmetadata: {name: away}\n")
    inside = (claim("data") + mounted("holder", "echo x > /data/x; sleep 600", "data")).replace(
        "metadata: {", "metadata: {namespace: away, ")
    cluster.apply(inside)
    place = pathlib.Path(cluster.state, "volumes/away")
    wait_until(lambda: (place / "data/x").exists(), "the pod writes")
    cluster.run("delete", "namespace", "away")
    assert not place.exists()


def test_an_interrupted_up_says_what_it_keeps(weft, folder, needs_namespaces):
    folder.chmod(0o755)
    image = f"apiVersion: weft.dev/v1alpha1\nkind: Image\nmetadata: {{name: tools}}\nspec: {{directory: {folder}, command: [/bin/sh, -c]}}\n---\n"
    (folder / "all.yaml").write_text(image + claim("data") + mounted("one", "echo 1 > /data/text", "data"))
    process = weft.start("up", str(folder / "all.yaml"), start_new_session=True)
    kept = folder / "state/volumes/default/data/text"
    wait_until(kept.exists, "the pod writes")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and f"kept 1 volume in {folder}/state/volumes" in errors
    assert kept.read_text() == "1\n"
    weft.run("down", "--volumes")
    assert not leftovers(folder)
