extension DNSTable {
    private static let magic: [UInt8] = Array("weft names 2\n".utf8)

    /// The table as bytes, for the server of names.
    package var encoded: [UInt8] {
        var writer = TableWriter(bytes: Self.magic)
        for section in [addresses, services] {
            writer.number(section.count, 4)
            for (name, records) in section {
                writer.text(name)
                writer.number(min(records.count, 0xFFFF), 2)
                for record in records.prefix(0xFFFF) { writer.record(record) }
            }
        }
        for map in [names, aliases] {
            writer.number(map.count, 4)
            for (name, target) in map {
                writer.text(name)
                writer.text(target)
            }
        }
        writer.number(nodes.count, 4)
        for node in nodes { writer.text(node) }
        return writer.bytes
    }

    /// Nil when the bytes are not exactly a table.
    package init?(encoded bytes: [UInt8]) {
        self.init()
        guard bytes.starts(with: Self.magic) else { return nil }
        var reader = TableReader(bytes: bytes, position: Self.magic.count)
        guard let addresses = reader.records(), let services = reader.records(), let names = reader.map(),
            let aliases = reader.map()
        else { return nil }
        guard let nodeCount = reader.number(4) else { return nil }
        for _ in 0..<nodeCount {
            guard let node = reader.text() else { return nil }
            nodes.insert(node)
        }
        guard reader.position == bytes.count else { return nil }
        (self.addresses, self.services, self.names, self.aliases) = (addresses, services, names, aliases)
    }
}

private struct TableWriter {
    var bytes: [UInt8]

    mutating func number(_ value: Int, _ size: Int) {
        for position in (0..<size).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * position))) }
    }

    /// Names of DNS have at most 253 bytes; those that come from objects are bounded as the objects' names are.
    mutating func text(_ text: String) {
        let utf8 = text.utf8.prefix(0xFFFF)
        number(utf8.count, 2)
        bytes += utf8
    }

    mutating func record(_ record: DNSRecord) {
        switch record {
        case .a(let address):
            bytes.append(1)
            bytes += address.prefix(4) + [UInt8](repeating: 0, count: max(0, 4 - address.count))
        case .srv(let priority, let weight, let port, let target):
            bytes.append(2)
            for value in [priority, weight, port] { number(Int(value), 2) }
            text(target)
        case .ptr(let name):
            bytes.append(3)
            text(name)
        case .cname(let name):
            bytes.append(4)
            text(name)
        case .aaaa(let address):
            bytes.append(5)
            bytes += address.prefix(16) + [UInt8](repeating: 0, count: max(0, 16 - address.count))
        }
    }
}

private struct TableReader {
    let bytes: [UInt8]
    var position: Int

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard bytes.count - position >= count else { return nil }
        defer { position += count }
        return bytes[position..<position + count]
    }

    mutating func number(_ size: Int) -> Int? { take(size)?.reduce(0) { $0 << 8 | Int($1) } }

    mutating func text() -> String? {
        guard let count = number(2), let utf8 = take(count) else { return nil }
        return String(validating: utf8, as: UTF8.self)
    }

    mutating func map() -> [String: String]? {
        guard let count = number(4) else { return nil }
        var map: [String: String] = [:]
        for _ in 0..<count {
            guard let name = text(), let target = text() else { return nil }
            map[name] = target
        }
        return map
    }

    mutating func records() -> [String: [DNSRecord]]? {
        guard let count = number(4) else { return nil }
        var section: [String: [DNSRecord]] = [:]
        for _ in 0..<count {
            guard let name = text(), let recordCount = number(2) else { return nil }
            var records: [DNSRecord] = []
            for _ in 0..<recordCount {
                guard let record = record() else { return nil }
                records.append(record)
            }
            section[name] = records
        }
        return section
    }

    mutating func record() -> DNSRecord? {
        switch number(1) {
        case 1: return take(4).map { .a(Array($0)) }
        case 2:
            guard let priority = number(2), let weight = number(2), let port = number(2), let target = text() else {
                return nil
            }
            return .srv(
                priority: UInt16(clamping: priority),
                weight: UInt16(clamping: weight),
                port: UInt16(clamping: port),
                target: target
            )
        case 3: return text().map { .ptr($0) }
        case 4: return text().map { .cname($0) }
        case 5: return take(16).map { .aaaa(Array($0)) }
        default: return nil
        }
    }
}
