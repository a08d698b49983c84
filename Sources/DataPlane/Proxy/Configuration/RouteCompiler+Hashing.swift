import EnvoyAPI
import Traffic

/// What is hashed of a request.
extension RouteCompiler {
    func hashRule(_ message: Envoy.RouteAction.HashPolicy) -> HashRule {
        var rule = HashRule(source: .clientAddress)
        switch message.policySpecifier {
        case .header(let header): rule = context.at("header") { headerRule(header) }
        case .cookie(let cookie): rule = context.at("cookie") { cookieRule(cookie) }
        case .queryParameter(let parameter):
            rule = HashRule(source: .query, name: builder.arena.copy(parameter.name))
        case .connectionProperties(let properties):
            if !properties.sourceIp {
                context.report("connection_properties.source_ip: false says nothing; leave the policy out")
            }
        case nil: context.report("header, cookie, connection_properties or query_parameter is required")
        }
        rule.isTerminal = message.terminal
        return rule
    }

    private func headerRule(_ message: Envoy.RouteAction.HashPolicy.Header) -> HashRule {
        let name = Self.lowercased(message.headerName)
        var rule = HashRule(source: .header, name: builder.arena.copy(name))
        switch name {
        case ":method": rule.source = .method
        case ":path": rule.source = .path
        case ":authority", "host": rule.source = .authority
        case ":scheme": rule.source = .scheme
        default: break
        }
        guard let message = message.regexRewrite else { return rule }
        rule.rewrite = context.at("regex_rewrite") { () -> PatternRewrite? in
            guard let matcher = message.pattern, let pattern = context.at("pattern", { pattern(matcher) }) else {
                return nil
            }
            if let problem = pattern.problem(withSubstitution: message.substitution) {
                context.report("substitution: \(problem)")
            }
            return PatternRewrite(pattern: pattern, substitution: builder.arena.copy(message.substitution))
        }
        return rule
    }

    private func cookieRule(_ message: Envoy.RouteAction.HashPolicy.Cookie) -> HashRule {
        /// What would end the name, the value or the field.
        func isPlain(_ text: String, isName: Bool = false) -> Bool {
            text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != 0x3B && !(isName && ($0 == 0x3D || $0 == 0x20)) }
        }
        var rule = HashRule(source: .cookie, name: builder.arena.copy(message.name))
        if !isPlain(message.name, isName: true) { context.report("name: no cookie has such a name") }
        guard let life = message.ttl else { return rule }
        if !isPlain(message.path) { context.report("path: no cookie has such a path") }
        var tail = ""
        if life.components.seconds > 0 { tail += "; Max-Age=\(life.components.seconds)" }
        if !message.path.isEmpty { tail += "; Path=\(message.path)" }
        for (index, attribute) in message.attributes.enumerated() {
            if !isPlain(attribute.name, isName: true) || !isPlain(attribute.value) {
                context.report("attributes[\(index)]: may not stand in a cookie")
            }
            tail += attribute.value.isEmpty ? "; \(attribute.name)" : "; \(attribute.name)=\(attribute.value)"
        }
        rule.cookieTail = builder.arena.copy(tail + "; HttpOnly")
        return rule
    }
}
