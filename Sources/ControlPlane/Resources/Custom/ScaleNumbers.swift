import Wire

/// What the `scale` sub-resource says of an object.
package struct ScaleNumbers: Sendable {
    package let wanted: Int
    package let present: Int
    /// The selector of the object's pods as text; empty when it is not known.
    package let selector: String

    /// Reads an object of a type that has a scale.
    ///
    /// - Throws: `APIError` 500 for a custom object that lacks the field of its wanted replicas.
    package init(_ object: Object, _ type: ResourceType) throws(APIError) {
        guard let paths = type.custom?.scale else {
            let spec = ReplicaSetSpec(object.spec)
            wanted = spec.replicas
            present = ScaleStatus(object.status).replicas
            selector = spec.selector.description
            return
        }
        guard let replicas = object.value.at(path: paths.specReplicas)?.intValue else {
            let path = paths.specReplicas.joined(separator: ".")
            throw .internalError("the spec replicas field \".\(path)\" does not exist")
        }
        wanted = replicas
        present = object.value.at(path: paths.statusReplicas)?.intValue ?? 0
        selector = paths.selector.flatMap { object.value.at(path: $0)?.stringValue } ?? ""
    }
}
