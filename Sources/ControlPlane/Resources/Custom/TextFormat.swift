import Wire

/// The formats of texts and numbers that are checked; every other `format` is a word for readers alone.
enum TextFormat: String, Sendable, CaseIterable {
    case dateTime = "date-time"
    case date
    case duration
    case byte
    case email
    case hostname
    case ipv4
    case ipv6
    case cidr
    case mac
    case uri
    case uuid
    case uuid3
    case uuid4
    case uuid5
    case int32
    case int64
    case float
    case double

    /// Formats that Kubernetes knows by other spellings (`datetime`).
    init?(word: String) {
        if word == "datetime" { self = .dateTime } else { self.init(rawValue: word) }
    }

    /// Whether a value has the format; values of other types have every format.
    func accepts(_ value: Value) -> Bool {
        switch value {
        case .string(let text): return accepts(text)
        case .int(let number): return self != .int32 || Int32(exactly: number) != nil
        case .double(let number):
            switch self {
            case .int32: return Int32(exactly: number) != nil
            case .int64: return Int64(exactly: number) != nil
            case .float: return abs(number) <= Double(Float.greatestFiniteMagnitude)
            default: return true
            }
        default: return true
        }
    }

    private func accepts(_ text: String) -> Bool {
        switch self {
        case .dateTime: return Timestamp(text) != nil
        case .date: return text.utf8.count == 10 && Timestamp(text + "T00:00:00Z") != nil
        case .duration: return Self.isDuration(text)
        case .byte: return Base64.decode(text) != nil
        case .email: return Self.isEmail(text)
        case .hostname: return Self.isHostName(text)
        case .ipv4: return Addresses.parseIPv4(text) != nil
        case .ipv6: return Self.isIPv6(text)
        case .cidr: return Self.isCIDR(text)
        case .mac: return Self.isMAC(text)
        case .uri: return Self.isURI(text)
        case .uuid: return Self.isUUID(text, version: nil)
        case .uuid3: return Self.isUUID(text, version: "3")
        case .uuid4: return Self.isUUID(text, version: "4")
        case .uuid5: return Self.isUUID(text, version: "5")
        case .int32, .int64, .float, .double: return true
        }
    }

    /// Go's form: `1h30m`, `-1.5s`, `300ms`, `0`.
    private static func isDuration(_ text: String) -> Bool {
        var rest = Substring(text)
        if rest.first == "-" || rest.first == "+" { rest = rest.dropFirst() }
        if rest == "0" { return true }
        guard !rest.isEmpty, rest.utf8.count <= 64 else { return false }
        while !rest.isEmpty {
            let number = rest.prefix { $0 == "." || $0.isASCII && $0.isWholeNumber }
            guard number.contains(where: \.isWholeNumber), number.filter({ $0 == "." }).count <= 1 else { return false }
            rest = rest.dropFirst(number.count)
            guard let unit = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"].first(where: { rest.hasPrefix($0) }) else {
                return false
            }
            rest = rest.dropFirst(unit.count)
        }
        return true
    }

    private static func isEmail(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[0].utf8.count <= 64 else { return false }
        return parts[0].utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"()<>[]:;\\,\"".utf8.contains($0) }
            && isHostName(String(parts[1]))
    }

    private static func isHostName(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 255 else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            guard let first = label.utf8.first, let last = label.utf8.last, label.utf8.count <= 63 else { return false }
            let isEdge = { (byte: UInt8) in byte.isLetterOrDigit }
            return isEdge(first) && isEdge(last) && label.utf8.allSatisfy { isEdge($0) || $0 == UInt8(ascii: "-") }
        }
    }

    private static func isCIDR(_ text: String) -> Bool {
        guard let (address, bits) = text.split(at: "/"), let length = Int(bits), String(length) == bits else {
            return false
        }
        if Addresses.parseIPv4(address) != nil { return (0...32).contains(length) }
        return isIPv6(address) && (0...128).contains(length)
    }

    /// RFC 4291 2.2: eight groups, one run of them left out, the last two perhaps as an IPv4 address.
    private static func isIPv6(_ text: String) -> Bool {
        guard text.contains(":"), text.utf8.count <= 45 else { return false }
        let halves: [String]
        if let (left, right) = text.split(at: "::") { halves = [left, right] } else { halves = [text] }
        var count = 0
        for (index, half) in halves.enumerated() where !half.isEmpty {
            let groups = half.split(separator: ":", omittingEmptySubsequences: false)
            for (place, group) in groups.enumerated() {
                let isLast = place == groups.count - 1 && index == halves.count - 1
                if isLast, group.contains("."), Addresses.parseIPv4(String(group)) != nil {
                    count += 2
                } else {
                    guard (1...4).contains(group.utf8.count), group.utf8.allSatisfy({ $0.isHexDigit }) else {
                        return false
                    }
                    count += 1
                }
            }
        }
        return halves.count == 2 ? count <= 7 : count == 8
    }

    private static func isMAC(_ text: String) -> Bool {
        for separator in [":", "-"] as [Character] {
            let parts = text.split(separator: separator, omittingEmptySubsequences: false)
            if [6, 8, 20].contains(parts.count), parts.allSatisfy({ isHex($0, count: 2) }) { return true }
        }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return [3, 4, 10].contains(parts.count) && parts.allSatisfy { isHex($0, count: 4) }
    }

    /// What Go's `url.ParseRequestURI` takes: absolute, or a path from the root.
    private static func isURI(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else { return false }
        if text.hasPrefix("/") { return true }
        guard let (scheme, rest) = text.split(at: ":"), let first = scheme.utf8.first else { return false }
        let isLetter = first.isLetterOrDigit && !(48...57).contains(first)
        return isLetter && !rest.isEmpty
            && scheme.utf8.allSatisfy { $0.isLetterOrDigit || "+-.".utf8.contains($0) }
    }

    private static func isUUID(_ text: String, version: Character?) -> Bool {
        var text = text
        if text.utf8.count == 32 {
            for place in [20, 16, 12, 8] { text.insert("-", at: text.index(text.startIndex, offsetBy: place)) }
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 5, zip(parts, [8, 4, 4, 4, 12]).allSatisfy({ isHex($0, count: $1) }) else { return false }
        return version.map { parts[2].first == $0 } ?? true
    }

    private static func isHex(_ text: Substring, count: Int) -> Bool {
        text.utf8.count == count && text.utf8.allSatisfy { $0.isHexDigit }
    }
}

extension UInt8 {
    fileprivate var isLetterOrDigit: Bool {
        (48...57).contains(self) || (65...90).contains(self) || (97...122).contains(self)
    }

    fileprivate var isHexDigit: Bool {
        (48...57).contains(self) || (65...70).contains(self) || (97...102).contains(self)
    }
}
