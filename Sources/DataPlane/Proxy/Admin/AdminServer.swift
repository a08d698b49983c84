import CWeft
import Glibc
import HTTP
import Reactor
import Traffic

/// The admin's HTTP server: small requests, one at a time per connection, on the main thread's loop.
final class AdminServer: EventHandler {
    /// Answers a request, now or later, by calling `reply` once.
    typealias Router = (_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) -> Void

    /// Connections at the same time; further ones are closed at once.
    private static let connectionLimit = 64

    private let loop: HandlerLoop
    private let fd: Int32
    private let router: Router
    /// Whether requests must name this host: the port is open to every web page of a browser on the same machine.
    let checksHost: Bool
    /// Where it listens: `127.0.0.1:9901` or a path.
    let display: String
    var isUnix: Bool { pipePath != nil }
    private let pipePath: String?
    private var connections: [ObjectIdentifier: AdminConnection] = [:]
    private var key: HandlerKey?
    var log: AdminLog?

    /// Listens; `sharesPort`: the next proxy's admin may listen on the same port while this one ends.
    init(
        _ address: Address,
        loop: HandlerLoop,
        sharesPort: Bool = false,
        router: @escaping Router
    ) throws(SystemError) {
        self.loop = loop
        self.router = router
        if case .pipe(let path) = address.host {
            fd = try UnixListeners.listen(path, address.mode, 64)
            checksHost = false
            display = path
            pipePath = path
        } else {
            guard let native = address.socketAddress else {
                throw SystemError(code: EINVAL, operation: "admin address")
            }
            fd = try Socket.listen(native, sharesPort: sharesPort)
            let own = Socket.localAddress(fd) ?? native
            checksHost = IPKey(own).isLoopback
            display = own.description
            pipePath = nil
        }
        key = try loop.add(fd, .read, self)
    }

    func shutdown() {
        if let key { loop.remove(key) }
        key = nil
        close(fd)
        if let pipePath { unlink(pipePath) }
        for connection in Array(connections.values) { connection.end() }
    }

    func ready(_ readiness: Readiness) {
        while true {
            var peer = SocketAddress()
            let accepted = Socket.accept(fd, peer: &peer)
            guard accepted >= 0 else { return }
            guard connections.count < Self.connectionLimit,
                let connection = AdminConnection(fd: accepted, peer: peer, loop: loop, server: self)
            else {
                close(accepted)
                continue
            }
            connections[ObjectIdentifier(connection)] = connection
        }
    }

    func forget(_ connection: AdminConnection) { connections[ObjectIdentifier(connection)] = nil }

    func answer(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) {
        guard !checksHost || Self.namesThisHost(request.host) else {
            reply(AdminResponse(status: 403, text: "the Host header must name this machine, e.g. localhost\n"))
            return
        }
        // A page of another site may send requests, too, without reading the answers.
        if let origin = request.origin {
            let host = origin.split(separator: "/", omittingEmptySubsequences: true).dropFirst().first.map(String.init)
            guard let host, Self.namesThisHost(host) else {
                reply(AdminResponse(status: 403, text: "pages of other sites may not ask\n"))
                return
            }
        }
        router(request, reply)
    }

    /// `localhost` or a loopback address, with or without a port.
    static func namesThisHost(_ host: String) -> Bool {
        var name = host[...]
        if let colon = name.lastIndex(of: ":"), !name[colon...].contains("]") { name = name[..<colon] }
        if name.lowercased() == "localhost" { return true }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        guard let address = SocketAddress(String(name), port: 0) else { return false }
        return IPKey(address).isLoopback
    }
}

/// One connection to the admin.
final class AdminConnection: EventHandler {
    private enum State { case reading, waiting, writing, streaming, closed }

    /// Bytes of a request head, and of a body.
    private static let requestLimit = 16 * 1024
    /// An idle connection is closed after this time.
    private static let idleTime: UInt64 = 60_000_000_000

