// The fields of admission policies.
extension Schema {
    static let policyTable = """

        ValidatingAdmissionPolicy:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec ValidatingAdmissionPolicySpec!
        status any
        ValidatingAdmissionPolicySpec:
        paramKind ParamKind
        matchConstraints MatchResources!
        validations [PolicyValidation]
        failurePolicy Fail|Ignore
        auditAnnotations [AuditAnnotation]@key
        matchConditions [MatchCondition]@name
        variables [PolicyVariable]@name
        ParamKind:
        apiVersion string!
        kind string!
        MatchResources:
        namespaceSelector LabelSelector
        objectSelector LabelSelector
        resourceRules [NamedRuleWithOperations]
        excludeResourceRules [NamedRuleWithOperations]
        matchPolicy Exact|Equivalent
        NamedRuleWithOperations:
        resourceNames [string]
        operations [string]
        apiGroups [string]
        apiVersions [string]
        resources [string]
        scope Cluster|Namespaced|*
        PolicyValidation:
        expression string!
        message string
        reason string
        messageExpression string
        AuditAnnotation:
        key string!
        valueExpression string!
        MatchCondition:
        name string!
        expression string!
        PolicyVariable:
        name string!
        expression string!
        ValidatingAdmissionPolicyBinding:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec ValidatingAdmissionPolicyBindingSpec!
        ValidatingAdmissionPolicyBindingSpec:
        policyName string!
        paramRef ParamRef
        matchResources MatchResources
        validationActions [Deny|Warn|Audit]!
        ParamRef:
        name string
        namespace string
        selector LabelSelector
        parameterNotFoundAction Allow|Deny

        """
}
