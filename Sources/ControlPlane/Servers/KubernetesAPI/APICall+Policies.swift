import CEL
import Resources
import Store
import Wire

// Who writes, for the policies that judge writes.
extension APICall {
    /// Runs a request so that the store knows who asks for its writes; what policies warn of becomes `Warning` headers.
    func known(_ work: () async throws -> HTTPResponse) async throws -> HTTPResponse {
        guard ["POST", "PUT", "PATCH", "DELETE"].contains(request.method) else { return try await work() }
        let notes = WriteNotes.current ?? WriteNotes()
        let requester = WriteRequester(
            user: caller.value,
            subresource: target.subresource ?? "",
            access: try await access(),
            notes: notes
        )
        var response = try await WriteRequester.$current.withValue(requester) { try await work() }
        for warning in notes.warnings { response.headers.add("Warning", Self.warning(warning)) }
        return response
    }

    /// What the caller may do, when a policy may ask for it.
    private func access() async throws(APIError) -> CELAccess {
        let isAsked = try await store.list(ResourceTypes.policies).contains { policy in
            String(decoding: policy.json, as: UTF8.self).contains("authorizer")
        }
        guard isAsked else {
            return CELAccess { _ in CELDecision(isAllowed: false, error: "the policy is younger than the request") }
        }
        let book = try await api.authorizer.book()
        let caller = caller
        return CELAccess { book.judge($0, caller) }
    }
}

/// All grants at one moment, so that questions are answered at once.
struct GrantBook: Sendable {
    let grants: [(binding: Object, rules: [RoleRule])]

    func judge(_ question: CELAccess, _ asking: Caller) -> CELDecision {
        var caller = asking
        if let account = question.account {
            caller = .serviceAccount(namespace: account.namespace, name: account.name, uid: "")
        }
        if caller.mayEverything { return CELDecision(isAllowed: true) }
        var facts = RequestFacts(verb: question.verb, path: question.path.isEmpty ? nil : question.path)
        facts.group = question.group
        facts.resource = question.resource
        facts.subresource = question.subresource
        facts.namespace = question.namespace
        facts.name = question.name
        for (binding, rules) in grants where binding.namespace.isEmpty || binding.namespace == facts.namespace {
            guard RoleSubject.matches(binding, caller), rules.contains(where: { $0.allows(facts) }) else { continue }
            return CELDecision(isAllowed: true, reason: "RBAC: allowed by \(binding.kind) \"\(binding.name)\"")
        }
        return CELDecision(isAllowed: false)
    }
}

extension Authorizer {
    /// All grants as they are now.
    func book() async throws(APIError) -> GrantBook {
        var grants: [(binding: Object, rules: [RoleRule])] = []
        let bindings = try await store.list(ResourceTypes.clusterRoleBindings) + store.list(ResourceTypes.roleBindings)
        for binding in bindings { grants.append((binding, try await rules(of: binding))) }
        return GrantBook(grants: grants)
    }
}
