import CEL
import Resources
import Testing
import Wire

@Suite struct PolicyTests {
    private func policy(_ spec: String) throws -> (policy: CELPolicy, errors: [FieldError]) {
        CELPolicy.compile(Object(["metadata": ["name": "p"], "spec": try yaml(spec)]))
    }

    private func request(_ object: Value?, old: Value? = nil) -> CELPolicyRequest {
        var request = CELPolicyRequest(
            object == nil ? .delete : old == nil ? .create : .update,
            ResourceTypes.configMaps
        )
        request.object = object.map { Object($0) }
        request.old = old.map { Object($0) }
        request.name = "n"
        return request
    }

    private func messages(_ policy: CELPolicy, _ object: Value, params: Value? = nil) -> [String] {
        var budget = CELBudget()
        return policy.judge(request(object), params: params, budget: &budget).violations.map(\.message)
    }

    @Test func aVariableThatFailsConcernsOnlyWhoReadsIt() throws {
        let (policy, errors) = try policy(
            """
            variables: [{name: bad, expression: object.data.missing}, {name: good, expression: "object.data.size() + 1"}]
            validations:
            - {expression: "true || variables.bad == 'x'"}
            - {expression: variables.good == 2, messageExpression: "'good is ' + string(variables.good)"}
            - {expression: variables.bad == 'x'}
            """
        )
        #expect(errors.isEmpty, "\(errors)")
        let found = messages(policy, ["data": ["a": "b", "c": "d"]])
        #expect(found.first == "good is 3")
        #expect(
            found.count == 2 && found[1].contains("composited variable \"bad\" fails to evaluate: no such key: missing")
        )
    }

    @Test func conditionsChooseAndFailuresFollowThePolicy() throws {
        let text =
            "{failurePolicy: F, matchConditions: [{name: c, expression: C}], validations: [{expression: 'false', message: never}]}"
        func found(_ failure: String, _ condition: String) throws -> [String] {
            let spec = text.replacing("F,", with: "\(failure),").replacing(": C", with: ": \(condition)")
            return messages(try policy(spec).policy, ["data": [:]])
        }
        let plain = try found("Fail", "'1 == 1'")
        #expect(plain == ["never"], "\(plain)")
        #expect(try found("Fail", "'1 == 2'") == [])
        #expect(try found("Fail", "object.none") == ["matchCondition 'c' resulted in error: no such key: none"])
        #expect(try found("Ignore", "object.none") == [])
    }

    @Test func variablesMayNotNameLaterOnes() throws {
        let errors = try policy(
            "{variables: [{name: a, expression: variables.b}, {name: b, expression: '1'}], validations: [{expression: variables.a == 1}]}"
        ).errors
        #expect(errors.map(\.path) == ["spec.variables[0].expression"])
    }

    @Test func typesOfTheNamedKindsSpeakAgainstExpressions() throws {
        let text = """
            matchConstraints: {resourceRules: [{apiGroups: [x.y], apiVersions: [v1], operations: ['*'], resources: [things]}]}
            validations:
            - {expression: "object.spec.size > 1 && object.metadata.labels.size() > 0 && object.metadata.namespace != ''"}
            - {expression: object.spec.sise > 1}
            """
        let schema = try yaml("{type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}")
        let object = Object(["metadata": ["name": "p"], "spec": try yaml(text)])
        let warnings = CELPolicy.typeWarnings(object) { group, _, resource in
            group == "x.y" && resource == "things" ? ("Thing", CELShape.custom(schema: schema)) : nil
        }
        #expect(warnings.map(\.field) == ["spec.validations[1].expression"])
        #expect(warnings.first?.warning.contains("undefined field 'sise'") == true)
        #expect(CELPolicy.compile(object).errors.isEmpty)
    }

    @Test func theAuthorizerIsAskedWordByWord() throws {
        let (policy, errors) = try policy(
            """
            validations:
            - {expression: "authorizer.group('apps').resource('deployments').subresource('scale').namespace('x').name('y').check('update').allowed()"}
            - {expression: "!authorizer.serviceAccount('a', 'b').path('/z').check('get').allowed()"}
            - {expression: "authorizer.requestResource.check('create').reason() == 'configmaps n'"}
            """
        )
        #expect(errors.isEmpty, "\(errors)")
        var asked = request(["data": [:]])
        asked.access = CELAccess { question in
            let isScale =
                question.group == "apps" && question.resource == "deployments" && question.subresource == "scale"
            return CELDecision(
                isAllowed: isScale && question.namespace == "x" && question.name == "y" && question.verb == "update",
                reason: "\(question.resource) \(question.name)"
            )
        }
        var budget = CELBudget()
        #expect(policy.judge(asked, params: nil, budget: &budget).violations.isEmpty)
    }

    @Test(arguments: [
        (
            "{resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}",
            true
        ),
        (
            "{resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*/*'], scope: Namespaced}]}",
            true
        ),
        (
            "{resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [configmaps]}]}",
            false
        ),
        (
            "{resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps/status]}]}",
            false
        ),
        (
            "{resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps], resourceNames: [m]}]}",
            false
        ),
        (
            "{resourceRules: [{apiGroups: [''], apiVersions: [v2], operations: ['*'], resources: ['*']}], matchPolicy: Exact}",
            false
        ),
        (
            "{resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: ['*'], scope: Cluster}]}",
            false
        ),
        (
            "{resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*']}], objectSelector: {matchLabels: {a: c}}}",
            false
        ),
        (
            "{resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*']}], objectSelector: {matchLabels: {a: b}}}",
            true
        ),
        (
            "{resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*']}], excludeResourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: [configmaps]}]}",
            false
        ),
    ])
    func constraintsMatchWrites(_ text: String, _ isMatch: Bool) throws {
        let match = CELMatch(try yaml(text))
        #expect(match.matches(request(["metadata": ["labels": ["a": "b"]]]), isBinding: false) == isMatch)
    }
}
