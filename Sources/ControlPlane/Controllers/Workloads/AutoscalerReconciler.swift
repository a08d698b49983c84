package import Resources
import Store
import Wire

/// Gives workloads as many pods as their load asks for.
package struct AutoscalerReconciler: Reconciler {
    /// Seconds between two looks, unless the annotation says otherwise.
    package static let period = 15
    /// Seconds between two looks, from 1 to 300.
    package static let periodAnnotation = "weft.dev/autoscaler-period"
    static let component = "horizontal-pod-autoscaler"

    package let name = "autoscaler"
    let cluster: Cluster
    let metrics: any AutoscalerMetrics
    private let memory = AutoscalerMemory()

    package init(_ cluster: Cluster, metrics: any AutoscalerMetrics) {
        self.cluster = cluster
        self.metrics = metrics
    }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.autoscalers:
            // Its own status is nothing new.
            guard let old = change.old, let new = change.new, old.generation == new.generation,
                old.metadata["annotations"] == new.metadata["annotations"]
            else { return [change.key] }
            return []
        case ResourceTypes.deployments, ResourceTypes.replicaSets, ResourceTypes.statefulSets:
            return watching(change, state)
        default: return change.key.type.custom?.scale == nil ? [] : watching(change, state)
        }
    }

    /// The autoscalers of a workload that came or went.
    private func watching(_ change: Change, _ state: borrowing ClusterState) -> [ObjectKey] {
        guard change.old == nil || change.new == nil else { return [] }
        let types = cluster.store.types
        return state.list(ResourceTypes.autoscalers, namespace: change.key.namespace).filter {
            AutoscalerSpec($0.spec).target(namespace: $0.namespace, types) == change.key
        }.compactMap(\.key)
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let object = await cluster.get(key), !object.isDeleting else {
            await memory.forget(key)
            return nil
        }
        let spec = AutoscalerSpec(object.spec)
        var report = AutoscalerReport(object, now: cluster.now())
        if let target = spec.target(namespace: object.namespace, cluster.store.types),
            let workload = await cluster.get(target), !workload.isDeleting
        {
            try await scale(workload, target.type, spec, object, key, &report)
        } else {
            report.cannotScale("the HPA controller was unable to get the target's current scale: \(spec.missingTarget)")
            tell(object, .warning, "FailedGetScale", spec.missingTarget)
        }
        var updated = object
        updated.status = report.status
        try await cluster.updateStatus(updated, from: object)
        return spec.period(object) * 1000
    }

    func tell(_ object: Object, _ severity: EventRecorder.Severity, _ reason: String, _ message: String) {
        cluster.events.record(object, severity, reason: reason, message: message, component: Self.component)
    }

    private func scale(
        _ workload: Object,
        _ type: ResourceType,
        _ spec: AutoscalerSpec,
        _ object: Object,
        _ key: ObjectKey,
        _ report: inout AutoscalerReport
    ) async throws(APIError) {
        let numbers: ScaleNumbers
        do throws(APIError) { numbers = try ScaleNumbers(workload, type) } catch {
            report.cannotScale("the HPA controller was unable to get the target's current scale: \(error.message)")
            tell(object, .warning, "FailedGetScale", error.message)
            return
        }
        let current = max(numbers.wanted, 0)
        report.set(
            "AbleToScale",
            true,
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale"
        )
        report.current = current
        var wanted = current
        var why = ""
        if current == 0 {
            report.set(
                "ScalingActive",
                false,
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero"
            )
        } else if current > spec.maxReplicas {
            (wanted, why) = (spec.maxReplicas, "Current number of replicas above Spec.MaxReplicas")
        } else if current < spec.minReplicas {
            (wanted, why) = (spec.minReplicas, "Current number of replicas below Spec.MinReplicas")
        } else {
            let measures = await AutoscalerMeasures(self, workload, type, spec, current: current)
            report.take(measures)
            for problem in measures.problems { tell(object, .warning, problem.reason, problem.message) }
            guard let choice = measures.choice else {
                report.desired = current
                return
            }
            let outcome = await memory.limit(choice.replicas, key, object.uid, current, spec, report.now)
            report.take(outcome)
            (wanted, why) = (outcome.replicas, measures.reason(choice, rises: outcome.replicas > current))
        }
        report.desired = wanted
        guard wanted != current else { return }
        try await resize(workload, type, from: current, to: wanted, why, object, key, &report)
    }

    private func resize(
        _ workload: Object,
        _ type: ResourceType,
        from current: Int,
        to wanted: Int,
        _ why: String,
        _ object: Object,
        _ key: ObjectKey,
        _ report: inout AutoscalerReport
    ) async throws(APIError) {
        var scaled = workload
        scaled.value.set(type.custom?.scale?.specReplicas ?? ["spec", "replicas"], .int(Int64(wanted)))
        do { try await cluster.replace(scaled) } catch {
            report.set("AbleToScale", false, "FailedUpdateScale", error.message)
            guard error.reason != .conflict else { throw error }
            tell(object, .warning, "FailedRescale", "New size: \(wanted); reason: \(why); error: \(error.message)")
            return
        }
        await memory.scaled(key, object.uid, from: current, to: wanted, report.now)
        report.scaled()
        tell(object, .normal, "SuccessfulRescale", "New size: \(wanted); reason: \(why)")
    }
}

