import Glibc
import Reactor

/// All workers as the main thread sees them: sends them snapshots, collects their reports, and knows what each has applied.
///
/// Belongs to the main thread's loop.
final class WorkerGroup: EventHandler {
    /// What became of listeners that could not be opened: `listener` -> error.
    private(set) var listenerErrors: [String: String] = [:]
    /// Called after workers said that they applied something.
    var onApplied: () -> Void = {}
    /// Called for a line that a worker wants in the process log.
    var onLog: (LogLevel, String) -> Void = { _, _ in }
    /// Called when a worker opened a socket, with a duplicate that belongs to the receiver.
    var onListenerOpened: (KeeperMessage, Int32) -> Void = { Socket.close($1) }
    /// Called with the inode of a socket that a worker closed.
    var onListenerClosed: (UInt64) -> Void = { _ in }
    /// Called for a cluster that a request waits for.
    var onClusterWanted: (ClusterQuestion) -> Void = { _ in }
    /// Called with what concerns health checks.
    var onHealth: (ControlEvent) -> Void = { _ in }
    /// Calls and streams of the main thread itself.
    private(set) lazy var calls = CallDesk { [unowned self] in ports.first?.send($0) }
    private(set) lazy var spans = SpanExporter(calls)
    /// Called when a tap has something to tell.
    var onTapped: (UInt64) -> Void = { _ in }
    /// Called when the last worker said that it has no connection left.
    var onDrained: () -> Void = {}

    let inbox: ControlInbox
    private let loop: HandlerLoop
    private var ports: [any WorkerPort] = []
    private var applied: [UInt64] = []
    private var drained: Set<Int> = []
    private var stopped: Set<Int> = []
    private var collections: [UInt64: Collection] = [:]
    private var nextID: UInt64 = 1
    private var key: HandlerKey?

    private struct Collection {
        var reports: [WorkerReport] = []
        var deadline: Instant
        var complete: ([WorkerReport]) -> Void
    }

    /// A worker that does not answer in this time is left out of a report.
    private static let reportTime: UInt64 = 1_000_000_000

    init(loop: HandlerLoop) throws(SystemError) {
        self.loop = loop
        inbox = try ControlInbox()
        key = try loop.add(inbox.fd, .read, self)
    }

    var count: Int { ports.count }
    var hasStopped: Bool { stopped.count >= ports.count }
    /// The newest generation that every worker uses.
    var appliedGeneration: UInt64 { applied.min() ?? 0 }

    func add(_ port: any WorkerPort) {
        ports.append(port)
        applied.append(0)
    }

    func send(_ command: WorkerCommand) {
        for port in ports { port.send(command) }
    }

    /// Sends to all workers that were added so far, from any thread.
    var broadcast: @Sendable (WorkerCommand) -> Void {
        let ports = ports
        return { command in for port in ports { port.send(command) } }
    }

    /// Asks all workers for a report; `complete` is called once, with what came in time.
    func collect(_ complete: @escaping ([WorkerReport]) -> Void) {
        guard !ports.isEmpty else {
            complete([])
            return
        }
        let id = nextID
        nextID += 1
        let deadline = loop.now.advanced(byNanoseconds: Self.reportTime)
        collections[id] = Collection(deadline: deadline, complete: complete)
        if let key { loop.setTimer(key, deadline) }
        send(.report(id: id))
    }

    func ready(_ readiness: Readiness) {
        var hasApplied = false
        for event in inbox.takeAll() {
            switch event {
            case .applied(let worker, let generation):
                guard applied.indices.contains(worker) else { continue }
                applied[worker] = max(applied[worker], generation)
                hasApplied = true
            case .listenerState(_, let listener, let error):
                listenerErrors[listener] = error
                if let error { onLog(.error, "listener \(listener) could not be opened: \(error)") }
            case .listenerOpened(let listener, let fd): onListenerOpened(listener, fd)
            case .listenerClosed(let inode): onListenerClosed(inode)
            case .report(let id, let report): add(report, to: id)
            case .drained(let worker):
                drained.insert(worker)
                if drained.count >= ports.count { onDrained() }
            case .stopped(let worker): stopped.insert(worker)
            case .health, .healthChecked, .healthFailed: onHealth(event)
            case .ejected(let ejection):
                if ports.count > 1 { send(.ejected(ejection)) }
                onHealth(event)
            case .tallies(let tallies): ports.first?.send(.tallies(tallies))
            case .call(let event): calls.take(event)
            case .tapped(let number): onTapped(number)
            case .clusterWanted(let question): onClusterWanted(question)
            case .spans(let batch): spans.export(batch)
            case .log(let level, let line): onLog(level, line)
            }
        }
        if hasApplied { onApplied() }
    }

    private func add(_ report: WorkerReport, to id: UInt64) {
        guard var collection = collections[id] else { return }
        collection.reports.append(report)
        guard collection.reports.count >= ports.count else {
            collections[id] = collection
            return
        }
        collections[id] = nil
        collection.complete(collection.reports.sorted { $0.worker < $1.worker })
    }

    func timerFired() {
        let now = loop.now
        for (id, collection) in collections where collection.deadline <= now {
            collections[id] = nil
            onLog(.warning, "\(ports.count - collection.reports.count) workers did not report in time")
            collection.complete(collection.reports)
        }
        if let next = collections.values.map(\.deadline).min(), let key { loop.setTimer(key, next) }
    }
}
