package import Wire

/// A Kubernetes-shaped object: a tree of values that keeps every field, with the common ones by name.
///
/// Reading never traps: a missing or odd field reads as empty. A value type; copies share storage until one is changed.
///
/// One that is stored carries its JSON text, so that whoever shows it to others need not write it again.
package struct Object: Sendable, Equatable {
    /// The whole tree, as it is written and read.
    package var value: Value {
        didSet { text = nil }
    }

    private var text: [UInt8]?

    package init(_ value: Value) { self.value = value }

    /// An object with its own JSON text, of which the caller is sure.
    package init(_ value: Value, json: [UInt8]) {
        self.value = value
        text = json
    }

    /// The object as JSON.
    package var json: [UInt8] { text ?? JSON.bytes(value) }

    /// The same object with its JSON text.
    package var withText: Object { text == nil ? Object(value, json: JSON.bytes(value)) : self }

    package static func == (left: Object, right: Object) -> Bool { left.value == right.value }

    /// A new object of a type with nothing but a name.
    package init(_ type: ResourceType, namespace: String = "", name: String) {
        value = ["apiVersion": .string(type.apiVersion), "kind": .string(type.kind), "metadata": [:]]
        self.name = name
        if type.isNamespaced, !namespace.isEmpty { self.namespace = namespace }
    }

    package var apiVersion: String {
        get { value.text("apiVersion") ?? "" }
        set { value["apiVersion"] = .string(newValue) }
    }

    package var kind: String {
        get { value.text("kind") ?? "" }
        set { value["kind"] = .string(newValue) }
    }

    /// The served type of this object, or nil for a kind that nobody here knows.
    package var type: ResourceType? { ResourceTypes.find(apiVersion: apiVersion, kind: kind) }

    /// Which object this is, or nil for an unknown kind.
    package var key: ObjectKey? { type.map { ObjectKey($0, namespace: namespace, name: name) } }

    package var metadata: Value {
        get { value["metadata"] ?? .null }
        set { value["metadata"] = newValue }
    }

    package var spec: Value {
        get { value["spec"] ?? .null }
        set { value["spec"] = newValue }
    }

    package var status: Value {
        get { value["status"] ?? .null }
        set { value["status"] = newValue }
    }

    /// A field of the whole tree.
    package subscript(name: String) -> Value? {
        get { value[name] }
        set { value[name] = newValue }
    }
}

// The fields of `metadata`.
extension Object {
    package var name: String {
        get { metadata.text("name") ?? "" }
        set { value.set(["metadata", "name"], .string(newValue)) }
    }

    package var generateName: String { metadata.text("generateName") ?? "" }

    /// Empty for cluster-scoped objects and for those not yet placed.
    package var namespace: String {
        get { metadata.text("namespace") ?? "" }
        set { value.set(["metadata", "namespace"], newValue.isEmpty ? nil : .string(newValue)) }
    }

    package var uid: String {
        get { metadata.text("uid") ?? "" }
        set { value.set(["metadata", "uid"], newValue.isEmpty ? nil : .string(newValue)) }
    }

    /// The decimal revision of the last write, as text; empty for an object that was never stored.
    package var resourceVersion: String {
        get { metadata.text("resourceVersion") ?? "" }
        set { value.set(["metadata", "resourceVersion"], newValue.isEmpty ? nil : .string(newValue)) }
    }

    /// Counts changes of the wanted state; status writes leave it alone.
    package var generation: Int {
        get { metadata.integer("generation") ?? 0 }
        set { value.set(["metadata", "generation"], .int(Int64(newValue))) }
    }

    package var labels: [String: String] {
        get { metadata.textMap("labels") }
        set { value.set(["metadata", "labels"], Value.map(newValue)) }
    }

    /// One label, without building the map of all.
    package func label(_ name: String) -> String? { value["metadata"]?["labels"]?[name]?.stringValue }

    package var annotations: [String: String] {
        get { metadata.textMap("annotations") }
        set { value.set(["metadata", "annotations"], Value.map(newValue)) }
    }

    /// One annotation, without building the map of all.
    package func annotation(_ name: String) -> String? { value["metadata"]?["annotations"]?[name]?.stringValue }

    package var ownerReferences: [OwnerReference] {
        get { metadata.list("ownerReferences").map(OwnerReference.init) }
        set { value.set(["metadata", "ownerReferences"], newValue.isEmpty ? nil : .array(newValue.map(\.value))) }
    }

    /// The one owner that manages this object, if it has one.
    package var controller: OwnerReference? { ownerReferences.first { $0.isController } }

    package var finalizers: [String] {
        get { metadata.texts("finalizers") }
        set { value.set(["metadata", "finalizers"], newValue.isEmpty ? nil : .array(newValue.map(Value.string))) }
    }

    package var creationTimestamp: Timestamp? {
        get { metadata.text("creationTimestamp").flatMap(Timestamp.init) }
        set { value.set(["metadata", "creationTimestamp"], newValue.map { .string($0.description) }) }
    }

    /// When the object is to be gone; set while finalizers or an agent still hold it.
    package var deletionTimestamp: Timestamp? {
        get { metadata.text("deletionTimestamp").flatMap(Timestamp.init) }
        set { value.set(["metadata", "deletionTimestamp"], newValue.map { .string($0.description) }) }
    }

    package var isDeleting: Bool { metadata["deletionTimestamp"]?.stringValue != nil }

    package var deletionGracePeriodSeconds: Int? { metadata.integer("deletionGracePeriodSeconds") }
}

/// Who an object belongs to: it goes when the last owner goes.
package struct OwnerReference: Sendable, Equatable {
    package let value: Value

    package init(_ value: Value) { self.value = value }

    /// A reference to a stored object.
    package init(to owner: Object, isController: Bool = true, blocksDeletion: Bool = true) {
        value = [
            "apiVersion": .string(owner.apiVersion), "kind": .string(owner.kind), "name": .string(owner.name),
            "uid": .string(owner.uid), "controller": .bool(isController), "blockOwnerDeletion": .bool(blocksDeletion),
        ]
    }

    package var apiVersion: String { value.text("apiVersion") ?? "" }
    package var kind: String { value.text("kind") ?? "" }
    package var name: String { value.text("name") ?? "" }
    package var uid: String { value.text("uid") ?? "" }
    package var isController: Bool { value.flag("controller") }
}
