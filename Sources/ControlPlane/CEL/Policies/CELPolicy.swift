package import Resources
import Wire

/// A ValidatingAdmissionPolicy, compiled. Constant, safe from every thread.
package final class CELPolicy: Sendable {
    struct Validation: Sendable {
        let program: CELProgram
        let message: String
        let messageProgram: CELProgram?
        let reason: APIError.Reason
    }

    package let name: String
    /// Whether a write passes when the policy itself fails.
    package let failsOpen: Bool
    package let constraints: CELMatch
    /// The kind of the parameters, if the policy has any.
    package let paramKind: (apiVersion: String, kind: String)?
    let conditions: [(name: String, program: CELProgram)]
    let variables: [(name: String, program: CELProgram)]
    let validations: [Validation]
    let annotations: [(key: String, program: CELProgram)]

    /// The places of the variables that every expression may name.
    enum Place {
        static let object = 0
        static let old = 1
        static let request = 2
        static let namespace = 3
        static let authorizer = 4
        static let requestResource = 5
        static let params = 6
        /// The first of the policy's own.
        static let own = 7
    }

    /// Compiles a policy's object; every expression that is wrong becomes an error by its path.
    package static func compile(_ object: Object) -> (policy: CELPolicy, errors: [FieldError]) {
        var compiler = CELPolicyCompiler(object.spec, objectType: .dyn)
        let policy = CELPolicy(object, &compiler)
        return (policy, compiler.errors)
    }

    /// What the types of the resources that the policy names say against its expressions; `shape` gives an object's type.
    package static func typeWarnings(
        _ object: Object,
        _ shape: (_ group: String, _ version: String, _ resource: String) -> (kind: String, shape: CELShape)?
    ) -> [(field: String, warning: String)] {
        var texts: [(field: String, warning: String)] = []
        for (group, version, resource) in CELMatch(object.spec["matchConstraints"] ?? [:]).named.prefix(10) {
            guard let (kind, found) = shape(group, version, resource) else { continue }
            var compiler = CELPolicyCompiler(object.spec, objectType: found.type)
            _ = CELPolicy(object, &compiler)
            let name = group.isEmpty ? "\(version), Kind=\(kind)" : "\(group)/\(version), Kind=\(kind)"
            for error in compiler.errors {
                let text = "\(name): \(error.message)"
                if let place = texts.firstIndex(where: { $0.field == error.path }) {
                    texts[place].warning += "\n\(text)"
                } else {
                    texts.append((error.path, text))
                }
            }
        }
        return texts
    }

    private init(_ object: Object, _ compiler: inout CELPolicyCompiler) {
        let spec = object.spec
        name = object.name
        failsOpen = spec.text("failurePolicy") == "Ignore"
        constraints = CELMatch(spec["matchConstraints"] ?? [:])
        paramKind = spec["paramKind"].flatMap { kind in
            kind.text("kind").map { (kind.text("apiVersion") ?? "", $0) }
        }
        conditions = compiler.conditions()
        variables = compiler.variables()
        validations = compiler.validations()
        annotations = compiler.annotations()
    }
}

/// Compiles the expressions of a policy, one list after the other.
struct CELPolicyCompiler {
    private let spec: Value
    private var names: [(name: String, type: CELType)]
    private(set) var errors: [FieldError] = []

    init(_ spec: Value, objectType: CELType) {
        self.spec = spec
        names = [
            ("object", objectType), ("oldObject", objectType), ("request", .dyn), ("namespaceObject", .dyn),
            ("authorizer", .opaque(.authorizer)), ("authorizer.requestResource", .opaque(.resourceCheck)),
        ]
        // The place stays when there are no parameters, but has no name.
        names.append((spec["paramKind"]?.fields == nil ? "" : "params", .dyn))
    }

    private mutating func compile(_ source: String?, _ path: String, _ types: [CELType]?) -> CELProgram? {
        guard let source, !source.trimmed.isEmpty else {
            errors.append(FieldError(path, .required, "Required value: expression is not specified"))
            return nil
        }
        do throws(CELError) {
            return try CELProgram.compile(source, CELEnvironment(names), expecting: types)
        } catch {
            errors.append(FieldError(path, .invalid, "Invalid value: \"\(source)\": compilation failed: \(error)"))
            return nil
        }
    }

    mutating func conditions() -> [(name: String, program: CELProgram)] {
        var list: [(name: String, program: CELProgram)] = []
        for (index, condition) in spec.list("matchConditions").enumerated() {
            let path = "spec.matchConditions[\(index)]"
            if let program = compile(condition.text("expression"), "\(path).expression", [.bool]) {
                list.append((condition.text("name") ?? "", program))
            }
        }
        return list
    }

    /// Each variable may name those before it.
    mutating func variables() -> [(name: String, program: CELProgram)] {
        var list: [(name: String, program: CELProgram)] = []
        for (index, variable) in spec.list("variables").enumerated() {
            let path = "spec.variables[\(index)]"
            let name = variable.text("name") ?? ""
            guard let escaped = CELEscaping.escaped(name), escaped == name else {
                errors.append(
                    FieldError(
                        "\(path).name",
                        .invalid,
                        "Invalid value: \"\(name)\": name is not a valid CEL identifier"
                    )
                )
                continue
            }
            guard !list.contains(where: { $0.name == name }) else {
                errors.append(FieldError("\(path).name", .duplicate, "Duplicate value: \"\(name)\""))
                continue
            }
            guard let program = compile(variable.text("expression"), "\(path).expression", nil) else {
                // So that what names it has no second error.
                names.append(("variables.\(name)", .dyn))
                continue
            }
            names.append(("variables.\(name)", program.resultType))
            list.append((name, program))
        }
        return list
    }

    private static let reasons: [String: APIError.Reason] = [
        "Unauthorized": .unauthorized, "Forbidden": .forbidden, "Invalid": .invalid,
        "RequestEntityTooLarge": .requestEntityTooLarge,
    ]

    mutating func validations() -> [CELPolicy.Validation] {
        var list: [CELPolicy.Validation] = []
        for (index, validation) in spec.list("validations").enumerated() {
            let path = "spec.validations[\(index)]"
            let word = validation.text("reason") ?? "Invalid"
            if Self.reasons[word] == nil {
                errors.append(
                    FieldError(
                        "\(path).reason",
                        .notSupported,
                        "Unsupported value: \"\(word)\": supported values: \"Forbidden\", \"Invalid\", "
                            + "\"RequestEntityTooLarge\", \"Unauthorized\""
                    )
                )
            }
            let message = (validation.text("message") ?? "").trimmed
            if message.contains("\n") {
                errors.append(
                    FieldError("\(path).message", .invalid, "Invalid value: message must not contain line breaks")
                )
            }
            let program = compile(validation.text("expression"), "\(path).expression", [.bool])
            let text = validation.text("messageExpression").flatMap {
                compile($0, "\(path).messageExpression", [.string])
            }
            guard let program else { continue }
            list.append(
                CELPolicy.Validation(
                    program: program,
                    message: message,
                    messageProgram: text,
                    reason: Self.reasons[word] ?? .invalid
                )
            )
        }
        return list
    }

    mutating func annotations() -> [(key: String, program: CELProgram)] {
        var list: [(key: String, program: CELProgram)] = []
        for (index, annotation) in spec.list("auditAnnotations").enumerated() {
            let path = "spec.auditAnnotations[\(index)]"
            let source = annotation.text("valueExpression")
            if let program = compile(source, "\(path).valueExpression", [.string, .null]) {
                list.append((annotation.text("key") ?? "", program))
            }
        }
        return list
    }
}
