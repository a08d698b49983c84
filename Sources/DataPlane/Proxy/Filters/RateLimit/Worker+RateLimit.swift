import Bytes
import EnvoyAPI
import Reactor
import Traffic

/// `ratelimit`: a service that counts for all proxies says whether a request is one too many.
extension Worker {
    private static let path = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

    func limit(_ settings: RateLimitSettings, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        switch state(pass.exchange, pass.step) {
        case .calling: return .suspended
        case .called(let answer):
            setState(pass.exchange, pass.step, .none)
            return judge(RateLimitVerdict(answer), settings, &pass)
        default: break
        }
        if let wanted = settings.wantsInternal, wanted != pass.facts.view.isInternal { return .next }
        if settings.enabled < 1_000_000, random.next() % 1_000_000 >= UInt64(settings.enabled) { return .next }
        let own = self.settings(pass.exchange, step, .rateLimit, RateLimitRoute.self)
        let descriptors = descriptors(settings, own, pass)
        guard !descriptors.isEmpty else { return .next }
        let domain = own.map(\.domain) ?? ""
        let message = RateLimitMessage.request(domain: domain.isEmpty ? settings.domain : domain, descriptors)
        guard call(settings.target.request(Self.path, message), settings.target.cluster, &pass) else {
            return failed(settings, pass)
        }
        return .suspended
    }

    /// What the request is counted under: what the filter says, or what its route and virtual host say.
    private func descriptors(
        _ settings: RateLimitSettings,
        _ own: RateLimitRoute?,
        _ pass: FilterPass
    ) -> [RateLimitDescriptor] {
        var rules = own?.rules ?? []
        if rules.isEmpty { rules = settings.rules }
        if rules.isEmpty { rules = routeRules(pass.exchange, own?.host ?? .override) }
        guard !rules.isEmpty else { return [] }
        let facts = limitFacts(pass)
        return rules.filter { $0.stage == settings.stage }.compactMap { $0.descriptor(facts) }
    }

    /// What descriptors are made of.
    func limitFacts(_ pass: FilterPass) -> RateLimitFacts {
        var facts = RateLimitFacts(request: pass.facts.view)
        let client = client(pass.place, pass.facts.view)
        if client.family != 0 { facts.client = Array(client.host.utf8) }
        facts.network = { v4, v6 in Self.network(client, v4, v6) }
        if let cluster = routeCluster(pass.exchange) { facts.cluster = cluster.pointee.name }
        return facts
    }

    private static func network(_ address: SocketAddress, _ v4: Int, _ v6: Int) -> [UInt8]? {
        guard address.family != 0 else { return nil }
        let length = address.isIPv6 ? v6 : v4
        let masked = address.bytes.enumerated().map { index, byte in
            byte & ~UInt8(truncatingIfNeeded: 0xFF >> max(0, min(8, length - index * 8)))
        }
        let base = masked.withUnsafeBytes { SocketAddress(bytes: $0, port: 0) }
        return Array("\(base.host)/\(length)".utf8)
    }

    func routeRules(_ exchange: ExchangePlace, _ host: Envoy.HostRateLimits) -> [RateLimitRule] {
        let filters = routeFilters(exchange)
        var route: [RateLimitRule] = []
        var hosts: [RateLimitRule] = []
        var includesHost = host == .include
        for index in 0..<filters.count where filters[index].kind == RouteFilterKind.rateLimits.rawValue {
            guard let address = filters[index].settings.start else { continue }
            // Safety: as in `settings`.
            let limits = Unmanaged<RouteRateLimits>.fromOpaque(address).takeUnretainedValue()
            if limits.isHost { hosts += limits.rules } else { route += limits.rules }
            includesHost = includesHost || limits.includesHost
        }
        if includesHost { return route + hosts }
        return host == .override && route.isEmpty ? hosts : route
    }

    private func routeCluster(_ exchange: ExchangePlace) -> ClusterPlace? {
        exchange.filterRun?.pointee.cluster.flatMap { cluster(at: $0, exchange) }
    }

    // MARK: The verdict

    private func judge(
        _ verdict: RateLimitVerdict,
        _ settings: RateLimitSettings,
        _ pass: inout FilterPass
    ) -> FilterVerdict {
        let numbers = routeCluster(pass.exchange)
        var told = verdict.answer
        if settings.tellsLimits, let limits = verdict.limits {
            told.append("x-ratelimit-limit", limits.limit)
            told.append("x-ratelimit-remaining", limits.remaining)
            told.append("x-ratelimit-reset", limits.reset)
        }
        switch verdict.outcome {
        case .error: return failed(settings, pass)
        case .ok: numbers?.pointee.rateLimits.ok &+= 1
        case .overLimit:
            numbers?.pointee.rateLimits.overLimit &+= 1
            if settings.enforced == 1_000_000 || random.next() % 1_000_000 < UInt64(settings.enforced) {
                return .answered(refusal(verdict, told, settings, pass))
            }
        }
        pass.edits.append(contentsOf: verdict.request)
        if !told.isEmpty { setState(pass.exchange, pass.step, .answerEdits(told)) }
        return .next
    }

    private func refusal(
        _ verdict: RateLimitVerdict,
        _ told: HeadEdits,
        _ settings: RateLimitSettings,
        _ pass: FilterPass
    ) -> FilterReply {
        var reply = FilterReply(status: settings.status, details: "request_rate_limited", flags: .rateLimited)
        reply.body = verdict.body
        reply.fields = told
        if settings.tellsCause { reply.fields.append("x-envoy-ratelimited", "true") }
        let sources = FieldSources(message: pass.facts.view, request: pass.facts.view)
        for index in 0..<settings.added.count {
            let edit = settings.added[index]
            reply.fields.add(.append, edit.name.buffer, value(of: edit, sources, pass.exchange, pass.place))
        }
        if settings.isResourceExhausted { reply.callStatus = 8 }
        return reply
    }

    /// Nobody says how many there are: the request passes, unless the configuration says otherwise.
    private func failed(_ settings: RateLimitSettings, _ pass: FilterPass) -> FilterVerdict {
        let numbers = routeCluster(pass.exchange)
        numbers?.pointee.rateLimits.error &+= 1
        guard settings.refusesOnFailure else {
            numbers?.pointee.rateLimits.failureModeAllowed &+= 1
            return .next
        }
        return .answered(
            FilterReply(status: settings.errorStatus, details: "rate_limiter_error", flags: .rateLimitServiceError)
        )
    }
}

/// What the service said of a cluster's requests.
struct RateLimitNumbers: BitwiseCopyable, Sendable {
    var ok: UInt64 = 0
    var overLimit: UInt64 = 0
    var error: UInt64 = 0
    var failureModeAllowed: UInt64 = 0

    var isUsed: Bool { ok | overLimit | error | failureModeAllowed != 0 }

    mutating func add(_ other: RateLimitNumbers) {
        ok &+= other.ok
        overLimit &+= other.overLimit
        error &+= other.error
        failureModeAllowed &+= other.failureModeAllowed
    }
}
