package import Mesh

/// What is due.
extension DiscoveryStream {
    /// The responses that are due, in the order in which they have to go.
    package mutating func advance(_ tables: DiscoveryTables) -> [DiscoveryResponse] {
        DiscoveryType.allCases.compactMap { type in
            guard subscriptions[type.rawValue].hasBegun, !subscriptions[type.rawValue].isInFlight,
                !waits(type, tables)
            else { return nil }
            return type.isComplete && variant == .stateOfTheWorld ? whole(type, tables) : pieces(type, tables)
        }
    }

    /// A change of what leads to clusters goes when the client has answered the newest ones, with the endpoints that it asked for:
    /// it may take routes into use at once, while a cluster waits for its endpoints. Clients that ask for clusters by name do so
    /// after routes.
    private func waits(_ type: DiscoveryType, _ tables: DiscoveryTables) -> Bool {
        guard type == .listener || type == .route, !subscriptions[type.rawValue].nonce.isEmpty else { return false }
        let clusters = subscriptions[DiscoveryType.cluster.rawValue]
        let endpoints = subscriptions[DiscoveryType.endpoints.rawValue]
        guard clusters.hasBegun, clusters.isWildcard else { return false }
        guard let answered = clusters.answered, answered >= tables[.cluster].revision else { return true }
        return endpoints.hasBegun && endpoints.answered == nil
    }

    /// The whole set, when it is another one than the client has.
    private mutating func whole(_ type: DiscoveryType, _ tables: DiscoveryTables) -> DiscoveryResponse? {
        var subscription = subscriptions[type.rawValue]
        defer { subscriptions[type.rawValue] = subscription }
        let table = tables[type]
        guard
            subscription.looksAtAll || subscription.owesAnswer || subscription.seen != table.revision
                || !subscription.pending.isEmpty || !subscription.lingering.isEmpty
        else { return nil }
        subscription.seen = table.revision
        subscription.pending = []
        subscription.looksAtAll = false
        var set: [String: DiscoveryResource] = subscription.isWildcard ? table.resources : [:]
        for name in subscription.names { set[name] = tables.resource(type, name, namespace: namespace) }
        if type == .cluster { linger(&subscription, &set, tables) }
        let changed = set.values.filter { subscription.sent[$0.name] != $0.digest }.map(\.name)
        let gone = subscription.sent.keys.filter { set[$0] == nil }
        for name in gone { subscription.setSent(name, nil) }
        for name in changed { subscription.setSent(name, set[name]?.digest) }
        let isHeld = subscription.held == subscription.digest
        subscription.held = nil
        guard subscription.owesAnswer || (!isHeld && !(changed.isEmpty && gone.isEmpty)) else {
            subscription.answered = subscription.seen
            return nil
        }
        if type == .cluster { renewEndpoints(changed) }
        subscription.covers = subscription.seen
        return respond(type, set.values.sorted { $0.name < $1.name }, [], &subscription)
    }

    /// Keeps clusters that are gone in the set until the client has the routes without them.
    private func linger(
        _ subscription: inout DiscoverySubscription,
        _ set: inout [String: DiscoveryResource],
        _ tables: DiscoveryTables
    ) {
        guard !areRoutesSettled(tables) else {
            subscription.lingering = [:]
            return
        }
        for name in subscription.sent.keys where set[name] == nil && subscription.covers(name) {
            if subscription.lingering[name] == nil { subscription.lingering[name] = lastClusters[name] }
        }
        for (name, resource) in subscription.lingering where set[name] == nil { set[name] = resource }
    }

    /// Whether the client uses the newest listeners and routes.
    private func areRoutesSettled(_ tables: DiscoveryTables) -> Bool {
        [DiscoveryType.listener, .route].allSatisfy { type in
            let subscription = subscriptions[type.rawValue]
            guard subscription.hasBegun else { return true }
            return subscription.isSettled && subscription.seen == tables[type].revision
        }
    }

    /// After a change of a cluster the client waits for its endpoints, even when those did not change.
    private mutating func renewEndpoints(_ clusters: [String]) {
        subscriptions[DiscoveryType.endpoints.rawValue].forced.formUnion(clusters)
        for name in clusters where subscriptions[DiscoveryType.endpoints.rawValue].covers(name) {
            subscriptions[DiscoveryType.endpoints.rawValue].pending.insert(name)
        }
    }

