/// Owns the loops: starts them together, ends them together.
package actor ControllerManager {
    package nonisolated let cluster: Cluster
    private let log: @Sendable (String) -> Void
    private let loops: [ReconcileLoop]
    private var task: Task<Void, Never>?

    /// - Parameters:
    ///   - cluster: the view and the store that all loops share.
    ///   - reconcilers: what to run; the usual ones are `standardReconcilers`.
    ///   - log: takes one line at a time, `key=value` words.
    package init(_ cluster: Cluster, _ reconcilers: [any Reconciler], log: @escaping @Sendable (String) -> Void) {
        self.cluster = cluster
        self.log = log
        loops = reconcilers.map { ReconcileLoop($0, log: log) }
    }

    /// Every loop that this machine needs for workloads, Services and housekeeping.
    ///
    /// - Parameters:
    ///   - cluster: what to work on.
    ///   - addresses: the addresses of load balancers.
    ///   - ports: which of the host's ports load balancers may have.
    ///   - ingressPort: the port of the machine's ingress listener.
    ///   - volumes: makes the directories of claims; without it claims stay unbound.
    ///   - metrics: what autoscalers go by; without it nothing is scaled.
    /// - Returns: the reconcilers, for `init`.
    package static func standardReconcilers(
        _ cluster: Cluster,
        addresses: LoadBalancerAddresses = LoadBalancerAddresses(),
        ports: HostPortRules = HostPortRules(),
        ingressPort: Int = 80,
        volumes: (any LocalVolumes)? = nil,
        metrics: (any AutoscalerMetrics)? = nil
    ) -> [any Reconciler] {
        let claims: (any Reconciler)? = volumes.map { VolumeClaimReconciler(cluster, directories: $0) }
        let scaling: (any Reconciler)? = metrics.map { AutoscalerReconciler(cluster, metrics: $0) }
        return [
            DeploymentReconciler(cluster), ReplicaSetReconciler(cluster), JobReconciler(cluster),
            CronJobReconciler(cluster), StatefulSetReconciler(cluster), DaemonSetReconciler(cluster),
            DisruptionReconciler(cluster), ConfigRestarter(cluster), PodBinder(cluster), TaintEvictor(cluster),
            QuotaReconciler(cluster), NodeLease(cluster),
            EndpointsReconciler(cluster), ServiceReconciler(cluster, addresses: addresses, ports: ports),
            IngressReconciler(cluster, port: ingressPort),
            NamespaceReconciler(cluster), DefinitionReconciler(cluster), GarbageCollector(cluster),
        ] + [claims, scaling].compactMap { $0 }
    }

    /// Starts the loops; returns when the view is complete and they have begun to work.
    package func start() async {
        guard task == nil else { return }
        let loops = loops
        let cluster = cluster
        for loop in loops { await cluster.cache.listen { loop.observe($0, $1) } }
        task = Task {
            await withDiscardingTaskGroup { group in
                group.addTask { await cluster.cache.run() }
                group.addTask { await cluster.events.run() }
                group.addTask { await EventExpiry(cluster).run() }
                // Nothing is decided before everything was seen.
                await cluster.cache.synced()
                for loop in loops { group.addTask { await loop.run() } }
            }
        }
        await cluster.cache.synced()
    }

    /// Ends the loops and waits for them.
    package func shutdown() async {
        task?.cancel()
        await task?.value
        task = nil
    }
}
