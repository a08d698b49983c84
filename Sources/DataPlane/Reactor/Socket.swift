import CWeft
import Glibc

/// Non-blocking sockets. Calls on the hot path answer a count or `-errno`; those at start-up throw.
public enum Socket {
    /// The queue of connections that wait for `accept`; the kernel cuts it to `net.core.somaxconn`.
    public static let backlog: Int32 = 4096

    /// Where a socket is made: this process's network, an open namespace file, or a broker inside one.
    public enum Network: Sendable {
        case own
        case namespace(Int32)
        case broker(String)
    }

    /// A listening TCP socket. With `sharesPort` several sockets may have one address; the kernel spreads connections.
    public static func listen(
        _ address: SocketAddress,
        sharesPort: Bool = false,
        backlog: Int32 = Socket.backlog,
        options: [SocketOption] = [],
        network: Network = .own
    ) throws(SystemError) -> Int32 {
        let domain = address.isIPv6 ? AF_INET6 : AF_INET
        let fd = try SystemError.check(make(domain, network), "make a socket for \(address)")
        do throws(SystemError) {
            try set(options, .prebind, on: fd)
            var native = address.native
            let flags = sharesPort ? Int32(CWEFT_REUSEPORT.rawValue) : 0
            try SystemError.check(cweft_bind_listener(fd, &native, flags), "listen on \(address)")
            try set(options, .bound, on: fd)
            guard Glibc.listen(fd, backlog) == 0 else {
                throw SystemError(code: cweft_errno(), operation: "listen on \(address)")
            }
            try set(options, .listening, on: fd)
        } catch {
            Glibc.close(fd)
            throw error
        }
        return fd
    }

