package import Wire

/// The rules of a schema (`x-kubernetes-validations`), compiled by whoever knows their language.
package protocol CustomRules: Sendable {
    /// What is wrong with an object that fits its schema and takes the place of another; in bounded time.
    func check(_ object: Value, old: Value?) -> [FieldError]
}

/// Compiles the rules of a schema, found at a path of a definition: nil when there are none, and what does not compile.
package typealias CustomRuleCompiler =
    @Sendable (_ schema: Value, _ path: String) -> (rules: (any CustomRules)?, errors: [FieldError])
