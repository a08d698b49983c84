import CWeft
import Glibc

/// A connection between two processes of one user that carries messages, each with a descriptor or without
/// (`SOCK_SEQPACKET`, `SCM_RIGHTS`).
///
/// Owned by a `HandlerLoop`'s thread. Sending never blocks: what the socket does not take waits, bounded, and a peer that
/// takes nothing is cut off.
public final class DescriptorChannel: EventHandler {
    /// Bytes of a message; longer ones come cut off.
    public static let largestMessage = 512
    /// Messages that wait for a slow peer.
    public static let mostWaiting = 65_536
    /// Messages taken in one turn of the loop.
    private static let batch = 256

    /// Called with every message; the descriptor, or -1, belongs to the receiver.
    public var onMessage: (_ bytes: [UInt8], _ fd: Int32) -> Void = { _, fd in if fd >= 0 { Glibc.close(fd) } }
    /// Called once when the peer is gone; not after `close`.
    public var onEnd: () -> Void = {}

    private let fd: Int32
    private unowned let loop: HandlerLoop
    private var key: HandlerKey?
    private var waiting: [(bytes: [UInt8], fd: Int32)] = []
    /// Sent ones at the front of `waiting`.
    private var sent = 0

    /// Takes over a connected socket, which is closed with the channel.
    public init(_ fd: Int32, loop: HandlerLoop) throws(SystemError) {
        self.fd = fd
        self.loop = loop
        cweft_set_nonblocking(fd)
        do {
            key = try loop.add(fd, .read, self)
        } catch {
            Glibc.close(fd)
            throw error
        }
    }

    /// Connects to a listening Unix socket and makes sure that a process of this user, or root, made it.
    public static func connect(_ path: String) throws(SystemError) -> Int32 {
        let fd = try SystemError.check(cweft_pod_connect(path, Int32(SOCK_SEQPACKET.rawValue)), "connect to \(path)")
        guard isTrusted(fd) else {
            Glibc.close(fd)
            throw SystemError(code: EPERM, operation: "connect to \(path), which belongs to another user")
        }
        return fd
    }

    /// Whether the process behind a connected Unix socket runs as this user or as root.
    public static func isTrusted(_ fd: Int32) -> Bool {
        var peer = ucred()
        var length = socklen_t(MemoryLayout<ucred>.size)
        guard getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 else { return false }
        return peer.uid == geteuid() || peer.uid == 0
    }

    /// Sends a message. A descriptor belongs to the channel from now on, which closes it when it is sent.
    public func send(_ bytes: [UInt8], _ descriptor: Int32 = -1) {
        guard key != nil, waiting.count - sent < Self.mostWaiting else {
            if descriptor >= 0 { Glibc.close(descriptor) }
            if key != nil { end() }
            return
        }
        waiting.append((bytes, descriptor))
        if waiting.count - sent == 1 { flush() }
    }

    /// Closes the connection; what still waits is lost.
    public func close() {
        guard let key else { return }
        self.key = nil
        loop.remove(key)
        Glibc.close(fd)
        for message in waiting[sent...] where message.fd >= 0 { Glibc.close(message.fd) }
        waiting = []
        sent = 0
    }

    private func end() {
        guard key != nil else { return }
        close()
        onEnd()
    }

    private func flush() {
        guard let key else { return }
        while sent < waiting.count {
            let message = waiting[sent]
            let result = cweft_send_fd(fd, message.bytes, message.bytes.count, message.fd)
            if result == -EINTR { continue }
            if result == -ETOOMANYREFS {
                // The kernel bounds descriptors on their way; the peer has to take some first.
                loop.setTimer(key, loop.now.advanced(byMilliseconds: 10))
                return
            }
            if result == -EAGAIN {
                loop.change(key, [.read, .write])
                return
            }
            guard result >= 0 else { return end() }
            if message.fd >= 0 { Glibc.close(message.fd) }
            sent += 1
        }
        waiting = []
        sent = 0
        loop.change(key, .read)
    }

    public func timerFired() { flush() }

    public func ready(_ readiness: Readiness) {
        if readiness.contains(.write) { flush() }
        guard !readiness.isDisjoint(with: [.read, .failed, .hungUp]) else { return }
        for _ in 0..<Self.batch {
            guard key != nil else { return }
            switch Self.receive(fd) {
            case .message(let bytes, let descriptor): onMessage(bytes, descriptor)
            case .nothing: return
            case .end: return end()
            }
        }
    }

    /// What one look at a socket gave.
    public enum Received {
        case message([UInt8], Int32)
        case nothing, end
    }

    /// Takes one message from a socket.
    public static func receive(_ fd: Int32) -> Received {
        var buffer = [UInt8](repeating: 0, count: largestMessage)
        var descriptor: Int32 = -1
        let count = cweft_receive_fd(fd, &buffer, buffer.count, &descriptor)
        if count == -EAGAIN || count == -EINTR { return .nothing }
        guard count > 0 else {
            if descriptor >= 0 { Glibc.close(descriptor) }
            return .end
        }
        return .message(Array(buffer[..<Int(count)]), descriptor)
    }
}

/// A listening Unix socket on which other processes of this user open `DescriptorChannel`s.
public final class DescriptorDoor: EventHandler {
    private let fd: Int32
    private unowned let loop: HandlerLoop
    private var key: HandlerKey?
    private let onChannel: (DescriptorChannel) -> Void

    /// Takes over a listening socket. `onChannel` is called with every connection of a trusted peer.
    public init(_ fd: Int32, loop: HandlerLoop, onChannel: @escaping (DescriptorChannel) -> Void) throws(SystemError) {
        self.fd = fd
        self.loop = loop
        self.onChannel = onChannel
        do {
            key = try loop.add(fd, .read, self)
        } catch {
            Glibc.close(fd)
            throw error
        }
    }

    /// A listening socket at a path, in place of one that is left over there.
    public static func listen(_ path: String) throws(SystemError) -> Int32 {
        unlink(path)
        return try SystemError.check(
            cweft_listen_unix(path, Int32(SOCK_SEQPACKET.rawValue), 64),
            "listen on \(path)"
        )
    }

    /// Stops listening.
    public func close() {
        guard let key else { return }
        self.key = nil
        loop.remove(key)
        Glibc.close(fd)
    }

    public func ready(_ readiness: Readiness) {
        let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let accepted = accept4(fd, __SOCKADDR_ARG(__sockaddr__: nil), nil, flags)
        guard accepted >= 0 else {
            // Without descriptors the socket stays readable: rest for a moment instead of spinning.
            guard errno == EMFILE || errno == ENFILE, let key else { return }
            loop.change(key, [])
            loop.setTimer(key, loop.now.advanced(byMilliseconds: 100))
            return
        }
        guard DescriptorChannel.isTrusted(accepted) else {
            Glibc.close(accepted)
            return
        }
        if let channel = try? DescriptorChannel(accepted, loop: loop) { onChannel(channel) }
    }

    public func timerFired() {
        if let key { loop.change(key, .read) }
    }
}
