package import Mesh
package import Resources
import Wire

/// What the mesh is made from, beside the objects.
package struct MeshSurroundings: Sendable, Equatable {
    /// Networks of the pods that run, by uid.
    package var networks: [String: PodNetwork] = [:]
    /// Pods that must get no new traffic, whatever their status says.
    package var leaving: Set<String> = []
    /// Without isolation: where Services are served on the machine.
    package var loopback: LoopbackNetwork?

    package init() {}
}

/// Takes what changed for a kind of xDS client. Quick; must not call back.
package typealias DiscoverySink = @Sendable ([DiscoveryUpdate]) -> Void

/// Turns the cluster's objects into what the proxy and other xDS clients are served whenever they change, and knows what the
/// proxy uses.
///
/// A change goes out at once; those that come within `gathering` of it go together. A pod that leaves does not wait for that.
package actor MeshPublisher {
    /// Types whose changes reach the proxy.
    private static let relevantTypes: Set<ResourceType> = [
        ResourceTypes.services, ResourceTypes.pods, ResourceTypes.endpointSlices, ResourceTypes.ingresses,
        ResourceTypes.secrets,
    ]
    private static let gathering = Duration.milliseconds(3)
    /// Between looks at listeners that are closed.
    private static let repetition = Duration.seconds(1)
    private static let confirmationLimit = Duration.seconds(4)
    private static let drainLimit = Duration.seconds(2)
    /// After this long without an answer the proxy is taken to be down, and then nothing needs its word.
    private static let silenceLimit = Duration.milliseconds(500)

    private let cluster: Cluster
    private let admin: any ProxyAdmin
    private let base: MeshState
    private let log: @Sendable (String) -> Void
    private let clock = ContinuousClock()
    private let inbox = MeshInbox()
    private var objects: MeshObjects
    private var configuration: ProxyConfiguration
    private var discovery: DiscoveryCache
    /// Who is told what changes for a kind of xDS client.
    private var audiences: [DiscoveryAudience: DiscoverySink] = [:]
    private let changes: AsyncStream<Void>
    private nonisolated let changed: AsyncStream<Void>.Continuation
    /// Listeners have changed: to be looked at when the proxy has them.
    private let checks: AsyncStream<Void>
    private let check: AsyncStream<Void>.Continuation
    /// Who knows what the proxy uses; nil: nothing is waited for.
    private var feed: (any ProxyFeed)?
    /// Listeners that the proxy could not open, with the reason.
    package private(set) var closedListeners: [String: String] = [:]
    /// Nobody confirms any more: the proxy is being stopped.
    private var isStopping = false
    /// What objects ask for and do not get.
    package private(set) var warnings: [MeshWarning] = []

    /// - Parameters:
    ///   - cluster: the objects.
    ///   - base: what does not change: directory, admin address, ingress address.
    ///   - ports: where load balancers' ports are served.
    ///   - loopback: where Services are served when pods have no networks of their own.
    ///   - admin: asked for what the proxy uses.
    ///   - log: takes one line at a time.
    package init(
        cluster: Cluster,
        base: MeshState,
        ports: HostPortRules = HostPortRules(),
        loopback: LoopbackNetwork? = nil,
        admin: any ProxyAdmin,
        log: @escaping @Sendable (String) -> Void
    ) {
        self.cluster = cluster
        self.admin = admin
        self.base = base
        objects = MeshObjects(ports: ports, loopback: loopback)
        configuration = ProxyConfiguration(base)
        discovery = DiscoveryCache(ingressAddress: base.ingressAddress, nodeAddress: base.nodeAddress)
        self.log = log
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (checks, check) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes over what is there; call before the proxy can ask, with a complete cache: a proxy that runs must never see fewer
    /// objects than there are.
    ///
    /// - Parameter inherited: networks of pods that run already.
    package func prepare(inheriting inherited: [PodNetwork] = []) async {
        for network in inherited { objects.place(network.uid, network) }
        await publish()
    }

    /// Waits for the proxy from now on.
    package func follow(_ feed: any ProxyFeed) { self.feed = feed }

    /// Listens to the cache; call before the cache runs.
    package func attach() async {
        let changed = changed
        let inbox = inbox
        await cluster.cache.listen { change, _ in
            guard Self.relevantTypes.contains(change.key.type) else { return }
            inbox.put(change)
            if Self.isRelevant(change) { changed.yield() }
        }
    }

    private static func isRelevant(_ change: Change) -> Bool {
        guard change.key.type == ResourceTypes.pods, let old = change.old, let new = change.new else { return true }
        let before = PodStatus(old.status)
        let after = PodStatus(new.status)
        return before.isReady != after.isReady || before.podIP != after.podIP || before.phase != after.phase
            || old.isDeleting != new.isDeleting || old.labels != new.labels || old.spec != new.spec
    }

    /// Publishes after every change until the task is cancelled.
    package func run() async {
        async let looking: Void = lookAtListeners()
        for await _ in changes {
            await publish()
            try? await Task.sleep(for: Self.gathering)
        }
        await looking
    }

    /// After a change of listeners: which could the proxy not open? A port may be taken, or not be allowed. The proxy tries
    /// them again and again, so they are looked at until all are open.
    private func lookAtListeners() async {
        for await _ in checks {
            await applied()
            await look()
            while !closedListeners.isEmpty, !Task.isCancelled {
                try? await Task.sleep(for: Self.repetition)
                await look()
            }
        }
    }

    private func look() async {
        guard let answer = try? await admin.get("/listeners", timeout: .seconds(1)), answer.status == 200 else {
            return
        }
        let found = ListenerErrors(String(decoding: answer.body, as: UTF8.self)).errors
        let new = found.filter { closedListeners[$0.key] != $0.value }
        closedListeners = found
        for (listener, error) in new { await tellClosed(listener, error) }
    }

    private func tellClosed(_ listener: String, _ error: String) async {
        log("mesh=closed listener=\(listener) error=\"\(error)\"")
        let parts = listener.split(separator: "/").map(String.init)
        guard parts.count >= 3, ["lb", "nodeport", "service"].contains(parts[0]),
            let service = await cluster.get(
                ObjectKey(ResourceTypes.services, namespace: parts[1], name: parts[2])
            )
        else { return }
        cluster.events.record(
            service,
            .warning,
            reason: "ListenFailed",
            message: "The address cannot be served: \(error)",
            component: "mesh"
        )
    }

    /// Tells everybody of the objects as they are now.
    package func publish() async {
        // Nothing waits between here and the end of the telling: what is told is never older than what was.
        update()
        await tell(configuration.warnings)
    }

    /// Takes over what changed, for every kind of xDS client.
    private func update() {
        objects.take(inbox.take())
        let delta = objects.takeDelta()
        guard !delta.isEmpty else { return }
        var changed: ProxyConfiguration?
        if delta.isStructural {
            var state = base
            state.services = Array(objects.index.services.values)
            state.pods = Array(objects.index.pods.values)
            state.ingresses = Array(objects.index.ingresses.values)
            let old = configuration.listeners
            configuration = ProxyConfiguration(state)
            changed = configuration
            if configuration.listeners != old { check.yield() }
        }
        for (audience, updates) in discovery.update(objects.index, delta, changed) { audiences[audience]?(updates) }
    }

    // MARK: xDS

    /// Tells `sink` at once what a kind of xDS client is served, and from then on what changes of it, in order.
    ///
    /// - Returns: false when there are too many kinds already.
    package func open(_ audience: DiscoveryAudience, _ sink: @escaping DiscoverySink) -> Bool {
        update()
        guard let updates = discovery.open(audience, objects.index, configuration) else { return false }
        audiences[audience] = sink
        sink(updates)
        return true
    }

    /// Nobody needs a kind any more.
    package func close(_ audience: DiscoveryAudience) {
        discovery.close(audience)
        audiences[audience] = nil
    }

    /// Tells each new warning in an event on its object.
    private func tell(_ current: [MeshWarning]) async {
        let new = current.filter { !warnings.contains($0) }
        warnings = current
        for warning in new {
            guard let type = ResourceTypes.all.first(where: { $0.kind == warning.kind }),
                let object = await cluster.get(ObjectKey(type, namespace: warning.namespace, name: warning.name))
            else { continue }
            cluster.events.record(
                object,
                .warning,
                reason: warning.reason,
                message: warning.message,
                component: "mesh"
            )
        }
    }

    // MARK: Pods

    /// A pod's network exists; returns when the proxy listens in it, so that its first connection is not refused.
    package func podPlaced(_ network: PodNetwork) async {
        objects.place(network.uid, network)
        await publish()
        await applied()
    }

    /// A pod's network is gone.
    package func podGone(uid: String) async {
        objects.place(uid, nil)
        await publish()
    }

    /// Takes a pod out of every endpoint set; returns when the proxy confirmed it and the requests that the pod was answering then are
    /// answered, or after a bounded time.
    package func podLeaves(uid: String) async {
        objects.leave(uid)
        await publish()
        guard await applied(), let address = objects.surroundings.networks[uid]?.address else { return }
        await drained(address)
    }

    /// Suspends until no removed endpoint of this address answers a request, for `drainLimit` at most: what takes longer is the
    /// server's to finish after SIGTERM, as it is everywhere.
    private func drained(_ address: String) async {
        let end = clock.now + Self.drainLimit
        while !Task.isCancelled, !isStopping, clock.now < end {
            guard let answer = try? await admin.get("/draining", timeout: .seconds(1)), answer.status == 200 else {
                return
            }
            let lines = String(decoding: answer.body, as: UTF8.self).split(separator: "\n")
            guard lines.contains(where: { $0.hasPrefix("\(address):") }) else { return }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Nothing waits for the proxy from now on.
    package func stop() async {
        isStopping = true
        await feed?.stop()
    }

    // MARK: Confirmation

    /// Suspends until the proxy uses what was told so far, or refused it, or is not there, or is too slow.
    ///
    /// - Returns: whether the proxy confirmed.
    @discardableResult
    package func applied() async -> Bool {
        guard !isStopping, let feed else { return false }
        switch await feed.confirm(silence: Self.silenceLimit, limit: Self.confirmationLimit) {
        case .confirmed: return true
        case .silent: return false
        case .late:
            log("mesh=unconfirmed after=\(Self.confirmationLimit)")
            return false
        }
    }

    /// What the proxy refused, by resource: for `weft check` and the status page.
    package func refusals() async -> [String: String] { await feed?.refusals() ?? [:] }
}
