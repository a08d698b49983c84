import CWeft
import Glibc
import HTTP
import Reactor
import TLS

/// What a stream meets.
protocol DiscoveryStreamOwner: AnyObject {
    /// Requests may be sent.
    func streamOpened(_ stream: DiscoveryStream)
    func streamReceived(_ stream: DiscoveryStream, _ message: [UInt8])
    /// All messages that came together were told of.
    func streamRests(_ stream: DiscoveryStream)
    /// It is over; nothing more is told of it.
    func streamEnded(_ stream: DiscoveryStream, _ reason: String)
}

/// One bidirectional gRPC stream on a connection of its own to a control plane: socket, TLS, HTTP/2, messages.
///
/// Belongs to the main thread's loop. It does not go through a worker: a proxy without a configuration has nothing that could
/// serve it, and requests neither wait for it nor are waited for.
///
/// Safety: the session calls back with a pointer to this object only while the object itself feeds or empties it.
final class DiscoveryStream: EventHandler {
    /// Where and how.
    struct Target {
        var address: Address
        var source: SocketAddress?
        var options: [SocketOption] = []
        var place: NetworkPlace?
        var tls: TLSHolder?
        /// The name that TLS asks for; nil: none.
        var serverName: String?
        /// Text of HTTP/1: what opens the stream.
        var head: [UInt8]
        var connectTimeout: UInt64
    }

    private enum State { case connecting, handshaking, open, closed }

    /// A response that is longer than a configuration file may be is refused.
    static let messageLimit = ConfigurationStore.fileLimit

    private weak var owner: (any DiscoveryStreamOwner)?
    private let target: Target
    private let loop: HandlerLoop
    private let fd: Int32
    private var key: HandlerKey?
    private var state = State.connecting
    private var tls: TLSSession?
    private var wantsWrite = true
    private var output: [UInt8] = []

    private let session: HTTP2Session
    private let shared: HTTP2Shared
    private let box: UnsafeMutablePointer<Unmanaged<DiscoveryStream>?>
    private var stream: Int32 = 0
    private var toSend: [UInt8] = []
    private var frames = MessageFrames(limit: messageLimit)
    private var end: String?
    private var hasHead = false
    private var delivered = 0

    /// Begins to connect; nil when that fails at once.
    init?(_ target: Target, owner: any DiscoveryStreamOwner, loop: HandlerLoop) {
        guard let shared = HTTP2Shared(seed: 1) else { return nil }
        self.owner = owner
        self.target = target
        self.loop = loop
        self.shared = shared
        // The owner's pointer is needed before there is an owner: it is kept in a box.
        box = .allocate(capacity: 1)
        box.initialize(to: nil)
        var settings = HTTP2Settings()
        settings.streamWindow = 1 << 20
        settings.connectionWindow = 1 << 20
        // Answers come as often as the configuration changes: the bounds are meant for strangers.
        settings.maxControlFrames = 1_000_000
        settings.maxWindowUpdatesPerData = 1000
        guard let made = HTTP2Session(.client, settings, events: Self.events, owner: box, shared: shared) else {
            box.deallocate()
            return nil
        }
        session = made
        if case .pipe(let path) = target.address.host {
            // SOCK_STREAM, not waiting.
            fd = cweft_connect_unix(path, 1, 1)
        } else if let address = target.address.socketAddress {
            let from = target.source?.family == address.family ? target.source : nil
            fd = Socket.connect(address, network: target.place?.network ?? .own, from: from, options: target.options)
        } else {
            fd = -1
        }
        box.pointee = Unmanaged.passUnretained(self)
        guard fd >= 0 else { return nil }
        key = try? loop.add(fd, [.read, .write], self)
        guard key != nil else {
            Socket.close(fd)
            return nil
        }
    }

    deinit {
        session.free()
        box.deallocate()
    }

    /// Ends it without a word to the owner.
    func close() {
        guard state != .closed else { return }
        state = .closed
        if let key { loop.remove(key) }
        key = nil
        if let tls {
            tls.end()
            tls.free()
        }
        tls = nil
        Socket.close(fd)
    }

    private func fail(_ reason: String) {
        guard state != .closed else { return }
        close()
        owner?.streamEnded(self, reason)
    }

    // MARK: Messages

    /// Sends a message behind those that wait.
    func send(_ message: [UInt8]) {
        guard state == .open else { return }
        toSend += MessageFrames.frame(message)
        session.resume(stream)
        flush()
    }

    private func begin() {
        state = .open
        let made = target.head.withUnsafeBytes { raw -> Int32? in
            guard let start = raw.baseAddress else { return nil }
            return session.sendRequest(start, raw.count, isHTTPS: target.tls != nil, hasBody: true, user: 1)
        }
        guard let made else { return fail("the stream cannot be begun") }
        stream = made
        flush()
        if state == .open { owner?.streamOpened(self) }
        if state == .open, tls?.hasMore == true { receive() }
    }

    private func deliver() {
        let before = delivered
        defer { if delivered != before { owner?.streamRests(self) } }
        do throws(MessageFrames.Fault) {
            while state == .open, let message = try frames.next() {
                delivered += 1
                owner?.streamReceived(self, message)
            }
        } catch {
            switch error {
            case .compressed: fail("a message is compressed, which was not asked for")
            case .tooLong(let count): fail("a message of \(count) bytes is longer than \(Self.messageLimit)")
            }
        }
    }

    // MARK: The connection

    func ready(_ readiness: Readiness) {
        switch state {
        case .connecting:
            let code = Socket.error(of: fd)
            guard code == 0 else { return fail("cannot connect: \(String(cString: strerror(code)))") }
            connected()
        case .handshaking: handshake()
        case .open:
            if wantsWrite { flush() }
            if state == .open, !readiness.isDisjoint(with: [.read, .hungUp, .failed]) { receive() }
        case .closed: break
        }
    }

