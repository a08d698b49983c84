extension JSON {
    /// The text of a value: without spaces, or with two spaces per level.
    ///
    /// Numbers without a JSON form (infinity, not-a-number) become `null`.
    public static func write(_ value: Value, pretty: Bool = false) -> String {
        String(decoding: bytes(value, pretty: pretty), as: UTF8.self)
    }

    /// The text of a value as UTF-8.
    public static func bytes(_ value: Value, pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(isPretty: pretty)
        writer.append(value, level: 0)
        return writer.output
    }
}

struct JSONWriter {
    let isPretty: Bool
    private(set) var output: [UInt8] = []

    init(isPretty: Bool) {
        self.isPretty = isPretty
        output.reserveCapacity(256)
    }

    mutating func append(_ value: Value, level: Int) {
        switch value {
        case .null: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .int(let number): append("\(number)")
        case .double(let number): append(Self.text(of: number))
        case .string(let text): append(quoted: text)
        case .array(let elements): append(elements, level)
        case .object(let fields): append(fields, level)
        }
    }

    private mutating func append(_ elements: [Value], _ level: Int) {
        guard !elements.isEmpty else { return append("[]") }
        output.append(UInt8(ascii: "["))
        for (index, element) in elements.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            newLine(level + 1)
            append(element, level: level + 1)
        }
        newLine(level)
        output.append(UInt8(ascii: "]"))
    }

    private mutating func append(_ fields: Fields, _ level: Int) {
        guard !fields.isEmpty else { return append("{}") }
        output.append(UInt8(ascii: "{"))
        var isFirst = true
        for (name, value) in fields {
            if !isFirst { output.append(UInt8(ascii: ",")) }
            isFirst = false
            newLine(level + 1)
            append(quoted: name)
            append(isPretty ? ": " : ":")
            append(value, level: level + 1)
        }
        newLine(level)
        output.append(UInt8(ascii: "}"))
    }

    private mutating func newLine(_ level: Int) {
        guard isPretty else { return }
        output.append(0x0A)
        for _ in 0..<level * 2 { output.append(0x20) }
    }

    private mutating func append(_ text: String) { output.append(contentsOf: text.utf8) }

    private mutating func append(quoted text: String) {
        var text = text
        output.append(UInt8(ascii: "\""))
        text.withUTF8 { bytes in
            // Runs without anything to escape go over in one piece.
            var start = 0
            for place in bytes.indices {
                let byte = bytes[place]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7F else {
                    continue
                }
                output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<place]))
                append(escaped: byte)
                start = place + 1
            }
            output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start...]))
        }
        output.append(UInt8(ascii: "\""))
    }

    private mutating func append(escaped byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x0A: append("\\n")
        case 0x0D: append("\\r")
        case 0x09: append("\\t")
        default:
            append(byte < 0x10 ? "\\u000" : "\\u00")
            append(String(byte, radix: 16))
        }
    }

    static func text(of number: Double) -> String {
        guard number.isFinite else { return "null" }
        if let whole = Int64(exactly: number), abs(number) < 1e15 { return "\(whole).0" }
        return "\(number)"
    }
}
