import Wire

/// Who asks the API.
package struct Caller: Sendable, Equatable {
    package var name: String
    package var uid = ""
    package var groups: [String]

    package init(name: String, uid: String = "", groups: [String]) {
        self.name = name
        self.uid = uid
        self.groups = groups
    }

    /// May do everything, as the group of Kubernetes' administrators.
    static let masters = "system:masters"
    static let authenticated = "system:authenticated"
    static let unauthenticated = "system:unauthenticated"

    /// The user of this machine who runs the daemon: whoever may open its socket.
    package static let owner = Caller(name: "system:admin", groups: [masters, authenticated])
    static let anonymous = Caller(name: "system:anonymous", groups: [unauthenticated])

    static func serviceAccount(namespace: String, name: String, uid: String) -> Caller {
        Caller(
            name: "system:serviceaccount:\(namespace):\(name)",
            uid: uid,
            groups: ["system:serviceaccounts", "system:serviceaccounts:\(namespace)", authenticated]
        )
    }

    var mayEverything: Bool { groups.contains(Self.masters) }

    /// As the reviews of `authentication.k8s.io` write it.
    var value: Value {
        var value: Value = ["username": .string(name)]
        if !uid.isEmpty { value["uid"] = .string(uid) }
        value["groups"] = .array(groups.map(Value.string))
        return value
    }
}
