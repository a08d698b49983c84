import CWeft
import Glibc
package import Reactor

/// The daemon's side of the server of names: gives it names and sockets, starts it again when it dies, and takes over the one
/// that a daemon before had started.
///
/// It keeps duplicates of all sockets, so that a question that comes while there is no server waits in its socket.
package final class NameKeeper: Sendable {
    /// How to start the server.
    package struct Settings: Sendable {
        /// Holds its socket (`sock`), its pid (`pid`) and its words (`log`).
        package var directory: String
        package var program = "/proc/self/exe"
        /// The whole command line; its last words name the directory, so that the process can be known by them.
        package var arguments: [String]
        /// Where the proxy brings its listening sockets; nil: nobody keeps them.
        package var listenerSocket: String?

        package init(directory: String, arguments: [String], listenerSocket: String? = nil) {
            self.directory = directory
            self.arguments = arguments
            self.listenerSocket = listenerSocket
        }

        var socket: String { "\(directory)/sock" }
        var pidFile: String { "\(directory)/pid" }
    }

    private let core: NameKeeperCore

    /// Nothing runs before `start`. `log` is called with what happens to the server.
    package init(_ settings: Settings, log: @escaping @Sendable (String) -> Void) {
        core = NameKeeperCore(settings, log)
    }

    /// Takes over a server that runs, or starts one.
    ///
    /// - Throws: when its directory or socket cannot be made.
    package func start() async throws(SystemError) {
        let core = core
        try await LoopThread.shared.run { loop throws(SystemError) in try core.start(loop) }
    }

    /// Replaces all names at once.
    package func replace(_ table: DNSTable) {
        let core = core
        LoopThread.shared.post { _ in core.replace(table) }
    }

    /// Serves a pod's bound datagram socket and its listening one; they belong to the keeper from now on. Older ones of the
    /// same id are closed. All are let go of when the pod's init, `process`, ends.
    package func add(_ id: String, process: Int32, udp: Int32, tcp: Int32) {
        let core = core
        LoopThread.shared.post { loop in core.add(id, process, udp, tcp, loop) }
    }

    /// Whether the sockets of a pod with this init are served.
    package func isServing(_ id: String, process: Int32) async -> Bool {
        let core = core
        return await LoopThread.shared.run { _ in core.pods[id]?.pid == process }
    }

    /// Closes a pod's sockets.
    package func remove(_ id: String) {
        let core = core
        LoopThread.shared.post { loop in core.remove(id, loop) }
    }

    /// Has the proxy's listening sockets closed: it is about to end for good.
    package func releaseListeners() async {
        let core = core
        await LoopThread.shared.run { _ in core.releaseListeners() }
    }

    /// Ends the server and closes everything. Returns when its process is gone.
    package func shutdown() async {
        let core = core
        await withCheckedContinuation { continuation in
            LoopThread.shared.post { loop in core.shutdown(loop) { continuation.resume() } }
        }
    }

    /// Ends a server whose daemon is dead, and waits for its end.
    package static func sweep(_ settings: Settings) async {
        NameProcess.sweep(settings)
    }
}

/// Safety: every stored property is touched on `LoopThread.shared`'s thread only.
final class NameKeeperCore: @unchecked Sendable {
    private static let longestBackOff: UInt64 = 5000
    /// A server that lived this long was well: its death is answered at once.
    private static let wellAfter: UInt64 = 1_000_000_000
    /// Time to end by itself.
    private static let endTime: UInt64 = 1000

    private let settings: NameKeeper.Settings
    private let log: @Sendable (String) -> Void
    private(set) var pods = ServedPods()
    private var table = DNSTable()
    private var hasTable = false
    private var channel: DescriptorChannel?
    private var process: NameProcess?
    private var watch: ProcessWatch?
    private var timer: NameTimer?
    private var begunAt = Instant.distantFuture
    private var backOff: UInt64 = 0
    private var isStopping = false
    private var onStopped: (() -> Void)?

    init(_ settings: NameKeeper.Settings, _ log: @escaping @Sendable (String) -> Void) {
        self.settings = settings
        self.log = log
    }

    // MARK: The process

    func start(_ loop: HandlerLoop) throws(SystemError) {
        guard mkdir(settings.directory, 0o700) == 0 || errno == EEXIST else {
            throw SystemError(code: cweft_errno(), operation: "make \(settings.directory)")
        }
        timer = try NameTimer(loop) { [unowned self, unowned loop] in timeIsUp(loop) }
        if let found = NameProcess.find(settings) {
            for (id, pod) in found.pods { keep(id, pod, loop) }
            if found.process.isOfThisProgram {
                log("adopted pid=\(found.process.pid) pods=\(found.pods.count)")
                use(found.process, found.channel, loop)
                return
            }
            close(found.channel)
            found.process.end()
            log("replaced pid=\(found.process.pid): another program")
        } else {
            NameProcess.sweep(settings)
        }
        launch(loop)
    }

    private func launch(_ loop: HandlerLoop) {
        do {
            let (made, fd) = try NameProcess.launch(settings)
            log("started pid=\(made.pid)")
            use(made, fd, loop)
            if hasTable { sendTable() }
            if let channel { pods.send(to: channel) }
        } catch {
            log("failed error=\"\(error)\"")
            again()
        }
    }

