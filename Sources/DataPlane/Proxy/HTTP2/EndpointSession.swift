import Bytes
import HTTP

/// An HTTP/2 connection to an endpoint: the session over the bytes of an `Upstream`, and the list of its streams, each of which is
/// an `Upstream` of its own.
///
/// Its place in the slab is what the session's events come with.
struct EndpointSession: SlabElement {
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        /// Stands in the worker's list of sessions with something to send.
        static let isDirty = Flags(rawValue: 1)
        /// The library works on it: it must not be freed.
        static let isBusy = Flags(rawValue: 2)
        /// To be closed by the next flush.
        static let isEnding = Flags(rawValue: 4)
        /// Stands in its endpoint's list: further streams may come.
        static let isOpen = Flags(rawValue: 8)
        /// The connection is there: what waits may be sent.
        static let isReady = Flags(rawValue: 16)
        static let sawSettings = Flags(rawValue: 32)
    }

    var generation: UInt32 = 0
    var nextFree: Int32 = -1
    var isLive = false
    var flags: Flags = []
    var index: Int32 = -1
    /// The connection.
    var upstream: Int32 = -1
    var session: HTTP2Session?
    /// Safety: the worker owns the slab in which this lies.
    var worker: Unmanaged<Worker>?
    var firstStream: Int32 = -1
    var streams: Int32 = 0
    var opened: UInt32 = 0
    /// Streams that the endpoint allows at once, as far as it is known.
    var peerLimit: UInt32 = 100
    /// Neighbours among the sessions of the endpoint.
    var next: Int32 = -1
    var previous: Int32 = -1
    /// What the kernel did not take.
    var output = Buffer()
    var nextPing: UInt64 = .max
    var pongDeadline: UInt64 = .max
    /// Since when it has no stream.
    var idleSince: UInt64 = 0

    init() {}
}

typealias EndpointPlace = UnsafeMutablePointer<EndpointSession>

/// Which HTTP a cluster's endpoints are spoken to with.
enum EndpointProtocol: UInt8, Sendable {
    case http1, http2
    /// What the client speaks.
    case downstream
    /// What TLS agrees on (ALPN).
    case automatic
}

/// The events of endpoints' sessions, each handed to the worker.
enum EndpointEvents {
    static let all = HTTP2Events(
        head: { owner, _, user in
            let entry = owner.assumingMemoryBound(to: EndpointSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.endpointHead(entry, user) }
        },
        data: { owner, _, user, bytes, count in
            let entry = owner.assumingMemoryBound(to: EndpointSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.endpointData(entry, user, bytes, count) }
        },
        ended: { owner, _, user in
            let entry = owner.assumingMemoryBound(to: EndpointSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.endpointEnded(user) }
        },
        closed: { owner, _, user, code in
            let entry = owner.assumingMemoryBound(to: EndpointSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.endpointClosed(entry, user, code) }
        },
        supply: { owner, _, user, limit, flags in
            let entry = owner.assumingMemoryBound(to: EndpointSession.self)
            return entry.pointee.worker?._withUnsafeGuaranteedRef { $0.supplyEndpoint(entry, user, limit, flags) } ?? -1
        },
        copy: { owner, _, user, target, count in
            let entry = owner.assumingMemoryBound(to: EndpointSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.copyEndpoint(user, target, count) }
        },
        goAway: { owner, _, _ in
            let entry = owner.assumingMemoryBound(to: EndpointSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.retireSession(entry) }
        },
        settings: { owner in
            let entry = owner.assumingMemoryBound(to: EndpointSession.self)
            entry.pointee.worker?._withUnsafeGuaranteedRef { $0.settingsCame(entry) }
        },
        pong: { owner, _ in
            owner.assumingMemoryBound(to: EndpointSession.self).pointee.pongDeadline = .max
        }
    )
}
