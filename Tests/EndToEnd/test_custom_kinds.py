"""Custom kinds: definitions as Gateway API's are made, driven by real clients."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from kubekit import CLIENTS, KUBECTLS, Kubectl, needs_kubectl, needs_python_clients, running
from weftkit import wait_until

# Every construct that Gateway API's definitions are made of, in one of our own.
DEFINITION = r"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: lanes.roads.example.com
spec:
  group: roads.example.com
  scope: Namespaced
  names: {plural: lanes, singular: lane, kind: Lane, listKind: LaneList, shortNames: [ln], categories: [roads]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
    selectableFields: [{jsonPath: .spec.tier}]
    additionalPrinterColumns:
    - {name: Hosts, type: string, jsonPath: .spec.hosts}
    - {name: Accepted, type: string, jsonPath: '.status.conditions[?(@.type=="Accepted")].status'}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    - {name: Tier, type: string, priority: 1, jsonPath: .spec.tier}
    schema: &schema
      openAPIV3Schema:
        description: A lane leads requests of some hosts to gates.
        type: object
        required: [spec]
        properties:
          apiVersion: {type: string}
          kind: {type: string}
          metadata: {type: object}
          spec:
            description: What is wished for.
            type: object
            required: [gates]
            x-kubernetes-validations:
            - {rule: "self.hosts.all(h, !h.startsWith('*') || h.startsWith('*.'))", message: a wildcard is a whole label}
            - {rule: "!has(oldSelf.tier) || has(self.tier) && self.tier == oldSelf.tier", message: the tier stays}
            properties:
              replicas: {type: integer, format: int32, default: 1, minimum: 0, maximum: 100}
              tier: {type: string, enum: [gold, silver]}
              hosts:
                description: The names that are led.
                type: array
                default: []
                maxItems: 4
                x-kubernetes-list-type: set
                items: {type: string, minLength: 1, maxLength: 253, pattern: '^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'}
              gates:
                type: array
                minItems: 1
                maxItems: 16
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                x-kubernetes-validations: [{rule: "self.all(a, self.filter(b, has(a.port) && has(b.port) && a.port == b.port).size() <= 1)", message: ports are told apart}]
                items:
                  type: object
                  required: [name]
                  properties:
                    name: {type: string, maxLength: 63}
                    port: {type: integer, format: int32, minimum: 1, maximum: 65535}
                    match: {type: object, default: {type: PathPrefix, value: /}, properties: {type: {type: string, default: PathPrefix}, value: {type: string, default: /}}}
              address:
                type: object
                properties: {kind: {type: string}, value: {type: string, maxLength: 253}}
                oneOf:
                - {properties: {kind: {enum: [IP]}, value: {anyOf: [{format: ipv4}, {format: ipv6}]}}}
                - {properties: {kind: {not: {enum: [IP]}}}}
              notes: {type: object, maxProperties: 2, additionalProperties: {type: string, maxLength: 9}}
              whole: {type: object, x-kubernetes-map-type: atomic, properties: {a: {type: string}, b: {type: string}}}
              open: {type: object, x-kubernetes-preserve-unknown-fields: true}
              width: {x-kubernetes-int-or-string: true}
          status:
            type: object
            default: {conditions: [{type: Accepted, status: Unknown, lastTransitionTime: "1970-01-01T00:00:00Z"}]}
            properties:
              replicas: {type: integer, format: int64}
              selector: {type: string}
              conditions:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [type]
                items:
                  type: object
                  required: [type, status]
                  properties: {type: {type: string}, status: {type: string, enum: ["True", "False", Unknown]}, lastTransitionTime: {type: string, format: date-time}}
  - {name: v1beta1, served: true, storage: false, deprecated: true, subresources: {status: {}}, schema: *schema}
  - {name: v1alpha1, served: false, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
"""


def lane(name, version="v1", **spec):
    spec = {"gates": [{"name": "north", "port": 80}], "hosts": ["a.example.com"], **spec}
    return json.dumps({"apiVersion": f"roads.example.com/{version}", "kind": "Lane", "metadata": {"name": name}, "spec": spec})


@pytest.fixture(scope="module")
def weft(needs_namespaces):
    with running("--api-port", "0", "--api-tls", "127.0.0.1:0") as weft:
        weft.config = weft.folder / "config"
        weft.run("kubeconfig", "-o", str(weft.config))
        yield weft


