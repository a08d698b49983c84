import Glibc

/// A look at SQLite's write-ahead log before SQLite reads it.
///
/// SQLite takes the log up to the first frame that is not whole, and forgets the rest: right for a write that a power cut
/// tore, which nobody was told of, and wrong for one that was on the disk and was damaged later. Both end the chain of
/// checksums; what stands behind tells them apart. Every transaction is synced before the next one begins, so that a power
/// cut can tear the last one alone: two complete ones behind the tear mean that the tear was once whole.
///
/// The layout is that of https://www.sqlite.org/fileformat2.html#walformat.
enum WriteAheadLog {
    private static let headerSize = 32
    private static let frameHeaderSize = 24

    /// What is wrong with a log, or nil for one that SQLite may read.
    static func damage(ofFile path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return Reader(descriptor: descriptor)?.damage()
    }

    /// Whether a log holds a transaction that was committed.
    static func holdsCommits(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        guard let reader = Reader(descriptor: descriptor), let header = reader.header() else { return false }
        return reader.walk(header).commits > 0
    }

    private struct Header {
        let pageSize: Int
        let salts: UInt64
        let isBigEndian: Bool
        let sum: Sum
    }

    /// How far the chain of checksums goes.
    private struct Chain {
        var frames = 0
        var commits = 0
    }

    /// SQLite's checksum: two running sums over pairs of words.
    private struct Sum: Equatable {
        var first: UInt32 = 0
        var second: UInt32 = 0

        mutating func add(_ bytes: UnsafeRawBufferPointer, isBigEndian: Bool) {
            var place = 0
            while place + 8 <= bytes.count {
                let left = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
                let right = bytes.loadUnaligned(fromByteOffset: place + 4, as: UInt32.self)
                first &+= (isBigEndian ? UInt32(bigEndian: left) : UInt32(littleEndian: left)) &+ second
                second &+= (isBigEndian ? UInt32(bigEndian: right) : UInt32(littleEndian: right)) &+ first
                place += 8
            }
        }
    }

    private struct Reader {
        let descriptor: Int32
        let size: Int

        init?(descriptor: Int32) {
            var facts = stat()
            guard fstat(descriptor, &facts) == 0 else { return nil }
            self.descriptor = descriptor
            size = Int(facts.st_size)
        }

        func damage() -> String? {
            guard size > WriteAheadLog.headerSize else { return nil }
            guard let header = header() else {
                return isZero() ? nil : "the head of its log is damaged"
            }
            let chain = walk(header)
            let behind = commits(behind: chain.frames, header)
            guard behind >= 2 else { return nil }
            return "its log is damaged in frame \(chain.frames + 1), with \(behind) committed writes behind it"
        }

        private func read(_ count: Int, at place: Int, into bytes: UnsafeMutableRawBufferPointer) -> Bool {
            var done = 0
            while done < count {
                let step = pread(descriptor, bytes.baseAddress.map { $0 + done }, count - done, place + done)
                if step < 0, errno == EINTR { continue }
                guard step > 0 else { return false }
                done += step
            }
            return true
        }

        func header() -> Header? {
            var bytes = [UInt8](repeating: 0, count: WriteAheadLog.headerSize)
            return bytes.withUnsafeMutableBytes { raw -> Header? in
                guard read(raw.count, at: 0, into: raw) else { return nil }
                let view = UnsafeRawBufferPointer(raw)
                let magic = WriteAheadLog.number(view, 0)
                let pageSize = Int(WriteAheadLog.number(view, 8))
                guard magic & ~1 == 0x377f_0682, pageSize >= 512, pageSize <= 65536 else { return nil }
                var sum = Sum()
                sum.add(UnsafeRawBufferPointer(rebasing: view[..<24]), isBigEndian: magic & 1 == 1)
                guard sum == Sum(first: WriteAheadLog.number(view, 24), second: WriteAheadLog.number(view, 28)) else {
                    return nil
                }
                return Header(
                    pageSize: pageSize,
                    salts: view.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                    isBigEndian: magic & 1 == 1,
                    sum: sum
                )
            }
        }

        /// Follows the chain of checksums from the first frame to the last that belongs to it.
        func walk(_ header: Header) -> Chain {
            var chain = Chain()
            var sum = header.sum
            each(from: 0, header) { frame in
                sum.add(UnsafeRawBufferPointer(rebasing: frame[..<8]), isBigEndian: header.isBigEndian)
                sum.add(
                    UnsafeRawBufferPointer(rebasing: frame[WriteAheadLog.frameHeaderSize...]),
                    isBigEndian: header.isBigEndian
                )
                guard WriteAheadLog.salts(frame) == header.salts, WriteAheadLog.number(frame, 0) > 0,
                    sum == Sum(first: WriteAheadLog.number(frame, 16), second: WriteAheadLog.number(frame, 20))
                else { return false }
                chain.frames += 1
                if WriteAheadLog.number(frame, 4) > 0 { chain.commits += 1 }
                return true
            }
            return chain
        }

        /// Ends of transactions of this log's generation from a frame on.
        private func commits(behind first: Int, _ header: Header) -> Int {
            var count = 0
            each(from: first, header) { frame in
                if WriteAheadLog.salts(frame) == header.salts, WriteAheadLog.number(frame, 4) > 0 { count += 1 }
                return true
            }
            return count
        }

        /// Calls `body` with every whole frame until it says false.
        private func each(from first: Int, _ header: Header, _ body: (UnsafeRawBufferPointer) -> Bool) {
            let length = WriteAheadLog.frameHeaderSize + header.pageSize
            var bytes = [UInt8](repeating: 0, count: length)
            bytes.withUnsafeMutableBytes { raw in
                var place = WriteAheadLog.headerSize + first * length
                while place + length <= size {
                    guard read(length, at: place, into: raw), body(UnsafeRawBufferPointer(raw)) else { return }
                    place += length
                }
            }
        }

        /// Whether nothing was ever written to the log: a file system may know its length before its content.
        private func isZero() -> Bool {
            var bytes = [UInt8](repeating: 0, count: 65536)
            var place = 0
            while place < size {
                let count = min(bytes.count, size - place)
                let isZero = bytes.withUnsafeMutableBytes { raw in
                    read(count, at: place, into: raw) && raw[..<count].allSatisfy { $0 == 0 }
                }
                guard isZero else { return false }
                place += count
            }
            return true
        }
    }

    private static func number(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> UInt32 {
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
    }

    private static func salts(_ frame: UnsafeRawBufferPointer) -> UInt64 {
        frame.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    }
}
