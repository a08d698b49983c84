import Glibc

/// What a layer hides of the layers below: names that are gone, and directories that show only themselves. Paths are bytes, as
/// file systems have them, without a slash at either end.
package struct Whiteouts: Sendable, Equatable {
    package var removed: Set<[UInt8]> = []
    package var opaque: Set<[UInt8]> = []

    package init() {}

    /// As `bytes` wrote them; what is none of it is passed over.
    package init(_ bytes: [UInt8]) {
        for record in bytes.split(separator: 0) {
            switch record.first {
            case UInt8(ascii: "w"): removed.insert(Array(record.dropFirst()))
            case UInt8(ascii: "o"): opaque.insert(Array(record.dropFirst()))
            default: break
            }
        }
    }

    package var bytes: [UInt8] {
        let order: ([UInt8], [UInt8]) -> Bool = { $0.lexicographicallyPrecedes($1) }
        var bytes: [UInt8] = []
        for (mark, paths) in [(UInt8(ascii: "w"), removed), (UInt8(ascii: "o"), opaque)] {
            for path in paths.sorted(by: order) {
                bytes.append(mark)
                bytes += path
                bytes.append(0)
            }
        }
        return bytes
    }
}

/// Names in a directory, as C wants them.
enum FileName {
    /// Calls with the bytes ended by NUL.
    static func with<Result>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        var ended = name.map { CChar(bitPattern: $0) }
        ended.append(0)
        return ended.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return "".withCString(body) }
            return body(base)
        }
    }

    static func join(_ parts: some Sequence<[UInt8]>) -> [UInt8] { Array(parts.joined(separator: [0x2F])) }

    static func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

    /// The entries of an open directory but `.` and `..`; nil when it cannot be read.
    static func entries(of directory: Int32) -> [[UInt8]]? {
        // A descriptor of its own: `closedir` closes it, and its place in the directory is the beginning.
        let fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        guard let stream = fdopendir(fd) else {
            close(fd)
            return nil
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { place in
                place.withMemoryRebound(to: UInt8.self, capacity: 256) { bytes in
                    Array(
                        UnsafeBufferPointer(
                            start: bytes,
                            count: strnlen(UnsafeRawPointer(bytes).assumingMemoryBound(to: CChar.self), 255)
                        )
                    )
                }
            }
            if name != [0x2E], name != [0x2E, 0x2E] { names.append(name) }
        }
        return names
    }

    /// What an entry is, a link itself; nil when there is none.
    static func facts(_ directory: Int32, _ name: [UInt8]) -> stat? {
        var facts = stat()
        return with(name) { fstatat(directory, $0, &facts, AT_SYMLINK_NOFOLLOW) } == 0 ? facts : nil
    }

    /// What a link says; nil when it is none.
    static func link(_ directory: Int32, _ name: [UInt8]) -> [UInt8]? {
        var bytes = [CChar](repeating: 0, count: 4097)
        let count = with(name) { readlinkat(directory, $0, &bytes, bytes.count) }
        return count >= 0 ? bytes[..<count].map { UInt8(bitPattern: $0) } : nil
    }

    /// A directory of a directory, or -1; never through a link.
    static func openDirectory(_ directory: Int32, _ name: [UInt8]) -> Int32 {
        with(name) { openat(directory, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
    }
}

extension stat {
    var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
    var isLink: Bool { st_mode & S_IFMT == S_IFLNK }
    var isFile: Bool { st_mode & S_IFMT == S_IFREG }
    var isWhiteout: Bool { st_mode & S_IFMT == S_IFCHR && st_rdev == 0 }
}

/// An open descriptor that is closed with its last user.
final class OpenDirectory {
    let fd: Int32
    /// Nil when there was nothing to open.
    init?(_ fd: Int32) {
        guard fd >= 0 else { return nil }
        self.fd = fd
    }
    /// One that is open.
    init(owning fd: Int32) { self.fd = fd }
    deinit { close(fd) }
}
