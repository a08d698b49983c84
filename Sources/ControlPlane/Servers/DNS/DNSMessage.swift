/// A question of DNS, as a client asked it (RFC 1035 section 4.1).
package struct DNSQuery: Sendable, Equatable {
    package let id: UInt16
    /// The labels in lower case, joined by points, without the last one.
    package let name: String
    package let type: UInt16
    package let recursionDesired: Bool
    /// Bytes that the client takes over UDP: 512, or what its EDNS record says (RFC 6891), at most 1232.
    package let payloadSize: Int
    package let hasEDNS: Bool
    /// The question section as it came: it goes back unchanged, in the client's own case.
    let question: [UInt8]

    /// Question types of RFC 1035, RFC 2782 and RFC 3596.
    package enum RecordType {
        package static let a: UInt16 = 1
        package static let cname: UInt16 = 5
        package static let ptr: UInt16 = 12
        package static let aaaa: UInt16 = 28
        package static let srv: UInt16 = 33
        package static let any: UInt16 = 255
    }

    /// Why bytes are no question that can be answered.
    package enum Fault: Error, Equatable {
        /// Not even a header, or an answer: nothing is sent back.
        case unanswerable
        case formatError(id: UInt16)
        case notImplemented(id: UInt16)
    }

    private static let headerSize = 12
    private static let classIN: UInt16 = 1
    /// RFC 6891 section 6.2.5 and the DNS flag day's safe size.
    private static let largestPayload = 1232

    package init(_ bytes: [UInt8]) throws(Fault) {
        guard bytes.count >= Self.headerSize, bytes[2] & 0x80 == 0 else { throw .unanswerable }
        id = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        guard bytes[2] & 0x78 == 0 else { throw .notImplemented(id: id) }
        recursionDesired = bytes[2] & 1 != 0
        let counts = (0..<4).map { Int(bytes[4 + 2 * $0]) << 8 | Int(bytes[5 + 2 * $0]) }
        guard counts[0] == 1, counts[1] == 0, counts[2] == 0, counts[3] <= 4 else { throw .formatError(id: id) }
        var position = Self.headerSize
        guard let labels = Self.labels(bytes, &position), position + 4 <= bytes.count else {
            throw .formatError(id: id)
        }
        name = labels
        type = UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
        let recordClass = UInt16(bytes[position + 2]) << 8 | UInt16(bytes[position + 3])
        position += 4
        guard recordClass == Self.classIN || recordClass == 255 else { throw .notImplemented(id: id) }
        question = Array(bytes[Self.headerSize..<position])
        var size: Int?
        for _ in 0..<counts[3] {
            guard let found = Self.additional(bytes, &position) else { throw .formatError(id: id) }
            if let payload = found { size = payload }
        }
        hasEDNS = size != nil
        payloadSize = min(Self.largestPayload, max(512, size ?? 512))
    }

    /// A question's name: no compression, labels of at most 63 bytes, 255 in all.
    private static func labels(_ bytes: [UInt8], _ position: inout Int) -> String? {
        var name: [UInt8] = []
        while position < bytes.count {
            let length = Int(bytes[position])
            position += 1
            guard length > 0 else { return String(validating: name, as: UTF8.self) }
            guard length <= 63, position + length <= bytes.count, name.count + length + 1 <= 254 else { return nil }
            if !name.isEmpty { name.append(UInt8(ascii: ".")) }
            for byte in bytes[position..<position + length] {
                // A point inside a label, or a control byte, could pass for another name.
                guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: ".") else { return nil }
                let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                name.append(isUpper ? byte | 0x20 : byte)
            }
            position += length
        }
        return nil
    }

    /// Skips one additional record; `.some(size)` for EDNS, `.some(nil)` for others, nil when malformed.
    private static func additional(_ bytes: [UInt8], _ position: inout Int) -> Int?? {
        guard position < bytes.count else { return .none }
        if bytes[position] == 0 {
            position += 1
        } else if bytes[position] & 0xC0 == 0xC0 {
            position += 2
        } else {
            guard labels(bytes, &position) != nil else { return .none }
        }
        guard position + 10 <= bytes.count else { return .none }
        let type = UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
        let size = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
        let length = Int(bytes[position + 8]) << 8 | Int(bytes[position + 9])
        position += 10
        guard position + length <= bytes.count else { return .none }
        position += length
        return type == 41 ? .some(.some(size)) : .some(.none)
    }
}

/// One record of an answer.
package enum DNSRecord: Sendable, Equatable {
    /// Four bytes in network order.
    case a([UInt8])
    case srv(priority: UInt16, weight: UInt16, port: UInt16, target: String)
    case ptr(String)
    /// Another name that this one stands for.
    case cname(String)
    /// Sixteen bytes in network order.
    case aaaa([UInt8])

    var type: UInt16 {
        switch self {
        case .a: DNSQuery.RecordType.a
        case .aaaa: DNSQuery.RecordType.aaaa
        case .cname: DNSQuery.RecordType.cname
        case .srv: DNSQuery.RecordType.srv
        case .ptr: DNSQuery.RecordType.ptr
        }
    }
}

