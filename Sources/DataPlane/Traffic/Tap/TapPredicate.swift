/// What a tap wants to see: decided as early as what is known of a request allows.
package indirect enum TapPredicate: Sendable {
    case any
    case never
    /// All of them hold for the request's head.
    case request([HeaderMatch])
    /// All of them hold for the answer's head; a matcher of `:status` has the target `.method`.
    case response([HeaderMatch])
    /// All of them hold for the answer's trailers.
    case trailers([HeaderMatch])
    case not(TapPredicate)
    case all([TapPredicate])
    case oneOf([TapPredicate])

    package func verdict(_ subject: TapSubject) -> TapVerdict {
        switch self {
        case .any: return .yes
        case .never: return .no
        case .request(let matches): return Self.verdict(matches, subject.request, subject)
        case .response(let matches): return Self.verdict(matches, subject.response, subject)
        case .trailers(let matches): return Self.verdict(matches, subject.trailers, subject)
        case .not(let inner):
            switch inner.verdict(subject) {
            case .yes: return .no
            case .no: return .yes
            case .unknown: return .unknown
            }
        case .all(let parts):
            var isKnown = true
            for part in parts {
                let verdict = part.verdict(subject)
                if verdict == .no { return .no }
                if verdict == .unknown { isKnown = false }
            }
            return isKnown ? .yes : .unknown
        case .oneOf(let parts):
            var isKnown = true
            for part in parts {
                let verdict = part.verdict(subject)
                if verdict == .yes { return .yes }
                if verdict == .unknown { isKnown = false }
            }
            return isKnown ? .no : .unknown
        }
    }

    private static func verdict(_ matches: [HeaderMatch], _ view: RequestView?, _ subject: TapSubject) -> TapVerdict {
        guard let view else { return subject.isOver ? .no : .unknown }
        return matches.allSatisfy { $0.matches(view) } ? .yes : .no
    }
}

/// What a predicate says of a request so far.
package enum TapVerdict: Sendable, Equatable {
    case yes, no
    /// What it depends on has not come yet.
    case unknown
}

/// A request as far as it is known; nil = has not come.
package struct TapSubject {
    package var request: RequestView?
    /// The answer's fields; its status in digits stands in `method`.
    package var response: RequestView?
    package var trailers: RequestView?
    /// What has not come will not come.
    package var isOver: Bool

    package init(
        request: RequestView? = nil,
        response: RequestView? = nil,
        trailers: RequestView? = nil,
        isOver: Bool = false
    ) {
        self.request = request
        self.response = response
        self.trailers = trailers
        self.isOver = isOver
    }
}

/// At most so many requests in a second, by the second of the clock.
package struct TapRate: Sendable {
    package let limit: Int
    private var second: UInt64 = 0
    private var used = 0

    package init(limit: Int) { self.limit = limit }

    /// Whether one more may pass.
    package mutating func admits(now: UInt64) -> Bool {
        let current = now / 1_000_000_000
        if current != second {
            second = current
            used = 0
        }
        guard used < limit else { return false }
        used += 1
        return true
    }
}
