import CWeft
import Glibc
import Reactor

/// Gives the workers' listening sockets to a keeper outside this process, and takes over those of the process before it, so
/// that a proxy that is killed loses its open connections only: new ones wait in the kernel's queue for the next proxy.
///
/// Belongs to the main thread's loop; workers have no part in the talk. Without a keeper the proxy does its work as ever.
final class KeeperClient: EventHandler {
    /// A keeper that takes longer than this at the start is done without. Not sooner: sockets that it holds and nobody serves
    /// would get a part of the connections.
    private static let startTime: UInt64 = 3_000_000_000
    private static let reconnectTime: UInt64 = 100

    let vault: ListenerVault
    /// Called when a keeper came (again): all sockets are to be told to `opened`, then `announced` is to be called.
    var onReconnect: () -> Void = {}

    private let path: String
    private let loop: HandlerLoop
    private let log: ProcessLog
    private var channel: DescriptorChannel?
    private var key: HandlerKey?
    private var hasEnded = false
    private var hasClaimed = false

    init(path: String, workerCount: Int, loop: HandlerLoop, log: ProcessLog) {
        self.path = path
        self.loop = loop
        self.log = log
        vault = ListenerVault(workerCount: workerCount)
    }

    /// Fetches what the keeper holds. Waits for it, but not long: before the workers start.
    func start() throws(SystemError) {
        key = try loop.add(-1, [], self)
        let fd: Int32
        do {
            fd = try DescriptorChannel.connect(path)
        } catch {
            log.warning("no keeper of listeners: \(error)")
            retryLater()
            return
        }
        let hello = KeeperMessage.hello(wantsSockets: true).bytes
        guard send(fd, hello, hello.count, Int32(MSG_NOSIGNAL)) == hello.count, fetch(fd) else {
            log.warning("the keeper of listeners at \(path) does not answer")
            Socket.close(fd)
            retryLater()
            return
        }
        use(fd)
    }

    private func fetch(_ fd: Int32) -> Bool {
        let deadline = Instant.read().advanced(byNanoseconds: Self.startTime)
        while true {
            switch DescriptorChannel.receive(fd) {
            case .message(let bytes, let descriptor):
                switch KeeperMessage(bytes) {
                case .held(let listener) where descriptor >= 0: vault.put(listener, descriptor)
                case .heldPath(let path) where descriptor >= 0: vault.put(path, descriptor)
                case .end:
                    if descriptor >= 0 { close(descriptor) }
                    return true
                default: if descriptor >= 0 { close(descriptor) }
                }
            case .end: return false
            case .nothing:
                let now = Instant.read()
                guard now < deadline else { return false }
                var wanted = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
                let left = (deadline.nanoseconds - now.nanoseconds) / 1_000_000 + 1
                poll(&wanted, 1, Int32(clamping: left))
            }
        }
    }

    private func use(_ fd: Int32) {
        guard let made = try? DescriptorChannel(fd, loop: loop) else { return retryLater() }
        made.onEnd = { [weak self] in
            self?.channel = nil
            self?.retryLater()
        }
        channel = made
    }

    private func retryLater() {
        guard !hasEnded, let key else { return }
        loop.setTimer(key, Instant.read().advanced(byMilliseconds: Self.reconnectTime))
    }

    func timerFired() {
        guard !hasEnded, channel == nil else { return }
        guard let fd = try? DescriptorChannel.connect(path) else { return retryLater() }
        use(fd)
        guard let channel else { return }
        channel.send(KeeperMessage.hello(wantsSockets: false).bytes)
        onReconnect()
    }

    func ready(_ readiness: Readiness) {}

    // MARK: What the proxy tells

    /// A worker listens; `fd` is a duplicate that belongs to the client. `name`: the word that the keeper gets with it.
    func opened(_ name: KeeperMessage, _ fd: Int32) {
        guard let channel else {
            close(fd)
            return
        }
        channel.send(name.bytes, fd)
    }

    /// A worker closed the socket with this inode.
    func closed(_ inode: UInt64) { channel?.send(KeeperMessage.drop(inode: inode).bytes) }

    /// All workers use the first configuration: what they did not take is not wanted.
    func configured() {
        guard !hasClaimed else { return }
        hasClaimed = true
        let rest = vault.closeAll()
        if rest > 0 { log.info("kept listeners are no longer configured", ["sockets": "\(rest)"]) }
        channel?.send(KeeperMessage.claimed.bytes)
    }

    /// The proxy serves: whoever waits for it may end the one before it.
    func ready() { channel?.send(KeeperMessage.ready.bytes) }

    /// Every socket was told again.
    func announced() {
        if hasClaimed { channel?.send(KeeperMessage.claimed.bytes) }
    }

    /// The proxy stops listening and goes on for a while: nobody is to wait for it.
    func release() { channel?.send(KeeperMessage.release.bytes) }

    /// The process ends: what the keeper has is for the next one.
    func shutdown() {
        hasEnded = true
        channel?.close()
        channel = nil
    }
}
