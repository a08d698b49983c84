import Tokens

/// Where a request may carry a token.
package enum TokenPlace: Sendable, Equatable {
    /// A header field, by its name in lower case; the token follows `prefix`.
    case header(name: [UInt8], prefix: [UInt8])
    case parameter(name: [UInt8])
    case cookie(name: [UInt8])

    /// Where tokens are looked for when a provider does not say.
    package static let defaults: [TokenPlace] = [
        .header(name: Array("authorization".utf8), prefix: Array("Bearer ".utf8)),
        .parameter(name: Array("access_token".utf8)),
    ]

    /// All tokens at this place: whoever reads the request later may take any of them, so each has to be good.
    package func tokens(_ view: RequestView) -> [[UInt8]] {
        switch self {
        case .header(let name, let prefix):
            let values = name.withUnsafeBytes { FieldText.values(ByteRun($0), view) }
            return values.compactMap { Self.token(in: $0, after: prefix) }
        case .parameter(let name):
            return view.query.isEmpty ? [] : Self.parameters(view.query, named: name)
        case .cookie(let name): return Self.cookies(view, named: name)
        }
    }

    /// The name of the header field, if it is one.
    package var headerName: [UInt8]? {
        if case .header(let name, _) = self { name } else { nil }
    }

    /// What follows the prefix, up to the first byte that no token has.
    private static func token(in value: ByteRun, after prefix: [UInt8]) -> [UInt8]? {
        guard !prefix.isEmpty else { return Array(value.trimmed.buffer) }
        var rest = value
        let found = prefix.withUnsafeBytes { raw in
            while let place = rest.firstIndex(of: raw[0]) {
                rest = rest.dropping(place)
                if rest.hasPrefix(ByteRun(raw)) { return true }
                rest = rest.dropping(1)
            }
            return false
        }
        guard found else { return nil }
        let tail = rest.dropping(prefix.count).trimmed.buffer
        guard let start = tail.firstIndex(where: isTokenByte) else { return Array(tail) }
        return Array(tail[start...].prefix(while: isTokenByte))
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), 0x2D, 0x2E, 0x3D, 0x5F: true
        default: false
        }
    }

    private static func parameters(_ query: ByteRun, named name: [UInt8]) -> [[UInt8]] {
        Array(query.buffer).split(separator: UInt8(ascii: "&")).compactMap { pair in
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            guard unescaped(pair[..<equals]) == name else { return nil }
            return equals < pair.endIndex ? unescaped(pair[(equals + 1)...]) : []
        }
    }

    /// Without percent signs; one that is no escape stays.
    private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            if text[index] == 0x25, index + 2 < text.endIndex, let high = hexadecimal(text[index + 1]),
                let low = hexadecimal(text[index + 2])
            {
                output.append(high << 4 | low)
                index += 3
            } else {
                output.append(text[index] == 0x2B ? 0x20 : text[index])
                index += 1
            }
        }
        return output
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    private static func cookies(_ view: RequestView, named name: [UInt8]) -> [[UInt8]] {
        FieldText.values(FieldText.run("cookie"), view).flatMap { CookieText.values($0, named: name) }
    }
}

/// Small readings of `cookie` fields.
package enum CookieText {
    /// The values of all cookies of this name in one field, without quotation marks.
    package static func values(_ field: ByteRun, named name: [UInt8]) -> [[UInt8]] {
        var list: [[UInt8]] = []
        var rest = field
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 0x3B) ?? rest.count
            let pair = rest.first(end).trimmed
            if let equals = pair.firstIndex(of: 0x3D), Array(pair.first(equals).trimmed.buffer) == name {
                var value = pair.dropping(equals + 1).trimmed
                if value.count >= 2, value[0] == 0x22, value[value.count - 1] == 0x22 {
                    value = value.dropping(1).first(value.count - 2)
                }
                list.append(Array(value.buffer))
            }
            rest = rest.dropping(end + 1)
        }
        return list
    }
}
