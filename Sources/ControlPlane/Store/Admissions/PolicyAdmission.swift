import Bytes
import CEL
import Resources
import Wire

/// ValidatingAdmissionPolicies and their bindings: checks them, and holds every write against them.
final class PolicyAdmission: Admission {
    /// Compiled policies, each with the revision from which it was made.
    private let compiled = Lock<[String: (revision: String, policy: CELPolicy)]>([:])

    func admit(_ object: inout Object, replacing old: Object?, view: any StoreView) throws(APIError) {
        switch object.type {
        case ResourceTypes.policies: try admitPolicy(&object, replacing: old, view)
        case ResourceTypes.policyBindings:
            let actions = object.spec.texts("validationActions")
            guard actions.contains("Deny"), actions.contains("Warn") else { return }
            let why =
                "Invalid value: must not contain both Deny and Warn (repeating the same validation failure information)"
            throw .invalid(
                ResourceTypes.policyBindings,
                object.name,
                [FieldError("spec.validationActions", .invalid, why)]
            )
        default: break
        }
    }

    private func admitPolicy(
        _ object: inout Object,
        replacing old: Object?,
        _ view: any StoreView
    ) throws(APIError) {
        Self.complete(&object)
        if let old, old.spec == object.spec { return }
        var errors = CELPolicy.compile(object).errors
        if object.spec.list("validations").isEmpty, object.spec.list("auditAnnotations").isEmpty {
            errors.append(
                FieldError(
                    "spec.validations",
                    .required,
                    "Required value: validations or auditAnnotations must contain at least one item"
                )
            )
        }
        if object.spec["matchConstraints"]?.list("resourceRules").isEmpty != false {
            errors.append(FieldError("spec.matchConstraints.resourceRules", .required, "Required value"))
        }
        guard errors.isEmpty else { throw .invalid(ResourceTypes.policies, object.name, errors) }
        let warnings = CELPolicy.typeWarnings(object) { group, version, resource in
            guard let type = ResourceTypes.find(group: group, version: version, plural: resource) else {
                return Self.customShape(group, version, resource, view)
            }
            return CELShape.record(of: type).map { (type.kind, $0) }
        }
        var checking: Value = [:]
        if !warnings.isEmpty {
            checking["expressionWarnings"] = .array(
                warnings.map { ["fieldRef": .string($0.field), "warning": .string($0.warning)] }
            )
        }
        object.status = ["observedGeneration": .int(Int64(object.generation)), "typeChecking": checking]
    }

    /// What Kubernetes fills in.
    private static func complete(_ object: inout Object) {
        if object.spec["failurePolicy"] == nil { object.value.set(["spec", "failurePolicy"], "Fail") }
        guard object.spec["matchConstraints"]?.fields != nil else { return }
        let defaults: [(String, Value)] = [
            ("matchPolicy", "Equivalent"), ("namespaceSelector", [:]), ("objectSelector", [:]),
        ]
        for (name, value) in defaults where object.spec["matchConstraints"]?[name] == nil {
            object.value.set(["spec", "matchConstraints", name], value)
        }
        object.value.update("spec") { spec in
            spec.update("matchConstraints") { match in
                match.updateEach("resourceRules") { if $0["scope"] == nil { $0["scope"] = "*" } }
            }
        }
    }

    /// The shape of a custom kind, as its definition has it.
    private static func customShape(
        _ group: String,
        _ version: String,
        _ plural: String,
        _ view: any StoreView
    ) -> (kind: String, shape: CELShape)? {
        let key = ObjectKey(ResourceTypes.definitions, name: "\(plural).\(group)")
        guard let spec = view.get(key)?.spec,
            let schema = spec.list("versions").first(where: { $0.text("name") == version })?.at(
                "schema",
                "openAPIV3Schema"
            )
        else { return nil }
        return (spec["names"]?.text("kind") ?? plural, CELShape.custom(schema: schema))
    }

    // MARK: Judging

    func review(_ write: CompletedWrite, view: any StoreView) throws(APIError) {
        // Who wrote a policy that refuses everything must be able to take it back.
        guard write.type.group != ResourceTypes.policies.group else { return }
        let bindings = view.list(ResourceTypes.policyBindings, namespace: nil)
        guard !bindings.isEmpty else { return }
        var request: CELPolicyRequest?
        var budget = CELBudget(CELLimits.policyCost)
        for binding in bindings.sorted(by: { $0.name < $1.name }) where !binding.isDeleting {
            let name = binding.spec.text("policyName") ?? ""
            guard let object = view.get(ObjectKey(ResourceTypes.policies, name: name)), !object.isDeleting else {
                continue
            }
            let policy = policy(of: object)
            let asked = request ?? Self.request(of: write, view)
            request = asked
            guard policy.constraints.matches(asked, isBinding: false),
                CELMatch(binding.spec["matchResources"] ?? [:]).matches(asked, isBinding: true)
            else { continue }
            try judge(asked, policy, binding, view, &budget, write.requester?.notes)
        }
    }

    private func policy(of object: Object) -> CELPolicy {
        let known = compiled.withLock { $0[object.uid] }
        if let known, known.revision == object.resourceVersion { return known.policy }
        let policy = CELPolicy.compile(object).policy
        compiled.withLock { compiled in
            // Policies that are gone are forgotten by and by.
            if compiled.count > 1000 { compiled = [:] }
            compiled[object.uid] = (object.resourceVersion, policy)
        }
        return policy
    }

