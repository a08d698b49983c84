import CWeft
import Glibc
import HTTP
import Reactor
import TLS

/// One connection of the server: reads a request, runs the handler, writes its answer, and again.
///
/// Safety: every stored property is touched on `LoopThread.shared`'s thread only; tasks reach it by posting there.
final class ServerConnection: EventHandler, @unchecked Sendable {
    private enum Phase {
        case handshake
        case head
        case body
        case handling
        /// The connection speaks another protocol.
        case upgraded
    }

    /// Commands stand in the target of `exec`: it may be longer than elsewhere.
    private static let headLimits: HeadLimits = {
        var limits = HeadLimits()
        limits.bytes = 192 << 10
        limits.target = 128 << 10
        return limits
    }()

    /// A stream's writer waits while more than this is unsent.
    private static let highWater = 256 << 10
    private static let readSize = 64 << 10

    private let fd: Int32
    private var origin: RequestOrigin
    private let tls: TLSSession?
    /// Another user's, at a private address: it gets one answer.
    let isStranger: Bool
    private let core: ServerCore
    private unowned let loop: HandlerLoop
    private var key: HandlerKey?

    private var phase = Phase.head
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var request: HTTPRequest?
    private var framing = Framing.none
    private var chunks = ChunkedDecoder()
    private var keepsAlive = true
    private var isHead = false
    private var isVersion10 = false
    private var isChunkedAnswer = false
    private var task: Task<Void, Never>?
    private var writers: [CheckedContinuation<Bool, Never>] = []
    /// Who waits for bytes of an upgraded connection.
    private var upgradedReader: CheckedContinuation<[UInt8]?, Never>?
    private var isEnded = false
    private var peerHasEnded = false
    private var closesWhenSent = false

    init(
        fd: Int32,
        _ origin: RequestOrigin,
        _ tls: TLSSession?,
        isStranger: Bool,
        core: ServerCore,
        loop: HandlerLoop
    ) {
        self.isStranger = isStranger
        self.fd = fd
        self.origin = origin
        self.tls = tls
        if tls != nil { phase = .handshake }
        self.core = core
        self.loop = loop
    }

    /// No request is being read, handled or answered.
    var isIdle: Bool { phase == .handshake || phase == .head && input.isEmpty && sent == output.count }

    func start() -> Bool {
        guard let key = try? loop.add(fd, .read, self) else { return false }
        self.key = key
        setDeadline(core.limits.headMilliseconds)
        return true
    }

    func ready(_ readiness: Readiness) {
        if phase == .handshake { return shakeHands(readiness) }
        if readiness.contains(.write) { flush() }
        guard !isEnded else { return }
        if readiness.contains(.read) { receive() }
        guard !isEnded else { return }
        if !readiness.isDisjoint(with: [.failed, .hungUp]) { end() }
    }

    func timerFired() {
        switch phase {
        case .handshake: end()
        case .head where input.isEmpty: end()
        case .head, .body: refuse(408, "the request did not arrive in time")
        case .handling, .upgraded: break
        }
    }

    private func setDeadline(_ milliseconds: UInt64?) {
        guard let key else { return }
        loop.setTimer(key, milliseconds.map { Instant.read().advanced(byMilliseconds: $0) })
    }

    // MARK: TLS

    private func shakeHands(_ readiness: Readiness) {
        guard let tls, let key else { return end() }
        switch tls.handshake() {
        case .wantsRead:
            guard readiness.isDisjoint(with: [.failed, .hungUp]) else { return end() }
            loop.change(key, .read)
        case .wantsWrite: loop.change(key, .write)
        case .failed: end()
        case .done:
            if let name = tls.peerCommonName, !name.isEmpty {
                origin.certificate = PeerName(name: name, groups: tls.peerOrganizations)
            }
            phase = .head
            loop.change(key, .read)
            // What came with the end of the handshake is inside already.
            receive()
        }
    }

    // MARK: Reading

    private func receive() {
        repeat { receiveOnce() } while !isEnded && tls?.hasMore == true && input.count <= Self.highWater
    }