    /// What changed, as much as goes into one response.
    private mutating func pieces(_ type: DiscoveryType, _ tables: DiscoveryTables) -> DiscoveryResponse? {
        var subscription = subscriptions[type.rawValue]
        defer { subscriptions[type.rawValue] = subscription }
        gather(type, tables, &subscription)
        var resources: [DiscoveryResource] = []
        var removed: [String] = []
        var room = responseBytes
        var kept = 0
        let isPart = !subscription.parts.isEmpty
        let names = isPart ? subscription.parts.removeFirst() : subscription.pending.sorted()
        let keepsClusters = type == .cluster && !areRoutesSettled(tables)
        for name in names {
            guard room > 0 || isPart else { break }
            let isSubscribed = subscription.covers(name)
            let current = isSubscribed ? tables.resource(type, name, namespace: namespace) : nil
            guard let current else {
                if keepsClusters, subscription.sent[name].map({ $0 > DiscoverySubscription.unknown }) == true {
                    kept += 1
                    continue
                }
                subscription.pending.remove(name)
                if take(absent: name, isSubscribed, &subscription) { removed.append(name) }
                continue
            }
            subscription.pending.remove(name)
            let isForced = subscription.forced.remove(name) != nil
            guard isForced || subscription.sent[name] != current.digest, subscription.refused[name] != current.digest
            else {
                continue
            }
            subscription.refused[name] = nil
            if type == .cluster, subscription.sent[name] != current.digest { renewEndpoints([name]) }
            subscription.setSent(name, current.digest)
            resources.append(current)
            room -= current.bytes.count + name.utf8.count + 64
        }
        let isAll = subscription.pending.count == kept && subscription.parts.isEmpty
        guard !resources.isEmpty || !removed.isEmpty || subscription.owesAnswer else {
            if isAll { subscription.answered = subscription.seen }
            return isPart ? again(type, tables, &subscription) : nil
        }
        subscription.covers = isAll ? subscription.seen : nil
        return respond(type, resources, removed, &subscription)
    }

    /// A part of which nothing is left is passed over.
    private mutating func again(
        _ type: DiscoveryType,
        _ tables: DiscoveryTables,
        _ subscription: inout DiscoverySubscription
    ) -> DiscoveryResponse? {
        subscriptions[type.rawValue] = subscription
        let response = pieces(type, tables)
        subscription = subscriptions[type.rawValue]
        return response
    }

    /// Adds to `pending` what changed since the last look.
    private func gather(_ type: DiscoveryType, _ tables: DiscoveryTables, _ subscription: inout DiscoverySubscription) {
        let table = tables[type]
        guard subscription.looksAtAll || subscription.seen != table.revision else { return }
        let isFresh = subscription.looksAtAll
        subscription.looksAtAll = false
        let changes = isFresh ? nil : tables.changes(type, since: subscription.seen)
        subscription.seen = table.revision
        if let changes {
            subscription.pending.formUnion(subscription.isWildcard ? changes : changes.intersection(subscription.names))
            return
        }
        subscription.pending.formUnion(subscription.names)
        if subscription.isWildcard {
            subscription.pending.formUnion(table.resources.keys)
            subscription.pending.formUnion(subscription.sent.keys)
        }
    }

    /// A name without resource. True: the client is to be told so.
    private func take(absent name: String, _ isSubscribed: Bool, _ subscription: inout DiscoverySubscription) -> Bool {
        subscription.forced.remove(name)
        subscription.refused[name] = nil
        let old = subscription.sent[name]
        guard variant == .delta, isSubscribed else {
            subscription.setSent(name, nil)
            return false
        }
        let isNamed = subscription.names.contains(name)
        subscription.setSent(name, isNamed ? DiscoverySubscription.absent : nil)
        return old.map { $0 != DiscoverySubscription.absent } ?? isNamed
    }

    private mutating func respond(
        _ type: DiscoveryType,
        _ resources: [DiscoveryResource],
        _ removed: [String],
        _ subscription: inout DiscoverySubscription
    ) -> DiscoveryResponse {
        count += 1
        if type == .cluster, variant == .stateOfTheWorld {
            lastClusters = Dictionary(resources.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        }
        subscription.nonce = "\(count)"
        subscription.isInFlight = true
        subscription.owesAnswer = false
        subscription.lastNames = resources.map(\.name)
        subscription.report.sent = DiscoveryDigest.text(subscription.digest)
        return DiscoveryResponse(
            type: type,
            version: subscription.report.sent,
            nonce: subscription.nonce,
            resources: resources,
            removed: removed
        )
    }
}
