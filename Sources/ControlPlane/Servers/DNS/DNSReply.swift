/// Reads the addresses out of another resolver's answer (RFC 1035 section 4.1). What cannot be read ends the search.
package enum DNSReply {
    /// More are not taken over.
    private static let limit = 64

    /// The addresses of a type, whatever names they stand under: the last of a chain of aliases has them.
    package static func addresses(in bytes: [UInt8], type: UInt16) -> [DNSRecord] {
        guard bytes.count >= 12, bytes[3] & 0x0F == 0 else { return [] }
        let answers = Int(bytes[6]) << 8 | Int(bytes[7])
        var position = 12
        guard skipName(bytes, &position), position + 4 <= bytes.count else { return [] }
        position += 4
        var found: [DNSRecord] = []
        for _ in 0..<answers where found.count < limit {
            guard skipName(bytes, &position), position + 10 <= bytes.count else { break }
            let kind = UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
            let length = Int(bytes[position + 8]) << 8 | Int(bytes[position + 9])
            position += 10
            guard position + length <= bytes.count else { break }
            let data = Array(bytes[position..<position + length])
            position += length
            guard kind == type else { continue }
            if kind == DNSQuery.RecordType.a, length == 4 { found.append(.a(data)) }
            if kind == DNSQuery.RecordType.aaaa, length == 16 { found.append(.aaaa(data)) }
        }
        return found
    }

    private static func skipName(_ bytes: [UInt8], _ position: inout Int) -> Bool {
        while position < bytes.count {
            let length = Int(bytes[position])
            if length & 0xC0 == 0xC0 {
                position += 2
                return position <= bytes.count
            }
            position += 1 + length
            if length == 0 { return true }
        }
        return false
    }
}

extension DNSTable {
    /// The question for the name behind an alias, to ask elsewhere; nil for a name of our own, and for types that are no
    /// addresses.
    func question(behind query: DNSQuery, _ target: String) -> [UInt8]? {
        guard [DNSQuery.RecordType.a, DNSQuery.RecordType.aaaa].contains(query.type), aliases[target] == nil,
            answer(target, type: query.type) == .elsewhere
        else { return nil }
        var bytes: [UInt8] = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in target.split(separator: ".") {
            guard (1...63).contains(label.utf8.count) else { return nil }
            bytes.append(UInt8(label.utf8.count))
            bytes += label.utf8
        }
        return bytes + [0, UInt8(query.type >> 8), UInt8(query.type & 0xFF), 0, 1]
    }
}
