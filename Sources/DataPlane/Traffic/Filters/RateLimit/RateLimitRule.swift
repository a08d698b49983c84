/// What a request is counted under: names and values in order.
public struct RateLimitDescriptor: Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        public var key: [UInt8]
        public var value: [UInt8]

        public init(_ key: [UInt8], _ value: [UInt8]) {
            self.key = key
            self.value = value
        }
    }

    public var entries: [Entry]
    /// How much the request counts; nil: 1.
    public var hits: UInt64?

    public init(_ entries: [Entry], hits: UInt64? = nil) {
        self.entries = entries
        self.hits = hits
    }
}

/// What descriptors are made of, beside the request itself.
public struct RateLimitFacts {
    public var request: RequestView
    /// The client's address as text; empty: it has none.
    public var client: [UInt8] = []
    /// The client's network with so many bits as text (`10.0.0.0/8`), where it has an address of that kind.
    public var network: (_ v4: Int, _ v6: Int) -> [UInt8]? = { _, _ in nil }
    public var cluster: ByteRun = .empty

    public init(request: RequestView) { self.request = request }
}

/// One entry of `rate_limits`, compiled.
/// Safety: the runs lead into an arena that the rule's owner keeps, and that never changes.
public struct RateLimitRule: @unchecked Sendable {
    public enum Action: @unchecked Sendable {
        case fixed([UInt8], [UInt8])
        case destinationCluster
        case remoteAddress
        /// The network of the client, with so many bits.
        case maskedAddress(v4: Int, v6: Int)
        case header(ByteRun, key: [UInt8], skipsAbsent: Bool)
        case parameter(ByteRun, key: [UInt8], skipsAbsent: Bool)
        /// With this entry, when all match, or not all.
        case headers([HeaderMatch], wanted: Bool, key: [UInt8], value: [UInt8])
        case parameters([QueryMatch], wanted: Bool, key: [UInt8], value: [UInt8])
    }

    public var stage: UInt32
    public var actions: [Action]
    public var hits: UInt64?

    public init(stage: UInt32, actions: [Action], hits: UInt64? = nil) {
        self.stage = stage
        self.actions = actions
        self.hits = hits
    }

    /// The descriptor of a request; nil where one of the actions has nothing to say of it.
    package func descriptor(_ facts: RateLimitFacts) -> RateLimitDescriptor? {
        var entries: [RateLimitDescriptor.Entry] = []
        func add(_ key: [UInt8], _ value: ByteRun?, _ skipsAbsent: Bool) -> Bool {
            guard let value else { return skipsAbsent }
            entries.append(.init(key, Array(value.buffer)))
            return true
        }
        for action in actions {
            let goesOn: Bool
            switch action {
            case .fixed(let key, let value):
                entries.append(.init(key, value))
                goesOn = true
            case .destinationCluster:
                goesOn = !facts.cluster.isEmpty && add(Array("destination_cluster".utf8), facts.cluster, false)
            case .remoteAddress:
                goesOn = !facts.client.isEmpty
                entries.append(.init(Array("remote_address".utf8), facts.client))
            case .maskedAddress(let v4, let v6):
                let network = facts.network(v4, v6)
                goesOn = network != nil
                entries.append(.init(Array("masked_remote_address".utf8), network ?? []))
            case .header(let name, let key, let skips): goesOn = add(key, Self.field(name, facts.request), skips)
            case .parameter(let name, let key, let skips):
                goesOn = add(key, QueryMatch.value(of: name, in: facts.request.query), skips)
            case .headers(let matches, let wanted, let key, let value):
                goesOn = matches.allSatisfy { $0.matches(facts.request) } == wanted
                entries.append(.init(key, value))
            case .parameters(let matches, let wanted, let key, let value):
                goesOn = matches.allSatisfy { $0.matches(facts.request.query) } == wanted
                entries.append(.init(key, value))
            }
            guard goesOn else { return nil }
        }
        return entries.isEmpty ? nil : RateLimitDescriptor(entries, hits: hits)
    }

    private static func field(_ name: ByteRun, _ request: RequestView) -> ByteRun? {
        func isNamed(_ text: StaticString) -> Bool {
            name.equals(ByteRun(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }
        guard name[0] == 0x3A else { return request.value(of: name) }
        if isNamed(":method") { return request.method }
        if isNamed(":authority") { return request.authority }
        guard isNamed(":path") else { return nil }
        guard !request.query.isEmpty, let start = request.path.start else { return request.path }
        // They stand in one text, a question mark apart.
        return ByteRun(start: start, count: request.path.count + 1 + request.query.count)
    }
}
