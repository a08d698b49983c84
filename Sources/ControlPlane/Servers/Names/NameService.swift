import CWeft
import Glibc
package import Reactor

/// The process that answers the pods' questions for names, and keeps the proxy's listening sockets. It outlives its daemon and goes on with the names it has; it ends
/// when it is told to, or when there is neither a daemon nor a pod for a while.
///
/// One thread, one loop: everything here belongs to it.
package final class NameService: EventHandler {
    /// Without a daemon and without pods it ends after this time.
    private static let patience: UInt64 = 60_000
    /// The largest table taken.
    private static let largestTable = 64 << 20
    /// Pods served at most.
    private static let mostPods = 4096

    private let loop: HandlerLoop
    private let core: DNSCore
    private var pods = ServedPods()
    private var channels: [ObjectIdentifier: DescriptorChannel] = [:]
    /// Pieces of pods that are not complete.
    private var begun: [String: ServedPods.Pod] = [:]
    private var door: DescriptorDoor?
    private var keeper: ListenerKeeper?
    private var key: HandlerKey?

    /// The descriptor on which a started server finds the listening socket for its daemons.
    package static let door: Int32 = 3
    /// And the one for proxies, whose listening sockets it keeps.
    package static let keeperDoor: Int32 = 4

    /// Serves until it is told to end.
    ///
    /// - Returns: the exit code, 2 when there is no socket at `door`.
    package static func run() -> Int32 {
        guard Socket.isListening(door) else { return 2 }
        nameProcess("weft-names")
        do {
            let service = try NameService(resolvers: nil)
            service.key = try service.loop.add(-1, [], service)
            service.door = try DescriptorDoor(door, loop: service.loop) { [unowned service] in service.take($0) }
            if Socket.isListening(keeperDoor) {
                service.keeper = try ListenerKeeper(keeperDoor, loop: service.loop)
            }
            service.waitForDaemon()
            service.loop.run()
            return 0
        } catch {
            return 1
        }
    }

    private init(resolvers: [SocketAddress]?) throws(SystemError) {
        loop = try HandlerLoop()
        core = DNSCore(resolvers: resolvers)
    }

    private static func nameProcess(_ name: String) {
        let fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
        guard fd >= 0 else { return }
        _ = write(fd, name, name.utf8.count)
        close(fd)
    }

    private func take(_ channel: DescriptorChannel) {
        channels[ObjectIdentifier(channel)] = channel
        waitForDaemon()
        channel.onMessage = { [unowned self, unowned channel] bytes, fd in
            let isKept = NameMessage(bytes).map { obey($0, fd, channel) } ?? false
            if !isKept, fd >= 0 { close(fd) }
        }
        channel.onEnd = { [unowned self, unowned channel] in
            channels[ObjectIdentifier(channel)] = nil
            for pod in begun.values { pod.close() }
            begun = [:]
            waitForDaemon()
        }
    }

    /// True: the descriptor is kept.
    private func obey(_ message: NameMessage, _ fd: Int32, _ channel: DescriptorChannel) -> Bool {
        switch message {
        case .hello: channel.send(NameMessage.welcome(pid: getpid()).bytes)
        case .pod(let id, let piece): return fd >= 0 && take(id, piece, fd)
        case .remove(let id): remove(id)
        case .table:
            if fd >= 0, let table = Self.readTable(fd) { core.table = table }
        case .list:
            pods.send(to: channel)
            channel.send(NameMessage.end.bytes)
        case .end: loop.stop()
        case .release: keeper?.shutdown()
        case .welcome: break
        }
        return false
    }

    private func take(_ id: String, _ piece: NameMessage.Piece, _ fd: Int32) -> Bool {
        guard begun[id] != nil || begun.count + pods.count < Self.mostPods else { return false }
        var pod = begun[id] ?? ServedPods.Pod()
        guard pod.set(piece, fd) else { return false }
        guard pod.isComplete else {
            begun[id] = pod
            return true
        }
        begun[id] = nil
        remove(id)
        pods.add(id, pod, loop) { [unowned self] in remove(id) }
        core.add(id, pod.udp, pod.tcp, loop)
        return true
    }

    private func remove(_ id: String) {
        guard pods.remove(id, loop) else { return }
        core.remove(id)
        waitForDaemon()
    }

    private static func readTable(_ fd: Int32) -> DNSTable? {
        var status = stat()
        guard fstat(fd, &status) == 0, status.st_size > 0, status.st_size <= largestTable else { return nil }
        var bytes = [UInt8](repeating: 0, count: status.st_size)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes { raw in
                pread(fd, raw.baseAddress.map { $0 + done }, raw.count - done, off_t(done))
            }
            guard count > 0 else { return nil }
            done += count
        }
        return DNSTable(encoded: bytes)
    }

    // MARK: The end

    private func waitForDaemon() {
        guard let key else { return }
        keeper?.isAttended = !channels.isEmpty
        let isNeeded = !channels.isEmpty || !pods.isEmpty
        loop.setTimer(key, isNeeded ? nil : Instant.read().advanced(byMilliseconds: Self.patience))
    }

    package func timerFired() {
        if channels.isEmpty && pods.isEmpty { loop.stop() }
    }

    package func ready(_ readiness: Readiness) {}
}

