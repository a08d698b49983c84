import CWeft
import Glibc
package import Reactor

/// Answers the pods' questions for names, on sockets that were made inside the pods.
///
/// Sockets live on `LoopThread.shared`. Names outside the zone go to the machine's own resolvers.
package final class DNSServer: Sendable {
    private let core: DNSCore

    /// Answers from an empty table at first. Questions for other names go to `resolvers`, nil: those of the machine.
    package init(resolvers: [SocketAddress]? = nil) {
        core = DNSCore(resolvers: resolvers)
    }

    /// Replaces all names at once.
    package func replace(_ table: DNSTable) {
        let core = core
        LoopThread.shared.post { _ in core.table = table }
    }

    /// Serves a pair of bound sockets; they belong to the server from now on. An older pair of the same id is closed.
    ///
    /// - Parameters:
    ///   - id: names the pair for `remove`.
    ///   - udp: a bound datagram socket.
    ///   - tcp: a listening socket, or -1.
    package func add(_ id: String, udp: Int32, tcp: Int32) {
        let core = core
        LoopThread.shared.post { loop in core.add(id, udp, tcp, loop) }
    }

    /// Closes a pair of sockets.
    package func remove(_ id: String) {
        let core = core
        LoopThread.shared.post { _ in core.remove(id) }
    }

    /// Closes everything.
    package func shutdown() async {
        let core = core
        await LoopThread.shared.run { _ in core.removeAll() }
    }
}

/// The state of a server on its loop.
///
/// Safety: every stored property is touched on the thread of one loop only.
final class DNSCore: @unchecked Sendable {
    var table = DNSTable()
    let forwarder: DNSForwarder
    private var endpoints: [String: [DNSEndpoint]] = [:]

    /// - Parameter resolvers: nil = those of the machine, read again when they change.
    init(resolvers: [SocketAddress]?) { forwarder = DNSForwarder(resolvers: resolvers) }

    func add(_ id: String, _ udp: Int32, _ tcp: Int32, _ loop: HandlerLoop) {
        remove(id)
        var made: [DNSEndpoint] = []
        if udp >= 0 { made.append(DNSDatagrams(fd: udp, core: self, loop: loop)) }
        if tcp >= 0 { made.append(DNSListener(fd: tcp, core: self, loop: loop)) }
        for endpoint in made { endpoint.start() }
        endpoints[id] = made
    }

    func remove(_ id: String) {
        for endpoint in endpoints.removeValue(forKey: id) ?? [] { endpoint.end() }
    }

    func removeAll() {
        for id in Array(endpoints.keys) { remove(id) }
    }

    /// Answers a question now or, for names elsewhere, later.
    func answer(_ bytes: [UInt8], overTCP: Bool, _ loop: HandlerLoop, _ reply: @escaping ([UInt8]) -> Void) {
        do throws(DNSQuery.Fault) {
            let query = try DNSQuery(bytes)
            let limit = overTCP ? 65_535 : query.payloadSize
            let answer = table.answer(query.name, type: query.type)
            if case .alias(let target, []) = answer, let elsewhere = table.question(behind: query, target) {
                return follow(query, target, elsewhere, overTCP: overTCP, limit: limit, loop, reply)
            }
            guard answer == .elsewhere else { return reply(DNSWriter.answer(query, answer, limit: limit)) }
            forwarder.forward(query, bytes, overTCP: overTCP, loop) { found in
                guard let found, found.count <= limit else {
                    let failed = DNSWriter.answer(query, .failure, limit: limit)
                    return reply(found == nil ? failed : DNSForwarder.truncated(query))
                }
                reply(found)
            }
        } catch {
            switch error {
            case .unanswerable: break
            case .formatError(let id): reply(DNSWriter.failure(id: id, code: 1))
            case .notImplemented(let id): reply(DNSWriter.failure(id: id, code: 4))
            }
        }
    }
}

extension DNSCore {
    /// Asks the machine's resolvers for the name behind an alias, and answers with both.
    private func follow(
        _ query: DNSQuery,
        _ target: String,
        _ question: [UInt8],
        overTCP: Bool,
        limit: Int,
        _ loop: HandlerLoop,
        _ reply: @escaping ([UInt8]) -> Void
    ) {
        guard let behind = try? DNSQuery(question) else {
            return reply(DNSWriter.answer(query, .failure, limit: limit))
        }
        forwarder.forward(behind, question, overTCP: overTCP, loop) { found in
            guard let found else { return reply(DNSWriter.answer(query, .failure, limit: limit)) }
            // What does not fit over UDP is asked for again over TCP.
            if !overTCP, found.count > 2, found[2] & 0x02 != 0 { return reply(DNSForwarder.truncated(query)) }
            let records = DNSReply.addresses(in: found, type: query.type)
            reply(DNSWriter.answer(query, .alias(target: target, records: records), limit: limit))
        }
    }
}

/// A socket of the server.
class DNSEndpoint {
    let fd: Int32
    let core: DNSCore
    unowned let loop: HandlerLoop
    var key: HandlerKey?

    init(fd: Int32, core: DNSCore, loop: HandlerLoop) {
        self.fd = fd
        self.core = core
        self.loop = loop
        cweft_set_nonblocking(fd)
    }