@pytest.fixture(params=KUBECTLS or ["none"])
def kubectl(request, weft):
    home = weft.folder / request.param
    home.mkdir(exist_ok=True)
    kubectl = Kubectl(KUBECTLS[request.param], home, weft.config)
    kubectl.is_old = request.param.startswith("v1.20")
    yield kubectl
    kubectl("delete", "crd", "lanes.roads.example.com", "--ignore-not-found")


def fails(kubectl, *words, **more):
    done = kubectl.run(*words, check=False, **more)
    assert done.returncode != 0, done.stdout
    return done.stderr


@needs_kubectl
def test_kubectl_drives_a_custom_kind(kubectl, weft):
    kubectl("apply", "-f", "-", text=DEFINITION)
    kubectl("wait", "--for=condition=Established", "crd/lanes.roads.example.com", "--timeout=30s")
    assert "unchanged" in kubectl("apply", "-f", "-", text=DEFINITION)
    assert "ln" in kubectl("api-resources", "--api-group=roads.example.com")

    # Made, completed, pruned; refused by its schema and by its rules.
    kubectl("apply", "-f", "-", text=lane("one", tier="gold", notes={"a": "b"}, width="50%", open={"any": [1]}))
    one = kubectl.json("get", "ln", "one")
    assert one["spec"]["replicas"] == 1 and one["spec"]["gates"][0]["match"] == {"type": "PathPrefix", "value": "/"}
    assert one["metadata"]["generation"] == 1 and one["status"]["conditions"][0]["status"] == "Unknown"
    for spec, words in [
        ({"gates": []}, "should have at least 1 items"),
        ({"hosts": ["A"]}, "spec.hosts[0] in body should match"),
        ({"hosts": ["a", "a"]}, 'Duplicate value: "a"'),
        ({"tier": "lead"}, 'Unsupported value: "lead": supported values: "gold", "silver"'),
        ({"gates": [{"name": "a", "port": 1}, {"name": "b", "port": 1}]}, "ports are told apart"),
        ({"address": {"kind": "IP", "value": "x"}}, "must validate one and only one schema (oneOf)"),
        ({"notes": {"a": "b", "c": "d", "e": "f"}}, "must have at most 2 items"),
        ({"replicas": 101}, "should be less than or equal to 100"),
    ]:
        assert words in fails(kubectl, "create", "--validate=false", "-f", "-", text=lane("bad", **spec)), words
    assert "junk" in fails(kubectl, "apply", "-f", "-", text=lane("bad", junk=1))
    assert "the tier stays" in fails(kubectl, "patch", "lane", "one", "--type=merge", "-p", '{"spec": {"tier": "silver"}}')

    # Changed in every way; what nothing asks for changes nothing.
    kubectl("apply", "-f", "-", text=lane("one", tier="gold", notes={"a": "b"}, width="50%", open={"any": [1]}))
    assert kubectl.json("get", "lane", "one")["metadata"]["resourceVersion"] == one["metadata"]["resourceVersion"]
    kubectl("patch", "lane", "one", "--type=json", "-p", '[{"op": "add", "path": "/spec/hosts/-", "value": "b.example.com"}]')
    kubectl("label", "lane", "one", "a=b")
    assert "strategic" in fails(kubectl, "patch", "lane", "one", "--type=strategic", "-p", "{}") or not kubectl.is_old
    kubectl("scale", "lane", "one", "--replicas=3")
    one = kubectl.json("get", "lane", "one")
    assert (one["spec"]["replicas"], one["metadata"]["generation"]) == (3, 3)
    rows = kubectl("get", "lanes", "-o", "wide").splitlines()
    assert rows[0].split() == ["NAME", "HOSTS", "ACCEPTED", "AGE", "TIER"] and '["a.example.com","b.example.com"]' in rows[1]
    assert kubectl("get", "roads", "-o", "name").split() == ["lane.roads.example.com/one"]
    kubectl("apply", "-f", "-", text=lane("two", tier="silver"))
    assert kubectl("get", "lanes", "--field-selector", "spec.tier=silver", "-o", "name").split() == ["lane.roads.example.com/two"]
    assert "field label not supported" in fails(kubectl, "get", "lanes", "--field-selector", "spec.width=1")

    # Both versions show the same objects.
    old = json.loads(kubectl("get", "--raw", "/apis/roads.example.com/v1beta1/namespaces/default/lanes"))
    assert {item["apiVersion"] for item in old["items"]} == {"roads.example.com/v1beta1"} and len(old["items"]) == 2
    assert "NotFound" in fails(kubectl, "get", "--raw", "/apis/roads.example.com/v1alpha1/namespaces/default/lanes")
    done = kubectl.run("apply", "-f", "-", text=lane("three", version="v1beta1"))
    assert kubectl.json("get", "lanes.v1.roads.example.com", "three")["apiVersion"] == "roads.example.com/v1"
    assert kubectl.is_old or "deprecated" in done.stderr

    # Described to clients.
    assert "The names that are led." in kubectl("explain", "lane.spec.hosts")
    assert "match" in kubectl("explain", "lane.spec.gates", "--recursive")
    assert "replicas: 7" in kubectl.run("diff", "-f", "-", text=lane("three", replicas=7), check=False).stdout
    assert "configured" in kubectl("apply", "--dry-run=server", "-f", "-", text=lane("three", replicas=7))

    # Owned by keys.
    kubectl("apply", "--server-side", "--field-manager=left", "-f", "-", text=lane("own"))
    kubectl("apply", "--server-side", "--field-manager=right", "-f", "-", text=json.dumps({**json.loads(lane("own")), "spec": {"gates": [{"name": "south", "port": 81}], "hosts": ["b.example.com"]}}))
    own = kubectl.json("get", "lane", "own")["spec"]
    assert [gate["name"] for gate in own["gates"]] == ["north", "south"] and len(own["hosts"]) == 2
    assert "conflict" in fails(kubectl, "apply", "--server-side", "--field-manager=right", "-f", "-", text=lane("own", gates=[{"name": "north", "port": 9}]))

    # An object that a custom one owns goes with it; a definition takes its objects along.
    uid = kubectl.json("get", "lane", "two")["metadata"]["uid"]
    owner = {"apiVersion": "roads.example.com/v1", "kind": "Lane", "name": "two", "uid": uid}
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [owner]}}))
    kubectl("delete", "lane", "two")
    wait_until(lambda: not kubectl("get", "configmap", "owned", "--ignore-not-found"), "the owned object to go")
    kubectl("create", "namespace", "lane-place")
    kubectl("apply", "-n", "lane-place", "-f", "-", text=lane("there"))
    kubectl("delete", "namespace", "lane-place")
    kubectl("delete", "crd", "lanes.roads.example.com")
    assert "lanes" not in kubectl("api-resources", "--api-group=roads.example.com", "-o", "name")


