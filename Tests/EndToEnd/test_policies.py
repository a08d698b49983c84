"""ValidatingAdmissionPolicies: what expressions forbid is not written, whoever writes it and however."""

import json
import shutil

import pytest

from kubekit import KUBECTLS, Kubectl, needs_kubectl, running
from weftkit import wait_until

pytestmark = needs_kubectl

GROUP = "admissionregistration.k8s.io/v1"


@pytest.fixture(scope="module")
def kubectl():
    with running() as weft:
        (weft.folder / "config").write_text(weft.run("kubeconfig").stdout)
        newest = max(KUBECTLS, key=lambda version: [int(part) for part in version[1:].split(".")[:2]])
        yield Kubectl(KUBECTLS[newest], weft.folder / "home", weft.folder / "config")
    shutil.rmtree(weft.folder, ignore_errors=True)


def apply(kubectl, *objects, words=(), check=True):
    return kubectl.run("apply", *words, "-f", "-", text="\n---\n".join(map(json.dumps, objects)), check=check)


def policy(name, *validations, resource="configmaps", operations=("CREATE", "UPDATE"), group="", **spec):
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": list(operations), "resources": [resource]}
    return {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": list(validations), **spec}}


def binding(name, actions=("Deny",), of=None, **spec):
    return {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": of or name, "validationActions": list(actions), **spec}}


def settings(name, labels=None, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels or {}}, "data": data}


@pytest.fixture
def put(kubectl):
    """Applies policies and bindings for one test."""
    names = []

    def put(*objects):
        names.extend(f"{one['kind']}/{one['metadata']['name']}" for one in objects)
        apply(kubectl, *objects)
    yield put
    kubectl("delete", "--ignore-not-found", *names)


def test_every_way_of_writing_is_judged(kubectl, put):
    put(policy("colors", {"expression": "!variables.has || variables.color in ['red', 'green']",
                          "messageExpression": "variables.color + ' is no color of ' + object.metadata.name"},
               variables=[{"name": "has", "expression": "has(object.data) && 'color' in object.data"},
                          {"name": "color", "expression": "object.data.color"}],
               matchConditions=[{"name": "named", "expression": "object.metadata.name.startsWith('paint')"}]),
        binding("colors"))
    apply(kubectl, settings("paint", color="red"), settings("other", color="blue"))
    told = ("ValidatingAdmissionPolicy 'colors' with binding 'colors' denied request: blue is no color of paint")
    for words in [("apply",), ("apply", "--dry-run=server"), ("apply", "--server-side", "--force-conflicts"), ("replace",)]:
        done = kubectl.run(*words, "-f", "-", text=json.dumps(settings("paint", color="blue")), check=False)
        assert done.returncode != 0 and told in done.stderr, (words, done.stderr)
    done = kubectl.run("patch", "configmap", "paint", "--type=merge", "-p", '{"data":{"color":"blue"}}', check=False)
    assert done.returncode != 0 and told in done.stderr
    done = kubectl.run("create", "configmap", "paint2", "--from-literal=color=blue", check=False)
    assert done.returncode != 0 and "blue is no color of paint2" in done.stderr
    assert kubectl.json("get", "configmap", "paint")["data"] == {"color": "red"}


def test_old_and_new_deletions_and_who_asks(kubectl, put):
    put(policy("kept", {"expression": "request.operation != 'DELETE' || !has(oldObject.data.keep)", "message": "is kept", "reason": "Forbidden"},
               {"expression": "oldObject == null || object == null || object.data.size() >= oldObject.data.size()", "message": "may only grow"},
               {"expression": "request.userInfo.username == 'system:admin' && authorizer.group('').resource('pods').check('list').allowed()"},
               operations=["*"]),
        binding("kept", matchResources={"objectSelector": {"matchLabels": {"keep": "yes"}}}))
    kept = {"keep": "yes"}
    apply(kubectl, settings("grows", kept, a="1", b="2"), settings("free", keep="1"))
    done = apply(kubectl, settings("grows", kept, a="1"), check=False)
    assert "may only grow" in done.stderr
    apply(kubectl, settings("grows", kept, a="1", b="2", keep="1"))
    done = kubectl.run("delete", "configmap", "grows", check=False)
    assert done.returncode != 0 and "(Forbidden)" in done.stderr and "is kept" in done.stderr
    kubectl("delete", "configmap", "free")
    assert kubectl.json("get", "configmap", "grows")["data"]["keep"] == "1"


def test_parameters_warnings_and_failures_of_the_policy_itself(kubectl, put):
    limit = {"expression": "object.data.size() <= int(params.data.most)", "messageExpression": "'at most ' + params.data.most"}
    kind, yes = {"apiVersion": "v1", "kind": "ConfigMap"}, {"limited": "yes"}
    chosen = {"paramRef": {"name": "most", "parameterNotFoundAction": "Deny"}, "matchResources": {"objectSelector": {"matchLabels": yes}}}
    put(policy("limit", limit, paramKind=kind), binding("limit", **chosen))
    done = apply(kubectl, settings("limited", yes, a="1"), check=False)
    assert "no params found" in done.stderr
    apply(kubectl, settings("most", most="1"))
    apply(kubectl, settings("limited", yes, a="1"))
    assert "at most 1" in apply(kubectl, settings("limited", yes, a="1", b="2"), check=False).stderr
    put(binding("limit", ["Warn", "Audit"], **chosen))
    done = apply(kubectl, settings("limited", yes, a="1", b="2"))
    assert "Warning: Validation failed for ValidatingAdmissionPolicy 'limit' with binding 'limit': at most 1" in done.stderr
    # A parameter that is no number: the policy fails, and fails closed unless told otherwise.
    put(binding("limit", **chosen))
    apply(kubectl, settings("most", most="many"))
    assert "resulted in error" in apply(kubectl, settings("limited", yes, a="2"), check=False).stderr
    put(policy("limit", limit, paramKind=kind, failurePolicy="Ignore"))
    apply(kubectl, settings("limited", yes, a="2"))


def test_wrong_expressions_are_named_when_the_policy_is_written(kubectl, put):
    wrong = policy("wrong", {"expression": "object.spec.replicas <"}, {"expression": "1 + 'a' == 2"}, {"expression": "params.x"})
    done = apply(kubectl, wrong, check=False)
    assert done.returncode != 0
    for place in ("spec.validations[0].expression", "spec.validations[1].expression", "undeclared reference to 'params'"):
        assert place in done.stderr, done.stderr
    put(policy("typed", {"expression": "object.spec.replicaz < 5"}, {"expression": "object.spec.replicas < 5"}, resource="deployments", group="apps"))
    status = kubectl.json("get", "validatingadmissionpolicy", "typed")["status"]
    warnings = status["typeChecking"]["expressionWarnings"]
    assert [one["fieldRef"] for one in warnings] == ["spec.validations[0].expression"]
    assert "undefined field 'replicaz'" in warnings[0]["warning"] and status["observedGeneration"] == 1
    assert "typed" in kubectl("get", "validatingadmissionpolicies")


def test_pods_of_controllers_are_judged_too(kubectl, put):
    put(policy("no-pods", {"expression": "false", "message": "no pods of this kind"}, resource="pods"),
        binding("no-pods", matchResources={"objectSelector": {"matchLabels": {"app": "judged"}}}))
    apply(kubectl, {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "judged"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "judged"}}, "template": {
            "metadata": {"labels": {"app": "judged"}}, "spec": {"containers": [{"name": "c", "image": "none"}]}}}})
    wait_until(lambda: "no pods of this kind" in kubectl("get", "events"), "the refusal is told in an event")
    assert kubectl.json("get", "pods")["items"] == []
    kubectl("delete", "replicaset", "judged")


