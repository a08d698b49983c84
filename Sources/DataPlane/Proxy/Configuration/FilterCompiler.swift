import EnvoyAPI
import Traffic

/// Compiles the HTTP filters of a chain, and what routes say of them.
struct FilterCompiler {
    let context: CompileContext
    /// Of the connection manager, for the names of statistics; empty for routes.
    var statPrefix = ""

    /// The filters before the router; nil when there are none.
    func chain(_ filters: [Envoy.HttpFilter]) -> FilterChain? {
        var steps: [FilterStep] = []
        var owners: [any AnyObject & Sendable] = []
        var names: Set<String> = []
        for (index, filter) in filters.enumerated() {
            context.at("http_filters[\(index)]") {
                guard let config = filter.typedConfig else { return }
                if case .router = config { return }
                if !names.insert(filter.name).inserted {
                    context.report("name: \"\(filter.name)\" is there already; routes could not tell them apart")
                }
                context.at("typed_config") { step(config, filter, &steps, &owners) }
            }
        }
        if steps.count > Self.limit {
            context.report("http_filters: \(steps.count) filters; \(Self.limit) are allowed")
        }
        return steps.isEmpty ? nil : FilterChain(steps: steps, owners: owners)
    }

    /// Filters of one chain.
    private static let limit = 64

    private func step(
        _ config: Envoy.HttpFilterConfig,
        _ filter: Envoy.HttpFilter,
        _ steps: inout [FilterStep],
        _ owners: inout [any AnyObject & Sendable]
    ) {
        func add(_ kind: FilterStep.Kind, _ parts: FilterStep.Parts, _ owner: any AnyObject & Sendable) {
            steps.append(
                FilterStep(
                    kind: kind,
                    parts: parts,
                    name: context.filterNames.number(of: filter.name),
                    isDisabled: filter.disabled
                )
            )
            owners.append(owner)
        }
        switch config {
        // A tap is a name of the chain: it has no step.
        case .router, .tap: break
        case .headerMutation(let message):
            let rules = HeaderMutationRules(
                message.mutations,
                mostSpecificWins: message.mostSpecificHeaderMutationsWins,
                context
            )
            let parts: FilterStep.Parts =
                rules.readsRequest ? [.request, .answer, .remembersRequest] : [.request, .answer]
            add(.headerMutation(.passUnretained(rules)), parts, rules)
        case .compressor(let message):
            let settings = CompressorSettings(message, context, prefix: statPrefix)
            add(.compressor(.passUnretained(settings)), [.request, .answer], settings)
        case .admissionControl(let message):
            let settings = AdmissionSettings(message, context, prefix: statPrefix, name: filter.name)
            add(.admission(.passUnretained(settings)), [.request, .end], settings)
        case .adaptiveConcurrency(let message):
            let settings = ConcurrencySettings(message, context, prefix: statPrefix, name: filter.name)
            add(.concurrency(.passUnretained(settings)), [.request, .end], settings)
        case .statefulSession(let message):
            let settings = SessionSettings(message, context, prefix: statPrefix)
            add(.session(.passUnretained(settings)), [.request, .answer], settings)
        case .jwtAuthn(let message):
            let settings = TokenSettings(message, context, prefix: statPrefix)
            add(.tokens(.passUnretained(settings)), .request, settings)
        case .decompressor(let message):
            let settings = DecompressorSettings(message, context, prefix: statPrefix)
            add(.decompressor(.passUnretained(settings)), [.request, .answer], settings)
        case .rateLimit(let message):
            let settings = RateLimitSettings(message, context)
            add(.rateLimit(.passUnretained(settings)), [.request, .answer], settings)
        case .externalAuthorization(let message):
            let settings = AuthorizationSettings(message, context, statPrefix: statPrefix)
            add(.externalAuthorization(.passUnretained(settings)), [.request, .answer], settings)
        case .fault(let message):
            let filter = FaultFilter(message, prefix: statPrefix, context)
            add(.fault(.passUnretained(filter)), .request, filter)
        case .buffer(let message):
            let rules = BufferRules(message, prefix: statPrefix, context)
            add(.buffer(.passUnretained(rules)), .request, rules)
        case .cors:
            let filter = CorsFilter(prefix: statPrefix, context)
            add(.cors(.passUnretained(filter)), [.request, .answer], filter)
        case .localRateLimit(let message):
            let filter = LocalRateLimitFilter(message, context)
            add(.localRateLimit(.passUnretained(filter)), [.request, .answer], filter)
        case .rbac(let message):
            let filter = AccessFilter(message, prefix: statPrefix, context)
            add(.rbac(.passUnretained(filter)), .request, filter)
        case .fallback(let message):
            let rules = FallbackRules(message, prefix: statPrefix, context)
            add(.fallback(.passUnretained(rules)), .request, rules)
        case .onDemand(let message):
            let settings = OnDemandSettings(message.odcds, prefix: statPrefix, context)
            add(.onDemand(.passUnretained(settings)), .request, settings)
        case .healthCheck(let message):
            let filter = HealthCheckFilter(message, context)
            add(.healthCheck(.passUnretained(filter)), [.request, .answer], filter)
        }
    }

