import EnvoyAPI

/// The client's side of one discovery stream and of those before and after it: which requests are due, what a response
/// changes, what was accepted (xDS protocol, "The xDS Transport Protocol").
///
/// Pure: messages go in and come out as values, time is an argument (monotonic nanoseconds). Responses are taken in two
/// steps: `received` says what changed, the owner tries it, `settle` takes the verdict, which makes the answer due.
struct DiscoverySession: Sendable {
    struct Resource: Sendable, Equatable {
        var version: String
        var bytes: [UInt8]
    }

    /// What an answer waits for.
    enum Held: Sendable, Equatable {
        /// The next snapshot, which is to hold what was taken.
        case nextSnapshot
        /// That all workers use the snapshot of this generation.
        case generation(UInt64)
    }

    /// What stands of one kind.
    struct Subscription: Sendable {
        var isWildcard = false
        /// Names that are wanted, apart from a wildcard's.
        var names: Set<String> = []
        /// What was accepted. Survives the stream.
        var accepted: [String: Resource] = [:]
        /// State of the world: the version accepted last. Survives the stream.
        var version = ""
        /// When what has no heartbeat is over.
        var lives: [String: UInt64] = [:]
        /// Until when a first response is waited for; "" stands for a wildcard's.
        var waits: [String: UInt64] = [:]
        var numbers = DiscoveryNumbers()
        /// By name, for what is subscribed to by name.
        var named: [String: DiscoveryNumbers] = [:]

        // The present stream's.
        var nonce = ""
        var hasBegun = false
        /// Incremental: names that the server was told of.
        var told: Set<String> = []
        var mustAnswer = false
        /// The answer waits until the workers use what was taken.
        var held: Held?
        var refusal: String?
        var hasNewNames = false

        var isWanted: Bool { isWildcard || !names.isEmpty || hasBegun }

        fileprivate mutating func forgetStream() {
            nonce = ""
            hasBegun = false
            told = []
            mustAnswer = false
            held = nil
            refusal = nil
        }
    }

    let variant: DiscoveryVariant
    /// In every request, not only in a stream's first.
    let repeatsNode: Bool
    private let node: Envoy.Node
    private(set) var isConnected = false
    private var hasSaidNode = false
    /// The present stream has brought a response.
    private var hasHeard = false
    private(set) var subscriptions = [Subscription](repeating: Subscription(), count: ResourceKind.allCases.count)
    /// What the control plane calls itself.
    private(set) var controlPlane = ""

    init(_ variant: DiscoveryVariant, node: Envoy.Node, repeatsNode: Bool = false) {
        self.variant = variant
        self.repeatsNode = repeatsNode
        var node = node
        node.userAgentName = "weft-proxy"
        node.userAgentVersion = ProxyProcess.version
        // Items of a state-of-the-world response may come wrapped, with a time to live.
        let feature = "xds.config.resource-in-sotw"
        if !node.clientFeatures.contains(feature) { node.clientFeatures.append(feature) }
        self.node = node
    }

    subscript(kind: ResourceKind) -> Subscription {
        get { subscriptions[kind.rawValue] }
        _modify { yield &subscriptions[kind.rawValue] }
    }

    // MARK: The stream

    /// A stream stands; every subscription is told anew.
    mutating func connected() {
        isConnected = true
        hasSaidNode = false
        hasHeard = false
        for kind in ResourceKind.allCases { self[kind].forgetStream() }
    }

    /// The stream is over, or none came to be. What was accepted stays in force without limit. The end of a stream that has
    /// served is no failure.
    mutating func disconnected() {
        let hasServed = isConnected && hasHeard
        isConnected = false
        for kind in ResourceKind.allCases {
            if self[kind].isWanted, !hasServed { self[kind].numbers.failures += 1 }
            self[kind].forgetStream()
        }
    }

    // MARK: Wishes

    /// Subscribes to all resources of a kind; `wait` is how long the first response is waited for, 0 = for ever.
    mutating func wantAll(_ kind: ResourceKind, wait: UInt64, now: UInt64) {
        guard !self[kind].isWildcard else { return }
        self[kind].isWildcard = true
        self[kind].hasNewNames = true
        if wait > 0 { self[kind].waits[""] = now &+ wait }
    }

