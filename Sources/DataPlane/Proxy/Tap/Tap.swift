import Bytes
import EnvoyAPI
import Reactor
import Synchronization
import Telemetry
import Traffic

/// A name under which a chain's requests may be tapped: `envoy.filters.http.tap`.
struct TapPoint: Sendable {
    let id: String
    let recordsTimes: Bool
    let recordsConnection: Bool
    /// Numbers of `FilterStatBook`.
    let tapped: Int32
    let sampledOut: Int32

    init(_ message: Envoy.TapFilter, prefix: String, _ context: CompileContext) {
        id = message.commonConfig?.adminConfig?.configId ?? ""
        recordsTimes = message.recordHeadersReceivedTime
        recordsConnection = message.recordDownstreamConnection
        tapped = context.filterStats.place(prefix: prefix, "tap.rq_tapped")
        sampledOut = context.filterStats.place(prefix: prefix, "tap.rq_sampled_out")
    }
}

/// One consumer's wish to be told of live requests. Workers decide by it and put what they tell into its queue; the main thread
/// takes that out. A worker never waits: what does not fit is dropped and counted.
final class Tap: Sendable {
    /// What is told of, and how much.
    struct Wish: Sendable {
        /// `everything`, or that of a tap filter.
        var configID = Tap.everything
        var predicate = TapPredicate.any
        var scope = TapScope()
        /// Told of piece by piece; else once, at the end.
        var isStreaming = false
        /// Of a million.
        var share: UInt32 = 1_000_000
        /// Requests in a second, all workers together.
        var rate = 100
    }

    /// The name of all chains.
    static let everything = "weft"
    /// Waiting to be taken: pieces, and bytes of their heads.
    static let queueLimit = 1024
    static let queueBytes = 4 << 20

    let number: UInt64
    /// Below `mostTaps`: its bit in `TapState`.
    let slot: Int
    let wish: Wish
    /// Owns what the predicate leads to.
    private let arena: Arena
    private let rate: Lock<TapRate>
    private let scopes = Lock<TapScope.Allowed>(TapScope.Allowed())
    private let queue = Lock<Queue>(Queue())
    private let overRate = Atomic<Int>(0)
    private let overQueue = Atomic<Int>(0)

    private struct Queue {
        var pieces: [TapPiece] = []
        var bytes = 0
    }

    init(number: UInt64, slot: Int, wish: Wish, arena: Arena) {
        self.number = number
        self.slot = slot
        self.wish = wish
        self.arena = arena
        rate = Lock(TapRate(limit: wish.rate))
    }

    var bit: UInt8 { 1 << UInt8(slot) }

    /// Requests, and pieces of them, that were not told of.
    var dropped: (rate: Int, queue: Int) {
        (overRate.load(ordering: .relaxed), overQueue.load(ordering: .relaxed))
    }

    func covers(_ points: [TapPoint]) -> Bool {
        wish.configID == Self.everything || points.contains { $0.id == wish.configID }
    }

    // MARK: Workers

    /// Whether one more request may be told of in this second.
    func admits(now: UInt64) -> Bool {
        guard !rate.withLock({ $0.admits(now: now) }) else { return true }
        overRate.add(1, ordering: .relaxed)
        return false
    }

    func isWanted(caller: LabelSetIndex, callee: LabelSetIndex) -> Bool {
        scopes.withLock { $0.holds(caller: caller, callee: callee) }
    }

    /// Puts a piece into the queue; true: it was empty before, and the main thread wants to know.
    func push(_ piece: TapPiece) -> Bool {
        let isFirst = queue.withLock { queue -> Bool? in
            guard queue.pieces.count < Self.queueLimit, queue.bytes + piece.size <= Self.queueBytes else { return nil }
            queue.pieces.append(piece)
            queue.bytes += piece.size
            return queue.pieces.count == 1
        }
        if isFirst == nil { overQueue.add(1, ordering: .relaxed) }
        return isFirst ?? false
    }

    // MARK: The main thread

    func takeAll() -> [TapPiece] {
        queue.withLock { queue in
            defer { queue = Queue() }
            return queue.pieces
        }
    }

    /// The label sets that there are now.
    func setLabels(_ labels: [LabelSet]) {
        let allowed = wish.scope.allowed(labels)
        scopes.withLock { $0 = allowed }
    }
}

/// Whose requests to whom.
struct TapScope: Sendable {
    /// Labels that the caller has, and that the callee has; empty = everybody.
    var from: [(name: String, value: String)] = []
    var to: [(name: String, value: String)] = []
    /// One of these is the client's address, or the endpoint's; empty = all.
    var fromAddresses: Set<IPKey> = []
    var toAddresses: Set<IPKey> = []

    /// The answers by label set: nil = all of them.
    struct Allowed: Sendable {
        var callers: [Bool]?
        var callees: [Bool]?

        func holds(caller: LabelSetIndex, callee: LabelSetIndex) -> Bool {
            func holds(_ flags: [Bool]?, _ index: LabelSetIndex) -> Bool {
                flags.map { $0.indices.contains(Int(index)) && $0[Int(index)] } ?? true
            }
            return holds(callers, caller) && holds(callees, callee)
        }
    }

    func allowed(_ labels: [LabelSet]) -> Allowed {
        func flags(_ wanted: [(name: String, value: String)]) -> [Bool]? {
            wanted.isEmpty ? nil : labels.map { set in wanted.allSatisfy { set[$0.name] == $0.value } }
        }
        return Allowed(callers: flags(from), callees: flags(to))
    }
}

/// What taps know of a request in work; by the bits of their slots.
struct TapState {
    /// The same in all pieces of the request.
    var number: UInt64
    /// Those that tell of it, those that do not, and those that have told of its head and of its answer's.
    var admitted: UInt8 = 0
    var refused: UInt8 = 0
    var toldRequest: UInt8 = 0
    var toldResponse: UInt8 = 0
}

/// What a worker tells of one request: all of it, or a part.
struct TapPiece: Sendable {
    struct Parts: OptionSet, Sendable {
        let rawValue: UInt8
        static let request = Parts(rawValue: 1)
        static let response = Parts(rawValue: 2)
        static let end = Parts(rawValue: 4)
    }
    var number: UInt64
    var parts: Parts
    var numbers: AccessLogNumbers
    var caller: LabelSetIndex
    var callee: LabelSetIndex
    var isTLS = false
    var isHTTPS = false
    /// Heads as they stood on the way, and lines of trailers.
    var request: [UInt8] = []
    var response: [UInt8] = []
    var trailers: [UInt8] = []
    var method: UInt8 = 0
    var cluster: [UInt8] = []
    var route: [UInt8] = []
    var details: [UInt8] = []
    /// Where the endpoint is no address of the network.
    var upstreamName: [UInt8] = []

    var size: Int { request.count + response.count + trailers.count + 256 }
}
