package import Resources
package import Wire

/// What a policy says of one write with one parameter.
package struct CELPolicyVerdict: Sendable {
    /// One expression that does not hold.
    package struct Violation: Sendable {
        package let message: String
        package let reason: APIError.Reason
    }

    package var violations: [Violation] = []
    package var annotations: [(key: String, value: String)] = []
}

extension CELPolicy {
    /// Judges a write that the policy is about, in bounded time.
    package func judge(_ request: CELPolicyRequest, params: Value?, budget: inout CELBudget) -> CELPolicyVerdict {
        var run = CELPolicyRun(self, request, params)
        var verdict = CELPolicyVerdict()
        do throws(CELFailure) {
            guard try run.isMeant(budget: &budget) else { return verdict }
        } catch {
            if !failsOpen { verdict.violations.append(.init(message: error.message, reason: .invalid)) }
            return verdict
        }
        for validation in validations {
            do throws(CELFailure) {
                let result = try run.evaluate(validation.program, &budget)
                if result.boolValue == true { continue }
                verdict.violations.append(.init(message: run.text(validation, &budget), reason: validation.reason))
            } catch {
                guard !failsOpen else { continue }
                let text = "expression '\(validation.program.source.trimmed)' resulted in error: \(error)"
                verdict.violations.append(.init(message: text, reason: .invalid))
            }
        }
        for (key, program) in annotations {
            do throws(CELFailure) {
                guard case .string(let text) = try run.evaluate(program, &budget), !text.isEmpty else { continue }
                verdict.annotations.append(("\(name)/\(key)", String(text.prefix(10 * 1024))))
            } catch {
                guard !failsOpen else { continue }
                let text = "auditAnnotation '\(key)' resulted in error: \(error)"
                verdict.violations.append(.init(message: text, reason: .invalid))
            }
        }
        return verdict
    }
}

/// The values of one judgement: a policy's own variables are computed when an expression first needs them.
private struct CELPolicyRun {
    private let policy: CELPolicy
    private var values: [CELValue]
    private var isKnown: [Bool]

    init(_ policy: CELPolicy, _ request: CELPolicyRequest, _ params: Value?) {
        self.policy = policy
        let access = request.access ?? CELAccess { _ in CELDecision(isAllowed: true) }
        var resource = access
        resource.group = request.type.group
        resource.resource = request.type.plural
        resource.subresource = request.subresource
        resource.namespace = request.namespace
        resource.name = request.name
        values = [
            CELValue(plain: request.object?.value ?? .null), CELValue(plain: request.old?.value ?? .null),
            CELValue(plain: request.value), CELValue(plain: request.namespaceObject?.value ?? .null),
            .opaque(.authorizer(access)), .opaque(.resourceCheck(resource)), CELValue(plain: params ?? .null),
        ]
        isKnown = Array(repeating: true, count: values.count)
        values += Array(repeating: .null, count: policy.variables.count)
        isKnown += Array(repeating: false, count: policy.variables.count)
    }

    mutating func evaluate(_ program: CELProgram, _ budget: inout CELBudget) throws(CELFailure) -> CELValue {
        for place in program.variables.sorted() where place < isKnown.count && !isKnown[place] {
            isKnown[place] = true
            let variable = policy.variables[place - CELPolicy.Place.own]
            do throws(CELFailure) {
                values[place] = try evaluate(variable.program, &budget)
            } catch {
                if error.isExhausted { throw error }
                // Whoever reads it fails, and nobody else.
                values[place] = .failure(
                    CELFailure("composited variable \"\(variable.name)\" fails to evaluate: \(error)")
                )
            }
        }
        return try program.evaluate(values, budget: &budget)
    }

    /// Whether all match conditions hold: one that does not decides, whatever the others fail with.
    func isMeant(budget: inout CELBudget) throws(CELFailure) -> Bool {
        var own = CELBudget(CELLimits.matchConditionCost)
        var failure: CELFailure?
        for (name, program) in policy.conditions {
            do throws(CELFailure) {
                if try program.evaluate(values, budget: &own).boolValue != true { return false }
            } catch {
                failure = failure ?? CELFailure("matchCondition '\(name)' resulted in error: \(error)")
            }
        }
        if let failure { throw failure }
        return true
    }

    /// What a broken validation says.
    mutating func text(_ validation: CELPolicy.Validation, _ budget: inout CELBudget) -> String {
        if let program = validation.messageProgram,
            case .string(let text) = try? evaluate(program, &budget)
        {
            let plain = text.trimmed
            if !plain.isEmpty, plain.utf8.count <= CELLimits.message, !plain.contains("\n") { return plain }
        }
        return validation.message.isEmpty
            ? "failed expression: \(validation.program.source.trimmed)" : validation.message
    }
}
