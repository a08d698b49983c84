/// Who may do what: policies, and what it means that one of them matches.
///
/// Safety: the runs lead into an arena that the owner of the rules keeps, and that never changes.
package struct AccessRules: @unchecked Sendable {
    package enum Action: Sendable { case allow, deny, log }

    package struct Policy: @unchecked Sendable {
        package var name: String
        package var permissions: [AccessCondition]
        package var principals: [AccessCondition]

        package init(name: String, permissions: [AccessCondition], principals: [AccessCondition]) {
            self.name = name
            self.permissions = permissions
            self.principals = principals
        }
    }

    package var action: Action
    /// In the order of their names.
    package var policies: [Policy]

    package init(action: Action, policies: [Policy]) {
        self.action = action
        self.policies = policies
    }

    /// Whether the request may pass, and the policy that decided; nil: none matched.
    package func judge(_ facts: AccessFacts) -> (isAllowed: Bool, policy: String?) {
        let match = policies.first { policy in
            policy.permissions.contains { $0.holds(facts) } && policy.principals.contains { $0.holds(facts) }
        }
        switch action {
        case .allow: return (match != nil, match?.name)
        case .deny: return (match == nil, match?.name)
        case .log: return (true, match?.name)
        }
    }

    /// Whether a condition looks at a request: rules for connections must not.
    package var readsRequests: Bool {
        policies.contains { policy in (policy.permissions + policy.principals).contains { $0.readsRequests } }
    }

    /// Whether a condition looks at the names in the client's certificate.
    package var readsNames: Bool {
        policies.contains { $0.principals.contains { $0.readsNames } }
    }
}

/// A condition of a policy.
package indirect enum AccessCondition: @unchecked Sendable {
    case any
    case not(AccessCondition)
    case all([AccessCondition])
    case oneOf([AccessCondition])
    case header(HeaderMatch)
    case path(TextMatch)
    case destination(AddressBlock)
    /// From the first up to, without, the second.
    case destinationPort(Int, Int)
    case serverName(TextMatch)
    /// With a certificate; of a name that matches.
    case authenticated(TextMatch?)
    /// The connection's peer, as a header of the PROXY protocol says.
    case source(AddressBlock)
    /// The connection's peer itself.
    case directSource(AddressBlock)
    /// The client, as trusted proxies say.
    case client(AddressBlock)

    package func holds(_ facts: AccessFacts) -> Bool {
        switch self {
        case .any: true
        case .not(let condition): !condition.holds(facts)
        case .all(let conditions): conditions.allSatisfy { $0.holds(facts) }
        case .oneOf(let conditions): conditions.contains { $0.holds(facts) }
        case .header(let match): match.matches(facts.request)
        case .path(let match): match.matches(facts.request.path)
        case .destination(let block): block.contains(facts.destination)
        case .destinationPort(let first, let end): (first..<max(first, end)).contains(facts.destinationPort)
        case .serverName(let match): facts.withServerName { match.matches($0) }
        case .authenticated(let match): facts.isAuthenticated && (match.map { facts.hasName($0) } ?? true)
        case .source(let block): block.contains(facts.source)
        case .directSource(let block): block.contains(facts.directSource)
        case .client(let block): block.contains(facts.client)
        }
    }

    fileprivate var readsRequests: Bool {
        switch self {
        case .not(let condition): condition.readsRequests
        case .all(let conditions), .oneOf(let conditions): conditions.contains { $0.readsRequests }
        case .header, .path: true
        default: false
        }
    }

    fileprivate var readsNames: Bool {
        switch self {
        case .not(let condition): condition.readsNames
        case .all(let conditions), .oneOf(let conditions): conditions.contains { $0.readsNames }
        case .authenticated: true
        default: false
        }
    }
}

/// An address as 128 bits; IPv4 in its mapped form.
package struct AddressBits: BitwiseCopyable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// Addresses with the same first bits.
package struct AddressBlock: BitwiseCopyable, Sendable {
    package var base: AddressBits
    /// Of the 128: an IPv4 /8 is 104.
    package var length: Int

    package init(base: AddressBits, length: Int) {
        self.base = base
        self.length = length
    }

    /// An address that is not known stands in no block.
    package func contains(_ address: AddressBits?) -> Bool {
        guard let address else { return false }
        if length <= 64 { return length <= 0 || (address.high ^ base.high) >> UInt64(64 - length) == 0 }
        return address.high == base.high && (address.low ^ base.low) >> UInt64(128 - min(128, length)) == 0
    }
}

/// What policies look at.
package struct AccessFacts {
    package var request: RequestView
    package var destination: AddressBits?
    package var destinationPort = 0
    package var source: AddressBits?
    package var directSource: AddressBits?
    package var client: AddressBits?
    /// What the client asked for in TLS.
    package var serverName: [UInt8] = []
    package var isAuthenticated = false
    /// The names in the client's certificate, in the order in which they are looked at: URIs, DNS names, the subject.
    package var names: [[UInt8]] = []

    package init(request: RequestView) { self.request = request }

    func withServerName(_ body: (ByteRun) -> Bool) -> Bool {
        serverName.withUnsafeBytes { body(ByteRun($0)) }
    }

    func hasName(_ match: TextMatch) -> Bool {
        names.contains { name in name.withUnsafeBytes { match.matches(ByteRun($0)) } }
    }
}
