package import Resources

/// How many pods a Job wants now, and which of an Indexed Job's indexes get one.
///
/// Pure.
package struct JobArithmetic: Equatable, Sendable {
    package var parallelism: Int
    /// Nil when any success ends the Job.
    package var completions: Int?
    package var succeeded: Int
    /// Pods that are neither ended nor ending.
    package var active: Int
    /// Pods that are ending and count until they have ended.
    package var ending: Int
    /// Indexes that will not be tried again.
    package var failedIndexes: Int

    package init(
        parallelism: Int,
        completions: Int?,
        succeeded: Int = 0,
        active: Int = 0,
        ending: Int = 0,
        failedIndexes: Int = 0
    ) {
        self.parallelism = parallelism
        self.completions = completions
        self.succeeded = succeeded
        self.active = active
        self.ending = ending
        self.failedIndexes = failedIndexes
    }

    /// Pods that should run.
    package var wanted: Int {
        guard let completions else {
            // One success is enough: those that run may end by themselves, no new ones are made.
            return succeeded > 0 ? min(active, parallelism) : parallelism
        }
        return max(0, min(parallelism, completions - succeeded - failedIndexes))
    }

    /// Pods to make; negative for pods to delete.
    package var missing: Int {
        let difference = wanted - active
        return difference > 0 ? max(0, difference - ending) : difference
    }

    /// Whether enough pods succeeded and none runs on.
    package var isComplete: Bool {
        guard let completions else { return succeeded > 0 && active == 0 }
        return succeeded >= completions && active == 0
    }

    /// The lowest indexes that have neither a pod nor a result.
    package static func nextIndexes(
        count: Int,
        completions: Int,
        done: IndexRanges,
        failed: IndexRanges,
        active: Set<Int>
    ) -> [Int] {
        var indexes: [Int] = []
        var index = 0
        while index < completions, indexes.count < count {
            if !done.contains(index), !failed.contains(index), !active.contains(index) { indexes.append(index) }
            index += 1
        }
        return indexes
    }
}

/// How long a Job waits after its pods fail: 10 s, doubling with each failure since the last success, to 10 minutes.
package enum JobBackOff {
    package static let first = 10
    package static let longest = 600

    /// Seconds after the last of so many failures.
    package static func delay(failures: Int) -> Int {
        guard failures > 0 else { return 0 }
        return failures > 10 ? longest : min(first << (failures - 1), longest)
    }

    /// Seconds that are left to wait.
    ///
    /// - Parameters:
    ///   - failures: when pods failed.
    ///   - successes: when pods succeeded.
    ///   - now: the time of day.
    /// - Returns: 0 when a pod may be made at once.
    package static func remaining(failures: [Timestamp], successes: [Timestamp], now: Timestamp) -> Int {
        let last = successes.max()
        let counted = failures.filter { failure in last.map { failure > $0 } ?? true }
        guard let latest = counted.max() else { return 0 }
        let delay = delay(failures: counted.count)
        // A failure that lies ahead: the clock was set back.
        return max(0, delay - max(0, now.seconds(since: latest)))
    }
}
