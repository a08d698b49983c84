import HTTP
import Reactor
import Tokens
import Traffic

/// `jwt_authn`: requests pass with good tokens.
extension Worker {
    func checkTokens(_ settings: TokenSettings, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        let view = pass.facts.view
        // What only this proxy may say no client says, whatever is required of it.
        for name in settings.ownFields where name.withUnsafeBytes({ view.value(of: ByteRun($0)) }) != nil {
            pass.edits.add(.remove, name, EmptyCollection())
        }
        let requirement: TokenRequirement?
        if let route = self.settings(pass.exchange, step, .tokens, TokenRoute.self) {
            guard let name = route.requirement else { return .next }
            guard let found = settings.named[name] else { return denied(settings, unknown: name) }
            requirement = found
        } else {
            requirement = rule(settings, view)
        }
        if settings.bypassesPreflight, Self.isPreflight(view) {
            countFilter(settings.numbers.bypassed)
            return .next
        }
        guard let requirement else {
            countFilter(settings.numbers.allowed)
            return .next
        }
        var waited: Set<Int> = []
        if case .tokens(let before) = state(pass.exchange, pass.step) { waited = before }
        let judge = TokenJudge(
            providers: settings.providers,
            keys: settings.sources.enumerated().map { keys($1, waited: waited.contains($0)) },
            view: view,
            now: (now &+ wallOffset) / 1_000_000_000
        )
        switch judge.judge(requirement) {
        case .allowed(let effects):
            countFilter(settings.numbers.allowed)
            for name in effects.removed { pass.edits.add(.remove, name, EmptyCollection()) }
            for field in effects.set { pass.edits.add(.set, field.name, field.value) }
            if effects.clearsRoute { pass.clearsRoute = true }
            return .next
        case .denied(let fault): return denied(settings, fault, pass)
        case .needsKeys(let provider):
            guard case .remote(let source) = settings.sources[provider], !waited.contains(provider) else {
                return denied(settings, .keysNotFetched, pass)
            }
            setState(pass.exchange, pass.step, .tokens(waited.union([provider])))
            guard awaitKeys(source, pass.index, pass.exchange) else { return denied(settings, .keysNotFetched, pass) }
            return .suspended
        }
    }

    /// What the first rule that matches requires.
    private func rule(_ settings: TokenSettings, _ view: RequestView) -> TokenRequirement? {
        guard let rules = settings.rules, case .route(let route, _) = rules.view.match(view, random: random.next()),
            let number = route.pointee.name.decimal, settings.requirements.indices.contains(Int(number))
        else { return nil }
        return settings.requirements[Int(number)]
    }

    /// Whether a browser asks before it sends the request (Fetch standard, CORS preflight).
    private static func isPreflight(_ view: RequestView) -> Bool {
        view.method.equals(run("OPTIONS")) && !(view.value(of: run("origin")) ?? .empty).isEmpty
            && !(view.value(of: run("access-control-request-method")) ?? .empty).isEmpty
    }

    private func denied(_ settings: TokenSettings, _ fault: TokenFault, _ pass: FilterPass) -> FilterVerdict {
        countFilter(settings.numbers.denied)
        let words = "\(fault.message)"
        var reply = FilterReply(
            status: fault == .audienceNotAllowed ? 403 : 401,
            body: settings.hidesReason ? "" : words,
            details: "jwt_authn_access_denied{\(words.split(separator: " ").joined(separator: "_"))}",
            flags: .unauthorizedExternalService
        )
        if reply.status == 401, !settings.hidesReason {
            var value = Array("Bearer realm=\"".utf8)
            value += pass.facts.view.isTLS ? Array("https://".utf8) : Array("http://".utf8)
            // What would end the quotation is left out.
            value += (Array(pass.facts.view.authority.buffer) + Array(pass.facts.target.buffer))
                .filter { $0 != 0x22 && $0 != 0x5C }
            value += Array("\"".utf8)
            if fault != .missing { value += Array(", error=\"invalid_token\"".utf8) }
            reply.fields.add(.append, "www-authenticate".utf8, value)
        }
        return .answered(reply)
    }

    /// A route that names a requirement that there is not: nothing passes.
    private func denied(_ settings: TokenSettings, unknown name: String) -> FilterVerdict {
        countFilter(settings.numbers.denied)
        return .answered(
            FilterReply(
                status: 403,
                body: settings.hidesReason ? "" : "there is no requirement of the name that the route gives",
                details: "jwt_authn_access_denied{unknown_requirement}",
                flags: .unauthorizedExternalService
            )
        )
    }
}
