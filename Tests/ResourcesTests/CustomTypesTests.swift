import Resources
import Testing
import Wire

/// A definition with one version, its schema given as YAML below `spec`.
private func definition(_ schema: String, _ more: String = "", group: String = "example.com") throws -> Object {
    let text = """
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata: {name: widgets.\(group)}
        spec:
          group: \(group)
          scope: Namespaced
          names: {plural: widgets, kind: Widget}
          versions:
          - name: v1
            served: true
            storage: true
            \(more.isEmpty ? "subresources: {status: {}}" : more)
            schema:
              openAPIV3Schema:
                type: object
                properties:
                  spec: \(schema)
                  status: {type: object, x-kubernetes-preserve-unknown-fields: true}
        """
    var object = Object(try #require(YAML.parse(text).first).value)
    Definition.complete(&object)
    return object
}

private func check(_ object: Object, replacing old: Object? = nil) -> Definition {
    Definition(object, replacing: old, rules: { _, _ in (nil, []) })
}

private func type(_ schema: String, _ more: String = "") throws -> ResourceType {
    let definition = check(try definition(schema, more))
    #expect(definition.errors == [])
    return try #require(definition.kind?.storage)
}

private func widget(_ spec: String) throws -> Object {
    let text = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a, namespace: default}, spec: \(spec)}"
    return Object(try #require(YAML.parse(text).first).value)
}

private func problems(_ type: ResourceType, _ spec: String, replacing old: String? = nil) throws -> [String] {
    let before = try old.map { try widget($0) }
    return try #require(type.custom).errors(of: try widget(spec), replacing: before).map(\.description)
}

@Suite struct DefinitionTests {
    @Test(arguments: [
        (
            "{type: object, properties: {a: {}}}",
            "properties[a].type: Required value: must not be empty for specified object fields"
        ),
        ("{type: array}", "properties[spec].items: Required value: must be specified"),
        (
            "{type: object, properties: {a: {type: array, items: {}}}}",
            "items.type: Required value: must not be empty for specified array items"
        ),
        ("{type: object, properties: {a: {$ref: x, type: string}}}", "$ref: Forbidden: $ref is not supported"),
        (
            "{type: object, properties: {a: {type: string}}, additionalProperties: {type: string}}",
            "additionalProperties and properties are mutual exclusive"
        ),
        (
            "{type: array, uniqueItems: true, items: {type: string}}",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        ),
        ("{type: object, anyOf: [{type: object}]}", "anyOf[0].type: Forbidden: must be empty to be structural"),
        (
            "{type: object, anyOf: [{properties: {b: {minimum: 1}}}]}",
            "anyOf[0].properties[b]: Required value: because it is defined in"
        ),
        ("{type: string, pattern: '('}", "must be a valid regular expression, but isn't"),
        (
            "{type: array, x-kubernetes-list-type: map, items: {type: object, properties: {n: {type: string}}}, x-kubernetes-list-map-keys: [n]}",
            "it must have a default or be a required property"
        ),
        (
            "{type: array, x-kubernetes-list-type: set, items: {type: object, properties: {n: {type: string}}}}",
            "items as object must have x-kubernetes-map-type: atomic"
        ),
        ("{type: integer, default: x}", "default: Invalid value"),
        ("{type: object, default: {b: 1}, properties: {a: {type: string}}}", "must not have unspecified fields: b"),
        ("{type: string, x-kubernetes-int-or-string: true}", "must be empty if x-kubernetes-int-or-string is true"),
        ("{type: text}", "Unsupported value: \"text\": supported values: \"array\", \"boolean\""),
    ])
    func whatIsNotStructuralIsRefused(_ schema: String, _ words: String) throws {
        let errors = check(try definition(schema)).errors.map(\.description)
        #expect(errors.contains { $0.contains(words) }, "\(errors)")
        #expect(errors.allSatisfy { $0.hasPrefix("spec.versions[0].schema.openAPIV3Schema.properties[spec]") })
    }

