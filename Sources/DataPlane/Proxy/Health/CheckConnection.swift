import CWeft
import Glibc
import Reactor
import TLS

/// A connection of a check: socket, TLS, bytes. What it meets it tells its check.
///
/// Belongs to the monitor's loop.
final class CheckConnection: EventHandler {
    private enum State { case connecting, handshaking, open, closed }

    private weak var check: EndpointCheck?
    private let loop: HandlerLoop
    private let fd: Int32
    private var key: HandlerKey?
    private var state = State.connecting
    private var tls: TLSSession?
    private let holder: TLSHolder?
    private let serverName: String?
    private let introduction: ProxyIntroduction.Version?
    private var output: [UInt8] = []
    private var wantsWrite = true

    /// Begins to connect; nil when that fails at once.
    init?(
        _ check: EndpointCheck,
        _ target: CheckTarget,
        place: NetworkPlace?,
        source: SocketAddress?,
        tls holder: TLSHolder?,
        introduction: ProxyIntroduction.Version?,
        loop: HandlerLoop
    ) {
        self.check = check
        self.loop = loop
        self.holder = holder
        self.introduction = introduction
        let name = holder?.source.usesHostName ?? false ? target.serverName ?? "" : holder?.source.name ?? ""
        serverName = name.isEmpty ? nil : name
        if case .pipe(let path) = target.address.host {
            // SOCK_STREAM, not waiting.
            fd = cweft_connect_unix(path, 1, 1)
        } else if let address = target.address.socketAddress {
            let from = source?.family == address.family ? source : nil
            fd = Socket.connect(address, network: place?.network ?? .own, from: from)
        } else {
            fd = -1
        }
        guard fd >= 0 else { return nil }
        key = try? loop.add(fd, [.read, .write], self)
        guard key != nil else {
            Socket.close(fd)
            return nil
        }
    }

    var isOpen: Bool { state == .open }

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

    func send(_ bytes: [UInt8]) {
        output += bytes
        flush()
    }

    func ready(_ readiness: Readiness) {
        switch state {
        case .connecting:
            guard Socket.error(of: fd) == 0 else { return fail() }
            guard introduce() else { return fail() }
            guard let holder else { return opened() }
            guard let context = holder.context,
                let session = TLSSession(
                    context,
                    fd: fd,
                    name: serverName,
                    wanted: holder.source.checksName ? serverName : nil
                )
            else { return fail() }
            tls = session
            state = .handshaking
            handshake()
        case .handshaking: handshake()
        case .open:
            if wantsWrite { flush() }
            if state == .open, !readiness.isDisjoint(with: [.read, .hungUp, .failed]) { receive() }
        case .closed: break
        }
    }

    /// A check speaks for nobody: the header says so.
    private func introduce() -> Bool {
        let bytes: [UInt8]
        switch introduction {
        case nil: return true
        case .text: bytes = Array("PROXY UNKNOWN\r\n".utf8)
        case .binary: bytes = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10, 0x20, 0, 0, 0]
        }
        // The first bytes of a connection always fit.
        return bytes.withUnsafeBytes { raw in
            guard let start = raw.baseAddress else { return false }
            return Socket.send(fd, start, raw.count) == raw.count
        }
    }

    private func handshake() {
        guard let tls else { return }
        switch tls.handshake() {
        case .wantsRead: want(write: false)
        case .wantsWrite: want(write: true)
        case .failed: fail()
        case .done:
            opened()
            if state == .open, self.tls?.hasMore == true { receive() }
        }
    }

    private func opened() {
        state = .open
        want(write: false)
        check?.connected(self)
    }

    private func want(write: Bool) {
        guard let key else { return }
        wantsWrite = write
        loop.change(key, write ? [.read, .write] : .read)
    }

    private func flush() {
        guard state == .open else { return }
        while !output.isEmpty {
            let count = output.withUnsafeBytes { raw -> Int in
                guard let start = raw.baseAddress else { return 0 }
                return tls?.send(start, raw.count) ?? Socket.send(fd, start, raw.count)
            }
            if count == -Int(EAGAIN) { return want(write: true) }
            guard count > 0 else { return fail() }
            output.removeFirst(count)
        }
        if wantsWrite { want(write: false) }
    }

    private func receive() {
        var chunk = [UInt8](repeating: 0, count: 16_384)
        // A flood of bytes lets the others have their turn.
        for _ in 0..<16 {
            let count = chunk.withUnsafeMutableBytes { raw -> Int in
                guard let start = raw.baseAddress else { return 0 }
                return tls?.receive(start, raw.count) ?? Socket.receive(fd, start, raw.count)
            }
            if count == -Int(EAGAIN) { return }
            guard count > 0 else {
                check?.ended(self)
                return
            }
            check?.received(self, Array(chunk[..<count]))
            guard state == .open else { return }
        }
    }

    private func fail() { check?.ended(self) }
}
