package import Resources
import Store
import Wire

/// Makes and removes the directories behind claims.
package protocol LocalVolumes: Sendable {
    /// Makes the directory of a claim, if it is not there; what lies in it stays.
    ///
    /// - Returns: why not, or nil.
    func make(namespace: String, claim: String) async -> String?

    /// Removes a claim's directory and everything in it.
    ///
    /// - Returns: why not, or nil.
    func remove(namespace: String, claim: String) async -> String?
}

/// Binds claims: to a PersistentVolume that suits, or to a directory of their own, at once or when the first pod names them
/// (`WaitForFirstConsumer` of their class). A deleted claim stays until no pod uses it; then its data goes, unless its class
/// retains it, and it after that.
package struct VolumeClaimReconciler: Reconciler {
    /// What no watch tells about (a StorageClass, a directory that could not be made) is looked at again this often.
    private static let retryMilliseconds = 5000
    private static let component = "persistentvolume-controller"

    package let name = "claims"
    private let cluster: Cluster
    private let directories: any LocalVolumes

    package init(_ cluster: Cluster, directories: any LocalVolumes) {
        self.cluster = cluster
        self.directories = directories
    }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.volumeClaims: return [change.key]
        case ResourceTypes.volumes:
            let waiting = state.list(ResourceTypes.volumeClaims).filter { !VolumeClaim($0).isBound }
            let reference = change.latest.flatMap { PersistentVolume($0).claimReference }
            return waiting.compactMap(\.key) + [reference.map(Self.key)].compactMap { $0 }
        case ResourceTypes.pods:
            guard let pod = change.latest else { return [] }
            // The end of a pod frees a claim, and the first pod that names one may be what it waits for.
            if change.new.map(Self.hasFinished) ?? true { return Self.claims(of: pod) }
            guard change.old == nil || PodSpec(change.old?.spec ?? .null).nodeName == nil else { return [] }
            return Self.claims(of: pod).filter { key in state.get(key).map { !VolumeClaim($0).isBound } ?? false }
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let object = await cluster.get(key) else {
            try await releaseVolumes(of: key)
            return nil
        }
        let claim = VolumeClaim(object)
        if object.isDeleting { return try await letGo(claim, key) }
        if claim.isBound { return try await keepBound(claim, key) }
        return try await bind(claim, key)
    }

    // MARK: Binding

    private func bind(_ claim: VolumeClaim, _ key: ObjectKey) async throws(APIError) -> Int? {
        guard claim.spec.text("volumeMode") != "Block" else {
            return wait(
                claim,
                "FailedBinding",
                "volumeMode Block is not supported: Weft binds directories (Filesystem)"
            )
        }
        let storageClass = try await storageClass(claim.storageClass)
        if storageClass?.value.text("volumeBindingMode") == "WaitForFirstConsumer", await !isWanted(key) {
            let why = "waiting for first consumer to be created before binding"
            tell(claim, .normal, "WaitForFirstConsumer", why)
            return nil
        }
        if let volume = await suitable(claim) { return try await bind(claim, to: volume) }
        guard claim.volumeName.isEmpty else {
            let why = "volume \"\(claim.volumeName)\" is not there, is taken, or is of a kind that Weft does not mount"
            return wait(claim, "FailedBinding", why)
        }
        guard storageClass != nil || VolumeClaim.localClasses.contains(claim.storageClass) else {
            let why =
                "no PersistentVolume suits and there is no StorageClass \"\(claim.storageClass)\": leave "
                + "storageClassName out, or apply a StorageClass of that name; its volumes are directories of this machine"
            return wait(claim, "ProvisioningFailed", why)
        }
        if let why = await directories.make(namespace: key.namespace, claim: key.name) {
            return wait(claim, "ProvisioningFailed", why)
        }
        try await markBound(
            claim.object,
            claim.request.map { _ in claim.spec["resources"]?["requests"]?["storage"] } ?? nil
        )
        tell(claim, .normal, "ProvisioningSucceeded", "bound to a directory of this machine")
        return nil
    }

    private func wait(_ claim: VolumeClaim, _ reason: String, _ why: String) -> Int? {
        tell(claim, .warning, reason, why)
        return Self.retryMilliseconds
    }

    private func storageClass(_ name: String) async throws(APIError) -> Object? {
        name.isEmpty ? nil : try await cluster.store.find(ObjectKey(ResourceTypes.storageClasses, name: name))
    }

    /// Whether some pod names the claim.
    private func isWanted(_ key: ObjectKey) async -> Bool {
        await cluster.read { state in
            state.list(ResourceTypes.pods, namespace: key.namespace).contains { pod in
                !pod.isDeleting && !Self.hasFinished(pod) && Self.claims(of: pod).contains(key)
            }
        }
    }

    /// The volume that the claim names, or the smallest that suits.
    private func suitable(_ claim: VolumeClaim) async -> PersistentVolume? {
        await cluster.read { state in
            let all = state.list(ResourceTypes.volumes).map(PersistentVolume.init)
            guard claim.volumeName.isEmpty else {
                return all.first { $0.object.name == claim.volumeName && $0.directory != nil && $0.isFree(for: claim) }
            }
            let fitting = all.filter { $0.suits(claim) }
            // One that is reserved for this claim comes before any other.
            return fitting.min {
                let (left, right) = ($0.claimReference == nil, $1.claimReference == nil)
                guard left == right else { return !left }
                guard let small = $0.capacity, let large = $1.capacity, small != large else {
                    return $0.object.name < $1.object.name
                }
                return small < large
            }
        }
    }

    private func bind(_ claim: VolumeClaim, to volume: PersistentVolume) async throws(APIError) -> Int? {
        var taken = volume.object
        taken.value.set(
            ["spec", "claimRef"],
            [
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": .string(claim.object.namespace),
                "name": .string(claim.object.name), "uid": .string(claim.object.uid),
            ]
        )
        if taken.spec != volume.object.spec { taken = try await cluster.replace(taken) }
        var marked = taken
        marked.value.set(["status", "phase"], "Bound")
        try await cluster.updateStatus(marked, from: taken)
        var object = claim.object
        if claim.volumeName.isEmpty {
            object.value.set(["spec", "volumeName"], .string(volume.object.name))
            object = try await cluster.replace(object)
        }
        try await markBound(object, volume.object.spec["capacity"]?["storage"])
        return nil
    }

    private func markBound(_ claim: Object, _ capacity: Value?) async throws(APIError) {
        var bound = claim
        bound.status = ["phase": "Bound", "accessModes": claim.spec["accessModes"] ?? []]
        bound.value.set(["status", "capacity", "storage"], capacity)
        try await cluster.updateStatus(bound, from: claim)
    }

    /// A bound claim whose request grew gets it (nothing measures a directory); one whose volume is gone is lost.
    private func keepBound(_ claim: VolumeClaim, _ key: ObjectKey) async throws(APIError) -> Int? {
        guard !claim.volumeName.isEmpty else {
            if let why = await directories.make(namespace: key.namespace, claim: key.name) {
                return wait(claim, "ProvisioningFailed", why)
            }
            try await markBound(claim.object, claim.spec["resources"]?["requests"]?["storage"])
            return nil
        }
        let place = ObjectKey(ResourceTypes.volumes, name: claim.volumeName)
        guard await cluster.get(place) == nil else { return nil }
        var lost = claim.object
        lost.value.set(["status", "phase"], "Lost")
        try await cluster.updateStatus(lost, from: claim.object)
        tell(claim, .warning, "ClaimLost", "the PersistentVolume \"\(claim.volumeName)\" is gone")
        return nil
    }

    // MARK: The end

    private func letGo(_ claim: VolumeClaim, _ key: ObjectKey) async throws(APIError) -> Int? {
        guard claim.object.finalizers.contains(VolumeClaim.finalizer) else { return nil }
        // From the store, for the view may lag behind a pod that has just been made.
        let pods = try await cluster.store.list(ResourceTypes.pods, namespace: key.namespace)
        guard !pods.contains(where: { !Self.hasFinished($0) && Self.claims(of: $0).contains(key) }) else {
            return Self.retryMilliseconds
        }
        let isRetained = try await storageClass(claim.storageClass)?.value.text("reclaimPolicy") == "Retain"
        if claim.volumeName.isEmpty, !isRetained,
            let why = await directories.remove(namespace: key.namespace, claim: key.name)
        {
            return wait(claim, "VolumeFailedDelete", why)
        }
        var freed = claim.object
        freed.finalizers.removeAll { $0 == VolumeClaim.finalizer }
        do {
            try await cluster.replace(freed)
        } catch {
            guard error.reason == .notFound else { throw error }
        }
        return nil
    }

    /// Volumes of a claim that is gone keep their data and wait for a person, as `Retain` says.
    private func releaseVolumes(of key: ObjectKey) async throws(APIError) {
        let released = await cluster.read { state in
            state.list(ResourceTypes.volumes).filter {
                PersistentVolume($0).claimReference.map(Self.key) == key && $0.status.text("phase") == "Bound"
            }
        }
        for volume in released {
            var updated = volume
            updated.value.set(["status", "phase"], "Released")
            try await cluster.updateStatus(updated, from: volume)
        }
    }

    // MARK: Tools

    private static func key(_ reference: Value) -> ObjectKey {
        ObjectKey(
            ResourceTypes.volumeClaims,
            namespace: reference.text("namespace") ?? "",
            name: reference.text("name") ?? ""
        )
    }

    private static func claims(of pod: Object) -> [ObjectKey] {
        PodSpec(pod.spec).volumes.compactMap { volume in
            guard case .claim(let name, _) = volume.source else { return nil }
            return ObjectKey(ResourceTypes.volumeClaims, namespace: pod.namespace, name: name)
        }
    }

    private static func hasFinished(_ pod: Object) -> Bool {
        ["Succeeded", "Failed"].contains(PodStatus(pod.status).phase)
    }

    private func tell(_ claim: VolumeClaim, _ severity: EventRecorder.Severity, _ reason: String, _ message: String) {
        cluster.events.record(
            claim.object,
            severity,
            reason: reason,
            message: message,
            component: Self.component
        )
    }
}
