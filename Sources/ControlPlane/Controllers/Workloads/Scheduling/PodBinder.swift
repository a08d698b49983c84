import Bytes
package import Resources
import Store
import Wire

/// Gives new pods to this machine's node, in the order of their priority, each when there is room for it.
///
/// One key stands for all pods that wait: a turn looks at them together. What the others hold is kept from the changes
/// themselves (`NodeLedger`), so that a turn costs what waits, not what runs.
package struct PodBinder: Reconciler {
    /// The name of the one node.
    package static let nodeName = "weft"
    /// Who schedules a pod that names nobody else.
    private static let schedulerName = "default-scheduler"
    private static let key = ObjectKey(ResourceTypes.nodes, name: nodeName)

    package let name = "binder"
    private let cluster: Cluster
    private let book = Book()

    /// What the changes said so far.
    private final class Book: Sendable {
        struct Content {
            var ledger = NodeLedger()
            /// Pods that were looked at and found no room.
            var refused: Set<ObjectKey> = []
            /// Some of them wait for neighbours, not for room.
            var hopesForNeighbours = false
            /// How often room was found, so that a turn knows whether it looked at what is true no longer.
            var releases = 0
        }

        let content = Lock(Content())
    }

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.pods: return book.content.withLock { Self.isWorthALook(change, &$0) } ? [Self.key] : []
        case ResourceTypes.nodes:
            guard change.key == Self.key else { return [] }
            let (old, new) = (change.old, change.new)
            let isSame =
                old?.spec == new?.spec && old?.metadata["labels"] == new?.metadata["labels"]
                && old?.status["allocatable"] == new?.status["allocatable"]
            return isSame ? [] : [Self.key]
        case ResourceTypes.namespaces:
            guard change.old?.metadata["labels"] != change.new?.metadata["labels"] else { return [] }
            return book.content.withLock { $0.hopesForNeighbours } ? [Self.key] : []
        default: return []
        }
    }

    private static func isWorthALook(_ change: Change, _ content: inout Book.Content) -> Bool {
        let hadMore = content.ledger.observe(change.key, change.new)
        if hadMore { content.releases += 1 }
        if content.ledger.waiting.contains(change.key) {
            // What this loop writes about a pod that waits is no reason to look at it again.
            guard let old = change.old, content.refused.contains(change.key) else { return true }
            return old.spec != change.new?.spec || old.metadata["labels"] != change.new?.metadata["labels"]
        }
        let wasRefused = content.refused.remove(change.key) != nil
        guard !content.refused.isEmpty else { return false }
        return hadMore || wasRefused
    }

    // MARK: A turn

    /// Why a pod has to wait.
    private struct Refusal: Sendable {
        var pod: Object
        var reason = "Unschedulable"
        var message: String
        /// Room is being made for it.
        var isNominated = false
    }

    /// What is to be done about the pods that wait.
    private struct Turn: Sendable {
        var binds: [Object] = []
        var refusals: [Refusal] = []
        var victims: [(pod: Object, of: Object)] = []
        var hopesForNeighbours = false
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        let (ledger, releases) = book.content.withLock { ($0.ledger, $0.releases) }
        guard !ledger.waiting.isEmpty else { return nil }
        let turn = await cluster.read { Self.decide(ledger, $0) }
        let isOutdated = book.content.withLock { content in
            content.refused = Set(turn.refusals.compactMap(\.pod.key)).intersection(content.ledger.waiting)
            content.hopesForNeighbours = turn.hopesForNeighbours
            return content.releases != releases && !content.refused.isEmpty
        }
        var failure: APIError?
        await withTaskGroup(of: APIError?.self) { group in
            for pod in turn.binds { group.addTask { await self.bind(pod) } }
            for one in turn.refusals { group.addTask { await self.refuse(one) } }
            for one in turn.victims { group.addTask { await self.preempt(one.pod, for: one.of) } }
            for await problem in group { failure = failure ?? problem }
        }
        if let failure { throw failure }
        return isOutdated ? 0 : nil
    }

    private static func decide(_ ledger: NodeLedger, _ state: borrowing ClusterState) -> Turn {
        var turn = Turn()
        let pods = ledger.waiting.compactMap { state.get($0) }.filter {
            !$0.isDeleting && PodSpec($0.spec).nodeName == nil
                && ($0.spec.text("schedulerName") ?? schedulerName) == schedulerName
        }
        let order = pods.sorted { one, two in
            let (first, second) = (one.spec.integer("priority") ?? 0, two.spec.integer("priority") ?? 0)
            if first != second { return first > second }
            return (one.metadata.text("creationTimestamp") ?? "", one.name)
                < (two.metadata.text("creationTimestamp") ?? "", two.name)
        }
        let node = state.get(key)
        var spaces: [String: [String: String]] = [:]
        for space in state.list(ResourceTypes.namespaces) { spaces[space.name] = space.labels }
        let budgets = FullBudgets(state.list(ResourceTypes.disruptionBudgets))
        var ledger = ledger
        for pod in order {
            guard pod.spec.list("schedulingGates").isEmpty else {
                let text = "Scheduling is blocked due to non-empty scheduling gates"
                turn.refusals.append(Refusal(pod: pod, reason: "SchedulingGated", message: text))
                continue
            }
            guard let node, let key = pod.key else {
                turn.refusals.append(Refusal(pod: pod, message: "no nodes available to schedule pods"))
                continue
            }
            let holding = NodeLedger.Holding(pod, key)
            let look = { (ledger: NodeLedger) in
                Placement(pod, holding, on: node, ledger, namespaces: { spaces[$0] ?? [:] })
            }
            switch look(ledger) {
            case .fits:
                turn.binds.append(pod)
                ledger.hold(holding)
            case .unfit(let reasons):
                let why = "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
                turn.refusals.append(Refusal(pod: pod, message: Placement.sentence(reasons, preemption: why)))
                if reasons.contains(where: { $0.contains("affinity rules") || $0.contains("spread") }) {
                    turn.hopesForNeighbours = true
                }
            case .crowded(let reasons):
                makeRoom(for: pod, holding, reasons, &ledger, &turn, state, budgets) { look($0) == .fits }
            }
        }
        return turn
    }

    /// Takes room from pods of lower priority, if that helps; else the pod waits.
    private static func makeRoom(
        for pod: Object,
        _ holding: NodeLedger.Holding,
        _ reasons: [String],
        _ ledger: inout NodeLedger,
        _ turn: inout Turn,
        _ state: borrowing ClusterState,
        _ budgets: FullBudgets,
        _ fits: (NodeLedger) -> Bool
    ) {
        func refuse(_ why: String, isNominated: Bool = false) {
            let text = Placement.sentence(reasons, preemption: why)
            turn.refusals.append(Refusal(pod: pod, message: text, isNominated: isNominated))
        }
        guard pod.spec.text("preemptionPolicy") != "Never" else {
            return refuse("not eligible due to preemptionPolicy=Never.")
        }
        // Room that is on its way is waited for before more is taken.
        var soon = ledger
        for one in ledger.holdings.values where one.isEnding && one.priority < holding.priority {
            soon.release(one.key)
        }
        let isComing = soon.holdings.count < ledger.holdings.count && fits(soon)
        let found = isComing ? [] : Placement.victims(for: holding, in: ledger, isProtected: budgets.hold, fits: fits)
        guard let found else {
            return refuse("0/1 nodes are available: 1 No preemption victims found for incoming pod.")
        }
        for key in found {
            if let victim = state.get(key), !victim.isDeleting { turn.victims.append((victim, pod)) }
        }
        refuse("0/1 nodes are available: 1 No preemption victims found for incoming pod.", isNominated: true)
        // The room is this pod's: those behind it do not get it.
        ledger.hold(holding)
    }

    /// The budgets that allow no disruption at the moment.
    private struct FullBudgets: Sendable {
        private let full: [(namespace: String, selector: LabelSelector)]

        init(_ budgets: [Object]) {
            full = budgets.compactMap { budget in
                guard (budget.status.integer("disruptionsAllowed") ?? 0) == 0, let selector = budget.spec["selector"]
                else { return nil }
                return (budget.namespace, LabelSelector(selector))
            }
        }

        func hold(_ pod: NodeLedger.Holding) -> Bool {
            full.contains { $0.namespace == pod.key.namespace && $0.selector.matches(pod.labels) }
        }
    }

    // MARK: Writing

    private func bind(_ pod: Object) async -> APIError? {
        var wanted = pod
        wanted.value.set(["spec", "nodeName"], .string(Self.nodeName))
        do throws(APIError) {
            let bound = try await cluster.replace(wanted)
            cluster.events.record(
                bound,
                .normal,
                reason: "Scheduled",
                message: "Successfully assigned \(pod.namespace)/\(pod.name) to \(Self.nodeName)",
                component: Self.schedulerName
            )
            return nil
        } catch {
            return error
        }
    }

    private func refuse(_ refusal: Refusal) async -> APIError? {
        let (pod, message) = (refusal.pod, refusal.message)
        var told = pod
        var conditions: [Condition] = pod.status.views("conditions")
        let known = conditions.first(ofType: "PodScheduled")
        let condition = Condition(
            type: "PodScheduled",
            status: false,
            reason: refusal.reason,
            message: message,
            lastTransitionTime: cluster.now()
        )
        conditions.set(condition)
        told.value.set(["status", "conditions"], .array(conditions.map(\.value)))
        told.value.set(["status", "nominatedNodeName"], refusal.isNominated ? .string(Self.nodeName) : nil)
        guard told.status != pod.status else { return nil }
        do throws(APIError) { try await cluster.updateStatus(told, from: pod) } catch { return error }
        guard refusal.reason == "Unschedulable", known?.message != message else { return nil }
        cluster.events.record(
            pod,
            .warning,
            reason: "FailedScheduling",
            message: message,
            component: Self.schedulerName
        )
        return nil
    }

    private func preempt(_ victim: Object, for pod: Object) async -> APIError? {
        guard let key = victim.key else { return nil }
        do throws(APIError) {
            var told = victim
            var conditions: [Condition] = victim.status.views("conditions")
            conditions.set(
                Condition(
                    type: "DisruptionTarget",
                    status: true,
                    reason: "PreemptionByScheduler",
                    message: "\(Self.schedulerName): preempting to accommodate a higher priority pod",
                    lastTransitionTime: cluster.now()
                )
            )
            told.value.set(["status", "conditions"], .array(conditions.map(\.value)))
            try await cluster.updateStatus(told, from: victim)
            try await cluster.delete(key, DeleteOptions(uid: victim.uid))
        } catch {
            return error.reason == .notFound ? nil : error
        }
        cluster.events.record(
            victim,
            .normal,
            reason: "Preempted",
            message: "Preempted by pod \(pod.uid) on node \(Self.nodeName)",
            component: Self.schedulerName
        )
        return nil
    }
}
