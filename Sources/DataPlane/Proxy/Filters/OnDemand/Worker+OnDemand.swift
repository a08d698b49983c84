import Bytes
import Traffic

/// `on_demand`: a request for a cluster that is not known waits for a while until the control plane has told of it. Requests for the
/// same cluster share one question.
extension Worker {
    func awaitCluster(_ filter: OnDemandSettings, _ step: FilterStep, _ pass: FilterPass) -> FilterVerdict {
        let own = settings(pass.exchange, step, .onDemand, OnDemandSettings.self) ?? filter
        guard own.server >= 0, let run = pass.exchange.filterRun, let route = pass.route,
            case .forward(let forward) = route.pointee.action
        else { return .next }
        if case .cluster(let wait) = state(pass.exchange, pass.step) {
            setState(pass.exchange, pass.step, .none)
            forget(wait)
            let isFound = find(wait.wanted, run)
            countFilter(isFound ? filter.numbers.found : filter.numbers.missing)
            return .next
        }
        if let drawn = run.pointee.cluster, drawn >= 0, cluster(at: drawn, pass.exchange) != nil { return .next }
        guard let name = wantedName(forward, pass.facts, pass.exchange, run.pointee.cluster ?? -1) else { return .next }
        let wanted = WantedCluster(server: own.server, name: name)
        if find(wanted, run) { return .next }
        let isFirst = clusterWaits[wanted] == nil
        guard waitingForClusters < Limits.clusterWaits else {
            countFilter(filter.numbers.overflow)
            return .next
        }
        let handle = ShadowHandle(exchange: pass.index, generation: pass.exchange.pointee.generation)
        clusterWaits[wanted, default: []].append(handle)
        waitingForClusters += 1
        setState(pass.exchange, pass.step, .cluster(ClusterWait(wanted: wanted, exchange: handle)))
        pass.exchange.pointee.wakeDeadline = now &+ own.timeout
        if isFirst {
            countFilter(filter.numbers.asked)
            control.post(.clusterWanted(ClusterQuestion(wanted: wanted, timeout: own.timeout)))
        }
        return .suspended
    }

    /// The name of the cluster that a route leads to; nil: the request names none, or one that cannot be.
    private func wantedName(
        _ forward: UnsafePointer<Forward>,
        _ facts: RequestFacts,
        _ exchange: ExchangePlace,
        _ drawn: Int32
    ) -> WantedCluster.Name? {
        if drawn >= 0 { return .place(drawn) }
        var named: ByteRun?
        switch forward.pointee.choice.draw(facts.view, random: 0) {
        case .cluster: return nil
        case .weighted:
            guard let entry = exchange.pointee.weighted else { return nil }
            named = facts.view.value(of: entry.pointee.header)
        case .named(let name): named = name
        }
        guard let named, !named.isEmpty, named.count <= Limits.clusterName else { return nil }
        return .text(named.text)
    }

    /// Whether the cluster is there now, in the newest snapshot; the request goes to it then.
    private func find(_ wanted: WantedCluster, _ run: UnsafeMutablePointer<FilterRun>) -> Bool {
        let index: Int32?
        switch wanted.name {
        case .text(let name): index = current.pointee.snapshot.clusterIndex(named: name)
        case .place(let place): index = place
        }
        guard let index, index >= 0, Int(index) < clusters.count, let found = clusters[Int(index)],
            !found.pointee.isRetired
        else { return false }
        if let before = run.pointee.found { letGo(before) }
        run.pointee.found = found
        hold(found)
        return true
    }

    /// A request waits no more.
    func forget(_ wait: ClusterWait) {
        guard var list = clusterWaits[wait.wanted],
            let index = list.firstIndex(where: {
                $0.exchange == wait.exchange.exchange && $0.generation == wait.exchange.generation
            })
        else { return }
        list.remove(at: index)
        waitingForClusters -= 1
        clusterWaits[wait.wanted] = list.isEmpty ? nil : list
    }

    /// A snapshot came: requests whose cluster is in it go on.
    func resumeClusterWaits() {
        guard !clusterWaits.isEmpty else { return }
        for wanted in Array(clusterWaits.keys) {
            let index: Int32?
            switch wanted.name {
            case .text(let name): index = current.pointee.snapshot.clusterIndex(named: name)
            case .place(let place): index = place
            }
            guard let index, index >= 0, Int(index) < clusters.count, clusters[Int(index)] != nil else { continue }
            resume(wanted)
        }
    }

    /// The control plane does not know these.
    func clustersMissing(_ missing: [WantedCluster]) {
        for wanted in missing { resume(wanted) }
    }

    private func resume(_ wanted: WantedCluster) {
        for handle in clusterWaits[wanted] ?? [] {
            guard let exchange = exchanges.find(handle.exchange, generation: handle.generation) else { continue }
            resumeFilters(handle.exchange, exchange)
        }
    }
}
