import CEL
import Resources
import Testing
import Wire

@Suite struct LanguageTests {
    @Test(arguments: [
        "1 + 2 * 3 == 7", "-7 / 2 == -3", "-7 % 2 == -1", "1u + 2u == 3u", "0x1F == 31", "-9223372036854775808 < 0",
        "'a' + \"b\" == 'ab'", "1.5 + .5 == 2.0", "1e3 == 1000.0", "true || false && false", "!(1 == 2)",
        "1 < 2u && 1 < 1.5 && 2.5 > 2u", "b'ab' + b'\\x01' == b'ab\\001'", "2 in [1, 2]", "'k' in {'k': 1}",
        "[1, 2] + [3] == [1, 2, 3]", "{'a': 1}['a'] == 1 && {'a': 1}.a == 1", "true ? 1 == 1 : false",
        "dyn(1) == dyn(1.0) && dyn(1) == dyn(1u) && dyn(1) != dyn('1')", "[1, 2][1] == 2 // the last",
    ])
    func operators(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        #"'\x41\u0042\U00000043\104' == 'ABCD'"#, #"r'\n' == '\\n'"#, #"'''a'b''' == "a'b""#, #"r'''\n''' == '\\n'"#,
        #"'\a\b\f\n\r\t\v\?\'\"\`'.size() == 11"#, #"b'é'.size() == 2 && 'é'.size() == 1"#, #"'💙'.size() == 1"#,
        "'''two\nlines'''.size() == 9",
    ])
    func escapesAndQuotes(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        "1 / 0 == 1 || true", "true || 1 / 0 == 1", "!(false && 1 / 0 == 1)", "!(1 / 0 == 1 && false)",
        "[0, 1].exists(x, 1 / x == 1)", "![0, 1].all(x, 1 / x == 2)",
    ])
    func decidingValuesAbsorbErrors(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        "[1, 2, 3].all(x, x > 0)", "[1, 2].exists_one(x, x == 2)", "[1, 2, 3].filter(x, x > 1) == [2, 3]",
        "[1, 2].map(x, x * 2) == [2, 4]", "[1, 2].map(x, x > 1, x * 2) == [4]", "{'a': 1}.all(k, k == 'a')",
        "[7, 8].exists(i, v, i == 1 && v == 8)", "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
        "[5, 6].transformList(i, v, i * v) == [0, 6]", "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
        "[[1], [2, 3]].all(x, x.exists(y, y == x[0]))", "[1].all(x, [2].all(x, x == 2) && x == 1)",
    ])
    func macros(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        "optional.of(1).hasValue() && !optional.none().hasValue()", "{'a': 1}.?b.orValue(5) == 5",
        "{'a': {'b': 2}}.?a.?b.value() == 2", "[1][?3].orValue(9) == 9",
        "{?'a': optional.of(1), ?'b': optional.none()} == {'a': 1}",
        "[?optional.none(), 1].size() == 1", "optional.ofNonZeroValue('').or(optional.of('x')).value() == 'x'",
        "optional.of(2).optMap(x, x * 2).value() == 4", "!optional.none().optFlatMap(x, optional.of(x)).hasValue()",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
    ])
    func optionals(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        "int('12') == 12 && int(3.9) == 3 && int(2u) == 2", "uint(3) == 3u && double('1.5') == 1.5",
        "string(1.5) == '1.5'",
        "bool('true') && string(b'ab') == 'ab' && bytes('ab') == b'ab'",
        "type(1) == int && type('') == string && type([]) == list",
        "string(timestamp('2024-02-29T01:02:03.5Z')) == '2024-02-29T01:02:03.5Z'", "string(duration('90m')) == '5400s'",
        "timestamp('2024-03-01T00:00:00Z') - timestamp('2024-02-29T00:00:00Z') == duration('24h')",
        "timestamp('2024-02-29T23:00:00Z') + duration('2h') > timestamp('2024-03-01T00:00:00Z')",
        "timestamp('2024-02-29T23:30:05.678Z').getDayOfYear() == 59",
        "timestamp('2024-12-31T00:00:00Z').getDayOfYear() == 365",
        "timestamp('2024-02-29T23:30:00Z').getDate('+02:00') == 1",
        "timestamp('2024-02-29T00:00:00Z').getDayOfWeek() == 4",
        "timestamp('1969-12-31T23:59:59Z').getFullYear() == 1969", "duration('1h30m').getMinutes() == 90",
    ])
    func conversionsAndTimes(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        ("1 +", "ends too early"), ("'abc", "does not end"), ("a", "undeclared reference to 'a'"),
        ("f(1)", "undeclared reference to 'f'"),
        ("1 + 'a'", "no matching overload for '_+_' applied to '(int, string)'"),
        ("[1, 'a']", "expected type 'int' but found 'string'"),
        ("'a'.matches('(')", "invalid matches argument"), ("duration('soon')", "invalid duration"),
        ("'a'.b", "does not support field selection"),
        ("for", "reserved identifier"), ("has(1)", "invalid argument to has()"), ("[1].all(1, true)", "simple name"),
        ("9223372036854775807 + 1", "integer overflow"), ("0u - 1u", "unsigned integer overflow"),
        ("1 % 0", "modulus by zero"),
        ("[1][1]", "index out of bounds: 1"), ("{'a': 1}['b']", "no such key: b"),
        ("int('x')", "type conversion error"),
        ("optional.none().value()", "optional.none() dereference"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "timestamp overflow"),
        ("duration('2562047h') + duration('1h')", "duration overflow"), ("'a'.substring(2)", "index out of range"),
        ("dyn('a') < dyn(1)", "no such overload"), ("{1.5: 2}", "unsupported map key type"),
    ])
    func problemsAreNamed(_ source: String, _ part: String) throws {
        let found = try #require(problem(source))
        #expect(found.contains(part), "\(found)")
    }

    @Test func anErrorHasItsPlace() throws {
        let error = #expect(throws: CELError.self) {
            try CELProgram.compile("true &&\n  slef.a", CELEnvironment([("self", .dyn)]))
        }
        #expect(error?.line == 2 && error?.column == 2)
        #expect(error?.description.contains("| ..^") == true)
    }
}