    @Test func namesVersionsAndGroupsAreChecked() throws {
        var object = try definition("{type: object}")
        object.name = "gadgets.example.com"
        #expect(check(object).errors.map(\.path) == ["metadata.name"])
        object = try definition("{type: object}", group: "things.k8s.io")
        #expect(check(object).errors.map(\.path) == ["metadata.annotations[api-approved.kubernetes.io]"])
        object.annotations = ["api-approved.kubernetes.io": "unapproved, a test"]
        #expect(check(object).errors == [])
        object = try definition("{type: object}")
        object.value.set(["spec", "conversion"], ["strategy": "Webhook", "webhook": [:]])
        #expect(check(object).errors.map(\.description).first?.contains("Weft calls no conversion webhooks") ?? false)
        object.value.set(["spec", "conversion"], ["strategy": "None"])
        object.value.set(["spec", "versions"], [])
        #expect(check(object).errors.map(\.path) == ["spec.versions"])
    }

    @Test func anEstablishedKindKeepsItsNamesAndKeptVersions() throws {
        var old = try definition("{type: object}")
        DefinitionStatus.update(&old, taken: DefinitionStatus.Taken(), now: Timestamp(seconds: 0))
        #expect(DefinitionStatus.isTrue("Established", old))
        var new = old
        new.value.set(["spec", "names", "kind"], "Gadget")
        new.value.set(["spec", "scope"], "Cluster")
        #expect(Set(check(new, replacing: old).errors.map(\.path)) == ["spec.names.kind", "spec.scope"])
        new = old
        new.value.update("spec") { $0.updateEach("versions") { $0["name"] = "v2" } }
        #expect(check(new, replacing: old).errors.map(\.path) == ["status.storedVersions[0]"])
    }

    @Test func namesOfOthersAreNotAccepted() throws {
        var object = try definition("{type: object}")
        var taken = DefinitionStatus.Taken()
        taken.add(["plural": "widgets", "kind": "Other"])
        DefinitionStatus.update(&object, taken: taken, now: Timestamp(seconds: 0))
        #expect(!DefinitionStatus.isTrue("NamesAccepted", object) && !DefinitionStatus.isTrue("Established", object))
        let reasons = object.status.list("conditions").compactMap { $0.text("reason") }
        #expect(reasons == ["PluralConflict", "NotAccepted"])
        DefinitionStatus.update(&object, taken: DefinitionStatus.Taken(), now: Timestamp(seconds: 1))
        #expect(DefinitionStatus.isTrue("Established", object))
        #expect(object.status.at("acceptedNames", "singular") == "widget")
    }

    @Test func versionsAreOrderedByAgeAndStability() {
        #expect(
            ResourceType.preferred(["v1alpha1", "foo10", "v1", "v2beta1", "v10", "v1beta2", "v2", "foo1"])
                == ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo1", "foo10"]
        )
    }
}

@Suite struct CustomShapeTests {
    private static let schema = """
        {type: object, properties: {
          size: {type: integer, default: 3}, colour: {type: string, nullable: true, default: red},
          box: {type: object, default: {}, properties: {depth: {type: integer, default: 7}}},
          open: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {known: {type: object, properties: {a: {type: string}}}}},
          words: {type: object, additionalProperties: {type: string}},
          inner: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true},
          parts: {type: array, items: {type: object, properties: {n: {type: string}, w: {type: integer, default: 1}}}}}}
        """

