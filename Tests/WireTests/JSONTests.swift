import Testing
import Wire

@Suite("JSON")
struct JSONTests {
    @Test(
        "what RFC 8259 allows is read",
        arguments: [
            ("null", .null), (" true ", true), ("-0", 0), ("9223372036854775807", .int(.max)),
            ("-9223372036854775808", .int(.min)), ("9223372036854775808", .double(9_223_372_036_854_775_808)),
            ("1.5e3", .double(1500)), ("\"a\\u00e9\\ud83d\\ude00\\n\"", "a\u{e9}\u{1F600}\n"), ("[]", []),
            ("[1,[2]]", [1, [2]]), ("{}", [:]), ("{\"a\":{\"b\":[]}}", ["a": ["b": []]]), ("\u{FEFF}1", 1),
        ] as [(String, Value)]
    )
    func accepts(text: String, value: Value) throws {
        #expect(try JSON.parse(text) == value)
    }

    @Test(
        "everything else is refused with its place",
        arguments: [
            "", " ", "01", "1.", ".5", "+1", "1e", "--1", "NaN", "tru", "nul", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":1,}",
            "{a:1}", "{\"a\":1 \"b\":2}", "{\"a\":1,\"a\":2}", "'a'", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
            "\"\\ud800\\u0041\"", "\"\t\"", "1 2", "// a\n1", "1e999", "\u{0}",
        ]
    )
    func refuses(text: String) {
        #expect(throws: WireError.self) { try JSON.parse(text) }
    }

    @Test(
        "invalid UTF-8 is refused",
        arguments: [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22]] as [[UInt8]]
    )
    func badUTF8(bytes: [UInt8]) {
        #expect(throws: WireError.self) { try JSON.parse(bytes) }
    }

    @Test("a mistake is named by line and column")
    func place() {
        #expect(throws: WireError("',' or '}' should be here, not '\"'", line: 3, column: 3)) {
            try JSON.parse("{\n  \"a\": 1\n  \"b\": 2\n}")
        }
    }

    @Test("depth, size and count are bounded")
    func limits() {
        #expect(throws: WireError.self) { try JSON.parse(String(repeating: "[", count: 100_000)) }
        var few = ReadLimits()
        few.values = 3
        few.size = 20
        #expect(throws: WireError.self) { try JSON.parse("[1,2,3]", limits: few) }
        #expect(throws: WireError.self) { try JSON.parse(String(repeating: " ", count: 21), limits: few) }
    }

    @Test("what is written is read back as the same value", arguments: [true, false])
    func roundTrip(pretty: Bool) throws {
        let value: Value = [
            "text": "quotes \" \\ and \u{1} \u{7f} \u{1F600}", "numbers": [0, -1, 1.5, 1e300, 2.0], "empty": [:],
            "list": [],
            "nested": ["a": [["b": .null]]], "yes": true,
        ]
        #expect(try JSON.parse(JSON.write(value, pretty: pretty)) == value)
    }

    @Test("compact text has no spaces, pretty text two per level")
    func forms() {
        #expect(JSON.write(["a": [1, "b"]]) == #"{"a":[1,"b"]}"#)
        #expect(JSON.write(["a": [1]], pretty: true) == "{\n  \"a\": [\n    1\n  ]\n}")
    }

    @Test("Base64 goes there and back", arguments: ["", "f", "fo", "foo", "foob", "fooba", "foobar"])
    func base64(text: String) {
        let bytes = Array(text.utf8)
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }

    @Test(
        "what is not Base64 is refused",
        arguments: ["a", "ab", "abc", "ab=", "a===", "ab=c", "a!bc", "====", "abcd="]
    )
    func badBase64(text: String) {
        #expect(Base64.decode(text) == nil)
    }
}