    /// Makes these the names that are wanted of a kind, each with how long a first response is waited for (0 = for ever).
    mutating func want(_ kind: ResourceKind, _ wishes: [String: UInt64], now: UInt64) {
        let before = self[kind].names
        guard before.count != wishes.count || !before.allSatisfy({ wishes[$0] != nil }) else { return }
        for name in before where wishes[name] == nil {
            self[kind].names.remove(name)
            self[kind].waits[name] = nil
            self[kind].named[name] = nil
            guard !self[kind].isWildcard else { continue }
            self[kind].accepted[name] = nil
            self[kind].lives[name] = nil
        }
        for (name, wait) in wishes where !before.contains(name) {
            self[kind].names.insert(name)
            self[kind].named[name] = DiscoveryNumbers(attempts: 1)
            if wait > 0 { self[kind].waits[name] = now &+ wait }
        }
        self[kind].hasNewNames = true
    }

    /// The next request that is due, in protobuf; nil: none at present.
    mutating func nextRequest() -> [UInt8]? {
        guard isConnected else { return nil }
        for kind in ResourceKind.allCases {
            let state = self[kind]
            // In the state of the world every request is an answer, too: new names cannot wait for the workers.
            let answers = state.mustAnswer && (state.held == nil || (variant == .whole && state.hasNewNames))
            guard state.isWanted, answers || state.hasNewNames || !state.hasBegun else { continue }
            defer {
                self[kind].hasBegun = true
                self[kind].hasNewNames = false
                if answers {
                    self[kind].mustAnswer = false
                    self[kind].held = nil
                    self[kind].refusal = nil
                }
                self[kind].numbers.attempts += 1
                hasSaidNode = true
            }
            switch variant {
            case .whole: return wholeRequest(kind, state).protobufBytes
            case .incremental:
                let request = deltaRequest(kind, state, answers: answers)
                let isNeeded =
                    !state.hasBegun || answers || !request.resourceNamesSubscribe.isEmpty
                    || !request.resourceNamesUnsubscribe.isEmpty
                self[kind].told = Self.wanted(state)
                if isNeeded { return request.protobufBytes }
            }
        }
        return nil
    }

    private var nodeIfDue: Envoy.Node? { !hasSaidNode || repeatsNode ? node : nil }

    private func wholeRequest(_ kind: ResourceKind, _ state: Subscription) -> Envoy.DiscoveryRequest {
        var names = state.names.sorted()
        // Names beside a wildcard: the wildcard has to be said.
        if state.isWildcard, !names.isEmpty { names.insert("*", at: 0) }
        return Envoy.DiscoveryRequest(
            versionInfo: state.version,
            node: nodeIfDue,
            resourceNames: names,
            typeUrl: kind.typeURL,
            responseNonce: state.nonce,
            errorDetail: state.refusal.map { Envoy.Status(code: 3, message: $0) }
        )
    }

    /// Without any name a first request means all: servers of every age know that. Beside names it has to be said.
    private static func wanted(_ state: Subscription) -> Set<String> {
        guard state.isWildcard else { return state.names }
        return state.names.isEmpty && !state.told.contains("*") ? [] : state.names.union(["*"])
    }

    private func deltaRequest(
        _ kind: ResourceKind,
        _ state: Subscription,
        answers: Bool
    ) -> Envoy.DeltaDiscoveryRequest {
        var request = Envoy.DeltaDiscoveryRequest(node: nodeIfDue, typeUrl: kind.typeURL)
        // An answer alone is frequent, and the names may be many.
        if state.hasNewNames || !state.hasBegun {
            let wanted = Self.wanted(state)
            request.resourceNamesSubscribe = wanted.subtracting(state.told).sorted()
            request.resourceNamesUnsubscribe = state.told.subtracting(wanted).sorted()
        }
        if !state.hasBegun { request.initialResourceVersions = state.accepted.mapValues(\.version) }
        if answers {
            request.responseNonce = state.nonce
            request.errorDetail = state.refusal.map { Envoy.Status(code: 3, message: $0) }
        }
        return request
    }

    // MARK: Verdicts

