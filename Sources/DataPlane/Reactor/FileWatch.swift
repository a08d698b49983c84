import CWeft
import Glibc

/// Tells which watched directories changed (inotify).
///
/// Whole directories are watched, because a file that is replaced by rename is a new inode each time.
public final class FileWatch {
    /// One change: the directory's number and the name in it.
    public struct Change: Equatable, Sendable {
        public let directory: Int32
        public let name: String
    }

    /// To be watched for reading.
    public let fd: Int32

    public init() throws(SystemError) {
        let made = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        fd = try SystemError.check(made < 0 ? -cweft_errno() : made, "inotify_init1")
    }

    deinit { close(fd) }

    /// Starts watching a directory for files moved into it or closed after writing; its number.
    public func add(directory: String) throws(SystemError) -> Int32 {
        let mask = UInt32(IN_MOVED_TO) | UInt32(IN_CLOSE_WRITE)
        let number = inotify_add_watch(fd, directory, mask)
        return try SystemError.check(number < 0 ? -cweft_errno() : number, "watch \(directory)")
    }

    /// Stops watching a directory.
    public func remove(_ directory: Int32) { inotify_rm_watch(fd, directory) }

    /// All changes since the last call.
    public func changes() -> [Change] {
        var changes: [Change] = []
        let headSize = MemoryLayout<inotify_event>.size
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
            guard let base = buffer.baseAddress else { return }
            while true {
                let count = read(fd, base, 4096)
                guard count > 0 else { return }
                var offset = 0
                while offset + headSize <= count {
                    let event = base.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
                    let nameStart = offset + headSize
                    let nameEnd = min(count, nameStart + Int(event.len))
                    let name = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[nameStart..<nameEnd])
                    let text = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
                    changes.append(Change(directory: event.wd, name: text))
                    offset = nameEnd
                }
            }
        }
        return changes
    }
}
