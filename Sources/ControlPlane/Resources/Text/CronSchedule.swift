/// When a CronJob runs: five fields (`minute hour day-of-month month day-of-week`), a word such as `@daily`, or `@every 90m`.
///
/// A field is `*` or `?`, numbers, ranges, steps (`*/5`, `10-20/2`, `3/4`) and lists of them; months and days also by their
/// first three letters. When both kinds of day are given a time matches by either (Vixie's rule).
package struct CronSchedule: Sendable, Equatable {
    /// One bit for each value.
    package let minutes: UInt64
    package let hours: UInt64
    package let days: UInt64
    package let months: UInt64
    /// 0 is Sunday.
    package let weekdays: UInt64
    /// The field is `*` or `?`: the other kind of day alone decides.
    package let isAnyDay: Bool
    package let isAnyWeekday: Bool
    /// Seconds of `@every`; the fields mean nothing then.
    package let interval: Int?

    /// Why a text is no schedule.
    package struct Problem: Error, Equatable {
        package let message: String
    }

    private static let words = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    /// Reads a schedule.
    package init(_ text: String) throws(Problem) {
        var text = text.trimmed
        if text.hasPrefix("TZ=") || text.hasPrefix("CRON_TZ=") {
            throw Problem(message: "a time zone stands in spec.timeZone, not in the schedule")
        }
        if text.hasPrefix("@every ") {
            let wait = String(text.dropFirst("@every ".count)).trimmed
            guard let seconds = Self.seconds(wait), seconds >= 1 else {
                throw Problem(message: "\"\(wait.prefix(40))\" is no duration of a second or more, such as 90m")
            }
            interval = seconds
            (minutes, hours, days, months, weekdays) = (0, 0, 0, 0, 0)
            (isAnyDay, isAnyWeekday) = (false, false)
            return
        }
        if text.hasPrefix("@") {
            guard let fields = Self.words[text] else {
                let known = Self.words.keys.sorted().joined(separator: ", ")
                throw Problem(message: "\"\(text.prefix(40))\" is none of \(known), @every")
            }
            text = fields
        }
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count == 5 else {
            throw Problem(
                message: "expected 5 fields (minute hour day-of-month month day-of-week), found \(fields.count)"
            )
        }
        interval = nil
        minutes = try Self.field(fields[0], "minute", 0...59).bits
        hours = try Self.field(fields[1], "hour", 0...23).bits
        (days, isAnyDay) = try Self.field(fields[2], "day of month", 1...31)
        months = try Self.field(fields[3], "month", 1...12, names: Self.monthNames).bits
        (weekdays, isAnyWeekday) = try Self.field(fields[4], "day of week", 0...6, names: Self.dayNames)
    }

    private static func field(
        _ text: Substring,
        _ name: String,
        _ bounds: ClosedRange<Int>,
        names: [String] = []
    ) throws(Problem) -> (bits: UInt64, isAny: Bool) {
        var bits: UInt64 = 0
        var isAny = false
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "/", omittingEmptySubsequences: false)
            guard sides.count <= 2, let range = sides.first, !range.isEmpty else {
                throw Problem(message: "\(name): \"\(part.prefix(40))\" cannot be read")
            }
            var low = bounds.lowerBound
            var high = bounds.upperBound
            let isStar = range == "*" || range == "?"
            if !isStar {
                let ends = range.split(separator: "-", omittingEmptySubsequences: false)
                guard ends.count <= 2 else {
                    throw Problem(message: "\(name): \"\(range.prefix(40))\" cannot be read")
                }
                low = try number(ends[0], name, bounds, names)
                // One number with a step goes on to the end.
                high = ends.count == 2 ? try number(ends[1], name, bounds, names) : sides.count == 2 ? high : low
            }
            guard low <= high else {
                throw Problem(message: "\(name): the range \"\(range.prefix(40))\" ends before it begins")
            }
            var step = 1
            if sides.count == 2 {
                guard let given = Int(sides[1]), given > 0 else {
                    throw Problem(message: "\(name): the step \"\(sides[1].prefix(40))\" is no number above 0")
                }
                step = given
            }
            if isStar, step == 1 { isAny = true }
            var value = low
            while value <= high {
                bits |= 1 << UInt64(value)
                guard step <= high - value else { break }
                value += step
            }
        }
        return (bits, isAny)
    }

    private static func number(
        _ text: Substring,
        _ name: String,
        _ bounds: ClosedRange<Int>,
        _ names: [String]
    ) throws(Problem) -> Int {
        if let index = names.firstIndex(of: text.lowercased()) { return bounds.lowerBound + index }
        guard let number = Int(text), text.utf8.allSatisfy({ (48...57).contains($0) }) else {
            throw Problem(message: "\(name): \"\(text.prefix(40))\" is no number")
        }
        guard bounds.contains(number) else {
            let sunday = name == "day of week" && number == 7 ? " (Sunday is 0)" : ""
            throw Problem(
                message: "\(name): \(number) is not from \(bounds.lowerBound) to \(bounds.upperBound)\(sunday)"
            )
        }
        return number
    }

    /// The seconds of `1h30m`, `90s`.
    private static func seconds(_ text: String) -> Int? {
        var total = 0
        var digits = ""
        let units: [Character: Int] = ["h": 3600, "m": 60, "s": 1]
        for character in text {
            if character.isASCII, character.isNumber {
                digits.append(character)
                continue
            }
            guard let unit = units[character], let number = Int(digits), number < 1_000_000 else { return nil }
            total += number * unit
            digits = ""
        }
        return digits.isEmpty && total > 0 ? total : nil
    }

    /// Whether a day of the calendar is one of the schedule's.
    package func matches(day: Int, weekday: Int) -> Bool {
        let byDay = days >> UInt64(day) & 1 == 1
        let byWeekday = weekdays >> UInt64(weekday) & 1 == 1
        return isAnyDay || isAnyWeekday ? byDay && byWeekday : byDay || byWeekday
    }
}
