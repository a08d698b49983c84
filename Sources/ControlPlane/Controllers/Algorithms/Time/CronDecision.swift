package import Resources

/// What a CronJob has to do at a moment.
package enum CronDecision: Equatable, Sendable {
    /// Nothing is due before this moment; nil when the schedule never comes.
    case wait(until: Timestamp?)
    /// The Job of this moment is to be made; `missed` counts the moments before it that passed without one.
    case start(at: Timestamp, missed: Int, next: Timestamp?)
    /// The last moment passed longer ago than `startingDeadlineSeconds` allows.
    case tooLate(missed: Timestamp, next: Timestamp?)

    /// More missed moments than this are told of: somebody's clock or deadline is wrong.
    package static let manyMissed = 100

    /// - Parameters:
    ///   - schedule: when it runs.
    ///   - zone: whose clocks count.
    ///   - last: the moment for which it ran last, or when the CronJob was made. One that lies ahead (the clock was set
    ///     back) does not hold up the schedule.
    ///   - deadline: seconds within which a moment may still be made up for.
    ///   - now: the time of day.
    package init(
        _ schedule: CronSchedule,
        in zone: TimeZoneRules,
        last: Timestamp,
        deadline: Int?,
        now: Timestamp
    ) {
        var earliest = min(last, now)
        // Older moments are lost anyway.
        if let deadline { earliest = max(earliest, now.adding(seconds: -deadline - 1)) }
        guard let first = schedule.next(after: earliest, in: zone) else {
            self = .wait(until: nil)
            return
        }
        guard first <= now else {
            if let deadline, let missed = Self.latest(schedule, zone, from: min(last, now), now: now)?.time,
                missed > last,
                now.seconds(since: missed) > deadline
            {
                self = .tooLate(missed: missed, next: first)
            } else {
                self = .wait(until: first)
            }
            return
        }
        guard let (time, count) = Self.latest(schedule, zone, from: earliest, now: now) else {
            self = .wait(until: first)
            return
        }
        self = .start(at: time, missed: count - 1, next: schedule.next(after: now, in: zone))
    }

    /// The last moment of the schedule up to now, and how many there were (counted up to a bound).
    ///
    /// Every moment is looked at only while they are few: after a long sleep the search goes back from now instead.
    private static func latest(
        _ schedule: CronSchedule,
        _ zone: TimeZoneRules,
        from earliest: Timestamp,
        now: Timestamp
    ) -> (time: Timestamp, count: Int)? {
        var found: Timestamp?
        var count = 0
        var moment = earliest
        while let next = schedule.next(after: moment, in: zone), next <= now {
            (found, moment) = (next, next)
            count += 1
            guard count > manyMissed else { continue }
            if let interval = schedule.interval {
                let rest = now.seconds(since: next) / interval
                return (next.adding(seconds: rest * interval), count + rest)
            }
            return (last(schedule, zone, after: next, now: now), count)
        }
        return found.map { ($0, count) }
    }

    /// The last moment before now, searched in steps back that grow.
    private static func last(
        _ schedule: CronSchedule,
        _ zone: TimeZoneRules,
        after known: Timestamp,
        now: Timestamp
    ) -> Timestamp {
        var span = 3600
        while true {
            let from = max(now.adding(seconds: -span), known)
            var found: Timestamp?
            var moment = from
            while let next = schedule.next(after: moment, in: zone), next <= now { (found, moment) = (next, next) }
            if let found { return found }
            if from == known { return known }
            span *= 8
        }
    }
}
