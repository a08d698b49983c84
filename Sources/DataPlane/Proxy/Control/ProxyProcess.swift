import CWeft
import EnvoyAPI
import Glibc
import Reactor
import Synchronization
import Telemetry
import Traffic
import Wire

/// The main thread of a serving proxy: its configuration, its workers, its admin, its signals.
final class ProxyProcess: EventHandler {
    /// The version of this program.
    static let version = "0.1.0"

    let options: ProxyOptions
    /// Without its clusters, which the store has.
    private(set) var bootstrap: Envoy.Bootstrap
    let log: ProcessLog
    let store: ConfigurationStore
    let accessLogs = AccessLogThread()
    let workers: WorkerGroup
    private(set) var state = ServerState()

    private let loop: HandlerLoop
    private let signals: SignalSource
    private let watch: ConfigurationWatch
    let names: NameWatch
    let discovery: DiscoveryManager
    /// The first generation with everything that was waited for at the start.
    private var settledGeneration: UInt64?
    /// Snapshots that are on their way to the workers, by when they were sent.
    private var onTheWay: [(generation: UInt64, sent: UInt64)] = []
    /// With so many on their way, what changes further is gathered until workers have caught up.
    private static let mostOnTheWay = 4
    private var isHeld = false
    /// From a snapshot's commit until all workers use it.
    private(set) var applyTimes = LatencyHistogram()
    private(set) var health: HealthMonitor?
    let overload: OverloadMonitor
    private(set) lazy var taps = TapDesk(process: self, options: options)
    /// The newest generation whose endpoints were all checked once.
    private var checkedGeneration: UInt64 = 0
    private let keeper: KeeperClient?
    private var admin: AdminServer?
    private var key: HandlerKey?
    private var exitCode: Int32 = 0
    private var ending = Ending.no
    private var watchedVersion = -1

    private enum Ending { case no, draining, stopping }
    private static let stopTime: UInt64 = 1_000_000_000
    /// Longer than the thread of logs looks again after its start, which would map its code anew.
    private static let quietTime: UInt64 = 1_500_000_000

    /// - Throws: `StartError` with what cannot be used and why.
    init(options: ProxyOptions, bootstrap: Envoy.Bootstrap, log: ProcessLog) throws(StartError) {
        self.options = options
        self.bootstrap = bootstrap
        self.log = log
        var limits = ProcessLimits()
        limits.drainTime = options.drainSeconds * 1_000_000_000
        limits.drainsGradually = options.drainsGradually
        limits.maxDownstreamConnections = DescriptorLimit.raise() / 2
        let manager = OverloadSetup.compile(bootstrap.overloadManager, memory: ResourceReader.memoryBudget())
        limits.longestWait = manager.setup.longestWait
        store = ConfigurationStore(limits: limits, ports: PortReserver())
        do {
            // Before any thread exists, so that all of them have the signals blocked.
            signals = try SignalSource([SIGTERM, SIGINT, SIGUSR1, SIGHUP] + (options.isSupervised ? [SIGUSR2] : []))
            loop = try HandlerLoop()
            workers = try WorkerGroup(loop: loop)
            watch = try ConfigurationWatch(loop: loop)
        } catch { throw StartError(message: "\(error)") }
        names = NameWatch(loop: loop)
        discovery = DiscoveryManager(store, node: bootstrap.node, loop: loop, log: log)
        state.startNanoseconds = WallClock.now()
        state.workers = options.concurrency ?? SystemThread.processorCount
        let count = state.workers
        let loop = loop
        keeper = options.keeperPath.map { KeeperClient(path: $0, workerCount: count, loop: loop, log: log) }
        store.onWarning = { [log] in log.warning($0) }
        overload = OverloadMonitor(manager.setup, loop: loop, lag: workers.inbox.lag, log: log)
        do {
            try store.load(bootstrap)
        } catch { throw StartError(message: (error.lines + manager.problems).joined(separator: "\n")) }
        self.bootstrap.staticResources?.clusters = []
        if let path = options.tapTokenPath, case .failure(let problem) = TapDesk.token(path) { throw problem }
        guard manager.problems.isEmpty else { throw StartError(message: manager.problems.joined(separator: "\n")) }
    }