/// What a name resolves to.
package enum DNSAnswer: Sendable, Equatable {
    /// Records of the type asked for, and with `additional` the addresses of their targets.
    case records([DNSRecord], additional: [(name: String, record: DNSRecord)])
    /// The name stands for another; what that one has of the type asked for comes along, for clients follow no aliases.
    case alias(target: String, records: [DNSRecord])
    /// The name exists, but not with this type.
    case noData
    case noName
    /// The name is none of ours: ask the machine's resolvers.
    case elsewhere
    case failure

    package static func == (left: DNSAnswer, right: DNSAnswer) -> Bool {
        switch (left, right) {
        case (.records(let a, let x), .records(let b, let y)):
            a == b && x.map(\.name) == y.map(\.name) && x.map(\.record) == y.map(\.record)
        case (.alias(let a, let x), .alias(let b, let y)): a == b && x == y
        case (.noData, .noData), (.noName, .noName), (.elsewhere, .elsewhere), (.failure, .failure): true
        default: false
        }
    }
}

/// Writes answers (RFC 1035 section 4).
package enum DNSWriter {
    /// Seconds that a client may keep an answer: as CoreDNS in Kubernetes.
    private static let lifetime: UInt32 = 5

    /// The bytes of an answer, cut to `limit` with the TC bit set when they are more.
    package static func answer(_ query: DNSQuery, _ answer: DNSAnswer, limit: Int) -> [UInt8] {
        var code: UInt8 = 0
        var records: [DNSRecord] = []
        var additional: [(name: String, record: DNSRecord)] = []
        switch answer {
        case .records(let found, let more): (records, additional) = (found, more)
        case .alias(let target, let found):
            let whole = message(
                query,
                0,
                [.cname(target)],
                found.map { (target, $0) },
                isTruncated: false,
                isAlias: true
            )
            return whole.count > limit ? message(query, 0, [], [], isTruncated: true) : whole
        case .noData: break
        case .noName: code = 3
        case .elsewhere, .failure: code = 2
        }
        let whole = message(query, code, records, additional, isTruncated: false)
        guard whole.count > limit else { return whole }
        let short = message(query, code, records, [], isTruncated: false)
        guard short.count > limit else { return short }
        return message(query, code, [], [], isTruncated: true)
    }

    /// An answer to a question that could not be read.
    package static func failure(id: UInt16, code: UInt8) -> [UInt8] {
        [UInt8(id >> 8), UInt8(id & 0xFF), 0x80, code, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    private static func message(
        _ query: DNSQuery,
        _ code: UInt8,
        _ records: [DNSRecord],
        _ additional: [(name: String, record: DNSRecord)],
        isTruncated: Bool,
        isAlias: Bool = false
    ) -> [UInt8] {
        let isAuthoritative: UInt8 = code == 2 ? 0 : 0x04
        var bytes: [UInt8] = [UInt8(query.id >> 8), UInt8(query.id & 0xFF)]
        bytes.append(0x80 | isAuthoritative | (isTruncated ? 0x02 : 0) | (query.recursionDesired ? 1 : 0))
        bytes.append(0x80 | code)
        append(1, &bytes)
        // Behind an alias the records of its target are part of the answer.
        append(UInt16(clamping: records.count + (isAlias ? additional.count : 0)), &bytes)
        append(0, &bytes)
        append(UInt16(clamping: (isAlias ? 0 : additional.count) + (query.hasEDNS ? 1 : 0)), &bytes)
        bytes += query.question
        for record in records {
            // The name of the question stands at byte 12.
            bytes += [0xC0, 12]
            append(record, &bytes)
        }
        for (name, record) in additional {
            append(name: name, &bytes)
            append(record, &bytes)
        }
        if query.hasEDNS { bytes += [0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0] }
        return bytes
    }

    private static func append(_ record: DNSRecord, _ bytes: inout [UInt8]) {
        append(record.type, &bytes)
        append(1, &bytes)
        append(UInt16(lifetime >> 16), &bytes)
        append(UInt16(lifetime & 0xFFFF), &bytes)
        var data: [UInt8] = []
        switch record {
        case .a(let address), .aaaa(let address): data = address
        case .ptr(let name), .cname(let name): append(name: name, &data)
        case .srv(let priority, let weight, let port, let target):
            append(priority, &data)
            append(weight, &data)
            append(port, &data)
            append(name: target, &data)
        }
        append(UInt16(clamping: data.count), &bytes)
        bytes += data
    }

    private static func append(name: String, _ bytes: inout [UInt8]) {
        for label in name.split(separator: ".") {
            let part = label.utf8.prefix(63)
            bytes.append(UInt8(part.count))
            bytes += part
        }
        bytes.append(0)
    }

    private static func append(_ number: UInt16, _ bytes: inout [UInt8]) {
        bytes += [UInt8(number >> 8), UInt8(number & 0xFF)]
    }
}