    private func receiveOnce() {
        var count = 0
        let chunk = [UInt8](unsafeUninitializedCapacity: Self.readSize) { bytes, filled in
            guard let base = bytes.baseAddress else { return }
            count = tls?.receive(base, Self.readSize) ?? Socket.receive(fd, base, Self.readSize)
            filled = max(count, 0)
        }
        if count == -Int(EAGAIN) || count == -Int(EINTR) { return }
        guard count > 0 else { return peerEnded() }
        if input.isEmpty, phase == .head { setDeadline(core.limits.headMilliseconds) }
        input += chunk
        // While one request is handled the next may wait here, but not without bound.
        if isHoldingInput, input.count > Self.highWater { pauseReading() }
        if phase == .upgraded { return deliverUpgraded() }
        advance()
    }

    /// What comes in waits for a task.
    private var isHoldingInput: Bool { phase == .handling || phase == .upgraded }

    private func peerEnded() {
        peerHasEnded = true
        // An answer that is under way is still delivered; a stream has nobody to end it any more.
        if phase == .handling, !isChunkedAnswer, task != nil { return pauseReading() }
        end()
    }

    private func pauseReading() {
        if let key { loop.change(key, interest(reads: false)) }
    }

    private func interest(reads: Bool) -> Readiness {
        var interest: Readiness = reads ? .read : []
        if sent < output.count { interest.insert(.write) }
        return interest
    }

    private func advance() {
        while !isEnded {
            switch phase {
            case .head:
                guard !input.isEmpty, readHead() else { return }
            case .body:
                guard readBody() else { return }
            case .handshake, .handling, .upgraded: return
            }
        }
    }

    /// True when a head was read.
    private func readHead() -> Bool {
        var head = RequestHead()
        var fields = FieldTable()
        var made: HTTPRequest?
        let outcome = input.withUnsafeBytes { bytes -> HeadOutcome in
            guard let base = bytes.baseAddress else { return .incomplete }
            let outcome = head.parse(base, count: bytes.count, limits: Self.headLimits, fields: &fields)
            if outcome == .complete { made = MessageReading.request(base, head, fields) }
            return outcome
        }
        switch outcome {
        case .incomplete: return false
        case .failed(let fault):
            refuse(Int(fault.status), "\(fault.reason)")
            return false
        case .complete: break
        }
        input.removeFirst(head.length)
        guard var made else { return false }
        made.origin = origin
        isHead = head.method == .head
        isVersion10 = head.minorVersion == 0
        keepsAlive = head.keepsAlive && !isStranger
        framing = head.framing
        request = made
        chunks = ChunkedDecoder()
        phase = .body
        setDeadline(core.limits.bodyMilliseconds)
        if case .length(let length) = framing, length > UInt64(core.limits.bodyBytes) {
            refuse(413, "the body is larger than \(core.limits.bodyBytes) bytes")
            return false
        }
        if head.flags.contains(.expectsContinue), framing != .none, input.isEmpty {
            send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
        }
        return true
    }

    /// True when the whole body was read and the handler runs.
    private func readBody() -> Bool {
        switch framing {
        case .none, .untilClose: break
        case .length(let length):
            let missing = Int(length) - (request?.body.count ?? 0)
            let taken = min(missing, input.count)
            request?.body += input[..<taken]
            input.removeFirst(taken)
            guard taken == missing else { return false }
        case .chunked:
            guard readChunks() else { return false }
        }
        handle()
        return true
    }

    private func readChunks() -> Bool {
        do throws(HTTPFault) {
            let step = try MessageReading.decode(&chunks, &input)
            request?.body += input[..<step.data]
            input.removeFirst(step.consumed)
        } catch {
            refuse(Int(error.status), "\(error.reason)")
            return false
        }
        guard (request?.body.count ?? 0) <= core.limits.bodyBytes else {
            refuse(413, "the body is larger than \(core.limits.bodyBytes) bytes")
            return false
        }
        return chunks.isDone
    }

    // MARK: Answering

