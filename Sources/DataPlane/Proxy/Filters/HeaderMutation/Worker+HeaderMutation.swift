import Traffic

/// `header_mutation`: the chain's changes, then those of the routes' levels.
extension Worker {
    func changeRequest(_ rules: HeaderMutationRules, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        let sources = FieldSources(message: pass.facts.view, request: pass.facts.view)
        add(rules.request, sources, pass.exchange, pass.place, to: &pass.edits)
        for level in levels(rules, step, pass.exchange) {
            add(level.request, sources, pass.exchange, pass.place, to: &pass.edits)
        }
        return .next
    }

    func changeAnswer(_ rules: HeaderMutationRules, _ step: FilterStep, _ pass: inout AnswerPass) {
        var sources = FieldSources(
            message: pass.view,
            request: RequestView(method: .empty, authority: .empty, path: .empty)
        )
        if let kept = keptRequest(pass.exchange) { sources.request = kept }
        add(rules.answer, sources, pass.exchange, pass.place, to: &pass.edits)
        for level in levels(rules, step, pass.exchange) {
            add(level.answer, sources, pass.exchange, pass.place, to: &pass.edits)
        }
    }

    /// What the levels of the routes say, in the order in which it is done.
    private func levels(_ rules: HeaderMutationRules, _ step: FilterStep, _ exchange: ExchangePlace)
        -> [HeaderMutationRules]
    {
        let found = levels(exchange, step, .headerMutation, HeaderMutationRules.self)
        return rules.mostSpecificWins ? found.reversed() : found
    }

    /// Adds changes with the values that they have for this request.
    func add(
        _ edits: ArenaArray<HeaderEdit>,
        _ sources: FieldSources,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        to list: inout HeadEdits
    ) {
        for index in 0..<edits.count {
            let edit = edits[index]
            let value = edit.kind == .remove ? [] : value(of: edit, sources, exchange, place)
            if edit.kind != .remove, value.isEmpty, !edit.keepsEmptyValue { continue }
            let kind: HeadEdits.Kind =
                switch edit.kind {
                case .append: .append
                case .addIfAbsent: .addIfAbsent
                case .overwrite: .set
                case .overwriteIfPresent: .setIfPresent
                case .remove: .remove
                }
            list.add(kind, edit.name.buffer, value)
        }
    }
}
