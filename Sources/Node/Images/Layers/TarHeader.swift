/// One block that begins an entry, by its places (POSIX `pax`, section "ustar Interchange Format"; GNU tar's manual).
struct TarHeader {
    let type: UInt8
    let size: Int64
    let realSize: Int64
    let extents: [Int64]
    let hasMoreExtents: Bool
    private let bytes: [UInt8]
    private let isPosix: Bool

    init(_ bytes: [UInt8]) throws(ImageError) {
        self.bytes = bytes
        guard Self.hasGoodSum(bytes) else { throw TarReader.malformed("the sum of a header is wrong; is it a tar?") }
        type = bytes[156]
        isPosix = bytes[257..<263].elementsEqual(Array("ustar\0".utf8))
        guard let size = Self.number(bytes[124..<136]), size >= 0 else {
            throw TarReader.malformed("an entry's size is no number")
        }
        self.size = size
        guard type == UInt8(ascii: "S") else {
            realSize = 0
            extents = []
            hasMoreExtents = false
            return
        }
        realSize = Self.number(bytes[483..<495]) ?? -1
        extents = Self.extents(bytes, at: 386, count: 4)
        hasMoreExtents = bytes[482] != 0
    }

    /// Offsets and lengths, as far as they are given; -1 for what is no number.
    static func extents(_ bytes: [UInt8], at start: Int, count: Int) -> [Int64] {
        var numbers: [Int64] = []
        for index in 0..<count {
            let place = start + index * 24
            guard bytes[place] != 0 else { break }
            numbers.append(number(bytes[place..<place + 12]) ?? -1)
            numbers.append(number(bytes[place + 12..<place + 24]) ?? -1)
        }
        return numbers
    }

    private static func hasGoodSum(_ bytes: [UInt8]) -> Bool {
        guard let wanted = number(bytes[148..<156]) else { return false }
        var plain: Int64 = 0
        var signed: Int64 = 0
        for (index, byte) in bytes.enumerated() {
            let value = (148..<156).contains(index) ? 0x20 : byte
            plain += Int64(value)
            signed += Int64(Int8(bitPattern: value))
        }
        // Old writers summed signed bytes.
        return wanted == plain || wanted == signed
    }

    /// Octal digits, or with the first bit set a binary number.
    static func number(_ field: ArraySlice<UInt8>) -> Int64? {
        guard let first = field.first else { return nil }
        if first & 0x80 != 0 {
            var value: Int64 = first & 0x40 != 0 ? -1 : 0
            for (index, byte) in field.enumerated() {
                let digit =
                    index == 0 ? Int64(first & 0x40 != 0 ? Int8(bitPattern: byte) : Int8(byte & 0x7F)) : Int64(byte)
                if index == 0 {
                    value = digit
                    continue
                }
                guard value <= Int64.max >> 8, value >= Int64.min >> 8 else { return nil }
                value = value << 8 | digit
            }
            return value
        }
        var value: Int64 = 0
        var hasDigits = false
        for byte in field {
            if byte == 0 || byte == 0x20 {
                if hasDigits { break }
                continue
            }
            guard (0x30...0x37).contains(byte), value < Int64.max >> 4 else { return nil }
            value = value << 3 | Int64(byte - 0x30)
            hasDigits = true
        }
        return value
    }

    private func text(_ range: Range<Int>) -> [UInt8] { Array(bytes[range].prefix { $0 != 0 }) }

    private func short(_ range: Range<Int>) -> UInt32 {
        UInt32(truncatingIfNeeded: Self.number(bytes[range]) ?? 0)
    }

    /// The entry with what this header alone says; nil for a type that nobody knows.
    func entry(_ longPath: [UInt8]?, _ longLink: [UInt8]?) -> TarEntry? {
        var path = text(0..<100)
        if isPosix, bytes[345] != 0 { path = text(345..<500) + [0x2F] + path }
        if let longPath { path = longPath }
        let kind: TarEntry.Kind
        switch type {
        // What old writers call a file is a directory when its name ends so.
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): kind = path.last == 0x2F ? .directory : .file
        case UInt8(ascii: "S"): kind = .file
        case UInt8(ascii: "1"): kind = .hardLink
        case UInt8(ascii: "2"): kind = .symbolicLink
        case UInt8(ascii: "3"): kind = .characterDevice
        case UInt8(ascii: "4"): kind = .blockDevice
        case UInt8(ascii: "5"): kind = .directory
        case UInt8(ascii: "6"): kind = .pipe
        default: return nil
        }
        return TarEntry(
            kind: kind,
            path: path,
            link: longLink ?? text(157..<257),
            mode: short(100..<108) & 0o7777,
            uid: short(108..<116),
            gid: short(116..<124),
            seconds: Self.number(bytes[136..<148]) ?? 0,
            major: isPosix || bytes[257] != 0 ? short(329..<337) : 0,
            minor: isPosix || bytes[257] != 0 ? short(337..<345) : 0
        )
    }
}
