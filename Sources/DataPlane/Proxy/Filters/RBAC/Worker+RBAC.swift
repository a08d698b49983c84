import Reactor
import TLS
import Traffic

/// `rbac`: requests pass, or not, by who sends them and what they want.
extension Worker {
    func admit(_ filter: AccessFilter, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        let own = settings(pass.exchange, step, .rbac, AccessFilter.self) ?? filter
        guard own.rules != nil || own.shadow != nil else { return .next }
        let readsNames = (own.rules?.readsNames ?? false) || (own.shadow?.readsNames ?? false)
        let facts = accessFacts(pass.place, pass.facts.view, readsNames: readsNames)
        if let shadow = own.shadow {
            countFilter(shadow.judge(facts).isAllowed ? filter.numbers.shadowAllowed : filter.numbers.shadowDenied)
        }
        guard let rules = own.rules else { return .next }
        let (isAllowed, policy) = rules.judge(facts)
        countFilter(isAllowed ? filter.numbers.allowed : filter.numbers.denied)
        guard !isAllowed else { return .next }
        let name = (policy ?? "none").map { $0.isWhitespace ? "_" : $0 }
        return .answered(
            FilterReply(
                status: 403,
                body: "RBAC: access denied",
                details: "rbac_access_denied_matched_policy[\(String(name))]"
            )
        )
    }

    /// Whether a chain's rules let a connection in; without `counts` nothing is counted.
    func isAdmitted(_ place: DownstreamPlace, _ chain: FilterChainConfiguration, counts: Bool = true) -> Bool {
        refusal(place, chain, counts: counts) == nil
    }

    /// Lets a connection in, or closes it. False: it is dealt with.
    func admit(_ index: Int32, _ place: DownstreamPlace, _ chain: FilterChainConfiguration) -> Bool {
        guard !chain.access.isEmpty, let filter = refusal(place, chain, counts: true) else { return true }
        turnAway(index, place, after: filter.delay)
        return false
    }

    /// The first of the chain's filters that does not let a connection in.
    private func refusal(_ place: DownstreamPlace, _ chain: FilterChainConfiguration, counts: Bool) -> AccessFilter? {
        let nothing = RequestView(method: .empty, authority: .empty, path: .empty)
        for filter in chain.access {
            let facts = accessFacts(place, nothing, readsNames: true)
            if let shadow = filter.shadow, counts {
                countFilter(shadow.judge(facts).isAllowed ? filter.numbers.shadowAllowed : filter.numbers.shadowDenied)
            }
            guard let rules = filter.rules else { continue }
            let isAllowed = rules.judge(facts).isAllowed
            if counts { countFilter(isAllowed ? filter.numbers.allowed : filter.numbers.denied) }
            if !isAllowed { return filter }
        }
        return nil
    }

    private func accessFacts(_ place: DownstreamPlace, _ view: RequestView, readsNames: Bool) -> AccessFacts {
        var facts = AccessFacts(request: view)
        facts.destination = Self.bits(place.pointee.destination)
        facts.destinationPort = Int(place.pointee.destination.port)
        facts.source = Self.bits(place.pointee.peer)
        facts.directSource = Self.bits(notes(of: place)?.directPeer ?? place.pointee.peer)
        facts.client = Self.bits(client(place, view))
        if let name = requestedServerName(place) { facts.serverName = Array(name.utf8) }
        // A certificate that is not found good ends the handshake: one that is there is good.
        guard let peer = place.pointee.tls?.peer else { return facts }
        facts.isAuthenticated = true
        guard readsNames else { return facts }
        for kind in [PeerIdentity.Name.Kind.uri, .dns] {
            // What holds a NUL or other invisible bytes is the name of nobody.
            facts.names += peer.names.filter { $0.kind == kind && $0.isPlain }.map(\.bytes)
        }
        facts.names.append(Array(peer.subject.utf8))
        return facts
    }

    /// Nil for a Unix socket's peer.
    private static func bits(_ address: SocketAddress) -> AddressBits? {
        let bytes = address.bytes
        func whole(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        switch address.family {
        case 4: return AddressBits(high: 0, low: 0x0000_FFFF_0000_0000 | whole(bytes[0..<4]))
        case 6: return AddressBits(high: whole(bytes[0..<8]), low: whole(bytes[8..<16]))
        default: return nil
        }
    }
}
