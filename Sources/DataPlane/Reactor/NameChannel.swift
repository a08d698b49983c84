import CCares
import CWeft
import Glibc

/// Asks name servers with c-ares, on a `HandlerLoop`: nothing waits but timers and sockets of the loop.
///
/// `/etc/hosts`, `/etc/resolv.conf` and search domains hold as c-ares reads them. Belongs to the loop's thread.
public final class NameChannel {
    /// Whom to ask, and how.
    public struct Settings: Hashable, Sendable {
        /// None: those of the system. A port 0 is 53.
        public var servers: [SocketAddress] = []
        /// The system's servers are asked, and `servers` only where it has none.
        public var serversAreFallback = false
        public var usesTCP = false
        public var searchesDomains = true
        public var rotates = false
        /// Of the first try; c-ares doubles it from round to round.
        public var timeoutMilliseconds: Int32 = 5000
        public var tries: Int32 = 4

        public init() {}
    }

    public enum Family: Hashable, Sendable { case ipv4, ipv6, both }

    /// What became of a question.
    public enum Answer: Sendable {
        /// In the order of the answer, without repetitions; the shortest time to live in seconds.
        case addresses([SocketAddress], secondsToLive: UInt32)
        /// There is no such name, or it has no address of the family.
        case nothing
        case failed(String)
    }

    /// More addresses of one name are left out.
    public static let addressLimit = 1024

    public let settings: Settings
    private let loop: HandlerLoop
    private var channel: ares_channel?
    private var sockets: [Int32: WatchedSocket] = [:]
    private var timer: NameTimer?
    private var timerKey: HandlerKey?
    /// The servers did not answer: they may have changed since they were read.
    private var isStale = false
    private(set) public var pending = 0

    public init(_ settings: Settings, loop: HandlerLoop) {
        self.settings = settings
        self.loop = loop
    }

    /// Ends all questions; they are answered with `failed`. Not within `complete`.
    public func shutdown() {
        guard let open = channel else { return }
        ares_destroy(open)
        channel = nil
        for socket in sockets.values { loop.remove(socket.key) }
        sockets = [:]
        if let timerKey { loop.remove(timerKey) }
        timerKey = nil
        timer = nil
        // Safety: the reference that `open` took for c-ares, which is gone.
        Unmanaged.passUnretained(self).release()
    }

    /// Asks for the addresses of a name. `complete` is called once, perhaps before this returns.
    public func lookUp(_ name: String, _ family: Family, _ complete: @escaping (Answer) -> Void) {
        if isStale, pending == 0 {
            shutdown()
            isStale = false
        }
        guard let channel = open() else {
            complete(.failed("the resolver cannot be started"))
            return
        }
        pending += 1
        let question = Question(self, complete)
        var hints = ares_addrinfo_hints()
        hints.ai_flags = ARES_AI_NOSORT
        // SOCK_STREAM: each address once.
        hints.ai_socktype = 1
        hints.ai_family =
            switch family {
            case .ipv4: AF_INET
            case .ipv6: AF_INET6
            case .both: AF_UNSPEC
            }
        // Safety: the callback, which comes exactly once for each question, takes this reference over.
        let argument = Unmanaged.passRetained(question).toOpaque()
        ares_getaddrinfo(channel, name, nil, &hints, NameChannel.answered, argument)
        arm()
    }

    private static let answered: ares_addrinfo_callback = { argument, status, _, result in
        guard let argument else { return }
        let question = Unmanaged<Question>.fromOpaque(argument).takeRetainedValue()
        defer { if let result { ares_freeaddrinfo(result) } }
        let answer = NameChannel.answer(status, result)
        if let channel = question.channel {
            channel.pending -= 1
            if status == ARES_ECONNREFUSED || status == ARES_ETIMEOUT { channel.isStale = true }
        }
        question.complete(answer)
    }

    private static func answer(_ status: Int32, _ result: UnsafeMutablePointer<ares_addrinfo>?) -> Answer {
        switch status {
        case ARES_SUCCESS: break
        case ARES_ENOTFOUND, ARES_ENODATA: return .nothing
        default: return .failed(String(cString: ares_strerror(status)))
        }
        var found: [SocketAddress] = []
        var seen: Set<SocketAddress> = []
        var seconds = UInt32.max
        var next = result?.pointee.nodes
        while let node = next {
            next = node.pointee.ai_next
            guard found.count < addressLimit, let address = address(node.pointee), seen.insert(address).inserted else {
                continue
            }
            found.append(address)
            seconds = min(seconds, UInt32(clamping: node.pointee.ai_ttl))
        }
        return found.isEmpty ? .nothing : .addresses(found, secondsToLive: seconds)
    }

