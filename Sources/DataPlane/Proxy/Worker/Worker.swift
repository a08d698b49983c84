import Bytes
import CWeft
import Glibc
import HTTP
import Reactor
import Traffic

/// One thread that serves connections: its loop, its memory, its pools, its numbers. Nothing of it is shared.
///
/// Safety: everything is touched by the worker's own thread (`run`) only, except `send`, which goes through a mailbox.
final class Worker: @unchecked Sendable {
    /// Sizes and times of the data path.
    enum Limits {
        /// One read takes at most this much: enough that a large body costs few calls, little enough to stay in the cache.
        static let readSize = 65_536
        /// The first read of an answer: with more of a large body it would be copied, and need not be.
        static let firstRead = 16_384
        /// Rests of bodies from this size on are moved inside the kernel: less is copied faster than a pipe is filled and drained.
        static let leastMove = 32_768
        /// One move takes at most this much: what the other side does not take of it has to fit into one buffer.
        static let mostMove = 196_608
        /// A request is kept for another try up to this size (head and body).
        static let replay = 65_536
        /// The same, where a route asks for more.
        static let largestReplay = 196_608
        /// Bytes of a mirrored request that wait for the mirror; one that lags behind by more is given up.
        static let shadow = 65_536
        /// Tries of one request that took too long and go on beside the newest one.
        static let hedges = 16
        /// Requests that wait for a cluster on demand, and bytes of the name that one may have.
        static let clusterWaits = 1024
        static let clusterName = 256
        /// Bytes that a client may send ahead while its request is in work (pipelining).
        static let pipelined = 16_384
        /// Connections taken per readiness of a listener, so that a burst does not starve the others.
        static let accepts = 64
        /// RFC 9110 section 15.2 knows a handful; more is an attack.
        static let interims: UInt8 = 8
        /// The same while requests that waited for too long are refused.
        static let lateAccepts = 1024
        /// So many connections wait to be accepted then.
        static let lateQueue: Int32 = 128
        /// How long they may take in one turn.
        static let lateAcceptTime: UInt64 = 1_000_000
        /// Ages of bytes that the kernel tells are right to about so many nanoseconds.
        static let kernelTicks: UInt64 = 10_000_000
        /// Turns of pipelined requests answered in one go.
        static let pipelineTurns = 32
        /// Until the TCP chain's endpoint is asked whether it speaks first.
        static let quietTime: UInt64 = 50_000_000
        /// What a client may still send after its answer, and for how long.
        static let lingerTime: UInt64 = 1_000_000_000
        /// How long an idle connection may still bring a request after SIGTERM.
        static let idleGrace: UInt64 = 250_000_000
        static let sweepInterval: UInt64 = 1_000_000_000
        /// How often a worker with connections looks how late it is.
        static let lagInterval: UInt64 = 100_000_000
        /// With so many events at once a turn takes long enough to look what waits meanwhile.
        static let crowd = 4
        static let acceptPause: UInt64 = 100_000_000
        /// How often, and for how long, a Unix socket's path is looked at that another process has.
        static let vacancyInterval: UInt64 = 10_000_000
        static let vacancyPatience: UInt64 = 60_000_000_000
        /// Handshakes with clients in one turn of the loop.
        static let handshakes = 16
        /// Bytes of a collected body that go on at once.
        static let firstPiece = 32_768
        /// What may come out of one piece of a compressed body.
        static let inflatedPiece = 8 << 20
        static let outSize = 131_072
        static let pathSize = 65_536
    }

    let number: Int
    let workerCount: Int
    let loop: EventLoop
    private let commands: Mailbox<WorkerCommand>
    let control: ControlInbox
    let metrics = WorkerMetrics()
    let ring: AccessLogRing?
    /// Nil: nobody keeps the listening sockets.
    let vault: ListenerVault?

    var downstreams = Slab<Downstream>()
    var upstreams = Slab<Upstream>()
    var exchanges = Slab<Exchange>()
    var sessions = Slab<ClientSession>()
    var endpointSessions = Slab<EndpointSession>()
    var buffers = BufferPool()
    var requestFields = FieldTable()
    var responseFields = FieldTable()
    var logFields = FieldTable()
    var logResponseFields = FieldTable()
    var head = RequestHead()
    var responseHead = ResponseHead()
    /// Where reads go that need not be kept.
    var scratch: Buffer
    /// For moves inside the kernel; made with the first, nil again when bytes were left in it.
    var pipe: SplicePipe?
    /// This kernel, or what stands around the process, knows no moves between sockets.
    var refusesMoves = false
    /// Where heads for clients are put together.
    let out: UnsafeMutableRawPointer
    let pathSpace: UnsafeMutableRawPointer
    var random: SeededRandom
    var date = HTTPDate()

