import CWeft
import Glibc
import Reactor
import Synchronization

/// The process log: one `key=value` line per event on standard error. Any thread may log; nothing of a request's normal
/// course is logged here.
final class ProcessLog: Sendable {
    private let threshold: Atomic<Int>

    init(level: LogLevel) { threshold = Atomic(level.rawValue) }

    /// Makes a file take the place of standard error, whoever writes there; why it cannot be, or nil.
    func open(_ path: String) -> String? {
        let fd = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard fd >= 0 else { return "\(SystemError(code: cweft_errno(), operation: "open \(path)"))" }
        let result = dup2(fd, 2)
        close(fd)
        return result < 0 ? "\(SystemError(code: cweft_errno(), operation: "write to \(path)"))" : nil
    }

    var level: LogLevel {
        get { LogLevel(rawValue: threshold.load(ordering: .relaxed)) ?? .info }
        set { threshold.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// Writes one line: time, level, message, then the pairs. Values are quoted where they need it.
    func log(_ level: LogLevel, _ message: String, _ pairs: KeyValuePairs<String, String> = [:]) {
        guard level >= self.level, level != .off else { return }
        var line = "time=\(CalendarTime.text(nanoseconds: WallClock.now(), pattern: nil)) level=\(level.name) "
        line += "message=\(Self.quoted(message))"
        for (key, value) in pairs { line += " \(key)=\(Self.quoted(value))" }
        line += "\n"
        let bytes = Array(line.utf8)
        bytes.withUnsafeBytes { raw in
            guard let start = raw.baseAddress else { return }
            _ = write(2, start, raw.count)
        }
    }

    func info(_ message: String, _ pairs: KeyValuePairs<String, String> = [:]) { log(.info, message, pairs) }
    func warning(_ message: String, _ pairs: KeyValuePairs<String, String> = [:]) { log(.warning, message, pairs) }
    func error(_ message: String, _ pairs: KeyValuePairs<String, String> = [:]) { log(.error, message, pairs) }

    /// The value as it is when it is one plain word, else in quotation marks with everything odd escaped.
    static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x3D }
        if isPlain { return text }
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 0x20 || (scalar.value >= 0x7F && scalar.value < 0xA0):
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// The clock on the wall.
enum WallClock {
    /// Nanoseconds since 1970.
    static func now() -> UInt64 { cweft_wall_clock() }
}
