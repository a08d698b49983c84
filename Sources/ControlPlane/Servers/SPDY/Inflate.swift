/// Unpacks the header blocks of a SPDY connection: one stream of DEFLATE (RFC 1951) in zlib's frame (RFC 1950) with a dictionary that
/// both sides know. Each block ends on a whole byte. Bounded; never traps.
struct HeaderInflater: Sendable {
    /// Unpacked bytes of one header block.
    static let limit = 64 << 10
    private static let window = 32 << 10
    /// The check sum of the dictionary, by which the stream names it.
    private static let dictionarySum: [UInt8] = [0xe3, 0xc6, 0xa7, 0xc2]

    private var history: [UInt8] = SPDYDictionary.bytes
    private var hasBegun = false

    struct Failure: Error {}

    /// The bytes behind a block.
    mutating func unpack(_ block: ArraySlice<UInt8>) throws(Failure) -> [UInt8] {
        var block = block
        if !hasBegun {
            hasBegun = true
            // The method, the flag that a dictionary is used, and which.
            guard block.count >= 6, block[block.startIndex] & 0x0f == 8, block[block.startIndex + 1] & 0x20 != 0,
                Array(block.dropFirst(2).prefix(4)) == Self.dictionarySum
            else { throw Failure() }
            block = block.dropFirst(6)
        }
        let start = history.count
        var bits = BitReader(block)
        while !bits.isAtEnd { if try unpackOne(&bits, from: start) { break } }
        let result = Array(history[start...])
        if history.count > Self.window { history.removeFirst(history.count - Self.window) }
        return result
    }

    /// One block of DEFLATE; true for the last of the stream.
    private mutating func unpackOne(_ bits: inout BitReader, from start: Int) throws(Failure) -> Bool {
        let isLast = try bits.take(1) == 1
        switch try bits.take(2) {
        case 0:
            bits.align()
            let length = try bits.take(16)
            guard try bits.take(16) == length ^ 0xffff else { throw Failure() }
            for _ in 0..<length { try put(UInt8(try bits.take(8)), start) }
        case 1: try unpackCodes(&bits, Self.fixedLengths, Self.fixedDistances, start)
        case 2:
            let (lengths, distances) = try Self.readTables(&bits)
            try unpackCodes(&bits, lengths, distances, start)
        default: throw Failure()
        }
        return isLast
    }

    private mutating func put(_ byte: UInt8, _ start: Int) throws(Failure) {
        guard history.count - start < Self.limit else { throw Failure() }
        history.append(byte)
    }

    private static let lengthBases = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthExtras = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBases = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145,
        8193, 12289, 16385, 24577,
    ]

    private mutating func unpackCodes(
        _ bits: inout BitReader,
        _ lengths: PrefixCode,
        _ distances: PrefixCode,
        _ start: Int
    ) throws(Failure) {
        while true {
            let symbol = try lengths.read(&bits)
            if symbol < 256 {
                try put(UInt8(symbol), start)
                continue
            }
            if symbol == 256 { return }
            let place = symbol - 257
            guard place < Self.lengthBases.count else { throw Failure() }
            let length = Self.lengthBases[place] + (try bits.take(Self.lengthExtras[place]))
            let code = try distances.read(&bits)
            guard code < Self.distanceBases.count else { throw Failure() }
            let distance = Self.distanceBases[code] + (try bits.take(max(0, code / 2 - 1)))
            guard distance <= history.count else { throw Failure() }
            for _ in 0..<length { try put(history[history.count - distance], start) }
        }
    }

    private static let fixedLengths = PrefixCode(
        (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 }
    )
    private static let fixedDistances = PrefixCode(Array(repeating: 5, count: 30))
    private static let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    private static func readTables(_ bits: inout BitReader) throws(Failure) -> (PrefixCode, PrefixCode) {
        let lengthCount = try bits.take(5) + 257
        let distanceCount = try bits.take(5) + 1
        let orderCount = try bits.take(4) + 4
        guard lengthCount <= 286, distanceCount <= 30 else { throw Failure() }
        var sizes = Array(repeating: 0, count: 19)
        for index in 0..<orderCount { sizes[order[index]] = try bits.take(3) }
        let code = PrefixCode(sizes)
        var all: [Int] = []
        while all.count < lengthCount + distanceCount {
            let symbol = try code.read(&bits)
            switch symbol {
            case 0..<16: all.append(symbol)
            case 16:
                guard let last = all.last else { throw Failure() }
                all += Array(repeating: last, count: try bits.take(2) + 3)
            case 17: all += Array(repeating: 0, count: try bits.take(3) + 3)
            default: all += Array(repeating: 0, count: try bits.take(7) + 11)
            }
        }
        guard all.count == lengthCount + distanceCount else { throw Failure() }
        return (PrefixCode(Array(all[..<lengthCount])), PrefixCode(Array(all[lengthCount...])))
    }
}

/// Bits from the lowest of each byte on.
struct BitReader {
    private let bytes: ArraySlice<UInt8>
    private var place: Int
    private var bit = 0

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        place = bytes.startIndex
    }

    var isAtEnd: Bool { place >= bytes.endIndex }

    mutating func take(_ count: Int) throws(HeaderInflater.Failure) -> Int {
        var value = 0
        for index in 0..<count {
            guard place < bytes.endIndex else { throw HeaderInflater.Failure() }
            value |= Int(bytes[place] >> UInt8(bit) & 1) << index
            bit += 1
            if bit == 8 { align() }
        }
        return value
    }

    /// Goes on with the next whole byte.
    mutating func align() {
        if bit > 0 { place += 1 }
        bit = 0
    }
}

/// A canonical prefix code: how many codes there are of each length, and their symbols in order.
struct PrefixCode: Sendable {
    private var counts = Array(repeating: 0, count: 16)
    private var symbols: [Int] = []

    init(_ lengths: [Int]) {
        for length in lengths { counts[length] += 1 }
        counts[0] = 0
        symbols = lengths.indices.filter { lengths[$0] > 0 }.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
    }

    func read(_ bits: inout BitReader) throws(HeaderInflater.Failure) -> Int {
        var code = 0
        var first = 0
        var index = 0
        for length in 1..<16 {
            code |= try bits.take(1)
            let count = counts[length]
            if code - first < count { return symbols[index + code - first] }
            index += count
            first = (first + count) << 1
            code <<= 1
        }
        throw HeaderInflater.Failure()
    }
}
