extension Envoy {
    /// Lets requests pass, or not, by who sends them and what they want.
    ///
    /// `envoy.extensions.filters.http.rbac.v3.RBAC`
    package struct RBACFilter: EnvoyMessage {
        package var rules: RBACRules?
        package var shadowRules: RBACRules?
        package var shadowRulesStatPrefix: String
        package var rulesStatPrefix: String

        package init(
            rules: RBACRules? = nil,
            shadowRules: RBACRules? = nil,
            shadowRulesStatPrefix: String = "",
            rulesStatPrefix: String = ""
        ) {
            self.rules = rules
            self.shadowRules = shadowRules
            self.shadowRulesStatPrefix = shadowRulesStatPrefix
            self.rulesStatPrefix = rulesStatPrefix
        }

        package static let schema = MessageSchema<RBACFilter>(
            "envoy.extensions.filters.http.rbac.v3.RBAC",
            empty: RBACFilter()
        ) { schema in
            schema.optional(1, "rules", \.rules, .message)
            schema.optional(2, "shadow_rules", \.shadowRules, .message)
            schema.field(3, "shadow_rules_stat_prefix", \.shadowRulesStatPrefix, .string)
            schema.field(6, "rules_stat_prefix", \.rulesStatPrefix, .string)
            schema.unsupported("matcher=4 shadow_matcher=5", why: "use rules and shadow_rules")
            schema.unsupported("track_per_rule_stats=7")
        }
    }
}

extension Envoy {
    /// Other rules for a route; without any, everybody passes.
    ///
    /// `envoy.extensions.filters.http.rbac.v3.RBACPerRoute`
    package struct RBACPerRoute: EnvoyMessage {
        package var rbac: RBACFilter?

        package init(
            rbac: RBACFilter? = nil
        ) {
            self.rbac = rbac
        }

        package static let schema = MessageSchema<RBACPerRoute>(
            "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
            empty: RBACPerRoute()
        ) { schema in
            schema.optional(2, "rbac", \.rbac, .message)
        }
    }
}

extension Envoy {
    /// Policies by name, and what it means that one of them matches.
    ///
    /// `envoy.config.rbac.v3.RBAC`
    package struct RBACRules: EnvoyMessage {
        package var action: RBACAction
        package var policies: [String: RBACPolicy]

        package init(
            action: RBACAction = .allow,
            policies: [String: RBACPolicy] = [:]
        ) {
            self.action = action
            self.policies = policies
        }

        package static let schema = MessageSchema<RBACRules>(
            "envoy.config.rbac.v3.RBAC",
            empty: RBACRules()
        ) { schema in
            schema.field(1, "action", \.action, .enumeration)
            schema.map(2, "policies", \.policies, .message)
            schema.unsupported("audit_logging_options=3")
        }
    }
}

extension Envoy {
    /// Values of `envoy.config.rbac.v3.RBAC.Action`.
    package enum RBACAction: Int32, EnvoyEnum {
        case allow = 0
        case deny = 1
        case log = 2

        package static let names = EnumNames(
            "envoy.config.rbac.v3.RBAC.Action",
            "ALLOW=0 DENY=1 LOG=2"
        )
    }
}

extension Envoy {
    /// It matches when one of the permissions and one of the principals do.
    ///
    /// `envoy.config.rbac.v3.Policy`
    package struct RBACPolicy: EnvoyMessage {
        package var permissions: [RBACPermission]
        package var principals: [RBACPrincipal]

        package init(
            permissions: [RBACPermission] = [],
            principals: [RBACPrincipal] = []
        ) {
            self.permissions = permissions
            self.principals = principals
        }

        package static let schema = MessageSchema<RBACPolicy>(
            "envoy.config.rbac.v3.Policy",
            empty: RBACPolicy()
        ) { schema in
            schema.repeated(1, "permissions", \.permissions, .message, [.minItems(1)])
            schema.repeated(2, "principals", \.principals, .message, [.minItems(1)])
            schema.unsupported(
                "condition=3 checked_condition=4 cel_config=5",
                why: "expressions of CEL are not evaluated here"
            )
        }
    }
}

