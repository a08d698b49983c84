package import Resources
package import Wire

/// The validation rules of a schema, compiled: they judge objects, and changes of objects. Constant, safe from every thread.
package struct CELRules: Sendable {
    private let root: CELRuleTree?

    /// Compiles all `x-kubernetes-validations` in an `openAPIV3Schema`: gives the rules that could be compiled, and an error for
    /// each other one, with its path (below `path`, where the schema stands) and the position in its text.
    package static func compile(
        schema: Value,
        path: String = "openAPIV3Schema"
    ) -> (rules: CELRules, errors: [FieldError]) {
        var errors: [FieldError] = []
        var builder = CELRuleBuilder()
        let site = CELRuleSite(schema: schema, shape: CELShape(schema: schema), isCorrelatable: true)
        let root = builder.build(site, path, depth: 0, &errors)
        return (CELRules(root: root), errors)
    }

    /// Whether there is nothing to check.
    package var isEmpty: Bool { root == nil }

    /// Checks an object that fits its schema.
    ///
    /// Rules that do not ask for the old value are not held against parts that a change leaves as they were: an object that
    /// is older than its rules stays writable.
    /// `old` is the object before the change, nil for a new one; `path` says where the object stands. Errors come in the order
    /// of the schema; none mean that all rules hold. It takes bounded time.
    package func check(_ object: Value, old: Value?, path: String = "", budget: inout CELBudget) -> [FieldError] {
        guard let root else { return [] }
        var checker = CELRuleChecker(budget: budget)
        checker.check(root, object, old, path)
        budget = checker.budget
        return checker.errors
    }

    /// Checks an object with Kubernetes' budget for one request.
    package func check(_ object: Value, old: Value?) -> [FieldError] {
        var budget = CELBudget()
        return check(object, old: old, budget: &budget)
    }
}

/// The rules at one place of a schema and below; places without any are left out.
final class CELRuleTree: Sendable {
    let rules: [CELRule]
    let shape: CELShape
    /// The schema's `type`, which stands for the value in errors.
    let typeName: String
    let properties: [(name: String, tree: CELRuleTree)]
    let items: CELRuleTree?
    let values: CELRuleTree?

    init(
        _ rules: [CELRule],
        _ site: CELRuleSite,
        _ properties: [(name: String, tree: CELRuleTree)],
        _ items: CELRuleTree?,
        _ values: CELRuleTree?
    ) {
        self.rules = rules
        shape = site.shape
        typeName = site.schema.text("type") ?? "object"
        self.properties = properties
        self.items = items
        self.values = values
    }
}

private struct CELRuleBuilder {
    mutating func build(
        _ site: CELRuleSite,
        _ path: String,
        depth: Int,
        _ errors: inout [FieldError]
    ) -> CELRuleTree? {
        guard depth < 100 else { return nil }
        var rules: [CELRule] = []
        for (index, rule) in site.schema.list("x-kubernetes-validations").enumerated() {
            if let rule = CELRule(rule, site, at: "\(path).x-kubernetes-validations[\(index)]", &errors) {
                rules.append(rule)
            }
        }
        var properties: [(name: String, tree: CELRuleTree)] = []
        for (name, schema) in site.schema["properties"]?.fields ?? Fields() {
            let shape = CELEscaping.escaped(name).flatMap { site.shape.field($0)?.shape }
            let inner = CELRuleSite(
                schema: schema,
                shape: shape ?? CELShape(schema: schema, isRoot: false),
                isCorrelatable: site.isCorrelatable
            )
            if let tree = build(inner, "\(path).properties[\(name)]", depth: depth + 1, &errors) {
                properties.append((name, tree))
            }
        }
        let isKeyed = if case .keyed = site.shape.listKind { true } else { false }
        let items = part("items", of: site, path, isCorrelatable: site.isCorrelatable && isKeyed, depth, &errors)
        let values = part("additionalProperties", of: site, path, isCorrelatable: site.isCorrelatable, depth, &errors)
        guard !rules.isEmpty || !properties.isEmpty || items != nil || values != nil else { return nil }
        return CELRuleTree(rules, site, properties, items, values)
    }