    private let fd: Int32
    private let loop: HandlerLoop
    private unowned let server: AdminServer
    private var key: HandlerKey?
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var written = 0
    private var state = State.reading
    private var keepsAlive = true
    private var lastRequest: AdminRequest?
    private let peer: SocketAddress
    private var stream: AdminStream?
    private var isOld = false

    init?(fd: Int32, peer: SocketAddress, loop: HandlerLoop, server: AdminServer) {
        self.fd = fd
        self.peer = peer
        self.loop = loop
        self.server = server
        guard let added = try? loop.add(fd, .read, self) else { return nil }
        key = added
        loop.setTimer(added, loop.now.advanced(byNanoseconds: Self.idleTime))
    }

    func end() {
        guard state != .closed else { return }
        state = .closed
        if let key { loop.remove(key) }
        key = nil
        close(fd)
        server.forget(self)
        stream?.ended()
        stream = nil
    }

    func timerFired() { end() }

    func ready(_ readiness: Readiness) {
        switch state {
        case .writing: flush()
        case .streaming: streamReady(readiness)
        case .reading, .waiting: readMore()
        case .closed: break
        }
    }

    private func readMore() {
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = chunk.withUnsafeMutableBytes { raw in
            raw.baseAddress.map { Socket.receive(fd, $0, raw.count) } ?? 0
        }
        if count == -Int(EAGAIN) || count == -Int(EINTR) { return }
        guard count > 0, input.count + count <= Self.requestLimit * 2 else {
            end()
            return
        }
        input.append(contentsOf: chunk[..<count])
        if state == .reading { handleInput() }
    }

    private func handleInput() {
        var fields = FieldTable()
        var head = RequestHead()
        var limits = HeadLimits()
        limits.bytes = Self.requestLimit
        let outcome = input.withUnsafeBytes { raw -> HeadOutcome in
            guard let base = raw.baseAddress else { return .incomplete }
            return head.parse(base, count: raw.count, limits: limits, fields: &fields)
        }
        switch outcome {
        case .incomplete: return
        case .failed:
            keepsAlive = false
            send(AdminResponse(status: 400, text: "not a valid HTTP/1.1 request\n"), isHead: false)
        case .complete: handle(head, fields)
        }
    }

    /// The value of a field; of several the first, or all of them one after another with commas between them.
    private func value(of name: String, _ fields: borrowing FieldTable, joins: Bool = false) -> String? {
        var values: [String] = []
        for index in 0..<fields.count {
            let field = fields.fields[index]
            func text(_ start: UInt32, _ length: Int) -> String {
                String(decoding: input[Int(start)..<(Int(start) + length)], as: UTF8.self)
            }
            guard text(field.nameStart, Int(field.nameLength)).lowercased() == name else { continue }
            values.append(text(field.valueStart, Int(field.valueLength)))
            if !joins { break }
        }
        return values.isEmpty ? nil : values.joined(separator: ",")
    }

    private func handle(_ head: RequestHead, _ fields: borrowing FieldTable) {
        var bodyLength = 0
        switch head.framing {
        case .none: break
        case .length(let length) where length <= UInt64(Self.requestLimit): bodyLength = Int(length)
        default:
            keepsAlive = false
            send(AdminResponse(status: 413, text: "the admin takes no request body\n"), isHead: false)
            return
        }
        guard input.count >= head.length + bodyLength else { return }
        func text(_ start: UInt32, _ length: UInt32) -> String {
            String(decoding: input[Int(start)..<Int(start + length)], as: UTF8.self)
        }
        let (path, query) = AdminRequest.parse(target: text(head.pathStart, head.pathLength))
        let request = AdminRequest(
            method: text(head.methodStart, head.methodLength),
            path: path,
            query: query,
            host: text(head.authorityStart, head.authorityLength),
            origin: value(of: "origin", fields),
            accept: value(of: "accept", fields, joins: true),
            body: Array(input[head.length..<(head.length + bodyLength)]),
            access: TapAccess(
                user: server.isUnix ? Self.user(fd) : nil,
                isLocal: !server.isUnix && IPKey(peer).isLoopback,
                authorization: value(of: "authorization", fields)
            )
        )
        lastRequest = request
        input.removeFirst(head.length + bodyLength)
        keepsAlive = head.keepsAlive
        isOld = head.minorVersion == 0
        state = .waiting
        let isHead = head.method == .head
        server.answer(request) { [weak self] response in self?.send(response, isHead: isHead) }
    }

