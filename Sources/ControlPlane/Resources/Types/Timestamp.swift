/// A moment in UTC as Kubernetes writes it (RFC 3339), without the machine's calendar code.
package struct Timestamp: Sendable, Hashable {
    /// Seconds since 1970-01-01T00:00:00Z.
    package let seconds: Int64
    /// 0 ..< 1 000 000 000.
    package let nanoseconds: Int32

    package init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = min(max(nanoseconds, 0), 999_999_999)
    }

    /// Reads `2026-01-02T03:04:05Z`, with an optional fraction and an offset such as `+02:00`; nil for anything else.
    package init?(_ text: String) {
        var digits = Digits(bytes: Array(text.utf8))
        guard let year = digits.number(4), digits.skip("-"), let month = digits.number(2), digits.skip("-"),
            let day = digits.number(2), digits.skip("T") || digits.skip("t") || digits.skip(" "),
            let hour = digits.number(2), digits.skip(":"), let minute = digits.number(2), digits.skip(":"),
            let second = digits.number(2), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
            second <= 60
        else { return nil }
        let fraction = digits.fraction()
        guard let offset = digits.offset(), digits.isAtEnd else { return nil }
        let days = Self.days(year: Int64(year), month: Int64(month), day: Int64(day))
        seconds = days * 86400 + Int64(hour * 3600 + minute * 60 + second) - Int64(offset)
        nanoseconds = fraction
    }

    /// Days since 1970-01-01 of a date in the Gregorian calendar.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The date of a count of days since 1970-01-01.
    private static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// The moment so many seconds later; saturates at the ends of time.
    package func adding(seconds more: Int) -> Timestamp {
        let (sum, overflow) = seconds.addingReportingOverflow(Int64(more))
        return Timestamp(seconds: overflow ? (more > 0 ? .max : .min) : sum, nanoseconds: nanoseconds)
    }

    /// Whole seconds from `earlier` to here; negative when `earlier` is later.
    package func seconds(since earlier: Timestamp) -> Int {
        Int(clamping: seconds.subtractingReportingOverflow(earlier.seconds).partialValue)
    }
}

extension Timestamp: CustomStringConvertible {
    /// `2026-01-02T03:04:05Z`.
    package var description: String { prefix + "Z" }

    /// `2026-01-02T03:04:05.000006Z`, the form of Leases and event times.
    package var microDescription: String { "\(prefix).\(Self.padded(Int64(nanoseconds / 1000), 6))Z" }

    /// `2026-01-02T03:04:05.000000007Z`, the form of log lines.
    package var nanoDescription: String { "\(prefix).\(Self.padded(Int64(nanoseconds), 9))Z" }

    private var prefix: String {
        // The years 0 to 9999 are what the format can say.
        let bounded = min(max(seconds, -62_167_219_200), 253_402_300_799)
        let dayCount = bounded >= 0 ? bounded / 86400 : (bounded - 86399) / 86400
        let rest = bounded - dayCount * 86400
        let date = Self.date(days: dayCount)
        return "\(Self.padded(date.year, 4))-\(Self.padded(date.month, 2))-\(Self.padded(date.day, 2))"
            + "T\(Self.padded(rest / 3600, 2)):\(Self.padded(rest / 60 % 60, 2)):\(Self.padded(rest % 60, 2))"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }
}

extension Timestamp: Comparable {
    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// A cursor over the digits of a timestamp.
private struct Digits {
    let bytes: [UInt8]
    var position = 0

    var isAtEnd: Bool { position == bytes.count }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(truncatingIfNeeded: character.value) else {
            return false
        }
        position += 1
        return true
    }

    private mutating func digit() -> Int? {
        guard position < bytes.count, (48...57).contains(bytes[position]) else { return nil }
        position += 1
        return Int(bytes[position - 1]) - 48
    }

    mutating func number(_ width: Int) -> Int? {
        var result = 0
        for _ in 0..<width {
            guard let next = digit() else { return nil }
            result = result * 10 + next
        }
        return result
    }

    /// The nanoseconds of an optional fraction; digits beyond nine are dropped.
    mutating func fraction() -> Int32 {
        guard skip(".") else { return 0 }
        var result = 0
        var count = 0
        while let next = digit() {
            if count < 9 { result = result * 10 + next }
            count += 1
        }
        for _ in min(count, 9)..<9 { result *= 10 }
        return Int32(result)
    }

    /// Seconds east of UTC.
    mutating func offset() -> Int? {
        if skip("Z") || skip("z") { return 0 }
        let sign = skip("+") ? 1 : skip("-") ? -1 : 0
        guard sign != 0, let hours = number(2), skip(":"), let minutes = number(2), hours < 24, minutes < 60 else {
            return nil
        }
        return sign * (hours * 3600 + minutes * 60)
    }
}