/// Pods with their descriptors, each watched for its end. Belongs to a loop's thread.
struct ServedPods {
    /// A pod's descriptors.
    struct Pod {
        var pid: Int32 = 0
        /// A pidfd of its init.
        var process: Int32 = -1
        var tcp: Int32 = -1
        var udp: Int32 = -1

        var isComplete: Bool { process >= 0 && tcp >= 0 && udp >= 0 }

        /// False: it has that piece already.
        mutating func set(_ piece: NameMessage.Piece, _ fd: Int32) -> Bool {
            switch piece {
            case .process(let number) where process < 0: (pid, process) = (number, fd)
            case .tcp where tcp < 0: tcp = fd
            case .udp where udp < 0: udp = fd
            default: return false
            }
            return true
        }

        func close() {
            for fd in [process, tcp, udp] where fd >= 0 { Glibc.close(fd) }
        }

        /// Sends duplicates of everything.
        func send(_ id: String, to channel: DescriptorChannel) {
            for (piece, fd) in [(NameMessage.Piece.process(pid), process), (.tcp, tcp), (.udp, udp)] {
                let copy = Socket.duplicate(fd)
                if copy >= 0 { channel.send(NameMessage.pod(id: id, piece).bytes, copy) }
            }
        }
    }

    private var entries: [String: (pod: Pod, watch: ProcessWatch)] = [:]

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    subscript(id: String) -> Pod? { entries[id]?.pod }

    /// `onEnd` is called when the pod's init ends. The pod's process descriptor belongs to the row from now on.
    mutating func add(_ id: String, _ pod: Pod, _ loop: HandlerLoop, onEnd: @escaping () -> Void) {
        entries[id] = (pod, ProcessWatch(pod.process, loop: loop, onEnd: onEnd))
    }

    /// Stops watching and closes the process' descriptor; the sockets are the caller's to close. False: no such pod.
    mutating func remove(_ id: String, _ loop: HandlerLoop) -> Bool {
        guard let entry = entries.removeValue(forKey: id) else { return false }
        entry.watch.close()
        return true
    }

    func send(to channel: DescriptorChannel) {
        for (id, entry) in entries { entry.pod.send(id, to: channel) }
    }

    var ids: [String] { Array(entries.keys) }
}

/// Waits for the end of a process by its pidfd, which it owns. Belongs to a loop's thread.
final class ProcessWatch: EventHandler {
    private let fd: Int32
    private unowned let loop: HandlerLoop
    private var key: HandlerKey?
    private let onEnd: () -> Void

    init(_ fd: Int32, loop: HandlerLoop, onEnd: @escaping () -> Void) {
        self.fd = fd
        self.loop = loop
        self.onEnd = onEnd
        key = try? loop.add(fd, .read, self)
    }

    func ready(_ readiness: Readiness) { onEnd() }

    /// No more is heard, and the descriptor is closed.
    func close() {
        if let key { loop.remove(key) }
        key = nil
        Glibc.close(fd)
    }
}
