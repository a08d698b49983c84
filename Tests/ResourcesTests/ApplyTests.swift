import Resources
import Testing
import Wire

@Suite("Applying manifests")
struct ApplyTests {
    private func applied(_ yaml: String) throws -> Object {
        var manifest = try object(yaml)
        if manifest.type?.isNamespaced ?? false { manifest.namespace = "default" }
        let type = try #require(manifest.type)
        let birth = ObjectRules.Birth(uid: "u-1", now: Timestamp(seconds: 0), suffix: "abcde")
        var result = try ObjectRules.prepareNew(Apply.annotated(manifest), of: type, birth)
        result.resourceVersion = "7"
        return result
    }

    private func merge(_ yaml: String, onto live: Object) throws -> Object {
        let type = try #require(live.type)
        return Apply.merge(try object(yaml), onto: live, of: type)
    }

    @Test(
        "the same manifest twice changes nothing, in any order of its fields",
        arguments: [
            deployment,
            "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: NodePort, ports: [{port: 80}, {port: 81}]}}",
            "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {a: b}}",
            "{kind: ConfigMap, apiVersion: v1, metadata: {name: a, labels: {}}, data: {a: b}}",
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: w, port: {number: 80}}}}]}}]}}",
            "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}",
            "{apiVersion: weft.dev/v1alpha1, kind: Image, metadata: {name: a}, spec: {directory: /srv, command: [run], env: [{name: A, value: b}]}}",
        ]
    )
    func twice(yaml: String) throws {
        var live = try applied(yaml)
        if live.type?.hasStatus ?? false { live.status = ["observed": true] }
        let merged = try merge(yaml, onto: live)
        #expect(merged == live)
    }

    @Test("a field that the manifest drops is removed, one that others set stays")
    func dropped() throws {
        let first = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {x: y, z: w}}, data: {a: b, c: d}}"
        var live = try applied(first)
        live.value.set(["data", "theirs"], "kept")
        live.value.set(["metadata", "annotations", "other"], "kept")
        let result = try merge(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {x: y}}, data: {a: B}}",
            onto: live
        )
        #expect(result["data"] == ["a": "B", "theirs": "kept"])
        #expect(result.labels == ["x": "y"])
        #expect(result.annotation("other") == "kept")
        #expect(result.uid == "u-1")
        #expect(result.resourceVersion == "7")
    }

    @Test("containers are matched by name: one is added, one changed, one removed, defaults stay")
    func containers() throws {
        let pod = { (containers: String) in
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [\(containers)]}}"
        }
        let live = try applied(pod("{name: one, image: a, env: [{name: X, value: y}]}, {name: two, image: b}"))
        let result = try merge(pod("{name: three, image: c}, {name: one, image: a2}"), onto: live)
        let containers = PodSpec(result.spec).containers
        #expect(containers.map(\.name) == ["three", "one"])
        #expect(containers[1].image == "a2")
        #expect(containers[1].env.isEmpty)
        #expect(containers[1].value["terminationMessagePath"] == "/dev/termination-log")
    }

    @Test("node ports and addresses that a Service was given stay")
    func allocated() throws {
        let yaml = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: NodePort, ports: [{port: 80}]}}"
        var live = try applied(yaml)
        live.value.set(["spec", "clusterIP"], "10.96.1.1")
        live.value.set(["spec", "clusterIPs"], ["10.96.1.1"])
        live.value.update("spec") { $0.updateEach("ports") { $0["nodePort"] = 30100 } }
        #expect(try merge(yaml, onto: live) == live)
        let result = try merge(
            "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: NodePort, ports: [{port: 80, targetPort: 8080}]}}",
            onto: live
        )
        let port = ServiceSpec(result.spec).ports[0]
        #expect(port.nodePort == 30100)
        #expect(port.targetPort == .number(8080))
    }

    @Test("a choice that excludes a default takes its place")
    func alternatives() throws {
        let live = try applied(deployment)
        let recreate = try merge(
            deployment.replacing("replicas: 3", "replicas: 3\n  strategy: {type: Recreate}"),
            onto: live
        )
        #expect(recreate.spec["strategy"] == ["type": "Recreate"])
        let pod = { (volume: String) in
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {volumes: [\(volume)], containers: [{name: a, image: b}]}}"
        }
        let volume = try merge(pod("{name: v, configMap: {name: c}}"), onto: try applied(pod("{name: v}")))
        #expect(volume.spec["volumes"]?[0]?["emptyDir"] == nil)
        #expect(
            try merge(pod("{name: v}"), onto: try applied(pod("{name: v}"))).spec["volumes"]?[0]?["emptyDir"] == [:]
        )
    }

    @Test("an object that somebody created without applying is taken over")
    func takenOver() throws {
        let live = try stored("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: b}}")
        let result = try merge("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {c: d}}", onto: live)
        #expect(result["data"] == ["a": "b", "c": "d"])
        #expect(result.annotation(Apply.annotation) != nil)
    }
}

