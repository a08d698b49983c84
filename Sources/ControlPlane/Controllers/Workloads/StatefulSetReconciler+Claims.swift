import Resources
import Store
import Wire

// The claims of a StatefulSet's pods: each number keeps its own.
extension StatefulSetReconciler {
    /// The claims of a number: the volume's name in the pod, the claim's own.
    static func claims(_ set: Object, _ spec: StatefulSetSpec, _ ordinal: Int) -> [(volume: String, name: String)] {
        spec.claimTemplates.compactMap { template in
            template["metadata"]?.text("name").map { ($0, "\($0)-\(set.name)-\(ordinal)") }
        }
    }

    /// Makes the claims of a number that are not there.
    func makeClaims(_ set: Object, _ spec: StatefulSetSpec, _ ordinal: Int) async throws(APIError) {
        for (template, claim) in zip(spec.claimTemplates, Self.claims(set, spec, ordinal)) {
            let key = ObjectKey(ResourceTypes.volumeClaims, namespace: set.namespace, name: claim.name)
            if let present = await cluster.get(key) {
                // One that is going takes its data with it: the pod waits for its successor.
                guard present.isDeleting else { continue }
                throw .conflict(ResourceTypes.volumeClaims, claim.name, "the claim is being deleted")
            }
            var object = Object(ResourceTypes.volumeClaims, namespace: set.namespace, name: claim.name)
            var labels = template["metadata"]?.textMap("labels") ?? [:]
            labels.merge(set.spec["selector"]?.textMap("matchLabels") ?? [:]) { $1 }
            object.labels = labels
            object.annotations = template["metadata"]?.textMap("annotations") ?? [:]
            object.spec = template["spec"] ?? .null
            if spec.deletesClaimsWithSet { object.ownerReferences = [OwnerReference(to: set, isController: false)] }
            let made = try await cluster.create(object)
            cluster.events.record(
                set,
                .normal,
                reason: "SuccessfulCreate",
                message: "create Claim \(made.name) Pod \(set.name)-\(ordinal) in StatefulSet \(set.name) success",
                component: Self.component
            )
        }
    }

    /// Claims belong to the set, or to nobody, as the retention policy says now; a claim that went with its pod's number
    /// is kept when the number is wanted again in time.
    func keepClaims(_ set: Object, _ spec: StatefulSetSpec, _ view: StatefulSetView) async throws(APIError) {
        guard !spec.claimTemplates.isEmpty else { return }
        for ordinal in spec.start..<(spec.start + spec.replicas) {
            for claim in Self.claims(set, spec, ordinal) {
                let key = ObjectKey(ResourceTypes.volumeClaims, namespace: set.namespace, name: claim.name)
                guard var object = await cluster.get(key), !object.isDeleting else { continue }
                var owners = object.ownerReferences.filter {
                    $0.uid != set.uid && !($0.kind == "Pod" && $0.name == "\(set.name)-\(ordinal)")
                }
                if spec.deletesClaimsWithSet { owners.append(OwnerReference(to: set, isController: false)) }
                guard owners.map(\.uid) != object.ownerReferences.map(\.uid) else { continue }
                object.ownerReferences = owners
                try await cluster.replace(object)
            }
        }
    }

    /// Lets the claims of a number go with its pod.
    func tie(_ set: Object, _ spec: StatefulSetSpec, _ ordinal: Int, to pod: Object) async throws(APIError) {
        for claim in Self.claims(set, spec, ordinal) {
            let key = ObjectKey(ResourceTypes.volumeClaims, namespace: set.namespace, name: claim.name)
            guard var object = await cluster.get(key), !object.isDeleting else { continue }
            object.ownerReferences =
                object.ownerReferences.filter { $0.uid != set.uid } + [OwnerReference(to: pod, isController: false)]
            try await cluster.replace(object)
        }
    }
}