@needs_kubectl
def test_definitions_that_are_none_are_refused(weft):
    kubectl = Kubectl(list(KUBECTLS.values())[-1], weft.folder, weft.config)
    for old, new, words in [
        ("name: lanes.roads", "name: lane.roads", 'must be spec.names.plural+"."+spec.group'),
        ("tier: {type: string, enum: [gold, silver]}", "tier: {}", "properties[tier].type: Required value"),
        ("has(oldSelf.tier) || has(self.tier)", "has(oldSelf.tier) || has(self.tear)", "undefined field 'tear'"),
        ("scope: Namespaced", "scope: Namespaced\n  conversion: {strategy: Webhook}", "calls no conversion webhooks"),
        ("storage: true", "storage: false", "exactly one version marked as storage version"),
        ("minLength: 1, maxLength", "pattern2: 1, maxLength", "unknown field"),
    ]:
        assert old in DEFINITION
        assert words in fails(kubectl, "create", "-f", "-", text=DEFINITION.replace(old, new)), words


@needs_python_clients
def test_python_clients_drive_a_custom_kind(weft):
    program = """
        import asyncio, json, sys, threading
        import yaml, kr8s
        from kubernetes import client, config, dynamic, watch
        from kr8s.objects import new_class
        definition = yaml.safe_load(sys.stdin.read())
        config.load_kube_config()
        api = client.CustomObjectsApi()
        extensions = client.ApiextensionsV1Api()
        extensions.create_custom_resource_definition(definition)
        place = ("roads.example.com", "v1", "default", "lanes")
        body = {"apiVersion": "roads.example.com/v1", "kind": "Lane", "metadata": {"name": "py"}, "spec": {"gates": [{"name": "a"}]}}
        made = api.create_namespaced_custom_object(*place, body)
        print(made["spec"]["replicas"], len(api.list_namespaced_custom_object(*place)["items"]))
        api.patch_namespaced_custom_object_status(*place, "py", {"status": {"replicas": 2}})
        api.patch_namespaced_custom_object_scale(*place, "py", {"spec": {"replicas": 5}})
        made = api.get_namespaced_custom_object(*place, "py")
        print(made["spec"]["replicas"], made["status"]["replicas"], made["metadata"]["generation"])
        try:
            api.create_namespaced_custom_object(*place, {**body, "metadata": {"name": "bad"}, "spec": {"gates": []}})
        except client.ApiException as error:
            print(error.status, json.loads(error.body)["details"]["causes"][0]["field"])
        lanes = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="roads.example.com/v1", kind="Lane")
        print(lanes.get(name="py", namespace="default").spec.gates[0].name)
        for event in watch.Watch().stream(api.list_namespaced_custom_object, *place, timeout_seconds=20):
            print(event["type"], event["object"]["metadata"]["name"])
            break
        Lane = new_class(kind="Lane", version="roads.example.com/v1", namespaced=True, scalable=True)
        lane = Lane.get("py", namespace="default")
        lane.patch({"spec": {"tier": "gold"}})
        lane.patch({"status": {"replicas": 4}}, subresource="status")
        lane.refresh()
        print(lane.spec.tier, lane.status.replicas)
        for event, lane in kr8s.watch("lanes.roads.example.com", namespace="default"):
            print(event, lane.name)
            break
        api.patch_namespaced_custom_object_status(*place, "py", {"status": {"selector": "app=py"}})
        scaling = {"scaleTargetRef": {"apiVersion": "roads.example.com/v1", "kind": "Lane", "name": "py"}, "minReplicas": 7, "maxReplicas": 9}
        metadata = {"name": "py", "annotations": {"weft.dev/autoscaler-period": "1"}}
        client.AutoscalingV2Api().create_namespaced_horizontal_pod_autoscaler("default", {"metadata": metadata, "spec": scaling}, _preload_content=False)
        for event in watch.Watch().stream(api.list_namespaced_custom_object, *place, timeout_seconds=60):
            if event["object"]["spec"]["replicas"] == 7:
                print("scaled")
                break
        client.AutoscalingV2Api().delete_namespaced_horizontal_pod_autoscaler("py", "default", _preload_content=False)
        lane.delete()
        extensions.delete_custom_resource_definition("lanes.roads.example.com")
    """
    environment = {**os.environ, "PYTHONPATH": CLIENTS, "KUBECONFIG": str(weft.config), "HOME": str(weft.folder)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], input=DEFINITION, capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split("\n")[:-1] == ["1 1", "5 2 2", "422 spec.gates", "a", "ADDED py", "gold 4", "ADDED py", "scaled"]


