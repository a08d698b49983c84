import TLS

/// What is known of a connection when its filter chain is chosen.
struct ConnectionFacts {
    /// Original destination where it is known, else the local address.
    var destination: IPKey
    var destinationPort: UInt16
    /// The client's, as a balancer in front named it.
    var source: IPKey
    var sourcePort: UInt16
    /// Whoever opened the connection itself.
    var directSource: IPKey
    /// False on Unix sockets: no address of it can match a range but the widest.
    var hasAddress = true
    /// What the inspector found.
    var application = ApplicationProtocol.unknown
    /// nil: the inspector did not look, or found no TLS.
    var hello: ClientHello?

    /// The protocols that the client offers, or that its first bytes are.
    var protocols: [[UInt8]] {
        if let hello { return hello.protocols }
        return application.name.map { [$0] } ?? []
    }

    /// Of the loopback addresses Envoy takes the first only, and so do we.
    var isFromThisHost: Bool {
        !hasAddress || source == IPKey(ipv4: 0x7F00_0001) || source == IPKey(high: 0, low: 1) || source == destination
    }
}

/// An application protocol as found in a connection's first bytes.
enum ApplicationProtocol: UInt8, Sendable, BitwiseCopyable {
    case unknown, http10, http11, http2

    /// As chains name it.
    var name: [UInt8]? {
        switch self {
        case .unknown: nil
        case .http10: Array("http/1.0".utf8)
        case .http11: Array("http/1.1".utf8)
        case .http2: Array("h2c".utf8)
        }
    }
}

/// Which connections a chain takes. Empty conditions hold for all.
struct ChainMatch: Sendable, Equatable {
    enum Transport: UInt8, Sendable { case any, raw, tls }

    var destinationPort: UInt16?
    var destinations: [AddressRange] = []
    /// Lower case; `*.example.com` stands for every name below.
    var serverNames: [String] = []
    var transport = Transport.any
    var protocols: [[UInt8]] = []
    var directSources: [AddressRange] = []
    /// Only connections from this machine (`SAME_IP_OR_LOOPBACK`), or only others (`EXTERNAL`); nil = all.
    var isFromThisHost: Bool?
    var sources: [AddressRange] = []
    var sourcePorts: [UInt16] = []

    init() {}

    /// Whether the choice needs the first message of TLS.
    var needsTLSInspection: Bool { !serverNames.isEmpty || transport != .any || !protocols.isEmpty }

    /// One condition of each kind; nil = any.
    struct Path: Hashable {
        var destinationPort: UInt16?
        var destination: AddressRange?
        var serverName: String?
        var transport: Transport
        var application: [UInt8]?
        var directSource: AddressRange?
        var isFromThisHost: Bool?
        var source: AddressRange?
        var sourcePort: UInt16?
    }

    /// A chain with more combinations than this is not looked at for repetitions.
    private static let pathLimit = 16_384

    /// All combinations of the conditions. Two chains with one in common would take the same connections.
    var paths: [Path] {
        func any<Element>(_ list: [Element]) -> [Element?] { list.isEmpty ? [nil] : list.map { $0 } }
        func ranges(_ list: [AddressRange]) -> [AddressRange?] {
            list.isEmpty ? [nil] : list.map { $0.isWidest ? nil : $0 }
        }
        let counts = [
            destinations.count, serverNames.count, protocols.count, directSources.count, sources.count,
            sourcePorts.count,
        ]
        var total = 1
        for count in counts {
            total *= max(1, count)
            guard total <= Self.pathLimit else { return [] }
        }
        var paths = [
            Path(destinationPort: destinationPort, transport: transport, isFromThisHost: isFromThisHost)
        ]
        func spread<Value>(_ field: WritableKeyPath<Path, Value?>, _ values: [Value?]) {
            paths = paths.flatMap { path in
                values.map { value in
                    var copy = path
                    copy[keyPath: field] = value
                    return copy
                }
            }
        }
        spread(\.destination, ranges(destinations))
        spread(\.serverName, any(serverNames))
        spread(\.application, any(protocols))
        spread(\.directSource, ranges(directSources))
        spread(\.source, ranges(sources))
        spread(\.sourcePort, any(sourcePorts))
        return paths
    }
}

/// The choice among filter chains, condition by condition in Envoy's order. Each step keeps the chains whose condition fits
/// best; a chain that fell out does not come back when a later condition of those that stayed fails.
struct ChainChoice {
    private var chains: [FilterChainConfiguration]

