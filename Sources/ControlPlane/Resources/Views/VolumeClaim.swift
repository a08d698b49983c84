package import Wire

/// A PersistentVolumeClaim: a wish for a place that outlives pods.
package struct VolumeClaim: Sendable {
    package let object: Object
    package init(_ object: Object) { self.object = object }

    /// Holds a deleted claim until no pod uses it and its data is gone.
    package static let finalizer = "kubernetes.io/pvc-protection"

    package var spec: Value { object.spec }
    /// `Pending`, `Bound` or `Lost`.
    package var phase: String { object.status.text("phase") ?? "Pending" }
    package var isBound: Bool { phase == "Bound" }
    /// The PersistentVolume it is bound to, or asks for; empty for a directory of its own.
    package var volumeName: String { spec.text("volumeName") ?? "" }
    package var storageClass: String { spec.text("storageClassName") ?? "" }
    package var request: Quantity? { Quantity(spec["resources"]?["requests"]?["storage"]) }
    package var accessModes: [String] { spec.texts("accessModes") }

    /// Classes that mean a directory of this machine; so do no class and every StorageClass that was applied.
    package static let localClasses: Set<String> = ["", "standard", "local-path", "local", "default", "hostpath"]

    /// `RWO,ROX`, as kubectl prints them.
    package static func shortModes(_ modes: [String]) -> String {
        let short = [
            "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP",
        ]
        return modes.map { short[$0] ?? $0 }.joined(separator: ",")
    }
}

/// A PersistentVolume: a directory of this machine that a claim may have.
package struct PersistentVolume: Sendable {
    package let object: Object
    package init(_ object: Object) { self.object = object }

    package var capacity: Quantity? { Quantity(object.spec["capacity"]?["storage"]) }
    package var storageClass: String { object.spec.text("storageClassName") ?? "" }
    package var claimReference: Value? { object.spec["claimRef"] }

    /// Its directory on this machine and the `hostPath` type; nil for kinds of volumes that Weft does not mount.
    package var directory: (path: String, type: String)? {
        if let path = object.spec["local"]?.text("path") { return (path, "Directory") }
        guard let source = object.spec["hostPath"], let path = source.text("path") else { return nil }
        return (path, source.text("type") ?? "")
    }

    /// Whether it may serve a claim that names no volume.
    package func suits(_ claim: VolumeClaim) -> Bool {
        guard directory != nil, !object.isDeleting, storageClass == claim.storageClass else { return false }
        guard isFree(for: claim), let capacity, let request = claim.request, !(capacity < request) else { return false }
        guard Set(claim.accessModes).isSubset(of: object.spec.texts("accessModes")) else { return false }
        return LabelSelector(claim.spec["selector"] ?? .null).matches(object)
    }

    /// Whether nobody has it, or this claim does, or it is reserved for this claim.
    package func isFree(for claim: VolumeClaim) -> Bool {
        guard let reference = claimReference else { return true }
        guard reference.text("namespace") == claim.object.namespace, reference.text("name") == claim.object.name else {
            return false
        }
        return (reference.text("uid") ?? claim.object.uid) == claim.object.uid
    }
}
