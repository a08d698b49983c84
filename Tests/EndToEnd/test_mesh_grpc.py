"""gRPC between pods through their Service: balanced by call over one connection, counted, and kept whole through a rolling restart."""

import json

import pytest

import podkit
from weftkit import wait_until

APP = '''\
import collections, json, os, signal, socket, sys, threading, time
from concurrent import futures
import grpc

NAME = socket.gethostname()

class Service(grpc.GenericRpcHandler):
    def service(self, details):
        kind = details.method.split("/")[-1]
        return {
            "who": grpc.unary_unary_rpc_method_handler(lambda body, context: NAME.encode()),
            "chat": grpc.stream_stream_rpc_method_handler(lambda items, context: (NAME.encode() + b" " + item for item in items)),
        }.get(kind)

def serve():
    server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[Service()])
    server.add_insecure_port("0.0.0.0:50051")
    server.start()
    # As a server should end: what has begun is finished.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=lambda: server.stop(5).wait()).start())
    server.wait_for_termination()

def call(address):
    """Prints who answered 200 calls of one channel, and what a conversation said."""
    with grpc.insecure_channel(address) as channel:
        who = channel.unary_unary("/test/who")
        calls = [who.future(b"", timeout=20, wait_for_ready=True) for _ in range(200)]
        counts = collections.Counter(call.result().decode() for call in calls)
        said = [word.decode() for word in channel.stream_stream("/test/chat")(iter([b"a", b"b", b"c"]), timeout=20)]
    print(json.dumps({"counts": counts, "said": said}), flush=True)

def load(address):
    """Calls without a pause until the two pods that it knew are gone and others answered a hundred times; prints what failed."""
    seen, failures, first, after = collections.Counter(), [], None, 0
    with grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)]) as channel:
        who = channel.unary_unary("/test/who")
        end = time.monotonic() + 60
        while after < 100 and time.monotonic() < end:
            calls = [who.future(b"", timeout=20, wait_for_ready=True) for _ in range(8)]
            for one in calls:
                try: name = one.result().decode()
                except grpc.RpcError as problem:
                    failures.append(f"{problem.code()} {problem.details()}")
                    continue
                seen[name] += 1
                if first is None and len(seen) == 2:
                    first = set(seen)
                    print("loaded", flush=True)
                if first and name not in first: after += 1
                elif first: after = 0
    print(json.dumps({"seen": len(seen), "after": after, "calls": sum(seen.values()), "failures": failures}), flush=True)

{"serve": serve, "call": call, "load": load}[sys.argv[1]](*sys.argv[2:])
'''

SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: greeter}
spec:
  replicas: 2
  selector: {matchLabels: {app: greeter}}
  template:
    metadata: {labels: {app: greeter}}
    spec:
      containers:
        - name: main
          image: tools
          args: ["exec /usr/bin/python3 app.py serve"]
          ports: [{containerPort: 50051}]
          readinessProbe: {tcpSocket: {port: 50051}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: greeter, annotations: {weft.dev/load-balancer: round_robin}}
spec:
  selector: {app: greeter}
  ports:
    - {name: grpc, port: 50051}
    - {name: other, port: 8080, targetPort: 50051, appProtocol: kubernetes.io/h2c}
---
"""


@pytest.fixture(scope="module")
def mesh():
    with podkit.running() as cluster:
        (cluster.folder / "app.py").write_text(APP)
        (cluster.folder / "app.py").chmod(0o644)
        cluster.up(SERVER)
        wait_until(lambda: cluster.json("get", "deployment", "greeter")["status"].get("readyReplicas") == 2, "both pods are ready")
        cluster.apply("".join(podkit.pod(name, f"exec /usr/bin/python3 app.py call greeter:{port}")
                              for name, port in (("named", 50051), ("typed", 8080))))
        yield cluster


def said(cluster, pod):
    assert cluster.until_ended(pod, 40) == "Succeeded", cluster.log(pod)
    return json.loads(cluster.log(pod).splitlines()[-1])


@pytest.mark.parametrize("pod", ["named", "typed"])
def test_calls_of_one_channel_are_balanced_by_call(mesh, pod):
    """A port is spoken to in HTTP/2 by its name or its appProtocol."""
    found = said(mesh, pod)
    assert len(found["counts"]) == 2 and sum(found["counts"].values()) == 200
    assert min(found["counts"].values()) >= 60, found
    assert [line.split(" ")[1] for line in found["said"]] == ["a", "b", "c"]
    assert len({line.split(" ")[0] for line in found["said"]}) == 1


def rate(cluster, source):
    edges = cluster.json("stat", "--edges", "--window", "60s")["edges"]
    return sum(edge["requestRate"] for edge in edges if (edge["source"], edge["service"]) == (source, "greeter"))


def test_a_rolling_restart_loses_no_call(mesh):
    """Meanwhile calls are counted one by one, as requests of their edge."""
    mesh.apply(podkit.pod("load", "exec /usr/bin/python3 app.py load greeter:50051"))
    wait_until(lambda: "loaded" in mesh.log("load"), "both pods are called", 30)
    wait_until(lambda: rate(mesh, "load") > 10, "the calls are counted", 30)
    mesh.run("rollout", "restart", "deployment/greeter")
    found = said(mesh, "load")
    assert found["failures"] == [] and found["after"] >= 100 and found["seen"] >= 4, found
