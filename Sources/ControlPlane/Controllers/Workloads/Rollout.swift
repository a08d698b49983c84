import Resources
import Wire

/// A Deployment with its ReplicaSets and pods at one moment.
struct Rollout: Sendable {
    static let revisionAnnotation = "deployment.kubernetes.io/revision"
    static let historyAnnotation = "deployment.kubernetes.io/revision-history"
    static let desiredAnnotation = "deployment.kubernetes.io/desired-replicas"
    static let maximumAnnotation = "deployment.kubernetes.io/max-replicas"
    static let hashLabel = "pod-template-hash"
    private static let lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

    let deployment: Object
    let spec: DeploymentSpec
    let arithmetic: RolloutArithmetic
    /// All ReplicaSets, oldest first.
    let sets: [Object]
    /// The one that has the Deployment's template.
    let new: Object?
    private let sizes: [String: ReplicaSetSize]
    private let pods: [String: Int]
    /// Counted over all ReplicaSets, and over the new one.
    let total: Counts
    let updated: Counts
    /// Seconds until a ready pod counts as available.
    let nextAvailable: Int?

    struct Counts: Sendable, Equatable {
        var existing = 0
        var ready = 0
        var available = 0
    }

    init(_ deployment: Object, in state: borrowing ClusterState, now: Timestamp) {
        self.deployment = deployment
        spec = DeploymentSpec(deployment.spec)
        let limits = spec.rollingLimits
        arithmetic = RolloutArithmetic(
            desired: spec.replicas,
            maxSurge: .count(limits.surge),
            maxUnavailable: .count(limits.unavailable)
        )
        sets = state.controlled(by: deployment.uid, ResourceTypes.replicaSets).filter { !$0.isDeleting }.sorted {
            ($0.metadata.text("creationTimestamp") ?? "", Self.revision(of: $0), $0.name)
                < ($1.metadata.text("creationTimestamp") ?? "", Self.revision(of: $1), $1.name)
        }
        let wanted = TemplateHash(Self.plainTemplate(deployment.spec["template"]))
        new = sets.first { TemplateHash(Self.plainTemplate($0.spec["template"])) == wanted }
        var sizes: [String: ReplicaSetSize] = [:]
        var pods: [String: Int] = [:]
        var total = Counts()
        var updated = Counts()
        var next: Int?
        for set in sets {
            let all = state.controlled(by: set.uid, ResourceTypes.pods)
            let census = PodCensus(all, minReadySeconds: spec.minReadySeconds, now: now)
            pods[set.name] = census.active.count + census.terminating.count
            sizes[set.name] = ReplicaSetSize(
                name: set.name,
                desired: ReplicaSetSpec(set.spec).replicas,
                existing: census.active.count,
                available: census.available,
                created: set.metadata.text("creationTimestamp") ?? "",
                annotatedMaximum: set.annotation(Self.maximumAnnotation).flatMap(Int.init)
            )
            total.add(census)
            if set.name == new?.name { updated.add(census) }
            if let seconds = census.nextAvailable { next = min(next ?? seconds, seconds) }
        }
        self.sizes = sizes
        self.pods = pods
        self.total = total
        self.updated = updated
        nextAvailable = next
    }

    var key: ObjectKey {
        ObjectKey(ResourceTypes.deployments, namespace: deployment.namespace, name: deployment.name)
    }

    /// Every ReplicaSet but the new one.
    var old: [Object] { sets.filter { $0.name != new?.name } }

    func size(of set: Object) -> ReplicaSetSize {
        sizes[set.name] ?? ReplicaSetSize(name: set.name, desired: 0, existing: 0, available: 0)
    }

    /// Pods of a ReplicaSet that are still there, ending ones included.
    func podCount(of set: Object) -> Int { pods[set.name] ?? 0 }

    var hasOldPods: Bool { old.contains { podCount(of: $0) > 0 } }

    /// Whether the Deployment's size was changed since its ReplicaSets were last sized.
    var wasScaled: Bool {
        sets.contains { set in
            guard size(of: set).desired > 0, let text = set.annotation(Self.desiredAnnotation) else { return false }
            return Int(text) != spec.replicas
        }
    }

    var isComplete: Bool {
        updated.existing == spec.replicas && total.existing == spec.replicas && updated.available == spec.replicas
    }

    // MARK: Revisions

    static func revision(of object: Object) -> Int {
        min(max(object.annotation(revisionAnnotation).flatMap(Int.init) ?? 0, 0), 1_000_000_000)
    }

    /// The revision of the new ReplicaSet: one above all others, or the one it has when it is above them already.
    var nextRevision: Int {
        let highest = old.map(Self.revision).max() ?? 0
        guard let new else { return highest + 1 }
        return max(Self.revision(of: new), highest + 1)
    }

    var sizeAnnotations: [String: String] {
        [
            Self.desiredAnnotation: String(spec.replicas),
            Self.maximumAnnotation: String(spec.strategyType == "RollingUpdate" ? arithmetic.ceiling : spec.replicas),
        ]
    }

    /// A ReplicaSet with the Deployment's annotations and a revision; the former revision goes into its history.
    func annotated(_ set: Object, revision: Int) -> Object {
        var set = set
        var annotations = set.annotations
        for (name, text) in deployment.annotations where isCopied(name) { annotations[name] = text }
        let former = Self.revision(of: set)
        if former != revision {
            if former > 0 {
                let history = (annotations[Self.historyAnnotation]?.split(separator: ",").map(String.init) ?? [])
                annotations[Self.historyAnnotation] = (history.suffix(20) + [String(former)]).joined(separator: ",")
            }
            annotations[Self.revisionAnnotation] = String(revision)
        }
        if annotations != set.annotations { set.annotations = annotations }
        return set
    }

    private func isCopied(_ name: String) -> Bool {
        ![
            Self.lastApplied, Self.revisionAnnotation, Self.historyAnnotation, Self.desiredAnnotation,
            Self.maximumAnnotation,
        ].contains(name)
    }

    /// The ReplicaSet for the Deployment's template, not yet stored.
    func makeSet(replicas: Int, revision: Int) -> Object {
        let template = Self.plainTemplate(deployment.spec["template"])
        let hash = TemplateHash(template, collisions: deployment.status.integer("collisionCount") ?? 0).text
        var labelled = template
        labelled.set(["metadata", "labels", Self.hashLabel], .string(hash))
        var set = Object(
            ResourceTypes.replicaSets,
            namespace: deployment.namespace,
            name: "\(deployment.name.prefix(243))-\(hash)"
        )
        set.value.set(["metadata", "labels"], labelled.at("metadata", "labels"))
        set.ownerReferences = [OwnerReference(to: deployment)]
        set.annotations = sizeAnnotations
        var selector = deployment.spec["selector"] ?? [:]
        selector.set(["matchLabels", Self.hashLabel], .string(hash))
        set.spec = [
            "replicas": .int(Int64(replicas)), "selector": selector, "template": labelled,
        ]
        if spec.minReadySeconds > 0 { set.value.set(["spec", "minReadySeconds"], .int(Int64(spec.minReadySeconds))) }
        return annotated(set, revision: revision)
    }

    /// A template without the label that its ReplicaSet added.
    private static func plainTemplate(_ template: Value?) -> Value {
        var template = template ?? .null
        if template.at("metadata", "labels", hashLabel) != nil {
            template.set(["metadata", "labels", hashLabel], nil)
        }
        return template
    }
}

extension Rollout.Counts {
    fileprivate mutating func add(_ census: PodCensus) {
        existing += census.active.count
        ready += census.ready
        available += census.available
    }
}
