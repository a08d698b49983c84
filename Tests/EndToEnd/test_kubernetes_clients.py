"""The Python clients of Kubernetes against a Weft: they ask for things that kubectl does not."""

import os
import subprocess
import sys
import textwrap

import pytest

from kubekit import CLIENTS, needs_python_clients, running

pytestmark = needs_python_clients

PAGE = """
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: echo}}
spec: {{directory: {folder}, command: [/usr/bin/python3, -u, -m, http.server, "8080"]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec: {{containers: [{{name: web, image: echo, readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}}}]}}
"""


@pytest.fixture(scope="module")
def run(needs_namespaces):
    with running("--api-port", "0", "--api-tls", "127.0.0.1:0") as weft:
        (weft.folder / "site").mkdir()
        (weft.folder / "site/index.html").write_text("hello\n")
        weft.run("apply", "-f", "-", input=PAGE.format(folder=weft.folder / "site"))
        config = weft.folder / "config"
        weft.run("kubeconfig", "-o", str(config))

        def run(program):
            """Runs a program with the clients, in an interpreter of its own."""
            environment = {**os.environ, "PYTHONPATH": CLIENTS, "KUBECONFIG": str(config), "HOME": str(weft.folder)}
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, env=environment
            )
            assert done.returncode == 0, done.stderr[-4000:]
            return done.stdout.split("\n")

        yield run


def test_the_kubernetes_client(run):
    lines = run(
        """
        from kubernetes import client, config, dynamic, watch
        from kubernetes.stream import stream, portforward
        config.load_kube_config()
        core, apps = client.CoreV1Api(), client.AppsV1Api()
        print(client.VersionApi().get_code().minor, len(client.ApisApi().get_api_versions().groups) > 5)
        made = core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=client.V1ObjectMeta(generate_name="py-", labels={"by": "py"}), data={"a": "b"}))
        name = made.metadata.name
        core.patch_namespaced_config_map(name, "default", {"data": {"c": "d"}})
        print(core.read_namespaced_config_map(name, "default").data)
        seen = []
        w = watch.Watch()
        for event in w.stream(core.list_namespaced_config_map, "default", label_selector="by=py", timeout_seconds=60):
            seen.append(event["type"])
            if len(seen) == 1:
                core.delete_namespaced_config_map(name, "default")
            if event["type"] == "DELETED":
                w.stop()
        print(seen)
        for event in watch.Watch().stream(core.list_namespaced_pod, "default", label_selector="app=web", timeout_seconds=60):
            if any(c.type == "Ready" and c.status == "True" for c in event["object"].status.conditions or []):
                break
        print(stream(core.connect_get_namespaced_pod_exec, "web", "default", command=["echo", "from inside"], stdout=True, stderr=True, stdin=False, tty=False).strip())
        print("Serving" in core.read_namespaced_pod_log("web", "default"))
        forwarded = portforward(core.connect_get_namespaced_pod_portforward, "web", "default", ports="8080")
        socket = forwarded.socket(8080)
        socket.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        answer = b""
        while piece := socket.recv(4096):
            answer += piece
        print(answer.endswith(b"hello\\n"), forwarded.error(8080))
        things = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
        applied = things.server_side_apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"x": "y"}}, namespace="default", field_manager="py")
        print(applied.metadata.managedFields[0].manager)
        review = client.AuthorizationV1Api().create_self_subject_access_review({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}})
        print(review.status.allowed)
        import datetime
        events, about = client.EventsV1Api(), client.V1ObjectReference(kind="Pod", name="web", namespace="default")
        now = datetime.datetime.now(datetime.timezone.utc)
        events.create_namespaced_event("default", client.EventsV1Event(metadata=client.V1ObjectMeta(name="said"), event_time=now, regarding=about, note="hello", reason="Said", type="Normal", action="Say", reporting_controller="example.com/py", reporting_instance="py-1"))
        print([e.note for e in events.list_namespaced_event("default", field_selector="regarding.name=web,reason=Said").items], core.read_namespaced_event("said", "default").message)
        """
    )
    assert lines == [
        "33 True", "{'a': 'b', 'c': 'd'}", "['ADDED', 'DELETED']", "from inside", "True", "True None", "py", "True", "['hello'] hello", "",
    ]


def test_kr8s(run):
    lines = run(
        """
        import asyncio, httpx, kr8s
        from kr8s.asyncio.objects import ConfigMap, Pod, Deployment
        async def main():
            api = await kr8s.asyncio.api()
            print((await api.version())["minor"])
            pod = await Pod.get("web", namespace="default")
            await pod.wait("condition=Ready", timeout=60)
            done = await pod.exec(["echo", "from inside"])
            print(done.stdout.decode().strip(), done.returncode)
            async with pod.portforward(8080, local_port="auto") as port:
                async with httpx.AsyncClient(timeout=60) as http:
                    print((await http.get(f"http://127.0.0.1:{port}/")).text.strip())
            config = await ConfigMap({"metadata": {"name": "kr8s", "namespace": "default"}, "data": {"a": "b"}})
            await config.create()
            await config.patch({"data": {"c": "d"}})
            await config.label(x="y")
            print(dict(config.data), [one.name async for one in api.get("configmaps", label_selector="x=y")])
            await config.delete()
            await config.wait("delete", timeout=60)
            scaled = await Deployment({"metadata": {"name": "kr8s", "namespace": "default"}, "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "none"}]}}}})
            await scaled.create()
            await scaled.scale(0)
            await scaled.delete(propagation_policy="Foreground")
            lines = [line async for line in pod.logs()]
            print(any("Serving" in line for line in lines))
        asyncio.run(main())
        """
    )
    assert lines == ["33", "from inside 0", "hello", "{'a': 'b', 'c': 'd'} ['kr8s']", "True", ""]
