import CWeft
import Glibc

/// A block of lines at the end of the terminal that is drawn again and again in its place.
///
/// Owned by one task. Lines that are too long are cut, so that the block never wraps and always knows its height.
struct LiveScreen {
    private var height = 0

    /// Hides the cursor and the echo of keys until `close()`.
    static func open() {
        Terminal.write("\u{1b}[?25l", to: STDOUT_FILENO)
        _ = cweft_terminal_echo(STDIN_FILENO, 0)
    }

    static func close() {
        Terminal.write("\u{1b}[?25h", to: STDOUT_FILENO)
        _ = cweft_terminal_echo(STDIN_FILENO, 1)
    }

    /// Replaces what was drawn before by these lines.
    mutating func draw(_ lines: [String]) {
        let size = Terminal.size
        let shown = lines.prefix(max(1, size.rows - 1)).map { Self.cut($0, to: size.columns) }
        var text = height > 0 ? "\u{1b}[\(height)A" : ""
        for line in shown { text += "\r\u{1b}[K\(line)\n" }
        text += "\u{1b}[J"
        height = shown.count
        Terminal.write(text, to: STDOUT_FILENO)
    }

    /// Leaves what was drawn where it is; the next block starts below it.
    mutating func release() { height = 0 }

    /// The first `width` columns of a line; escape sequences take no column.
    static func cut(_ line: String, to width: Int) -> String {
        var kept = ""
        var used = 0
        var isEscape = false
        for character in line {
            if character == "\u{1b}" { isEscape = true }
            if !isEscape {
                guard used < width else { continue }
                used += 1
            }
            kept.append(character)
            if isEscape, character.isLetter { isEscape = false }
        }
        return kept
    }
}