extension Envoy {
    /// What is wanted.
    ///
    /// `envoy.config.rbac.v3.Permission`
    package struct RBACPermission: EnvoyMessage {
        package var rule: Rule?

        /// One of these.
        package enum Rule: Sendable, Equatable {
            case andRules(RBACPermissions)
            case orRules(RBACPermissions)
            case any(Bool)
            case header(HeaderMatcher)
            case urlPath(PathMatcher)
            case destinationIp(CidrRange)
            case destinationPort(UInt32)
            case destinationPortRange(Int32Range)
            indirect case notRule(RBACPermission)
            case requestedServerName(StringMatcher)
        }

        package init(
            rule: Rule? = nil
        ) {
            self.rule = rule
        }

        package static let schema = MessageSchema<RBACPermission>(
            "envoy.config.rbac.v3.Permission",
            empty: RBACPermission()
        ) { schema in
            schema.oneof("rule", isRequired: true)
            schema.choice(1, "and_rules", of: "rule", \.rule, .message) {
                .andRules($0)
            } get: {
                if case .andRules(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "or_rules", of: "rule", \.rule, .message) {
                .orRules($0)
            } get: {
                if case .orRules(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "any", of: "rule", \.rule, .bool, [.mustBeTrue]) {
                .any($0)
            } get: {
                if case .any(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "header", of: "rule", \.rule, .message) {
                .header($0)
            } get: {
                if case .header(let value) = $0 { value } else { nil }
            }
            schema.choice(10, "url_path", of: "rule", \.rule, .message) {
                .urlPath($0)
            } get: {
                if case .urlPath(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "destination_ip", of: "rule", \.rule, .message) {
                .destinationIp($0)
            } get: {
                if case .destinationIp(let value) = $0 { value } else { nil }
            }
            schema.choice(6, "destination_port", of: "rule", \.rule, .uint32, [.atMost(65535)]) {
                .destinationPort($0)
            } get: {
                if case .destinationPort(let value) = $0 { value } else { nil }
            }
            schema.choice(11, "destination_port_range", of: "rule", \.rule, .message) {
                .destinationPortRange($0)
            } get: {
                if case .destinationPortRange(let value) = $0 { value } else { nil }
            }
            schema.choice(8, "not_rule", of: "rule", \.rule, .message) {
                .notRule($0)
            } get: {
                if case .notRule(let value) = $0 { value } else { nil }
            }
            schema.choice(9, "requested_server_name", of: "rule", \.rule, .message) {
                .requestedServerName($0)
            } get: {
                if case .requestedServerName(let value) = $0 { value } else { nil }
            }
            schema.unsupported("metadata=7 sourced_metadata=14", of: "rule", why: "there is no dynamic metadata here")
            schema.unsupported("matcher=12 uri_template=13", of: "rule")
        }
    }
}

extension Envoy {
    /// Several permissions.
    ///
    /// `envoy.config.rbac.v3.Permission.Set`
    package struct RBACPermissions: EnvoyMessage {
        package var rules: [RBACPermission]

        package init(
            rules: [RBACPermission] = []
        ) {
            self.rules = rules
        }

        package static let schema = MessageSchema<RBACPermissions>(
            "envoy.config.rbac.v3.Permission.Set",
            empty: RBACPermissions()
        ) { schema in
            schema.repeated(1, "rules", \.rules, .message, [.minItems(1)])
        }
    }
}

extension Envoy {
    /// Who wants it.
    ///
    /// `envoy.config.rbac.v3.Principal`
    package struct RBACPrincipal: EnvoyMessage {
        package var identifier: Identifier?

        /// One of these.
        package enum Identifier: Sendable, Equatable {
            case andIds(RBACPrincipals)
            case orIds(RBACPrincipals)
            case any(Bool)
            case authenticated(RBACAuthenticated)
            case sourceIp(CidrRange)
            case directRemoteIp(CidrRange)
            case remoteIp(CidrRange)
            case header(HeaderMatcher)
            case urlPath(PathMatcher)
            indirect case notId(RBACPrincipal)
        }

        package init(
            identifier: Identifier? = nil
        ) {
            self.identifier = identifier
        }

        package static let schema = MessageSchema<RBACPrincipal>(
            "envoy.config.rbac.v3.Principal",
            empty: RBACPrincipal()
        ) { schema in
            schema.oneof("identifier", isRequired: true)
            schema.choice(1, "and_ids", of: "identifier", \.identifier, .message) {
                .andIds($0)
            } get: {
                if case .andIds(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "or_ids", of: "identifier", \.identifier, .message) {
                .orIds($0)
            } get: {
                if case .orIds(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "any", of: "identifier", \.identifier, .bool, [.mustBeTrue]) {
                .any($0)
            } get: {
                if case .any(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "authenticated", of: "identifier", \.identifier, .message) {
                .authenticated($0)
            } get: {
                if case .authenticated(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "source_ip", of: "identifier", \.identifier, .message) {
                .sourceIp($0)
            } get: {
                if case .sourceIp(let value) = $0 { value } else { nil }
            }
            schema.choice(10, "direct_remote_ip", of: "identifier", \.identifier, .message) {
                .directRemoteIp($0)
            } get: {
                if case .directRemoteIp(let value) = $0 { value } else { nil }
            }
            schema.choice(11, "remote_ip", of: "identifier", \.identifier, .message) {
                .remoteIp($0)
            } get: {
                if case .remoteIp(let value) = $0 { value } else { nil }
            }
            schema.choice(6, "header", of: "identifier", \.identifier, .message) {
                .header($0)
            } get: {
                if case .header(let value) = $0 { value } else { nil }
            }
            schema.choice(9, "url_path", of: "identifier", \.identifier, .message) {
                .urlPath($0)
            } get: {
                if case .urlPath(let value) = $0 { value } else { nil }
            }
            schema.choice(8, "not_id", of: "identifier", \.identifier, .message) {
                .notId($0)
            } get: {
                if case .notId(let value) = $0 { value } else { nil }
            }
            schema.unsupported(
                "metadata=7 sourced_metadata=13",
                of: "identifier",
                why: "there is no dynamic metadata here"
            )
            schema.unsupported("filter_state=12 custom=14", of: "identifier")
        }
    }
}

extension Envoy {
    /// Several principals.
    ///
    /// `envoy.config.rbac.v3.Principal.Set`
    package struct RBACPrincipals: EnvoyMessage {
        package var ids: [RBACPrincipal]

        package init(
            ids: [RBACPrincipal] = []
        ) {
            self.ids = ids
        }

        package static let schema = MessageSchema<RBACPrincipals>(
            "envoy.config.rbac.v3.Principal.Set",
            empty: RBACPrincipals()
        ) { schema in
            schema.repeated(1, "ids", \.ids, .message, [.minItems(1)])
        }
    }
}

extension Envoy {
    /// Somebody with a certificate: of this name, where one is given.
    ///
    /// `envoy.config.rbac.v3.Principal.Authenticated`
    package struct RBACAuthenticated: EnvoyMessage {
        package var principalName: StringMatcher?

        package init(
            principalName: StringMatcher? = nil
        ) {
            self.principalName = principalName
        }

        package static let schema = MessageSchema<RBACAuthenticated>(
            "envoy.config.rbac.v3.Principal.Authenticated",
            empty: RBACAuthenticated()
        ) { schema in
            schema.optional(2, "principal_name", \.principalName, .message)
        }
    }
}

extension Envoy {
    /// What a path has to be, without its query.
    ///
    /// `envoy.type.matcher.v3.PathMatcher`
    package struct PathMatcher: EnvoyMessage {
        package var path: StringMatcher?

        package init(path: StringMatcher? = nil) { self.path = path }

        package static let schema = MessageSchema<PathMatcher>(
            "envoy.type.matcher.v3.PathMatcher",
            empty: PathMatcher()
        ) { schema in
            schema.oneof("rule", isRequired: true)
            schema.optional(1, "path", of: "rule", \.path, .message)
        }
    }
}
