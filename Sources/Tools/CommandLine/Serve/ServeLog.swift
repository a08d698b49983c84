import Bytes
import CWeft
import Glibc
import Resources
import Store

/// The daemon's log: one line per happening, `time key=value key="two words"`, appended to `serve.log`; on a terminal also
/// shown there.
package final class ServeLog: Sendable {
    /// A log that grew beyond this is begun anew when the daemon starts, the old one kept beside it.
    private static let largest = 16 << 20

    private let fd: Int32
    private let isShown: Bool
    private let lock = Lock(())

    package init(path: String) {
        var facts = stat()
        if stat(path, &facts) == 0, facts.st_size > Self.largest { rename(path, "\(path).1") }
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        isShown = isatty(STDERR_FILENO) == 1
    }

    deinit { if fd >= 0 { close(fd) } }

    /// Writes a line; `what` is one or more `key=value` words.
    package func write(_ what: String, _ facts: KeyValuePairs<String, String> = [:]) {
        var line = "\(SQLiteStore.now().microDescription) \(what)"
        for (key, value) in facts { line += " \(key)=\(Self.quoted(value))" }
        let bytes = Array((Terminal.harmless(line) + "\n").utf8)
        lock.withLock { _ in
            if fd >= 0 { _ = Glibc.write(fd, bytes, bytes.count) }
            if isShown { _ = Glibc.write(STDERR_FILENO, bytes, bytes.count) }
        }
    }

    private static func quoted(_ value: String) -> String {
        guard value.isEmpty || value.contains(where: { $0 == " " || $0 == "\"" || $0 == "\n" || $0 == "=" }) else {
            return value
        }
        var text = "\""
        for character in value {
            switch character {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
        return text + "\""
    }
}