    /// Serves until a signal or the admin ends it; the exit code.
    func run(_ startWorker: WorkerStarter) throws(StartError) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        if options.isSupervised { cweft_end_with_parent(SIGTERM) }
        connect()
        do {
            key = try loop.add(signals.fd, .read, self)
            try startAdmin()
            try keeper?.start()
        } catch { throw StartError(message: "\(error)") }
        for index in 0..<state.workers {
            let setup = WorkerSetup(
                index: index,
                count: state.workers,
                inbox: workers.inbox,
                accessLog: accessLogs.makeRing(),
                processor: nil,
                vault: keeper?.vault
            )
            guard let port = startWorker(setup) else {
                throw StartError(message: "worker \(index) could not be started")
            }
            workers.add(port)
        }
        let inbox = workers.inbox
        accessLogs.setSpans { inbox.post(.spans($0)) }
        accessLogs.start()
        startHealth()
        startOverload()
        publish()
        log.info("started", ["workers": "\(state.workers)", "pid": "\(getpid())", "version": Self.version])
        loop.run()
        admin?.shutdown()
        keeper?.shutdown()
        names.shutdown()
        discovery.shutdown()
        accessLogs.stop()
        log.info("ended", ["code": "\(exitCode)"])
        return exitCode
    }

    private func connect() {
        workers.onApplied = { [unowned self] in workersApplied() }
        workers.onLog = { [log] in log.log($0, $1) }
        workers.onTapped = { [unowned self] in taps.take($0) }
        workers.onDrained = { [unowned self] in if ending == .draining { stopWorkers() } }
        names.onWarning = { [log] in log.warning($0) }
        names.onAnswer = { [unowned self] request, addresses in
            if let addresses {
                store.setClock()
                store.setAddresses(addresses, of: request.key)
                publish()
            }
            workersApplied()
        }
        if let keeper {
            workers.onListenerOpened = { keeper.opened($0, $1) }
            workers.onListenerClosed = { keeper.closed($0) }
            keeper.onReconnect = { [unowned self, unowned keeper] in
                workers.send(.announceListeners)
                // Commands are carried out in order: the report comes after the last socket.
                workers.collect { [weak keeper] _ in keeper?.announced() }
            }
        }
        discovery.onChange = { [unowned self] in
            store.readWanted()
            publish()
            tellMissing(store.takeMissing())
            if !state.isReady { workersApplied() }
        }
        workers.onClusterWanted = { [unowned self] question in
            store.setClock()
            if !store.want(question) { tellMissing([question.wanted]) }
            publish()
        }
        watch.onChange = { [unowned self] in filesChanged($0) }
    }

    private func tellMissing(_ missing: [WantedCluster]) {
        if !missing.isEmpty { workers.send(.clustersMissing(missing)) }
    }

    private func startHealth() {
        let tellWorkers = workers.broadcast
        let inbox = workers.inbox
        health = HealthMonitor(
            onChange: { change in
                tellWorkers(.health(change))
                inbox.post(.health(change))
            },
            onWarm: { inbox.post(.healthChecked(generation: $0)) },
            onWarning: { inbox.post(.log(.warning, $0)) }
        )
        workers.onHealth = { [unowned self] event in
            switch event {
            case .health(let change):
                store.setClock()
                store.setHealth(change)
                publish()
            case .healthChecked(let generation):
                checkedGeneration = max(checkedGeneration, generation)
                workersApplied()
            case .ejected(let other): health?.ejected(cluster: other.identity, endpoint: other.ejection.endpoint)
            case .healthFailed(let cluster, let endpoint): health?.failPassively(cluster: cluster, endpoint: endpoint)
            default: break
            }
        }
    }

    private func startOverload() {
        overload.onChange = { [unowned self] in workers.send(.overload($0)) }
        do { try overload.start() } catch { log.error("the overload manager does not run", ["error": "\(error)"]) }
    }

    private func startAdmin() throws(SystemError) {
        guard let message = bootstrap.admin?.address else { return }
        store.context.reset()
        guard let address = store.context.address(message) else { return }
        let router = AdminRouter(process: self)
        let server = try AdminServer(address, loop: loop, sharesPort: options.isSupervised) { router.answer($0, $1) }
        server.log = AdminLog(bootstrap.admin, store, accessLogs)
        log.info("admin listens", ["address": server.display])
        if let path = options.adminAddressPath, let failure = FileBytes.write(Array(server.display.utf8), to: path) {
            log.error("--admin-address-path", ["error": failure])
        }
        admin = server
    }

    // MARK: Configuration

    private func filesChanged(_ paths: Set<String>) {
        store.setClock()
        for path in paths.sorted() { store.read(path) }
        store.readWanted()
        store.context.tls.filesChanged(paths) { [log] holder, result in
            switch result {
            case .unchanged: break
            case .loaded: log.info("certificates loaded", ["for": holder.source.owner])
            case .refused(let error):
                log.warning("the certificates of \(holder.source.owner) are refused, those before stay: \(error)")
            }
        }
        publish()
    }

    /// Hands the newest configuration to the workers, if there is a new one.
    private func publish() {
        discovery.refresh()
        guard onTheWay.count < Self.mostOnTheWay else {
            isHeld = true
            return
        }
        isHeld = false
        names.setRequests(store.nameRequests)
        let snapshot = store.commit()
        // What is not named any more is not wanted any more.
        if store.changes.wishes { discovery.refresh() }
        if settledGeneration == nil, store.isSettled { settledGeneration = store.snapshot.generation }
        store.context.tls.prune()
        let version = store.filesVersion + store.context.tls.version
        if version != watchedVersion {
            watchedVersion = version
            watch.setFiles(store.files.values.map { ($0.state.path, $0.directory) } + store.context.tls.files)
        }
        discovery.committed(store.snapshot.generation)
        guard let snapshot else { return discovery.applied(workers.appliedGeneration) }
        accessLogs.setLogs(snapshot.accessLogs)
        onTheWay.append((snapshot.generation, cweft_monotonic()))
        workers.send(.apply(snapshot))
        taps.labelsChanged(snapshot.labels)
        if health?.apply(snapshot) == false { log.error("health checks cannot be started: out of memory or threads") }
        if state.isReady { scheduleRelease() }
        log.log(.debug, "configuration sent", ["generation": "\(snapshot.generation)"])
    }

    /// Some time after the last change, what reading configurations needed is given back.
    private func scheduleRelease() {
        guard ending == .no, let key else { return }
        loop.setTimer(key, Instant.read().advanced(byNanoseconds: Self.quietTime))
    }

    private func workersApplied() {
        while let first = onTheWay.first, first.generation <= workers.appliedGeneration {
            applyTimes.observe(nanoseconds: cweft_monotonic() &- first.sent)
            onTheWay.removeFirst()
        }
        discovery.applied(workers.appliedGeneration)
        if isHeld { publish() }
        // Sockets of the proxy before are for what control planes are still to name, too.
        if let settled = settledGeneration, workers.appliedGeneration >= settled { keeper?.configured() }
        guard !state.isReady, ending == .no, workers.appliedGeneration > 0 else { return }
        guard let settled = settledGeneration, workers.appliedGeneration >= settled else {
            state.reason = discovery.reason
            return
        }
        // Nobody is to be sent here before the first look-ups are through and in force.
        guard names.isWarm, !names.isUsed || workers.appliedGeneration >= store.snapshot.generation else {
            state.reason = "INITIALIZING: host names are being looked up"
            return
        }
        if let health, health.isUsed, checkedGeneration < store.snapshot.generation {
            state.reason = "INITIALIZING: endpoints are being checked"
            return
        }
        let broken = workers.listenerErrors.filter { name, _ in
            guard let entry = store.listeners[name], entry.origin == .bootstrap else { return false }
            // Those of Unix sockets may still be the predecessor's, which leaves them when this one serves.
            return !(options.isSupervised && entry.compiled.socket.hasPaths)
        }
        guard broken.isEmpty else {
            // A static listener that cannot be opened is a configuration that cannot be served.
            for (listener, error) in broken { log.error("ending", ["listener": listener, "error": error]) }
            exitCode = 1
            stopWorkers()
            return
        }
        state.isReady = true
        state.reason = "LIVE"
        scheduleRelease()
        log.info("ready")
        keeper?.ready()
        if options.mode == .initOnly { stopWorkers() }
    }

    /// Changes runtime keys; what is wrong, or nil.
    func changeRuntime(_ changes: [(name: String, value: String)]) -> String? {
        store.setClock()
        if let problem = store.modifyRuntime(changes) { return problem }
        publish()
        return nil
    }

    // MARK: Ending

    func ready(_ readiness: Readiness) {
        while let number = signals.next() {
            switch number {
            case SIGUSR1:
                accessLogs.reopenFiles()
                if let path = options.logPath, let failure = log.open(path) { log.error(failure) }
            case SIGHUP: filesChanged(Set(store.files.keys).union(store.context.tls.files.map(\.path)))
            case SIGUSR2:
                // A new proxy serves: its admin is to be asked from now on.
                admin?.shutdown()
                admin = nil
                endRequested(number)
            default: endRequested(number)
            }
        }
    }

    private func endRequested(_ signal: Int32) {
        guard ending == .no else {
            stopWorkers()
            return
        }
        log.info("draining", ["signal": "\(signal)", "seconds": "\(options.drainSeconds)"])
        ending = .draining
        keeper?.shutdown()
        drainListeners(isGraceful: true)
        let deadline = Instant.read().advanced(byNanoseconds: options.drainSeconds * 1_000_000_000)
        if let key { loop.setTimer(key, deadline) }
        if options.drainSeconds == 0 { stopWorkers() }
    }

    func drainListeners(isGraceful: Bool) {
        keeper?.release()
        state.isDraining = state.isDraining || isGraceful
        workers.send(.drain(isGraceful: isGraceful, deadline: options.drainSeconds * 1_000_000_000))
    }

    /// Says on `/ready` that no more work is wanted, or that it is again.
    func failHealthCheck(_ fails: Bool) {
        state.failsHealthCheck = fails
        workers.inbox.failsHealthCheck.store(fails, ordering: .relaxed)
    }

    /// Ends without draining.
    func quit() { stopWorkers() }

    private func stopWorkers() {
        guard ending != .stopping else { return }
        ending = .stopping
        workers.send(.stop)
        // The answer to a request for ending is still to be written; workers say `.stopped` meanwhile.
        if let key { loop.setTimer(key, Instant.read().advanced(byNanoseconds: 20_000_000)) }
        stopDeadline = Instant.read().advanced(byNanoseconds: Self.stopTime)
    }

    private var stopDeadline = Instant.distantFuture

    func timerFired() {
        switch ending {
        case .no:
            cweft_trim_heap()
            ResidentCode.release()
        case .draining: stopWorkers()
        case .stopping:
            if workers.hasStopped || Instant.read() >= stopDeadline {
                loop.stop()
            } else if let key {
                loop.setTimer(key, Instant.read().advanced(byNanoseconds: 20_000_000))
            }
        }
    }

    func serverInfo() -> Value {
        let name = state.isDraining ? "DRAINING" : state.isReady ? "LIVE" : state.reason
        return [
            "version": .string("weft-proxy/\(Self.version)"),
            "state": .string(name),
            "uptime_all_epochs": .string("\(state.uptimeSeconds)s"),
            "uptime_current_epoch": .string("\(state.uptimeSeconds)s"),
            "command_line_options": [
                "concurrency": .int(Int64(state.workers)),
                "config_path": .string(options.configPath ?? ""),
                "mode": .string(options.mode.rawValue),
                "log_level": .string(log.level.name),
                "drain_time": .string("\(options.drainSeconds)s"),
                "drain_strategy": .string(options.drainsGradually ? "Gradual" : "Immediate"),
            ],
            "node": bootstrap.node?.jsonValue ?? .object(Fields()),
            "configuration_generation": .int(Int64(store.snapshot.generation)),
            "applied_generation": .int(Int64(workers.appliedGeneration)),
        ]
    }
}

/// Why the proxy cannot start.
struct StartError: Error {
    let message: String
}
