import Traffic

/// `cors`: tells browsers which pages of other sites may call.
extension Worker {
    func checkOrigin(_ filter: CorsFilter, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        let levels = levels(pass.exchange, step, .cors, CorsRules.self)
        guard let first = levels.first else { return .next }
        let verdict = CrossOrigin.judge(
            pass.facts.view,
            isEnforced: random.next() % 1_000_000 < UInt64(first.enforced),
            isWatched: random.next() % 1_000_000 < UInt64(first.watched),
            passesForeign: levels.lazy.compactMap(\.passesForeign).first ?? true,
            allows: { allows($0, levels) }
        )
        switch verdict {
        case .notConcerned: return .next
        case .watched(let isValid):
            countFilter(isValid ? filter.valid : filter.invalid)
            return .next
        case .goesOn(let isValid):
            countFilter(isValid ? filter.valid : filter.invalid)
            if isValid { keep(levels, pass) }
            return .next
        case .answered(let isValid):
            countFilter(isValid ? filter.valid : filter.invalid)
            var reply = FilterReply(status: 200, details: "cors_response")
            if isValid { permit(levels, pass, &reply.fields) }
            return .answered(reply)
        }
    }

    private func allows(_ origin: ByteRun, _ levels: [CorsRules]) -> Bool {
        guard let rules = levels.first(where: { !$0.origins.isEmpty }) else { return false }
        for index in 0..<rules.origins.count
        where rules.origins[index].matches(Self.asterisk) || rules.origins[index].matches(origin) { return true }
        return false
    }

    private func keep(_ levels: [CorsRules], _ pass: FilterPass) {
        guard let origin = pass.facts.view.value(of: Self.run("origin")) else { return }
        let state = CorsState(
            origin: Array(origin.buffer),
            allowsCredentials: levels.lazy.compactMap(\.allowsCredentials).first ?? false,
            exposed: levels.lazy.map(\.exposed).first { !$0.isEmpty } ?? ""
        )
        setState(pass.exchange, pass.step, .cors(state))
    }

    /// The answer to a question before a request.
    private func permit(_ levels: [CorsRules], _ pass: FilterPass, _ fields: inout HeadEdits) {
        // The answer phase adds the origin, as it does for every answer.
        keep(levels, pass)
        func first(_ value: (CorsRules) -> String) -> String { levels.lazy.map(value).first { !$0.isEmpty } ?? "" }
        let asksPrivate = pass.facts.view.value(of: Self.run("access-control-request-private-network"))
        if asksPrivate?.equals(Self.run("true")) ?? false, levels.lazy.compactMap(\.allowsPrivateNetwork).first ?? false
        {
            fields.set("access-control-allow-private-network", "true")
        }
        for (name, value) in [
            ("access-control-allow-methods", first { $0.methods }),
            ("access-control-allow-headers", first { $0.headers }),
            ("access-control-max-age", first { $0.maxAge }),
        ] where !value.isEmpty { fields.set(name, value) }
    }

    func nameOrigin(_ step: FilterStep, _ pass: inout AnswerPass) {
        guard case .cors(let state) = state(pass.exchange, pass.step) else { return }
        pass.edits.add(.set, "access-control-allow-origin".utf8, state.origin)
        if state.allowsCredentials { pass.edits.set("access-control-allow-credentials", "true") }
        if !state.exposed.isEmpty { pass.edits.set("access-control-expose-headers", state.exposed) }
    }
}