    /// By index of the snapshot.
    var listeners: [ListenerState?] = []
    /// Any of them has access logs of its own.
    var logsListeners = false
    var clusters: [ClusterPlace?] = []
    /// Clusters that are no longer configured and wait for their last connection.
    var retired: [ClusterPlace] = []
    var chains: [ObjectIdentifier: ChainPlace] = [:]
    var current: SnapshotPlace
    var holders: [SnapshotPlace] = []
    var places: [String: NetworkPlace] = [:]
    /// Idle connections of ORIGINAL_DST clusters.
    var idleOriginals: [OriginalKey: [Int32]] = [:]
    /// Whom connections to endpoints serve that do not serve everybody, and those of them that are idle.
    var keyed: [Int32: PoolKey] = [:]
    var keyedIdle: [PoolKey.Client: [PoolKey: [Int32]]] = [:]
    /// HTTP/2 sessions that serve one client or host only and take further streams.
    var keyedSessions: [PoolKey.Client: [PoolKey: [Int32]]] = [:]
    var reserve = ReserveDescriptor()
    /// Connections whose protocol is not known yet, by their number, with the listener that waits to know it.
    var detecting: [UInt64: ListenerConfiguration] = [:]

    /// Connections that agree on TLS, with the chain that serves them afterwards.
    var handshaking: [UInt64: SecuredConnection] = [:]
    /// Connections whose requests' hosts are looked at, with the listener and the chain that were chosen.
    var secured: [UInt64: SecuredConnection] = [:]
    /// What is remembered of few connections, by their number.
    var notes: [UInt64: ConnectionNotes] = [:]
    var handshakesOfTurn = 0
    var lastHandshakeLine: UInt64 = 0
    /// Connections with bytes inside their TLS that no event tells of.
    var heldInside: [UInt64] = []

    /// What HTTP/2 needs; made with its first connection.
    var http2: HTTP2Shared?
    var http2Input: UnsafeMutableRawPointer?
    var http2Output: UnsafeMutableRawPointer?
    /// Clients' sessions with something to send at the end of this turn.
    var dirtySessions: [UInt64] = []
    /// Endpoints' sessions with something to send at the end of this turn.
    var dirtyEndpoints: [UInt64] = []
    /// Requests that wait for the rest of the bytes that came with them.
    var deferred: [UInt64] = []
    /// Bytes of a client's HTTP/2 session are taken apart: requests of it are sent afterwards.
    var isFeeding = false
    /// Streams whose bodies came in the present feed.
    var uploads: [UInt64] = []
    /// Streams that are answered while the client still sends.
    var halfOpen: [UInt64] = []
    /// Elements of `downstreams` that are streams.
    var streamCount = 0

    /// Calls and streams of the main thread, by its numbers.
    var mainCalls: [UInt64: CallToken] = [:]
    /// Answers of calls for filters; handed on at the end of the turn.
    var answeredSteps: [(CallOwner, CallAnswer)] = []
    /// Streams that the proxy itself holds open.
    var standingStreams = 0

