import CWeft
import Glibc

/// Standard output and standard error of the program.
///
/// Writes whole texts at once and ignores a reader that went away. Safe on every thread.
enum Terminal {
    static let isOutputTerminal = isatty(STDOUT_FILENO) == 1
    static let isErrorTerminal = isatty(STDERR_FILENO) == 1

    /// Data for the user or a pipe, on standard output.
    static func print(_ text: String, terminator: String = "\n") {
        write(text + terminator, to: STDOUT_FILENO)
    }

    /// A message that is no data, on standard error.
    static func note(_ text: String) {
        write(text + "\n", to: STDERR_FILENO)
    }

    /// A failure, on standard error.
    static func complain(_ text: String) {
        let mark = isErrorTerminal ? "\u{1b}[31mweft:\u{1b}[0m " : "weft: "
        write(mark + text + "\n", to: STDERR_FILENO)
    }

    static func warn(_ text: String) {
        let mark = isErrorTerminal ? "\u{1b}[33mwarning:\u{1b}[0m " : "warning: "
        write(mark + text + "\n", to: STDERR_FILENO)
    }

    /// Columns and rows of the terminal behind standard output, or 80 x 24.
    static var size: (columns: Int, rows: Int) {
        var columns: Int32 = 0
        var rows: Int32 = 0
        guard cweft_terminal_size(STDOUT_FILENO, &columns, &rows) == 0, columns > 0, rows > 0 else { return (80, 24) }
        return (Int(columns), Int(rows))
    }

    static func write(_ text: String, to fd: Int32) {
        var text = text
        _ = text.withUTF8 { write(UnsafeRawBufferPointer($0), to: fd) }
    }

    /// False when the reader went away.
    @discardableResult
    static func write(_ bytes: [UInt8], to fd: Int32) -> Bool {
        bytes.withUnsafeBytes { write($0, to: fd) }
    }

    @discardableResult
    private static func write(_ bytes: UnsafeRawBufferPointer, to fd: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let written = Glibc.write(fd, rest.baseAddress, rest.count)
            if written < 0, errno == EINTR || errno == EAGAIN { continue }
            guard written > 0 else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
        return true
    }

    /// A text in which control characters are shown instead of obeyed: names and messages come from outside.
    static func harmless(_ text: String) -> String {
        guard
            text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 || (128..<160).contains($0.value) })
        else { return text }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    scalar.value < 32 || scalar.value == 127 || (128..<160).contains(scalar.value) ? "\u{fffd}" : scalar
                }
            )
        )
    }
}

/// Colours of the live table; plain text when standard output is no terminal or `NO_COLOR` is set.
enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"

    private static let isOn = Terminal.isOutputTerminal && getenv("NO_COLOR") == nil

    func callAsFunction(_ text: String) -> String {
        Self.isOn ? "\u{1b}[\(rawValue)m\(text)\u{1b}[0m" : text
    }
}
