"""weft as an xDS server: weft-proxy, a real Envoy and gRPC without a proxy call the same Services, and each follows what changes."""

import base64
import contextlib
import http.client
import http.server
import os
import pathlib
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading

import pytest

grpc = pytest.importorskip("grpc")

import envoykit
import proxykit
import xdskit
from proxykit import free_port
from weftkit import ORDINARY, Weft, new_folder, wait_until

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

    def free_offset(self):
        """An offset with which the entrances for Ingresses are nobody's ports."""
        ingress = self.api("/apis/weft.dev/v1alpha1/status")["ingress"]["port"]
        while True:
            offset = random.randrange(1000, 20_000)
            ports = {ingress + offset, 443 + offset}
            if ports & self.entrances or max(ports) > 65_535:
                continue
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                for port in ports:
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
                self.entrances |= ports
                return offset

    @contextlib.contextmanager
    def gateway(self, node, command, *words):
        """A proxy with the bootstrap for a gateway; gives how far above weft-proxy's ports it listens."""
        offset = self.free_offset()
        path = self.folder / f"{node}.yaml"
        options = ["--type", "envoy", "--node", node, "--admin-port", "0", "--port-offset", str(offset), *words]
        path.write_text(self.run("xds", "bootstrap", *options).stdout)
        admin = self.folder / f"{node}.admin"
        with open(self.folder / f"{node}.log", "w") as log:
            process = subprocess.Popen(
                [*command, "-c", str(path), "--admin-address-path", str(admin)], stdout=log, stderr=log
            )
        try:
            port = wait_until(lambda: admin.exists() and admin.read_text(), f"{node} starts").strip().rsplit(":", 1)[1]
            wait_until(lambda: get(port, "/ready").strip() == b"LIVE", f"{node} is ready")
            yield offset
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def gateways(self):
        """Weft-proxies and, where there is one, real Envoys by ADS, in both protocols: {name: offset}."""
        programs = {"weft-proxy": [proxykit.program()]}
        if envoykit.program():
            programs["envoy"] = [envoykit.program(), "--use-dynamic-base-id", "-l", "warning"]
        with contextlib.ExitStack() as stack:
            yield {
                f"{name}-{variant}": stack.enter_context(
                    self.gateway(f"{name}-{variant}", [*command, "--concurrency", "1"], *words)
                )
                for name, command in programs.items() for variant, words in (("sotw", []), ("delta", ["--delta"]))
            }

    def caller(self, *words, **more):
        return xdskit.caller(self.run("xds", "bootstrap", *words).stdout, self.folder, **more)


