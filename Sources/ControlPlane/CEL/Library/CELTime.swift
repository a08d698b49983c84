import Resources

/// Moments and spans: CEL's texts, bounds and sums.
enum CELTime {
    /// Seconds of the years 1 to 9999.
    static let range: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    /// Reads RFC 3339, strictly; nil for anything else.
    static func timestamp(_ text: String) -> Timestamp? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.count <= 64, bytes[10] == UInt8(ascii: "T"), bytes.last != UInt8(ascii: "z"),
            let time = Timestamp(text), range.contains(time.seconds)
        else { return nil }
        func number(_ place: Int) -> Int { Int(bytes[place] - 48) * 10 + Int(bytes[place + 1] - 48) }
        let year = number(0) * 100 + number(2)
        guard number(8) <= days(inMonth: number(5), year), number(17) < 60, number(8) > 0 else { return nil }
        return time
    }

    private static func days(inMonth month: Int, _ year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static let units: [(name: String, nanoseconds: Int128)] = [
        ("ns", 1), ("us", 1000), ("µs", 1000), ("μs", 1000), ("ms", 1_000_000), ("s", 1_000_000_000),
        ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]

    /// Reads `1h30m`, `-1.5s`: nanoseconds, or nil when it is no span of 64 bits.
    static func duration(_ text: String) -> Int64? {
        var rest = Substring(text)
        guard text.utf8.count <= 128 else { return nil }
        let isNegative = rest.first == "-"
        if rest.first == "-" || rest.first == "+" { rest.removeFirst() }
        if rest == "0" { return 0 }
        guard !rest.isEmpty else { return nil }
        var sum: Int128 = 0
        while !rest.isEmpty {
            let whole = rest.prefix { ("0"..."9").contains($0) }
            rest = rest.dropFirst(whole.count)
            var fraction: Substring = ""
            if rest.first == "." {
                fraction = rest.dropFirst().prefix { ("0"..."9").contains($0) }
                rest = rest.dropFirst(fraction.count + 1)
            }
            guard !whole.isEmpty || !fraction.isEmpty, whole.utf8.count <= 19 else { return nil }
            let name = rest.prefix { !("0"..."9").contains($0) && $0 != "." }
            guard let unit = units.first(where: { $0.name == name })?.nanoseconds else { return nil }
            rest = rest.dropFirst(name.count)
            sum += (Int128(whole) ?? 0) * unit
            var scale = unit
            for digit in fraction.utf8.prefix(15) {
                scale /= 10
                sum += Int128(digit - 48) * scale
            }
            guard sum < 1 << 66 else { return nil }
        }
        return Int64(exactly: isNegative ? -sum : sum)
    }

    /// `2026-01-02T03:04:05.5Z`.
    static func text(of time: Timestamp) -> String {
        let whole = time.description
        guard time.nanoseconds != 0 else { return whole }
        return "\(whole.dropLast()).\(fraction(Int64(time.nanoseconds)))Z"
    }

    /// `1.5s`.
    static func text(of nanoseconds: Int64) -> String {
        let magnitude = nanoseconds.magnitude
        let (seconds, rest) = magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        return (nanoseconds < 0 ? "-" : "") + "\(seconds)" + (rest == 0 ? "" : ".\(fraction(Int64(rest)))") + "s"
    }

    private static func fraction(_ nanoseconds: Int64) -> String {
        var digits = String(nanoseconds)
        digits = String(repeating: "0", count: 9 - digits.utf8.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return digits
    }

    // MARK: Sums

    /// A moment and a span, or two spans.
    static func sum(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> CELValue {
        switch (left, right) {
        case (.timestamp(let time), .duration(let span)), (.duration(let span), .timestamp(let time)):
            return .timestamp(try moved(time, Int128(span)))
        case (.duration(let first), .duration(let second)):
            let (sum, overflows) = first.addingReportingOverflow(second)
            guard !overflows else { throw CELFailure("duration overflow") }
            return .duration(sum)
        default: throw .noOverload
        }
    }

    /// What lies between two moments or spans, or a moment before another.
    static func difference(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> CELValue {
        switch (left, right) {
        case (.timestamp(let time), .duration(let span)): return .timestamp(try moved(time, -Int128(span)))
        case (.timestamp(let first), .timestamp(let second)):
            guard let span = Int64(exactly: total(first) - total(second)) else { throw CELFailure("duration overflow") }
            return .duration(span)
        case (.duration(let first), .duration(let second)):
            let (span, overflows) = first.subtractingReportingOverflow(second)
            guard !overflows else { throw CELFailure("duration overflow") }
            return .duration(span)
        default: throw .noOverload
        }
    }

    private static func total(_ time: Timestamp) -> Int128 {
        Int128(time.seconds) * 1_000_000_000 + Int128(time.nanoseconds)
    }

    private static func moved(_ time: Timestamp, _ span: Int128) throws(CELFailure) -> Timestamp {
        let sum = total(time) + span
        var (seconds, rest) = sum.quotientAndRemainder(dividingBy: 1_000_000_000)
        if rest < 0 {
            rest += 1_000_000_000
            seconds -= 1
        }
        guard let whole = Int64(exactly: seconds), range.contains(whole) else { throw CELFailure("timestamp overflow") }
        return Timestamp(seconds: whole, nanoseconds: Int32(rest))
    }
}

/// A moment's parts on the calendar.
struct CELCalendar {
    let year: Int64
    let month: Int64
    let day: Int64
    let dayOfYear: Int64
    let dayOfWeek: Int64
    let secondOfDay: Int64

    init(seconds: Int64) {
        var days = seconds / 86400
        var rest = seconds % 86400
        if rest < 0 {
            rest += 86400
            days -= 1
        }
        secondOfDay = rest
        dayOfWeek = ((days + 4) % 7 + 7) % 7
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayFromMarch = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayFromMarch + 2) / 153
        let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        self.month = month
        self.year = year
        day = dayFromMarch - (153 * shiftedMonth + 2) / 5 + 1
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        // The year of this count begins in March.
        dayOfYear = month > 2 ? dayFromMarch + 59 + (isLeap ? 1 : 0) : dayFromMarch - 306
    }
}

extension CELEvaluator {
    func time(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        if values.count == 1, case .duration(let nanoseconds) = values[0] {
            switch function {
            case .getHours: return .int(nanoseconds / 3_600_000_000_000)
            case .getMinutes: return .int(nanoseconds / 60_000_000_000)
            case .getSeconds: return .int(nanoseconds / 1_000_000_000)
            case .getMilliseconds: return .int(nanoseconds / 1_000_000 % 1000)
            default: return nil
            }
        }
        guard case .timestamp(let time) = values.first else { return nil }
        guard values.count == 1 || values.text(1) != nil else { return nil }
        let zone = try values.text(1).map { (name) throws(CELFailure) in try Self.offset(name) } ?? 0
        let calendar = CELCalendar(seconds: time.seconds + zone)
        switch function {
        case .getFullYear: return .int(calendar.year)
        case .getMonth: return .int(calendar.month - 1)
        case .getDayOfYear: return .int(calendar.dayOfYear)
        case .getDayOfMonth: return .int(calendar.day - 1)
        case .getDate: return .int(calendar.day)
        case .getDayOfWeek: return .int(calendar.dayOfWeek)
        case .getHours: return .int(calendar.secondOfDay / 3600)
        case .getMinutes: return .int(calendar.secondOfDay / 60 % 60)
        case .getSeconds: return .int(calendar.secondOfDay % 60)
        case .getMilliseconds: return .int(Int64(time.nanoseconds) / 1_000_000)
        default: return nil
        }
    }

    /// Seconds east of UTC of `UTC` or `[+-]hh:mm`: places have no zone files here, so their names are refused.
    private static func offset(_ name: String) throws(CELFailure) -> Int64 {
        if name == "UTC" || name == "Z" || name.isEmpty { return 0 }
        let isNegative = name.hasPrefix("-")
        let parts = (isNegative || name.hasPrefix("+") ? name.dropFirst() : Substring(name)).split(separator: ":")
        guard parts.count == 2, let hours = Int64(parts[0]), let minutes = Int64(parts[1]), (0...23).contains(hours),
            (0...59).contains(minutes)
        else { throw CELFailure("unknown time zone \(name): use UTC or an offset such as +02:00") }
        return (isNegative ? -1 : 1) * (hours * 3600 + minutes * 60)
    }
}
