"""An operator written with kopf, as people write them, runs against Weft's API."""

import http.client
import json
import os
import socket
import subprocess
import sys

import pytest

from kubekit import CLIENTS, running
from weftkit import wait_until

pytestmark = pytest.mark.skipif(not os.path.isdir(os.path.join(CLIENTS, "kopf")), reason="no kopf: WEFT_CLIENTS names its folder")

OPERATOR = """
import kopf

KINDS = [("", "v1", "configmaps"), ("bakery.example", "v1", "loaves")]

@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_):
    settings.persistence.finalizer = "bakery.example/oven"
    settings.watching.server_timeout = 60

def field(body):
    return body.get("spec", body.get("data", {})).get("flour")

for kind in KINDS:
    ours = {"labels": {"baked": "yes"}}

    @kopf.index(*kind, **ours, id=f"index-{kind[2]}")
    def flours(name, body, **_):
        return {name: field(body)}

    @kopf.on.create(*kind, **ours, id="create")
    def created(body, patch, name, retry, **_):
        if retry == 0:
            raise kopf.TemporaryError("the oven is cold", delay=0.1)
        patch.metadata.annotations["created"] = str(retry)
        kopf.info(body, reason="Baked", message=f"{name} is in the oven")
        return {"state": "baked"}

    @kopf.on.update(*kind, **ours, id="update")
    def updated(diff, body, patch, **_):
        patch.metadata.annotations["updated"] = "yes"

    @kopf.on.field(*kind, **ours, field="spec.flour" if kind[2] == "loaves" else "data.flour", id="field")
    def changed(old, new, patch, **_):
        patch.metadata.annotations["flour"] = f"{old}-{new}"

    @kopf.timer(*kind, **ours, interval=0.2, id="timer")
    def tick(patch, annotations, **_):
        if annotations.get("ticks") != "2":
            patch.metadata.annotations["ticks"] = str(int(annotations.get("ticks", "0")) + 1)

    @kopf.daemon(*kind, **ours, id="daemon")
    async def stay(stopped, patch, **_):
        await stopped.wait()

    @kopf.on.resume(*kind, **ours, id="resume")
    def resumed(patch, **_):
        patch.metadata.annotations["resumed"] = "yes"

    @kopf.on.delete(*kind, **ours, id="delete")
    def deleted(name, **_):
        print("DELETED", name, flush=True)
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: loaves.bakery.example}
spec:
  group: bakery.example
  scope: Namespaced
  names: {plural: loaves, singular: loaf, kind: Loaf}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {flour: {type: string}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""
OBJECTS = {
    "configmaps": ("/api/v1/namespaces/default/configmaps", lambda flour: {"data": {"flour": flour}}),
    "loaves": ("/apis/bakery.example/v1/namespaces/default/loaves", lambda flour: {"spec": {"flour": flour}}),
}


@pytest.fixture(scope="module")
def weft():
    with running("--api-port", "0") as weft:
        weft.run("kubeconfig", "-o", str(weft.folder / "config"))
        weft.run("apply", "-f", "-", input=DEFINITION)
        (weft.folder / "operator.py").write_text(OPERATOR)
        yield weft


def operator(weft):
    """`kopf run`, and the file that has what it said."""
    log = open(weft.folder / "kopf.log", "a")
    environment = {**os.environ, "PYTHONPATH": CLIENTS, "KUBECONFIG": str(weft.folder / "config"), "HOME": str(weft.folder)}
    words = [sys.executable, "-m", "kopf", "run", "operator.py", "-n", "default", "--standalone"]
    return subprocess.Popen(words, cwd=weft.folder, stdout=log, stderr=log, env=environment)


def stop(process):
    process.terminate()
    assert process.wait(60) in (0, -15)


def ask(weft, method, path, body=None):
    """One request on the daemon's own socket."""
    connection = http.client.HTTPConnection("weft")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(f"{weft.state}/weft.sock")
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status < 300, (method, path, answer.status, text)
    return json.loads(text)


def annotation(weft, kind, name):
    return ask(weft, "GET", f"{OBJECTS[kind][0]}/rye")["metadata"].get("annotations", {}).get(name)


def test_an_operator_runs_unmodified(weft):
    process = operator(weft)
    try:
        for path, content in OBJECTS.values():
            ask(weft, "POST", path, {"metadata": {"name": "rye", "labels": {"baked": "yes"}}, **content("wheat")})
        for kind, (path, _) in OBJECTS.items():
            wait_until(lambda: annotation(weft, kind, "created") == "1", f"{kind}: creation, tried again", 60)
            wait_until(lambda: annotation(weft, kind, "ticks") == "2", f"{kind}: the timer", 60)
            assert ask(weft, "GET", f"{path}/rye")["metadata"]["finalizers"] == ["bakery.example/oven"]
        assert ask(weft, "GET", f"{OBJECTS['loaves'][0]}/rye")["status"]["create"] == {"state": "baked"}
        said = lambda: {one["involvedObject"]["kind"] for one in weft.items("events") if one["reason"] == "Baked"}
        wait_until(lambda: said() == {"ConfigMap", "Loaf"}, "events", 60)
        for kind, (path, content) in OBJECTS.items():
            ask(weft, "PATCH", f"{path}/rye", content("oats"))
            wait_until(lambda: annotation(weft, kind, "flour") == "wheat-oats", f"{kind}: the field", 60)
            wait_until(lambda: annotation(weft, kind, "updated") == "yes", f"{kind}: the update", 60)
        # One that comes back takes up what there is, and what is deleted waits for it.
        stop(process)
        process = operator(weft)
        for kind, (path, _) in OBJECTS.items():
            wait_until(lambda: annotation(weft, kind, "resumed") == "yes", f"{kind}: taken up", 60)
            ask(weft, "DELETE", f"{path}/rye")
        wait_until(lambda: (weft.folder / "kopf.log").read_text().count("DELETED rye") == 2, "deletions", 60)
        assert "Traceback" not in (weft.folder / "kopf.log").read_text()
    finally:
        stop(process)
