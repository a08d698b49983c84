"""Workloads above pods live a full life: Jobs and CronJobs run to their end, sets keep their names, order and claims."""

import http.client
import json
import socket

import pytest

from weftkit import Weft, fetch, leftovers, new_folder, wait_until

IMAGE = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {name: shell}
spec: {directory: /, command: [/bin/sh]}
"""


@pytest.fixture(scope="module")
def running(needs_namespaces):
    folder = new_folder()
    program = Weft(folder / "state")
    try:
        (folder / "image.yaml").write_text(IMAGE)
        program.run("up", "--detach", str(folder / "image.yaml"), timeout=60)
        yield program
    finally:
        program.run("down", "--now", timeout=60, check=False)
        left = leftovers(folder)
    assert not left, f"left behind: {left}"


def container(script):
    return {"name": "main", "image": "shell", "command": ["/bin/sh", "-c", script]}


def apply(weft, *objects):
    return weft.run("apply", "-f", "-", input="\n---\n".join(json.dumps(one) for one in objects), check=False)


def job(name, script, **spec):
    pod = {"restartPolicy": "Never", "containers": [container(script)]}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {**spec, "template": {"spec": pod}},
    }


def finished(weft, name):
    conditions = weft.json("get", "job", name).get("status", {}).get("conditions", [])
    return {one["type"]: one["reason"] for one in conditions if one["status"] == "True"}


def test_jobs_of_all_kinds_run_to_their_end(running):
    parts = {"completions": 2, "parallelism": 2, "completionMode": "Indexed"}
    rules = {"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]}}
    applied = apply(
        running,
        job("parts", "echo part $JOB_COMPLETION_INDEX on $(hostname)", **parts),
        job("hopeless", "exit 42", **rules),
    )
    assert applied.returncode == 0 and "warning" not in applied.stderr
    ended = wait_until(lambda: finished(running, "parts").get("Complete"), "the parts end")
    assert ended == "CompletionsReached"
    words = sorted(
        running.run("logs", pod["metadata"]["name"]).stdout.strip() for pod in running.items("pods", "-l", "job-name=parts")
    )
    assert words == ["part 0 on parts-0", "part 1 on parts-1"]
    wait_until(lambda: finished(running, "hopeless").get("Failed") == "PodFailurePolicy", "the hopeless one fails")
    lines = [line.split() for line in running.run("get", "jobs").stdout.splitlines()]
    assert lines[0] == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert [line[:3] for line in lines[1:]] == [["hopeless", "Failed", "0/1"], ["parts", "Complete", "2/2"]]
    told = running.run("describe", "job", "parts").stdout
    assert "SuccessfulCreate" in told and "Completed Indexes" in told and "2 Succeeded" in told
    running.run("delete", "job", "parts", "hopeless")
    wait_until(lambda: not running.items("pods"), "their pods go with them")


def test_what_is_wrong_is_refused_by_path(running):
    bad = job("bad", "true", completionMode="Indexed", parallelism=2)
    bad["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    bad["spec"]["paralelism"] = 3
    cron = {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "bad"},
        "spec": {"schedule": "61 * * * *", "timeZone": "../etc", "jobTemplate": {"spec": job("x", "true")["spec"]}},
    }
    answers = [apply(running, one).stderr for one in (bad, cron)]
    del bad["spec"]["paralelism"]
    answers.append(apply(running, bad).stderr)
    for part in ("spec.paralelism", 'did you mean "parallelism"'):
        assert part in answers[0]
    for part in ("spec.schedule", "minute: 61", "spec.timeZone"):
        assert part in answers[1]
    for part in ("spec.completions: Required value", "spec.template.spec.restartPolicy: Required value"):
        assert part in answers[2]


def test_a_cron_job_makes_jobs_by_the_clock(running):
    cron = {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"},
        "spec": {
            "schedule": "@every 1s", "timeZone": "Europe/Berlin", "successfulJobsHistoryLimit": 1,
            "jobTemplate": {"spec": job("x", "echo tick")["spec"]},
        },
    }
    assert apply(running, cron).returncode == 0
    wait_until(lambda: running.json("get", "cronjob", "tick")["status"].get("lastSuccessfulTime"), "a Job succeeds")
    lines = [line.split() for line in running.run("get", "cj").stdout.splitlines()]
    assert lines[0] == ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "SCHEDULE", "AGE"]
    assert lines[1][:5] == ["tick", "@every", "1s", "Europe/Berlin", "False"]
    assert "SuccessfulCreate" in running.run("describe", "cronjob", "tick").stdout
    running.run("delete", "cronjob", "tick")
    wait_until(lambda: not running.items("jobs") and not running.items("pods"), "Jobs and pods go with it")


def stateful(name, script, **spec):
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {
            "serviceName": name, "selector": {"matchLabels": labels}, **spec,
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [script]},
            },
        },
    }


KEEPER = """\
[ -s /data/births ] || hostname >/data/births; echo again >>/data/births
exec sleep 1000000
"""


def pods_of(weft, name):
    return {pod["metadata"]["name"]: pod for pod in weft.items("pods", "-l", f"app={name}") if "deletionTimestamp" not in pod["metadata"]}


def test_a_stateful_set_keeps_names_order_and_claims(running):
    main = container(KEEPER)
    main["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    retention = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"},
        "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]},
    }
    spec = dict(replicas=2, volumeClaimTemplates=[claim], persistentVolumeClaimRetentionPolicy=retention)
    assert apply(running, service, stateful("db", main, **spec)).returncode == 0
    done = running.run("rollout", "status", "statefulset/db", "--timeout=30")
    assert "statefulset rolling update complete 2 pods at revision" in done.stdout
    pods = pods_of(running, "db")
    assert sorted(pods) == ["db-0", "db-1"]
    times = [pods[name]["metadata"]["creationTimestamp"] for name in ("db-0", "db-1")]
    assert times == sorted(times)
    assert running.run("exec", "db-0", "--", "hostname").stdout == "db-0\n"
    # Each finds the other by its name.
    found = running.run("exec", "db-0", "--", "getent", "hosts", "db-1.db").stdout.split()
    assert found[0] == pods["db-1"]["status"]["podIP"]
    alias = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "other"},
        "spec": {"type": "ExternalName", "externalName": "db-1.db.default.svc.cluster.local"},
    }
    apply(running, alias)
    found = running.run("exec", "db-0", "--", "getent", "hosts", "other").stdout.split()
    assert found[0] == pods["db-1"]["status"]["podIP"]
    # A pod that dies comes back under its name, with its data.
    running.run("delete", "pod", "db-1")
    wait_until(
        lambda: running.run("exec", "db-1", "--", "cat", "/data/births", check=False).stdout == "db-1\nagain\nagain\n",
        "db-1 finds its data",
    )
    # The number that is given up keeps its claim.
    running.run("scale", "statefulset", "db", "--replicas=1")
    wait_until(lambda: sorted(pods_of(running, "db")) == ["db-0"], "db-1 goes")
    assert sorted(c["metadata"]["name"] for c in running.items("pvc")) == ["data-db-0", "data-db-1"]
    lines = [line.split() for line in running.run("get", "sts").stdout.splitlines()]
    assert [line[:2] for line in lines] == [["NAME", "READY"], ["db", "1/1"]]
    running.run("delete", "statefulset", "db")
    wait_until(lambda: not running.items("pvc") and not pods_of(running, "db"), "claims go with the set")
    running.run("delete", "service", "db", "other")


def test_sets_roll_out_and_back(running):
    labels = {"app": "agent"}
    agent = {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container("exec sleep 1000001")]},
            },
        },
    }
    assert apply(running, agent).returncode == 0
    done = running.run("rollout", "status", "ds/agent", "--timeout=30")
    assert 'daemon set "agent" successfully rolled out' in done.stdout
    agent["spec"]["template"]["spec"]["containers"] = [container("exec sleep 1000002")]
    apply(running, agent)
    running.run("rollout", "status", "ds/agent", "--timeout=30")

    def commands():
        return [pod["spec"]["containers"][0]["command"][2] for pod in pods_of(running, "agent").values()]

    assert commands() == ["exec sleep 1000002"]
    history = running.run("rollout", "history", "ds/agent").stdout.split()
    assert history[-4:] == ["1", "<none>", "2", "<none>"]
    assert "1000001" in running.run("rollout", "history", "ds/agent", "--revision=1").stdout
    assert running.run("rollout", "undo", "ds/agent").stdout == "daemonset.apps/agent rolled back\n"
    running.run("rollout", "status", "ds/agent", "--timeout=30")
    wait_until(lambda: commands() == ["exec sleep 1000001"], "the first version is back")
    agent["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "fast"}
    assert "warning" not in apply(running, agent).stderr
    wait_until(lambda: not pods_of(running, "agent"), "no pod where the machine is not asked for")
    assert running.run("get", "ds").stdout.splitlines()[1].split()[:7] == ["agent", "0", "0", "0", "0", "0", "disk=fast"]
    running.run("delete", "ds", "agent")


SERVER = """\
import http.server, socket
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = socket.gethostname().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