    private func handle() {
        guard let request else { return }
        self.request = nil
        phase = .handling
        setDeadline(nil)
        let handler = core.handler
        task = Task { [self] in
            let response = await handler(request)
            switch response.body {
            case .bytes(let body):
                LoopThread.shared.post { _ in self.answer(response, body) }
            case .stream(let write):
                LoopThread.shared.post { _ in self.beginStream(response) }
                do {
                    try await write(BodyWriter(connection: self))
                    LoopThread.shared.post { _ in self.endStream() }
                } catch {
                    // The client learns of a failed stream by its missing end.
                    LoopThread.shared.post { _ in self.end() }
                }
            case .upgrade(let speak):
                LoopThread.shared.post { _ in self.beginUpgrade(response) }
                await speak(UpgradedConnection(connection: self))
                LoopThread.shared.post { _ in self.endUpgrade() }
            }
        }
    }

    private func beginUpgrade(_ response: HTTPResponse) {
        guard !isEnded else { return }
        phase = .upgraded
        var text = "HTTP/1.1 101 Switching Protocols\r\n"
        for entry in response.headers.entries where MessageReading.isSafe(entry) {
            text += "\(entry.name): \(entry.value)\r\n"
        }
        send(Array((text + "\r\n").utf8))
        if peerHasEnded { end() }
    }

    private func endUpgrade() {
        task = nil
        guard !isEnded else { return }
        closeWhenSent()
    }

    /// Asks for what the peer of an upgraded connection sends; nil when it has gone. One asks at a time.
    func readUpgraded(_ reader: CheckedContinuation<[UInt8]?, Never>) {
        guard !isEnded, upgradedReader == nil else { return reader.resume(returning: nil) }
        upgradedReader = reader
        deliverUpgraded()
    }

    private func deliverUpgraded() {
        guard !input.isEmpty, let reader = upgradedReader else { return }
        upgradedReader = nil
        let bytes = input
        input = []
        if let key { loop.change(key, interest(reads: true)) }
        reader.resume(returning: bytes)
        if tls?.hasMore == true { receive() }
    }

    private func answer(_ response: HTTPResponse, _ body: [UInt8]) {
        guard !isEnded else { return }
        var bytes = head(response, length: body.count)
        if !isHead { bytes += body }
        send(bytes)
        finishAnswer()
    }

    private func beginStream(_ response: HTTPResponse) {
        guard !isEnded else { return }
        // HTTP/1.0 knows no chunks: the end of the connection ends the body.
        isChunkedAnswer = true
        if isVersion10 { keepsAlive = false }
        send(head(response, length: nil))
        if peerHasEnded { end() }
    }

    private func endStream() {
        guard !isEnded else { return }
        if !isVersion10 { send(Array("0\r\n\r\n".utf8)) }
        isChunkedAnswer = false
        finishAnswer()
    }

    /// Adds a piece of a stream; `ready` is resumed with true when more may come, with false when the client has gone.
    func write(_ bytes: [UInt8], _ ready: CheckedContinuation<Bool, Never>) {
        guard !isEnded else { return ready.resume(returning: false) }
        guard !bytes.isEmpty, !isHead else { return ready.resume(returning: true) }
        if isVersion10 || phase == .upgraded {
            send(bytes)
        } else {
            send(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [13, 10])
        }
        guard !isEnded else { return ready.resume(returning: false) }
        if output.count - sent > Self.highWater {
            writers.append(ready)
        } else {
            ready.resume(returning: true)
        }
    }

    private func head(_ response: HTTPResponse, length: Int?) -> [UInt8] {
        if core.isStopping { keepsAlive = false }
        let status = UInt16(clamping: response.status)
        var text = "HTTP/1.1 \(status) \(StatusText.reason(status))\r\n"
        for entry in response.headers.entries where MessageReading.isSafe(entry) {
            text += "\(entry.name): \(entry.value)\r\n"
        }
        if let length {
            if status >= 200, status != 204 { text += "Content-Length: \(length)\r\n" }
        } else if !isVersion10 {
            text += "Transfer-Encoding: chunked\r\n"
        }
        if !keepsAlive { text += "Connection: close\r\n" } else if isVersion10 { text += "Connection: keep-alive\r\n" }
        return Array((text + "\r\n").utf8)
    }

