extension Envoy {
    /// The HTTP filters that exist here.
    package enum HttpFilterConfig: AnyExtension {
        case router(Router)
        case headerMutation(HeaderMutationFilter)
        case compressor(CompressorFilter)
        case decompressor(DecompressorFilter)
        case externalAuthorization(ExtAuthz)
        case fault(HTTPFault)
        case buffer(BufferFilter)
        case cors(Cors)
        case healthCheck(HealthCheckFilter)
        case rateLimit(RateLimitFilter)
        case jwtAuthn(JwtAuthentication)
        case admissionControl(AdmissionControl)
        case adaptiveConcurrency(AdaptiveConcurrency)
        case statefulSession(StatefulSession)
        case rbac(RBACFilter)
        case localRateLimit(LocalRateLimit)
        case fallback(Fallback)
        case tap(TapFilter)
        case onDemand(OnDemand)

        package static let members = AnyMembers<HttpFilterConfig>(
            "HTTP filter",
            [
                AnyMember(Router.self, wrap: { .router($0) }) {
                    if case .router(let value) = $0 { value } else { nil }
                },
                AnyMember(HeaderMutationFilter.self, wrap: { .headerMutation($0) }) {
                    if case .headerMutation(let value) = $0 { value } else { nil }
                },
                AnyMember(CompressorFilter.self, wrap: { .compressor($0) }) {
                    if case .compressor(let value) = $0 { value } else { nil }
                },
                AnyMember(DecompressorFilter.self, wrap: { .decompressor($0) }) {
                    if case .decompressor(let value) = $0 { value } else { nil }
                },
                AnyMember(RateLimitFilter.self, wrap: { .rateLimit($0) }) {
                    if case .rateLimit(let value) = $0 { value } else { nil }
                },
                AnyMember(ExtAuthz.self, wrap: { .externalAuthorization($0) }) {
                    if case .externalAuthorization(let value) = $0 { value } else { nil }
                },
                AnyMember(HTTPFault.self, wrap: { .fault($0) }) {
                    if case .fault(let value) = $0 { value } else { nil }
                },
                AnyMember(BufferFilter.self, wrap: { .buffer($0) }) {
                    if case .buffer(let value) = $0 { value } else { nil }
                },
                AnyMember(Cors.self, wrap: { .cors($0) }) {
                    if case .cors(let value) = $0 { value } else { nil }
                },
                AnyMember(HealthCheckFilter.self, wrap: { .healthCheck($0) }) {
                    if case .healthCheck(let value) = $0 { value } else { nil }
                },
                AnyMember(JwtAuthentication.self, wrap: { .jwtAuthn($0) }) {
                    if case .jwtAuthn(let value) = $0 { value } else { nil }
                },
                AnyMember(AdmissionControl.self, wrap: { .admissionControl($0) }) {
                    if case .admissionControl(let value) = $0 { value } else { nil }
                },
                AnyMember(AdaptiveConcurrency.self, wrap: { .adaptiveConcurrency($0) }) {
                    if case .adaptiveConcurrency(let value) = $0 { value } else { nil }
                },
                AnyMember(StatefulSession.self, wrap: { .statefulSession($0) }) {
                    if case .statefulSession(let value) = $0 { value } else { nil }
                },
                AnyMember(RBACFilter.self, wrap: { .rbac($0) }) {
                    if case .rbac(let value) = $0 { value } else { nil }
                },
                AnyMember(LocalRateLimit.self, wrap: { .localRateLimit($0) }) {
                    if case .localRateLimit(let value) = $0 { value } else { nil }
                },
                AnyMember(Fallback.self, wrap: { .fallback($0) }) {
                    if case .fallback(let value) = $0 { value } else { nil }
                },
                AnyMember(TapFilter.self, wrap: { .tap($0) }) {
                    if case .tap(let value) = $0 { value } else { nil }
                },
                AnyMember(OnDemand.self, wrap: { .onDemand($0) }) {
                    if case .onDemand(let value) = $0 { value } else { nil }
                },
            ]
        )
    }

