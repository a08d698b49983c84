import Bytes
import Reactor
import Traffic

/// Takes over configurations and lets go of what they no longer name.
extension Worker {
    /// Uses the snapshot from now on, for every new connection and request.
    func apply(_ snapshot: Snapshot) {
        let holder = SnapshotPlace.allocate(capacity: 1)
        holder.initialize(to: SnapshotHolder(snapshot))
        let old = current
        current = holder
        holders.append(holder)
        // Its last chain may let it go below; it must live until this is done with it.
        hold(old)
        old.pointee.isCurrent = false
        backlog.use(bound: snapshot.limits.longestWait)
        settleSeries(snapshot)
        applyClusters(snapshot)
        applyChains(snapshot)
        applyListeners(snapshot)
        if !places.isEmpty {
            let used = usedPlaces(snapshot)
            places = places.filter { used.contains($0.key) }
        }
        letGo(old)
        settleKeys(snapshot)
        control.post(.applied(worker: number, generation: snapshot.generation))
        resumeClusterWaits()
    }

    // MARK: Snapshots

    func hold(_ place: SnapshotPlace) { place.pointee.users += 1 }

    func letGo(_ place: SnapshotPlace) {
        place.pointee.users -= 1
        releaseIfUnused(place)
    }

    private func releaseIfUnused(_ place: SnapshotPlace) {
        guard place.pointee.users == 0, !place.pointee.isCurrent else { return }
        holders.removeAll { $0 == place }
        place.deinitialize(count: 1)
        place.deallocate()
    }

    // MARK: HTTP chains

    /// The worker's state for a chain, made at its first connection.
    func chainPlace(_ configuration: HTTPChainConfiguration) -> ChainPlace {
        if let place = chains[ObjectIdentifier(configuration)] { return place }
        let place = ChainPlace.allocate(capacity: 1)
        place.initialize(
            to: ChainState(
                configuration,
                holder: current,
                numbers: answers(of: configuration.settings.statPrefix),
                tally: clientTally(of: configuration.settings.statPrefix)
            )
        )
        hold(current)
        chains[ObjectIdentifier(configuration)] = place
        if !taps.isEmpty { mark(place) }
        return place
    }

    func leave(_ chain: ChainPlace) {
        chain.pointee.users -= 1
        guard chain.pointee.users == 0, !chain.pointee.isCurrent else { return }
        release(chain)
    }

    private func release(_ chain: ChainPlace) {
        chains[ObjectIdentifier(chain.pointee.configuration)] = nil
        let holder = chain.pointee.holder
        chain.deinitialize(count: 1)
        chain.deallocate()
        letGo(holder)
    }

    /// Chains that the snapshot names read their routes from it; the others end with their connections.
    private func applyChains(_ snapshot: Snapshot) {
        var named: Set<ObjectIdentifier> = []
        for case let listener? in snapshot.listeners {
            for chain in listener.chains + [listener.defaultChain].compactMap({ $0 }) {
                if case .http(let configuration) = chain.filter { named.insert(ObjectIdentifier(configuration)) }
            }
        }
        var hasStale = false
        for (key, place) in chains {
            let previous = place.pointee.holder
            if named.contains(key) {
                place.pointee.holder = current
                hold(current)
                letGo(previous)
            } else if place.pointee.users == 0 {
                release(place)
            } else {
                place.pointee.isCurrent = false
                hasStale = true
            }
        }
        if hasStale { hurryStaleConnections() }
    }

    /// Idle connections of a changed listener get its drain time; the others close with their next answer.
    private func hurryStaleConnections() {
        for index in 0..<downstreams.used {
            let place = downstreams.pointer(index)
            guard place.pointee.isLive, let chain = place.pointee.chain, !chain.pointee.isCurrent else { continue }
            armDownstream(index, place)
        }
    }

    // MARK: Clusters