    @Test func defaultsComeAndUnknownFieldsGo() throws {
        let type = try type(Self.schema)
        let object = try widget(
            "{size: null, colour: null, junk: 1, parts: [{n: x, junk: 2}], open: {a: 1, known: {a: b, junk: 3}}}"
        )
        let check = SchemaCheck(object.value, of: type)
        #expect(check.unknown.map(\.path) == ["spec.junk", "spec.parts[0].junk", "spec.open.known.junk"])
        #expect(
            check.pruned["spec"] == [
                "size": 3, "colour": nil, "parts": [["n": "x", "w": 1]], "open": ["a": 1, "known": ["a": "b"]],
                "box": ["depth": 7],
            ]
        )
    }

    @Test func metadataIsKubernetesOwn() throws {
        let type = try type(Self.schema)
        var object = try widget(
            "{inner: {apiVersion: v1, kind: Pod, metadata: {name: x, junk: 1}, spec: {any: thing}}}"
        )
        object.value.set(["metadata", "junk"], 1)
        let check = SchemaCheck(object.value, of: type)
        #expect(Set(check.unknown.map(\.path)) == ["metadata.junk", "spec.inner.metadata.junk"])
        #expect(check.pruned.at("spec", "inner", "spec", "any") == "thing")
        object.value.set(["metadata", "labels"], ["a": 1])
        #expect(SchemaCheck(object.value, of: type).errors.map(\.path) == ["metadata.labels[a]"])
    }
}

@Suite struct CustomValidationTests {
    @Test(arguments: [
        (
            "{type: integer, minimum: 1}", "0",
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1"
        ),
        (
            "{type: integer, maximum: 5, exclusiveMaximum: true}", "5",
            "spec: Invalid value: 5: spec in body should be less than 5"
        ),
        (
            "{type: number, multipleOf: 0.5}", "0.7",
            "spec: Invalid value: 0.7: spec in body should be a multiple of 0.5"
        ),
        ("{type: integer}", "a", "spec: Invalid value: \"string\": spec in body must be of type integer: \"string\""),
        (
            "{type: integer, format: int32}", "3000000000",
            "spec: Invalid value: 3000000000: spec in body must be of type int32: 3000000000"
        ),
        ("{type: string, maxLength: 2}", "abc", "spec: Too long: may not be more than 2 bytes"),
        (
            "{type: string, minLength: 2}", "a",
            "spec: Invalid value: \"a\": spec in body should be at least 2 chars long"
        ),
        (
            "{type: string, pattern: '^[a-z]+$'}", "A1",
            "spec: Invalid value: \"A1\": spec in body should match '^[a-z]+$'"
        ),
        ("{type: string, enum: [a, b]}", "c", "spec: Unsupported value: \"c\": supported values: \"a\", \"b\""),
        (
            "{type: string, format: date-time}", "soon",
            "spec: Invalid value: \"soon\": spec in body must be of type date-time: \"soon\""
        ),
        (
            "{type: string, format: ipv4}", "1.2.3",
            "spec: Invalid value: \"1.2.3\": spec in body must be of type ipv4: \"1.2.3\""
        ),
        ("{type: object, required: [a], properties: {a: {type: string}}}", "{}", "spec.a: Required value"),
        (
            "{type: object, maxProperties: 1, additionalProperties: {type: string}}", "{a: x, b: y}",
            "spec: Too many: 2: must have at most 1 items"
        ),
        (
            "{type: object, minProperties: 1, additionalProperties: {type: string}}", "{}",
            "spec: Invalid value: 0: spec in body should have at least 1 properties"
        ),
        ("{type: array, maxItems: 1, items: {type: string}}", "[a, b]", "spec: Too many: 2: must have at most 1 items"),
        (
            "{type: array, minItems: 1, items: {type: string}}", "[]",
            "spec: Invalid value: 0: spec in body should have at least 1 items"
        ),
        (
            "{type: array, x-kubernetes-list-type: set, items: {type: string}}", "[a, b, a]",
            "spec[2]: Duplicate value: \"a\""
        ),
        (
            "{type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [n], items: {type: object, required: [n], properties: {n: {type: string}}}}",
            "[{n: a}, {n: a}]", "spec[1]: Duplicate value: {\"n\":\"a\"}"
        ),
        (
            "{type: object, not: {required: [a]}, properties: {a: {type: string}}}", "{a: x}",
            "spec: Invalid value: \"\": \"spec\" must not validate the schema (not)"
        ),
        (
            "{x-kubernetes-int-or-string: true}", "true",
            "spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\""
        ),
        (
            "{type: array, items: {type: object, properties: {n: {type: string}}}}", "[{n: 1}]",
            "spec[0].n: Invalid value: \"integer\": spec[0].n in body must be of type string: \"integer\""
        ),
    ])
    func whatIsWrongIsSaidInKubernetesWords(_ schema: String, _ spec: String, _ words: String) throws {
        #expect(try problems(type(schema), spec) == [words])
    }

