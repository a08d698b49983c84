import HTTP
import Traffic

/// `header_mutation`: the chain's changes, then those of the routes' levels.
extension Worker {
    func changeRequest(_ rules: HeaderMutationRules, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        let sources = FieldSources(message: pass.facts.view, request: pass.facts.view)
        change(rules.request, sources, pass.exchange, pass.place, to: &pass.edits)
        for level in levels(rules, step, pass.exchange) {
            change(level.request, sources, pass.exchange, pass.place, to: &pass.edits)
        }
        return .next
    }

    func changeAnswer(_ rules: HeaderMutationRules, _ step: FilterStep, _ pass: inout AnswerPass) {
        var sources = FieldSources(
            message: pass.view,
            request: RequestView(method: .empty, authority: .empty, path: .empty)
        )
        if let kept = keptRequest(pass.exchange) { sources.request = kept }
        change(rules.answer, sources, pass.exchange, pass.place, to: &pass.edits)
        for level in levels(rules, step, pass.exchange) {
            change(level.answer, sources, pass.exchange, pass.place, to: &pass.edits)
        }
    }

    /// What the levels of the routes say, in the order in which it is done.
    private func levels(_ rules: HeaderMutationRules, _ step: FilterStep, _ exchange: ExchangePlace)
        -> [HeaderMutationRules]
    {
        let found = levels(exchange, step, .headerMutation, HeaderMutationRules.self)
        return rules.mostSpecificWins ? found.reversed() : found
    }

    private func change(
        _ changes: HeaderMutationRules.Changes,
        _ sources: FieldSources,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        to list: inout HeadEdits
    ) {
        guard !changes.removals.isEmpty else {
            add(changes.edits, sources, exchange, place, to: &list)
            return
        }
        for index in 0...changes.edits.count {
            for removal in changes.removals where removal.position == index {
                remove(removal.match, sources.message, from: &list)
            }
            if index < changes.edits.count { add(changes.edits[index], sources, exchange, place, to: &list) }
        }
    }

    /// Takes out what the message has, and what was added to it just now, under a name that matches.
    private func remove(_ match: TextMatch, _ message: RequestView, from list: inout HeadEdits) {
        var names = list.edits.map { Array(list.bytes[$0.name]) }
        if let base = message.base, let fields = message.fields {
            for index in 0..<message.fieldCount {
                let name = ByteRun(start: base + Int(fields[index].nameStart), count: Int(fields[index].nameLength))
                names.append(name.lowercased)
            }
        }
        for name in Set(names).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            if name.withUnsafeBytes({ match.matches(ByteRun($0)) }) { list.add(.remove, name, []) }
        }
    }

    /// Adds changes with the values that they have for this request.
    func add(
        _ edits: ArenaArray<HeaderEdit>,
        _ sources: FieldSources,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        to list: inout HeadEdits
    ) {
        for index in 0..<edits.count { add(edits[index], sources, exchange, place, to: &list) }
    }

    private func add(
        _ edit: HeaderEdit,
        _ sources: FieldSources,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        to list: inout HeadEdits
    ) {
        let value = edit.kind == .remove ? [] : value(of: edit, sources, exchange, place)
        if edit.kind != .remove, value.isEmpty, !edit.keepsEmptyValue { return }
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
