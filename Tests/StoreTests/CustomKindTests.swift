import Resources
import Store
import Testing
import Wire

private func definition(
    _ plural: String = "widgets",
    _ spec: Value = ["type": "object", "properties": ["size": ["type": "integer", "maximum": 5, "default": 3]]]
) -> Object {
    let kind = plural.dropLast().capitalized
    var object = Object(ResourceTypes.definitions, name: "\(plural).example.com")
    object.spec = [
        "group": "example.com", "scope": "Namespaced",
        "names": ["plural": .string(plural), "kind": .string(kind)],
        "versions": [
            [
                "name": "v1", "served": true, "storage": true, "subresources": ["status": [:]],
                "schema": [
                    "openAPIV3Schema": [
                        "type": "object",
                        "properties": [
                            "spec": spec, "status": ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
                        ],
                    ]
                ],
            ],
            [
                "name": "v1beta1", "served": true, "storage": false, "subresources": ["status": [:]],
                "schema": [
                    "openAPIV3Schema": [
                        "type": "object",
                        "properties": [
                            "spec": spec, "status": ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
                        ],
                    ]
                ],
            ],
        ],
    ]
    return object
}

private func widget(_ name: String, _ spec: Value = [:], version: String = "v1", kind: String = "Widget") -> Object {
    Object([
        "apiVersion": .string("example.com/\(version)"), "kind": .string(kind),
        "metadata": ["name": .string(name), "namespace": "default"], "spec": spec,
    ])
}

extension StringProtocol {
    fileprivate var capitalized: String { prefix(1).uppercased() + dropFirst() }
}

@Suite("Custom kinds")
struct CustomKindTests {
    private func type(_ store: SQLiteStore, _ version: String = "v1", _ plural: String = "widgets") throws
        -> ResourceType
    {
        try #require(store.types.find(group: "example.com", version: version, plural: plural))
    }

    @Test("a definition's kind is served at once, in all its versions, and after a restart")
    func lifecycle() async throws {
        let directory = TemporaryDirectory()
        var store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        await #expect(throws: APIError.self) { try await store.create(widget("early")) }
        let made = try await store.create(definition())
        #expect(DefinitionStatus.isTrue("Established", made) && made.finalizers == [Definition.finalizer])
        #expect(made.status.texts("storedVersions") == ["v1"])
        let first = try await store.create(widget("a"))
        #expect(first.spec == ["size": 3] && first.generation == 1 && first.apiVersion == "example.com/v1")
        let beta = try await store.create(widget("b", ["size": 4, "junk": 1], version: "v1beta1"))
        #expect(beta.apiVersion == "example.com/v1" && beta.spec == ["size": 4])
        #expect(try type(store, "v1beta1") == type(store))
        await #expect(throws: APIError.self) { try await store.create(widget("c", ["size": 6])) }
        await store.shutdown()
        store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        #expect(try await store.list(type(store)).map(\.name) == ["a", "b"])
        #expect(try await store.get(ObjectKey(type(store), namespace: "default", name: "a")) == first)
        await store.shutdown()
    }

    @Test("generations follow the spec alone, and each writer has its part")
    func parts() async throws {
        let store = try await SQLiteStore.open(path: ":memory:")
        try await store.create(definition())
        var object = widget("a", ["size": 1])
        object.status = ["phase": "Done"]
        object = try await store.create(object)
        #expect(object.value["status"] == nil)
        object.status = ["phase": "Done"]
        object = try await store.updateStatus(object)
        #expect(object.generation == 1 && object.status["phase"] == "Done")
        object.spec = ["size": 2]
        object.status = [:]
        object = try await store.replace(object)
        #expect(object.generation == 2 && object.status["phase"] == "Done")
        object.labels = ["a": "b"]
        object = try await store.replace(object)
        #expect(object.generation == 2)
        await store.shutdown()
    }

    @Test("a changed schema is in force for what is there already")
    func changes() async throws {
        let store = try await SQLiteStore.open(path: ":memory:")
        try await store.create(definition())
        let old = try await store.create(widget("a", ["size": 5]))
        try await store.modify(ObjectKey(ResourceTypes.definitions, name: "widgets.example.com")) {
            (object) throws(APIError) in
            let spec: Value = [
                "type": "object",
                "properties": [
                    "size": ["type": "integer", "maximum": 2], "tint": ["type": "string", "default": "red"],
                ],
            ]
            object.spec = definition("widgets", spec).spec
            object.value.update("spec") { spec in
                spec.updateEach("versions") { $0["storage"] = .bool($0["name"] == "v1beta1") }
            }
        }
        let key = ObjectKey(try type(store), namespace: "default", name: "a")
        var object = try await store.get(key)
        #expect(object.spec == ["size": 5, "tint": "red"] && object.apiVersion == "example.com/v1beta1")
        #expect(object.resourceVersion == old.resourceVersion && object.json == JSON.bytes(object.value))
        // Too large now, but it was so before.
        object.labels = ["a": "b"]
        object = try await store.replace(object)
        object.spec = ["size": 4]
        await #expect(throws: APIError.self) { try await store.replace(object) }
        let changed = try await store.get(ObjectKey(ResourceTypes.definitions, name: "widgets.example.com"))
        #expect(changed.status.texts("storedVersions") == ["v1", "v1beta1"])
        await store.shutdown()
    }

    @Test("a definition goes when nothing holds it, with all that is left of its kind")
    func removal() async throws {
        let directory = TemporaryDirectory()
        var store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        try await store.create(definition())
        let object = try await store.create(widget("a"))
        let kind = try type(store)
        let key = ObjectKey(ResourceTypes.definitions, name: "widgets.example.com")
        guard case .marked(let marked) = try await store.delete(key) else {
            Issue.record("it was not held")
            return
        }
        #expect(DefinitionStatus.isTrue("Terminating", marked))
        let refused = await #expect(throws: APIError.self) { try await store.create(widget("b")) }
        #expect(refused?.code == 405)
        try await store.modify(key) { (object) throws(APIError) in object.finalizers = [] }
        #expect(store.types.customTypes.isEmpty)
        #expect(try await store.find(ObjectKey(kind, namespace: "default", name: object.name)) == nil)
        await store.shutdown()
        store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        try await store.create(definition())
        #expect(try await store.list(type(store)).isEmpty)
        await store.shutdown()
    }

    @Test("names in use are not accepted until they are free; a dry run changes nothing")
    func names() async throws {
        let store = try await SQLiteStore.open(path: ":memory:")
        _ = try await store.create(definition(), WriteOptions(isDryRun: true))
        #expect(store.types.customTypes.isEmpty)
        try await store.create(definition())
        var other = definition("gadgets")
        other.value.set(["spec", "names", "kind"], "Widget")
        other = try await store.create(other)
        #expect(!DefinitionStatus.isTrue("Established", other))
        #expect(store.types.customTypes.map(\.plural) == ["widgets", "widgets"])
        let key = ObjectKey(ResourceTypes.definitions, name: "widgets.example.com")
        try await store.delete(key)
        try await store.modify(key) { (object) throws(APIError) in object.finalizers = [] }
        other = try await store.get(ObjectKey(ResourceTypes.definitions, name: "gadgets.example.com"))
        #expect(DefinitionStatus.isTrue("Established", other))
        #expect(store.types.customTypes.map(\.plural) == ["gadgets", "gadgets"])
        await store.shutdown()
    }
}