    static func choose(_ chains: [FilterChainConfiguration], _ facts: ConnectionFacts) -> FilterChainConfiguration? {
        var choice = ChainChoice(chains: chains)
        choice.keep(\.destinationPort, facts.destinationPort)
        choice.keepNarrowest(\.destinations, facts.destination, facts.hasAddress)
        choice.keepNamed(facts.hello?.serverName)
        choice.keepTransport(facts.hello == nil ? .raw : .tls)
        choice.keepProtocol(facts.protocols)
        choice.keepNarrowest(\.directSources, facts.directSource, facts.hasAddress)
        choice.keep(\.isFromThisHost, facts.isFromThisHost)
        choice.keepNarrowest(\.sources, facts.source, facts.hasAddress)
        choice.keepSourcePort(facts.sourcePort)
        return choice.chains.first
    }

    /// Those that want exactly this; without any, those that do not care.
    private mutating func keep<Value: Equatable>(_ field: KeyPath<ChainMatch, Value?>, _ value: Value) {
        keepFirst([{ $0[keyPath: field] == value }, { $0[keyPath: field] == nil }])
    }

    private mutating func keepFirst(_ conditions: [(ChainMatch) -> Bool]) {
        guard !chains.isEmpty else { return }
        for condition in conditions {
            let kept = chains.filter { condition($0.match) }
            if !kept.isEmpty {
                chains = kept
                return
            }
        }
        chains = []
    }

    /// Those with the longest prefix around the address; no range counts as the widest.
    private mutating func keepNarrowest(
        _ field: KeyPath<ChainMatch, [AddressRange]>,
        _ address: IPKey,
        _ hasAddress: Bool
    ) {
        func length(_ chain: FilterChainConfiguration) -> Int {
            let ranges = chain.match[keyPath: field]
            guard !ranges.isEmpty else { return 0 }
            return ranges.filter { $0.isWidest || hasAddress && $0.contains(address) }.map(\.significantBits).max()
                ?? -1
        }
        guard chains.contains(where: { !$0.match[keyPath: field].isEmpty }) else { return }
        let longest = chains.map(length).max() ?? -1
        chains = longest < 0 ? [] : chains.filter { length($0) == longest }
    }

    /// The name itself before the nearest wildcard above it before chains without names.
    private mutating func keepNamed(_ name: String?) {
        var conditions: [(ChainMatch) -> Bool] = []
        if let name {
            conditions.append { $0.serverNames.contains(name) }
            var rest = name[...]
            while let dot = rest.dropFirst().firstIndex(of: ".") {
                rest = rest[dot...]
                let pattern = "*" + rest
                conditions.append { $0.serverNames.contains(pattern) }
            }
        }
        conditions.append { $0.serverNames.isEmpty }
        keepFirst(conditions)
    }

    private mutating func keepTransport(_ transport: ChainMatch.Transport) {
        keepFirst([{ $0.transport == transport }, { $0.transport == .any }])
    }

    /// In the client's order of preference.
    private mutating func keepProtocol(_ offered: [[UInt8]]) {
        guard chains.contains(where: { !$0.match.protocols.isEmpty }) else { return }
        var conditions: [(ChainMatch) -> Bool] = offered.map { name in { $0.protocols.contains(name) } }
        conditions.append { $0.protocols.isEmpty }
        keepFirst(conditions)
    }

    private mutating func keepSourcePort(_ port: UInt16) {
        keepFirst([{ $0.sourcePorts.contains(port) }, { $0.sourcePorts.isEmpty }])
    }
}

extension ListenerConfiguration {
    /// The chain for a connection, else the default chain.
    func chain(for facts: @autoclosure () -> ConnectionFacts) -> FilterChainConfiguration? {
        onlyChain ?? ChainChoice.choose(chains, facts()) ?? defaultChain
    }

    /// Whether any chain asks for the application protocol: else there is nothing to wait for.
    var needsApplicationProtocol: Bool {
        settings.inspectsHTTP && chains.contains { !$0.match.protocols.isEmpty }
    }

    /// Whether the client's first TLS message is looked at: for a chain that asks for it, or for logs and the filter's time.
    var needsTLSInspection: Bool {
        settings.hasTLSInspector || settings.inspectsTLS && chains.contains { $0.match.needsTLSInspection }
    }

    static func haveSeveralTLSRules(_ chains: [FilterChainConfiguration]) -> Bool {
        guard let first = chains.first(where: { $0.tls != nil })?.tls else { return false }
        return chains.contains { !first.isAsStrict(as: $0.tls) }
    }

    /// The chain that a connection gets while nothing is known of its protocol.
    func chainWithoutProtocol(for facts: ConnectionFacts) -> FilterChainConfiguration? {
        var blind = facts
        blind.application = .unknown
        return chain(for: blind)
    }
}