    /// What a route, a virtual host or a cluster of several may say about a filter of the chain.
    package enum RouteFilterConfig: AnyExtension {
        indirect case filter(RouteFilter)
        case headerMutation(HeaderMutationPerRoute)
        case compressor(CompressorPerRoute)
        case externalAuthorization(ExtAuthzPerRoute)
        case fault(HTTPFault)
        case buffer(BufferPerRoute)
        case cors(CorsPolicy)
        case rateLimit(RateLimitPerRoute)
        case jwtAuthn(JwtPerRoute)
        case statefulSession(StatefulSessionPerRoute)
        case rbac(RBACPerRoute)
        case localRateLimit(LocalRateLimit)
        case fallback(Fallback)
        case onDemand(OnDemandPerRoute)

        package static let members = AnyMembers<RouteFilterConfig>(
            "configuration of a filter for a route",
            [
                AnyMember(RouteFilter.self, name: "envoy.config.route.v3.FilterConfig", wrap: { .filter($0) }) {
                    if case .filter(let value) = $0 { value } else { nil }
                },
                AnyMember(HeaderMutationPerRoute.self, wrap: { .headerMutation($0) }) {
                    if case .headerMutation(let value) = $0 { value } else { nil }
                },
                AnyMember(CompressorPerRoute.self, wrap: { .compressor($0) }) {
                    if case .compressor(let value) = $0 { value } else { nil }
                },
                AnyMember(RateLimitPerRoute.self, wrap: { .rateLimit($0) }) {
                    if case .rateLimit(let value) = $0 { value } else { nil }
                },
                AnyMember(ExtAuthzPerRoute.self, wrap: { .externalAuthorization($0) }) {
                    if case .externalAuthorization(let value) = $0 { value } else { nil }
                },
                AnyMember(HTTPFault.self, wrap: { .fault($0) }) {
                    if case .fault(let value) = $0 { value } else { nil }
                },
                AnyMember(BufferPerRoute.self, wrap: { .buffer($0) }) {
                    if case .buffer(let value) = $0 { value } else { nil }
                },
                AnyMember(CorsPolicy.self, wrap: { .cors($0) }) {
                    if case .cors(let value) = $0 { value } else { nil }
                },
                AnyMember(JwtPerRoute.self, wrap: { .jwtAuthn($0) }) {
                    if case .jwtAuthn(let value) = $0 { value } else { nil }
                },
                AnyMember(StatefulSessionPerRoute.self, wrap: { .statefulSession($0) }) {
                    if case .statefulSession(let value) = $0 { value } else { nil }
                },
                AnyMember(RBACPerRoute.self, wrap: { .rbac($0) }) {
                    if case .rbac(let value) = $0 { value } else { nil }
                },
                AnyMember(LocalRateLimit.self, wrap: { .localRateLimit($0) }) {
                    if case .localRateLimit(let value) = $0 { value } else { nil }
                },
                AnyMember(Fallback.self, wrap: { .fallback($0) }) {
                    if case .fallback(let value) = $0 { value } else { nil }
                },
                AnyMember(OnDemandPerRoute.self, wrap: { .onDemand($0) }) {
                    if case .onDemand(let value) = $0 { value } else { nil }
                },
            ]
        )
    }
}

extension Envoy {
    /// Leaves a filter out for a route, or in although the chain leaves it out.
    ///
    /// `envoy.config.route.v3.FilterConfig`
    package struct RouteFilter: EnvoyMessage {
        package var config: RouteFilterConfig?
        package var isOptional: Bool
        package var disabled: Bool

        package init(config: RouteFilterConfig? = nil, isOptional: Bool = false, disabled: Bool = false) {
            self.config = config
            self.isOptional = isOptional
            self.disabled = disabled
        }

        package static let schema = MessageSchema<RouteFilter>(
            "envoy.config.route.v3.FilterConfig",
            empty: RouteFilter()
        ) { schema in
            schema.optional(1, "config", \.config, .any)
            schema.field(2, "is_optional", \.isOptional, .bool)
            schema.noted("is_optional", why: "filters that do not exist here are refused, so that none is missed")
            schema.field(3, "disabled", \.disabled, .bool)
        }
    }
}
