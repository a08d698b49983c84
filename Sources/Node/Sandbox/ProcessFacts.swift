import CWeft
import Glibc

/// A process told apart from a later one with the same number: by its start time (R19: pid reuse).
package struct ProcessIdentity: Sendable, Equatable {
    package let pid: Int32
    /// Clock ticks since the machine started (`/proc/PID/stat`, field 22).
    package let startTime: UInt64

    package init(pid: Int32, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }

    /// The process that has this number now; nil when there is none, or only a zombie.
    package static func current(_ pid: Int32) -> ProcessIdentity? {
        guard pid > 0, let stat = readFile("/proc/\(pid)/stat", limit: 4096) else { return nil }
        // The command's name stands in parentheses and may hold anything.
        guard let close = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: close)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", let start = UInt64(fields[19]) else { return nil }
        return ProcessIdentity(pid: pid, startTime: start)
    }

    /// Whether the process with this number is being taken apart by the kernel (`PF_EXITING` in field 9 of its `stat`), or is
    /// gone.
    package static func isEnding(_ pid: Int32) -> Bool {
        guard let stat = readFile("/proc/\(pid)/stat", limit: 4096), let close = stat.lastIndex(of: ")") else {
            return true
        }
        let fields = stat[stat.index(after: close)...].split(separator: " ")
        guard fields.count > 6, let flags = UInt64(fields[6]) else { return true }
        return fields[0] == "Z" || fields[0] == "X" || flags & 4 != 0
    }

    package var isAlive: Bool { Self.current(pid) == self }

    /// Whether it goes by the name of a pod init.
    var isPodInit: Bool { readFile("/proc/\(pid)/comm", limit: 64) == "weft-pod-init\n" }
}

/// The text of a small file; nil when it cannot be read.
package func readFile(_ path: String, limit: Int = 1 << 20) -> String? {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while bytes.count < limit {
        let count = read(fd, &chunk, chunk.count)
        guard count > 0 else { break }
        bytes.append(contentsOf: chunk[..<count])
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// Writes a file beside the old one and puts it in its place, so that a reader sees one of the two.
package func replaceFile(_ path: String, with text: String, mode: UInt32 = 0o600) throws(SandboxError) {
    let draft = path + ".new"
    unlink(draft)
    let fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard fd >= 0 else { throw SandboxError(.creationFailed, "cannot write \(draft): \(SandboxError.text(errno))") }
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes { write(fd, $0.baseAddress?.advanced(by: done), bytes.count - done) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else {
            let why = SandboxError.text(errno)
            close(fd)
            unlink(draft)
            throw SandboxError(.creationFailed, "cannot write \(draft): \(why)")
        }
        done += count
    }
    fchmod(fd, mode)
    close(fd)
    guard rename(draft, path) == 0 else {
        throw SandboxError(.creationFailed, "cannot put \(path) in place: \(SandboxError.text(errno))")
    }
}

/// Makes a directory and its parents.
package func makeDirectory(_ path: String, mode: UInt32 = 0o700) throws(SandboxError) {
    var partial = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
        partial += part
        if mkdir(partial, mode) != 0, errno != EEXIST {
            throw SandboxError(.creationFailed, "cannot make the directory \(partial): \(SandboxError.text(errno))")
        }
        partial += "/"
    }
}

/// The names in a directory, `.` and `..` left out; empty when it cannot be read.
package func listDirectory(_ path: String) -> [String] {
    var names: [String] = []
    var state: UnsafeMutableRawPointer?
    while let name = cweft_next_entry(path, &state) { names.append(String(cString: name)) }
    return names
}
