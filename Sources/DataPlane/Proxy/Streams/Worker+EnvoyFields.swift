import HTTP
import Reactor
import Traffic

/// Fields by which proxies of one house tell one another what to do (`x-envoy-...`): honoured where the client is of the house,
/// and passed on to nobody.
extension Worker {
    /// Reads and takes out what the client may not say, or says to this proxy alone.
    func readHouseFields(
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ place: DownstreamPlace,
        _ base: UnsafeMutableRawPointer,
        _ internalOnly: ArenaArray<ByteRun>
    ) {
        let isInternal = isInternal(chain, place, base)
        if isInternal { extras(exchange).pointee.isInternal = true }
        for index in 0..<requestFields.count {
            let field = requestFields.fields[index]
            let name = ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength))
            if requestFields.names[index] == .envoy {
                let value = ByteRun(start: base + Int(field.valueStart), count: Int(field.valueLength))
                if readHouseField(name, value, exchange, isInternal, isEdge: chain.pointee.usesRemoteAddress) {
                    requestFields.drop(index)
                }
            } else if !isInternal {
                for position in 0..<internalOnly.count where internalOnly[position].equalsIgnoringCase(name) {
                    requestFields.drop(index)
                    break
                }
            }
        }
    }

    /// Whether the client is of the house: its address is in one of the configured networks, and nobody stands between.
    private func isInternal(_ chain: ChainPlace, _ place: DownstreamPlace, _ base: UnsafeMutableRawPointer) -> Bool {
        let networks = chain.pointee.configuration.settings.internalNetworks
        guard !networks.isEmpty else { return false }
        if chain.pointee.findsClient, let rule = chain.pointee.configuration.settings.clientAddress {
            let found = rule.client(headView(base), peer: place.pointee.peer)
            guard found?.isTrusted ?? true else { return false }
            let address = IPKey(found?.address ?? place.pointee.peer)
            return networks.contains { $0.contains(address) }
        }
        var client = IPKey(place.pointee.peer)
        for index in 0..<requestFields.count where requestFields.names[index] == .forwardedFor {
            guard !chain.pointee.usesRemoteAddress else { return false }
            let field = requestFields.fields[index]
            let value = ByteRun(start: base + Int(field.valueStart), count: Int(field.valueLength)).trimmed
            guard let address = Address(literal: value.text, port: 0)?.key else { return false }
            client = address
        }
        return networks.contains { $0.contains(client) }
    }

    /// The fields of the request that was parsed just now.
    private func headView(_ base: UnsafeMutableRawPointer) -> RequestView {
        RequestView(
            method: .empty,
            authority: .empty,
            path: .empty,
            base: UnsafeRawPointer(base),
            fields: UnsafePointer(requestFields.fields),
            fieldCount: requestFields.count
        )
    }

    /// Whether the field is taken out.
    private func readHouseField(
        _ name: ByteRun,
        _ value: ByteRun,
        _ exchange: ExchangePlace,
        _ isInternal: Bool,
        isEdge: Bool
    ) -> Bool {
        func isNamed(_ text: StaticString) -> Bool { name.equalsIgnoringCase(Self.run(text)) }
        func milliseconds() -> UInt64? {
            guard let number = value.decimal, number >= 0, number < 1 << 40 else { return nil }
            return UInt64(number) * 1_000_000
        }
        if isNamed("x-envoy-retry-on") || isNamed("x-envoy-retry-grpc-on") {
            guard isInternal else { return true }
            forEachWord(value) { word in
                guard let condition = RetryPolicy.Conditions(name: word.text) else { return }
                extras(exchange).pointee.asked.conditions.formUnion(condition)
            }
        } else if isNamed("x-envoy-max-retries") {
            guard isInternal, let number = value.decimal, number >= 0 else { return true }
            extras(exchange).pointee.asked.retries = UInt32(clamping: number)
        } else if isNamed("x-envoy-retriable-status-codes") {
            guard isInternal else { return true }
            forEachWord(value) { word in
                guard let status = word.decimal else { return }
                extras(exchange).pointee.asked.statuses.insert(Int(status))
            }
        } else if isNamed("x-envoy-retriable-header-names") {
            guard isInternal else { return true }
            forEachWord(value) { word in
                guard !word.isEmpty, extras(exchange).pointee.retriableNames.count < 16 else { return }
                extras(exchange).pointee.retriableNames.append(Array(word.buffer))
            }
        } else if isNamed("x-envoy-upstream-rq-timeout-ms") {
            if isInternal { extras(exchange).pointee.asked.timeout = milliseconds() }
        } else if isNamed("x-envoy-upstream-rq-per-try-timeout-ms") {
            if isInternal { extras(exchange).pointee.asked.perTryTimeout = milliseconds() }
        } else if isNamed("x-envoy-hedge-on-per-try-timeout") {
            guard isInternal, value.equals(Self.run("true")) || value.equals(Self.run("false")) else { return true }
            extras(exchange).pointee.asked.hedges = value.equals(Self.run("true"))
        } else {
            return isHouseOnly(name) || (isEdge && !isInternal && isForNextHopOnly(name))
        }
        return true
    }

    /// Said from proxy to proxy, never by a client, and made anew for the endpoint where it is due.
    private func isHouseOnly(_ name: ByteRun) -> Bool {
        for text in Self.houseOnly where name.equalsIgnoringCase(Self.run(text)) { return true }
        return false
    }

    private func isForNextHopOnly(_ name: ByteRun) -> Bool {
        for text in Self.edgeOnly where name.equalsIgnoringCase(Self.run(text)) { return true }
        return false
    }

    private static let houseOnly: [StaticString] = [
        "x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-timeout-alt-response", "x-envoy-expected-rq-timeout-ms",
        "x-envoy-force-trace", "x-envoy-ip-tags", "x-envoy-original-url",
        "x-envoy-is-timeout-retry", "x-envoy-internal",
    ]

    private static let edgeOnly: [StaticString] = [
        "x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node",
        "x-envoy-original-path", "x-envoy-original-host", "x-envoy-external-address",
    ]

    func forEachWord(_ list: ByteRun, _ work: (ByteRun) -> Void) {
        var rest = list
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 0x2C) ?? rest.count
            work(rest.first(end).trimmed)
            rest = rest.dropping(end + 1)
        }
    }

    /// Takes all fields of a name out of the request.
    func dropField(_ name: ByteRun, _ base: UnsafeMutableRawPointer) {
        for index in 0..<requestFields.count {
            let field = requestFields.fields[index]
            let candidate = ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength))
            if candidate.equalsIgnoringCase(name) { requestFields.drop(index) }
        }
    }
}