    private func finishAnswer() {
        task = nil
        guard !isEnded else { return }
        guard keepsAlive, !core.isStopping, !peerHasEnded else { return closeWhenSent() }
        phase = .head
        setDeadline(input.isEmpty ? core.limits.idleMilliseconds : core.limits.headMilliseconds)
        if let key { loop.change(key, interest(reads: true)) }
        advance()
        if !isEnded, tls?.hasMore == true { receive() }
    }

    /// Answers a request that cannot be understood, and ends the connection.
    private func refuse(_ status: Int, _ reason: String) {
        keepsAlive = false
        input = []
        phase = .handling
        setDeadline(nil)
        isHead = false
        let body = Array(
            #"{"kind":"Status","apiVersion":"v1","status":"Failure","code":\#(status),"message":"\#(reason)"}"#.utf8
        )
        answer(HTTPResponse(status: status, headers: ["Content-Type": "application/json"]), body)
    }

    private func closeWhenSent() {
        guard sent < output.count else { return end() }
        closesWhenSent = true
    }

    private func send(_ bytes: [UInt8]) {
        output += bytes
        flush()
    }

    private func flush() {
        while sent < output.count {
            let count = output.withUnsafeBytes { bytes -> Int in
                guard let base = bytes.baseAddress else { return 0 }
                return tls?.send(base + sent, bytes.count - sent) ?? Socket.send(fd, base + sent, bytes.count - sent)
            }
            if count == -Int(EINTR) { continue }
            if count == -Int(EAGAIN) { break }
            guard count > 0 else { return end() }
            sent += count
        }
        if sent == output.count {
            output.removeAll(keepingCapacity: output.capacity <= Self.highWater)
            sent = 0
            if closesWhenSent { return end() }
        } else if sent > Self.highWater {
            output.removeFirst(sent)
            sent = 0
        }
        if let key {
            loop.change(key, interest(reads: !peerHasEnded && !(isHoldingInput && input.count > Self.highWater)))
        }
        if output.count - sent <= Self.highWater { resumeWriters(true) }
    }

    private func resumeWriters(_ isOpen: Bool) {
        let waiting = writers
        writers = []
        for writer in waiting { writer.resume(returning: isOpen) }
    }

    /// Closes the socket; a running handler is cancelled.
    func end() {
        guard !isEnded else { return }
        isEnded = true
        task?.cancel()
        task = nil
        resumeWriters(false)
        upgradedReader?.resume(returning: nil)
        upgradedReader = nil
        if let key { loop.remove(key) }
        tls?.end()
        tls?.free()
        Socket.close(fd)
        core.forget(self)
    }
}

/// Writes the body of a streamed answer.
package struct BodyWriter: Sendable {
    let connection: ServerConnection

    /// Sends some bytes; returns when there is room for more.
    ///
    /// - Throws: `HTTPFailure` `.closed` when the client has gone; `CancellationError` when the task is cancelled.
    package func write(_ bytes: [UInt8]) async throws {
        try Task.checkCancellation()
        let isOpen = await withCheckedContinuation { ready in
            LoopThread.shared.post { _ in connection.write(bytes, ready) }
        }
        guard isOpen else { throw HTTPFailure(.closed, "the client has gone") }
    }

    package func write(_ text: String) async throws { try await write(Array(text.utf8)) }
}

/// A connection that speaks another protocol than HTTP: bytes both ways, bounded both ways.
package struct UpgradedConnection: Sendable {
    let connection: ServerConnection

    /// What the peer sent; nil when it has gone. For one task.
    package func read() async -> [UInt8]? {
        await withCheckedContinuation { reader in
            LoopThread.shared.post { _ in connection.readUpgraded(reader) }
        }
    }

    /// Sends some bytes; returns when there is room for more.
    ///
    /// - Throws: `HTTPFailure` `.closed` when the peer has gone; `CancellationError` when the task is cancelled.
    package func write(_ bytes: [UInt8]) async throws { try await BodyWriter(connection: connection).write(bytes) }
}