def test_a_rule_that_never_ends_is_stopped(kubectl, put):
    numbers = list(range(1000))
    put(policy("slow", {"expression": f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, a + b + c >= 0)))"}),
        binding("slow", matchResources={"objectSelector": {"matchLabels": {"slow": "yes"}}}))
    done = apply(kubectl, settings("slow", {"slow": "yes"}), check=False)
    assert "cost limit exceeded" in done.stderr


def definition(name, **annotations):
    kind = name.capitalize()
    schema = {"type": "object", "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer"}, "most": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "!has(self.most) || self.size <= self.most", "message": "size must not exceed most"},
                                     {"rule": "self.size >= oldSelf.size", "message": "size may only grow"}]}}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{name}s.test.weft.dev", "annotations": annotations},
            "spec": {"group": "test.weft.dev", "scope": "Namespaced", "names": {"plural": f"{name}s", "singular": name, "kind": kind},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}}


def crate(name, **spec):
    return {"apiVersion": "test.weft.dev/v1", "kind": "Crate", "metadata": {"name": name}, "spec": spec}


def test_custom_kinds_are_judged_and_are_parameters(kubectl, put):
    # The channel of a definition may not change: what a policy of Gateway API holds for its own.
    put(policy("channel", {"expression": "oldObject == null || !has(oldObject.metadata.annotations) || oldObject.metadata.annotations.exists(k, "
                                         "k == 'channel' && has(object.metadata.annotations) && object.metadata.annotations[?'channel'].orValue('') == "
                                         "oldObject.metadata.annotations[k])", "message": "the channel stays"},
               resource="customresourcedefinitions", group="apiextensions.k8s.io"),
        binding("channel"))
    apply(kubectl, definition("crate", channel="standard"), words=["--server-side"])
    done = apply(kubectl, definition("crate", channel="experimental"), words=["--server-side"], check=False)
    assert done.returncode != 0 and "the channel stays" in done.stderr
    kubectl("wait", "--for=condition=Established", "crd/crates.test.weft.dev", "--timeout=30s")
    # Rules of its schema, and of a change.
    apply(kubectl, crate("a", size=2, most=5))
    assert "spec: Invalid value: \"object\": size must not exceed most" in apply(kubectl, crate("b", size=6, most=5), check=False).stderr
    assert "size may only grow" in apply(kubectl, crate("a", size=1, most=5), check=False).stderr
    put(policy("crates", {"expression": "object.data.size() <= params.spec.size", "messageExpression": "'only ' + string(params.spec.size)"},
               paramKind={"apiVersion": "test.weft.dev/v1", "kind": "Crate"}),
        binding("crates", paramRef={"name": "a", "parameterNotFoundAction": "Deny"}, matchResources={"objectSelector": {"matchLabels": {"crate": "yes"}}}))
    apply(kubectl, settings("full", {"crate": "yes"}, a="1", b="2"))
    assert "only 2" in apply(kubectl, settings("full", {"crate": "yes"}, a="1", b="2", c="3"), check=False).stderr
    wrong = definition("box")
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"][0]["rule"] = "self.sice > 1"
    done = apply(kubectl, wrong, check=False)
    assert "undefined field 'sice'" in done.stderr and "x-kubernetes-validations[0].rule" in done.stderr, done.stderr
    kubectl("delete", "crd", "crates.test.weft.dev")
