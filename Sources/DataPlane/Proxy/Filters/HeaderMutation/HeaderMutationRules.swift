import EnvoyAPI
import Traffic

/// `header_mutation`, compiled: of a chain or of a route.
final class HeaderMutationRules: Sendable {
    /// Names that match go before the edit with this number.
    ///
    /// Safety: the match leads into the arena of the rules, which never changes.
    struct Removal: @unchecked Sendable {
        var position: Int
        var match: TextMatch
    }

    struct Changes: Sendable {
        var edits = ArenaArray<HeaderEdit>()
        var removals: [Removal] = []
    }

    let request: Changes
    let answer: Changes
    /// What the most specific level of the routes says comes last.
    let mostSpecificWins: Bool
    /// The changes of answers name fields of the request.
    let readsRequest: Bool
    /// Owns what the edits point to.
    private let arena: Arena

    init(_ message: Envoy.HeaderMutations?, mostSpecificWins: Bool = false, _ context: CompileContext) {
        let matches = RouteCompiler(Envoy.RouteConfiguration(), context)
        let arena = matches.builder.arena
        let headers = HeaderCompiler(context: context, arena: arena)
        func changes(_ step: String, _ mutations: [Envoy.HeaderMutation]) -> Changes {
            var edits: [HeaderEdit] = []
            var removals: [Removal] = []
            _ = context.each(step, mutations) { mutation in
                if case .removeOnMatch(let rule) = mutation.action, let matcher = rule.keyMatcher {
                    let match = context.at("remove_on_match.key_matcher") { matches.text(matcher) }
                    removals.append(Removal(position: edits.count, match: match))
                } else if let edit = headers.edit(mutation) {
                    edits.append(edit)
                }
            }
            return Changes(edits: arena.copy(edits), removals: removals)
        }
        request = changes("mutations.request_mutations", message?.requestMutations ?? [])
        answer = changes("mutations.response_mutations", message?.responseMutations ?? [])
        self.mostSpecificWins = mostSpecificWins
        readsRequest = RouteCompiler.remembersRequest(answer.edits)
        self.arena = arena
    }
}