    private func applyClusters(_ snapshot: Snapshot) {
        while clusters.count < snapshot.clusters.count { clusters.append(nil) }
        for index in clusters.indices {
            let wanted = index < snapshot.clusters.count ? snapshot.clusters[index] : nil
            if let present = clusters[index], present.pointee.identity != wanted?.identity {
                clusters[index] = nil
                retire(present)
            }
            guard let wanted else { continue }
            let place = clusters[index] ?? makeCluster(wanted)
            clusters[index] = place
            if place.pointee.version != wanted.version { update(place, wanted) }
        }
    }

    private func makeCluster(_ configuration: ClusterConfiguration) -> ClusterPlace {
        let place = ClusterPlace.allocate(capacity: 1)
        place.initialize(to: ClusterState(configuration))
        place.pointee.set.outlierSeed = random.next()
        return place
    }

    private func update(_ place: ClusterPlace, _ configuration: ClusterConfiguration) {
        let settings = configuration.settings
        place.pointee.version = configuration.version
        place.pointee.configuration = configuration
        place.pointee.set.outlier = settings.outlier
        place.pointee.set.panicThreshold = settings.panicThreshold
        place.pointee.normal.limits = settings.breakers[0]
        place.pointee.high.limits = settings.breakers[1]
        place.pointee.endpointLimits = settings.endpointConnections.map { (normal: $0[0], high: $0[1]) }
        place.pointee.connectTimeout = settings.connectTimeout
        place.pointee.idleTimeout = settings.idleTimeout
        place.pointee.maxConnectionDuration = settings.maxConnectionDuration
        place.pointee.maxRequests = settings.maxRequestsPerConnection
        place.pointee.speaks = settings.speaks
        place.pointee.http2 = settings.http2
        place.pointee.labels = settings.labels
        place.pointee.endpointWait = settings.endpointWait
        place.pointee.clientTimeout = settings.clientTimeout
        place.pointee.hasChecks = settings.check != nil
        place.pointee.set.ignoresUnchecked = settings.ignoresUnchecked
        place.pointee.tls = settings.tls
        place.pointee.introduction = settings.introduction
        place.pointee.naming = settings.naming
        place.pointee.socketOptions = settings.socketOptions
        place.pointee.keysConnections =
            settings.introduction != nil || !settings.naming.isEmpty
            || settings.transports.contains { $0.transport.introduction != nil }
        place.pointee.source = settings.source.map { target(for: $0) } ?? EndpointTarget()
        if case .originalDestination = settings.discovery { place.pointee.isOriginalDestination = true }
        place.pointee.readsDestination = settings.original?.header != nil
        place.pointee.destinationPort = settings.original?.port ?? 0
        updateEndpoints(place, configuration)
    }

    private func updateEndpoints(_ place: ClusterPlace, _ configuration: ClusterConfiguration) {
        let changes = place.pointee.set.update(
            configuration.specs,
            policy: configuration.settings.policy,
            settings: configuration.balancing,
            tables: configuration.hashTables,
            now: now
        )
        if configuration.settings.subsets != nil || place.pointee.set.hasSubsets {
            place.pointee.set.setSubsets(configuration.settings.subsets, configuration.endpoints.map(\.traits))
        }
        place.pointee.tracksEndpoints = configuration.settings.tracksEndpoints
        place.pointee.dropPerMillion = configuration.balancing.dropPerMillion
        place.pointee.growPools(to: place.pointee.set.slotCount)
        if !configuration.endpoints.isEmpty {
            place.pointee.emptySince = 0
        } else if place.pointee.emptySince == 0 {
            place.pointee.emptySince = max(1, now)
        }
        var seen: Set<UInt64> = []
        var position = 0
        for endpoint in configuration.endpoints where endpoint.identity != 0 && seen.insert(endpoint.identity).inserted
        {
            guard position < changes.slots.count else { break }
            let slot = Int(changes.slots[position])
            position += 1
            let counted = place.pointee.targets[slot].usage
            if counted !== endpoint.usage {
                counted?.add(-Int(place.pointee.pools[slot].open))
                endpoint.usage?.add(Int(place.pointee.pools[slot].open))
            }
            place.pointee.targets[slot] = target(for: endpoint.address)
            place.pointee.targets[slot].usage = endpoint.usage
            place.pointee.targets[slot].transport = endpoint.transport
            place.pointee.targets[slot].hostname = Array((endpoint.hostname ?? "").utf8)
            place.pointee.targets[slot].isCanary = endpoint.isCanary
            place.pointee.pools[slot].labels = endpoint.labels
            place.pointee.pools[slot].address = place.pointee.targets[slot].address
        }
        if number == 0, !changes.added.isEmpty || !changes.removed.isEmpty { place.pointee.membershipChanges &+= 1 }
        if configuration.settings.closesOnChange, !changes.added.isEmpty || !changes.removed.isEmpty {
            endConnections(place)
        }
        for slot in changes.removed {
            closeIdle(place, slot)
            recycleIfUnused(place, slot)
        }
    }

