import Glibc

/// Finds how many requests may be in flight at once by what their latency does (Envoy's `adaptive_concurrency`).
///
/// Now and then it lets few requests through and takes their latency for the least there is; in between, the limit goes down
/// while latencies are above that, and up while they are not. Pure: time and chance are arguments; nothing happens between calls.
package struct GradientController: Sendable {
    package struct Settings: Sendable, Equatable, BitwiseCopyable {
        /// Shares of 1.
        package var percentile = 0.5
        package var jitter = 0.15
        package var buffer = 0.25
        package var maxLimit: UInt32 = 1000
        /// The least that a calculation may give.
        package var minLimit: UInt32 = 3
        /// What is let through while the least latency is measured.
        package var minConcurrency: UInt32 = 3
        package var minRTTRequests: UInt32 = 50
        /// Nanoseconds.
        package var updateInterval: UInt64 = 100_000_000
        package var minRTTInterval: UInt64 = 60_000_000_000
        /// Nanoseconds; stands in place of measuring.
        package var fixedMinRTT: UInt64?

        package init() {}
    }

    /// Intervals between two changes of the limit at most.
    private static let longestInterval: UInt64 = 10

    private let settings: Settings
    package private(set) var limit: UInt32
    package private(set) var inFlight: UInt32 = 0
    /// Microseconds.
    package private(set) var minRTT: UInt64 = 0
    package private(set) var sampleRTT: UInt64 = 0
    package private(set) var gradient = 0.0
    package private(set) var headroom = 0.0
    package private(set) var isMeasuring = false
    private var deferredLimit: UInt32 = 0
    private var epoch: UInt64 = 0
    private var sampleDue: UInt64
    private var minRTTDue: UInt64 = .max
    private var rowsAtMinimum = 0
    private var samples = LatencySamples()

    package init(_ settings: Settings, now: UInt64) {
        self.settings = settings
        limit = settings.minConcurrency
        sampleDue = now &+ settings.updateInterval
        if let fixed = settings.fixedMinRTT {
            minRTT = max(1, fixed / 1000)
        } else {
            enterMeasuring(now)
        }
    }

    /// Whether a further request may go; then it counts as in flight.
    package mutating func admit(now: UInt64) -> Bool {
        advance(now)
        guard inFlight < limit else { return false }
        inFlight += 1
        return true
    }

    /// An admitted request was answered; `random` is for the jitter of the next measurement.
    package mutating func record(startedAt: UInt64, now: UInt64, random: UInt64) {
        inFlight -= min(1, inFlight)
        // One from before the measurement began says nothing about it.
        if startedAt >= epoch {
            samples.add(max(1, (now &- startedAt) / 1000))
            if isMeasuring, samples.count >= settings.minRTTRequests { finishMeasuring(now, random) }
        }
        advance(now)
    }

    /// An admitted request ended without an answer.
    package mutating func cancel() { inFlight -= min(1, inFlight) }

    /// Does what has become due.
    private mutating func advance(_ now: UInt64) {
        if settings.fixedMinRTT == nil, !isMeasuring, now >= minRTTDue { enterMeasuring(now) }
        guard !isMeasuring, now >= sampleDue else { return }
        guard samples.count > 0 else {
            sampleDue = now &+ settings.updateInterval
            return
        }
        sampleRTT = samples.take(settings.percentile)
        setLimit(nextLimit(), now)
        // What began before the change tells of the limit before it: taken for the new one's, it would be corrected twice, and
        // the limit would swing. Latencies that are long compared with the interval are therefore waited for, within bounds.
        epoch = now
        let patience = min(sampleRTT &* 2000, settings.updateInterval &* Self.longestInterval)
        sampleDue = now &+ max(settings.updateInterval, patience)
    }

    private mutating func enterMeasuring(_ now: UInt64) {
        deferredLimit = limit
        isMeasuring = true
        setLimit(settings.minConcurrency, now)
        samples.clear()
        epoch = now
    }

    private mutating func finishMeasuring(_ now: UInt64, _ random: UInt64) {
        minRTT = samples.take(settings.percentile)
        isMeasuring = false
        setLimit(deferredLimit, now)
        deferredLimit = 0
        let spread = UInt64((Double(settings.minRTTInterval) * settings.jitter).rounded(.up))
        minRTTDue = now &+ settings.minRTTInterval &+ (spread > 0 ? random % spread : 0)
        sampleDue = now &+ settings.updateInterval
    }

    private mutating func nextLimit() -> UInt32 {
        let buffered = Double(minRTT) * (1 + settings.buffer)
        gradient = min(2, max(0.5, buffered / Double(max(1, sampleRTT))))
        let scaled = Double(limit) * gradient
        headroom = scaled.squareRoot()
        let next = min(Double(settings.maxLimit), scaled + headroom)
        return max(settings.minLimit, UInt32(next))
    }

    private mutating func setLimit(_ new: UInt32, _ now: UInt64) {
        let old = limit
        limit = new
        let isLow = !isMeasuring && old <= settings.minLimit && new <= settings.minLimit
        rowsAtMinimum = isLow ? rowsAtMinimum + 1 : 0
        // As low as it can be for the fifth time: what was taken for the least latency may not be it any more.
        if rowsAtMinimum >= 5, settings.fixedMinRTT == nil { minRTTDue = now }
    }
}

/// Latencies in microseconds, by size: sixteen classes for each power of two, so that a percentile is right within 6 %.
struct LatencySamples: Sendable {
    private var classes = [UInt32](repeating: 0, count: 44 * 16)
    private(set) var count: UInt32 = 0

    mutating func add(_ value: UInt64) {
        classes[Self.place(value)] &+= 1
        count &+= 1
    }

    mutating func clear() {
        guard count > 0 else { return }
        for index in classes.indices { classes[index] = 0 }
        count = 0
    }

    /// The latency below which this share lies; then all are forgotten.
    mutating func take(_ share: Double) -> UInt64 {
        let wanted = max(1, (Double(count) * share).rounded(.up))
        var seen = 0.0
        var found: UInt64 = 1
        for index in classes.indices where classes[index] > 0 {
            seen += Double(classes[index])
            found = Self.middle(index)
            if seen >= wanted { break }
        }
        clear()
        return found
    }

    private static func place(_ value: UInt64) -> Int {
        guard value >= 16 else { return Int(value) }
        let power = 63 - value.leadingZeroBitCount
        return min(44 * 16 - 1, (power - 3) * 16 + Int(value >> UInt64(power - 4) & 15))
    }

    private static func middle(_ place: Int) -> UInt64 {
        guard place >= 16 else { return UInt64(max(1, place)) }
        let shift = UInt64(place / 16 - 1)
        let low = UInt64(16 + place % 16) << shift
        return low + (UInt64(1) << shift) / 2
    }
}
