"""A gRPC client without a proxy inside a pod: it gets the pods' own addresses, and its connections pass the mesh's proxy."""

import sys

import pytest

pytest.importorskip("grpc")

import podkit
import xdskit
from weftkit import wait_until

CLIENT = """\
import grpc
channel = grpc.insecure_channel("xds:///echo.default")
while True:
    names = {channel.unary_unary("/test/who")(b"", timeout=60, wait_for_ready=True).decode() for _ in range(20)}
    print("answers", *sorted(names), flush=True)
"""

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{name: grpc, port: 80, targetPort: 50051}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: tools
          args: ["PORT=50051 exec PYTHON FOLDER/app.py"]
          env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
          readinessProbe: {tcpSocket: {port: 50051}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: caller}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: xds, hostPath: {path: FOLDER/state/xds}}]
  containers:
    - name: main
      image: tools
      args: ["exec PYTHON FOLDER/client.py"]
      env: [{name: GRPC_XDS_BOOTSTRAP, value: FOLDER/grpc.json}]
      volumeMounts: [{name: xds, mountPath: /run/xds}]
""".replace("PYTHON", sys.executable)


def test_a_client_in_a_pod_dials_pods_through_the_mesh(needs_namespaces):
    with podkit.running() as cluster:
        (cluster.folder / "app.py").write_text(xdskit.SERVER.replace("127.0.0.1:", "0.0.0.0:"))
        (cluster.folder / "client.py").write_text(CLIENT)
        words = ["xds", "bootstrap", "--network", "pod", "--address", "unix:/run/xds/xds.sock", "--node", "caller"]
        (cluster.folder / "grpc.json").write_text(cluster.run(*words).stdout)
        cluster.apply(MANIFEST)

        def answering():
            lines = cluster.log("caller").splitlines()
            return set(lines[-1].split()[1:]) if lines else set()

        def pods():
            return {pod["metadata"]["name"] for pod in cluster.items("pods", "-l", "app=echo") if "deletionTimestamp" not in pod["metadata"]}

        wait_until(lambda: len(answering()) == 2 and answering() == pods(), "both pods answer", 40)
        cluster.run("delete", "pod", sorted(pods())[0])
        wait_until(lambda: len(answering()) == 2 and answering() == pods(), "the pod in its place answers", 40)
        client = next(one for one in cluster.json("xds", "clients")["clients"] if one["id"] != "weft")
        assert (client["id"], client["network"]) == ("caller", "pod")
