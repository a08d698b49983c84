import Bytes
import Testing
import Wire

/// Values of every shape that a seed gives, with texts that are hard to write.
private struct ValueMaker {
    var random: SeededRandom

    private static let words = [
        "", " ", "a", "yes", "No", "~", "null", "0", "-1", "0x1f", "0o7", "1e3", ".5", "5.", "+1", "-", "--", "---",
        "...",
        "?", ":", "a:", ":a", "a: b", "a #b", "#", "#a", "- a", "[a]", "{a}", "a,b", "&a", "*a", "!a", "|", ">", "'",
        "\"",
        "%a", "@a", "`", "<<", "=", "a\nb", "a\n", "\n", "\na", "a\n\nb\n", " a\nb", "a \nb", "a\n ", "\t", "a\tb",
        "\ta\nb",
        "\r", "a\r\nb", "\u{0}", "\u{7F}", "\u{85}", "\u{A0}", "\u{2028}", "\u{FEFF}", "é", "\u{1F600}", "y", "1_000",
        ".inf",
        "9223372036854775808", "\\", "\\n", "a\n---\nb", "a\n...\nb", "a\n# b",
    ]

    mutating func text() -> String {
        if random.next() % 100 == 0 { return String(repeating: random.next() & 1 == 0 ? "k" : "\u{85}", count: 1500) }
        if random.next() % 4 > 0 { return Self.words.randomElement(using: &random) ?? "" }
        return (0..<Int.random(in: 0...3, using: &random))
            .map { _ in Self.words.randomElement(using: &random) ?? "" }.joined()
    }

    mutating func value(depth: Int = 0) -> Value {
        switch random.next() % (depth < 5 ? 10 : 7) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .int(Int64(bitPattern: random.next()) >> Int64(random.next() % 64))
        case 3: return .double(Double(Int64(bitPattern: random.next())) / 1024)
        case 4...6: return .string(text())
        case 7, 8:
            return .object(
                Fields((0..<Int.random(in: 0...5, using: &random)).map { _ in (text(), value(depth: depth + 1)) })
            )
        default: return .array((0..<Int.random(in: 0...5, using: &random)).map { _ in value(depth: depth + 1) })
        }
    }
}

@Suite("Random values")
struct RandomValueTests {
    @Test("what is written as JSON or YAML is read back as the same value", arguments: 1...20 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var maker = ValueMaker(random: SeededRandom(seed: seed))
        for _ in 0..<200 {
            let value = maker.value()
            #expect(try JSON.parse(JSON.write(value)) == value)
            #expect(try JSON.parse(JSON.write(value, pretty: true)) == value)
            let yaml = YAML.write(value)
            let read = try? YAML.parse(yaml)
            #expect(read.map { $0.first?.value ?? .null } == value, "\(JSON.write(value)) became\n\(yaml)")
            if yaml.utf8.first != UInt8(ascii: "%") {
                let several = try? YAML.parse("---\n\(yaml)---\n\(yaml)")
                #expect(several.map { $0.allSatisfy { $0.value == value } } == true)
            }
        }
    }

    @Test("random bytes and broken texts are read or refused, never a crash", arguments: 1...20 as ClosedRange<UInt64>)
    func noise(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var maker = ValueMaker(random: SeededRandom(seed: seed &+ 1000))
        for _ in 0..<200 {
            var bytes = Array((random.next() & 1 == 0 ? YAML.write(maker.value()) : JSON.write(maker.value())).utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if let value = try? JSON.parse(bytes) { #expect((try? JSON.parse(JSON.write(value))) == value) }
            for document in (try? YAML.parse(bytes)) ?? [] {
                let again = try? YAML.parse(YAML.write(document.value))
                #expect(again.map { $0.first?.value ?? .null } == document.value)
            }
            var reader = ProtobufReader(bytes)
            while (try? reader.next()) != nil {}
        }
    }

    @Test("a place costs the same below long names: a hostile text does not fill the memory")
    func longPaths() throws {
        let name = String(repeating: "n", count: 1000)
        var text = ""
        for _ in 0..<40 { text += "{\(name): " }
        text += "[" + String(repeating: "1,", count: 100_000) + "1]" + String(repeating: "}", count: 40)
        let document = try #require(try YAML.parse(text).first)
        #expect(document.line(of: [name, name, name]) == 1)
    }
}
