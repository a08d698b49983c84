extension Envoy {
    /// Answers browsers that ask whether a page of another site may call; routes say who may.
    ///
    /// `envoy.extensions.filters.http.cors.v3.Cors`
    package struct Cors: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<Cors>(
            "envoy.extensions.filters.http.cors.v3.Cors",
            empty: Cors()
        ) { _ in
        }
    }
}

extension Envoy {
    /// Which pages of other sites may call, and how.
    ///
    /// `envoy.extensions.filters.http.cors.v3.CorsPolicy`
    package struct CorsPolicy: EnvoyMessage {
        package var allowOriginStringMatch: [StringMatcher]
        package var allowMethods: String
        package var allowHeaders: String
        package var exposeHeaders: String
        package var maxAge: String
        package var allowCredentials: Bool?
        package var filterEnabled: RuntimeFractionalPercent?
        package var shadowEnabled: RuntimeFractionalPercent?
        package var allowPrivateNetworkAccess: Bool?
        package var forwardNotMatchingPreflights: Bool?

        package init(
            allowOriginStringMatch: [StringMatcher] = [],
            allowMethods: String = "",
            allowHeaders: String = "",
            exposeHeaders: String = "",
            maxAge: String = "",
            allowCredentials: Bool? = nil,
            filterEnabled: RuntimeFractionalPercent? = nil,
            shadowEnabled: RuntimeFractionalPercent? = nil,
            allowPrivateNetworkAccess: Bool? = nil,
            forwardNotMatchingPreflights: Bool? = nil
        ) {
            self.allowOriginStringMatch = allowOriginStringMatch
            self.allowMethods = allowMethods
            self.allowHeaders = allowHeaders
            self.exposeHeaders = exposeHeaders
            self.maxAge = maxAge
            self.allowCredentials = allowCredentials
            self.filterEnabled = filterEnabled
            self.shadowEnabled = shadowEnabled
            self.allowPrivateNetworkAccess = allowPrivateNetworkAccess
            self.forwardNotMatchingPreflights = forwardNotMatchingPreflights
        }

        package static let schema = MessageSchema<CorsPolicy>(
            "envoy.extensions.filters.http.cors.v3.CorsPolicy",
            empty: CorsPolicy()
        ) { schema in
            schema.repeated(1, "allow_origin_string_match", \.allowOriginStringMatch, .message)
            schema.field(2, "allow_methods", \.allowMethods, .string, [.headerValue])
            schema.field(3, "allow_headers", \.allowHeaders, .string, [.headerValue])
            schema.field(4, "expose_headers", \.exposeHeaders, .string, [.headerValue])
            schema.field(5, "max_age", \.maxAge, .string, [.headerValue])
            schema.optional(6, "allow_credentials", \.allowCredentials, .boolValue)
            schema.optional(7, "filter_enabled", \.filterEnabled, .message)
            schema.optional(8, "shadow_enabled", \.shadowEnabled, .message)
            schema.optional(9, "allow_private_network_access", \.allowPrivateNetworkAccess, .boolValue)
            schema.optional(10, "forward_not_matching_preflights", \.forwardNotMatchingPreflights, .boolValue)
        }
    }
}