    private static func request(of write: CompletedWrite, _ view: any StoreView) -> CELPolicyRequest {
        let subject = write.object ?? write.old
        var request = CELPolicyRequest(write.operation, write.type)
        request.object = write.object
        request.old = write.old
        request.name = subject?.name ?? ""
        request.namespace = write.type == ResourceTypes.namespaces ? request.name : subject?.namespace ?? ""
        // An eviction deletes the pod itself.
        let asked = write.operation == .delete ? "" : write.requester?.subresource ?? ""
        request.subresource = write.isStatus ? "status" : asked
        request.isDryRun = write.isDryRun
        request.user =
            write.requester?.user ?? [
                "username": "system:kube-controller-manager", "groups": ["system:authenticated"],
            ]
        request.access = write.requester?.access
        if write.type.isNamespaced {
            request.namespaceObject = view.get(ObjectKey(ResourceTypes.namespaces, name: request.namespace))
        }
        return request
    }

    private func judge(
        _ request: CELPolicyRequest,
        _ policy: CELPolicy,
        _ binding: Object,
        _ view: any StoreView,
        _ budget: inout CELBudget,
        _ notes: WriteNotes?
    ) throws(APIError) {
        let actions = binding.spec.texts("validationActions")
        let title = "ValidatingAdmissionPolicy '\(policy.name)' with binding '\(binding.name)'"
        let params: [Value?]
        do throws(CELFailure) {
            params = try PolicyParameters(policy, binding, request, view).values()
        } catch {
            guard !policy.failsOpen else { return }
            throw Self.refusal(request, "\(title) denied request: failed to configure binding: \(error)", .invalid)
        }
        for value in params {
            let verdict = policy.judge(request, params: value, budget: &budget)
            for (key, text) in verdict.annotations { notes?.annotate(key, text) }
            for violation in verdict.violations {
                if actions.contains("Audit") {
                    notes?.annotate(Self.auditKey, Self.audit(violation, policy, binding, actions))
                }
                if actions.contains("Warn") {
                    notes?.warn("Validation failed for \(title): \(violation.message)")
                }
                if actions.contains("Deny") {
                    throw Self.refusal(request, "\(title) denied request: \(violation.message)", violation.reason)
                }
            }
        }
    }

    private static let auditKey = "validation.policy.admission.k8s.io/validation_failure"

    private static func audit(
        _ violation: CELPolicyVerdict.Violation,
        _ policy: CELPolicy,
        _ binding: Object,
        _ actions: [String]
    ) -> String {
        JSON.write([
            [
                "message": .string(violation.message), "policy": .string(policy.name),
                "binding": .string(binding.name), "validationActions": .array(actions.map(Value.string)),
            ]
        ])
    }

    private static func refusal(_ request: CELPolicyRequest, _ message: String, _ reason: APIError.Reason) -> APIError {
        let code =
            switch reason {
            case .unauthorized: 401
            case .forbidden: 403
            case .requestEntityTooLarge: 413
            default: 422
            }
        let plain = APIError.forbidden(request.type, request.name, message)
        var details = plain.details ?? APIError.Details()
        details.causes = [FieldError("", .invalid, message)]
        return APIError(code: code, reason: reason, message: plain.message, details: details)
    }
}

/// The parameters that a binding chooses.
private struct PolicyParameters {
    private let policy: CELPolicy
    private let reference: Value?
    private let request: CELPolicyRequest
    private let view: any StoreView

    init(_ policy: CELPolicy, _ binding: Object, _ request: CELPolicyRequest, _ view: any StoreView) {
        self.policy = policy
        reference = binding.spec["paramRef"]
        self.request = request
        self.view = view
    }

    /// Each one for which the policy is to be held against the write; nil for none at all.
    func values() throws(CELFailure) -> [Value?] {
        guard let kind = policy.paramKind, let reference, reference.fields != nil else { return [nil] }
        guard let type = view.type(apiVersion: kind.apiVersion, kind: kind.kind) else {
            throw CELFailure("failed to find resource referenced by paramKind: '\(kind.apiVersion), Kind=\(kind.kind)'")
        }
        let chosen = reference.text("namespace") ?? ""
        if !type.isNamespaced, !chosen.isEmpty {
            throw CELFailure("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        }
        let namespace = type.isNamespaced ? (chosen.isEmpty ? request.namespace : chosen) : ""
        if type.isNamespaced, namespace.isEmpty {
            throw CELFailure("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
        }
        let found: [Object]
        if let name = reference.text("name"), !name.isEmpty {
            found = view.get(ObjectKey(type, namespace: namespace, name: name)).map { [$0] } ?? []
        } else {
            let selector = LabelSelector(reference["selector"] ?? [:])
            found = view.list(type, namespace: type.isNamespaced ? namespace : nil).filter { selector.matches($0) }
                .sorted { $0.name < $1.name }
        }
        guard found.isEmpty else { return found.map(\.value) }
        guard reference.text("parameterNotFoundAction") == "Deny" else { return [] }
        throw CELFailure("no params found for policy binding with `Deny` parameterNotFoundAction")
    }
}

extension StoreView {
    /// A kind that is served now.
    fileprivate func type(apiVersion: String, kind: String) -> ResourceType? {
        (self as? WriteBatch)?.types.find(apiVersion: apiVersion, kind: kind)
            ?? ResourceTypes.find(apiVersion: apiVersion, kind: kind)
    }
}