    private static func address(_ node: ares_addrinfo_node) -> SocketAddress? {
        guard let place = node.ai_addr else { return nil }
        switch node.ai_family {
        case AF_INET:
            guard node.ai_addrlen >= MemoryLayout<sockaddr_in>.size else { return nil }
            return place.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin_addr) { SocketAddress(bytes: $0, port: 0) }
            }
        case AF_INET6:
            guard node.ai_addrlen >= MemoryLayout<sockaddr_in6>.size else { return nil }
            return place.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin6_addr) { SocketAddress(bytes: $0, port: 0) }
            }
        default: return nil
        }
    }

    // MARK: The channel

    private func open() -> ares_channel? {
        if let channel { return channel }
        // Once for the process; c-ares counts.
        guard ares_library_init(1) == 0 else { return nil }
        var options = ares_options()
        options.flags = (settings.usesTCP ? ARES_FLAG_USEVC : 0) | (settings.searchesDomains ? 0 : ARES_FLAG_NOSEARCH)
        options.timeout = settings.timeoutMilliseconds
        options.tries = settings.tries
        options.sock_state_cb = { argument, fd, wantsRead, wantsWrite in
            guard let argument else { return }
            // Safety: an open channel holds a reference, see below.
            let owner = Unmanaged<NameChannel>.fromOpaque(argument).takeUnretainedValue()
            owner.watch(fd, read: wantsRead != 0, write: wantsWrite != 0)
        }
        options.sock_state_cb_data = Unmanaged.passUnretained(self).toOpaque()
        var mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB
        mask |= settings.rotates ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE
        var made: ares_channel?
        guard ares_init_options(&made, &options, mask) == 0, let made else { return nil }
        if !settings.servers.isEmpty, !settings.serversAreFallback || hasNoServers(made) {
            let list = settings.servers.map { ($0.port == 0 ? $0.with(port: 53) : $0).description }
            guard ares_set_servers_ports_csv(made, list.joined(separator: ",")) == 0 else {
                ares_destroy(made)
                return nil
            }
        }
        channel = made
        // Safety: c-ares calls with this pointer as long as the channel is open; `shutdown` gives the reference back.
        _ = Unmanaged.passRetained(self)
        let waiting = NameTimer(self)
        timer = waiting
        timerKey = try? loop.add(-1, [], waiting)
        return made
    }

    /// Without any in its files, c-ares asks 127.0.0.1.
    private func hasNoServers(_ channel: ares_channel) -> Bool {
        var list: UnsafeMutablePointer<ares_addr_node>?
        guard ares_get_servers(channel, &list) == 0, let list else { return true }
        defer { ares_free_data(list) }
        guard list.pointee.next == nil, list.pointee.family == AF_INET else { return false }
        return UInt32(bigEndian: list.pointee.addr.addr4.s_addr) == 0x7F00_0001
    }

    private func watch(_ fd: Int32, read: Bool, write: Bool) {
        var interest: Readiness = []
        if read { interest.insert(.read) }
        if write { interest.insert(.write) }
        if let known = sockets[fd] {
            guard interest.isEmpty else {
                loop.change(known.key, interest)
                return
            }
            loop.remove(known.key)
            sockets[fd] = nil
        } else if !interest.isEmpty {
            let socket = WatchedSocket(fd, self)
            guard let key = try? loop.add(fd, interest, socket) else { return }
            socket.key = key
            sockets[fd] = socket
        }
    }

    fileprivate func process(_ fd: Int32, _ readiness: Readiness) {
        guard let channel else { return }
        let reads = !readiness.isDisjoint(with: [.read, .failed, .hungUp])
        let writes = !readiness.isDisjoint(with: [.write, .failed])
        ares_process_fd(channel, reads ? fd : ARES_SOCKET_BAD, writes ? fd : ARES_SOCKET_BAD)
        arm()
    }

    fileprivate func processTimeouts() {
        guard let channel else { return }
        ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD)
        arm()
    }

    private func arm() {
        guard let channel, let timerKey else { return }
        var time = timeval()
        guard ares_timeout(channel, nil, &time) != nil else {
            loop.setTimer(timerKey, nil)
            return
        }
        let span = UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(max(0, time.tv_usec)) * 1000
        loop.setTimer(timerKey, Instant.read().advanced(byNanoseconds: span))
    }
}

/// A question on its way.
private final class Question {
    weak var channel: NameChannel?
    let complete: (NameChannel.Answer) -> Void

    init(_ channel: NameChannel, _ complete: @escaping (NameChannel.Answer) -> Void) {
        self.channel = channel
        self.complete = complete
    }
}

/// One of c-ares' sockets.
private final class WatchedSocket: EventHandler {
    let fd: Int32
    weak var channel: NameChannel?
    var key = HandlerKey(index: .max, generation: 0)

    init(_ fd: Int32, _ channel: NameChannel) {
        self.fd = fd
        self.channel = channel
    }

    func ready(_ readiness: Readiness) { channel?.process(fd, readiness) }
}

/// The next moment at which c-ares wants to look at its questions.
private final class NameTimer: EventHandler {
    weak var channel: NameChannel?

    init(_ channel: NameChannel) { self.channel = channel }

    func ready(_ readiness: Readiness) {}
    func timerFired() { channel?.processTimeouts() }
}