/// `spec` of a HorizontalPodAutoscaler.
struct AutoscalerSpec {
    let value: Value
    init(_ value: Value) { self.value = value }

    var minReplicas: Int { max(value.integer("minReplicas") ?? 1, 1) }
    var maxReplicas: Int { max(value.integer("maxReplicas") ?? 1, minReplicas) }
    var metrics: [Value] { value.list("metrics") }
    var up: ScalingBehavior.Rules { ScalingBehavior.Rules(value.at("behavior", "scaleUp"), usual: .up) }
    var down: ScalingBehavior.Rules { ScalingBehavior.Rules(value.at("behavior", "scaleDown"), usual: .down) }

    func tolerance(_ direction: String) -> Double {
        Quantity(value.at("behavior", direction, "tolerance")).map { Double($0.milli) / 1000 } ?? 0.1
    }

    /// What it scales: a workload of the house, by its kind alone, or a custom kind that has a scale.
    func target(namespace: String, _ types: ServedTypes) -> ObjectKey? {
        let reference = value["scaleTargetRef"] ?? .null
        let kind = reference.text("kind") ?? ""
        let version = reference.text("apiVersion") ?? ""
        let known = [ResourceTypes.deployments, ResourceTypes.replicaSets, ResourceTypes.statefulSets]
        let own = known.first { $0.kind == kind && (version.isEmpty || $0.apiVersion == version) }
        let custom = own == nil ? types.find(apiVersion: version, kind: kind) : nil
        guard let type = own ?? custom, own != nil || type.custom?.scale != nil else { return nil }
        return ObjectKey(type, namespace: namespace, name: reference.text("name") ?? "")
    }

    var missingTarget: String {
        let reference = value["scaleTargetRef"] ?? .null
        let group = (reference.text("apiVersion") ?? "apps/v1").split(separator: "/").first ?? "apps"
        return "\((reference.text("kind") ?? "").lowercased())s.\(group) \"\(reference.text("name") ?? "")\" not found"
    }

    func period(_ object: Object) -> Int {
        guard let text = object.annotation(AutoscalerReconciler.periodAnnotation) else {
            return AutoscalerReconciler.period
        }
        let number = Int(text.hasSuffix("s") ? String(text.dropLast()) : text)
        return number.flatMap { (1...300).contains($0) ? $0 : nil } ?? AutoscalerReconciler.period
    }
}

/// What was recommended and done, for the windows and policies of every autoscaler. Begun anew with the daemon.
private actor AutoscalerMemory {
    private var behaviors: [ObjectKey: (uid: String, behavior: ScalingBehavior)] = [:]

    func forget(_ key: ObjectKey) { behaviors[key] = nil }

    private func behavior(_ key: ObjectKey, _ uid: String) -> ScalingBehavior {
        guard let known = behaviors[key], known.uid == uid else { return ScalingBehavior() }
        return known.behavior
    }

    func limit(
        _ wish: Int,
        _ key: ObjectKey,
        _ uid: String,
        _ current: Int,
        _ spec: AutoscalerSpec,
        _ now: Timestamp
    ) -> ScalingBehavior.Outcome {
        var behavior = behavior(key, uid)
        let outcome = behavior.limit(
            wish,
            current: current,
            bounds: spec.minReplicas...spec.maxReplicas,
            up: spec.up,
            down: spec.down,
            now: now
        )
        behaviors[key] = (uid, behavior)
        return outcome
    }

    func scaled(_ key: ObjectKey, _ uid: String, from old: Int, to new: Int, _ now: Timestamp) {
        var behavior = behavior(key, uid)
        behavior.scaled(from: old, to: new, at: now)
        behaviors[key] = (uid, behavior)
    }
}
