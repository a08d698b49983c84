/// One part of a request that its hash is made of.
public struct HashRule: BitwiseCopyable, Sendable {
    public enum Source: UInt8, BitwiseCopyable, Sendable {
        case header, method, path, authority, scheme
        case cookie, query, clientAddress
    }
    public var source: Source
    /// The header's name in lower case, the cookie's or the parameter's.
    public var name: ByteRun
    public var rewrite: PatternRewrite?
    /// With a hash by then the rules behind it do not count.
    public var isTerminal = false
    /// What stands behind the value of a new cookie; nil: none is made where it is missing.
    public var cookieTail: ByteRun?

    public init(source: Source, name: ByteRun = .empty) {
        self.source = source
        self.name = name
    }

    /// Rules of a route at most.
    package static var limit: Int { 16 }
}

/// What the rules of a route make of a request.
package struct RequestHash: Equatable {
    /// nil: nothing of what they ask for is there.
    package var hash: UInt64?
    /// By the rules' positions: cookies that the answer has to set.
    package var newCookies: UInt32 = 0

    package init() {}
}

extension RequestView {
    /// The hash by which a balancer places the request, the same as Envoy's. `address` is the client's, as text; `cookie` is
    /// the value of a new cookie.
    package func hash(_ rules: ArenaArray<HashRule>, address: ByteRun, cookie: ByteRun) -> RequestHash {
        var result = RequestHash()
        for index in 0..<min(rules.count, HashRule.limit) {
            let rule = rules[index]
            var found = value(of: rule, address: address)
            if rule.source == .cookie, found == nil, rule.cookieTail != nil {
                found = hash64(cookie)
                result.newCookies |= 1 << UInt32(index)
            }
            if let found {
                // Turned by a bit, two equal parts do not cancel each other out.
                let before = result.hash.map { $0 << 1 | $0 >> 63 } ?? 0
                result.hash = before ^ found
            }
            if rule.isTerminal, result.hash != nil { break }
        }
        return result
    }

    private func value(of rule: HashRule, address: ByteRun) -> UInt64? {
        switch rule.source {
        case .header: return headerHash(rule)
        case .method: return one(method, rule)
        case .path: return one(query.isEmpty ? path : pathAndQuery, rule)
        case .authority: return one(authority, rule)
        case .scheme:
            return one(isTLS ? StaticRun("https").run : StaticRun("http").run, rule)
        case .query: return QueryMatch.value(of: rule.name, in: query).map { hash64($0) }
        case .clientAddress: return address.isEmpty ? nil : hash64(address)
        case .cookie:
            guard let value = cookie(rule.name), !value.isEmpty else { return nil }
            return hash64(value)
        }
    }

    /// Bytes that rewritten values may take.
    private static var rewriteRoom: Int { 65_536 }

    private func one(_ value: ByteRun, _ rule: HashRule) -> UInt64? {
        guard let rewrite = rule.rewrite else { return hash64(value) }
        return withUnsafeTemporaryAllocation(byteCount: Self.rewriteRoom, alignment: 1) { room in
            var sink = ByteSink(room)
            sink.appendReplaced(value, by: rewrite)
            return sink.overflowed ? nil : hash64(sink.written)
        }
    }

    /// All values of the header in the order of their bytes, so that the order in which they came does not count.
    private func headerHash(_ rule: HashRule) -> UInt64? {
        var position = 0
        guard let first = nextValue(of: rule.name, from: &position) else { return nil }
        var count = 1
        while nextValue(of: rule.name, from: &position) != nil { count += 1 }
        guard count > 1 else { return one(first, rule) }
        return withUnsafeTemporaryAllocation(byteCount: Self.rewriteRoom, alignment: 1) { room in
            withUnsafeTemporaryAllocation(of: ByteRun.self, capacity: count) { space in
                var values = space
                var sink = ByteSink(room)
                var position = 0
                for index in 0..<count {
                    var value = nextValue(of: rule.name, from: &position) ?? .empty
                    if let rewrite = rule.rewrite {
                        let begin = sink.count
                        sink.appendReplaced(value, by: rewrite)
                        value = sink.written.dropping(begin)
                    }
                    values.initializeElement(at: index, to: value)
                }
                guard !sink.overflowed else { return nil }
                values.sort { $0.buffer.lexicographicallyPrecedes($1.buffer) }
                return values.reduce(0) { hash64($1, seed: $0) }
            }
        }
    }
}
