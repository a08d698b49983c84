import Controllers
import Resources
import Testing

@Suite("Cron: schedules")
struct CronScheduleTests {
    /// The moments that follow a time.
    private func next(_ text: String, after time: String, _ count: Int = 3, in zone: String = "UTC") throws -> [String]
    {
        let schedule = try CronSchedule(text)
        let rules = try #require(ZoneFiles.rules(of: zone))
        var moment = try #require(Timestamp(time))
        var found: [String] = []
        while found.count < count, let next = schedule.next(after: moment, in: rules) {
            found.append(next.description)
            moment = next
        }
        return found
    }

    @Test(
        "the next moments of a schedule",
        arguments: [
            ("* * * * *", "2026-01-01T00:00:59Z", ["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"]),
            ("*/20 * * * *", "2026-01-01T00:20:00Z", ["2026-01-01T00:40:00Z", "2026-01-01T01:00:00Z"]),
            ("5/20 * * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z"]),
            ("0 9-17/4 * * MON-FRI", "2026-01-02T17:00:00Z", ["2026-01-05T09:00:00Z", "2026-01-05T13:00:00Z"]),
            ("30 4 1,15 * *", "2026-01-01T04:30:00Z", ["2026-01-15T04:30:00Z", "2026-02-01T04:30:00Z"]),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29T00:00:00Z"]),
            ("0 0 13 * fri", "2026-02-01T00:00:00Z", ["2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z"]),
            ("0 0 */10 * 1", "2026-01-01T00:00:00Z", ["2026-01-05T00:00:00Z", "2026-01-11T00:00:00Z"]),
            ("0 0 ? jan,Dec ?", "2026-01-31T00:00:00Z", ["2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z"]),
            ("@hourly", "2026-12-31T23:10:00Z", ["2027-01-01T00:00:00Z", "2027-01-01T01:00:00Z"]),
            ("@weekly", "2026-01-01T00:00:00Z", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]),
            ("@yearly", "2026-01-01T00:00:00Z", ["2027-01-01T00:00:00Z"]),
            ("@every 90s", "2026-01-01T00:00:10Z", ["2026-01-01T00:01:40Z", "2026-01-01T00:03:10Z"]),
            ("@every 1h30m", "2026-01-01T00:00:00Z", ["2026-01-01T01:30:00Z"]),
        ]
    )
    func moments(_ text: String, _ start: String, _ wanted: [String]) throws {
        #expect(try next(text, after: start, wanted.count) == wanted)
    }

    @Test("a schedule that never comes ends the search")
    func never() throws {
        #expect(try next("0 0 30 2 *", after: "2026-01-01T00:00:00Z").isEmpty)
    }

    @Test("summer time: an hour that is left out is passed over, one that comes twice is due twice")
    func summerTime() throws {
        // 2026-03-29 02:00 -> 03:00 and 2026-10-25 03:00 -> 02:00 in Berlin.
        let spring = try next("30 2 * * *", after: "2026-03-27T12:00:00Z", 3, in: "Europe/Berlin")
        #expect(spring == ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"])
        let autumn = try next("30 2 * * *", after: "2026-10-24T12:00:00Z", 3, in: "Europe/Berlin")
        #expect(autumn == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"])
        // Midnight of the day on which clocks jump, and one that no clock shows (Beirut jumps at 0:00).
        let midnight = try next("0 0 * * *", after: "2026-03-28T22:00:00Z", 2, in: "Europe/Berlin")
        #expect(midnight == ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"])
        let missing = try next("0 0 * * *", after: "2026-03-28T12:00:00Z", 1, in: "Asia/Beirut")
        #expect(missing == ["2026-03-29T21:00:00Z"])
    }

    @Test("zones: half hours, the southern half, none, and beyond the listed years")
    func zones() throws {
        #expect(try next("0 9 * * *", after: "2026-01-01T00:00:00Z", 1, in: "Asia/Kolkata") == ["2026-01-01T03:30:00Z"])
        #expect(
            try next("0 9 * * *", after: "2026-01-01T00:00:00Z", 1, in: "Australia/Sydney") == ["2026-01-01T22:00:00Z"]
        )
        #expect(
            try next("0 9 1 7 *", after: "2090-01-01T00:00:00Z", 1, in: "America/New_York") == ["2090-07-01T13:00:00Z"]
        )
        #expect(
            try next("0 9 1 1 *", after: "2090-01-02T00:00:00Z", 1, in: "America/New_York") == ["2091-01-01T14:00:00Z"]
        )
        for name in ["Nowhere/Land", "../../etc/passwd", "/etc/passwd", "", "zone.tab", "Europe"] {
            #expect(ZoneFiles.rules(of: name) == nil)
        }
    }

    @Test(
        "what is no schedule says why",
        arguments: [
            ("", "5 fields"), ("* * * *", "found 4"), ("* * * * * *", "found 6"), ("60 * * * *", "minute: 60"),
            ("* 24 * * *", "hour"), ("* * 0 * *", "day of month"), ("* * * 13 *", "month"),
            ("* * * * 7", "Sunday is 0"), ("5-1 * * * *", "ends before"), ("*/0 * * * *", "step"),
            ("a * * * *", "no number"), ("1-2-3 * * * *", "cannot be read"), (",1 * * * *", "cannot be read"),
            ("@often", "none of"), ("@every 0s", "duration"), ("@every x", "duration"),
            ("TZ=UTC * * * * *", "timeZone"),
            ("+5 * * * *", "no number"), ("1//2 * * * *", "cannot be read"),
        ]
    )
    func problems(_ text: String, _ part: String) {
        let problem = #expect(throws: CronSchedule.Problem.self) { try CronSchedule(text) }
        #expect(problem?.message.contains(part) == true, "\(problem?.message ?? "")")
    }
}