    @Test func junctionsChooseAmongBranches() throws {
        let any = try type(
            "{type: object, properties: {a: {type: integer}, b: {type: integer}}, anyOf: [{required: [a]}, {required: [b]}]}"
        )
        #expect(try problems(any, "{b: 1}") == [])
        #expect(
            try problems(any, "{}").first
                == "spec: Invalid value: \"\": \"spec\" must validate at least one schema (anyOf)"
        )
        let one = try type(
            "{type: object, properties: {a: {type: integer}, b: {type: integer}}, oneOf: [{required: [a]}, {required: [b]}]}"
        )
        #expect(try problems(one, "{a: 1}") == [])
        #expect(
            try problems(one, "{a: 1, b: 1}") == [
                "spec: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives"
            ]
        )
        let all = try type(
            "{type: object, properties: {a: {type: integer}}, allOf: [{properties: {a: {minimum: 2}}}, {properties: {a: {maximum: 4}}}]}"
        )
        #expect(try problems(all, "{a: 3}") == [])
        #expect(
            try problems(all, "{a: 5}") == [
                "spec.a: Invalid value: 5: spec.a in body should be less than or equal to 4"
            ]
        )
    }

    @Test func whatAnUpdateLeavesIsNotCheckedAgain() throws {
        let type = try type(
            """
            {type: object, properties: {size: {type: integer, maximum: 5}, colour: {type: string},
              parts: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [n], items: {type: object, required: [n], properties: {n: {type: string}, w: {type: integer, maximum: 5}}}}}}
            """
        )
        let old = "{size: 9, colour: red, parts: [{n: a, w: 9}]}"
        #expect(
            try problems(type, "{size: 9, colour: blue, parts: [{n: b, w: 1}, {n: a, w: 9}]}", replacing: old) == []
        )
        #expect(try problems(type, "{size: 8, colour: red}", replacing: old).count == 1)
        #expect(try problems(type, "{parts: [{n: a, w: 8}]}", replacing: old).count == 1)
    }

    @Test(arguments: [
        ("date-time", "2026-01-02T03:04:05Z", "2026-01-02"), ("date", "2026-01-02", "2026-13-02"),
        ("duration", "1h30m", "1x"), ("ipv6", "fe80::1", "1.2.3.4"), ("ipv6", "::ffff:1.2.3.4", "1::2::3"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"), ("uuid", "123e4567-e89b-42d3-a456-426614174000", "123e4567"),
        ("mac", "00:11:22:33:44:55", "00:11"), ("email", "a@example.com", "a@"), ("byte", "aGk=", "*"),
        ("uri", "https://example.com/x", "no uri"), ("hostname", "a.example.com", "-a"),
    ])
    func formatsAreChecked(_ format: String, _ good: String, _ bad: String) throws {
        let type = try type("{type: string, format: \(format)}")
        #expect(try problems(type, "'\(good)'") == [])
        #expect(try problems(type, "'\(bad)'").count == 1)
    }
}

@Suite struct CustomFaceTests {
    @Test(arguments: [
        (".spec.a", "1"), (".spec.list[1]", "\"y\""), (".spec['a.b']", "2"), (".spec.a\\.b", "2"),
        (".status.conditions[?(@.type==\"Ready\")].status", "\"True\""), (".spec.list[*]", "\"x\""),
        (".spec.list[-1]", "\"y\""), ("{.spec.a}", "1"), (".spec.missing", "null"),
    ])
    func pathsLeadToValues(_ text: String, _ found: String) throws {
        let value = try JSON.parse(
            #"{"spec":{"a":1,"a.b":2,"list":["x","y"]},"status":{"conditions":[{"type":"Other","status":"False"},{"type":"Ready","status":"True"}]}}"#
        )
        let path = try #require(FieldPath(text))
        #expect(JSON.write(path.first(in: value) ?? .null) == found)
    }

