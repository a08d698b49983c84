/// A time zone as its file in the zoneinfo database says (TZif, RFC 9636): how far clocks are from UTC at any moment.
///
/// Pure: the caller reads the file. Moments after the last listed change follow the rule in the file's last line.
package struct TimeZoneRules: Sendable, Equatable {
    /// Seconds since 1970 at which the offset changes, and the offset from then on; ascending.
    private let changes: [(at: Int64, offset: Int)]
    /// The offset before the first change.
    private let first: Int
    /// What holds after the last change.
    private let rest: YearlyRule?

    package static let utc = TimeZoneRules(changes: [], first: 0, rest: nil)

    private init(changes: [(at: Int64, offset: Int)], first: Int, rest: YearlyRule?) {
        self.changes = changes
        self.first = first
        self.rest = rest
    }

    package static func == (left: TimeZoneRules, right: TimeZoneRules) -> Bool {
        left.first == right.first && left.rest == right.rest
            && left.changes.elementsEqual(right.changes) { $0.at == $1.at && $0.offset == $1.offset }
    }

    /// Changes and types beyond these are no zone of this planet.
    private static let limit = 4096

    /// Reads a file; nil when it is none of version 2 or later.
    package init?(file: [UInt8]) {
        var reader = Reader(bytes: file)
        // The first block has 32-bit times, for readers of long ago: it is passed over.
        guard let old = reader.header(), old.version >= 0x32, reader.skip(old.size(timeWidth: 4)),
            let header = reader.header(), header.times <= Self.limit, (1...Self.limit).contains(header.types)
        else { return nil }
        var moments: [Int64] = []
        for _ in 0..<header.times {
            guard let moment = reader.integer(8) else { return nil }
            moments.append(moment)
        }
        var kinds: [Int] = []
        for _ in 0..<header.times {
            guard let kind = reader.integer(1) else { return nil }
            kinds.append(Int(kind) & 0xff)
        }
        var offsets: [Int] = []
        for _ in 0..<header.types {
            guard let offset = reader.integer(4), reader.skip(2), abs(offset) < 7 * 86400 else { return nil }
            offsets.append(Int(offset))
        }
        guard reader.skip(header.texts + header.leaps * 12 + header.standards + header.universals),
            kinds.allSatisfy({ $0 < offsets.count }), zip(moments, moments.dropFirst()).allSatisfy({ $0 < $1 })
        else { return nil }
        self.init(
            changes: zip(moments, kinds).map { ($0, offsets[$1]) },
            first: offsets[0],
            rest: YearlyRule(reader.lastLine())
        )
    }

    /// Seconds that local clocks are ahead of UTC at a moment (seconds since 1970).
    package func offset(at moment: Int64) -> Int {
        if let last = changes.last, moment >= last.at { return rest?.offset(at: moment) ?? last.offset }
        if changes.isEmpty { return rest?.offset(at: moment) ?? first }
        var low = 0
        var high = changes.count
        while low < high {
            let middle = (low + high) / 2
            if changes[middle].at <= moment { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? first : changes[low - 1].offset
    }
}

extension TimeZoneRules {
    private struct Header {
        var version: UInt8
        var universals, standards, leaps, times, types, texts: Int

        func size(timeWidth: Int) -> Int {
            times * (timeWidth + 1) + types * 6 + texts + leaps * (timeWidth + 4) + standards + universals
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        mutating func skip(_ count: Int) -> Bool {
            guard count >= 0, count <= bytes.count - position else { return false }
            position += count
            return true
        }

        /// A whole number with its sign, most significant byte first.
        mutating func integer(_ width: Int) -> Int64? {
            guard width <= bytes.count - position, width > 0 else { return nil }
            var result: Int64 = bytes[position] & 0x80 != 0 && width > 1 ? -1 : 0
            for byte in bytes[position..<position + width] { result = result << 8 | Int64(byte) }
            position += width
            return result
        }

        mutating func header() -> Header? {
            guard bytes.count - position >= 44, bytes[position..<position + 4].elementsEqual("TZif".utf8) else {
                return nil
            }
            let version = bytes[position + 4]
            position += 20
            var counts: [Int] = []
            for _ in 0..<6 {
                guard let count = integer(4), (0...1_000_000).contains(count) else { return nil }
                counts.append(Int(count))
            }
            return Header(
                version: version,
                universals: counts[0],
                standards: counts[1],
                leaps: counts[2],
                times: counts[3],
                types: counts[4],
                texts: counts[5]
            )
        }

        mutating func lastLine() -> String {
            let rest = bytes[position...].drop { $0 == 10 }.prefix { $0 != 10 }
            return String(decoding: rest.prefix(128), as: UTF8.self)
        }
    }
}

/// The rule of a zone for every year, as POSIX writes it: `CET-1CEST,M3.5.0,M10.5.0/3`.
struct YearlyRule: Sendable, Equatable {
    /// Seconds ahead of UTC.
    let standard: Int
    /// Nil without summer time.
    let summer: Summer?

    struct Summer: Sendable, Equatable {
        let offset: Int
        let begin: Moment
        let end: Moment
    }

    /// When in a year, by the clock that holds until then.
    struct Moment: Sendable, Equatable {
        enum Day: Sendable, Equatable {
            /// `M3.5.0`: the fifth (last) Sunday of March.
            case week(month: Int, week: Int, weekday: Int)
            /// `J60`: 1 to 365, without 29 February.
            case julian(Int)
            /// `59`: 0 to 365.
            case ordinal(Int)
        }

        let day: Day
        let seconds: Int
    }

    /// Reads a rule; nil for a text that is none.
    init?(_ text: String) {
        var rest = text[...]
        guard Self.name(&rest), let west = Self.time(&rest) else { return nil }
        standard = -west
        guard !rest.isEmpty else {
            summer = nil
            return
        }
        guard Self.name(&rest) else { return nil }
        var ahead = standard + 3600
        if rest.first != ",", let west = Self.time(&rest) { ahead = -west }
        guard let begin = Self.moment(&rest), let end = Self.moment(&rest), rest.isEmpty else { return nil }
        summer = Summer(offset: ahead, begin: begin, end: end)
    }

    func offset(at moment: Int64) -> Int {
        guard let summer else { return standard }
        let year = CivilTime(seconds: moment + Int64(standard)).year
        let begin = summer.begin.seconds(in: year) - Int64(standard)
        let end = summer.end.seconds(in: year) - Int64(summer.offset)
        let isSummer =
            begin < end ? moment >= begin && moment < end : moment >= begin || moment < end
        return isSummer ? summer.offset : standard
    }

    // MARK: Reading

    /// Three letters or more, or anything in `<>`.
    private static func name(_ rest: inout Substring) -> Bool {
        if rest.first == "<" {
            guard let end = rest.firstIndex(of: ">") else { return false }
            rest = rest[rest.index(after: end)...]
            return true
        }
        let letters = rest.prefix { $0.isASCII && $0.isLetter }
        rest = rest.dropFirst(letters.count)
        return letters.count >= 3
    }

    private static func number(_ rest: inout Substring) -> Int? {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        guard digits.count <= 6, let number = Int(digits) else { return nil }
        rest = rest.dropFirst(digits.count)
        return number
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    private static func time(_ rest: inout Substring) -> Int? {
        var sign = 1
        if let first = rest.first, first == "-" || first == "+" {
            sign = first == "-" ? -1 : 1
            rest = rest.dropFirst()
        }
        guard let hours = number(&rest), hours <= 167 else { return nil }
        var seconds = hours * 3600
        for unit in [60, 1] where rest.first == ":" {
            rest = rest.dropFirst()
            guard let part = number(&rest), part < 60 else { return nil }
            seconds += part * unit
        }
        return sign * seconds
    }

    private static func moment(_ rest: inout Substring) -> Moment? {
        guard rest.first == "," else { return nil }
        rest = rest.dropFirst()
        let day: Moment.Day
        switch rest.first {
        case "M":
            rest = rest.dropFirst()
            var parts: [Int] = []
            for index in 0..<3 {
                if index > 0 {
                    guard rest.first == "." else { return nil }
                    rest = rest.dropFirst()
                }
                guard let part = number(&rest) else { return nil }
                parts.append(part)
            }
            guard (1...12).contains(parts[0]), (1...5).contains(parts[1]), (0...6).contains(parts[2]) else {
                return nil
            }
            day = .week(month: parts[0], week: parts[1], weekday: parts[2])
        case "J":
            rest = rest.dropFirst()
            guard let number = number(&rest), (1...365).contains(number) else { return nil }
            day = .julian(number)
        default:
            guard let number = number(&rest), number <= 365 else { return nil }
            day = .ordinal(number)
        }
        guard rest.first == "/" else { return Moment(day: day, seconds: 7200) }
        rest = rest.dropFirst()
        guard let seconds = time(&rest) else { return nil }
        return Moment(day: day, seconds: seconds)
    }
}

extension YearlyRule.Moment {
    /// Seconds since 1970 by the local clock.
    func seconds(in year: Int64) -> Int64 {
        let date: Int64
        switch day {
        case .ordinal(let number): date = CivilTime.days(year, 1, 1) + Int64(number)
        case .julian(let number):
            let leap = CivilTime.days(year, 3, 1) - CivilTime.days(year, 2, 1) == 29
            date = CivilTime.days(year, 1, 1) + Int64(number - 1) + (leap && number >= 60 ? 1 : 0)
        case .week(let month, let week, let weekday):
            let first = CivilTime.days(year, Int64(month), 1)
            let shift = (Int64(weekday) - CivilTime.weekday(first) + 7) % 7
            let length =
                (month == 12 ? CivilTime.days(year + 1, 1, 1) : CivilTime.days(year, Int64(month) + 1, 1)) - first
            var day = shift + Int64(week - 1) * 7
            while day >= length { day -= 7 }
            date = first + day
        }
        return date * 86400 + Int64(seconds)
    }
}

/// A date and a time of day of the Gregorian calendar, without a zone.
struct CivilTime: Equatable, Sendable {
    let year: Int64
    let month: Int
    let day: Int
    /// 0 is Sunday.
    let weekday: Int
    let hour: Int
    let minute: Int
    let second: Int

    /// - Parameter seconds: since 1970, by the clock on the wall.
    init(seconds: Int64) {
        let days = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400
        let rest = Int(seconds - days * 86400)
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        month = Int(shiftedMonth + (shiftedMonth < 10 ? 3 : -9))
        day = Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        weekday = Int(Self.weekday(days))
        (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
    }

    var secondOfDay: Int { hour * 3600 + minute * 60 + second }

    /// Days since 1970-01-01.
    static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// 1970-01-01 was a Thursday.
    static func weekday(_ days: Int64) -> Int64 { ((days % 7) + 11) % 7 }
}
