import Reactor
import Traffic

/// What the main thread tells a worker. `Worker.send` may be called from any thread; commands are carried out in order.
enum WorkerCommand: Sendable {
    /// Use this configuration from now on: open and close listeners, take over clusters, then say `.applied`.
    case apply(Snapshot)
    /// Say `.listenerOpened` of every socket again.
    case announceListeners
    /// Send a report.
    case report(id: UInt64)
    /// Health checks say something else of an endpoint.
    case health(HealthChange)
    /// Another worker left an endpoint out.
    case ejected(ClusterEjection)
    /// The numbers of another worker's requests, to the worker that decides by them.
    case tallies([ClusterTallies])
    /// The control plane does not know these clusters: nobody is to wait for them.
    case clustersMissing([WantedCluster])
    /// Give up this much from now on.
    case overload(OverloadLevels)
    /// Begin a call or a stream, or go on with one: for the first worker.
    case call(CallCommand)
    /// Tell of requests as these taps want it, and of no others.
    case tap([Tap])
    /// Stop accepting. Gracefully: keep-alive connections are told to close with their next answer, and connections still
    /// open after `deadline` (nanoseconds from now) are cut; otherwise they are left alone until the process ends.
    case drain(isGraceful: Bool, deadline: UInt64)
    /// Close everything now and end the thread.
    case stop
}

/// What a worker tells the main thread, through the main thread's mailbox (`ControlInbox`).
enum ControlEvent: Sendable {
    /// Every new connection and request of this worker uses the snapshot of this generation (or a later one).
    case applied(worker: Int, generation: UInt64)
    /// A listener could not be opened; the others work. nil = it works now.
    case listenerState(worker: Int, listener: String, error: String?)
    /// A socket listens: for the keeper of listeners. The descriptor is a duplicate that belongs to the receiver.
    case listenerOpened(KeeperMessage, fd: Int32)
    /// The socket with this inode was closed.
    case listenerClosed(inode: UInt64)
    case report(id: UInt64, WorkerReport)
    /// After `.drain`: no downstream connection is left.
    case drained(worker: Int)
    case stopped(worker: Int)
    /// Health checks say something else of an endpoint (from their thread).
    case health(HealthChange)
    /// Every endpoint of this generation was checked once (from the checks' thread).
    case healthChecked(generation: UInt64)
    /// A worker left an endpoint out: all others are told.
    case ejected(ClusterEjection)
    /// Numbers for the worker that decides by them.
    case tallies([ClusterTallies])
    /// The answer to a request said that its endpoint is to be left out at once.
    case healthFailed(cluster: UInt64, endpoint: UInt64)
    /// A request waits for a cluster that is not known.
    case clusterWanted(ClusterQuestion)
    /// Spans that are due (from the log's thread).
    case spans(SpanBatch)
    /// The tap with this number has something to tell.
    case tapped(UInt64)
    /// What came of a call or a stream of the main thread.
    case call(CallEvent)
    /// A line for the process log, made off the request path.
    case log(LogLevel, String)
}

/// A worker's numbers and the state of its clusters.
struct WorkerReport: Sendable {
    var worker: Int
    var generation: UInt64
    var metrics: MetricsCopy
    var clusters: [ClusterReport]
    /// By listener index: open downstream connections.
    var listeners: [ListenerReport]
    /// By `stat_prefix` of the connection managers.
    var answers: [String: AnswerNumbers] = [:]
    var clients: [String: ClientTally] = [:]
    /// By `stat_prefix` of `tcp_proxy`.
    var relays: [String: RelayTally] = [:]
    /// By `Route.numbers`.
    var routes: [RouteTally?] = []
    var countedStamps = SeriesStamps()
    /// By `Route.series`.
    var cells: [RouteCell?] = []
    var routeStamps = SeriesStamps()
    /// By the numbers of `FilterStatBook`.
    var filters: [Int64] = []
}

struct ClusterReport: Sendable {
    var index: Int32
    var identity: UInt64
    var endpoints: [EndpointReport]
    /// By `Priority.rawValue`.
    var breakers: [BreakerReport]
    var requestsTotal: UInt64 = 0
    var retriesTotal: UInt64 = 0
    var isInPanic = false
    var outliers = OutlierCounts()
    var numbers = AnswerNumbers()
    /// nil: nothing has happened yet.
    var tally: ClusterTally?
    /// nil: it has no subsets.
    var subsets: SubsetCounts?
    /// Updates that changed its endpoints.
    var membershipChanges: UInt64 = 0
    /// Choices made without regard to health, and requests refused by `drop_overloads`.
    var panicChoices: UInt64 = 0
    var droppedTotal: UInt64 = 0
    var rateLimits = RateLimitNumbers()
    /// Points of a ring or places of a table; all, and the fewest and most of one endpoint.
    var hashTableSizes: HashTableSizes?
    /// Endpoints that the configuration does not name any more, with the requests that they still answer.
    var leaving: [LeavingReport] = []
}

struct HashTableSizes: Sendable {
    var count: Int
    var fewest: Int
    var most: Int
}

struct LeavingReport: Sendable {
    var address: SocketAddress
    var requests: Int
}

struct EndpointReport: Sendable {
    var identity: UInt64
    var state: EndpointState
    var tally: EndpointTally?
}

/// What a breaker has in use, by `BreakerResource.rawValue`, and which of them are at their limit.
struct BreakerReport: Sendable {
    var inUse: [Int]
    var isOpen: [Bool]
}

struct ListenerReport: Sendable {
    var index: Int32
    var connections: Int
    /// The addresses in use, with the real port where 0 was configured: `address:port`.
    var addresses: [String]
    var connectionsTotal: UInt64 = 0
    var tally = ListenerTally()
}

/// How the main thread reaches a worker: `Worker` offers it, tests stand in for it.
protocol WorkerPort: Sendable {
    /// May be called from any thread; the worker carries commands out in order.
    func send(_ command: WorkerCommand)
}

/// What a worker is started with. It runs without a configuration until the first `.apply` comes.
struct WorkerSetup: Sendable {
    /// 0, 1, 2 ...
    var index: Int
    /// Workers of this process: a worker takes this share of limits that hold for the process.
    var count: Int
    var inbox: ControlInbox
    var accessLog: AccessLogRing
    /// The processor to be bound to; nil = none.
    var processor: Int?
    /// Sockets to take over. With it the worker tells of every socket that it opens and closes; nil = nobody keeps them.
    var vault: ListenerVault?
}

/// Starts a worker's thread; nil when the system gives none.
typealias WorkerStarter = (WorkerSetup) -> (any WorkerPort)?
