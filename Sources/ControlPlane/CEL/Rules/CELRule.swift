import Resources
import Wire

/// One entry of `x-kubernetes-validations`, compiled.
struct CELRule: Sendable {
    let program: CELProgram
    let message: String
    let messageProgram: CELProgram?
    let reason: FieldError.Reason
    /// What follows the path of the value in an error: `.spec.name`.
    let fieldPath: String
    let isTransition: Bool
    let hasOptionalOld: Bool

    /// Compiles an entry; every problem becomes an error.
    init?(_ rule: Value, _ site: CELRuleSite, at path: String, _ errors: inout [FieldError]) {
        let count = errors.count
        let source = rule.text("rule") ?? ""
        let text = source.trimmed
        if text.isEmpty {
            errors.append(FieldError("\(path).rule", .required, "Required value: rule is not specified"))
        }
        hasOptionalOld = rule.flag("optionalOldSelf")
        reason = Self.reason(rule, path, &errors)
        message = (rule.text("message") ?? "").trimmed
        if rule.text("message") != nil, message.isEmpty {
            errors.append(
                FieldError("\(path).message", .invalid, "Invalid value: message must be non-empty if specified")
            )
        }
        if message.contains("\n") {
            errors.append(
                FieldError("\(path).message", .invalid, "Invalid value: message must not contain line breaks")
            )
        }
        if message.isEmpty, text.contains("\n") {
            errors.append(
                FieldError(
                    "\(path).message",
                    .required,
                    "Required value: message must be specified if rule contains line breaks"
                )
            )
        }
        fieldPath = rule.text("fieldPath") ?? ""
        if !fieldPath.isEmpty, !site.holds(fieldPath) {
            errors.append(
                FieldError(
                    "\(path).fieldPath",
                    .invalid,
                    "Invalid value: \"\(fieldPath)\": fieldPath must be a valid path below the rule"
                )
            )
        }
        let old = hasOptionalOld ? CELType.optional(site.shape.type) : site.shape.type
        let environment = CELEnvironment([("self", site.shape.type), ("oldSelf", old)])
        let compiled = Self.compile(source, environment, .bool, "\(path).rule", &errors)
        let expression = rule.text("messageExpression")
        messageProgram = expression.flatMap {
            Self.compile($0, environment, .string, "\(path).messageExpression", &errors)
        }
        isTransition = compiled?.variables.contains(1) ?? false
        if isTransition || messageProgram?.variables.contains(1) == true, !site.isCorrelatable {
            errors.append(
                FieldError(
                    "\(path).rule",
                    .invalid,
                    "Invalid value: \"\(text)\": oldSelf cannot be used on the uncorrelatable portion of the schema"
                )
            )
        }
        if hasOptionalOld, !isTransition, compiled != nil {
            errors.append(
                FieldError(
                    "\(path).optionalOldSelf",
                    .invalid,
                    "Invalid value: true: may not be set if oldSelf is not used in rule"
                )
            )
        }
        guard let compiled, errors.count == count else { return nil }
        program = compiled
    }

    private static func reason(_ rule: Value, _ path: String, _ errors: inout [FieldError]) -> FieldError.Reason {
        guard let word = rule.text("reason") else { return .invalid }
        let known: [FieldError.Reason] = [.invalid, .forbidden, .required, .duplicate]
        if let reason = known.first(where: { $0.rawValue == word }) { return reason }
        let names = known.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        errors.append(
            FieldError("\(path).reason", .notSupported, "Unsupported value: \"\(word)\": supported values: \(names)")
        )
        return .invalid
    }

    private static func compile(
        _ source: String,
        _ environment: CELEnvironment,
        _ type: CELType,
        _ path: String,
        _ errors: inout [FieldError]
    ) -> CELProgram? {
        guard !source.trimmed.isEmpty else { return nil }
        do throws(CELError) {
            return try CELProgram.compile(source, environment, expecting: [type])
        } catch {
            errors.append(FieldError(path, .invalid, "Invalid value: \"\(source)\": compilation failed: \(error)"))
            return nil
        }
    }

    /// What a broken rule says.
    func text(_ bindings: [CELValue], _ budget: inout CELBudget) -> String {
        if let messageProgram,
            case .string(let text) = try? messageProgram.evaluate(bindings, budget: &budget)
        {
            let plain = text.trimmed
            // One that is empty, too long or of several lines gives way to the fixed one.
            if !plain.isEmpty, plain.utf8.count <= CELLimits.message, !plain.contains("\n") { return plain }
        }
        return message.isEmpty ? "failed rule: \(program.source.trimmed)" : message
    }
}

/// Where rules stand in a schema.
struct CELRuleSite {
    let schema: Value
    let shape: CELShape
    /// Whether the value's predecessor can be found in the old object.
    let isCorrelatable: Bool

    /// Whether `.a.b` or `['a']` names a field below.
    func holds(_ path: String) -> Bool {
        guard let names = CELRuleSite.names(path) else { return false }
        var schema = schema
        for name in names {
            if let property = schema["properties"]?[name] {
                schema = property
            } else if let values = schema["additionalProperties"], values.fields != nil {
                schema = values
            } else {
                return false
            }
        }
        return true
    }

    /// The names in a path; nil when it is malformed.
    private static func names(_ path: String) -> [String]? {
        var names: [String] = []
        var rest = Substring(path)
        while let first = rest.popFirst() {
            if first == "." {
                let name = rest.prefix { $0 != "." && $0 != "[" }
                guard !name.isEmpty else { return nil }
                names.append(String(name))
                rest = rest.dropFirst(name.count)
            } else if first == "[", rest.popFirst() == "'" {
                let name = rest.prefix { $0 != "'" }
                rest = rest.dropFirst(name.count)
                guard rest.hasPrefix("']"), !name.isEmpty else { return nil }
                names.append(String(name))
                rest = rest.dropFirst(2)
            } else {
                return nil
            }
        }
        return names.isEmpty ? nil : names
    }
}

extension String {
    /// Without blanks at both ends.
    var trimmed: String {
        let scalars = unicodeScalars
        let head = scalars.drop { $0.properties.isWhitespace }
        guard let last = head.lastIndex(where: { !$0.properties.isWhitespace }) else { return "" }
        return String(head[...last])
    }
}
