/// A compiled expression: constant, safe from every thread.
package struct CELProgram: Sendable {
    /// The text that was compiled.
    package let source: String
    /// The type of what it evaluates to, as far as it is known.
    package let resultType: CELType
    /// The places (in the environment's order) of the variables that it reads.
    package let variables: Set<Int>
    let root: CELNode
    let slots: Int

    /// Compiles a text whose result must have one of the expected types, if any are named.
    ///
    /// - Throws: `CELError` with the first thing that is wrong and its place.
    package static func compile(
        _ source: String,
        _ environment: CELEnvironment,
        expecting: [CELType]? = nil
    ) throws(CELError) -> CELProgram {
        let syntax = try CELParser.parse(source)
        var checker = CELChecker(environment: environment, source: source)
        let checked = try checker.check(syntax)
        if let expecting, !expecting.contains(where: { checked.type.mayBe($0) }) {
            let names = expecting.map(\.description).joined(separator: " or ")
            throw CELError("must evaluate to \(names)", at: 0, in: source)
        }
        return CELProgram(
            source: source,
            resultType: checked.type,
            variables: checker.usedVariables,
            root: checked.node,
            slots: checker.slotCount
        )
    }

    /// Evaluates with a value for each variable of the environment, in its order.
    ///
    /// The time is bounded by the budget, whatever the values and the expression are.
    ///
    /// - Throws: `CELFailure` when a value is missing, does not fit, or the budget is used up.
    package func evaluate(_ bindings: [CELValue], budget: inout CELBudget) throws(CELFailure) -> CELValue {
        let allowed = min(budget.remaining, budget.perExpression)
        var evaluator = CELEvaluator(bindings: bindings, slots: slots, cost: allowed)
        defer { budget.spend(allowed - evaluator.remaining) }
        return try evaluator.evaluate(root)
    }
}

/// The variables that an expression may name, in the order of their values, and how strict its types are.
package struct CELEnvironment: Sendable {
    var places: [String: (place: Int, type: CELType)] = [:]
    /// Whether elements of a literal must share one type, as Kubernetes asks.
    let isHomogeneous: Bool

    /// Variables with their types; a name may have dots (`variables.replicas`).
    package init(_ variables: [(name: String, type: CELType)], isHomogeneous: Bool = true) {
        self.isHomogeneous = isHomogeneous
        for (place, variable) in variables.enumerated() { places[variable.name] = (place, variable.type) }
    }
}