    /// Takes the verdict over what `received` said: the answer to the server becomes due.
    /// With `holds` an acceptance waits for the workers: see `committed` and `applied`.
    mutating func settle(_ update: DiscoveryUpdate, _ faults: [ResourceFault], now: UInt64, holds: Bool = false) {
        let kind = update.kind
        let faults = update.faults + faults
        let refused = Set(faults.map(\.name))
        let takesNone = update.isWhole && !faults.isEmpty
        for name in update.seen {
            self[kind].waits[name] = nil
            guard self[kind].named[name] != nil else { continue }
            self[kind].named[name]?.attempts += 1
            if takesNone || refused.contains(name) {
                self[kind].named[name]?.rejections += 1
            } else {
                self[kind].named[name]?.successes += 1
            }
        }
        self[kind].waits[""] = nil
        self[kind].numbers.answered(version: update.version, isRefused: !faults.isEmpty)
        if !takesNone {
            for resource in update.changed where !refused.contains(resource.name) {
                self[kind].accepted[resource.name] = Resource(version: resource.version, bytes: resource.bytes)
            }
            for name in update.removed {
                self[kind].accepted[name] = nil
                self[kind].lives[name] = nil
            }
            for (name, life) in update.lives where !refused.contains(name) {
                self[kind].lives[name] = life.map { now &+ $0 }
            }
            if faults.isEmpty { self[kind].version = update.version }
        }
        guard isConnected else { return }
        self[kind].nonce = update.nonce
        self[kind].mustAnswer = true
        self[kind].held = holds && faults.isEmpty ? .nextSnapshot : nil
        self[kind].refusal = faults.isEmpty ? nil : Self.text(faults)
    }

    /// What was taken so far is in the snapshot of this generation.
    mutating func committed(_ generation: UInt64) {
        for kind in ResourceKind.allCases where self[kind].held == .nextSnapshot {
            self[kind].held = .generation(generation)
        }
    }

    /// All workers use the snapshot of this generation; whether an answer became due by that.
    mutating func applied(_ generation: UInt64) -> Bool {
        var isDue = false
        for kind in ResourceKind.allCases {
            guard case .generation(let wanted) = self[kind].held, wanted <= generation else { continue }
            self[kind].held = nil
            isDue = true
        }
        return isDue
    }

    /// The answer of a kind waits for nothing any more.
    mutating func release(_ kind: ResourceKind) { self[kind].held = nil }

    /// All faults by path; as much as fits where trailers and logs are to carry it.
    static func text(_ faults: [ResourceFault]) -> String {
        let text = faults.map(\.text).joined(separator: "; ")
        guard text.utf8.count > 4096 else { return text }
        return String(decoding: text.utf8.prefix(4096), as: UTF8.self) + "…"
    }

    // MARK: Time

    /// When `fired` is to be called; nil: nothing waits.
    var deadline: UInt64? {
        var next: UInt64?
        for state in subscriptions {
            for time in [state.lives.values.min(), state.waits.values.min()].compactMap({ $0 }) {
                next = min(next ?? .max, time)
            }
        }
        return next
    }

    /// What time brings: lives that end, and first responses that did not come.
    mutating func fired(now: UInt64) -> [DiscoveryUpdate] {
        var updates: [DiscoveryUpdate] = []
        for kind in ResourceKind.allCases {
            var update = DiscoveryUpdate(kind: kind, version: self[kind].version)
            for (name, time) in self[kind].lives where time <= now {
                update.expired.append(name)
                self[kind].lives[name] = nil
                self[kind].accepted[name] = nil
            }
            for (name, time) in self[kind].waits where time <= now {
                update.late.append(name)
                self[kind].waits[name] = nil
                self[kind].numbers.timeouts += 1
                self[kind].named[name]?.timeouts += 1
            }
            update.expired.sort()
            update.late.sort()
            if !update.isEmpty { updates.append(update) }
        }
        return updates
    }

    mutating func heard(_ name: String?) {
        hasHeard = true
        if let name, !name.isEmpty { controlPlane = name }
    }
}

/// What happened to the subscription of a kind, under Envoy's names.
struct DiscoveryNumbers: Sendable, Equatable {
    var attempts: UInt64 = 0
    var successes: UInt64 = 0
    var failures: UInt64 = 0
    var rejections: UInt64 = 0
    var timeouts: UInt64 = 0
    /// A hash of the version accepted last.
    var version: UInt64 = 0

    mutating func answered(version text: String, isRefused: Bool) {
        if isRefused {
            rejections += 1
        } else {
            successes += 1
            version = ConfigurationStore.hash(Array(text.utf8))
        }
    }
}