# The object stands before its definition: what it rests on goes first all the same.
GADGETS = """\
apiVersion: things.example.com/v1
kind: Gadget
metadata: {name: early}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.things.example.com}
spec:
  group: things.example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget, shortNames: [gd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Colour, type: string, priority: 1, jsonPath: .spec.colour}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations: [{rule: "self.size != 7", message: seven is taken}]
            properties:
              size: {type: integer, minimum: 1, maximum: 9}
              colour: {type: string, default: blue, enum: [blue, red]}
          status: {type: object, properties: {size: {type: integer}}}
"""


@pytest.fixture
def gadgets(weft):
    file = weft.folder / "gadgets.yaml"
    file.write_text(GADGETS)
    yield file
    weft.run("delete", "crd", "gadgets.things.example.com", "--ignore-not-found")


def test_weft_drives_a_custom_kind(weft, gadgets):
    plan = weft.run("apply", "-f", str(gadgets), "--dry-run=server").stdout
    assert "gadget.things.example.com/early created (server dry run)" in plan
    assert "2 of them new" in weft.run("up", "--detach", str(gadgets)).stderr
    assert weft.run("apply", "-f", str(gadgets)).stdout.split()[1::2] == ["unchanged"] * 2
    weft.run("apply", "-f", "-", input=GADGETS.split("---")[0].replace("early", "late").replace("3", "4"))

    for word in ["gadgets", "gadget", "gd", "Gadget", "gadgets.things.example.com", "gadgets.v1.things.example.com"]:
        lines = weft.run("get", word).stdout.splitlines()
        assert [line.split() for line in lines] == [["NAME", "SIZE"], ["early", "3"], ["late", "4"]], word
    assert "COLOUR" in weft.run("get", "gd", "-o", "wide").stdout and "blue" in weft.run("get", "gd", "-o", "wide").stdout
    assert weft.run("get", "gd", "-o", "name").stdout.split() == ["gadget.things.example.com/early", "gadget.things.example.com/late"]
    assert weft.json("get", "gd", "early")["spec"] == {"size": 3, "colour": "blue"}
    assert "colour: blue" in weft.run("get", "gadget/early", "-o", "yaml").stdout
    assert "gadget.things.example.com/early" in weft.run("get", "all").stdout
    assert "did you mean gadgets?" in weft.run("get", "gadgetz", check=False).stderr
    described = weft.run("describe", "gd", "early").stdout
    assert "things.example.com/v1" in described and "Colour:  blue" in described

    watch = weft.start("get", "gd", "early", "-w", "--no-headers")
    try:
        assert watch.stdout.readline().split() == ["early", "3"]
        assert "scaled" in weft.run("scale", "gd", "early", "--replicas=6").stdout
        assert watch.stdout.readline().split() == ["early", "6"]
    finally:
        watch.kill()
        watch.communicate()

    assert 'gadget.things.example.com "late" deleted' in weft.run("delete", "gd/late").stdout
    deleted = weft.run("delete", "-f", str(gadgets)).stdout.splitlines()
    assert [line.split()[0] for line in deleted] == ["gadget.things.example.com", "customresourcedefinition"]
    assert "no kind that Weft knows" in weft.run("get", "gd", check=False).stderr