@Suite struct HostileExpressionTests {
    @Test(arguments: ["(", "[", "{1:", "!", "-", "a.b[", "1+(", "true?(", "f("])
    func deepNestingIsRefused(_ piece: String) {
        #expect(throws: CELError.self) {
            try CELProgram.compile(String(repeating: piece, count: 50_000), CELEnvironment([]))
        }
    }

    @Test(arguments: [" + 1", ".a", "[0]", "/1"])
    func longChainsAreRefusedWhenTheyAreDeep(_ piece: String) {
        let source = "1" + String(repeating: piece, count: 5000)
        #expect(throws: CELError.self) { try CELProgram.compile(source, CELEnvironment([])) }
    }

    @Test func longAlternativesAreFlat() throws {
        #expect(try holds(String(repeating: "false || ", count: 5000) + "true"))
    }

    @Test(arguments: [
        "lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, true)))",
        "lists.range(9223372036854775807).size() == 0",
        "lists.range(900000).map(x, 'xxxxxxxxxxxxxxxx').join().size() > 0",
        "lists.range(100000).map(x, lists.range(x)).size() == 0", "lists.range(100000).distinct().size() == 0",
        "lists.range(1000).map(x, 'a'.matches(string(x) + 'a*')).size() == 0",
    ])
    func costEndsAnEvaluation(_ source: String) { #expect(problem(source)?.contains("cost limit exceeded") == true) }

    @Test func aBudgetIsSharedAndErrorsOfCostAreNotAbsorbed() throws {
        let program = try CELProgram.compile("true || lists.range(500).all(x, true)", CELEnvironment([]))
        var budget = CELBudget(300)
        #expect(try program.evaluate([], budget: &budget).boolValue == true)
        let costly = try CELProgram.compile("lists.range(500).all(x, true) || true", CELEnvironment([]))
        #expect(throws: CELFailure.self) { try costly.evaluate([], budget: &budget) }
        #expect(budget.isExhausted)
    }
}
