import Testing
import Wire

@Suite("YAML")
struct YAMLTests {
    @Test(
        "unquoted scalars mean what Kubernetes' users mean",
        arguments: [
            ("yes", true), ("off", false), ("True", true), ("~", .null), ("", .null), ("8080", 8080), ("-1", -1),
            ("0644", 420),
            ("0o644", 420), ("0x1F", 31), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("1.2.3", "1.2.3"),
            ("10Mi", "10Mi"),
            ("'yes'", "yes"), ("\"8080\"", "8080"), ("!!str 5", "5"), ("100m", "100m"), ("25%", "25%"),
            ("1_000", "1_000"),
            ("2024-01-01", "2024-01-01"), ("-", "-"), (".", "."), ("+", "+"), ("0x", "0x"), ("12:30", "12:30"),
        ] as [(String, Value)]
    )
    func scalars(text: String, value: Value) throws {
        #expect(try YAML.parse("a: \(text == "-" ? "'-'" : text)\n").first?.value["a"] == value)
    }

    @Test("a stream has several documents; empty ones are left out")
    func documents() throws {
        let found = try YAML.parse("# only a comment\n---\na: 1\n---\n---\n- b\n...\n---\n\"c\"\n")
        #expect(found.map(\.value) == [["a": 1], ["b"], "c"])
    }

    @Test("lines of fields are known")
    func lines() throws {
        let document = try #require(try YAML.parse("a: 1\nspec:\n  list:\n    - name: x\n      port: 80\n").first)
        #expect(document.line(of: ["spec", "list", "0", "port"]) == 5)
        #expect(document.line(of: ["spec", "list", "0", "missing"]) == 4)
        #expect(document.line(of: ["nothing"]) == 1)
    }

    @Test("anchors, aliases and merge keys work; own fields win")
    func anchors() throws {
        let text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: [*b, *b]\n"
        let value = try #require(try YAML.parse(text).first?.value)
        #expect(value["one"] == ["y": 3, "x": 1])
        #expect(value.at("two") == [["x": 1, "y": 2], ["x": 1, "y": 2]])
    }

    @Test("a small text cannot make a large tree")
    func bomb() {
        var text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        for level in 1...20 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(aliases)]\n"
        }
        #expect(throws: WireError.self) { try YAML.parse(text) }
    }

    @Test(
        "mistakes are refused with their line",
        arguments: [
            ("a: [1, 2\n", 2), ("a: 1\na: 2\n", 2), ("a: *nobody\n", 1), ("a:\n\t- b\n", 2), ("? [a]\n: b\n", 1),
            ("a: !!set {b}\nc: !weird 1\n", 2),
        ]
    )
    func mistakes(text: String, line: Int) {
        #expect { try YAML.parse(text) } throws: { ($0 as? WireError)?.line == line }
    }

    @Test("depth is bounded")
    func depth() {
        #expect(throws: WireError.self) { try YAML.parse(String(repeating: "[", count: 5000)) }
    }

    @Test(
        "what is written is read back as the same value",
        arguments: [
            ["a": ["b": [1, "two", [:], [], [["c": .null]], ["d"]]]],
            ["t": "yes", "n": "8080", "e": "", "s": " lead", "c": "a: b", "h": "a #b", "d": "- x", "q": "it's \"so\""],
            [
                "lines": "one\ntwo\n", "noend": "one\ntwo", "odd": "\n", "two": "a\n\n", "space": " a\nb",
                "tab": "a\tb\nc",
            ],
            ["{\u{6E1}": " \u{301}", "a": ":\u{301} b", "c": "d \u{301}#"],
            ["f": 1.5, "i": -3, "b": false, "z": 2.0, "k: ey": 1, "true": 2, "": 3],
            "plain", [], [["x": ["y": ["z"]]], [["deep"]]], ["m": "a\n  indented\nb\n"], ["u": "\u{85}\u{2028}é"],
        ] as [Value]
    )
    func roundTrip(value: Value) throws {
        let text = YAML.write(value)
        #expect(try YAML.parse(text).first?.value ?? .null == value, "\(text)")
    }

    @Test("objects are written in Kubernetes' block style")
    func style() {
        let value: Value = ["kind": "Pod", "spec": ["containers": [["name": "a", "ports": [["containerPort": 80]]]]]]
        #expect(
            YAML.write(value) == """
                kind: Pod
                spec:
                  containers:
                  - name: a
                    ports:
                    - containerPort: 80

                """
        )
    }

    @Test("protobuf fields go there and back")
    func protobuf() throws {
        var writer = ProtobufWriter()
        writer.varint(1, 300)
        writer.text(2, "hi")
        writer.fixed32(3, 7)
        writer.fixed64(536_870_911, .max)
        writer.packed(4, [1, 300, .max])
        #expect(writer.bytes.starts(with: [0x08, 0xAC, 0x02, 0x12, 0x02, 0x68, 0x69]))
        var reader = ProtobufReader(writer.bytes)
        #expect(try reader.next() == .some(.init(number: 1, content: .varint(300))))
        guard case .bytes(let text)? = try reader.next()?.content else {
            Issue.record("no bytes")
            return
        }
        #expect(Array(text) == Array("hi".utf8))
        #expect(try reader.next()?.content == .fixed32(7))
        #expect(try reader.next()?.content == .fixed64(.max))
        guard case .bytes(let packed)? = try reader.next()?.content else {
            Issue.record("no bytes")
            return
        }
        #expect(try ProtobufReader.packed(packed) == [1, 300, .max])
        #expect(try reader.next() == nil)
    }

    @Test(
        "hostile protobuf is refused",
        arguments: [
            [0x08], [0x00, 0x01], [0x0B], [0x12, 0x05, 0x01], [0x0D, 0x01], [0x09, 1, 2, 3],
            [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],
            [0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        ] as [[UInt8]]
    )
    func badProtobuf(bytes: [UInt8]) {
        #expect(throws: WireError.self) {
            var reader = ProtobufReader(bytes)
            while try reader.next() != nil {}
        }
    }
}