    private static func make(_ domain: Int32, _ network: Network) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue)
        return switch network {
        case .own: cweft_socket(domain, type, -1)
        case .namespace(let file): cweft_socket(domain, type, file)
        case .broker(let path): cweft_socket_from_broker(path, domain, type)
        }
    }

    /// Sets the options of a stage.
    public static func set(_ options: [SocketOption], _ stage: SocketOption.Stage, on fd: Int32) throws(SystemError) {
        for option in options where option.stage == stage {
            let result = option.value.withUnsafeBytes {
                cweft_set_option(fd, option.level, option.name, $0.baseAddress, $0.count)
            }
            try SystemError.check(result, "set the socket option \(option.level)/\(option.name)")
        }
    }

    /// Begins a connection; the descriptor, or `-errno` when it failed at once. `EINPROGRESS` counts as begun.
    ///
    /// The outcome is told by writability and `error(of:)`.
    public static func connect(
        _ address: SocketAddress,
        network: Network = .own,
        from source: SocketAddress? = nil,
        options: [SocketOption] = []
    ) -> Int32 {
        let fd = make(address.isIPv6 ? AF_INET6 : AF_INET, network)
        guard fd >= 0 else { return fd }
        cweft_set_nodelay(fd)
        if !options.isEmpty {
            do throws(SystemError) {
                try set(options, .prebind, on: fd)
            } catch {
                Glibc.close(fd)
                return -error.code
            }
        }
        if let source, !source.isAny || source.port != 0 {
            var native = source.native
            let bound = cweft_bind(fd, &native)
            guard bound == 0 else {
                Glibc.close(fd)
                return bound
            }
        }
        var native = address.native
        let result = cweft_connect(fd, &native)
        guard result == 0 || result == -EINPROGRESS else {
            Glibc.close(fd)
            return result
        }
        return fd
    }

    /// Takes a waiting connection; the descriptor or `-errno`.
    @inline(__always)
    public static func accept(_ fd: Int32, peer: inout SocketAddress) -> Int32 {
        var native = cweft_address()
        let accepted = cweft_accept(fd, &native)
        if accepted >= 0 { peer = SocketAddress(native) }
        return accepted
    }

    /// Nanoseconds since the last bytes came on a TCP connection, or since it began when none did: by the kernel's clock,
    /// whose ticks are some milliseconds. 0 for other sockets.
    public static func silence(_ fd: Int32) -> UInt64 { UInt64(max(0, cweft_silence(fd))) &* 1_000_000 }

    /// Whether the peer of a TCP connection sends nothing more: it has closed, or said that it is done.
    public static func isEnded(_ fd: Int32) -> Bool { cweft_is_ended(fd) == 1 }

    /// Lets so many connections wait to be accepted from a socket that listens.
    public static func listen(_ fd: Int32, backlog: Int32) { _ = Glibc.listen(fd, backlog) }

    /// Whether as many connections as may wait to be accepted from a listening TCP socket: the kernel turns further ones away.
    public static func hasFullQueue(_ fd: Int32) -> Bool { cweft_has_full_queue(fd) == 1 }

    /// The socket's own address.
    public static func localAddress(_ fd: Int32) -> SocketAddress? {
        var native = cweft_address()
        return cweft_local_address(fd, &native) == 0 ? SocketAddress(native) : nil
    }

    /// The address of the socket's peer.
    public static func peerAddress(_ fd: Int32) -> SocketAddress? {
        var native = cweft_address()
        return cweft_peer_address(fd, &native) == 0 ? SocketAddress(native) : nil
    }

    /// The destination that the client dialled before netfilter redirected the connection.
    public static func originalDestination(_ fd: Int32) -> SocketAddress? {
        var native = cweft_address()
        return cweft_original_destination(fd, &native) == 0 ? SocketAddress(native) : nil
    }

    /// The outcome of a connect: 0, or `-errno`.
    public static func error(of fd: Int32) -> Int32 { cweft_socket_error(fd) }

    /// Sends small writes at once.
    public static func setNoDelay(_ fd: Int32) { cweft_set_nodelay(fd) }

    /// Makes the next `close` send a reset.
    public static func resetOnClose(_ fd: Int32) { cweft_set_reset_on_close(fd) }

    /// Ends the sending direction.
    public static func shutdownWrite(_ fd: Int32) { Glibc.shutdown(fd, Int32(SHUT_WR)) }

    /// Ends both directions: whoever waits for the socket hears of its end.
    public static func shutdown(_ fd: Int32) { Glibc.shutdown(fd, Int32(SHUT_RDWR)) }

    public static func close(_ fd: Int32) { Glibc.close(fd) }

    /// Reads what is there: a count, 0 at the end of the stream, or `-errno`.
    @inline(__always)
    public static func receive(_ fd: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
        #if DEBUG
            if let scripted = SystemCallScript.next(.receive, count: count) { return scripted }
        #endif
        return cweft_receive(fd, bytes, count)
    }

    /// Whether the peer has neither sent nor closed anything that was not read yet.
    public static func isQuiet(_ fd: Int32) -> Bool {
        var byte: UInt8 = 0
        return recv(fd, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) < 0 && errno == EAGAIN
    }

    /// Writes what fits: a count or `-errno`.
    @inline(__always)
    public static func send(_ fd: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        #if DEBUG
            if let scripted = SystemCallScript.next(.send, count: count) {
                return scripted > 0 ? cweft_send(fd, bytes, min(scripted, count)) : scripted
            }
        #endif
        return cweft_send(fd, bytes, count)
    }

    /// Writes three pieces in one call (empty ones are left out): the total or `-errno`. With `more` something follows at
    /// once, bytes or the end of the stream, and goes into the same packets.
    @inline(__always)
    public static func send(
        _ fd: Int32,
        _ first: UnsafeRawPointer?,
        _ firstCount: Int,
        _ second: UnsafeRawPointer?,
        _ secondCount: Int,
        _ third: UnsafeRawPointer?,
        _ thirdCount: Int,
        more: Bool = false
    ) -> Int {
        #if DEBUG
            if let scripted = SystemCallScript.next(.send, count: firstCount + secondCount + thirdCount) {
                guard scripted > 0, let first else { return scripted }
                return cweft_send(fd, first, min(scripted, firstCount))
            }
        #endif
        if more { return cweft_send3_more(fd, first, firstCount, second, secondCount, third, thirdCount) }
        return cweft_send3(fd, first, firstCount, second, secondCount, third, thirdCount)
    }
}