    /// Connections whose input wants another look in this turn.
    var queue: [UInt64] = []
    var connectionIDs: UInt64 = 0
    var sweepTimer = TimerID.none
    var acceptTimer = TimerID.none
    var drainTimer = TimerID.none
    var lagTimer = TimerID.none
    /// Runs while another process listens where this one is to.
    var vacancyTimer = TimerID.none
    var lagDue: UInt64 = 0
    /// What is given up because there is too much to do, and whether that is anything.
    var overload = OverloadLevels()
    var isUnderPressure = false
    /// How long what is ready waits, and what follows.
    var backlog = BacklogGuard()
    /// How long the first connection of a turn waited to be accepted; asked for while something waits, and forgotten in some turns.
    var acceptWait: UInt64 = 0
    var isDraining = false
    /// The connections are told.
    var drainsGracefully = false
    /// While draining gradually: when it began. 0 = every connection ends with its next answer.
    var drainSince: UInt64 = 0
    /// While draining: when connections without a request are closed.
    var idleDeadline: UInt64 = .max
    /// Clusters in which a connection's place became free while requests wait.
    var freed: [ClusterPlace] = []
    var isStopped = false
    /// By `AdmissionSettings.memory`.
    var admissions: [Int32: AdmissionController] = [:]
    /// Keys for tokens that came from a cluster, or are on their way.
    var remoteKeys: [RemoteKeySource: RemoteKeys] = [:]
    /// Those that are fetched before they are wanted.
    var eagerKeys: Set<RemoteKeySource> = []
    var keysTimer = TimerID.none
    /// By the numbers of `FilterStatBook`.
    var filterNumbers: [Int64] = []
    /// Requests by the cluster on demand that they wait for.
    var clusterWaits: [WantedCluster: [ShadowHandle]] = [:]
    var waitingForClusters = 0
    /// What filters made of the present piece of a body.
    var filterBytes: [UInt8] = []
    /// By `stat_prefix`.
    var answerPlaces: [String: AnswerPlace] = [:]
    var clientTallies: [String: UnsafeMutablePointer<ClientTally>] = [:]
    var relayTallies: [String: RelayTally] = [:]
    /// By `Route.numbers`.
    var routeTallies: [RouteTally?] = []
    /// By `Route.series`.
    var routeCells: [UnsafeMutablePointer<RouteCell>?] = []
    /// What those numbers mean.
    var routeStamps = SeriesStamps()
    var countedStamps = SeriesStamps()
    var endpointTallies = 0
    var wallOffset: UInt64 = 0
    /// Who wants to be told of requests; the chains know whether it concerns them.
    var taps: [Tap] = []

    init(
        number: Int,
        workerCount: Int,
        control: ControlInbox,
        ring: AccessLogRing?,
        vault: ListenerVault? = nil
    ) throws(SystemError) {
        self.number = number
        self.workerCount = workerCount
        self.control = control
        self.ring = ring
        self.vault = vault
        loop = try EventLoop()
        commands = Mailbox(waker: loop.waker)
        out = .allocate(byteCount: Limits.outSize, alignment: 64)
        pathSpace = .allocate(byteCount: Limits.pathSize, alignment: 64)
        random = SeededRandom(seed: cweft_monotonic() ^ (UInt64(number) << 48) ^ UInt64(getpid()) << 20)
        scratch = Buffer()
        current = .allocate(capacity: 1)
        current.initialize(
            to: SnapshotHolder(
                Snapshot(
                    generation: 0,
                    listeners: [],
                    clusters: [],
                    routeTables: [],
                    labels: [],
                    accessLogs: [],
                    limits: ProcessLimits()
                )
            )
        )
        holders = [current]
        connectionIDs = UInt64(number) << 48
    }

    deinit {
        for place in answerPlaces.values { place.deallocate() }
        for place in clientTallies.values { place.deallocate() }
        for cell in routeCells { cell?.deallocate() }
        out.deallocate()
        pathSpace.deallocate()
        http2Input?.deallocate()
        http2Output?.deallocate()
    }

    /// Hands a command to the worker. From any thread.
    func send(_ command: WorkerCommand) { commands.post(command) }

    /// Nanoseconds of the cached clock.
    @inline(__always) var now: UInt64 { loop.now.nanoseconds }

    /// Serves until `.stop`. The thread's whole life.
    func run() {
        scratch = buffers.take(Limits.readSize) ?? Buffer()
        sweepTimer = loop.timers.make(token: Token(.workerTimer, 0, generation: 0).raw)
        acceptTimer = loop.timers.make(token: Token(.workerTimer, 1, generation: 0).raw)
        drainTimer = loop.timers.make(token: Token(.workerTimer, 2, generation: 0).raw)
        keysTimer = loop.timers.make(token: Token(.workerTimer, 9, generation: 0).raw)
        loop.timers.set(sweepTimer, Instant(nanoseconds: now &+ Limits.sweepInterval))
        lagTimer = loop.timers.make(token: Token(.workerTimer, 3, generation: 0).raw)
        vacancyTimer = loop.timers.make(token: Token(.workerTimer, 4, generation: 0).raw)
        lagDue = now &+ Limits.sweepInterval
        loop.timers.set(lagTimer, Instant(nanoseconds: lagDue))
        updateWallClock()
        while !isStopped { turn() }
        shutDown()
        control.post(.stopped(worker: number))
    }

