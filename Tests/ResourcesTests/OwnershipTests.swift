import Resources
import Testing
import Wire

@Suite("Who owns which fields")
struct OwnershipTests {
    private let type = ResourceTypes.deployments
    private let now = Timestamp(seconds: 1_767_323_045)

    private func deployment(_ spec: String) throws -> Object {
        var object = try object("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: \(spec)}")
        object.namespace = "default"
        return object
    }

    private func tracking(_ manager: String?, _ subresource: String = "", sent: Value? = nil) -> FieldTracking {
        FieldTracking(type, manager: manager, agent: "curl", subresource: subresource, time: now, sent: sent)
    }

    private func apply(_ manager: String, _ spec: String, _ stored: Object?, forces: Bool = false) throws -> Object {
        var tracking = tracking(manager)
        var made = try tracking.apply(try deployment(spec), to: stored, forces: forces)
        tracking.finish(&made, replacing: stored)
        return made
    }

    private func fields(_ object: Object, _ manager: String) -> Value? {
        object.metadata.list("managedFields").first { $0.text("manager") == manager }?["fieldsV1"]
    }

    @Test("an apply owns what it names and no more")
    func owns() throws {
        let made = try apply("a", "{replicas: 2, template: {spec: {containers: [{name: c, image: i}]}}}", nil)
        #expect(
            try fields(made, "a")
                == JSON.parse(
                    #"{"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{}}}}}}}"#
                )
        )
    }

    @Test("a field of another with another value is a conflict, and with force it changes hands")
    func conflicts() throws {
        let first = try apply("a", "{replicas: 2}", nil)
        #expect(try apply("b", "{replicas: 2}", first).spec.integer("replicas") == 2)
        do {
            _ = try apply("b", "{replicas: 3}", first)
            Issue.record("nothing was refused")
        } catch let error as APIError {
            #expect(error.code == 409)
            #expect(error.message == "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas")
            #expect(error.details?.causes.first?.path == ".spec.replicas")
            #expect(error.details?.causes.first?.reason == .fieldManagerConflict)
        }
        let forced = try apply("b", "{replicas: 3}", first, forces: true)
        #expect(forced.spec.integer("replicas") == 3)
        #expect(fields(forced, "a") == nil)
    }

    @Test("what a manager names no more is gone, unless another owns it")
    func drops() throws {
        let first = try apply(
            "a",
            "{replicas: 2, paused: true, template: {spec: {containers: [{name: c}, {name: d}]}}}",
            nil
        )
        let shared = try apply("b", "{paused: true, template: {spec: {containers: [{name: d}]}}}", first)
        let left = try apply("a", "{template: {spec: {containers: [{name: c}]}}}", shared)
        #expect(left.spec["replicas"] == nil)
        #expect(left.spec.flag("paused"))
        let names = left.spec.at("template", "spec")?.list("containers").compactMap { $0.text("name") }
        #expect(names == ["c", "d"])
        let alone = try apply("b", "{}", left)
        #expect(alone.spec.at("template", "spec")?.list("containers").count == 1)
    }

    @Test("a creation owns all it says, whether or not its maker names himself")
    func creations() throws {
        var made = try deployment("{replicas: 1, paused: null, template: {spec: {containers: [{name: c, args: [a]}]}}}")
        made.labels = ["a": "b"]
        made.status = ["replicas": 1]
        tracking(nil).finish(&made, replacing: nil)
        #expect(
            try fields(made, "curl")
                == JSON.parse(
                    #"{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:args":{}}}}}}}"#
                )
        )
        do {
            _ = try apply("a", "{replicas: 2}", made)
            Issue.record("nothing was refused")
        } catch let error as APIError {
            #expect(
                error.message == "Apply failed with 1 conflict: conflict with \"curl\" using apps/v1: .spec.replicas"
            )
        }
    }

    @Test("what kubectl applied by itself it takes over without a conflict, and nobody else does")
    func takesOver() throws {
        var made = try deployment("{replicas: 1, paused: true}")
        made.annotations = ["kubectl.kubernetes.io/last-applied-configuration": #"{"spec":{"replicas":1}}"#]
        tracking("kubectl-client-side-apply").finish(&made, replacing: nil)
        #expect(try apply("kubectl", "{replicas: 2}", made).spec.integer("replicas") == 2)
        #expect(throws: APIError.self) { try apply("other", "{replicas: 2}", made) }
        #expect(throws: APIError.self) { try apply("kubectl", "{paused: false}", made) }
    }

    @Test("who changed what a controller made is written down from the first named write on")
    func begins() throws {
        let plain = try deployment("{replicas: 1}")
        do {
            _ = try apply("a", "{replicas: 2}", plain)
            Issue.record("nothing was refused")
        } catch let error as APIError {
            #expect(error.message.contains("before-first-apply"))
        }
        var changed = plain
        changed.value.set(["spec", "replicas"], 4)
        tracking("edit").finish(&changed, replacing: plain)
        #expect(try fields(changed, "edit") == JSON.parse(#"{"f:spec":{"f:replicas":{}}}"#))
        // From then on a program that does not name itself is known by its name.
        var next = changed
        next.value.set(["spec", "replicas"], 5)
        tracking(nil).finish(&next, replacing: changed)
        #expect(fields(next, "curl") != nil)
        #expect(fields(next, "edit") == nil)
    }

    @Test("a write that changes nothing changes no owner; an empty list of owners forgets them")
    func unchanged() throws {
        let first = try apply("a", "{replicas: 2}", nil)
        let later = FieldTracking(
            type,
            manager: "a",
            agent: "",
            subresource: "",
            time: now.adding(seconds: 60),
            sent: nil
        )
        var again = later
        var made = try again.apply(try deployment("{replicas: 2}"), to: first, forces: false)
        again.finish(&made, replacing: first)
        #expect(made == first)
        var cleared = first
        tracking(nil, sent: .array([])).finish(&cleared, replacing: first)
        #expect(cleared.metadata["managedFields"] == nil)
    }
}