    private func use(_ process: NameProcess, _ fd: Int32, _ loop: HandlerLoop) {
        self.process = process
        begunAt = Instant.read()
        watch = ProcessWatch(process.pidfd, loop: loop) { [unowned self, unowned loop] in ended(loop) }
        guard let made = try? DescriptorChannel(fd, loop: loop) else {
            process.kill()
            return
        }
        // The end of the connection alone would leave a process that hears nobody.
        made.onEnd = { [unowned self] in self.process?.kill() }
        channel = made
    }

    private func ended(_ loop: HandlerLoop) {
        guard let old = process else { return }
        let end = old.reap()
        watch?.close()
        channel?.close()
        (process, watch, channel) = (nil, nil, nil)
        guard !isStopping else { return stopped(loop) }
        log("ended pid=\(old.pid) status=\"\(end)\"")
        if Instant.read().nanoseconds - begunAt.nanoseconds >= Self.wellAfter { backOff = 0 }
        backOff == 0 ? launchAfterDeath(loop) : again()
    }

    private func launchAfterDeath(_ loop: HandlerLoop) {
        backOff = 100
        launch(loop)
    }

    private func again() {
        timer?.set(after: max(100, backOff))
        backOff = min(max(100, backOff * 2), Self.longestBackOff)
    }

    private func timeIsUp(_ loop: HandlerLoop) {
        if isStopping { process?.kill() } else if process == nil { launch(loop) }
    }

    func releaseListeners() { channel?.send(NameMessage.release.bytes) }

    func shutdown(_ loop: HandlerLoop, _ done: @escaping () -> Void) {
        isStopping = true
        onStopped = done
        for id in pods.ids { remove(id, loop) }
        guard process != nil else { return stopped(loop) }
        channel?.send(NameMessage.end.bytes)
        timer?.set(after: Self.endTime)
    }

    private func stopped(_ loop: HandlerLoop) {
        timer?.close()
        timer = nil
        unlink(settings.pidFile)
        unlink(settings.socket)
        if let path = settings.listenerSocket { unlink(path) }
        onStopped?()
        onStopped = nil
    }

    // MARK: What it serves

    func replace(_ table: DNSTable) {
        guard !hasTable || table != self.table else { return }
        self.table = table
        hasTable = true
        sendTable()
    }

    private func sendTable() {
        guard let channel else { return }
        let bytes = table.encoded
        let fd = memfd_create("weft-names", UInt32(MFD_CLOEXEC))
        var done = 0
        while fd >= 0, done < bytes.count {
            let count = bytes.withUnsafeBytes { raw in write(fd, raw.baseAddress.map { $0 + done }, raw.count - done) }
            guard count > 0 else { break }
            done += count
        }
        guard done == bytes.count else {
            log("failed error=\"no memory for the names: \(SystemError.text(errno))\"")
            if fd >= 0 { close(fd) }
            return
        }
        channel.send(NameMessage.table.bytes, fd)
    }

    func add(_ id: String, _ pid: Int32, _ udp: Int32, _ tcp: Int32, _ loop: HandlerLoop) {
        let process = cweft_pidfd_open(pid)
        let pod = ServedPods.Pod(pid: pid, process: process, tcp: tcp, udp: udp)
        guard pod.isComplete, !isStopping else {
            pod.close()
            // Else the pod has ended already.
            if process < 0, process != -ESRCH {
                log("failed error=\"names are not answered in pod \(id): \(SystemError.text(-process))\"")
            }
            return
        }
        keep(id, pod, loop)
        if let channel { pod.send(id, to: channel) }
    }

    private func keep(_ id: String, _ pod: ServedPods.Pod, _ loop: HandlerLoop) {
        forget(id, loop)
        pods.add(id, pod, loop) { [unowned self, unowned loop] in remove(id, loop) }
    }

    func remove(_ id: String, _ loop: HandlerLoop) {
        guard forget(id, loop) else { return }
        channel?.send(NameMessage.remove(id: id).bytes)
    }

    @discardableResult
    private func forget(_ id: String, _ loop: HandlerLoop) -> Bool {
        guard let pod = pods[id], pods.remove(id, loop) else { return false }
        close(pod.udp)
        close(pod.tcp)
        return true
    }
}

/// One timer of a loop. Belongs to the loop's thread.
private final class NameTimer: EventHandler {
    private unowned let loop: HandlerLoop
    private let onTime: () -> Void
    private var key: HandlerKey?

    init(_ loop: HandlerLoop, onTime: @escaping () -> Void) throws(SystemError) {
        self.loop = loop
        self.onTime = onTime
        key = try loop.add(-1, [], self)
    }

    func set(after milliseconds: UInt64) {
        if let key { loop.setTimer(key, Instant.read().advanced(byMilliseconds: milliseconds)) }
    }

    func close() {
        if let key { loop.remove(key) }
        key = nil
    }

    func ready(_ readiness: Readiness) {}
    func timerFired() { onTime() }
}