    /// The names under which the chain's requests may be tapped.
    func taps(_ filters: [Envoy.HttpFilter]) -> [TapPoint] {
        filters.compactMap { filter in
            guard case .tap(let message) = filter.typedConfig, !filter.disabled else { return nil }
            return TapPoint(message, prefix: statPrefix, context)
        }
    }

    // MARK: Routes

    /// What one level says, with its objects kept by the arena.
    func route(_ configs: [String: Envoy.RouteFilterConfig], _ arena: Arena) -> [RouteFilter] {
        configs.sorted { $0.key < $1.key }.compactMap { name, config in
            context.at("typed_per_filter_config[\"\(name)\"]") {
                entry(context.filterNames.number(of: name), config, arena)
            }
        }
    }

    /// Whether what routes say of filters needs the request's head when the answer comes.
    static func readsRequest(_ filters: [RouteFilter]) -> Bool {
        filters.contains { filter in
            guard filter.kind == RouteFilterKind.headerMutation.rawValue, let address = filter.settings.start else {
                return false
            }
            // Safety: the arena that is being filled keeps the object.
            return Unmanaged<HeaderMutationRules>.fromOpaque(address).takeUnretainedValue().readsRequest
        }
    }

    private func entry(_ name: Int32, _ config: Envoy.RouteFilterConfig, _ arena: Arena) -> RouteFilter? {
        func made(_ kind: RouteFilterKind, _ settings: any AnyObject & Sendable) -> RouteFilter {
            RouteFilter(name: name, kind: kind.rawValue, isDisabled: false, settings: arena.keep(settings))
        }
        switch config {
        case .filter(let filter):
            guard let inner = filter.config else {
                if !filter.disabled { context.report("config: is required where the filter is not disabled") }
                return RouteFilter(name: name, kind: 0, isDisabled: filter.disabled, settings: .empty)
            }
            if case .filter = inner {
                context.report("config: a FilterConfig within a FilterConfig means nothing")
                return nil
            }
            var made = context.at("config") { entry(name, inner, arena) }
            made?.isDisabled = filter.disabled
            return made
        case .fault(let message): return made(.fault, FaultFilter(message, prefix: nil, context))
        case .buffer(let message):
            switch message.override {
            case .disabled, nil: return RouteFilter(name: name, kind: 0, isDisabled: true, settings: .empty)
            case .buffer(let buffer): return made(.buffer, BufferRules(buffer, prefix: "", context))
            }
        case .localRateLimit(let message): return made(.localRateLimit, LocalRateLimitFilter(message, context))
        case .rbac(let message):
            return made(.rbac, context.at("rbac") { AccessFilter(message.rbac, prefix: "", context) })
        case .fallback(let message): return made(.fallback, FallbackRules(message, prefix: "", context))
        case .onDemand(let message): return made(.onDemand, OnDemandSettings(message.odcds, prefix: nil, context))
        case .cors(let message): return made(.cors, CorsRules(message, context))
        case .headerMutation(let message): return made(.headerMutation, HeaderMutationRules(message.mutations, context))
        case .compressor(let message): return made(.compressor, CompressorRoute(message))
        case .rateLimit(let message): return made(.rateLimit, RateLimitRoute(message, context))
        case .externalAuthorization(let message):
            return made(.externalAuthorization, AuthorizationRoute(message, context))
        case .jwtAuthn(let message): return made(.tokens, TokenRoute(message))
        case .statefulSession(let message):
            return made(.session, SessionSettings(message.statefulSession, context, prefix: ""))
        }
    }
}
