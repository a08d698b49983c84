import CEL
import Resources
import Testing
import Wire

@Suite struct RulesTests {
    private static let schema = """
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-validations:
            - {rule: "self.min <= self.max", message: min must not exceed max, fieldPath: .min}
            - {rule: "!has(self.port) || self.port == 'http' || self.port > 0", reason: FieldValueForbidden, messageExpression: "'port ' + string(self.port)"}
            properties:
              min: {type: integer}
              max: {type: integer}
              port: {x-kubernetes-int-or-string: true}
              fixed: {type: string, x-kubernetes-validations: [{rule: self == oldSelf, message: is fixed}]}
              born: {type: string, format: date-time, x-kubernetes-validations: [{rule: self.getFullYear() > 2000}]}
              wait: {type: string, x-kubernetes-validations: [{rule: "duration(self) < duration('1h')"}]}
              namespace: {type: string}
              a-b: {type: string}
              labels:
                type: object
                additionalProperties: {type: string, x-kubernetes-validations: [{rule: "self != 'bad'"}]}
              doors:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  properties: {name: {type: string}, size: {type: integer}}
                  x-kubernetes-validations: [{rule: self.size >= oldSelf.size, message: may only grow}]
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}, x-kubernetes-validations: [{rule: self == oldSelf}]}
        x-kubernetes-validations:
        - {rule: "self.metadata.name != 'root'"}
        - {rule: "!has(self.spec.__namespace__) || self.spec.a__dash__b == self.spec.__namespace__"}
        """

    private func rules() throws -> CELRules {
        let (rules, errors) = CELRules.compile(schema: try yaml(Self.schema))
        #expect(errors.isEmpty, "\(errors)")
        return rules
    }

    private func check(_ spec: Value, old: Value? = nil) throws -> [String] {
        let object = { (spec: Value) -> Value in ["metadata": ["name": "a"], "spec": spec] }
        return try rules().check(object(spec), old: old.map(object)).map(\.description)
    }