@Suite("Patches")
struct PatchTests {
    @Test(
        "merge patches follow RFC 7396",
        arguments: [
            ("{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"),
            ("{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"),
            ("{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"),
            ("{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"),
            ("{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"),
            ("[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"),
            ("{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"),
            ("[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"),
            ("{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"),
        ]
    )
    func merge(target: String, patch: String, expected: String) throws {
        #expect(Patch.merge(try JSON.parse(patch), into: try JSON.parse(target)) == (try JSON.parse(expected)))
    }

    @Test("strategic patches merge containers by name and ports by number")
    func strategic() throws {
        let live = try stored(deployment)
        let shape = Schema.shape(of: ResourceTypes.deployments)
        let patched = Patch.strategic(
            try JSON.parse(
                """
                {"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"side"},{"name":"web"}],
                "containers":[{"name":"web","image":"web:2"},{"name":"side","image":"s:1"}]}}}}
                """
            ),
            into: live.value,
            shape: shape
        )
        let containers = DeploymentSpec(patched["spec"] ?? .null).template.spec.containers
        #expect(containers.map(\.name) == ["side", "web"])
        #expect(containers[1].image == "web:2")
        #expect(containers[1].ports.count == 1)
        let removed = Patch.strategic(
            try JSON.parse("{\"spec\":{\"ports\":[{\"$patch\":\"delete\",\"port\":80}]}}"),
            into: ["spec": ["ports": [["port": 80], ["port": 81]]]],
            shape: Schema.shape(of: ResourceTypes.services)
        )
        #expect(removed.at("spec", "ports") == [["port": 81]])
    }

    @Test(
        "JSON patches do what RFC 6902 says",
        arguments: [
            ("[{\"op\":\"add\",\"path\":\"/a/1\",\"value\":9}]", "{\"a\":[1,9,2],\"b\":{\"c~/d\":3}}"),
            ("[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":9}]", "{\"a\":[1,2,9],\"b\":{\"c~/d\":3}}"),
            ("[{\"op\":\"remove\",\"path\":\"/a/0\"}]", "{\"a\":[2],\"b\":{\"c~/d\":3}}"),
            ("[{\"op\":\"replace\",\"path\":\"/b/c~0~1d\",\"value\":4}]", "{\"a\":[1,2],\"b\":{\"c~/d\":4}}"),
            ("[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/x\"}]", "{\"b\":{\"c~/d\":3},\"x\":[1,2]}"),
            ("[{\"op\":\"test\",\"path\":\"/a/0\",\"value\":1}]", "{\"a\":[1,2],\"b\":{\"c~/d\":3}}"),
        ]
    )
    func json(patch: String, expected: String) throws {
        let target = try JSON.parse("{\"a\":[1,2],\"b\":{\"c~/d\":3}}")
        #expect(try Patch.json(try JSON.parse(patch), into: target) == (try JSON.parse(expected)))
    }

    @Test(
        "JSON patches that do not fit are refused",
        arguments: [
            "[{\"op\":\"remove\",\"path\":\"/nothing\"}]", "[{\"op\":\"replace\",\"path\":\"/a/7\",\"value\":1}]",
            "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]", "[{\"op\":\"fly\",\"path\":\"/a\"}]", "{\"a\":1}",
            "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", "[{\"op\":\"add\",\"path\":\"/a/-5\",\"value\":1}]",
        ]
    )
    func unfit(patch: String) throws {
        let target = try JSON.parse("{\"a\":[1,2]}")
        let parsed = try JSON.parse(patch)
        #expect(throws: APIError.self) { try Patch.json(parsed, into: target) }
    }
}
