package import Resources

extension CronSchedule {
    /// Years after which a schedule without a match (30 February) is given up.
    private static let years: Int64 = 5

    /// The first moment after `time` at which the schedule is due, by the clocks of a zone; nil when there is none within
    /// five years.
    ///
    /// A time that a change to summer time leaves out is passed over; one that comes twice is due twice.
    package func next(after time: Timestamp, in zone: TimeZoneRules) -> Timestamp? {
        let start = min(max(time.seconds, -60_000_000_000), 250_000_000_000)
        if let interval { return Timestamp(seconds: start + Int64(interval)) }
        // The next full minute. Offsets of zones long ago had seconds; those of today do not.
        var moment = start - start.positiveRemainder(60) + 60
        let lastYear = local(moment, zone).year + Self.years
        while true {
            let clock = local(moment, zone)
            guard clock.year <= lastYear else { return nil }
            if months >> UInt64(clock.month) & 1 == 0 || !matches(day: clock.day, weekday: clock.weekday) {
                moment = nextDay(after: moment, clock, zone)
            } else if hours >> UInt64(clock.hour) & 1 == 0 {
                moment += Int64(3600 - clock.minute * 60 - clock.second)
            } else if minutes >> UInt64(clock.minute) & 1 == 0 {
                moment += Int64(60 - clock.second)
            } else {
                return Timestamp(seconds: moment)
            }
        }
    }

    private func local(_ moment: Int64, _ zone: TimeZoneRules) -> CivilTime {
        CivilTime(seconds: moment + Int64(zone.offset(at: moment)))
    }

    /// The first moment of the next local day: midnight, or what comes first where clocks jump over it.
    private func nextDay(after moment: Int64, _ clock: CivilTime, _ zone: TimeZoneRules) -> Int64 {
        let next = moment + Int64(86400 - clock.secondOfDay)
        let landed = local(next, zone)
        guard landed.secondOfDay != 0 else { return next }
        // A change of clocks on the way: late by an hour, or still on the day before.
        if landed.day == clock.day { return next + Int64(86400 - landed.secondOfDay) }
        let earlier = next - Int64(landed.secondOfDay)
        return local(earlier, zone).day == landed.day ? earlier : next
    }
}

extension Int64 {
    fileprivate func positiveRemainder(_ divisor: Int64) -> Int64 { ((self % divisor) + divisor) % divisor }
}
