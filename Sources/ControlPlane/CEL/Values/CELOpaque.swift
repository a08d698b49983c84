package import Resources

/// A value of one of Kubernetes' libraries.
package enum CELOpaque: Sendable {
    case ip(CELAddress)
    case cidr(CELAddress, prefix: Int)
    case url(CELURL)
    case quantity(Quantity)
    case format(CELFormat)
    case semver(CELVersion)
    case authorizer(CELAccess)
    case pathCheck(CELAccess)
    case groupCheck(CELAccess)
    case resourceCheck(CELAccess)
    case decision(CELDecision)

    var type: CELOpaqueType {
        switch self {
        case .ip: .ip
        case .cidr: .cidr
        case .url: .url
        case .quantity: .quantity
        case .format: .format
        case .semver: .semver
        case .authorizer: .authorizer
        case .pathCheck: .pathCheck
        case .groupCheck: .groupCheck
        case .resourceCheck: .resourceCheck
        case .decision: .decision
        }
    }

    static func isEqual(_ left: CELOpaque, _ right: CELOpaque) -> Bool {
        switch (left, right) {
        case (.ip(let first), .ip(let second)): first == second
        case (.cidr(let first, let length), .cidr(let second, let other)): first == second && length == other
        case (.url(let first), .url(let second)): first == second
        case (.quantity(let first), .quantity(let second)): first == second
        case (.format(let first), .format(let second)): first == second
        case (.semver(let first), .semver(let second)): first == second
        default: false
        }
    }
}

/// What `authorizer` is asked: the question grows call by call.
package struct CELAccess: Sendable {
    /// Answers a question at once, from what was read before the evaluation.
    package typealias Judge = @Sendable (CELAccess) -> CELDecision

    package var path = ""
    package var group = ""
    package var resource = ""
    package var subresource = ""
    package var namespace = ""
    package var name = ""
    package var verb = ""
    /// Whose rights are asked for when it is not the caller: namespace and name of a ServiceAccount.
    package var account: (namespace: String, name: String)?
    let judge: Judge

    package init(judge: @escaping Judge) { self.judge = judge }
}

/// What the authorizer said.
package struct CELDecision: Sendable {
    package let isAllowed: Bool
    package let reason: String
    package let error: String

    package init(isAllowed: Bool, reason: String = "", error: String = "") {
        self.isAllowed = isAllowed
        self.reason = reason
        self.error = error
    }
}
