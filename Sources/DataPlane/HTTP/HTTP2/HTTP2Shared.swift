import CNghttp2

/// What all sessions of one thread share: callbacks, room for heads, counters.
///
/// Safety: owned by one worker; outlives its sessions.
public final class HTTP2Shared {
    let callbacks: OpaquePointer
    /// Name and value pairs of the head that is being sent.
    let pairs: UnsafeMutablePointer<nghttp2_nv>
    static let pairCapacity = FieldTable.capacity + 64
    /// Collectors that no session has on loan.
    private var collectors: [UnsafeMutablePointer<HeadCollector>] = []
    private var seed: UInt64
    /// By `HTTP2Counter`.
    public let counters: UnsafeMutablePointer<UInt64>

    /// Nil when memory is exhausted. The seed makes the keys of WebSockets.
    public init?(seed: UInt64) {
        var made: OpaquePointer?
        guard nghttp2_session_callbacks_new(&made) == 0, let made else { return nil }
        callbacks = made
        self.seed = seed
        pairs = .allocate(capacity: Self.pairCapacity)
        counters = .allocate(capacity: HTTP2Counter.allCases.count)
        counters.initialize(repeating: 0, count: HTTP2Counter.allCases.count)
        HTTP2Callbacks.install(made)
    }

    deinit {
        nghttp2_session_callbacks_del(callbacks)
        pairs.deallocate()
        counters.deallocate()
        for collector in collectors {
            collector.pointee.free()
            collector.deallocate()
        }
    }

    @inline(__always)
    func count(_ counter: HTTP2Counter) { counters[Int(counter.rawValue)] &+= 1 }

    /// How often something happened.
    public subscript(_ counter: HTTP2Counter) -> UInt64 { counters[Int(counter.rawValue)] }

    func lend() -> UnsafeMutablePointer<HeadCollector> {
        if let last = collectors.popLast() { return last }
        let fresh = UnsafeMutablePointer<HeadCollector>.allocate(capacity: 1)
        fresh.initialize(to: HeadCollector())
        return fresh
    }

    func takeBack(_ collector: UnsafeMutablePointer<HeadCollector>) {
        guard collectors.count < 8, collector.pointee.text.capacity <= 65_536 else {
            collector.pointee.free()
            collector.deallocate()
            return
        }
        collectors.append(collector)
    }

    /// Numbers for the key of a WebSocket: nothing secret, but different each time (SplitMix64).
    func nextKey() -> (UInt64, UInt64) {
        func next() -> UInt64 {
            seed &+= 0x9E37_79B9_7F4A_7C15
            var mixed = seed
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
        return (next(), next())
    }
}
