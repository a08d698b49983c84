import CNghttp2

/// What belongs to one session, at a place that nghttp2 knows.
///
/// Safety: made and freed by `HTTP2Session`; one thread.
struct HTTP2Context {
    var session: OpaquePointer?
    let shared: Unmanaged<HTTP2Shared>
    let events: HTTP2Events
    let owner: UnsafeMutableRawPointer
    let role: HTTP2Role
    let settings: HTTP2Settings
    var collector: UnsafeMutablePointer<HeadCollector>?
    var head = HTTP2Head()
    var fault: HTTP2Fault?
    /// The GOAWAY for `fault` was written.
    var saidFarewell = false
    /// Where `fill` writes at present.
    var out: UnsafeMutableRawPointer?
    var outCount = 0
    var outCapacity = 0
    /// Bytes that nghttp2 gave and that did not fit.
    var left: UnsafePointer<UInt8>?
    var leftCount = 0
    var sentGoAway: UInt32 = .max
    /// Clients: the last stream whose request was written.
    var lastStreamSent: Int32 = 0
    var guarding: FrameGuard
    var resetTokens: Int
    /// Streams that the peer began and that are not over.
    var openStreams = 0
    /// The SETTINGS frame is still to be written.
    var saysLimit: Bool
    var periodStart: UInt64 = 0

    @inline(__always)
    func count(_ counter: HTTP2Counter) { shared._withUnsafeGuaranteedRef { $0.count(counter) } }

    /// False, so that the caller can end at once.
    mutating func fail(_ reason: HTTP2Fault) -> Bool {
        if fault == nil {
            fault = reason
            if let counter = reason.counter { count(counter) }
        }
        return false
    }

    /// A new time slice of budgets.
    @inline(__always)
    mutating func refresh(_ now: UInt64) {
        guard now &- periodStart >= 30_000_000_000 else { return }
        periodStart = now
        resetTokens = settings.maxResets
        guarding.controlFrames = 0
    }

    mutating func takeReset() -> Bool {
        resetTokens &-= 1
        return resetTokens >= 0 ? true : fail(.resetFlood)
    }
}
