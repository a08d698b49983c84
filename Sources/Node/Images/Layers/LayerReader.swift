import Compression
import Glibc

/// A piece of a file: a layer on its own, or one inside an archive.
package struct FileRange: Sendable, Equatable {
    package var path: String
    package var offset: Int64
    package var size: Int64

    package init(path: String, offset: Int64, size: Int64) {
        self.path = path
        self.offset = offset
        self.size = size
    }

    /// A whole file.
    package init(whole path: String) throws(ImageError) {
        var facts = stat()
        guard stat(path, &facts) == 0 else {
            throw ImageError(.pull, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw ImageError(.pull, "\(path) is no plain file") }
        self.init(path: path, offset: 0, size: Int64(facts.st_size))
    }

    /// The bytes, when they are at most `limit`.
    package func bytes(limit: Int) throws(ImageError) -> [UInt8] {
        guard size <= Int64(limit) else {
            throw ImageError(.inspect, "\(path): a part has \(size) bytes; \(limit) are allowed")
        }
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw ImageError(.pull, "cannot read \(path): \(String(cString: strerror(errno)))") }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: Int(size))
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                pread(fd, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset) + off_t(done))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ImageError(.pull, "\(path) ends too soon, or cannot be read") }
            done += count
        }
        return bytes
    }
}

/// How much a layer may hold.
package struct LayerLimits: Sendable, Equatable {
    /// Bytes of the plain tar, and of every file that it says.
    package var bytes: Int64 = 32 << 30
    /// So many bytes may come out for each that went in; deflate itself reaches 1032.
    package var ratio: UInt64 = 1100
    package var entries = 2_000_000
    /// So many bytes of the disk stay free.
    package var freeBytes: Int64 = 256 << 20

    package init() {}
}

