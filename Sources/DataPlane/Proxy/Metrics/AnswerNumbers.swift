import Telemetry

/// Answers by status, cause and time: of one `stat_prefix`, or of one cluster. Plain adds; owned by a worker.
struct AnswerNumbers: BitwiseCopyable, Sendable {
    /// By hundreds of the status, 1 to 5.
    var classes: InlineArray<5, UInt64> = .init(repeating: 0)
    var completed: UInt64 = 0
    /// Without any answer.
    var reset: UInt64 = 0
    /// By the bits of `ResponseFlags`.
    var flags: InlineArray<32, UInt64> = .init(repeating: 0)
    var times = LatencyHistogram()
    var received: UInt64 = 0
    var sent: UInt64 = 0
    /// Of clients: connections and requests of HTTP/2.
    var http2Connections: UInt64 = 0
    var http2Open: Int64 = 0
    var http2Requests: UInt64 = 0

    mutating func count(_ status: UInt16, _ causes: ResponseFlags, _ time: UInt64) {
        if status >= 100, status < 600 {
            classes[Int(status) / 100 - 1] &+= 1
            completed &+= 1
        } else {
            reset &+= 1
        }
        times.observe(nanoseconds: time)
        guard !causes.isEmpty else { return }
        for bit in 0..<32 where causes.rawValue & (1 << UInt32(bit)) != 0 { flags[bit] &+= 1 }
    }

    mutating func add(_ other: AnswerNumbers) {
        for index in 0..<5 { classes[index] &+= other.classes[index] }
        for index in 0..<32 { flags[index] &+= other.flags[index] }
        completed &+= other.completed
        reset &+= other.reset
        received &+= other.received
        sent &+= other.sent
        http2Connections &+= other.http2Connections
        http2Open &+= other.http2Open
        http2Requests &+= other.http2Requests
        times.add(other.times)
    }

    /// Answers with this cause.
    func count(of flag: ResponseFlags) -> UInt64 { flags[flag.rawValue.trailingZeroBitCount] }
}

typealias AnswerPlace = UnsafeMutablePointer<AnswerNumbers>

extension Worker {
    /// The numbers of a `stat_prefix`: made once, never freed while the worker lives, so that they only grow.
    func answers(of prefix: String) -> AnswerPlace {
        if let known = answerPlaces[prefix] { return known }
        // Prefixes come from configurations: more than this is no naming but a leak.
        guard answerPlaces.count < 10_000 else { return answers(of: "others") }
        let place = AnswerPlace.allocate(capacity: 1)
        place.initialize(to: AnswerNumbers())
        answerPlaces[prefix] = place
        return place
    }
}
