/// The bounds of an expression and of its evaluation; the costs are Kubernetes' (about 10 million units a second).
package enum CELLimits {
    /// Code points of an expression.
    package static let source = 100_000
    /// How deep parentheses, calls and operators may nest.
    static let depth = 200
    /// The cost of one expression.
    package static let expressionCost = 1_000_000
    /// The cost of all expressions for one object or one policy.
    package static let requestCost = 10_000_000
    /// The cost of a policy's match conditions for one object.
    package static let matchConditionCost = 2_500_000
    /// The cost of all policies for one write: the store decides one write at a time.
    package static let policyCost = 2_500_000
    /// Bytes of a message that an expression made.
    package static let message = 5 * 1024
    /// Bytes of a regular expression.
    static let pattern = 4096
}

/// What evaluations may still cost: one for a whole request, handed from expression to expression.
package struct CELBudget: Sendable {
    /// What is left for all.
    package private(set) var remaining: Int
    /// The most that one expression may cost.
    package let perExpression: Int

    package init(_ total: Int = CELLimits.requestCost, perExpression: Int = CELLimits.expressionCost) {
        remaining = total
        self.perExpression = perExpression
    }

    /// Whether nothing is left.
    package var isExhausted: Bool { remaining <= 0 }

    mutating func spend(_ cost: Int) { remaining -= min(max(cost, 0), remaining) }
}