    private mutating func part(
        _ name: String,
        of site: CELRuleSite,
        _ path: String,
        isCorrelatable: Bool,
        _ depth: Int,
        _ errors: inout [FieldError]
    ) -> CELRuleTree? {
        guard let schema = site.schema[name], schema.fields != nil else { return nil }
        let inner = CELRuleSite(
            schema: schema,
            shape: site.shape.items ?? CELShape(schema: schema, isRoot: false),
            isCorrelatable: isCorrelatable
        )
        return build(inner, "\(path).\(name)", depth: depth + 1, &errors)
    }
}

/// One walk over an object.
private struct CELRuleChecker {
    var budget: CELBudget
    var errors: [FieldError] = []
    private var hasGivenUp = false

    init(budget: CELBudget) { self.budget = budget }

    mutating func check(_ tree: CELRuleTree, _ value: Value, _ old: Value?, _ path: String) {
        guard !hasGivenUp, !value.isNull else { return }
        let old = old?.isNull == true ? nil : old
        if !tree.rules.isEmpty { run(tree, value, old, path) }
        for (name, inner) in tree.properties {
            guard let child = value[name] else { continue }
            check(inner, child, old?[name], path.isEmpty ? name : "\(path).\(name)")
        }
        if let items = tree.items, case .array(let elements) = value {
            for (index, element) in elements.enumerated() {
                check(items, element, counterpart(of: element, in: old, tree.shape), "\(path)[\(index)]")
            }
        }
        if let values = tree.values, case .object(let fields) = value {
            for (name, item) in fields { check(values, item, old?[name], "\(path)[\(name)]") }
        }
    }

    /// The element of the old list with the same keys.
    private func counterpart(of element: Value, in old: Value?, _ shape: CELShape) -> Value? {
        guard case .keyed(let names) = shape.listKind, !names.isEmpty else { return nil }
        return old?.arrayValue?.first { candidate in names.allSatisfy { candidate[$0] == element[$0] } }
    }

    private mutating func run(_ tree: CELRuleTree, _ value: Value, _ old: Value?, _ path: String) {
        let isUnchanged = old.map { $0 == value } ?? false
        for rule in tree.rules {
            guard !hasGivenUp else { return }
            guard rule.isTransition ? old != nil || rule.hasOptionalOld : !isUnchanged else { continue }
            let at = path + (path.isEmpty ? String(rule.fieldPath.drop { $0 == "." }) : rule.fieldPath)
            do throws(CELFailure) {
                let current = try CELValue(value, tree.shape)
                var previous = try old.map { (value) throws(CELFailure) in try CELValue(value, tree.shape) }
                if rule.hasOptionalOld { previous = .optional(previous) }
                let bindings = [current, previous ?? .null]
                let result = try rule.program.evaluate(bindings, budget: &budget)
                guard result.boolValue != true else { continue }
                errors.append(error(rule, tree, at, rule.text(bindings, &budget)))
            } catch {
                fail(rule, tree, at, error)
            }
        }
    }

    private func error(_ rule: CELRule, _ tree: CELRuleTree, _ path: String, _ text: String) -> FieldError {
        switch rule.reason {
        case .required: FieldError(path, .required, "Required value: \(text)")
        case .forbidden: FieldError(path, .forbidden, "Forbidden: \(text)")
        case .duplicate: FieldError(path, .duplicate, "Duplicate value: \"\(tree.typeName)\": \(text)")
        default: FieldError(path, .invalid, "Invalid value: \"\(tree.typeName)\": \(text)")
        }
    }

    private mutating func fail(_ rule: CELRule, _ tree: CELRuleTree, _ path: String, _ failure: CELFailure) {
        let name = rule.message.isEmpty ? rule.program.source.trimmed : rule.message
        guard failure.isExhausted else {
            errors.append(
                FieldError(path, .invalid, "Invalid value: \"\(tree.typeName)\": \(failure) evaluating rule: \(name)")
            )
            return
        }
        let why =
            budget.isExhausted
            ? "validation failed due to running out of cost budget, no further validation rules will be run"
            : "call cost exceeds limit for rule: \(name)"
        hasGivenUp = budget.isExhausted
        errors.append(FieldError(path, .forbidden, "Forbidden: \(why)"))
    }
}