    private func turn() {
        let held = heldInside
        let count = held.isEmpty ? loop.wait() : loop.wait(milliseconds: 0)
        if backlog.isShedding {
            deliverEndpointsFirst(count)
        } else {
            for index in 0..<count {
                guard let event = loop.event(index) else { continue }
                deliver(Token(raw: event.token), event.readiness)
            }
        }
        if count >= Limits.crowd || backlog.isRaised { measureBacklog(count) }
        handshakesOfTurn = 0
        if !held.isEmpty {
            heldInside.removeFirst(held.count)
            for token in held { deliver(Token(raw: token), .read) }
        }
        runQueue()
        while let token = loop.nextTimer() { timerFired(Token(raw: token)) }
        if loop.wasWoken { for command in commands.take() { obey(command) } }
        while !queue.isEmpty || !freed.isEmpty || !dirtySessions.isEmpty || !dirtyEndpoints.isEmpty
            || !answeredSteps.isEmpty
        {
            if !answeredSteps.isEmpty { deliverAnswers() }
            runQueue()
            if !dirtyEndpoints.isEmpty { flushEndpoints() }
            if !dirtySessions.isEmpty { flushSessions() }
        }
    }

    /// In a standing queue what is nearly done is done before anything else begins.
    private func deliverEndpointsFirst(_ count: Int) {
        for isEndpoint in [true, false] {
            for index in 0..<count {
                guard let event = loop.event(index) else { continue }
                let token = Token(raw: event.token)
                if (token.kind == .upstream) == isEndpoint { deliver(token, event.readiness) }
            }
        }
    }

    @inline(__always)
    private func deliver(_ token: Token, _ readiness: Readiness) {
        switch token.kind {
        case .downstream:
            guard let place = downstreams.find(token.index, generation: token.generation) else { return }
            downstreamReady(token.index, place, readiness)
        case .upstream:
            guard let place = upstreams.find(token.index, generation: token.generation) else { return }
            upstreamReady(token.index, place, readiness)
        case .listener: acceptReady(token)
        default: break
        }
    }

    private func timerFired(_ token: Token) {
        switch token.kind {
        case .downstreamTimer:
            guard let place = downstreams.find(token.index, generation: token.generation) else { return }
            downstreamTimer(token.index, place)
        case .upstreamTimer:
            guard let place = upstreams.find(token.index, generation: token.generation) else { return }
            upstreamTimer(token.index, place)
        case .workerTimer:
            switch token.index {
            case 0: sweep()
            case 9: refreshKeys()
            case 1: resumeAccepting()
            case 3: measureLag()
            case 4: openVacant()
            default: cutRemaining()
            }
        default: break
        }
    }

    /// Looks again at connections whose input holds a further request. Bounded per turn by the rounds of each.
    private func runQueue() {
        var index = 0
        while index < queue.count {
            let token = Token(raw: queue[index])
            index += 1
            guard let place = downstreams.find(token.index, generation: token.generation) else { continue }
            place.pointee.flags.remove(.isQueued)
            inputWaiting(token.index, place)
        }
        if index > 0 { queue.removeAll(keepingCapacity: true) }
        guard !freed.isEmpty else { return }
        // One after another, not within each other: a long queue towards a dead endpoint must not eat the stack.
        var position = 0
        while position < freed.count {
            let cluster = freed[position]
            position += 1
            servePending(cluster)
            letGo(cluster)
        }
        freed.removeAll(keepingCapacity: true)
    }

    func enqueue(_ index: Int32, _ place: DownstreamPlace) {
        guard !place.pointee.flags.contains(.isQueued) else { return }
        place.pointee.flags.insert(.isQueued)
        queue.append(Token(.downstream, index, generation: place.pointee.generation).raw)
    }

    private func obey(_ command: WorkerCommand) {
        switch command {
        case .apply(let snapshot): apply(snapshot)
        case .announceListeners: announceListeners()
        case .health(let change): take(change)
        case .ejected(let other): follow(other)
        case .tallies(let tallies): add(tallies)
        case .call(let command): obey(command)
        case .tap(let wanted): setTaps(wanted)
        case .overload(let levels): take(levels)
        case .clustersMissing(let missing): clustersMissing(missing)
        case .report(let id): control.post(.report(id: id, makeReport()))
        case .drain(let isGraceful, let deadline): drain(isGraceful: isGraceful, deadline: deadline)
        case .stop: isStopped = true
        }
    }

    /// The clock of dates: read once a second.
    func updateWallClock() {
        let wall = cweft_wall_clock()
        wallOffset = wall &- now
        date.update(second: wall / 1_000_000_000)
    }

    private func sweep() {
        loop.timers.set(sweepTimer, Instant(nanoseconds: now &+ Limits.sweepInterval))
        updateWallClock()
        sweepOutliers()
        retryListeners()
        metrics.set(.bufferBytes, Int64(buffers.bytesInUse))
    }
}