@Suite("Cron: what is due")
struct CronDecisionTests {
    private func decide(_ text: String, last: String, now: String, deadline: Int? = nil) throws -> CronDecision {
        CronDecision(
            try CronSchedule(text),
            in: .utc,
            last: try #require(Timestamp(last)),
            deadline: deadline,
            now: try #require(Timestamp(now))
        )
    }

    private func time(_ text: String) throws -> Timestamp { try #require(Timestamp(text)) }

    @Test("before the next moment it waits, at it it starts")
    func ordinary() throws {
        let wait = try decide("0 * * * *", last: "2026-01-01T00:00:00Z", now: "2026-01-01T00:59:59Z")
        #expect(wait == .wait(until: try time("2026-01-01T01:00:00Z")))
        let start = try decide("0 * * * *", last: "2026-01-01T00:00:00Z", now: "2026-01-01T01:00:00Z")
        let wanted = CronDecision.start(
            at: try time("2026-01-01T01:00:00Z"),
            missed: 0,
            next: try time("2026-01-01T02:00:00Z")
        )
        #expect(start == wanted)
    }

    @Test("after a jump forwards only the latest moment counts, however many there were")
    func jumpForwards() throws {
        let few = try decide("0 * * * *", last: "2026-01-01T00:00:00Z", now: "2026-01-01T05:30:00Z")
        let next = try time("2026-01-01T06:00:00Z")
        #expect(few == .start(at: try time("2026-01-01T05:00:00Z"), missed: 4, next: next))
        guard
            case .start(let at, let missed, _) = try decide(
                "* * * * *",
                last: "2020-01-01T00:00:00Z",
                now: "2026-01-01T05:30:30Z"
            )
        else {
            Issue.record("nothing starts")
            return
        }
        #expect(at == (try time("2026-01-01T05:30:00Z")))
        #expect(missed >= CronDecision.manyMissed)
        guard
            case .start(let often, _, _) = try decide(
                "@every 7s",
                last: "2020-01-01T00:00:00Z",
                now: "2020-03-01T00:00:05Z"
            )
        else {
            Issue.record("nothing starts")
            return
        }
        #expect((try time("2020-03-01T00:00:05Z")).seconds(since: often) < 7)
        #expect(often.seconds(since: try time("2020-01-01T00:00:00Z")) % 7 == 0)
    }

    @Test("a clock that was set back does not hold up the schedule")
    func jumpBackwards() throws {
        let decision = try decide("0 * * * *", last: "2030-01-01T00:00:00Z", now: "2026-01-01T00:59:00Z")
        #expect(decision == .wait(until: try time("2026-01-01T01:00:00Z")))
    }

    @Test("a deadline bounds how long a moment may be made up for")
    func deadline() throws {
        let late = try decide(
            "0 * * * *",
            last: "2026-01-01T00:00:00Z",
            now: "2026-01-01T01:05:00Z",
            deadline: 60
        )
        let missed = try time("2026-01-01T01:00:00Z")
        #expect(late == .tooLate(missed: missed, next: try time("2026-01-01T02:00:00Z")))
        let inTime = try decide(
            "0 * * * *",
            last: "2026-01-01T00:00:00Z",
            now: "2026-01-01T01:00:59Z",
            deadline: 60
        )
        #expect(inTime == .start(at: missed, missed: 0, next: try time("2026-01-01T02:00:00Z")))
    }
}

@Suite("Time zones")
struct TimeZoneTests {
    @Test("bytes that are no zone file are refused, wherever they are cut")
    func broken() throws {
        #expect(TimeZoneRules(file: []) == nil)
        #expect(TimeZoneRules(file: Array("TZif".utf8)) == nil)
        var file = Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
        file += [UInt8](repeating: 0xff, count: 24)
        #expect(TimeZoneRules(file: file + file) == nil)
        // A zone with one type and a rule, cut at every byte.
        func block(_ types: UInt8, _ texts: UInt8) -> [UInt8] {
            Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
                + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, types, 0, 0, 0, texts]
        }
        let whole =
            block(0, 0) + block(1, 4) + [0, 0, 0x0e, 0x10, 0, 0] + Array("CET\0".utf8)
            + Array("\nCET-1CEST,M3.5.0,M10.5.0/3\n".utf8)
        let zone = try #require(TimeZoneRules(file: whole))
        #expect(zone.offset(at: try #require(Timestamp("2026-07-01T00:00:00Z")).seconds) == 7200)
        #expect(zone.offset(at: try #require(Timestamp("2026-01-01T00:00:00Z")).seconds) == 3600)
        for length in 0..<(whole.count - 30) { #expect(TimeZoneRules(file: Array(whole[..<length])) == nil) }
    }
}