    @Test func messagesReasonsAndPaths() throws {
        #expect(try check(["min": 1, "max": 2]) == [])
        #expect(try check(["min": 3, "max": 2]) == ["spec.min: Invalid value: \"object\": min must not exceed max"])
        #expect(try check(["min": 1, "max": 2, "port": -1]) == ["spec: Forbidden: port -1"])
        #expect(try check(["min": 1, "max": 2, "port": "http"]) == [])
        #expect(try rules().check(["metadata": ["name": "root"], "spec": ["min": 1, "max": 2]], old: nil).count == 1)
        #expect(
            try check(["min": 1]) == [
                "spec.min: Invalid value: \"object\": no such key: max evaluating rule: min must not exceed max"
            ]
        )
    }

    @Test func formatsMapsAndEscapedNames() throws {
        #expect(try check(["min": 1, "max": 2, "born": "1999-01-01T00:00:00Z"]).count == 1)
        #expect(try check(["min": 1, "max": 2, "born": "2024-01-01T00:00:00Z", "wait": "30m"]) == [])
        #expect(try check(["min": 1, "max": 2, "wait": "2h"]).count == 1)
        #expect(
            try check(["min": 1, "max": 2, "labels": ["x": "bad"]]) == [
                "spec.labels[x]: Invalid value: \"string\": failed rule: self != 'bad'"
            ]
        )
        #expect(try check(["min": 1, "max": 2, "namespace": "n", "a-b": "n"]) == [])
        #expect(try check(["min": 1, "max": 2, "namespace": "n", "a-b": "m"]).count == 1)
    }

    @Test func transitionsLookAtTheOldValue() throws {
        let old: Value = [
            "min": 1, "max": 2, "fixed": "x", "doors": [["name": "a", "size": 2], ["name": "b", "size": 5]],
            "tags": ["p", "q"],
        ]
        #expect(try check(["min": 1, "max": 2, "fixed": "y"]) == [])
        #expect(
            try check(["min": 1, "max": 2, "fixed": "y"], old: old) == [
                "spec.fixed: Invalid value: \"string\": is fixed"
            ]
        )
        #expect(
            try check(["min": 1, "max": 2, "doors": [["name": "b", "size": 5], ["name": "a", "size": 1]]], old: old)
                == ["spec.doors[1]: Invalid value: \"object\": may only grow"]
        )
        // A set is equal in any order.
        #expect(try check(["min": 1, "max": 2, "tags": ["q", "p"]], old: old) == [])
        #expect(try check(["min": 1, "max": 2, "tags": ["q"]], old: old).count == 1)
    }

    @Test func whatAChangeLeavesAsItWasIsNotJudgedAgain() throws {
        #expect(try check(["min": 3, "max": 2], old: ["min": 3, "max": 2]) == [])
        #expect(try check(["min": 4, "max": 2], old: ["min": 3, "max": 2]).count == 1)
    }

    @Test func optionalOldValuesAreThereFromTheFirst() throws {
        let (rules, errors) = CELRules.compile(
            schema: try yaml(
                """
                type: object
                properties: {a: {type: integer}}
                x-kubernetes-validations: [{rule: "oldSelf.optMap(o, o.a <= self.a).orValue(self.a == 0)", optionalOldSelf: true, message: "no"}]
                """
            )
        )
        #expect(errors.isEmpty, "\(errors)")
        #expect(rules.check(["a": 0], old: nil).isEmpty && !rules.check(["a": 1], old: nil).isEmpty)
        #expect(rules.check(["a": 5], old: ["a": 4]).isEmpty && !rules.check(["a": 3], old: ["a": 4]).isEmpty)
    }

    @Test(arguments: [
        ("{rule: self.x}", "must evaluate to bool"), ("{rule: self.y == 1}", "undefined field 'y'"),
        ("{rule: 'self.x == 1'}", "no matching overload"),
        ("{rule: ''}", "rule is not specified"), ("{rule: 'true', reason: Odd}", "Unsupported value"),
        ("{rule: 'true', messageExpression: '1'}", "must evaluate to string"),
        ("{rule: 'true', fieldPath: .z}", "fieldPath"),
        ("{rule: 'true', optionalOldSelf: true}", "oldSelf is not used"),
        ("{rule: 'self.x.matches(\"(\")'}", "invalid matches argument"),
    ])
    func wrongRulesAreNamedByPlace(_ rule: String, _ part: String) throws {
        let schema = try yaml("{type: object, properties: {x: {type: string}}, x-kubernetes-validations: [\(rule)]}")
        let errors = CELRules.compile(schema: schema).errors
        #expect(
            errors.count == 1 && errors[0].path.hasPrefix("openAPIV3Schema.x-kubernetes-validations[0]"),
            "\(errors)"
        )
        #expect(errors.first?.message.contains(part) == true, "\(errors)")
    }

    @Test func oldValuesOfPlainListsCannotBeFound() throws {
        let schema = try yaml(
            "{type: array, items: {type: string, x-kubernetes-validations: [{rule: self == oldSelf}]}}"
        )
        #expect(CELRules.compile(schema: schema).errors.first?.message.contains("uncorrelatable") == true)
    }

    @Test func aHostileObjectIsGivenUpOn() throws {
        let schema = try yaml(
            """
            type: object
            properties: {l: {type: array, items: {type: string}, x-kubernetes-validations: [{rule: "self.all(a, self.all(b, self.all(c, a.size() + b.size() + c.size() > 0)))", message: m}]}}
            """
        )
        let many = Value.array((0..<3000).map { .string("\($0)") })
        let errors = CELRules.compile(schema: schema).rules.check(["l": many], old: nil)
        #expect(errors.map(\.description) == ["l: Forbidden: call cost exceeds limit for rule: m"])
    }
}
