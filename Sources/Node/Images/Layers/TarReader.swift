/// Reads a tar entry by entry: ustar, the older form, GNU's and POSIX's (PAX) extensions, files with holes.
///
/// Owned by one thread. Whoever wants the content of a file reads it before the next entry.
package struct TarReader {
    private let source: LayerReader
    /// Stored bytes of the current entry that were not read, and its padding.
    private var unread: Int64 = 0
    private var padding: Int64 = 0
    private var count = 0
    private let limits: LayerLimits

    package static let block = 512
    /// Headers of extensions that are longer are an attack.
    static let mostExtension: Int64 = 1 << 20
    static let mostPath = 4096

    package init(_ source: LayerReader, limits: LayerLimits = LayerLimits()) {
        self.source = source
        self.limits = limits
    }

    /// Where the content of the current entry begins in the plain tar.
    package var contentOffset: Int64 { source.position }
    /// Stored bytes of the current entry.
    package var contentSize: Int64 { unread }

    /// The next entry; nil at the end.
    package mutating func next() throws(ImageError) -> TarEntry? {
        try source.skip(unread + padding)
        unread = 0
        padding = 0
        var extensions = PAXRecords()
        var longPath: [UInt8]?
        var longLink: [UInt8]?
        while let header = try readHeader() {
            count += 1
            guard count <= limits.entries else {
                throw ImageError(.pull, "a layer has more than \(limits.entries) entries, which is refused")
            }
            switch header.type {
            case UInt8(ascii: "x"), UInt8(ascii: "X"): extensions = try PAXRecords(try content(of: header))
            // What it says holds for all that follow: a comment, in practice.
            case UInt8(ascii: "g"): _ = try content(of: header)
            case UInt8(ascii: "L"): longPath = Self.text(try content(of: header))
            case UInt8(ascii: "K"): longLink = Self.text(try content(of: header))
            default:
                return try entry(header, extensions, longPath, longLink)
            }
        }
        return nil
    }

    /// Reads the content of the current entry, at most `most` bytes and as much as there is room for; 0 at its end.
    package mutating func read(into buffer: inout [UInt8], most: Int64 = .max) throws(ImageError) -> Int {
        let wanted = Int(min(Int64(buffer.count), unread, most))
        guard wanted > 0 else { return 0 }
        guard try source.fill(&buffer, wanted) == wanted else { throw Self.cut }
        unread -= Int64(wanted)
        return wanted
    }

    /// Reads exactly so much.
    private mutating func exactly(_ count: Int) throws(ImageError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard Int64(count) <= unread, try source.fill(&bytes, count) == count else { throw Self.cut }
        unread -= Int64(count)
        return bytes
    }

    private static var cut: ImageError { ImageError(.inspect, "a layer's tar ends in the middle of an entry") }
    static func malformed(_ why: String) -> ImageError { ImageError(.inspect, "a layer's tar is malformed: \(why)") }

    // MARK: Headers

    private mutating func readHeader() throws(ImageError) -> TarHeader? {
        var bytes = [UInt8](repeating: 0, count: Self.block)
        let count = try source.fill(&bytes, Self.block)
        if count == 0 { return nil }
        guard count == Self.block else { throw Self.cut }
        if bytes.allSatisfy({ $0 == 0 }) {
            let count = try source.fill(&bytes, Self.block)
            guard count == 0 || bytes[..<count].allSatisfy({ $0 == 0 }) else {
                throw Self.malformed("an empty block is followed by another entry")
            }
            return nil
        }
        return try TarHeader(bytes)
    }

    private mutating func content(of header: TarHeader) throws(ImageError) -> [UInt8] {
        guard header.size <= Self.mostExtension else {
            throw Self.malformed("a header has \(header.size) bytes; \(Self.mostExtension) are allowed")
        }
        begin(header.size)
        let bytes = try exactly(Int(header.size))
        try source.skip(padding)
        padding = 0
        return bytes
    }

    private mutating func begin(_ size: Int64) {
        unread = size
        padding = (Int64(Self.block) - size % Int64(Self.block)) % Int64(Self.block)
    }

    private static func text(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.prefix { $0 != 0 }) }

    private mutating func entry(
        _ header: TarHeader,
        _ extensions: PAXRecords,
        _ longPath: [UInt8]?,
        _ longLink: [UInt8]?
    ) throws(ImageError) -> TarEntry {
        guard var entry = header.entry(extensions.path ?? longPath, extensions.link ?? longLink) else {
            throw Self.malformed("an entry has the unknown type \(header.type)")
        }
        try extensions.apply(to: &entry)
        guard !entry.path.contains(0), !entry.link.contains(0), entry.path.count <= Self.mostPath,
            entry.link.count <= Self.mostPath
        else { throw Self.malformed("a path is longer than \(Self.mostPath) bytes or holds NUL") }
        let stored = extensions.size ?? header.size
        guard stored >= 0, stored <= limits.bytes else {
            throw ImageError(
                .pull,
                "\(entry.shownPath) of a layer has \(stored) bytes, which is refused (layerBytes of images.yaml)"
            )
        }
        // Only files have content; sizes of others are nonsense of old writers.
        begin(entry.kind == .file ? stored : 0)
        entry.size = unread
        if entry.kind == .file { try readExtents(header, extensions, &entry) }
        guard entry.size <= limits.bytes else {
            throw ImageError(
                .pull,
                "\(entry.shownPath) of a layer has \(entry.size) bytes, which is refused (layerBytes of images.yaml)"
            )
        }
        return entry
    }

    // MARK: Holes

    static let mostExtents = 100_000

    private mutating func readExtents(
        _ header: TarHeader,
        _ extensions: PAXRecords,
        _ entry: inout TarEntry
    ) throws(ImageError) {
        var numbers: [Int64]
        let size: Int64
        if header.type == UInt8(ascii: "S") {
            (numbers, size) = (header.extents, header.realSize)
            var goesOn = header.hasMoreExtents
            while goesOn {
                var block = [UInt8](repeating: 0, count: Self.block)
                guard try source.fill(&block, Self.block) == Self.block else { throw Self.cut }
                let more = TarHeader.extents(block, at: 0, count: 21)
                numbers += more
                goesOn = block[504] != 0
                guard numbers.count <= 2 * Self.mostExtents, !(goesOn && more.isEmpty) else {
                    throw Self.malformed("\(entry.shownPath) has too many holes")
                }
            }
        } else if extensions.isSparseWithMapInContent {
            (numbers, size) = (try readMap(), extensions.realSize ?? 0)
        } else if let map = extensions.map {
            (numbers, size) = (map, extensions.realSize ?? 0)
        } else {
            return
        }
        entry.size = size
        entry.extents = try Self.extents(numbers, size: size, stored: unread, entry.shownPath)
    }

    /// Numbers in lines at the beginning of the content, filled up to a block.
    private mutating func readMap() throws(ImageError) -> [Int64] {
        var numbers: [Int64] = []
        var current: Int64?
        var expected: Int?
        while expected.map({ numbers.count < $0 }) ?? true {
            for byte in try exactly(Self.block) {
                if expected.map({ numbers.count >= $0 }) ?? false { break }
                if byte == 0x0A {
                    guard let number = current else { throw Self.malformed("the map of holes holds an empty line") }
                    current = nil
                    if expected == nil {
                        guard number <= Self.mostExtents else { throw Self.malformed("a file has too many holes") }
                        expected = Int(number) * 2
                    } else {
                        numbers.append(number)
                    }
                    continue
                }
                guard (0x30...0x39).contains(byte), current ?? 0 < Int64.max / 20 else {
                    throw Self.malformed("the map of holes holds what is no number")
                }
                current = (current ?? 0) * 10 + Int64(byte - 0x30)
            }
        }
        return numbers
    }

    private static func extents(
        _ numbers: [Int64],
        size: Int64,
        stored: Int64,
        _ path: String
    ) throws(ImageError) -> [TarEntry.Extent] {
        var extents: [TarEntry.Extent] = []
        var end: Int64 = 0
        var total: Int64 = 0
        guard numbers.count % 2 == 0, size >= 0 else { throw malformed("the map of holes of \(path) is not whole") }
        for index in stride(from: 0, to: numbers.count, by: 2) {
            let (offset, length) = (numbers[index], numbers[index + 1])
            guard offset >= end, length >= 0, offset <= size, length <= size - offset else {
                throw malformed("the map of holes of \(path) is out of order")
            }
            end = offset + length
            total += length
            if length > 0 { extents.append(TarEntry.Extent(offset: offset, length: length)) }
        }
        guard total == stored else { throw malformed("the map of holes of \(path) does not fit its content") }
        return extents
    }
}
