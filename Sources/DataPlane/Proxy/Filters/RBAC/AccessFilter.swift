import EnvoyAPI
import Traffic

/// `rbac`, compiled: of a chain or of a route.
final class AccessFilter: Sendable {
    /// nil: everybody passes.
    let rules: AccessRules?
    /// Only counted.
    let shadow: AccessRules?
    let numbers: Numbers
    /// How long a connection that is not let in is held before it is closed, nanoseconds.
    let delay: UInt64
    /// Owns what the matchers point to.
    private let arena: Arena

    struct Numbers: Sendable {
        var allowed: Int32 = -1
        var denied: Int32 = -1
        var shadowAllowed: Int32 = -1
        var shadowDenied: Int32 = -1
    }

    init(_ message: Envoy.RBACFilter?, prefix: String, _ context: CompileContext) {
        let compiler = AccessCompiler(context: context)
        arena = compiler.matches.builder.arena
        rules = message?.rules.map { rules in context.at("rules") { compiler.rules(rules) } }
        shadow = message?.shadowRules.map { rules in context.at("shadow_rules") { compiler.rules(rules) } }
        func place(_ own: String, _ name: String) -> Int32 {
            let middle = own.isEmpty || own.hasSuffix(".") ? own : own + "."
            return context.filterStats.place(prefix: prefix, "rbac.\(middle)\(name)")
        }
        var numbers = Numbers()
        if !prefix.isEmpty {
            let own = message?.rulesStatPrefix ?? ""
            let shadowOwn = message?.shadowRulesStatPrefix ?? ""
            numbers.allowed = place(own, "allowed")
            numbers.denied = place(own, "denied")
            numbers.shadowAllowed = place(shadowOwn, "shadow_allowed")
            numbers.shadowDenied = place(shadowOwn, "shadow_denied")
        }
        self.numbers = numbers
        delay = 0
    }

    /// For connections.
    init(_ message: Envoy.NetworkRBAC, _ context: CompileContext) {
        let compiler = AccessCompiler(context: context)
        arena = compiler.matches.builder.arena
        func compiled(_ step: String, _ rules: Envoy.RBACRules?) -> AccessRules? {
            rules.map { rules in
                context.at(step) {
                    let made = compiler.rules(rules)
                    if made.readsRequests {
                        context.report(
                            "header and url_path: a connection has neither; use the HTTP filter rbac "
                                + "(envoy.extensions.filters.http.rbac.v3.RBAC) for them"
                        )
                    }
                    return made
                }
            }
        }
        rules = compiled("rules", message.rules)
        shadow = compiled("shadow_rules", message.shadowRules)
        let prefix = message.statPrefix.hasSuffix(".") ? String(message.statPrefix.dropLast()) : message.statPrefix
        let scope = EnvoyStats.Scope(prefix: "\(prefix).rbac.", family: "rbac", labels: [("envoy_rbac_prefix", prefix)])
        let own = message.shadowRulesStatPrefix
        let shadowPrefix = own.isEmpty || own.hasSuffix(".") ? own : own + "."
        numbers = Numbers(
            allowed: context.filterStats.place(scope, "allowed"),
            denied: context.filterStats.place(scope, "denied"),
            shadowAllowed: context.filterStats.place(scope, "\(shadowPrefix)shadow_allowed"),
            shadowDenied: context.filterStats.place(scope, "\(shadowPrefix)shadow_denied")
        )
        delay = nanoseconds(message.delayDeny) ?? 0
    }
}

/// Compiles policies.
private struct AccessCompiler {
    let context: CompileContext
    let matches: RouteCompiler

    init(context: CompileContext) {
        self.context = context
        matches = RouteCompiler(Envoy.RouteConfiguration(), context)
    }

    func rules(_ message: Envoy.RBACRules) -> AccessRules {
        let action: AccessRules.Action =
            switch message.action {
            case .allow: .allow
            case .deny: .deny
            case .log: .log
            }
        let policies = message.policies.sorted { $0.key < $1.key }.map { name, policy in
            context.at("policies[\"\(name)\"]") {
                AccessRules.Policy(
                    name: name,
                    permissions: context.each("permissions", policy.permissions) { permission($0) },
                    principals: context.each("principals", policy.principals) { principal($0) }
                )
            }
        }
        return AccessRules(action: action, policies: policies)
    }

    private func permission(_ message: Envoy.RBACPermission) -> AccessCondition {
        switch message.rule {
        case .andRules(let set): return .all(context.each("and_rules.rules", set.rules) { permission($0) })
        case .orRules(let set): return .oneOf(context.each("or_rules.rules", set.rules) { permission($0) })
        case .any: return .any
        case .header(let match): return .header(context.at("header") { matches.header(match) })
        case .urlPath(let path): return self.path(path)
        case .destinationIp(let range): return block("destination_ip", range).map { .destination($0) } ?? .not(.any)
        case .destinationPort(let port): return .destinationPort(Int(port), Int(port) + 1)
        case .destinationPortRange(let range): return .destinationPort(Int(range.start), Int(range.end))
        case .notRule(let inner): return .not(context.at("not_rule") { permission(inner) })
        case .requestedServerName(let name):
            return .serverName(context.at("requested_server_name") { matches.text(name) })
        case nil: return .not(.any)
        }
    }

    private func principal(_ message: Envoy.RBACPrincipal) -> AccessCondition {
        switch message.identifier {
        case .andIds(let set): return .all(context.each("and_ids.ids", set.ids) { principal($0) })
        case .orIds(let set): return .oneOf(context.each("or_ids.ids", set.ids) { principal($0) })
        case .any: return .any
        case .authenticated(let who):
            return .authenticated(
                who.principalName.map { name in context.at("authenticated.principal_name") { matches.text(name) } }
            )
        case .sourceIp(let range): return block("source_ip", range).map { .source($0) } ?? .not(.any)
        case .directRemoteIp(let range): return block("direct_remote_ip", range).map { .directSource($0) } ?? .not(.any)
        case .remoteIp(let range): return block("remote_ip", range).map { .client($0) } ?? .not(.any)
        case .header(let match): return .header(context.at("header") { matches.header(match) })
        case .urlPath(let path): return self.path(path)
        case .notId(let inner): return .not(context.at("not_id") { principal(inner) })
        case nil: return .not(.any)
        }
    }

    private func path(_ message: Envoy.PathMatcher) -> AccessCondition {
        guard let matcher = message.path else { return .not(.any) }
        return .path(context.at("url_path.path") { matches.text(matcher) })
    }

    private func block(_ step: String, _ message: Envoy.CidrRange) -> AddressBlock? {
        guard let range = context.ranges(step, [message]).first else { return nil }
        return AddressBlock(
            base: AddressBits(high: range.base.high, low: range.base.low),
            length: Int(range.prefixLength)
        )
    }
}
