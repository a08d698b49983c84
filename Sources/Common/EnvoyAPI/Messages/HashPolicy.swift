extension Envoy.RouteAction {
    /// What of a request is hashed, for the balancers that go by hashes.
    ///
    /// `envoy.config.route.v3.RouteAction.HashPolicy`
    package struct HashPolicy: EnvoyMessage {
        package var policySpecifier: Specifier?
        package var terminal: Bool

        /// One of these.
        package enum Specifier: Sendable, Equatable {
            case header(Envoy.RouteAction.HashPolicy.Header)
            case cookie(Envoy.RouteAction.HashPolicy.Cookie)
            case connectionProperties(Envoy.RouteAction.HashPolicy.ConnectionProperties)
            case queryParameter(Envoy.RouteAction.HashPolicy.QueryParameter)
        }

        package init(
            policySpecifier: Specifier? = nil,
            terminal: Bool = false
        ) {
            self.policySpecifier = policySpecifier
            self.terminal = terminal
        }

        package static let schema = MessageSchema<HashPolicy>(
            "envoy.config.route.v3.RouteAction.HashPolicy",
            empty: HashPolicy()
        ) { schema in
            schema.oneof("policy_specifier", isRequired: true)
            schema.choice(1, "header", of: "policy_specifier", \.policySpecifier, .message) {
                .header($0)
            } get: {
                if case .header(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "cookie", of: "policy_specifier", \.policySpecifier, .message) {
                .cookie($0)
            } get: {
                if case .cookie(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "connection_properties", of: "policy_specifier", \.policySpecifier, .message) {
                .connectionProperties($0)
            } get: {
                if case .connectionProperties(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "query_parameter", of: "policy_specifier", \.policySpecifier, .message) {
                .queryParameter($0)
            } get: {
                if case .queryParameter(let value) = $0 { value } else { nil }
            }
            schema.unsupported("filter_state=6", of: "policy_specifier")
            schema.field(4, "terminal", \.terminal, .bool)
        }
    }
}

extension Envoy.RouteAction.HashPolicy {
    /// A header.
    ///
    /// `envoy.config.route.v3.RouteAction.HashPolicy.Header`
    package struct Header: EnvoyMessage {
        package var headerName: String
        package var regexRewrite: Envoy.RegexMatchAndSubstitute?

        package init(
            headerName: String = "",
            regexRewrite: Envoy.RegexMatchAndSubstitute? = nil
        ) {
            self.headerName = headerName
            self.regexRewrite = regexRewrite
        }

        package static let schema = MessageSchema<Header>(
            "envoy.config.route.v3.RouteAction.HashPolicy.Header",
            empty: Header()
        ) { schema in
            schema.field(1, "header_name", \.headerName, .string, [.minLength(1), .headerName])
            schema.optional(2, "regex_rewrite", \.regexRewrite, .message)
        }
    }

    /// What else a new cookie says.
    ///
    /// `envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute`
    package struct CookieAttribute: EnvoyMessage {
        package var name: String
        package var value: String

        package init(
            name: String = "",
            value: String = ""
        ) {
            self.name = name
            self.value = value
        }

        package static let schema = MessageSchema<CookieAttribute>(
            "envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute",
            empty: CookieAttribute()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1), .maxBytes(16_384), .headerName])
            schema.field(2, "value", \.value, .string, [.maxBytes(16_384), .headerValue])
        }
    }

    /// A cookie, which is made where it is missing and has a life.
    ///
    /// `envoy.config.route.v3.RouteAction.HashPolicy.Cookie`
    package struct Cookie: EnvoyMessage {
        package var name: String
        package var ttl: Duration?
        package var path: String
        package var attributes: [Envoy.RouteAction.HashPolicy.CookieAttribute]

        package init(
            name: String = "",
            ttl: Duration? = nil,
            path: String = "",
            attributes: [Envoy.RouteAction.HashPolicy.CookieAttribute] = []
        ) {
            self.name = name
            self.ttl = ttl
            self.path = path
            self.attributes = attributes
        }

        package static let schema = MessageSchema<Cookie>(
            "envoy.config.route.v3.RouteAction.HashPolicy.Cookie",
            empty: Cookie()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "ttl", \.ttl, .duration)
            schema.field(3, "path", \.path, .string)
            schema.repeated(4, "attributes", \.attributes, .message)
        }
    }

    /// The client's address.
    ///
    /// `envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties`
    package struct ConnectionProperties: EnvoyMessage {
        package var sourceIp: Bool

        package init(
            sourceIp: Bool = false
        ) {
            self.sourceIp = sourceIp
        }

        package static let schema = MessageSchema<ConnectionProperties>(
            "envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties",
            empty: ConnectionProperties()
        ) { schema in
            schema.field(1, "source_ip", \.sourceIp, .bool)
        }
    }

    /// A query parameter.
    ///
    /// `envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter`
    package struct QueryParameter: EnvoyMessage {
        package var name: String

        package init(
            name: String = ""
        ) {
            self.name = name
        }

        package static let schema = MessageSchema<QueryParameter>(
            "envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter",
            empty: QueryParameter()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
        }
    }
}

extension Envoy {
    /// What of a connection is hashed.
    ///
    /// `envoy.type.v3.HashPolicy`
    package struct ConnectionHashPolicy: EnvoyMessage {
        package var sourceIp: Envoy.ConnectionHashPolicy.SourceIp?

        package init(
            sourceIp: Envoy.ConnectionHashPolicy.SourceIp? = nil
        ) {
            self.sourceIp = sourceIp
        }

        package static let schema = MessageSchema<ConnectionHashPolicy>(
            "envoy.type.v3.HashPolicy",
            empty: ConnectionHashPolicy()
        ) { schema in
            schema.oneof("policy_specifier", isRequired: true)
            schema.optional(1, "source_ip", of: "policy_specifier", \.sourceIp, .message)
            schema.unsupported("filter_state=2", of: "policy_specifier")
        }
    }
}

extension Envoy.ConnectionHashPolicy {
    /// The client's address.
    ///
    /// `envoy.type.v3.HashPolicy.SourceIp`
    package struct SourceIp: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<SourceIp>(
            "envoy.type.v3.HashPolicy.SourceIp",
            empty: SourceIp()
        ) { _ in }
    }
}

extension Envoy.ClusterLoadAssignment.Policy {
    /// A share of the requests is refused.
    ///
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload`
    package struct DropOverload: EnvoyMessage {
        package var category: String
        package var dropPercentage: Envoy.FractionalPercent?

        package init(
            category: String = "",
            dropPercentage: Envoy.FractionalPercent? = nil
        ) {
            self.category = category
            self.dropPercentage = dropPercentage
        }

        package static let schema = MessageSchema<DropOverload>(
            "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload",
            empty: DropOverload()
        ) { schema in
            schema.field(1, "category", \.category, .string, [.minLength(1)])
            schema.optional(2, "drop_percentage", \.dropPercentage, .message)
        }
    }
}
