import CWeft
import Glibc
import HTTP
import Reactor

/// One connection of the gRPC server: an HTTP/2 session over a socket.
///
/// Safety: every stored property is touched on `LoopThread.shared`'s thread only; tasks reach it by posting there.
final class GRPCConnection: EventHandler, @unchecked Sendable {
    private static let readSize = 64 << 10
    private static let outputSize = 64 << 10

    let fd: Int32
    let number: UInt64
    let core: GRPCCore
    private unowned let loop: HandlerLoop
    private var key: HandlerKey?
    private var session: HTTP2Session?
    private var streams: [Int32: GRPCStream] = [:]
    private var output: [UInt8] = []
    private var sent = 0
    private var isFeeding = false
    private var wasAsked = false
    private var isEnded = false

    init?(fd: Int32, number: UInt64, core: GRPCCore, shared: HTTP2Shared, loop: HandlerLoop) {
        self.fd = fd
        self.number = number
        self.core = core
        self.loop = loop
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = UInt32(clamping: core.limits.calls)
        settings.streamWindow = 256 << 10
        guard let key = try? loop.add(fd, .read, self) else { return nil }
        self.key = key
        let owner = Unmanaged.passUnretained(self).toOpaque()
        session = HTTP2Session(.server, settings, events: Self.events, owner: owner, shared: shared)
        guard session != nil else {
            loop.remove(key)
            return nil
        }
    }

    /// Greets the client. A connection that has ended already is forgotten by the server here.
    func start() {
        rest()
        flush()
    }

    deinit { session?.free() }

    func ready(_ readiness: Readiness) {
        if readiness.contains(.read) { receive() }
        guard !isEnded else { return }
        if readiness.isDisjoint(with: [.failed, .hungUp]) { flush() } else { end() }
    }

    /// Silence for too long: the peer is asked whether it is there, and after as long again it is gone.
    func timerFired() {
        guard !wasAsked else { return end() }
        wasAsked = true
        session?.ping(number)
        setTimer()
        flush()
    }

    private func rest() {
        wasAsked = false
        setTimer()
    }

    private func setTimer() {
        guard let key else { return }
        loop.setTimer(key, Instant.read().advanced(byMilliseconds: core.limits.silenceMilliseconds))
    }

    private func receive() {
        guard let session else { return }
        var chunk = [UInt8](repeating: 0, count: Self.readSize)
        let count = chunk.withUnsafeMutableBytes { bytes -> Int in
            guard let base = bytes.baseAddress else { return 0 }
            return Socket.receive(fd, base, bytes.count)
        }
        if count == -Int(EAGAIN) || count == -Int(EINTR) { return }
        guard count > 0 else { return end() }
        rest()
        isFeeding = true
        _ = chunk.withUnsafeBytes { bytes in
            bytes.baseAddress.map { session.feed($0, count, now: Instant.read().nanoseconds) }
        }
        isFeeding = false
    }

    /// Sends what is due. Within `feed` nothing is done: `ready` does it afterwards.
    func flush() {
        guard !isFeeding, !isEnded, let session else { return }
        while true {
            while sent < output.count {
                let count = output.withUnsafeBytes { bytes -> Int in
                    guard let base = bytes.baseAddress else { return 0 }
                    return Socket.send(fd, base + sent, bytes.count - sent)
                }
                if count == -Int(EINTR) { continue }
                if count == -Int(EAGAIN) { return want([.read, .write]) }
                guard count > 0 else { return end() }
                sent += count
            }
            output.removeAll(keepingCapacity: true)
            sent = 0
            output = [UInt8](unsafeUninitializedCapacity: Self.outputSize) { bytes, count in
                count = bytes.baseAddress.map { session.fill(UnsafeMutableRawPointer($0), Self.outputSize) } ?? 0
            }
            guard !output.isEmpty else { break }
        }
        if session.isOver { return end() }
        want(.read)
    }

