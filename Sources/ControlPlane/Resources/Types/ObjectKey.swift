/// Which object: its type, its namespace (empty for cluster-scoped ones) and its name.
package struct ObjectKey: Sendable, Hashable {
    package let type: ResourceType
    package let namespace: String
    package let name: String

    /// A key; the namespace is dropped for types that have none.
    package init(_ type: ResourceType, namespace: String = "", name: String) {
        self.type = type
        self.namespace = type.isNamespaced ? namespace : ""
        self.name = name
    }
}

extension ObjectKey: CustomStringConvertible {
    /// `deployments.apps "shop/web"`: how messages name an object.
    package var description: String {
        namespace.isEmpty ? "\(type.qualifiedPlural) \"\(name)\"" : "\(type.qualifiedPlural) \"\(namespace)/\(name)\""
    }
}

extension ObjectKey: Comparable {
    /// Kind, then namespace, then name: the order of lists.
    package static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        (left.type.plural, left.namespace, left.name) < (right.type.plural, right.namespace, right.name)
    }
}
