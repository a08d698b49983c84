import CEL
import Resources
import Wire

/// The rules in schemas of custom kinds, in Kubernetes' expression language.
struct SchemaRules: CustomRules {
    private let rules: CELRules

    func check(_ object: Value, old: Value?) -> [FieldError] { rules.check(object, old: old) }

    /// Compiles the rules of a schema.
    @Sendable static func compile(
        _ schema: Value,
        _ path: String
    ) -> (rules: (any CustomRules)?, errors: [FieldError]) {
        let made = CELRules.compile(schema: schema, path: path)
        return (made.rules.isEmpty ? nil : SchemaRules(rules: made.rules), made.errors)
    }
}
