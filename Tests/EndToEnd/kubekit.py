"""Real clients of Kubernetes, and a Weft for them to drive."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from weftkit import ROOT, Weft, new_folder

PEERS = ROOT / ".build/peers"


def kubectls():
    """Debian's 1.20 and the one on the PATH, each by the version that it says."""
    found = {}
    places = [os.environ.get("WEFT_KUBECTL", str(PEERS / "kubectl/usr/bin/kubectl"))]
    newest = shutil.which("kubectl")
    # One that only chooses among others has those beside it.
    beside = sorted(pathlib.Path(newest).resolve().parent.glob("kubectl.1.*")) if newest else []
    places.append(str(beside[-1]) if beside else newest)
    for place in places:
        if not place or not os.access(place, os.X_OK):
            continue
        done = subprocess.run([place, "version", "--client", "-o", "json"], capture_output=True, text=True, timeout=20)
        if done.returncode == 0:
            found.setdefault(json.loads(done.stdout)["clientVersion"]["gitVersion"], place)
    return found


KUBECTLS = kubectls()
CLIENTS = os.environ.get("WEFT_CLIENTS", str(PEERS / "clients"))

needs_kubectl = pytest.mark.skipif(not KUBECTLS, reason="no kubectl: WEFT_KUBECTL names one")
needs_python_clients = pytest.mark.skipif(not os.path.isdir(CLIENTS), reason="no Python clients of Kubernetes: WEFT_CLIENTS names their folder")


class Kubectl:
    """One kubectl with a kubeconfig and a cache of its own."""

    def __init__(self, program, home, config, namespace="default"):
        self.program, self.home, self.config, self.namespace = program, home, config, namespace

    def run(self, *words, check=True, text=None, timeout=60):
        environment = {**os.environ, "HOME": str(self.home), "KUBECONFIG": str(self.config), "NO_COLOR": "1"}
        done = subprocess.run(
            [self.program, "-n", self.namespace, *words], capture_output=True, text=True, timeout=timeout, env=environment, input=text
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def __call__(self, *words, **more):
        return self.run(*words, **more).stdout

    def json(self, *words):
        return json.loads(self(*words, "-o", "json"))


@contextlib.contextmanager
def running(*options):
    """A Weft with nothing in it."""
    folder = new_folder()
    weft = Weft(folder / "state")
    (folder / "empty.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: first}}")
    with weft.until_down("--now"):
        weft.run("up", "--detach", *options, str(folder / "empty.yaml"), timeout=90)
        weft.folder = folder
        yield weft
