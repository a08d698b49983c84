import Resources
import Store
import Wire

/// Decides by the Roles and bindings in the store what a caller may do.
struct Authorizer: Sendable {
    let store: any ObjectStore

    struct Verdict: Sendable, Equatable {
        let isAllowed: Bool
        let reason: String
    }

    func judge(_ facts: RequestFacts, by caller: Caller) async throws(APIError) -> Verdict {
        if caller.mayEverything { return Verdict(isAllowed: true, reason: "") }
        for (binding, rules) in try await grants(to: caller, in: facts.namespace)
        where rules.contains(where: { $0.allows(facts) }) {
            let role = binding.value["roleRef"]
            return Verdict(
                isAllowed: true,
                reason: "RBAC: allowed by \(binding.kind) \"\(binding.name)\" of \(role?.text("kind") ?? "") "
                    + "\"\(role?.text("name") ?? "")\" to \(caller.name)"
            )
        }
        return Verdict(isAllowed: false, reason: "")
    }

    /// Every rule that a caller has in a namespace, or for the whole cluster when it is empty.
    func rules(of caller: Caller, in namespace: String) async throws(APIError) -> [RoleRule] {
        if caller.mayEverything {
            return [RoleRule(verbs: ["*"], groups: ["*"], resources: ["*"]), RoleRule(verbs: ["*"], paths: ["*"])]
        }
        return try await grants(to: caller, in: namespace).flatMap(\.rules)
    }

    private func grants(
        to caller: Caller,
        in namespace: String
    ) async throws(APIError) -> [(binding: Object, rules: [RoleRule])] {
        var grants: [(binding: Object, rules: [RoleRule])] = []
        for binding in try await store.list(ResourceTypes.clusterRoleBindings)
        where RoleSubject.matches(binding, caller) {
            grants.append((binding, try await rules(of: binding)))
        }
        guard !namespace.isEmpty else { return grants }
        for binding in try await store.list(ResourceTypes.roleBindings, namespace: namespace)
        where RoleSubject.matches(binding, caller) {
            grants.append((binding, try await rules(of: binding)))
        }
        return grants
    }

    /// The rules behind a binding; none when its role is not there.
    func rules(of binding: Object) async throws(APIError) -> [RoleRule] {
        let reference = binding.value["roleRef"] ?? .null
        let name = reference.text("name") ?? ""
        let isLocal = reference.text("kind") == "Role"
        let key =
            isLocal
            ? ObjectKey(ResourceTypes.roles, namespace: binding.namespace, name: name)
            : ObjectKey(ResourceTypes.clusterRoles, name: name)
        guard let role = try await store.find(key) else { return [] }
        if !isLocal, let selectors = role.value["aggregationRule"]?.list("clusterRoleSelectors"), !selectors.isEmpty {
            return try await aggregated(selectors)
        }
        return role.value.list("rules").map(RoleRule.init)
    }

    private func aggregated(_ selectors: [Value]) async throws(APIError) -> [RoleRule] {
        let wanted = selectors.map { LabelSelector($0) }
        return try await store.list(ResourceTypes.clusterRoles)
            .filter { role in wanted.contains { $0.matches(role) } }
            .flatMap { $0.value.list("rules").map(RoleRule.init) }
    }

    // MARK: No way up

    /// Refuses a role or binding that would give more than the caller has, unless it may `escalate` or `bind`.
    ///
    /// - Throws: `APIError` 403.
    func checkEscalation(_ object: Object, of type: ResourceType, by caller: Caller) async throws(APIError) {
        guard type.group == ResourceTypes.roles.group, !caller.mayEverything else { return }
        let wanted: [RoleRule]
        var facts = RequestFacts(verb: "")
        facts.group = type.group
        facts.namespace = object.namespace
        if type == ResourceTypes.roles || type == ResourceTypes.clusterRoles {
            if object.value["aggregationRule"] != nil {
                wanted = [
                    RoleRule(verbs: ["*"], groups: ["*"], resources: ["*"]), RoleRule(verbs: ["*"], paths: ["*"]),
                ]
            } else {
                wanted = object.value.list("rules").map(RoleRule.init)
            }
            facts.verb = "escalate"
            facts.resource = type.plural
            facts.name = object.name
        } else {
            wanted = try await rules(of: object)
            facts.verb = "bind"
            facts.resource = object.value["roleRef"]?.text("kind") == "Role" ? "roles" : "clusterroles"
            facts.name = object.value["roleRef"]?.text("name") ?? ""
        }
        let held = try await rules(of: caller, in: object.namespace)
        guard let excess = wanted.first(where: { !$0.isCovered(by: held) }) else { return }
        if try await judge(facts, by: caller).isAllowed { return }
        throw .forbidden(
            type,
            object.name,
            "user \"\(caller.name)\" is attempting to grant RBAC permissions not currently held: \(JSON.write(excess.value))"
        )
    }
}
