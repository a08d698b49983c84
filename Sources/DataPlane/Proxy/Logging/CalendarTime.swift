import CWeft
import Glibc

/// Wall-clock time as text, in UTC.
enum CalendarTime {
    /// `2026-11-21T04:38:46.123Z` without a pattern, else strftime with `%1f` to `%9f` for fractions and `%s` for seconds
    /// since 1970.
    static func text(nanoseconds: UInt64, pattern: String?, isLocal: Bool = false) -> String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        let fraction = nanoseconds % 1_000_000_000
        var parts = tm()
        if isLocal { localtime_r(&seconds, &parts) } else { gmtime_r(&seconds, &parts) }
        guard let pattern, !pattern.isEmpty else {
            let zone = isLocal ? strftime("%z", &parts) : "Z"
            return strftime("%Y-%m-%dT%H:%M:%S", &parts) + "." + digits(fraction / 1_000_000, 3) + zone
        }
        var prepared = pattern
        let whole = digits(fraction, 9)
        for width in 1...9 { prepared = replace("%\(width)f", by: String(whole.prefix(width)), in: prepared) }
        prepared = replace("%f", by: whole, in: prepared)
        let since = nanoseconds / 1_000_000_000
        prepared = replace("%Es", by: String(since), in: prepared)
        prepared = replace("%s", by: String(since), in: prepared)
        return strftime(prepared, &parts)
    }

    private static func strftime(_ pattern: String, _ parts: inout tm) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = Glibc.strftime(&buffer, buffer.count, pattern, &parts)
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func digits(_ number: UInt64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private static func replace(_ mark: String, by text: String, in whole: String) -> String {
        var result = ""
        var rest = Substring(whole)
        while !rest.isEmpty {
            if rest.hasPrefix(mark) {
                result += text
                rest = rest.dropFirst(mark.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return result
    }
}