    @Test(arguments: ["spec", ".spec[", ".spec[?(@.a==)]", ".", ".a..b", ".spec[?(@.a==\"x\")"])
    func malformedPathsAreRefused(_ text: String) { #expect(FieldPath(text) == nil) }

    @Test func columnsAreThoseOfTheDefinition() throws {
        let type = try type(
            "{type: object, x-kubernetes-preserve-unknown-fields: true}",
            """
            additionalPrinterColumns:
                - {name: Size, type: integer, jsonPath: .spec.size, description: how much}
                - {name: Names, type: string, jsonPath: .spec.names, priority: 1}
                - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
            """
        )
        var object = try widget("{size: 3, names: [a, b]}")
        object.creationTimestamp = Timestamp(seconds: 100)
        let table = Table.make([object], of: type, at: Timestamp(seconds: 130))
        #expect(table.columns.map(\.name) == ["Name", "Size", "Names", "Age"])
        #expect(table.columns.map(\.isWide) == [false, false, true, false])
        #expect(table.rows[0].cells == ["a", 3, "[\"a\",\"b\"]", "30s"])
    }

    @Test func ownersKnowListsByTheirKeys() throws {
        let type = try type(
            """
            {type: object, properties: {
              parts: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [n, p], items: {type: object, required: [n], properties: {n: {type: string}, p: {type: string, default: tcp}, w: {type: integer}}}},
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}},
              plain: {type: array, items: {type: string}},
              whole: {type: object, x-kubernetes-map-type: atomic, properties: {a: {type: string}}}}}
            """
        )
        func tracking(_ manager: String) -> FieldTracking {
            FieldTracking(type, manager: manager, agent: "", subresource: "", time: Timestamp(seconds: 0), sent: nil)
        }
        var one = tracking("one")
        var object = try one.apply(
            try widget("{parts: [{n: a, w: 1}], tags: [x], plain: [p], whole: {a: b}}"),
            to: nil,
            forces: false
        )
        one.finish(&object, replacing: nil)
        var two = tracking("two")
        let merged = try two.apply(try widget("{parts: [{n: a, p: udp, w: 2}], tags: [y]}"), to: object, forces: false)
        #expect(merged.spec["parts"] == [["n": "a", "w": 1], ["n": "a", "p": "udp", "w": 2]])
        #expect(merged.spec["tags"] == ["x", "y"])
        var three = tracking("three")
        #expect(throws: APIError.self) { try three.apply(try widget("{plain: [q]}"), to: object, forces: false) }
        #expect(throws: APIError.self) { try three.apply(try widget("{whole: {a: c}}"), to: object, forces: false) }
        #expect(throws: APIError.self) {
            try three.apply(try widget("{parts: [{n: a, p: tcp, w: 5}]}"), to: object, forces: false)
        }
    }

    @Test func fieldsToChooseByAreThoseOfTheDefinition() throws {
        let type = try type(
            "{type: object, properties: {colour: {type: string}}}",
            "selectableFields: [{jsonPath: .spec.colour}]"
        )
        let selector = try FieldSelector(text: "spec.colour=red", for: type)
        let (red, blue) = (try widget("{colour: red}"), try widget("{colour: blue}"))
        #expect(selector.matches(red) && !selector.matches(blue))
        #expect(throws: APIError.self) { try FieldSelector(text: "spec.size=1", for: type) }
    }

    @Test func aSchemaBeyondTheBoundIsRefused() throws {
        let properties = (0..<20_100).map { "p\($0): {type: string}" }.joined(separator: ", ")
        let errors = check(try definition("{type: object, properties: {\(properties)}}")).errors
        #expect(errors.contains { $0.reason == .tooMany })
    }
}