def evict(weft, pod):
    """Asks for the end of a pod as `kubectl drain` does; the status of the answer."""
    connection = http.client.HTTPConnection("weft")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(f"{weft.state}/weft.sock")
    body = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "default"}})
    headers = {"Content-Type": "application/json"}
    connection.request("POST", f"/api/v1/namespaces/default/pods/{pod}/eviction", body, headers)
    return connection.getresponse().status


def test_load_makes_pods_and_a_budget_counts_them(running):
    labels = {"app": "web"}
    main = {"name": "main", "image": "shell", "command": ["/usr/bin/python3", "-c", SERVER], "ports": [{"containerPort": 8080}]}
    main["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [main]}
    web = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }
    rate = {"metric": {"name": "requests-per-second"}, "target": {"type": "AverageValue", "averageValue": "1"}}
    memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "10Gi"}}
    scaler = {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "annotations": {"weft.dev/autoscaler-period": "1s"}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3,
            "metrics": [{"type": "Pods", "pods": rate}, {"type": "Resource", "resource": memory}],
        },
    }
    budget = {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
    }
    done = apply(running, web, service, scaler, budget)
    assert done.returncode == 0 and "warning" not in done.stderr
    running.run("rollout", "status", "deployment/web", "--timeout=30")
    address = running.balancer_address("web")

    def scaled():
        for _ in range(20):
            assert fetch(address)[0] == 200
        return running.json("get", "deployment", "web")["spec"]["replicas"] == 3

    wait_until(scaled, "load makes pods", 40)
    running.run("rollout", "status", "deployment/web", "--timeout=30")
    wait_until(lambda: running.json("get", "hpa", "web")["status"]["currentReplicas"] == 3, "its status says so")
    status = running.json("get", "hpa", "web")["status"]
    assert [one["type"] for one in status["currentMetrics"]] == ["Pods", "Resource"]
    assert int(status["currentMetrics"][1]["resource"]["current"]["averageValue"]) > 1 << 20
    row = running.run("get", "hpa").stdout.splitlines()[1].split()
    assert row[:2] == ["web", "Deployment/web"] and row[-4:-1] == ["1", "3", "3"]
    told = running.run("describe", "hpa", "web").stdout
    assert "SuccessfulRescale" in told and "pods metric requests-per-second above target" in told

    def counted():
        return running.json("get", "pdb", "web")["status"].get("disruptionsAllowed") == 1

    wait_until(counted, "the budget counts the pods")
    status = running.json("get", "pdb", "web")["status"]
    assert (status["currentHealthy"], status["desiredHealthy"], status["expectedPods"]) == (3, 2, 3)
    assert running.run("get", "pdb").stdout.splitlines()[1].split()[:4] == ["web", "N/A", "1", "1"]
    # A budget that allows none refuses evictions; one that allows one lets a pod go.
    for allowed, status in ((0, 429), (1, 201)):
        budget["spec"]["maxUnavailable"] = allowed
        apply(running, budget)
        wait_until(lambda: running.json("get", "pdb", "web")["status"].get("disruptionsAllowed") == allowed, "it is counted anew")
        assert evict(running, sorted(pods_of(running, "web"))[0]) == status
    # A client that is bound to a pod stays with it.
    service["spec"]["sessionAffinity"] = "ClientIP"
    assert "warning" not in apply(running, service).stderr
    wait_until(lambda: len({fetch(address)[2] for _ in range(12)}) == 1, "one pod answers")
    (chosen,) = {fetch(address)[2] for _ in range(3)}
    running.run("delete", "hpa/web")
    running.run("scale", "deployment/web", "--replicas=6")
    wait_until(lambda: len(running.json("get", "endpoints", "web")["subsets"][0]["addresses"]) == 6, "more pods serve")
    assert {fetch(address)[2] for _ in range(12)} == {chosen}, "new pods take nobody over"
    running.run("delete", "pod", chosen.decode().strip())
    wait_until(lambda: len({fetch(address)[2] for _ in range(12)} | {chosen}) == 2, "another pod answers, and stays")
    running.run("delete", "deployment/web", "service/web", "pdb/web")
    wait_until(lambda: not pods_of(running, "web"), "the pods go")


def test_pods_are_replaced_when_their_settings_change(running):
    labels = {"app": "told"}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "told"}, "data": {"WORD": "one"}}
    main = container("echo $WORD; exec sleep 1000003")
    main["envFrom"] = [{"configMapRef": {"name": "told"}}]
    told = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "told", "annotations": {"weft.dev/restart-on-config-change": "true"}},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [main]}},
        },
    }
    apply(running, settings, told)
    running.run("rollout", "status", "deployment/told", "--timeout=30")
    first = set(pods_of(running, "told"))

    def marked():
        return "weft.dev/config-hash" in running.json("get", "deployment", "told")["metadata"]["annotations"]

    wait_until(marked, "the settings are known")
    assert set(pods_of(running, "told")) == first
    settings["data"]["WORD"] = "two"
    apply(running, settings)

    def replaced():
        pods = pods_of(running, "told")
        return len(pods) == 1 and not first & set(pods) and running.run("logs", *pods, check=False).stdout == "two\n"

    wait_until(replaced, "the pod has the new word")
    running.run("delete", "deployment/told", "configmap/told")
