import Agent
import Bytes
import Controllers
import Glibc
import Images
import Mesh
import Reactor
import Resources
import Sandbox
import Servers
import Store
import Synchronization
import Wire

/// Everything that runs behind `weft serve`, from the store to the proxy.
actor Daemon {
    /// How to end.
    struct Stop: Sendable, Equatable {
        /// Remove every file, objects included.
        var removesState: Bool
        /// Do not wait for open requests and grace periods.
        var hurries: Bool
        /// Only the daemon ends: pods, proxy and names go on, for the next daemon to take over.
        var leavesPods = false
    }

    /// The running parts.
    struct Parts: Sendable {
        let store: SQLiteStore
        let cluster: Cluster
        let manager: ControllerManager
        let publisher: MeshPublisher
        let names: NameKeeper
        let supervisor: ProxySupervisor
        let collector: StatCollector
        let usage: UsageSampler
        /// Views of what goes on, for the API.
        let live: LiveStore
        let agent: Agent
        let images: ImageHost
        let admin: UnixProxyAdmin
        let ingressPort: Int
        let discovery: DiscoveryServer
        /// Serves the machine's proxy.
        let feed: DiscoveryServer
    }

    nonisolated let state: StateDirectory
    nonisolated let isolation: Isolation
    /// Where xDS is served beside its Unix socket.
    nonisolated let discovery: DiscoveryChoice
    /// Whom the proxy tells of requests.
    private nonisolated let telemetry: TelemetryChoice
    private nonisolated let apiChoice: APIChoice
    nonisolated let log: ServeLog
    nonisolated let startTime = SQLiteStore.now()
    private nonisolated let stops: AsyncStream<Stop>
    private nonisolated let stopInput: AsyncStream<Stop>.Continuation
    nonisolated let progress = ProgressHub()
    private nonisolated let claim: HostClaim
    /// The proxy of an earlier daemon runs on.
    private nonisolated let isServed: Bool
    private var hasInherited = false
    private(set) var parts: Parts?
    private(set) var metricsAddress: String?
    private(set) var apiAddresses: [String] = []
    private(set) var problems: [String] = []
    private var api: HTTPServer?
    /// The API's ports beside its socket.
    private var doors: [HTTPServer] = []
    private var metrics: HTTPServer?
    private var tasks: [Task<Void, Never>] = []
    private var agentTask: Task<Void, Never>?

    init(
        state: StateDirectory,
        isolation: Isolation,
        discovery: DiscoveryChoice,
        telemetry: TelemetryChoice,
        api: APIChoice,
        log: ServeLog
    ) {
        self.state = state
        self.isolation = isolation
        self.discovery = discovery
        self.telemetry = telemetry
        apiChoice = api
        self.log = log
        isServed = ProxySupervisor.running(pidFile: "\(state.path)/proxy/weft-proxy.pid") != nil
        claim = HostClaim(file: "\(state.path)/claim", isServed: isServed)
        (stops, stopInput) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(4))
    }

    nonisolated var proxyDirectory: String { "\(state.path)/proxy" }
    /// Not the path that it had when the proxy was fed by files: for a moment both are there.
    nonisolated var adminSocket: String { "\(proxyDirectory)/proxy.sock" }
    nonisolated var keeperSocket: String { "\(proxyDirectory)/listeners.sock" }

    // MARK: Start

    /// Starts every part; returns when the API answers.
    func start() async throws {
        log.write("daemon=starting", ["pid": "\(getpid())", "version": Version.current, "state": state.path])
        let parts = try await assemble()
        self.parts = parts
        await parts.publisher.attach()
        let names = NamePublisher(cluster: parts.cluster, names: parts.names)
        await names.attach()
        // The process that answers names keeps the listening sockets there.
        try ProxyDirectory.make(proxyDirectory)
        try await parts.names.start()
        let networks = try await inherit(parts)
        await parts.manager.start()
        await parts.publisher.prepare(inheriting: networks)
        try await feedProxy(parts)
        await parts.supervisor.start()
        run { await names.run() }
        run { await parts.publisher.run() }
        run { await parts.collector.run() }
        let keeper = LogKeeper(directory: proxyDirectory, adminSocket: adminSocket)
        run { await keeper.run() }
        agentTask = Task { await parts.agent.run() }
        run { await parts.images.openExisting() }
        try await serve(parts)
        log.write("daemon=ready", ["socket": state.socket, "ingress": "127.0.0.1:\(parts.ingressPort)"])
    }

    /// Takes over the pods that run already: before anybody decides anything, or looks at their status.
    private func inherit(_ parts: Parts) async throws -> [PodNetwork] {
        let inheritance = try await parts.agent.adopt()
        for problem in inheritance.problems { log.write("agent=leftover", ["error": problem]) }
        hasInherited = isServed || !inheritance.places.isEmpty
        if hasInherited {
            log.write("daemon=adopted", ["pods": "\(inheritance.places.count)", "proxy": "\(isServed)"])
        }
        let ports = MeshPorts(publisher: parts.publisher, entersNamespaces: geteuid() == 0)
        return inheritance.places.map(ports.network)
    }

    /// Serves the proxy its configuration: not before all that there is is known.
    private func feedProxy(_ parts: Parts) async throws {
        do throws(FileFailure) {
            try ProxyDirectory.prepare(meshState(ingressPort: parts.ingressPort))
        } catch {
            // A proxy that runs has read its file; on a full disk it goes on with that.
            guard isServed else { throw error }
        }
        await parts.feed.keepView()
        try await parts.feed.listen(unix: ProxyBootstrap.socket(proxyDirectory))
        await parts.publisher.follow(ProxyPorts(server: parts.feed))
    }

    private func meshState(ingressPort: Int) -> MeshState {
        var state = MeshState(
            directory: proxyDirectory,
            admin: .pipe(path: adminSocket),
            ingressAddress: HostAddress(address: "127.0.0.1", port: ingressPort),
            nodeAddress: claim.nodeAddress,
            accessLogPath: "\(proxyDirectory)/access.log"
        )
        state.discoveryEntrance = discovery.entrance
        state.traceCollector = telemetry.collector
        return state
    }

    private func run(_ body: @escaping @Sendable () async -> Void) { tasks.append(Task { await body() }) }

    private func assemble() async throws -> Parts {
        try StoreGuard.check(state)
        let store = try await SQLiteStore.open(path: state.store)
        let first = FirstObjects(
            store: store,
            now: SQLiteStore.now(),
            nodeAddress: claim.nodeAddress,
            stateDirectory: state.path
        )
        try await first.ensure()
        let cluster = Cluster(store: store, now: { SQLiteStore.now() })
        let ingressPort = claim.ingressPort ?? HostPorts.free([80, 8000])
        try claim.remember(ingressPort: ingressPort)
        if !claim.isFirst {
            problems.append(
                "another weft runs on this machine: NodePorts of this one are on \(claim.nodeAddress), load balancers "
                    + "in 127.\(claim.addresses.block).0.0/16"
            )
        }
        if ingressPort != 80 {
            problems.append("port 80 of 127.0.0.1 is taken or not allowed: Ingresses are served on port \(ingressPort)")
        }
        let log = log
        let say: @Sendable (String) -> Void = { log.write($0) }
        let admin = UnixProxyAdmin(path: adminSocket)
        let rules = HostPorts.rules
        let loopback = LoopbackNetwork(block: claim.addresses.block)
        if isolation == .none {
            problems.append("pods are not isolated: they are plain processes on this machine's network and files")
        }
        if rules.lowest > 0 {
            problems.append(
                "ports below \(rules.lowest) are not allowed for this user: load balancers' are served 8000 higher "
                    + "(sysctl net.ipv4.ip_unprivileged_port_start=80 would allow them)"
            )
        }
        let publisher = MeshPublisher(
            cluster: cluster,
            base: meshState(ingressPort: ingressPort),
            ports: rules,
            loopback: isolation == .none ? loopback : nil,
            admin: admin,
            log: say
        )
        let names = makeNames(cluster)
        let ports = MeshPorts(publisher: publisher, entersNamespaces: geteuid() == 0)
        var settings = AgentSettings(stateDirectory: state.path)
        settings.hostAddress = claim.nodeAddress
        settings.isolation = isolation
        settings.runtimes = (try? RuntimeOrder.read()) ?? RuntimeSearch.order
        settings.loopback = loopback
        if isolation == .none { settings.viewOfService = { loopback.view(of: $0, moved: rules.moved($0)) } }
        let images = ImageHost(ImageChoice(state: state).settings)
        let agent = Agent(
            store: store,
            settings: settings,
            ports: AgentPorts(
                gate: ports,
                dns: NamePorts(names: names),
                places: ports,
                events: EventPorts(recorder: cluster.events),
                images: ImagePorts(host: images),
                runtimes: RuntimePorts(store: store, events: cluster.events)
            ),
            now: { SQLiteStore.now() }
        )
        let collector = StatCollector(admin: admin)
        let usage = UsageSampler(store: store, stateDirectory: state.path, now: { SQLiteStore.now() })
        return Parts(
            store: store,
            cluster: cluster,
            manager: ControllerManager(
                cluster,
                ControllerManager.standardReconcilers(
                    cluster,
                    addresses: claim.addresses,
                    ports: rules,
                    ingressPort: ingressPort,
                    volumes: VolumeFiles(state: state),
                    metrics: AutoscalerPorts(usage: usage, collector: collector)
                ),
                log: say
            ),
            publisher: publisher,
            names: names,
            supervisor: makeSupervisor(cluster, admin),
            collector: collector,
            usage: usage,
            live: LiveStore(
                source: LivePorts(cluster: cluster, agent: agent, traffic: LiveTraffic(admin: admin)),
                now: SQLiteStore.now()
            ),
            agent: agent,
            images: images,
            admin: admin,
            ingressPort: ingressPort,
            discovery: DiscoveryPorts.server(publisher, cluster, log),
            feed: DiscoveryPorts.feed(publisher, log)
        )
    }

    private func makeNames(_ cluster: Cluster) -> NameKeeper {
        let log = log
        return NameKeeper(NamesCommand.settings(state)) { line in
            log.write("names=" + line)
            guard line.hasPrefix("ended") else { return }
            cluster.events.record(
                Object(ResourceTypes.nodes, name: PodBinder.nodeName),
                .warning,
                reason: "NamesEnded",
                message: "the server of names ended and is started again (\(line)); see names/log",
                component: "weft"
            )
        }
    }

    private func makeSupervisor(_ cluster: Cluster, _ admin: UnixProxyAdmin) -> ProxySupervisor {
        var settings = ProxySupervisor.Settings(
            program: Self.proxyProgram,
            arguments: [
                "-c", "\(proxyDirectory)/\(ProxyBootstrap.file)", "--listener-keeper", keeperSocket,
            ] + telemetry.proxyWords,
            logFile: "\(proxyDirectory)/proxy.log",
            pidFile: "\(proxyDirectory)/weft-proxy.pid"
        )
        let claim = claim
        settings.inherited = { claim.held() }
        let directory = proxyDirectory
        settings.isReady = { (try? await admin.get("/ready", timeout: .seconds(1)))?.status == 200 }
        settings.replaced = { ProxyDirectory.removeOldFiles(directory) }
        let log = log
        let progress = progress
        return ProxySupervisor(settings) { event in
            switch event {
            case .adopted(let pid): log.write("proxy=adopted", ["pid": "\(pid)"])
            case .replaced(let pid): log.write("proxy=replaced", ["pid": "\(pid)"])
            case .started(let pid): log.write("proxy=started", ["pid": "\(pid)"])
            case .failed(let why): log.write("proxy=failed", ["error": why])
            case .ended(let pid, let status):
                log.write("proxy=ended", ["pid": "\(pid)", "status": status])
                guard !progress.hasBegun else { return }
                let node = Object(ResourceTypes.nodes, name: PodBinder.nodeName)
                cluster.events.record(
                    node,
                    .warning,
                    reason: "ProxyEnded",
                    message: "weft-proxy ended (\(status)) and is started again; see proxy/proxy.log",
                    component: "weft"
                )
            }
        }
    }

    /// `weft-proxy` beside this program.
    private static var proxyProgram: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return "/usr/bin/weft-proxy" }
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/weft-proxy"
    }

    private func serve(_ parts: Parts) async throws {
        let identity = try APIIdentity(state)
        if apiChoice.tlsAddress != nil {
            for object in DefaultRoles.objects {
                guard let key = object.key, try await parts.store.find(key) == nil else { continue }
                try await parts.store.create(object)
            }
        }
        var handler = KubernetesAPI(
            store: parts.store,
            logs: LogPorts(logs: parts.agent.logs),
            commands: PodCommands(stateDirectory: state.path, logs: parts.agent.logs),
            usage: parts.usage,
            ports: PodPorts(stateDirectory: state.path),
            tokens: identity.tokens,
            version: Version.current
        )
        handler.live = parts.live
        let routes = DaemonRoutes(daemon: self, parts: parts)
        handler.add("stat") { request, _ in await routes.stat(request) }
        handler.add("status") { _, _ in await routes.status() }
        handler.add("clusters") { _, _ in await routes.clusters() }
        handler.add("xds") { _, _ in .json(JSON.bytes(await routes.clients())) }
        let state = state
        handler.add("backup") { request, _ in await BackupRoute.answer(request, parts.store, state) }
        let tap = TapRoute(cluster: parts.cluster, adminSocket: adminSocket)
        handler.add("tap") { request, _ in await tap.answer(request) }
        let images = ImageRoute(host: parts.images)
        handler.add("imagestore") { request, rest in await images.answer(request, rest) }
        handler.add("shutdown") { request, _ in await routes.shutdown(request) }
        handler.add(path: "metrics") { request, _ in await routes.metrics(request) }
        let audit = try apiChoice.auditPath.map { path in
            guard let log = AuditLog(path: path) else {
                throw CommandError("the audit log \(path) cannot be written: \(FileReader.describe(errno))")
            }
            return log
        }
        // Where the API is served is known only when it is served.
        let addresses = APIServing.Place()
        let socket = state.socket
        handler.add("kubeconfig") { request, _ in
            let outcome = addresses.outcome.withLock { $0 }
            let route = KubeconfigRoute(
                socket: socket,
                plain: outcome.plain,
                secure: outcome.secure,
                identity: identity
            )
            return route.answer(request, isOwner: request.origin.transport != .tls)
        }
        let front = APIFront(api: handler, audit: audit)
        let server = HTTPServer { await front.handle($0) }
        let serving = APIServing(choice: apiChoice, isolation: isolation, log: log)
        let outcome = try await serving.listen(identity) { await front.handle($0) }
        doors = outcome.servers
        addresses.outcome.withLock { $0 = outcome }
        problems += outcome.problems
        apiAddresses = [outcome.plain, outcome.secure].compactMap { $0 }
        try await server.listen(unix: state.socket)
        api = server
        mkdir(DiscoveryChoice.folder(state), 0o700)
        try await parts.discovery.listen(unix: DiscoveryChoice.socket(state))
        if let plain = discovery.plain { try await parts.discovery.listen(plain) }
        let metrics = HTTPServer { request in
            request.path == "/metrics" && request.method == "GET"
                ? await routes.metrics(request) : .text("only GET /metrics is here\n", status: 404)
        }
        for port in [4191, 0] {
            guard let bound = try? await metrics.listenOnLoopback(port: port) else { continue }
            metricsAddress = "127.0.0.1:\(bound)"
            break
        }
        self.metrics = metrics
    }

    // MARK: End

    /// Asks for the end; may be called from anywhere, again and again.
    nonisolated func requestStop(_ stop: Stop) { stopInput.yield(stop) }

    /// Waits for a request to end, and ends.
    ///
    /// - Parameter released: called when the files are gone, before the API stops to answer.
    func runUntilStopped(_ released: @Sendable () -> Void) async {
        var requests = stops.makeAsyncIterator()
        guard let first = await requests.next() else { return }
        guard !first.leavesPods else {
            await leave()
            return await finish(removesState: false, released)
        }
        var removesState = first.removesState
        let work = Task { await self.stopParts(hurries: first.hurries) }
        let impatience = Task {
            for await further in stops {
                if further.hurries { await self.hurry() }
                if further.removesState { return true }
            }
            return false
        }
        await work.value
        stopInput.finish()
        if await impatience.value { removesState = true }
        await finish(removesState: removesState, released)
    }

    /// Ends what was started, without grace: for a start that failed. What ran before runs on.
    func stopNow() async {
        guard !hasInherited else { return await finish(removesState: false) {} }
        await stopParts(hurries: true)
        await finish(removesState: false) {}
    }

    /// Lets go of everything that runs.
    private func leave() async {
        guard let parts else { return }
        progress.begin()
        log.write("daemon=leaving", ["pods": "\(await parts.agent.podCount)"])
        await parts.manager.shutdown()
        await parts.publisher.stop()
        agentTask?.cancel()
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        tasks = []
    }

    private func hurry() async {
        guard let parts else { return }
        progress.say("hurrying")
        await parts.publisher.stop()
        await parts.supervisor.shutdown(grace: .zero)
        await parts.agent.hurry()
    }

    /// How long pods may run on while the proxy drains.
    private static let drainShare = Duration.seconds(1)

    private func stopParts(hurries: Bool) async {
        guard let parts else { return }
        let count = await parts.agent.podCount
        progress.begin()
        progress.say("stopping \(count) pod\(count == 1 ? "" : "s")")
        log.write("daemon=stopping", ["pods": "\(count)", "hurry": "\(hurries)"])
        await parts.manager.shutdown()
        // The proxy first: it takes no new connections, lets requests end, and nothing is sent to pods that are ending.
        await parts.publisher.stop()
        await parts.names.releaseListeners()
        let draining = Task {
            await parts.supervisor.shutdown(grace: hurries ? .milliseconds(100) : .seconds(10))
            progress.say("the proxy has drained")
        }
        // Connections that never end (a program's to its database) end with their pods: those are not kept waiting for them.
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await draining.value }
            group.addTask { try? await Task.sleep(for: Self.drainShare) }
            await group.next()
            group.cancelAll()
            if !hurries { await parts.agent.shutdown() }
        }
        if hurries { await parts.agent.hurry() }
        progress.say("all pods have ended")
        await draining.value
        agentTask?.cancel()
        await agentTask?.value
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        tasks = []
        await parts.names.shutdown()
    }

    private func finish(removesState: Bool, _ released: @Sendable () -> Void) async {
        await metrics?.shutdown(grace: .zero)
        for door in doors { await door.shutdown(grace: .zero) }
        await parts?.discovery.shutdown()
        await parts?.feed.shutdown()
        await parts?.live.shutdown()
        await parts?.store.shutdown()
        await parts?.images.shutdown()
        log.write("daemon=stopped")
        if removesState {
            StateFiles(state: state).remove()
            progress.say("the state is removed")
        }
        released()
        // The API still answers whoever waits on an open connection; by then nothing is left on the disk.
        unlink(state.socket)
        if removesState { rmdir(state.path) }
        progress.finish()
        await api?.shutdown(grace: .seconds(2))
    }
}