    /// Ends all connections of a cluster: idle ones at once, others after their answer.
    private func endConnections(_ place: ClusterPlace) {
        for slot in 0..<Int32(place.pointee.poolCount) { closeIdle(place, slot) }
        for index in 0..<upstreams.used {
            let upstream = upstreams.pointer(index)
            guard upstream.pointee.isLive, upstream.pointee.cluster == place else { continue }
            upstream.pointee.flags.insert(.closesAfterResponse)
        }
    }

    /// Frees the slot of an endpoint that is gone once nothing of it is in use.
    func recycleIfUnused(_ place: ClusterPlace, _ slot: Int32) {
        guard slot >= 0, Int(slot) < place.pointee.poolCount, place.pointee.pools[Int(slot)].open == 0 else { return }
        let state = place.pointee.set[slot]
        guard !state.isPresent, state.id != 0, state.requestsInFlight == 0 else { return }
        place.pointee.set.recycle(slot)
        place.pointee.pools[Int(slot)].speaksHTTP1 = false
        dropTally(place.pointee.pools + Int(slot))
        place.pointee.targets[Int(slot)] = EndpointTarget()
    }

    private func target(for address: Address) -> EndpointTarget {
        var target = EndpointTarget()
        if case .pipe(let path) = address.host {
            target.pipe = path
        } else {
            target.address = address.socketAddress ?? SocketAddress()
        }
        guard let path = address.namespacePath else { return target }
        target.place = networkPlace(path)
        target.isUnreachable = target.place == nil
        return target
    }

    /// The namespace or broker at a path, opened once per worker.
    func networkPlace(_ path: String) -> NetworkPlace? {
        if let place = places[path] { return place }
        do {
            let place = try NetworkPlace(path: path)
            places[path] = place
            return place
        } catch {
            control.post(.log(.warning, "cannot reach the network at \(path): \(error)"))
            return nil
        }
    }

    private func usedPlaces(_ snapshot: Snapshot) -> Set<String> {
        var used: Set<String> = []
        for case let cluster? in snapshot.clusters {
            if let path = cluster.settings.source?.namespacePath { used.insert(path) }
            used.formUnion(cluster.networks)
        }
        for case let listener? in snapshot.listeners {
            for address in listener.socket.addresses {
                if let path = address.namespacePath { used.insert(path) }
            }
        }
        return used
    }

    // MARK: The end of a cluster

    private func retire(_ place: ClusterPlace) {
        place.pointee.isRetired = true
        // Closing its last connection would free it under our hands.
        hold(place)
        retired.append(place)
        _ = place.pointee.set.update([])
        for slot in 0..<Int32(place.pointee.poolCount) { closeIdle(place, slot) }
        closeIdleOriginals(place)
        closeIdleKeyed(place, nil)
        failPending(place)
        letGo(place)
    }

    func hold(_ place: ClusterPlace) { place.pointee.users += 1 }

    func letGo(_ place: ClusterPlace) {
        place.pointee.users -= 1
        guard place.pointee.users == 0, place.pointee.isRetired else { return }
        retired.removeAll { $0 == place }
        release(place)
    }

    private func release(_ place: ClusterPlace) {
        let pools = place.pointee.pools
        for slot in 0..<place.pointee.poolCount { dropTally(pools + slot) }
        place.pointee.tally?.deallocate()
        place.deinitialize(count: 1)
        place.deallocate()
        pools.deallocate()
    }
}