    func start() {}

    func end() {
        guard let key else { return }
        self.key = nil
        loop.remove(key)
        close(fd)
    }
}

/// Questions over UDP.
final class DNSDatagrams: DNSEndpoint, EventHandler {
    /// Questions taken in one turn.
    private static let batch = 32
    /// A question of this socket was answered by this process.
    private var isProven = false

    override func start() { key = try? loop.add(fd, .read, self) }

    func ready(_ readiness: Readiness) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<Self.batch {
            var peer = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            // A question leaves the socket after it is answered: a process that is killed in between loses none, the next
            // one answers it (again). Not the first: should one ever end the process, it must not meet the next as well.
            let flags = isProven ? Int32(MSG_PEEK) : 0
            let count = withUnsafeMutablePointer(to: &peer) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(fd, &buffer, buffer.count, flags, __SOCKADDR_ARG(__sockaddr__: $0), &length)
                }
            }
            guard count >= 0 else { return }
            core.answer(Array(buffer[..<count]), overTCP: false, loop) { [weak self] answer in
                self?.send(answer, peer, length)
            }
            if isProven { recv(fd, &buffer, 1, 0) }
            isProven = true
        }
    }

    private func send(_ answer: [UInt8], _ peer: sockaddr_storage, _ length: socklen_t) {
        guard key != nil else { return }
        var peer = peer
        withUnsafePointer(to: &peer) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                // A full socket buffer drops the answer, as the network might; the client asks again.
                _ = sendto(fd, answer, answer.count, 0, __CONST_SOCKADDR_ARG(__sockaddr__: $0), length)
            }
        }
    }
}

/// Accepts questions over TCP.
final class DNSListener: DNSEndpoint, EventHandler {
    /// Open connections of one pod.
    private static let mostConnections = 32
    private var connections: [ObjectIdentifier: DNSConnection] = [:]

    override func start() { key = try? loop.add(fd, .read, self) }

    override func end() {
        super.end()
        for connection in connections.values { connection.end() }
    }

    func ready(_ readiness: Readiness) {
        let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let accepted = accept4(fd, __SOCKADDR_ARG(__sockaddr__: nil), nil, flags)
        guard accepted >= 0 else {
            // Out of descriptors: the level-triggered readiness would spin, so pause for a moment.
            if errno == EMFILE || errno == ENFILE, let key {
                loop.change(key, [])
                loop.setTimer(key, loop.now.advanced(byMilliseconds: 100))
            }
            return
        }
        guard connections.count < Self.mostConnections else {
            close(accepted)
            return
        }
        let connection = DNSConnection(fd: accepted, core: core, loop: loop)
        connection.onEnd = { [weak self] in self?.connections[ObjectIdentifier($0)] = nil }
        connections[ObjectIdentifier(connection)] = connection
        connection.start()
    }

    func timerFired() {
        if let key { loop.change(key, .read) }
    }
}

/// One connection over TCP: questions and answers behind a length of two bytes (RFC 7766).
final class DNSConnection: DNSEndpoint, EventHandler {
    /// A connection may rest that long (RFC 7766 section 6.2.3 asks for seconds).
    private static let idleMilliseconds: UInt64 = 5000
    private static let mostUnsent = 256 << 10

    var onEnd: ((DNSConnection) -> Void)?
    private var input: [UInt8] = []
    private var output: [UInt8] = []

    override func start() {
        key = try? loop.add(fd, .read, self)
        guard let key else {
            close(fd)
            onEnd?(self)
            return
        }
        loop.setTimer(key, loop.now.advanced(byMilliseconds: Self.idleMilliseconds))
    }

    override func end() {
        guard key != nil else { return }
        super.end()
        onEnd?(self)
    }

    func timerFired() { end() }

    func ready(_ readiness: Readiness) {
        if readiness.contains(.write) { flush() }
        guard key != nil, !readiness.isDisjoint(with: [.read, .failed, .hungUp]) else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(fd, &buffer, buffer.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return end() }
        input += buffer[..<count]
        while input.count >= 2 {
            let length = Int(input[0]) << 8 | Int(input[1])
            guard input.count >= 2 + length else { break }
            let question = Array(input[2..<2 + length])
            input.removeFirst(2 + length)
            core.answer(question, overTCP: true, loop) { [weak self] answer in self?.send(answer) }
        }
        if let key { loop.setTimer(key, loop.now.advanced(byMilliseconds: Self.idleMilliseconds)) }
    }

    private func send(_ answer: [UInt8]) {
        guard key != nil else { return }
        let length = UInt16(clamping: answer.count)
        output += [UInt8(length >> 8), UInt8(length & 0xFF)] + answer
        guard output.count <= Self.mostUnsent else { return end() }
        flush()
    }

    private func flush() {
        guard let key, !output.isEmpty else { return }
        let count = Glibc.send(fd, output, output.count, Int32(MSG_NOSIGNAL))
        if count < 0, errno != EAGAIN, errno != EINTR { return end() }
        if count > 0 { output.removeFirst(count) }
        loop.change(key, output.isEmpty ? .read : [.read, .write])
    }
}
