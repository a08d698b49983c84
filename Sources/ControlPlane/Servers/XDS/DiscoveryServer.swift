import Bytes
package import Mesh
package import Reactor
package import Resources
package import Wire

/// Where views come from: keeps them up to date.
package struct DiscoverySource: Sendable {
    /// Tells the sink at once what a kind of client is served, then what changes. False: too many kinds.
    package var open: @Sendable (DiscoveryAudience, @escaping @Sendable ([DiscoveryUpdate]) -> Void) async -> Bool
    /// Nobody needs the kind any more.
    package var close: @Sendable (DiscoveryAudience) async -> Void

    package init(
        open: @escaping @Sendable (DiscoveryAudience, @escaping @Sendable ([DiscoveryUpdate]) -> Void) async -> Bool,
        close: @escaping @Sendable (DiscoveryAudience) async -> Void
    ) {
        self.open = open
        self.close = close
    }
}

/// What clients tell of what they were sent.
package struct DiscoveryRefusal: Sendable, Equatable {
    package var client: String
    package var type: DiscoveryType
    package var names: [String]
    package var error: String
}

/// The xDS server: aggregated discovery, both protocols, for any client.
package actor DiscoveryServer {
    private let source: DiscoverySource
    /// The kind of all clients; nil: each says what it is.
    private let audience: DiscoveryAudience?
    private let now: @Sendable () -> Timestamp
    private let refused: @Sendable (DiscoveryRefusal) -> Void
    private var views: [DiscoveryAudience: DiscoveryView] = [:]
    private var opening: [DiscoveryAudience: Task<DiscoveryView?, Never>] = [:]
    private var closing: [DiscoveryAudience: Task<Void, Never>] = [:]
    private var clients: [UInt64: DiscoverySession] = [:]
    private var users: [DiscoveryAudience: Int] = [:]
    private var count: UInt64 = 0
    private var server: GRPCServer?
    private var isStopping = false
    /// Where it listens.
    package private(set) var addresses: [String] = []

    /// Streams at the same time.
    package static let streamLimit = 4096

    /// - Parameters:
    ///   - source: where resources come from.
    ///   - audience: the kind of all clients; nil: each says what it is.
    ///   - now: the time of day.
    ///   - refused: called for every response that a client refuses.
    package init(
        source: DiscoverySource,
        audience: DiscoveryAudience? = nil,
        now: @escaping @Sendable () -> Timestamp,
        refused: @escaping @Sendable (DiscoveryRefusal) -> Void
    ) {
        self.source = source
        self.audience = audience
        self.now = now
        self.refused = refused
    }

    // MARK: start and end

    /// Serves a Unix socket.
    ///
    /// - Throws: `SystemError`.
    package func listen(unix path: String) async throws(SystemError) {
        try await grpc().listen(unix: path)
        addresses.append("unix:\(path)")
    }

    /// Serves an address of the loopback interface (port 0: any).
    ///
    /// - Throws: `SystemError`.
    package func listen(_ address: SocketAddress) async throws(SystemError) {
        let own = try await grpc().listen(address)
        addresses.append("\(own)")
    }

    private func grpc() -> GRPCServer {
        if let server { return server }
        let made = GRPCServer { [weak self] call in
            await self?.serve(call) ?? GRPCStatus(.unavailable, "weft is ending")
        }
        server = made
        return made
    }

    /// Makes the view of the one kind of clients, and keeps it when none is there.
    package func keepView() async {
        guard let audience else { return }
        users[audience, default: 0] += 1
        _ = await view(of: audience)
    }

    // MARK: confirmation

    /// What came of the wait for the clients.
    package enum Confirmation: Sendable, Equatable {
        case confirmed, silent, late
    }

    /// Suspends until every client has answered all that the view of their one kind holds now. A weft-proxy answers when its
    /// workers use it.
    ///
    /// - Parameters:
    ///   - silence: after so long without a client nothing is waited for.
    ///   - limit: the longest wait for clients that are there.
    /// - Returns: how the wait ended.
    package func confirm(silence: Duration, limit: Duration) async -> Confirmation {
        guard let audience, let wanted = views[audience]?.revisions else { return .silent }
        let clock = ContinuousClock()
        let end = clock.now + limit
        var quietSince = clock.now
        while !isStopping, !Task.isCancelled {
            let present = Array(clients.values)
            var isConfirmed = !present.isEmpty
            for session in present where await !session.answers(wanted, until: end) { isConfirmed = false }
            if isConfirmed { return .confirmed }
            if clock.now >= end { return .late }
            if !present.isEmpty { quietSince = clock.now }
            guard clock.now - quietSince < silence else { return .silent }
            // Nobody is there, or the one that was there has just gone: the next one is started now.
            try? await Task.sleep(for: .milliseconds(2))
        }
        return .silent
    }

    /// Nothing is waited for from now on.
    package func stopWaiting() async {
        isStopping = true
        for session in clients.values { await session.expire() }
    }

    /// What clients refused, by name: why.
    package func refusals() async -> [String: String] {
        var found: [String: String] = [:]
        for session in clients.values { found.merge(await session.refusals) { first, _ in first } }
        return found
    }

    /// Closes every stream and stops to listen.
    package func shutdown() async {
        await stopWaiting()
        await server?.shutdown()
        server = nil
    }

    // MARK: streams

    private func serve(_ call: GRPCCall) async -> GRPCStatus {
        guard let variant = DiscoveryVariant(path: call.path) else {
            return GRPCStatus(
                .unimplemented,
                "\(call.path) is not served: only StreamAggregatedResources and DeltaAggregatedResources are"
            )
        }
        guard clients.count < Self.streamLimit else {
            return GRPCStatus(.resourceExhausted, "\(Self.streamLimit) streams are open already")
        }
        count += 1
        let number = count
        guard let first = await call.next() else { return .ok }
        do throws(GRPCStatus) {
            let request = try DiscoveryRequest(first, variant)
            guard let node = request.node else {
                return GRPCStatus(.invalidArgument, "the first request of a stream must have a node")
            }
            let told = try node.audience()
            let audience = self.audience ?? told
            users[audience, default: 0] += 1
            guard let view = await view(of: audience) else {
                await leave(audience)
                return GRPCStatus(
                    .resourceExhausted,
                    "clients of too many kinds are connected: use a common port offset"
                )
            }
            let session = DiscoverySession(number, variant, node, audience, view, call, now: now, refused: refused)
            clients[number] = session
            let status = await session.run(first: request)
            clients[number] = nil
            await leave(audience)
            return status
        } catch {
            return error
        }
    }

    private func view(of audience: DiscoveryAudience) async -> DiscoveryView? {
        if let view = views[audience] { return view }
        if let task = opening[audience] { return await task.value }
        let source = source
        let before = closing[audience]
        let task = Task { () -> DiscoveryView? in
            await before?.value
            let view = DiscoveryView(audience)
            return await source.open(audience) { view.apply($0) } ? view : nil
        }
        opening[audience] = task
        let view = await task.value
        opening[audience] = nil
        if users[audience] != nil { views[audience] = view }
        return view
    }

    /// The last of its kind closes the view, so that nobody keeps it up to date in vain.
    private func leave(_ audience: DiscoveryAudience) async {
        users[audience, default: 1] -= 1
        guard users[audience] == 0 else { return }
        users[audience] = nil
        views[audience] = nil
        let source = source
        let before = closing[audience]
        let task = Task {
            await before?.value
            await source.close(audience)
        }
        closing[audience] = task
        await task.value
        if closing[audience] == task { closing[audience] = nil }
    }

    // MARK: what is told

    /// The clients that are connected, and how each stands with what it was sent.
    package func report() async -> Value {
        var items: [Value] = []
        for (_, session) in clients.sorted(by: { $0.key < $1.key }) { items.append(await session.report()) }
        return ["addresses": .array(addresses.map { .string($0) }), "clients": .array(items)]
    }
}

extension DiscoveryNode {
    /// Which kind of client this is.
    ///
    /// - Throws: `GRPCStatus` when its metadata cannot be understood.
    func audience() throws(GRPCStatus) -> DiscoveryAudience {
        var place = DiscoveryAudience.Place.host
        if let text = metadata["weft.dev/network"] {
            guard let found = DiscoveryAudience.Place(rawValue: text), found != .machine else {
                throw GRPCStatus(
                    .invalidArgument,
                    "node.metadata[weft.dev/network] is host or pod, not \"\(text.prefix(64))\""
                )
            }
            place = found
        }
        guard !userAgent.hasPrefix("gRPC"), metadata["weft.dev/kind"] != "proxyless" else {
            return DiscoveryAudience(.proxyless, at: place)
        }
        var offset = DiscoveryAudience.defaultPortOffset
        if let text = metadata["weft.dev/port-offset"] {
            guard let number = Int(text), (0...65_534).contains(number) else {
                throw GRPCStatus(
                    .invalidArgument,
                    "node.metadata[weft.dev/port-offset] is a number from 0 to 65534, not \"\(text.prefix(64))\""
                )
            }
            offset = number
        }
        return DiscoveryAudience(.gateway, at: place, portOffset: offset)
    }
}
