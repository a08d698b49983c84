/// An absolute URI or an absolute path, in its parts.
package struct CELURL: Sendable, Equatable {
    let scheme: String
    let host: String
    let hostname: String
    let port: String
    let path: String
    let query: String

    init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= 1 << 20, text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            return nil
        }
        var rest = Substring(text)
        scheme = Self.scheme(&rest)
        if let mark = rest.firstIndex(of: "?") {
            query = String(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        } else {
            query = ""
        }
        guard rest.hasPrefix("/") else {
            // `mailto:x` is an absolute URI without a path; anything else is none.
            guard !scheme.isEmpty else { return nil }
            (host, hostname, port, path) = ("", "", "", "")
            return
        }
        var authority = Substring()
        if rest.hasPrefix("//"), !scheme.isEmpty || !rest.hasPrefix("///") {
            rest = rest.dropFirst(2)
            authority = rest.prefix { $0 != "/" }
            rest = rest.dropFirst(authority.count)
        }
        if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }
        guard let (hostname, port) = Self.split(authority), Self.escaped(rest, isPath: true) != nil else { return nil }
        host = String(authority)
        self.hostname = hostname
        self.port = port
        path = Self.escaped(rest, isPath: true) ?? ""
    }

    private static func scheme(_ rest: inout Substring) -> String {
        guard let colon = rest.firstIndex(of: ":"), let first = rest.first, first.isASCII, first.isLetter else {
            return ""
        }
        let name = rest[..<colon]
        guard name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }) else { return "" }
        rest = rest[rest.index(after: colon)...]
        return name.lowercased()
    }

    /// Host and port; nil when one is malformed.
    private static func split(_ authority: Substring) -> (String, String)? {
        var name = authority
        var port = Substring()
        if authority.hasPrefix("[") {
            guard let end = authority.lastIndex(of: "]") else { return nil }
            name = authority[authority.index(after: authority.startIndex)..<end]
            let rest = authority[authority.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            port = rest.dropFirst()
        } else if let colon = authority.lastIndex(of: ":") {
            name = authority[..<colon]
            port = authority[authority.index(after: colon)...]
        }
        guard port.utf8.allSatisfy({ (48...57).contains($0) }), !name.contains(" "), !name.contains("<"),
            !name.contains("\""),
            !name.contains("\\"), !name.contains("^"), escaped(name, isPath: false) != nil
        else { return nil }
        return (String(name), String(port))
    }

    /// The text with what may not stand in a path escaped; nil when an escape in it is none.
    private static func escaped(_ text: Substring, isPath: Bool) -> String? {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        func isHex(_ place: Int) -> Bool {
            place < bytes.count && Character(Unicode.Scalar(bytes[place])).isHexDigit
        }
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "%"):
                guard isHex(index + 1), isHex(index + 2) else { return nil }
                result.append(byte)
            case 0x21, 0x24, 0x26...0x3B, 0x3D, 0x40...0x5B, 0x5D, 0x5F, 0x61...0x7A, 0x7E: result.append(byte)
            default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The pairs of the query, names in their order.
    var pairs: [(name: String, values: [String])] {
        var pairs: [(name: String, values: [String])] = []
        for item in query.split(separator: "&").prefix(10_000) {
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.unescaped(parts[0]), let value = parts.count > 1 ? Self.unescaped(parts[1]) : ""
            else {
                continue
            }
            if let place = pairs.firstIndex(where: { $0.name == name }) {
                pairs[place].values.append(value)
            } else {
                pairs.append((name, [value]))
            }
        }
        return pairs
    }

    private static func unescaped(_ text: Substring) -> String? {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%") {
                guard index + 2 < bytes.count,
                    let byte = UInt8(String(decoding: bytes[index + 1...index + 2], as: UTF8.self), radix: 16)
                else { return nil }
                result.append(byte)
                index += 3
            } else {
                result.append(bytes[index] == UInt8(ascii: "+") ? 0x20 : bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

extension CELEvaluator {
    static func part(_ function: CELFunction, of url: CELURL) -> CELValue? {
        switch function {
        case .getScheme: return .string(url.scheme)
        case .getHost: return .string(url.host)
        case .getHostname: return .string(url.hostname)
        case .getPort: return .string(url.port)
        case .getEscapedPath: return .string(url.path)
        case .getQuery:
            var map = CELMap()
            for pair in url.pairs { try? map.insert(.string(pair.name), .list(pair.values.map { .string($0) })) }
            return .map(map)
        default: return nil
        }
    }
}