def test_weft_refuses_custom_objects_by_place(weft, gadgets):
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: innocent}\n---\napiVersion: things.example.com/v1\nkind: Gadget\n"

    def refusal(text):
        done = weft.run("apply", "-f", "-", input=text, check=False)
        assert done.returncode == 1, done.stdout
        return done.stderr

    lonely = head + "metadata: {name: one}\nspec: {size: 1}\n"
    assert "needs its CustomResourceDefinition first" in refusal(lonely)
    bad = head + "metadata:\n  name: bad\nspec:\n  size: 12\n  colour: green\n  shape: round\n"
    # By the definition beside it, and by the one that the daemon has.
    for text, offset in [(GADGETS + "---\n" + bad, len(GADGETS.splitlines()) + 1), (bad, 0)]:
        if not offset:
            weft.run("apply", "-f", str(gadgets))
        document = 4 if offset else 2
        said = refusal(text)
        assert "nothing was applied" in said
        for line, words in [
            (10, "spec.size: Invalid value: 12"), (11, 'spec.colour: Unsupported value: "green"'), (12, "spec.shape: unknown field"),
        ]:
            assert f"standard input:{line + offset}, document {document}, Gadget/bad: {words}" in said, said
    assert "innocent" not in weft.run("get", "configmaps").stdout
    # A rule is the daemon's to check; its place is said, too.
    seven = head.split("---\n")[1] + "metadata:\n  name: seven\nspec:\n  size: 7\n"
    assert "standard input:5, document 1, Gadget/seven" in (said := refusal(seven)) and "seven is taken" in said
    # A definition is checked before anything is done.
    assert "gadgets.things.example.com: spec.scope: Unsupported value" in refusal(GADGETS.replace("scope: Namespaced", "scope: World"))


def test_weft_applies_definitions_that_are_larger_than_annotations_may_be(weft, gadgets):
    long = GADGETS.replace("type: integer, minimum: 1", f"description: {'long ' * 60_000}end, type: integer, minimum: 1")
    gadgets.write_text(long)
    assert "gadgets.things.example.com created" in weft.run("apply", "-f", str(gadgets)).stdout
    assert weft.run("apply", "-f", str(gadgets)).stdout.split()[1::2] == ["unchanged"] * 2
    gadgets.write_text(long.replace("colour: {type: string, default: blue, enum: [blue, red]}", "weight: {type: integer}"))
    assert "gadgets.things.example.com configured" in weft.run("apply", "-f", str(gadgets)).stdout
    version = weft.json("get", "crd", "gadgets.things.example.com")["spec"]["versions"][0]
    assert list(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]) == ["size", "weight"]
