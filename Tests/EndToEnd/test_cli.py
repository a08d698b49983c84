"""The command line: what it refuses, and how it says so; objects through the API."""

import json

import pytest

from weftkit import ROOT, leftovers, wait_until

GOOD = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  colour: blue
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hello
spec:
  replicas: 1
  selector:
    matchLabels:
      app: hello
  template:
    metadata:
      labels:
        app: hello
    spec:
      containers:
        - name: hello
          image: hello:1
          ports:
            - containerPort: 8080
"""


@pytest.mark.parametrize(
    "words, code, message",
    [
        ((), 2, "Usage: weft COMMAND"),
        (("frobnicate",), 2, "'frobnicate' is no command of weft"),
        (("aply",), 2, "Did you mean 'weft apply'?"),
        (("get",), 2, "'weft get' needs KIND"),
        (("get", "podz"), 1, "no Weft is running"),
        (("get", "pods", "--frob"), 2, "'--frob' is no option of 'weft get'"),
        (("get", "pods", "-o", "xml"), 1, "no Weft is running"),
        (("up",), 2, "'weft up' needs PATH... ('weft up examples/shop'): nothing ran before"),
        (("up", "/nowhere.yaml"), 1, "/nowhere.yaml: no such file or folder"),
        (("up", "--timeout", "soon", "x.yaml"), 2, "--timeout takes a whole number"),
        (("scale", "deployment", "web"), 2, "--replicas is needed"),
        (("stat", "--window", "soon"), 2, "--window takes a time"),
        (("logs",), 1, "no Weft is running"),
    ],
)
def test_a_wrong_command_line_is_explained(weft, words, code, message):
    done = weft.run(*words, check=False)
    assert done.returncode == code, done.stderr
    assert message in done.stderr + done.stdout


@pytest.mark.parametrize(
    "command", ["up", "down", "apply", "delete", "get", "logs", "scale", "rollout", "set", "stat", "check", "version", "serve"]
)
def test_every_command_has_help(weft, command):
    done = weft.run(command, "--help")
    assert f"Usage: weft {command}" in done.stdout and "--help" in done.stdout


def test_down_without_a_daemon_is_no_failure(weft):
    assert weft.run("down").returncode == 0


def test_check_names_what_works_and_what_to_do_about_the_rest(weft):
    report = weft.json("check")
    names = {check["name"] for check in report["checks"]}
    assert {"user namespaces", "pods", "nftables", "daemon"} <= names
    for check in report["checks"]:
        assert check["state"] in ("ok", "limited", "missing")
        assert check["detail"]
        assert check["state"] == "ok" or check["remedy"]


@pytest.mark.parametrize(
    "text, words",
    [
        (DEPLOYMENT.replace("image:", "imagee:"), ["bad.yaml", "document 1", "imagee", 'did you mean "image"', ":17"]),
        (DEPLOYMENT.replace("replicas: 1", "replicas: lots"), ["spec.replicas", "whole number"]),
        (DEPLOYMENT.replace("app: hello\n    spec", "app: other\n    spec"), ["selector", "labels"]),
        (GOOD + "---\n" + DEPLOYMENT.replace("containerPort: 8080", "containerPort: 80800"), ["document 2", "containerPort"]),
        ("kind: Pod\n", ["apiVersion"]),
        ("apiVersion: v1\nkind: Podd\nmetadata: {name: x}\n", ["Podd"]),
        ("a: [1, 2\n", ["bad.yaml", "line"]),
        ("{", ["bad.yaml"]),
        ("just text\n", ["bad.yaml", "object"]),
        (GOOD.replace("name: settings", "name: Bad_Name"), ["metadata.name", "Bad_Name"]),
    ],
)
def test_a_broken_manifest_is_refused_by_place_and_nothing_is_done(weft, folder, text, words):
    file = folder / "bad.yaml"
    file.write_text(text)
    done = weft.run("up", "--detach", str(file), check=False)
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr, done.stderr
    assert not leftovers(folder), leftovers(folder)


def test_all_problems_are_reported_at_once(weft, folder):
    (folder / "bad.yaml").write_text(
        DEPLOYMENT.replace("image:", "imagee:").replace("replicas: 1", "replicas: -1") + "---\n" + GOOD.replace("\ndata:", "\ndta:")
    )
    errors = weft.run("up", "-d", str(folder / "bad.yaml"), check=False).stderr
    assert "imagee" in errors and "replicas" in errors and "dta" in errors


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    import pathlib, shutil, tempfile
    from weftkit import Weft

    path = pathlib.Path(tempfile.mkdtemp(prefix="weft-", dir="/tmp"))
    (path / "good.yaml").write_text(GOOD)
    program = Weft(path / "state")
    program.run("up", "--detach", str(path / "good.yaml"))
    yield program
    program.run("down", check=False)
    left = leftovers(path)
    shutil.rmtree(path, ignore_errors=True)
    assert not left, left


def test_standard_input_and_json_are_manifests_too(running):
    text = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "piped"}, "data": {"a": "1"}})
    assert running.run("apply", "-f", "-", input=text).stdout == "configmap/piped created\n"
    assert running.run("apply", "-f", "-", input=text).stdout == "configmap/piped unchanged\n"
    assert running.json("get", "cm", "piped")["data"] == {"a": "1"}


def test_a_field_dropped_from_a_manifest_is_removed(running):
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fields"}, "data": {"a": "1", "b": "2"}}
    running.run("apply", "-f", "-", input=json.dumps(one))
    del one["data"]["b"]
    assert running.run("apply", "-f", "-", input=json.dumps(one)).stdout == "configmap/fields configured\n"
    assert running.json("get", "cm", "fields")["data"] == {"a": "1"}


def test_a_kind_that_is_stored_only_brings_a_warning(running):
    text = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: some}\n"
        "spec: {podSelector: {matchLabels: {app: web}}}\n"
    )
    done = running.run("apply", "-f", "-", input=text)
    assert "NetworkPolicy" in done.stderr and "warning" in done.stderr
    assert running.json("get", "netpol", "some")["spec"]["podSelector"]["matchLabels"] == {"app": "web"}


def test_secrets_are_encoded_and_not_shown_in_tables(running):
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {password: hunter2}\n"
    running.run("apply", "-f", "-", input=text)
    assert running.json("get", "secret", "key")["data"] == {"password": "aHVudGVyMg=="}
    assert "hunter2" not in running.run("get", "secrets", "-o", "wide").stdout


def test_get_prints_json_yaml_names_and_wide_tables(running):
    assert running.run("get", "cm", "settings", "-o", "name").stdout == "configmap/settings\n"
    assert "colour: blue" in running.run("get", "cm", "settings", "-o", "yaml").stdout
    assert running.json("get", "configmaps")["kind"] == "List"
    assert running.run("get", "cm,secrets").stdout.count("NAME") >= 1


def test_a_missing_object_is_said_as_kubernetes_says_it(running):
    done = running.run("get", "pod", "nobody", check=False)
    assert done.returncode == 1 and 'pods "nobody" not found' in done.stderr
    done = running.run("delete", "service", "nobody", check=False)
    assert done.returncode == 1 and 'services "nobody" not found' in done.stderr
    assert running.run("delete", "service", "nobody", "--ignore-not-found").returncode == 0


def test_an_unknown_kind_has_a_suggestion(running):
    done = running.run("get", "deploymnets", check=False)
    assert done.returncode == 2 and "did you mean deployments" in done.stderr


def test_a_namespace_holds_its_objects_and_takes_them_along(running):
    running.run("apply", "-f", "-", input="apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n")
    running.run("apply", "-n", "team", "-f", "-", input=GOOD)
    assert "team" in running.run("get", "cm", "-A").stdout
    running.run("delete", "namespace", "team")
    wait_until(lambda: running.run("get", "cm", "-n", "team").stdout == "", "the namespace is empty")


def test_an_image_that_means_nothing_here_says_what_to_do(running):
    running.run("apply", "-f", "-", input=DEPLOYMENT)
    try:
        pod = wait_until(
            lambda: next(
                (
                    pod
                    for pod in running.items("pods")
                    if pod["status"].get("containerStatuses")
                    and pod["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason")
                    in ("ErrImagePull", "ImagePullBackOff")
                ),
                None,
            ),
            "the pod waits for its image",
        )
        message = pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
        assert "hello" in message and "kind: Image" in message
        assert "ErrImagePull" in running.run("get", "pods").stdout or "ImagePullBackOff" in running.run("get", "pods").stdout
    finally:
        running.run("delete", "deployment", "hello")
