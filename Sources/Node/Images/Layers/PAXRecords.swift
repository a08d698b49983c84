/// What a PAX header says of the entry that follows: `LENGTH KEY=VALUE` lines.
struct PAXRecords {
    private(set) var path: [UInt8]?
    private(set) var link: [UInt8]?
    private(set) var size: Int64?
    private(set) var realSize: Int64?
    private(set) var map: [Int64]?
    private var uid: Int64?
    private var gid: Int64?
    private var time: (seconds: Int64, nanoseconds: Int)?
    private var attributes: [(name: [UInt8], value: [UInt8])] = []
    private var sparseVersion: Int64?

    static let mostAttributes = 256
    /// The kernel's own bound of one attribute.
    static let mostAttributeBytes = 65_536

    init() {}

    init(_ bytes: [UInt8]) throws(ImageError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            var length = 0
            var place = rest.startIndex
            while place < rest.endIndex, rest[place] != 0x20 {
                guard (0x30...0x39).contains(rest[place]), length < 1 << 24 else { throw Self.broken }
                length = length * 10 + Int(rest[place] - 0x30)
                place += 1
            }
            let end = rest.startIndex + length
            guard place < rest.endIndex, end <= rest.endIndex, end > place + 1, rest[end - 1] == 0x0A else {
                throw Self.broken
            }
            let record = rest[(place + 1)..<(end - 1)]
            guard let equals = record.firstIndex(of: 0x3D) else { throw Self.broken }
            try take(
                String(decoding: record[..<equals], as: UTF8.self),
                Array(record[(equals + 1)...]),
                record[..<equals]
            )
            rest = rest[end...]
        }
    }

    private static var broken: ImageError { TarReader.malformed("a line of an extended header is not whole") }

    private mutating func take(_ key: String, _ value: [UInt8], _ rawKey: ArraySlice<UInt8>) throws(ImageError) {
        switch key {
        case "path": path = value
        case "linkpath": link = value
        case "GNU.sparse.name": path = value
        case "size": size = try Self.number(value, key)
        case "uid": uid = try Self.number(value, key)
        case "gid": gid = try Self.number(value, key)
        case "mtime": time = Self.time(value)
        case "GNU.sparse.size", "GNU.sparse.realsize": realSize = try Self.number(value, key)
        case "GNU.sparse.major": sparseVersion = try Self.number(value, key)
        case "GNU.sparse.offset", "GNU.sparse.numbytes": map = (map ?? []) + [try Self.number(value, key)]
        case "GNU.sparse.map":
            var numbers: [Int64] = []
            for word in value.split(separator: 0x2C) { numbers.append(try Self.number(Array(word), key)) }
            map = numbers
        default:
            let prefix = "SCHILY.xattr."
            guard key.hasPrefix(prefix), attributes.count < Self.mostAttributes,
                value.count <= Self.mostAttributeBytes
            else { return }
            attributes.append((Array(rawKey.dropFirst(prefix.utf8.count)), value))
        }
        guard (map?.count ?? 0) <= 2 * TarReader.mostExtents else {
            throw TarReader.malformed("a file has too many holes")
        }
    }

    private static func number(_ value: [UInt8], _ key: String) throws(ImageError) -> Int64 {
        guard let number = Int64(String(decoding: value, as: UTF8.self)), number >= 0 else {
            throw TarReader.malformed("'\(key)' of an extended header is no number")
        }
        return number
    }

    /// `1700000000.25`; what is no time is passed over.
    private static func time(_ value: [UInt8]) -> (Int64, Int)? {
        let parts = value.split(separator: 0x2E, maxSplits: 1).map { String(decoding: $0, as: UTF8.self) }
        guard let first = parts.first, let seconds = Int64(first) else { return nil }
        guard parts.count == 2 else { return (seconds, 0) }
        let digits = parts[1].prefix(9)
        guard let fraction = Int(digits), fraction >= 0, seconds >= 0 else { return (seconds, 0) }
        return (seconds, (digits.count..<9).reduce(fraction) { sum, _ in sum * 10 })
    }

    /// Version 1.0: the map stands before the content.
    var isSparseWithMapInContent: Bool { sparseVersion == 1 && map == nil }

    func apply(to entry: inout TarEntry) throws(ImageError) {
        if let uid {
            guard let number = UInt32(exactly: uid) else { throw TarReader.malformed("'uid' is too large") }
            entry.uid = number
        }
        if let gid {
            guard let number = UInt32(exactly: gid) else { throw TarReader.malformed("'gid' is too large") }
            entry.gid = number
        }
        if let time {
            entry.seconds = time.seconds
            entry.nanoseconds = time.nanoseconds
        }
        entry.attributes = attributes
    }
}
