package import Wire

/// Objects as compact JSON: what the store keeps, the API sends and `last-applied-configuration` holds.
package enum ObjectText {
    /// Nesting beyond this is refused, as Kubernetes' own reader does far later.
    package static let maximumDepth = 128

    /// The JSON text of a value, without white space, in the order of its fields.
    package static func encode(_ value: Value) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(512)
        write(value, to: &output)
        return output
    }

    /// The JSON text of a value as a string.
    package static func string(_ value: Value) -> String { String(decoding: encode(value), as: UTF8.self) }

    /// Reads one JSON value that fills all of `bytes`.
    ///
    /// - Throws: `APIError` 400 with the place of the first fault: bad syntax, a name twice, depth beyond the limit.
    package static func decode(_ bytes: [UInt8]) throws(APIError) -> Value {
        var reader = JSONReader(bytes: bytes)
        return try reader.whole()
    }

    private static func write(_ value: Value, to output: inout [UInt8]) {
        switch value {
        case .null: output += "null".utf8
        case .bool(let value): output += (value ? "true" : "false").utf8
        case .int(let value): output += String(value).utf8
        case .double(let value): output += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): write(value, to: &output)
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                write(element, to: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .object(let fields):
            output.append(UInt8(ascii: "{"))
            var isFirst = true
            for (name, element) in fields {
                if !isFirst { output.append(UInt8(ascii: ",")) }
                isFirst = false
                write(name, to: &output)
                output.append(UInt8(ascii: ":"))
                write(element, to: &output)
            }
            output.append(UInt8(ascii: "}"))
        }
    }

    private static let hex = Array("0123456789abcdef".utf8)

    private static func write(_ text: String, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): output += "\\\"".utf8
            case UInt8(ascii: "\\"): output += "\\\\".utf8
            case 10: output += "\\n".utf8
            case 13: output += "\\r".utf8
            case 9: output += "\\t".utf8
            case 0..<32: output += [92, 117, 48, 48, hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}

/// A strict JSON reader (RFC 8259): bounded depth, each name once, valid UTF-8.
private struct JSONReader {
    let bytes: [UInt8]
    var position = 0

    mutating func whole() throws(APIError) -> Value {
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw fault("more text after the value") }
        return value
    }

    private func fault(_ what: String) -> APIError { .badRequest("invalid JSON at byte \(position): \(what)") }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 32 || byte == 10 || byte == 13 || byte == 9 { position += 1 }
    }

    private mutating func value(depth: Int) throws(APIError) -> Value {
        guard depth <= ObjectText.maximumDepth else { throw fault("nested deeper than \(ObjectText.maximumDepth)") }
        skipSpace()
        switch current {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw fault("the text ends early")
        default: return try number()
        }
    }

    private mutating func word(_ word: String, _ value: Value) throws(APIError) -> Value {
        guard bytes[position...].starts(with: word.utf8) else { throw fault("unknown word") }
        position += word.utf8.count
        return value
    }

    private mutating func object(depth: Int) throws(APIError) -> Value {
        position += 1
        var fields = Fields()
        skipSpace()
        if current == UInt8(ascii: "}") {
            position += 1
            return .object(fields)
        }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw fault("a field's name in quotes is expected") }
            let name = try string()
            guard fields[name] == nil else { throw fault("the field \"\(name)\" stands there twice") }
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw fault("':' is expected") }
            position += 1
            fields[name] = try value(depth: depth + 1)
            if try isLast(before: UInt8(ascii: "}")) { return .object(fields) }
        }
    }

    private mutating func array(depth: Int) throws(APIError) -> Value {
        position += 1
        var elements: [Value] = []
        skipSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return .array(elements)
        }
        while true {
            elements.append(try value(depth: depth + 1))
            if try isLast(before: UInt8(ascii: "]")) { return .array(elements) }
        }
    }

    /// Steps over `,` (false) or the closing byte (true).
    private mutating func isLast(before end: UInt8) throws(APIError) -> Bool {
        skipSpace()
        guard let byte = current, byte == end || byte == UInt8(ascii: ",") else {
            throw fault("',' or '\(Character(Unicode.Scalar(end)))' is expected")
        }
        position += 1
        return byte == end
    }

    private mutating func string() throws(APIError) -> String {
        position += 1
        let start = position
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 32 { position += 1 }
        var text = Array(bytes[start..<position])
        while true {
            guard let byte = current else { throw fault("a string is not closed") }
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else { throw fault("a string is no UTF-8") }
                return string
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<32: throw fault("a control character in a string")
            default: text.append(byte)
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(APIError) {
        guard let byte = current else { throw fault("a string is not closed") }
        position += 1
        switch byte {
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "u"):
            var code = try hexCode()
            if (0xD800..<0xDC00).contains(code) {
                guard current == UInt8(ascii: "\\"), bytes[position...].dropFirst().first == UInt8(ascii: "u") else {
                    throw fault("half a surrogate pair")
                }
                position += 2
                let low = try hexCode()
                guard (0xDC00..<0xE000).contains(low) else { throw fault("half a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("half a surrogate pair") }
            text += Array(String(Character(scalar)).utf8)
        default: throw fault("an unknown escape")
        }
    }

    private mutating func hexCode() throws(APIError) -> UInt32 {
        let digits = bytes[position...].prefix(4)
        var code: UInt32 = 0
        for byte in digits {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw fault("a bad \\u escape") }
            code = code << 4 | UInt32(digit)
        }
        guard digits.count == 4 else { throw fault("a bad \\u escape") }
        position += 4
        return code
    }

    private mutating func number() throws(APIError) -> Value {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        let whole = digits()
        guard whole > 0, whole == 1 || bytes[position - whole] != 48 else { throw fault("a value is expected") }
        var isWhole = true
        if current == UInt8(ascii: ".") {
            position += 1
            isWhole = false
            guard digits() > 0 else { throw fault("digits are expected after '.'") }
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            position += 1
            isWhole = false
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            guard digits() > 0 else { throw fault("digits are expected in the exponent") }
        }
        guard position - start <= 400 else { throw fault("a number of more than 400 digits") }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let number = Int64(text) { return .int(number) }
        guard let number = Double(text), number.isFinite else { throw fault("a number beyond what 64 bits hold") }
        return .double(number)
    }

    private mutating func digits() -> Int {
        let start = position
        while let byte = current, (48...57).contains(byte) { position += 1 }
        return position - start
    }
}