    private func want(_ interest: Readiness) {
        if let key { loop.change(key, interest) }
    }

    /// Says good-bye and closes.
    func shutdown() {
        session?.goAway()
        flush()
        end()
    }

    func end() {
        guard !isEnded else { return }
        isEnded = true
        let open = streams.values
        streams = [:]
        for stream in open { stream.ended() }
        if let key { loop.remove(key) }
        key = nil
        Socket.close(fd)
        core.forget(self)
    }

    // MARK: what streams ask for

    func resume(_ stream: Int32) {
        guard !isEnded else { return }
        session?.resume(stream)
        flush()
    }

    func consume(_ stream: Int32, _ count: Int) {
        guard !isEnded, count > 0 else { return }
        session?.consume(stream, count)
        flush()
    }

    // MARK: events of the session

    private func begin(_ number: Int32) {
        guard let session else { return }
        let head = session.head
        guard head.kind == .request, let text = head.text, head.fault == nil,
            let request = Self.request(text, head.count)
        else { return session.reset(number, 1) }
        guard request.method == "POST", request.headers["content-type"]?.hasPrefix("application/grpc") == true else {
            return refuse(number, session)
        }
        let stream = GRPCStream(number, self, limit: core.limits.messageBytes)
        streams[number] = stream
        session.attach(number, 1)
        let answer = Array("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n".utf8)
        let isSent = answer.withUnsafeBytes { bytes in
            bytes.baseAddress.map { session.sendResponse(number, $0, bytes.count, hasBody: true) } ?? false
        }
        guard isSent else { return session.reset(number, 2) }
        stream.start(
            core.handler,
            GRPCCall(path: request.path, metadata: request.headers, connection: self.number, stream: stream)
        )
    }

    private func refuse(_ number: Int32, _ session: HTTP2Session) {
        let answer = Array("HTTP/1.1 415 Unsupported Media Type\r\n\r\n".utf8)
        _ = answer.withUnsafeBytes { bytes in
            bytes.baseAddress.map { session.sendResponse(number, $0, bytes.count, hasBody: false) }
        }
    }

    private static func request(_ text: UnsafeMutableRawPointer, _ count: Int) -> HTTPRequest? {
        var head = RequestHead()
        var fields = FieldTable()
        var limits = HeadLimits()
        limits.bytes = 64 << 10
        guard head.parse(UnsafeRawPointer(text), count: count, limits: limits, fields: &fields) == .complete else {
            return nil
        }
        return MessageReading.request(UnsafeRawPointer(text), head, fields)
    }

    private static func of(_ owner: HTTP2Events.Owner) -> GRPCConnection {
        Unmanaged<GRPCConnection>.fromOpaque(owner).takeUnretainedValue()
    }

    private static let events = HTTP2Events(
        head: { owner, stream, user in
            if user == 0 { GRPCConnection.of(owner).begin(stream) }
        },
        data: { owner, stream, _, bytes, count in
            let connection = GRPCConnection.of(owner)
            guard let found = connection.streams[stream] else {
                connection.session?.consumeConnection(count)
                return
            }
            found.received(UnsafeRawBufferPointer(start: bytes, count: count))
        },
        ended: { owner, stream, _ in GRPCConnection.of(owner).streams[stream]?.inputEnded() },
        closed: { owner, stream, _, _ in
            let connection = GRPCConnection.of(owner)
            connection.streams.removeValue(forKey: stream)?.ended()
        },
        supply: { owner, stream, _, limit, flags in
            let connection = GRPCConnection.of(owner)
            guard let found = connection.streams[stream], let session = connection.session else { return -1 }
            return found.supply(limit, flags, session)
        },
        copy: { owner, stream, _, memory, count in
            GRPCConnection.of(owner).streams[stream]?.copy(to: memory, count)
        },
        goAway: { _, _, _ in },
        settings: { _ in },
        pong: { _, _ in }
    )
}