class SpanCollector(http.server.BaseHTTPRequestHandler):
    """Takes spans as OTLP over HTTP and keeps the bodies."""

    bodies = []
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.bodies.append(body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def collector():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SpanCollector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def mesh(collector):
    folder = new_folder()
    folder.chmod(0o755)
    (folder / "app.py").write_text(xdskit.SERVER)
    text = "apiVersion: weft.dev/v1alpha1\nkind: Image\nmetadata: {name: app}\n"
    text += f"spec: {{directory: {folder}, command: [{sys.executable}, {folder}/app.py]}}\n"
    text += DEPLOYMENT.format(name="one", replicas=2) + DEPLOYMENT.format(name="two", replicas=1)
    (folder / "all.yaml").write_text(text + SHARED.format(split="one=1,two=1"))
    program = Mesh(folder / "state")
    program.folder = folder
    program.entrances = set()
    with program.until_down("--now"):
        program.run(
            "up", "--detach", "--isolation=none", "--xds-address=127.0.0.1:0", "--timeout", "40", str(folder / "all.yaml"),
            f"--trace-endpoint=http://127.0.0.1:{collector.server_port}", "--tap-redact=x-token,x-other",
            timeout=90,
        )
        yield program


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
def all_clients(mesh, gateways):
    """The mesh's own weft-proxy, the gateways, and gRPC without a proxy, each as a function of a count."""
    address = mesh.balancer_address("echo")
    with mesh.caller() as caller:
        yield {
            "the mesh's own proxy": plain(address, address.port),
            "gRPC": lambda count: caller.call("xds:///echo.default.svc.cluster.local:80", count),
            **{name: plain(address, address.port + offset) for name, offset in gateways.items()},
        }


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def gateways(mesh):
    with mesh.gateways() as found:
        yield found


def test_every_client_shares_requests_by_weight_and_follows_every_change(mesh, gateways):
    with all_clients(mesh, gateways) as clients:
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
        before = {node: mesh.types(node) for node in (*gateways, "grpc")}
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
        kinds = {node: (client["kind"], client["protocol"]) for node, client in mesh.clients().items()}
        assert kinds.pop("weft") == ("machine", "delta")
        assert kinds == {"grpc": ("proxyless", "sotw"), **{node: ("gateway", node.split("-")[-1]) for node in gateways}}


INGRESS = """\
apiVersion: v1
kind: Secret
metadata: {{name: echo-tls}}
type: kubernetes.io/tls
data: {{tls.crt: "{certificate}", tls.key: "{key}"}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: echo}}
spec:
  tls: [{{hosts: [echo.example], secretName: echo-tls}}]
  rules: [{{host: echo.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: two, port: {{number: 80}}}}}}}}]}}}}]
"""


def make_certificate(folder, number):
    """A certificate for echo.example and its key, as PEM."""
    names = [folder / f"{number}.crt", folder / f"{number}.key"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN=echo{number}", "-addext", "subjectAltName=DNS:echo.example", "-out", names[0], "-keyout", names[1]],
        check=True, capture_output=True,
    )
    return [name.read_bytes() for name in names]


def served_certificate(port):
    """What a gateway shows for echo.example, as PEM without line ends; None while nobody answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain, server_hostname="echo.example") as tls:
            return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True)).strip().encode()
    except OSError:
        return None


def test_gateways_end_tls_with_certificates_by_sds_and_follow_their_rotation(mesh, gateways):
    certificates = [make_certificate(mesh.folder, number) for number in range(2)]
    for certificate, key in certificates:
        mesh.apply(INGRESS.format(certificate=base64.b64encode(certificate).decode(), key=base64.b64encode(key).decode()))
        for name, offset in gateways.items():
            wait_until(lambda: served_certificate(443 + offset) == certificate.strip(), f"{name} shows the certificate")
            credentials = grpc.ssl_channel_credentials(certificate)
            options = [("grpc.ssl_target_name_override", "echo.example")]
            with grpc.secure_channel(f"127.0.0.1:{443 + offset}", credentials, options) as channel:
                assert channel.unary_unary("/test/who")(b"", timeout=20).decode() in mesh.pods("two"), name
    for name in gateways:
        assert mesh.types(name)["SDS"]["refusals"] == 0
    mesh.run("delete", "ingress", "echo")
    mesh.run("delete", "secret", "echo-tls")
    for name, offset in gateways.items():
        wait_until(lambda: served_certificate(443 + offset) is None, f"{name} closes the entrance")


@pytest.fixture(scope="module")
def place(mesh):
    return f"unix:{mesh.state}/xds/xds.sock"


def test_in_delta_one_change_of_an_endpoint_is_its_cluster_alone(mesh, place):
    stream = xdskit.Discovery(place, "by-hand", is_delta=True)
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


def test_the_mesh_tells_a_collector_of_its_requests(mesh):
    """Spans of what went through the machine's proxy, to whom `--trace-endpoint` named; what taps hide is the proxy's, too."""
    address = mesh.balancer_address("one")
    seen(plain(address, address.port), 3)
    wait_until(lambda: any(b"service/default/one/80" in body for body in SpanCollector.bodies), "the collector hears of the requests")
    pid = mesh.api("/apis/weft.dev/v1alpha1/status")["proxy"]["pid"]
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert words[words.index(b"--tap-redact") + 1] == b"x-token,x-other"
    for wrong in (["--trace-endpoint=127.0.0.1:1"], ["--trace-endpoint=grpc://a:1/path"], ["--trace-sampling=101"], ["--tap-redact=a b"]):
        done = mesh.run("serve", *wrong, check=False)
        assert done.returncode == 2 and wrong[0].split("=")[0] in done.stderr


def test_a_refusal_is_told_with_the_words_of_the_client(mesh, place):
    stream = xdskit.Discovery(place, "critic")
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


def test_what_is_no_discovery_is_refused_with_a_reason(mesh, place):
    garbage = xdskit.Discovery(place, "garbage")
    garbage.requests.put(b"\xff\xff\xff")
    assert failure(garbage) == ("INVALID_ARGUMENT", "the request cannot be read: protobuf: the message ends inside a number")
    nobody = xdskit.Discovery(place, "nobody")
    nobody.node = b""
    nobody.ask("CDS")
    code, text = failure(nobody)
    assert code == "INVALID_ARGUMENT" and "must have a node" in text
    strange = xdskit.Discovery(place, "strange", metadata=[("weft.dev/network", "moon")])
    strange.ask("CDS")
    assert failure(strange)[0] == "INVALID_ARGUMENT"
    with grpc.insecure_channel(place) as channel:
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/some.Other/Method")(b"", timeout=20)
        assert error.value.code().name == "UNIMPLEMENTED"


def test_on_loopback_only_the_own_user_is_served(mesh):
    address = next(a for a in mesh.api("/apis/weft.dev/v1alpha1/status")["xds"] if not a.startswith("unix:"))
    with mesh.caller("--address", address) as caller:
        wait_until(lambda: set(caller.call("xds:///one", 20)) == mesh.pods("one"), "all pods are called")
    if os.geteuid() == 0:
        code = "import socket, sys; s = socket.create_connection(sys.argv[1].split(':'), 10); s.sendall(b'PRI * HTTP/2.0'); print(s.recv(99))"
        done = subprocess.run([*ORDINARY, "/usr/bin/python3", "-c", code, address], capture_output=True, text=True, timeout=30)
        assert done.stdout == "b''\n" or "ConnectionResetError" in done.stderr or "BrokenPipe" in done.stderr, done
    for wrong in ("0.0.0.0:18000", "127.0.0.1", "example.com:80", "10.0.0.1:1"):
        done = mesh.run("serve", "--xds-address", wrong, check=False)
        assert done.returncode == 2 and "--xds-address takes a loopback address" in done.stderr


def test_clients_go_on_without_the_daemon_and_follow_the_next_one(mesh, gateways):
    with all_clients(mesh, gateways) as clients:
        for call in clients.values():
            wait_until(lambda: seen(call, 20) == mesh.pods("two"), "the pods of before answer")
        pods = mesh.pods("two")
        os.kill(mesh.daemon_pid(), 9)
        for name, call in clients.items():
            assert seen(call, 20) <= pods, name
        mesh.run("up", "--detach", "--timeout", "40", timeout=60)
        mesh.run("scale", "deployment/two", f"--replicas={len(pods) + 1}")
        for name, call in clients.items():
            wait_until(lambda: set(call(40)) == mesh.pods("two") > pods, f"{name} follows the next daemon", 60)
        for name in gateways:
            types = wait_until(lambda: name in mesh.clients() and mesh.types(name), f"{name} is there again")
            assert not any(entry["refusals"] for entry in types.values()), types


def certificates(folder):
    """The server's folder for --xds-tls, and a client's: both certificates signed by one authority."""
    for name in ("server", "client"):
        (folder / name).mkdir(parents=True)
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *curve, "-subj", "/CN=authority", "-out", "ca.crt", "-keyout", "ca.key")
    for name in ("server", "client"):
        openssl("req", "-x509", *curve, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-addext",
                "basicConstraints=critical,CA:FALSE", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-out", f"{name}/tls.crt", "-keyout", f"{name}/tls.key")
        shutil.copy(folder / "ca.crt", folder / name)
    return folder / "server", folder / "client"


def test_with_tls_every_client_needs_a_certificate(mesh):
    server, client = certificates(mesh.folder / "tls")
    for words in (["--xds-address=0.0.0.0:1"], ["--xds-tls", str(server)], ["--xds-address=10.0.0.1:1", "--xds-tls=/nowhere"]):
        assert mesh.run("serve", *words, check=False).returncode == 2, words
    place = f"127.0.0.1:{free_port()}"
    os.kill(mesh.daemon_pid(), 9)
    mesh.run("up", "--detach", f"--xds-address={place}", f"--xds-tls={server}", timeout=60)
    wait_until(lambda: f"tls:{place}" in mesh.api("/apis/weft.dev/v1alpha1/status")["xds"], "the entrance is told")
    words = ["--address", place, "--tls", str(client)]
    with contextlib.ExitStack() as stack:
        # Older ones cannot do TLS with their control plane.
        if tuple(map(int, grpc.__version__.split(".")[:2])) >= (1, 60):
            caller = stack.enter_context(mesh.caller(*words, "--node", "far-grpc"))
            wait_until(lambda: set(caller.call("xds:///one", 20)) == mesh.pods("one"), "gRPC calls all pods")
            assert "far-grpc" in mesh.clients()
        programs = {"weft-proxy": [proxykit.program()]}
        if envoykit.program():
            programs["envoy"] = [envoykit.program(), "--use-dynamic-base-id", "-l", "warning"]
        address = mesh.balancer_address("echo")
        for name, command in programs.items():
            offset = stack.enter_context(mesh.gateway(f"far-{name}", [*command, "--concurrency", "1"], *words, "--delta"))
            wait_until(lambda: seen(plain(address, address.port + offset), 20) <= mesh.pods("one") | mesh.pods("two"), name)
        assert {f"far-{name}" for name in programs} <= set(mesh.clients())
    host, port = place.split(":")
    stranger = ssl.create_default_context(cafile=str(server / "ca.crt"))
    stranger.check_hostname = False
    stranger.set_alpn_protocols(["h2"])
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 10) as one:
        with stranger.wrap_socket(one, server_hostname=host) as tls:
            tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
            answer = tls.recv(99)
    assert not answer, "somebody without a certificate is served"
