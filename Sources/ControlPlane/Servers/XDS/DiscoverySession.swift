import Mesh
import Resources
import Wire

/// One stream of a client: joins its requests, the changes of its view, and what goes out.
actor DiscoverySession {
    private let number: UInt64
    private let node: DiscoveryNode
    private let audience: DiscoveryAudience
    private let view: DiscoveryView
    private let call: GRPCCall
    private let now: @Sendable () -> Timestamp
    private let refused: @Sendable (DiscoveryRefusal) -> Void
    private let since: Timestamp
    private var stream: DiscoveryStream
    private var outbox: [DiscoveryResponse] = []
    private var isSending = false
    private var lastAnswer: [DiscoveryType: Timestamp] = [:]
    /// Who waits for the client's answers, with the revisions of the tables.
    private var waiters: [UInt64: (wanted: [UInt64], resume: CheckedContinuation<Bool, Never>)] = [:]
    private var waiterCount: UInt64 = 0
    private var hasEnded = false

    init(
        _ number: UInt64,
        _ variant: DiscoveryVariant,
        _ node: DiscoveryNode,
        _ audience: DiscoveryAudience,
        _ view: DiscoveryView,
        _ call: GRPCCall,
        now: @escaping @Sendable () -> Timestamp,
        refused: @escaping @Sendable (DiscoveryRefusal) -> Void
    ) {
        self.number = number
        self.node = node
        self.audience = audience
        self.view = view
        self.call = call
        self.now = now
        self.refused = refused
        since = now()
        stream = DiscoveryStream(
            variant,
            namespace: node.metadata["weft.dev/namespace"] ?? "default",
            responseBytes: audience == .machine ? Self.machineResponse : DiscoveryStream.responseBytes
        )
    }

    /// The machine's proxy takes its listeners over from the one before it when the first response of them is in force: it is to
    /// have all of them.
    private static let machineResponse = 16 << 20

    /// Serves the stream until the client ends it.
    func run(first: DiscoveryRequest) async -> GRPCStatus {
        let (changes, changed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        view.listen(number, changed)
        let telling = Task {
            for await _ in changes { await self.advance() }
        }
        let status = await read(first)
        view.listen(number, nil)
        changed.finish()
        telling.cancel()
        await telling.value
        hasEnded = true
        expire()
        return status
    }

    // MARK: confirmation

    /// Suspends until the client has answered all that the tables held at these revisions.
    ///
    /// - Returns: false when the stream ended or `expire` was called before.
    func answers(_ wanted: [UInt64], until end: ContinuousClock.Instant) async -> Bool {
        if stream.hasAnswered(wanted) { return true }
        guard !hasEnded else { return false }
        waiterCount += 1
        let number = waiterCount
        let timer = Task {
            try? await Task.sleep(until: end, clock: .continuous)
            if !Task.isCancelled { self.expire(number) }
        }
        defer { timer.cancel() }
        return await withCheckedContinuation { waiters[number] = (wanted, $0) }
    }

    /// Those who wait need not wait any more.
    func expire() {
        for number in Array(waiters.keys) { expire(number) }
    }

    private func expire(_ number: UInt64) { waiters.removeValue(forKey: number)?.resume.resume(returning: false) }

    private func tellWaiters() {
        for (number, waiter) in waiters where stream.hasAnswered(waiter.wanted) {
            waiters.removeValue(forKey: number)?.resume.resume(returning: true)
        }
    }

    /// What the client refused, by name: why.
    var refusals: [String: String] { stream.refusals }

    private func read(_ first: DiscoveryRequest) async -> GRPCStatus {
        do throws(GRPCStatus) {
            try await take(first)
            while let bytes = await call.next() { try await take(try DiscoveryRequest(bytes, stream.variant)) }
            return .ok
        } catch {
            return error
        }
    }

    private func take(_ request: DiscoveryRequest) async throws(GRPCStatus) {
        let verdict = try stream.receive(request)
        switch verdict {
        case .none: break
        case .accepted(let type, _): lastAnswer[type] = now()
        case .refused(let type, let names, let error):
            lastAnswer[type] = now()
            refused(DiscoveryRefusal(client: name, type: type, names: names, error: error))
        }
        await advance()
    }

    /// Sends what is due, one after the other.
    private func advance() async {
        outbox += view.advance(&stream)
        tellWaiters()
        guard !isSending else { return }
        isSending = true
        while !outbox.isEmpty {
            let response = outbox.removeFirst()
            guard await call.send(response.bytes(stream.variant)) else {
                outbox = []
                break
            }
        }
        isSending = false
    }

    private var name: String { node.id.isEmpty ? "(no id)" : node.id }

    /// The client as `weft xds clients` shows it.
    func report() -> Value {
        let types = stream.reports.map { type, report -> Value in
            var value: Value = [
                "type": .string(type.shortName), "typeURL": .string(type.url), "sent": .string(report.sent),
                "accepted": .string(report.accepted), "acceptances": .int(Int64(report.acceptances)),
                "refusals": .int(Int64(report.refusals)),
            ]
            value["subscribed"] = report.subscribed.map { .int(Int64($0)) } ?? "*"
            value["lastAnswer"] = lastAnswer[type].map { .string($0.description) }
            if !report.error.isEmpty {
                value["error"] = .string(report.error)
                value["refused"] = .array(report.refusedNames.map { .string($0) })
            }
            return value
        }
        return [
            "id": .string(node.id), "cluster": .string(node.cluster), "userAgent": .string(node.userAgent),
            "kind": .string(audience.kind.rawValue), "network": .string(audience.place.rawValue),
            "portOffset": .int(Int64(audience.portOffset)), "connection": .int(Int64(call.connection)),
            "protocol": .string(stream.variant == .delta ? "delta" : "sotw"), "since": .string(since.description),
            "types": .array(types),
        ]
    }
}