/// Reads a layer's plain tar from a file that may be packed with gzip or zstd, and sums both forms on the way.
///
/// What it is packed with is told by its first bytes: names of media types lie. Owned by one thread.
package final class LayerReader {
    private let fd: Int32
    private let range: FileRange
    private let limits: LayerLimits
    private let sums: Bool
    private let decoder: ContentDecoder?
    private var offset: Int64 = 0
    private var isDone = false
    private let packedSum = Hasher256()
    private let plainSum = Hasher256()
    private var input: [UInt8] = []
    private var inputStart = 0
    private var inputEnd = 0
    /// Bytes of the plain tar that were read.
    package private(set) var position: Int64 = 0
    /// Asked between pieces; true ends the work.
    package var isCancelled: (() -> Bool)?

    private static let pieceSize = 256 << 10

    package init(_ range: FileRange, limits: LayerLimits = LayerLimits(), sums: Bool = true) throws(ImageError) {
        fd = open(range.path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw ImageError(.pull, "cannot read \(range.path): \(String(cString: strerror(errno)))") }
        self.range = range
        self.limits = limits
        self.sums = sums
        let first = Self.firstBytes(fd, range)
        var coding: ContentCoding?
        if first.starts(with: [0x1F, 0x8B]) { coding = .gzip }
        // A frame of zstd, or one that is to be skipped before it.
        if first.starts(with: [0x28, 0xB5, 0x2F, 0xFD])
            || first.count == 4 && first[0] & 0xF0 == 0x50 && first[1...] == [0x2A, 0x4D, 0x18]
        {
            coding = .zstd
        }
        guard let coding else {
            guard !first.starts(with: [0xFD, 0x37, 0x7A, 0x58]), !first.starts(with: [0x42, 0x5A, 0x68]) else {
                close(fd)
                throw ImageError(
                    .inspect,
                    "\(range.path) is packed with xz or bzip2; gzip, zstd and plain tar are read"
                )
            }
            decoder = nil
            return
        }
        var settings = DecoderSettings(coding)
        settings.maxBytes = UInt64(limits.bytes)
        settings.maxRatio = limits.ratio
        // What zstd itself takes when nothing is said: 128 MB.
        settings.zstdWindowBits = 27
        decoder = ContentDecoder(settings)
        guard decoder != nil else {
            close(fd)
            throw ImageError(.store, "there is no memory to unpack \(range.path)")
        }
    }

    deinit { close(fd) }

    private static func firstBytes(_ fd: Int32, _ range: FileRange) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4)
        let count = pread(fd, &bytes, Int(min(4, range.size)), off_t(range.offset))
        return Array(bytes.prefix(max(0, count)))
    }

    package var isPacked: Bool { decoder != nil }

    /// Fills the buffer as far as there is something; fewer bytes than its room mean the end.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(ImageError) -> Int {
        var made = 0
        while made < buffer.count, !isDone {
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[made...])
            made += try decoder == nil ? readPlain(into: room) : readPacked(into: room)
        }
        if sums { plainSum.add(UnsafeRawBufferPointer(rebasing: buffer[..<made])) }
        position += Int64(made)
        guard position <= limits.bytes else { throw tooLarge }
        return made
    }

    private var tooLarge: ImageError {
        ImageError(
            .pull,
            "a layer unpacks to more than \(limits.bytes) bytes or to more than \(limits.ratio) times its size, which is refused "
                + "(layerBytes and layerRatio of images.yaml)"
        )
    }

    /// Passes over bytes.
    package func skip(_ count: Int64) throws(ImageError) {
        if decoder == nil, !sums {
            offset = min(offset + count, range.size)
            position += count
            return
        }
        var rest = count
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while rest > 0 {
            let wanted = Int(min(rest, Int64(piece.count)))
            let count = try fill(&piece, wanted)
            guard count == wanted else {
                throw ImageError(.inspect, "\(range.path): the tar ends in the middle of a file")
            }
            rest -= Int64(count)
        }
    }

    /// Reads up to `count` bytes to the front of an array.
    package func fill(_ bytes: inout [UInt8], _ count: Int) throws(ImageError) -> Int {
        let result: Result<Int, ImageError> = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(ImageError) in
                try self.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
        return try result.get()
    }

    private func load(_ room: Int) throws(ImageError) -> Int {
        if isCancelled?() == true { throw ImageError(.cancelled, "unpacking was given up") }
        let wanted = Int(min(Int64(room), range.size - offset))
        guard wanted > 0 else { return 0 }
        if input.count < wanted { input = [UInt8](repeating: 0, count: max(wanted, Self.pieceSize)) }
        while true {
            let count = pread(fd, &input, wanted, off_t(range.offset + offset))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ImageError(.pull, "\(range.path) ends too soon, or cannot be read") }
            offset += Int64(count)
            if sums { input.withUnsafeBytes { packedSum.add(UnsafeRawBufferPointer(rebasing: $0[..<count])) } }
            return count
        }
    }

    private func readPlain(into room: UnsafeMutableRawBufferPointer) throws(ImageError) -> Int {
        let count = try load(min(room.count, Self.pieceSize))
        if count == 0 { isDone = true }
        input.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        return count
    }

    private func readPacked(into room: UnsafeMutableRawBufferPointer) throws(ImageError) -> Int {
        guard let decoder else { return 0 }
        if inputStart == inputEnd {
            inputEnd = try load(Self.pieceSize)
            inputStart = 0
        }
        let isLast = offset == range.size
        let step = input.withUnsafeBytes { bytes in
            decoder.step(UnsafeRawBufferPointer(rebasing: bytes[inputStart..<inputEnd]), into: room, isLast: isLast)
        }
        inputStart += step.taken
        switch step.outcome {
        case .corrupt: throw ImageError(.inspect, "\(range.path): a layer's packed bytes are damaged")
        case .tooLarge: throw tooLarge
        case .full: break
        case .hungry, .done: if isLast, inputStart == inputEnd { isDone = true }
        }
        return step.made
    }

    /// Reads what is left, and gives the sums of what the file holds and of the plain tar.
    package func finish() throws(ImageError) -> (packed: Digest, plain: Digest) {
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while try fill(&piece, piece.count) > 0 {}
        return (packedSum.finish(), plainSum.finish())
    }
}
