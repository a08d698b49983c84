import Resources

/// Acting as somebody else, as `kubectl --as` asks for it: whoever does it needs to be allowed to, and has only what that one has.
struct Impersonation: Sendable {
    private let user: String
    private let groups: [String]

    /// Nil when the request acts for nobody else.
    ///
    /// - Throws: `APIError` 400 for groups without a user, or parts that are not known here.
    init?(_ request: HTTPRequest) throws(APIError) {
        let names = request.headers.all("Impersonate-User")
        groups = request.headers.all("Impersonate-Group")
        let hasMore = request.headers.entries.contains { entry in
            let name = entry.name.lowercased()
            return name == "impersonate-uid" || name.hasPrefix("impersonate-extra-")
        }
        guard !hasMore else { throw .badRequest("only users and groups can be acted for here") }
        guard let name = names.first, names.count == 1, !name.isEmpty else {
            guard names.isEmpty, groups.isEmpty else {
                throw .badRequest("requested groups for impersonation without impersonating one user")
            }
            return nil
        }
        user = name
    }

    /// The one to act as.
    ///
    /// - Throws: `APIError` 403 when the caller may not.
    func take(by caller: Caller, _ authorizer: Authorizer) async throws(APIError) -> Caller {
        let parts = user.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let isAccount = parts.count == 4 && parts[0] == "system" && parts[1] == "serviceaccount"
        var facts = RequestFacts(verb: "impersonate")
        facts.resource = isAccount ? "serviceaccounts" : "users"
        facts.namespace = isAccount ? parts[2] : ""
        facts.name = isAccount ? parts[3] : user
        try await check(facts, caller, authorizer)
        for group in groups {
            var facts = RequestFacts(verb: "impersonate")
            facts.resource = "groups"
            facts.name = group
            try await check(facts, caller, authorizer)
        }
        if isAccount, groups.isEmpty { return .serviceAccount(namespace: parts[2], name: parts[3], uid: "") }
        return Caller(
            name: user,
            groups: groups + [user == Caller.anonymous.name ? Caller.unauthenticated : Caller.authenticated]
        )
    }

    private func check(_ facts: RequestFacts, _ caller: Caller, _ authorizer: Authorizer) async throws(APIError) {
        guard try await !authorizer.judge(facts, by: caller).isAllowed else { return }
        throw APIError(
            code: 403,
            reason: .forbidden,
            message: "\(facts.resource) \"\(facts.name)\" is forbidden: User \"\(caller.name)\" \(facts.sentence)"
        )
    }
}
