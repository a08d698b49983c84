/// Brings a path into the one form that routing, rewriting, logs and the upstream see (RFC 3986 section 6.2.2).
///
/// Escapes of unreserved characters are decoded, others written in upper case, dot segments removed, and (where wanted)
/// slashes merged. The query stays as it came.
public enum PathNormalizer {
    /// What becomes of `%2F` and `%5C`.
    public enum EscapedSlashes: UInt8, BitwiseCopyable, Sendable { case reject, keep, unescape }

    /// Whether the path is already in normal form, which almost all are: one quick look, nothing written.
    public static func isNormal(_ path: UnsafeRawPointer, count: Int) -> Bool {
        var previous: UInt8 = 0
        for index in 0..<count {
            let byte = path.load(fromByteOffset: index, as: UInt8.self)
            switch byte {
            case 0x3F: return true
            case 0x25, 0x5C: return false
            case 0x2E, 0x2F: if previous == 0x2F { return false }
            default: break
            }
            previous = byte
        }
        return true
    }

    /// Writes the normal form; the count. `target` holds at least `count` + 1 bytes.
    ///
    /// - Throws: `badPath` for a malformed escape, an escaped NUL or a backslash; `escapedSlash`.
    public static func normalize(
        _ path: UnsafeRawPointer,
        count: Int,
        mergesSlashes: Bool,
        escapedSlashes: EscapedSlashes,
        into target: UnsafeMutableRawPointer
    ) throws(HTTPFault) -> Int {
        var query = count
        for index in 0..<count where path.load(fromByteOffset: index, as: UInt8.self) == 0x3F {
            query = index
            break
        }
        var writer = Writer(target: target, mergesSlashes: mergesSlashes)
        var index = 0
        while index < query {
            let byte = path.load(fromByteOffset: index, as: UInt8.self)
            index += 1
            guard byte == 0x25 else {
                guard byte != 0x5C else { throw .badPath }
                writer.put(byte)
                continue
            }
            guard index + 1 < query,
                let high = hex(path.load(fromByteOffset: index, as: UInt8.self)),
                let low = hex(path.load(fromByteOffset: index + 1, as: UInt8.self))
            else { throw .badPath }
            index += 2
            let value = high << 4 | low
            guard !isOverlong(value, next: path + index, count: query - index) else { throw .badPath }
            try putEscape(value, escapedSlashes, &writer)
        }
        writer.finish()
        guard query < count else { return writer.count }
        (target + writer.count).copyMemory(from: path + query, byteCount: count - query)
        return writer.count + count - query
    }

    private static func putEscape(
        _ value: UInt8,
        _ escapedSlashes: EscapedSlashes,
        _ writer: inout Writer
    ) throws(HTTPFault) {
        switch value {
        // NUL and control characters never mean well; C0 and C1 begin overlong UTF-8 only.
        case 0...0x1F, 0x7F, 0xC0, 0xC1: throw .badPath
        case 0x2F, 0x5C:
            guard escapedSlashes != .reject else { throw .escapedSlash }
            if escapedSlashes == .unescape { writer.put(0x2F) } else { writer.putEscape(value) }
        case 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A, 0x7E: writer.put(value)
        default: writer.putEscape(value)
        }
    }

    /// Whether an escape and the one behind it begin a UTF-8 sequence of three or four bytes for a character that needs
    /// fewer (RFC 3629 section 3): a lenient reader would find a slash in it.
    private static func isOverlong(_ value: UInt8, next: UnsafeRawPointer, count: Int) -> Bool {
        guard value == 0xE0 || value == 0xF0, count >= 3, next.load(as: UInt8.self) == 0x25,
            let high = hex(next.load(fromByteOffset: 1, as: UInt8.self))
        else { return false }
        return value == 0xE0 ? high == 0x8 || high == 0x9 : high == 0x8
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    /// Writes segments and takes them back at `..`.
    private struct Writer {
        let target: UnsafeMutableRawPointer
        let mergesSlashes: Bool
        var count = 0
        /// Where the present segment begins: behind the last slash.
        private var segment = 0

        init(target: UnsafeMutableRawPointer, mergesSlashes: Bool) {
            self.target = target
            self.mergesSlashes = mergesSlashes
        }

        mutating func put(_ byte: UInt8) {
            guard byte == 0x2F else {
                store(byte)
                return
            }
            endSegment()
            if mergesSlashes, count > 0, segment == count { return }
            store(0x2F)
            segment = count
        }

        mutating func putEscape(_ value: UInt8) {
            let digits: StaticString = "0123456789ABCDEF"
            store(0x25)
            store(digits.utf8Start[Int(value >> 4)])
            store(digits.utf8Start[Int(value & 15)])
        }

        mutating func finish() {
            endSegment()
            if count == 0 { store(0x2F) }
        }

        private mutating func store(_ byte: UInt8) {
            target.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
            count += 1
        }

        private func byte(_ index: Int) -> UInt8 { target.load(fromByteOffset: index, as: UInt8.self) }

        /// Drops a segment `.`, and a segment `..` with the one before it.
        private mutating func endSegment() {
            let length = count - segment
            guard length > 0, length <= 2, segment > 0, byte(segment) == 0x2E, byte(count - 1) == 0x2E else { return }
            count = segment
            guard length == 2, segment > 1 else { return }
            var start = segment - 1
            while start > 0, byte(start - 1) != 0x2F { start -= 1 }
            count = max(1, start)
            segment = count
        }
    }
}
