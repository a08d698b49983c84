package import Mesh

/// The rules of one stream: requests and changes come in, responses go out. Pure.
///
/// For each type one response is in flight: what changes meanwhile is gathered until the client has answered. A response that
/// was refused is not sent again; where it held several resources that stand for themselves, they are sent in halves, so that
/// one bad one keeps no other back.
package struct DiscoveryStream: Sendable {
    /// What a request led to.
    package enum Verdict: Sendable, Equatable {
        case none
        case accepted(DiscoveryType, version: String)
        case refused(DiscoveryType, names: [String], error: String)
    }

    /// Names of one type that a stream may ask for.
    package static let nameLimit = 100_000
    /// Where clients do not say more.
    package static let responseBytes = 1 << 20

    package let variant: DiscoveryVariant
    /// Completes names of Services without a namespace.
    let namespace: String
    /// Bytes of resources in one response, where it may be split.
    let responseBytes: Int
    var subscriptions = DiscoveryType.allCases.map { _ in DiscoverySubscription() }
    var count = 0
    /// The clusters of the newest set: those that are gone are repeated while routes may name them.
    var lastClusters: [String: DiscoveryResource] = [:]

    package init(
        _ variant: DiscoveryVariant,
        namespace: String = "default",
        responseBytes: Int = DiscoveryStream.responseBytes
    ) {
        self.variant = variant
        self.namespace = namespace
        self.responseBytes = responseBytes
    }

    /// How the client stands with each type that it asked for.
    package var reports: [(type: DiscoveryType, report: DiscoveryReport)] {
        DiscoveryType.allCases.compactMap { type in
            let subscription = subscriptions[type.rawValue]
            guard subscription.hasBegun else { return nil }
            var report = subscription.report
            report.subscribed = subscription.isWildcard ? nil : subscription.names.count
            return (type, report)
        }
    }

    /// Whether the client has answered all that the tables held at these revisions, by accepting or refusing it.
    package func hasAnswered(_ revisions: [UInt64]) -> Bool {
        zip(DiscoveryType.allCases, revisions).allSatisfy { type, revision in
            let subscription = subscriptions[type.rawValue]
            guard subscription.hasBegun else { return !type.isComplete }
            return subscription.answered.map { $0 >= revision } ?? false
        }
    }

    /// The nonce of the newest response of a type.
    package func nonce(_ type: DiscoveryType) -> String { subscriptions[type.rawValue].nonce }

    /// What the client refused in the versions that there are, by name: why.
    package var refusals: [String: String] {
        var found: [String: String] = [:]
        for subscription in subscriptions {
            for name in subscription.refused.keys { found[name] = subscription.reasons[name] }
        }
        return found
    }

    // MARK: requests

    /// Takes a request over.
    ///
    /// - Returns: what it says of the newest response. Call `advance` afterwards.
    /// - Throws: `GRPCStatus` that ends the stream.
    package mutating func receive(_ request: DiscoveryRequest) throws(GRPCStatus) -> Verdict {
        guard let type = DiscoveryType(url: request.typeURL) else {
            // A type that is not served here: the client waits for it in vain, as for a resource that is not there.
            return .none
        }
        var subscription = subscriptions[type.rawValue]
        let isFirst = !subscription.hasBegun
        let isAnswer = !request.nonce.isEmpty && request.nonce == subscription.nonce && subscription.isInFlight
        var verdict = Verdict.none
        if isAnswer { verdict = answer(request, type, &subscription) }
        switch variant {
        case .stateOfTheWorld:
            // An old nonce: the client has not seen the newest response, and will say all names again with its answer.
            let isStale = !request.nonce.isEmpty && request.nonce != subscription.nonce
            if isFirst || !isStale { subscribe(request, type, isFirst, &subscription) }
        case .delta: change(request, type, isFirst, &subscription)
        }
        subscription.hasBegun = true
        guard subscription.names.count <= Self.nameLimit else {
            throw GRPCStatus(.resourceExhausted, "more than \(Self.nameLimit) names of \(type.shortName)")
        }
        subscriptions[type.rawValue] = subscription
        return verdict
    }

    private func answer(
        _ request: DiscoveryRequest,
        _ type: DiscoveryType,
        _ subscription: inout DiscoverySubscription
    ) -> Verdict {
        subscription.isInFlight = false
        let names = subscription.lastNames
        guard let refusal = request.refusal else {
            for name in names { subscription.refused[name] = nil }
            subscription.answered = subscription.covers ?? subscription.answered
            subscription.report.accepted = subscription.report.sent
            subscription.report.acceptances += 1
            subscription.report.error = ""
            subscription.report.refusedNames = []
            return .accepted(type, version: subscription.report.sent)
        }
        if variant == .delta || !type.isComplete {
            let half = names.count / 2
            if !type.isComplete, half > 0 {
                subscription.parts = [Array(names[..<half]), Array(names[half...])] + subscription.parts
            } else {
                for name in names { subscription.refused[name] = subscription.sent[name] }
                // A client that takes the good ones of a response says which are not.
                let bad = names.filter { refusal.message.contains("\"\($0)\"") }
                for name in bad.isEmpty ? names : bad { subscription.reasons[name] = refusal.message }
                for name in names where !bad.isEmpty && !bad.contains(name) { subscription.reasons[name] = nil }
            }
            // What the client has now is what it had before, which is not known here.
            for name in names { subscription.setSent(name, DiscoverySubscription.unknown) }
        }
        if subscription.parts.isEmpty { subscription.answered = subscription.covers ?? subscription.answered }
        subscription.report.error = refusal.message.isEmpty ? "code \(refusal.code)" : refusal.message
        subscription.report.refusedNames = Array(names.prefix(16))
        subscription.report.refusals += 1
        return .refused(type, names: names, error: subscription.report.error)
    }

    /// State of the world: the request says all names.
    private func subscribe(
        _ request: DiscoveryRequest,
        _ type: DiscoveryType,
        _ isFirst: Bool,
        _ subscription: inout DiscoverySubscription
    ) {
        var wanted = Set(request.names)
        let isWildcard = type.isComplete && (wanted.remove("*") != nil || (wanted.isEmpty && !subscription.hasNamed))
        if !request.names.isEmpty { subscription.hasNamed = true }
        let added = wanted.subtracting(subscription.names)
        let dropped = subscription.names.subtracting(wanted)
        let hasGrown = !added.isEmpty || (isWildcard && !subscription.isWildcard)
        let wasWildcard = subscription.isWildcard
        subscription.names = wanted
        subscription.isWildcard = isWildcard
        if hasGrown { subscription.grows() }
        // A client that comes again with the set as it is needs no answer: `advance` compares.
        if isFirst, type.isComplete { subscription.held = DiscoveryDigest.parse(request.version) }
        if hasGrown, type.isComplete {
            subscription.owesAnswer = subscription.held == nil
            subscription.looksAtAll = true
        }
        if !isWildcard {
            for name in wasWildcard ? Set(subscription.sent.keys).subtracting(wanted) : dropped {
                subscription.forget(name)
            }
        }
        subscription.pending.formUnion(added)
    }

    /// Delta: the request says what is added and dropped.
    private func change(
        _ request: DiscoveryRequest,
        _ type: DiscoveryType,
        _ isFirst: Bool,
        _ subscription: inout DiscoverySubscription
    ) {
        if isFirst {
            for (name, version) in request.held.prefix(Self.nameLimit) {
                subscription.setSent(name, DiscoveryDigest.parse(version) ?? DiscoverySubscription.unknown)
                subscription.pending.insert(name)
            }
            if type.isComplete, request.names.isEmpty { subscription.isWildcard = true }
            subscription.owesAnswer = subscription.isWildcard
        }
        if isFirst || !request.names.isEmpty { subscription.grows() }
        for name in request.names {
            guard name != "*" || !type.isComplete else {
                if !subscription.isWildcard { subscription.looksAtAll = true }
                subscription.owesAnswer = subscription.owesAnswer || isFirst
                subscription.isWildcard = true
                continue
            }
            // A name that is asked for again is sent again.
            if !isFirst || request.held[name] == nil { subscription.setSent(name, nil) }
            subscription.names.insert(name)
            subscription.pending.insert(name)
            subscription.refused[name] = nil
        }
        for name in request.dropped {
            if name == "*", type.isComplete {
                subscription.isWildcard = false
                for held in subscription.sent.keys where !subscription.names.contains(held) {
                    subscription.forget(held)
                }
                continue
            }
            guard subscription.names.remove(name) != nil else { continue }
            if subscription.isWildcard {
                // The client has let go of it: it is told anew what the wildcard says of it.
                subscription.setSent(name, DiscoverySubscription.unknown)
                subscription.pending.insert(name)
            } else {
                subscription.forget(name)
            }
        }
    }
}

extension DiscoverySubscription {
    /// The client does not want a name any more, and needs no word of it.
    mutating func forget(_ name: String) {
        setSent(name, nil)
        pending.remove(name)
        forced.remove(name)
        refused[name] = nil
    }
}
