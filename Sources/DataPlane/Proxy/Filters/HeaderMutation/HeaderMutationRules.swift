import EnvoyAPI
import Traffic

/// `header_mutation`, compiled: of a chain or of a route.
final class HeaderMutationRules: Sendable {
    let request: ArenaArray<HeaderEdit>
    let answer: ArenaArray<HeaderEdit>
    /// What the most specific level of the routes says comes last.
    let mostSpecificWins: Bool
    /// The changes of answers name fields of the request.
    let readsRequest: Bool
    /// Owns what the edits point to.
    private let arena: Arena

    init(_ message: Envoy.HeaderMutations?, mostSpecificWins: Bool = false, _ context: CompileContext) {
        let arena = Arena()
        let headers = HeaderCompiler(context: context, arena: arena)
        func edits(_ step: String, _ mutations: [Envoy.HeaderMutation]) -> ArenaArray<HeaderEdit> {
            arena.copy(context.each(step, mutations) { headers.edit($0) }.compactMap { $0 })
        }
        request = edits("mutations.request_mutations", message?.requestMutations ?? [])
        answer = edits("mutations.response_mutations", message?.responseMutations ?? [])
        self.mostSpecificWins = mostSpecificWins
        readsRequest = RouteCompiler.remembersRequest(answer)
        self.arena = arena
    }
}
