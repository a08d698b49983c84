import CWeft
import Glibc
import Servers

/// One file of a log, held open: it can be read to its end whatever it is renamed to meanwhile.
final class OpenLog: Sendable {
    let fd: Int32
    /// Device and inode; nobody else gets them while the file is open.
    let identity: Identity

    struct Identity: Equatable, Sendable {
        let device: UInt
        let inode: UInt

        /// What stands at a path now.
        static func at(_ path: String) -> Identity? {
            var facts = stat()
            return stat(path, &facts) == 0 ? Identity(facts) : nil
        }

        init(_ facts: stat) {
            device = UInt(facts.st_dev)
            inode = UInt(facts.st_ino)
        }
    }

    init?(_ path: String) {
        fd = open(path, O_RDONLY | O_CLOEXEC)
        var facts = stat()
        guard fd >= 0, fstat(fd, &facts) == 0 else {
            if fd >= 0 { close(fd) }
            return nil
        }
        identity = Identity(facts)
    }

    deinit { if fd >= 0 { close(fd) } }

    /// The pod init takes the right to write from a log whose run has ended and that is written out.
    var isComplete: Bool {
        var facts = stat()
        return fstat(fd, &facts) == 0 && facts.st_mode & S_IWUSR == 0
    }

    /// Whether more may come: it is not complete, and not left behind long ago by a pod init that was killed.
    func isBeingWritten(within time: Duration) -> Bool {
        var facts = stat()
        var now = timespec()
        guard fstat(fd, &facts) == 0, clock_gettime(CLOCK_REALTIME, &now) == 0 else { return false }
        return facts.st_mode & S_IWUSR != 0 && now.tv_sec - facts.st_mtim.tv_sec <= time.components.seconds + 1
    }
}

/// The files of one run of a container: `ATTEMPT.log`, which is written, and `ATTEMPT.log.1` and so on, older and older.
struct LogFiles: Sendable {
    /// More than the pod init keeps.
    private static let mostFiles = 9

    let path: String

    init(directory: String, attempt: Int) { path = "\(directory)/\(attempt).log" }

    /// All files, oldest first. A rotation meanwhile is noticed, so that none is missing and none comes twice.
    func open() -> [OpenLog] {
        let paths = (1...Self.mostFiles).reversed().map { "\(path).\($0)" } + [path]
        var opened: [OpenLog] = []
        for _ in 0..<16 {
            opened = paths.compactMap(OpenLog.init)
            if opened.map(\.identity) == paths.compactMap(OpenLog.Identity.at) { break }
        }
        return opened
    }

    /// What was begun after `log`; all that is there when it was rotated away already.
    func newer(than log: OpenLog) -> [OpenLog] {
        let all = open()
        guard let index = all.firstIndex(where: { $0.identity == log.identity }) else { return all }
        return Array(all[(index + 1)...])
    }

    /// Whether `log` is still the one that is written.
    func isCurrent(_ log: OpenLog) -> Bool { OpenLog.Identity.at(path) == log.identity }
}

/// How much of a log lies before its last lines.
enum LogTail {
    /// Where the mark stands in a line: behind a time of 30 bytes and the stream's name of 6.
    private static let markOffset = 38
    /// The first letter in which the streams' names differ.
    private static let streamOffset = 34

    /// The lines of a stream (nil: of both) to leave out of the files so that the last `count` remain. A line in parts
    /// counts once.
    static func linesToSkip(_ files: [OpenLog], keeping count: Int, of stream: PodLogStream?) -> Int {
        let letter = stream.map { $0 == .output ? UInt8(ascii: "o") : UInt8(ascii: "e") }
        var total = 0
        for file in files { total += lines(in: file, letter) }
        return max(total - count, 0)
    }

    private static func lines(in file: OpenLog, _ wanted: UInt8?) -> Int {
        var total = 0
        var position = 0
        var lineStart = 0
        var isPart = false
        var isOther = false
        let size = 256 << 10
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let length = pread(file.fd, buffer, size, off_t(position))
            guard length > 0 else { return total }
            var offset = 0
            while offset < length {
                let mark = lineStart + markOffset - position
                let letter = lineStart + streamOffset - position
                if let wanted, letter >= offset, letter < length {
                    isOther = buffer.load(fromByteOffset: letter, as: UInt8.self) != wanted
                }
                if mark >= offset, mark < length { isPart = buffer.load(fromByteOffset: mark, as: UInt8.self) == 0x50 }
                guard let end = memchr(buffer + offset, 0x0A, length - offset) else { break }
                offset = end - buffer + 1
                lineStart = position + offset
                if !isPart, !isOther { total += 1 }
                isPart = false
                isOther = false
            }
            position += length
        }
    }
}
