import Wire

/// The messages in which Kubernetes' clients write objects as protobuf: which number a field has and what it holds.
///
/// The table is text. `Name:` begins a message, then come its fields, `number name type`, parted by `;`. A type is `s` (text), `b`
/// (boolean), `i` (number, 0 means none), `p` (number, 0 counts), `d` (double), `y` (bytes), `Q` (quantity), `T` and `U` (times), `I`
/// (number or text), `J` (JSON inside), `L` (list of texts inside) or the name of a message; `[` before it makes a list, `{` a map
/// from texts. The name `-` puts the fields of a message among those of the outer one.
enum ProtobufTable {
    indirect enum Kind: Sendable, Equatable {
        case text, bool, count, number, double, bytes, quantity, time, microTime, intOrText, json, texts
        case message(String)
        case list(Kind)
        case map(Kind)
    }

    struct Field: Sendable {
        let name: String
        let kind: Kind
    }

    static let messages: [String: [Int: Field]] = read(objects + parts + leaves)

    /// The message of a kind in a version; nil for one that is not read.
    static func message(apiVersion: String, kind: String) -> String? {
        let prefix = apiVersion.split(whereSeparator: { $0 == "/" || $0 == "." })
        let group = prefix.first.map { $0.prefix(1).uppercased() + $0.dropFirst() } ?? ""
        let version = prefix.last.map { $0.uppercased() } ?? ""
        for name in ["\(group)\(version)\(kind)", kind] where messages[name] != nil { return name }
        return nil
    }

    static func read(_ text: String) -> [String: [Int: Field]] {
        var messages: [String: [Int: Field]] = [:]
        var name = ""
        for line in text.split(separator: "\n") {
            guard !line.hasSuffix(":") else {
                name = String(line.dropLast())
                messages[name] = [:]
                continue
            }
            for field in line.split(separator: ";") {
                let words = field.split(separator: " ")
                guard words.count == 3, let number = Int(words[0]) else { continue }
                messages[name]?[number] = Field(name: String(words[1]), kind: kind(words[2]))
            }
        }
        return messages
    }

    private static let scalars: [Substring: Kind] = [
        "s": .text, "b": .bool, "i": .count, "p": .number, "d": .double, "y": .bytes, "Q": .quantity, "T": .time,
        "U": .microTime, "I": .intOrText, "J": .json, "L": .texts,
    ]

    private static func kind(_ word: Substring) -> Kind {
        if word.hasPrefix("[") { return .list(kind(word.dropFirst())) }
        if word.hasPrefix("{") { return .map(kind(word.dropFirst())) }
        return scalars[word] ?? .message(String(word))
    }
}
