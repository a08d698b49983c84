/// An IP address of either family.
package struct CELAddress: Sendable, Equatable {
    /// 4 or 16 bytes.
    let bytes: [UInt8]

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// Reads an address as Kubernetes takes it: no zone, no leading zeros, no IPv4 inside IPv6.
    init?(_ text: String) {
        guard text.utf8.count <= 45 else { return nil }
        if !text.utf8.contains(UInt8(ascii: ":")) {
            guard let four = Self.four(Substring(text)) else { return nil }
            bytes = four
            return
        }
        guard let sixteen = Self.sixteen(text) else { return nil }
        // IPv4-mapped addresses are refused.
        guard !(sixteen.prefix(10).allSatisfy { $0 == 0 } && sixteen[10] == 255 && sixteen[11] == 255) else {
            return nil
        }
        bytes = sixteen
    }

    private static func four(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
                part.utf8.count == 1 || part.utf8.first != 48, let byte = UInt8(part)
            else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private static func sixteen(_ text: String) -> [UInt8]? {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return nil }
        guard let head = groups(halves[0]) else { return nil }
        guard halves.count == 2 else { return head.count == 16 ? head : nil }
        guard let tail = groups(halves[1]), head.count + tail.count <= 14 else { return nil }
        return head + Array(repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring) -> [UInt8]? {
        guard !text.isEmpty else { return [] }
        var bytes: [UInt8] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains("."), let four = four(part) {
                bytes += four
                continue
            }
            guard (1...4).contains(part.utf8.count), part.allSatisfy(\.isHexDigit), let group = UInt16(part, radix: 16)
            else { return nil }
            bytes += [UInt8(group >> 8), UInt8(group & 255)]
        }
        return bytes
    }

    var isFour: Bool { bytes.count == 4 }

    /// The canonical form (RFC 5952).
    var text: String {
        if isFour { return bytes.map(String.init).joined(separator: ".") }
        let groups = (0..<8).map { UInt16(bytes[$0 * 2]) << 8 | UInt16(bytes[$0 * 2 + 1]) }
        var best = 0..<0
        var index = 0
        while index < 8 {
            var end = index
            while end < 8, groups[end] == 0 { end += 1 }
            if end - index > max(best.count, 1) { best = index..<end }
            index = max(end, index + 1)
        }
        func join(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard !best.isEmpty else { return join(groups[...]) }
        return join(groups[..<best.lowerBound]) + "::" + join(groups[best.upperBound...])
    }

    /// The address with all bits behind a prefix cleared.
    func masked(_ prefix: Int) -> CELAddress {
        CELAddress(
            bytes: bytes.enumerated().map { index, byte in
                let kept = min(max(prefix - index * 8, 0), 8)
                return byte & UInt8(truncatingIfNeeded: 0xFF00 >> kept)
            }
        )
    }

    var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
    var isLoopback: Bool { isFour ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1 }
    var isMulticast: Bool { isFour ? bytes[0] & 0xF0 == 0xE0 : bytes[0] == 0xFF }
    var isLinkLocalMulticast: Bool {
        isFour ? bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0 : bytes[0] == 0xFF && bytes[1] & 0x0F == 2
    }
    var isLinkLocalUnicast: Bool {
        isFour ? bytes[0] == 169 && bytes[1] == 254 : bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80
    }
    var isGlobalUnicast: Bool {
        !isUnspecified && !isLoopback && !isMulticast && !isLinkLocalUnicast && bytes != [255, 255, 255, 255]
    }

    /// Reads `address/length`.
    static func range(_ text: String) -> (address: CELAddress, prefix: Int)? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = CELAddress(String(parts[0])), (1...3).contains(parts[1].utf8.count),
            parts[1].utf8.allSatisfy({ (48...57).contains($0) }), parts[1].utf8.count == 1 || parts[1].first != "0",
            let prefix = Int(parts[1]), prefix <= address.bytes.count * 8
        else { return nil }
        return (address, prefix)
    }
}

extension CELEvaluator {
    func network(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        switch values.first {
        case .string(let text): try network(function, text: text)
        case .opaque(.ip(let address)): Self.address(function, address)
        case .opaque(.cidr(let address, let prefix)):
            try range(function, address, prefix, values.count > 1 ? values[1] : .null)
        case .opaque(.url(let url)): Self.part(function, of: url)
        default: nil
        }
    }

    private func network(_ function: CELFunction, text: String) throws(CELFailure) -> CELValue? {
        switch function {
        case .ip, .isCanonical:
            guard let address = CELAddress(text) else {
                throw CELFailure("IP Address '\(text.prefix(64))' parse error during conversion from string")
            }
            return function == .ip ? .opaque(.ip(address)) : .bool(address.text == text)
        case .isIP: return .bool(CELAddress(text) != nil)
        case .cidr:
            guard let range = CELAddress.range(text) else {
                throw CELFailure("network address parse error during conversion from string: \(text.prefix(64))")
            }
            return .opaque(.cidr(range.address, prefix: range.prefix))
        case .isCIDR: return .bool(CELAddress.range(text) != nil)
        case .url:
            guard let url = CELURL(text) else { throw CELFailure("URL parse error during conversion from string") }
            return .opaque(.url(url))
        case .isURL: return .bool(CELURL(text) != nil)
        default: return nil
        }
    }

    private static func address(_ function: CELFunction, _ address: CELAddress) -> CELValue? {
        switch function {
        case .family: .int(address.isFour ? 4 : 6)
        case .isUnspecified: .bool(address.isUnspecified)
        case .isLoopback: .bool(address.isLoopback)
        case .isLinkLocalMulticast: .bool(address.isLinkLocalMulticast)
        case .isLinkLocalUnicast: .bool(address.isLinkLocalUnicast)
        case .isGlobalUnicast: .bool(address.isGlobalUnicast)
        default: nil
        }
    }

    private func range(
        _ function: CELFunction,
        _ address: CELAddress,
        _ prefix: Int,
        _ argument: CELValue
    ) throws(CELFailure) -> CELValue? {
        switch function {
        case .ip: return .opaque(.ip(address))
        case .prefixLength: return .int(Int64(prefix))
        case .masked: return .opaque(.cidr(address.masked(prefix), prefix: prefix))
        case .containsIP:
            var other: CELAddress?
            if case .opaque(.ip(let given)) = argument { other = given }
            if case .string(let text) = argument {
                other = CELAddress(text)
                if other == nil {
                    throw CELFailure("IP Address '\(text.prefix(64))' parse error during conversion from string")
                }
            }
            return other.map {
                .bool($0.bytes.count == address.bytes.count && $0.masked(prefix) == address.masked(prefix))
            }
        case .containsCIDR:
            var other: (address: CELAddress, prefix: Int)?
            if case .opaque(.cidr(let given, let length)) = argument { other = (given, length) }
            if case .string(let text) = argument {
                other = CELAddress.range(text)
                if other == nil { throw CELFailure("network address parse error during conversion from string") }
            }
            return other.map {
                .bool(
                    $0.address.bytes.count == address.bytes.count && $0.prefix >= prefix
                        && $0.address.masked(prefix) == address.masked(prefix)
                )
            }
        default: return nil
        }
    }
}