    private func send(_ response: AdminResponse, isHead: Bool) {
        guard state != .closed else { return }
        var head = "HTTP/1.1 \(response.status) \(StatusText.reason(response.status))\r\n"
        head += "content-type: \(response.contentType)\r\n"
        if response.stream == nil {
            head += "content-length: \(response.body.count)\r\n"
        } else if isOld {
            keepsAlive = false
        } else {
            head += "transfer-encoding: chunked\r\n"
        }
        head += "cache-control: no-cache, max-age=0\r\nx-content-type-options: nosniff\r\nserver: weft\r\n"
        for (name, value) in response.headers { head += "\(name): \(value)\r\n" }
        if !keepsAlive { head += "connection: close\r\n" }
        output = Array((head + "\r\n").utf8)
        if !isHead { output += response.body }
        if let request = lastRequest { server.log?.write(request, response, peer: peer) }
        lastRequest = nil
        written = 0
        if let stream = response.stream {
            begin(stream)
            return
        }
        state = .writing
        flush()
    }

    private static func user(_ fd: Int32) -> UInt32? {
        var credentials = ucred()
        var length = socklen_t(MemoryLayout<ucred>.size)
        let code = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length)
        return code == 0 ? credentials.uid : nil
    }

    // MARK: Answers that go on

    private func begin(_ stream: AdminStream) {
        self.stream = stream
        state = .streaming
        stream.send = { [unowned self] in sendPiece($0) }
        stream.endConnection = { [unowned self] in end() }
        if let key { loop.setTimer(key, nil) }
        flushStream()
    }

    /// A consumer says nothing more; when it closes, the answer ends.
    private func streamReady(_ readiness: Readiness) {
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = chunk.withUnsafeMutableBytes { raw in
            raw.baseAddress.map { Socket.receive(fd, $0, raw.count) } ?? 0
        }
        guard count > 0 || count == -Int(EAGAIN) || count == -Int(EINTR) else {
            end()
            return
        }
        flushStream()
    }

    private func sendPiece(_ bytes: [UInt8]) -> Bool {
        guard state == .streaming, output.count - written + bytes.count <= AdminStream.limit else { return false }
        if isOld {
            output += bytes
        } else {
            output += Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0D, 0x0A]
        }
        flushStream()
        return true
    }

    private func flushStream() {
        while written < output.count {
            let count = output.withUnsafeBytes { raw in
                raw.baseAddress.map { Socket.send(fd, $0 + written, raw.count - written) } ?? 0
            }
            if count == -Int(EAGAIN) || count == -Int(EINTR) {
                output.removeFirst(written)
                written = 0
                if let key { loop.change(key, [.read, .write]) }
                return
            }
            guard count > 0 else {
                end()
                return
            }
            written += count
        }
        output = []
        written = 0
        if let key { loop.change(key, .read) }
    }

    private func flush() {
        while written < output.count {
            let count = output.withUnsafeBytes { raw in
                raw.baseAddress.map { Socket.send(fd, $0 + written, raw.count - written) } ?? 0
            }
            if count == -Int(EAGAIN) || count == -Int(EINTR) {
                if let key { loop.change(key, .write) }
                return
            }
            guard count > 0 else {
                end()
                return
            }
            written += count
        }
        output = []
        guard keepsAlive, let key else {
            end()
            return
        }
        state = .reading
        loop.change(key, .read)
        loop.setTimer(key, loop.now.advanced(byNanoseconds: Self.idleTime))
        if !input.isEmpty { handleInput() }
    }
}