@Suite("Objects in protobuf")
struct ProtobufObjectTests {
    private func envelope(_ apiVersion: String, _ kind: String, _ raw: [UInt8]) -> [UInt8] {
        var type = ProtobufWriter()
        type.text(1, apiVersion)
        type.text(2, kind)
        var writer = ProtobufWriter()
        writer.run(1, type.bytes)
        writer.run(2, raw)
        return [0x6b, 0x38, 0x73, 0] + writer.bytes
    }

    @Test("a ConfigMap is read as its JSON would be; empty texts stand for none")
    func configMap() throws {
        var metadata = ProtobufWriter()
        metadata.text(1, "a")
        metadata.text(3, "")
        var entry = ProtobufWriter()
        entry.text(1, "k")
        entry.text(2, "")
        var raw = ProtobufWriter()
        raw.run(1, metadata.bytes)
        raw.run(2, entry.bytes)
        let value = try ProtobufObject.read(envelope("v1", "ConfigMap", raw.bytes))
        #expect(
            try value
                == JSON.parse(#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":""}}"#)
        )
    }

    @Test("a number that may be none keeps its zero; one that cannot does not")
    func zeros() throws {
        var spec = ProtobufWriter()
        spec.varint(1, 0)
        spec.varint(5, 0)
        var raw = ProtobufWriter()
        raw.run(2, spec.bytes)
        let value = try ProtobufObject.read(envelope("apps/v1", "Deployment", raw.bytes))
        #expect(value["spec"] == ["replicas": 0])
    }

    @Test("what is no object is refused, and never traps")
    func hostile() throws {
        let good = envelope("apps/v1", "Deployment", [0x12, 0x02, 0x08, 0x01])
        for end in 0..<10 { #expect(throws: APIError.self) { try ProtobufObject.read(Array(good[..<end])) } }
        for end in 10..<good.count { _ = try? ProtobufObject.read(Array(good[..<end])) }
        #expect(throws: APIError.self) { try ProtobufObject.read(envelope("x/v1", "Frob", [])) }
        #expect(throws: APIError.self) { try ProtobufObject.read(envelope("v1", "ConfigMap", [0x78, 0x01])) }
        for seed in 0..<200 {
            var bytes = good
            bytes[4 + seed % (bytes.count - 4)] ^= UInt8(truncatingIfNeeded: seed &* 37 + 1)
            _ = try? ProtobufObject.read(bytes)
        }
    }
}

@Suite("OpenAPI")
struct OpenAPITests {
    @Test("every reference leads somewhere, and every acted-on kind is described")
    func references() throws {
        for name in OpenAPIDocument.groupVersions {
            let document = OpenAPIDocument.version3(name)
            let schemas = try #require(document.at("components", "schemas")?.fields)
            let known = Set(schemas.names)
            for reference in Self.references(document) {
                #expect(known.contains(String(reference.dropFirst("#/components/schemas/".count))), "\(reference)")
            }
        }
        let definitions = try #require(OpenAPIDocument.version2()["definitions"]?.fields)
        let known = Set(definitions.names)
        #expect(Self.references(OpenAPIDocument.version2()).allSatisfy { known.contains(String($0.dropFirst(14))) })
        #expect(!OpenAPIProtobuf.bytes(OpenAPIDocument.version2()).isEmpty)
    }

    private static func references(_ value: Value) -> [String] {
        switch value {
        case .array(let items): items.flatMap(references)
        case .object(let fields):
            fields.flatMap { name, item in
                // Schemas have a property of that name, too.
                if name == "$ref", let reference = item.stringValue { return [reference] }
                return references(item)
            }
        default: []
        }
    }
}
