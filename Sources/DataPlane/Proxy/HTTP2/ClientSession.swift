import Bytes
import HTTP

/// A client's HTTP/2 connection: the session over the bytes of a `Downstream`, and the list of its streams, each of which is a
/// `Downstream` of its own.
///
/// Its place in the slab is what the session's events come with.
struct ClientSession: SlabElement {
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        /// Stands in the worker's list of sessions with something to send.
        static let isDirty = Flags(rawValue: 1)
        /// The library works on it: it must not be freed.
        static let isBusy = Flags(rawValue: 2)
        /// To be closed by the next flush.
        static let isEnding = Flags(rawValue: 4)
        /// The first of two GOAWAYs went out.
        static let announcedEnd = Flags(rawValue: 8)
        /// The last GOAWAY went out: no stream is begun any more.
        static let saidGoAway = Flags(rawValue: 16)
        static let sawSettings = Flags(rawValue: 32)
    }

    var generation: UInt32 = 0
    var nextFree: Int32 = -1
    var isLive = false
    var flags: Flags = []
    var index: Int32 = -1
    /// The connection.
    var downstream: Int32 = -1
    var session: HTTP2Session?
    /// Safety: the worker owns the slab in which this lies.
    var worker: Unmanaged<Worker>?
    var firstStream: Int32 = -1
    var streams: Int32 = 0
    var opened: UInt32 = 0
    /// When a gradual drain of the process comes to this connection.
    var drainAt: UInt64 = .max
    /// When the end of the sequence is due that `announcedEnd` began.
    var goAwayAt: UInt64 = .max
    /// When the head began that is not whole yet; 0: none.
    var headSince: UInt64 = 0
    var nextPing: UInt64 = .max
    var pongDeadline: UInt64 = .max

    init() {}
}

typealias ClientSessionPlace = UnsafeMutablePointer<ClientSession>

/// The events of clients' sessions, each handed to the worker.
enum ClientEvents {
    static let all = HTTP2Events(
        head: { owner, stream, user in
            let entry = owner.assumingMemoryBound(to: ClientSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.streamHead(entry, stream, user) }
        },
        data: { owner, stream, user, bytes, count in
            let entry = owner.assumingMemoryBound(to: ClientSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.streamData(entry, stream, user, bytes, count) }
        },
        ended: { owner, _, user in
            let entry = owner.assumingMemoryBound(to: ClientSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.streamEnded(entry, user) }
        },
        closed: { owner, _, user, code in
            let entry = owner.assumingMemoryBound(to: ClientSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.streamClosed(entry, user, code) }
        },
        supply: { owner, stream, user, limit, flags in
            let entry = owner.assumingMemoryBound(to: ClientSession.self)
            return entry.pointee.worker?._withUnsafeGuaranteedRef { $0.supplyStream(entry, user, limit, flags) } ?? -1
        },
        copy: { owner, _, user, target, count in
            let entry = owner.assumingMemoryBound(to: ClientSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.copyStream(user, target, count) }
        },
        goAway: { _, _, _ in },
        settings: { owner in
            owner.assumingMemoryBound(to: ClientSession.self).pointee.flags.insert(.sawSettings)
        },
        pong: { owner, _ in
            let entry = owner.assumingMemoryBound(to: ClientSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.pongCame(entry) }
        }
    )
}