    private func connected() {
        guard let holder = target.tls else { return begin() }
        guard let context = holder.context,
            let made = TLSSession(
                context,
                fd: fd,
                name: target.serverName,
                wanted: holder.source.checksName ? target.serverName : nil
            )
        else { return fail("TLS has no certificates yet") }
        tls = made
        state = .handshaking
        handshake()
    }

    private func handshake() {
        guard let tls else { return }
        switch tls.handshake() {
        case .wantsRead: want(write: false)
        case .wantsWrite: want(write: true)
        case .failed: fail("the TLS handshake failed")
        case .done: begin()
        }
    }

    private func want(write: Bool) {
        guard let key, wantsWrite != write else { return }
        wantsWrite = write
        loop.change(key, write ? [.read, .write] : .read)
    }

    private func flush() {
        guard state == .open else { return }
        while true {
            if output.isEmpty { fill() }
            guard !output.isEmpty else { return want(write: false) }
            let count = output.withUnsafeBytes { raw -> Int in
                guard let start = raw.baseAddress else { return 0 }
                return tls?.send(start, raw.count) ?? Socket.send(fd, start, raw.count)
            }
            if count == -Int(EAGAIN) { return want(write: true) }
            guard count > 0 else { return fail("the connection broke") }
            output.removeFirst(count)
        }
    }

    private func fill() {
        withUnsafeTemporaryAllocation(byteCount: HTTP2Session.fillMinimum * 2, alignment: 16) { room in
            guard let start = room.baseAddress else { return }
            let count = session.fill(start, room.count)
            output.append(contentsOf: room[..<count])
        }
    }

    private func receive() {
        var isOpen = true
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { room in
            guard let start = room.baseAddress else { return }
            // A storm of changes lets the others have their turn; what TLS holds inside no event tells of.
            var rounds = 0
            while isOpen, rounds < 4 || tls?.hasMore == true {
                rounds += 1
                let count = tls?.receive(start, room.count) ?? Socket.receive(fd, start, room.count)
                if count == -Int(EAGAIN) { return }
                guard count > 0 else {
                    isOpen = false
                    return
                }
                guard session.feed(start, count, now: cweft_monotonic()) else {
                    end = end ?? "the HTTP/2 session broke"
                    return
                }
                if end != nil { return }
            }
        }
        deliver()
        guard state == .open else { return }
        if let end {
            flush()
            return fail(end)
        }
        guard isOpen else { return fail("the connection was closed") }
        flush()
        if state == .open, session.isOver { fail("the connection was ended") }
    }

    // MARK: Events of the session

    private static func one(_ owner: HTTP2Events.Owner) -> DiscoveryStream? {
        owner.assumingMemoryBound(to: Unmanaged<DiscoveryStream>?.self).pointee?.takeUnretainedValue()
    }

    private static let events = HTTP2Events(
        head: { owner, stream, _ in DiscoveryStream.one(owner)?.headCame(stream) },
        data: { owner, stream, _, bytes, count in DiscoveryStream.one(owner)?.dataCame(stream, bytes, count) },
        ended: { owner, stream, _ in DiscoveryStream.one(owner)?.streamEnded(stream) },
        closed: { owner, stream, _, code in DiscoveryStream.one(owner)?.streamClosed(stream, code) },
        supply: { owner, _, _, limit, flags in DiscoveryStream.one(owner)?.supply(limit, flags) ?? -1 },
        copy: { owner, _, _, memory, count in DiscoveryStream.one(owner)?.copy(memory, count) },
        goAway: { _, _, _ in },
        settings: { _ in },
        pong: { _, _ in }
    )

    /// An answer other than a gRPC stream, or its trailers, end the stream.
    private func headCame(_ number: Int32) {
        let head = session.head
        guard number == stream else { return }
        guard let text = head.text, head.fault == nil else {
            end = "the head of the answer is too large"
            return
        }
        let lines = String(decoding: UnsafeRawBufferPointer(start: text, count: head.count), as: UTF8.self)
            .split(whereSeparator: \.isNewline)
        var fields: [Substring: Substring] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...].drop { $0 == " " }
        }
        if let status = fields["grpc-status"] {
            end =
                "the control plane ended the stream with status \(status.prefix(8)): "
                + String((fields["grpc-message"] ?? "").prefix(200))
        } else if head.kind == .response, !hasHead {
            let line = lines.first.map(String.init) ?? ""
            hasHead = true
            if !line.hasPrefix("HTTP/1.1 200") { end = "the control plane answered \(line.dropFirst(9).prefix(40))" }
        }
    }

    private func dataCame(_ number: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) {
        session.consume(number, count)
        if number == stream { frames.append(UnsafeRawBufferPointer(start: bytes, count: count)) }
    }

    private func streamEnded(_ number: Int32) {
        if number == stream { end = end ?? "the control plane ended the stream" }
    }

    private func streamClosed(_ number: Int32, _ code: UInt32) {
        if number == stream { end = end ?? "the stream was reset with code \(code)" }
    }

    private func supply(_ limit: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
        let count = min(limit, toSend.count)
        flags.pointee = 0
        return count == 0 ? -1 : count
    }

    private func copy(_ memory: UnsafeMutableRawPointer, _ count: Int) {
        toSend.withUnsafeBytes { raw in
            if let start = raw.baseAddress { memory.copyMemory(from: start, byteCount: min(count, raw.count)) }
        }
        toSend.removeFirst(min(count, toSend.count))
    }
}
