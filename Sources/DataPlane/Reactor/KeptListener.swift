import CWeft
import Glibc

/// What a proxy and the keeper of its listening sockets say to one another over a `DescriptorChannel`.
///
/// A socket is known by its inode, which is its own as long as anybody holds it.
public enum KeeperMessage: Equatable, Sendable {
    /// The proxy's first word. `wantsSockets`: it has just started and takes over what is held.
    case hello(wantsSockets: Bool)
    /// From the proxy, with the socket: hold it.
    case hold(KeptListener)
    /// The socket with this inode is no longer wanted.
    case drop(inode: UInt64)
    /// The configuration is in force: what was held before and not sent again is not wanted.
    case claimed
    /// The proxy serves: the one before it may end.
    case ready
    /// Nothing is to be held: the proxy has stopped listening for good.
    case release
    /// From the keeper, with the socket.
    case held(KeptListener)
    /// That was all that is held.
    case end
    /// As `hold`, for a Unix socket.
    case holdPath(KeptPath)
    /// As `held`, for a Unix socket.
    case heldPath(KeptPath)

    private static let version: UInt8 = 1

    public var bytes: [UInt8] {
        switch self {
        case .hello(let wants): [1, Self.version, wants ? 1 : 0]
        case .hold(let listener): [2] + listener.bytes
        case .drop(let inode): [3] + withUnsafeBytes(of: inode.bigEndian, Array.init)
        case .claimed: [4]
        case .release: [5]
        case .held(let listener): [6] + listener.bytes
        case .end: [7]
        case .ready: [8]
        case .holdPath(let path): [9] + path.bytes
        case .heldPath(let path): [10] + path.bytes
        }
    }

    /// Nil for anything that is no message of this version.
    public init?(_ bytes: [UInt8]) {
        let rest = bytes.dropFirst()
        switch (bytes.first, rest.count) {
        case (1, 2):
            guard bytes[1] == Self.version else { return nil }
            self = .hello(wantsSockets: bytes[2] == 1)
        case (2, KeptListener.size):
            guard let listener = KeptListener(rest) else { return nil }
            self = .hold(listener)
        case (3, 8): self = .drop(inode: KeptListener.number(rest))
        case (4, 0): self = .claimed
        case (5, 0): self = .release
        case (6, KeptListener.size):
            guard let listener = KeptListener(rest) else { return nil }
            self = .held(listener)
        case (7, 0): self = .end
        case (8, 0): self = .ready
        case (9, _):
            guard let path = KeptPath(rest) else { return nil }
            self = .holdPath(path)
        case (10, _):
            guard let path = KeptPath(rest) else { return nil }
            self = .heldPath(path)
        default: return nil
        }
    }
}

/// A listening TCP socket's name for good: its address, and the network in which it listens.
public struct KeptListener: Hashable, Sendable {
    public var address: SocketAddress
    /// `NetworkPlace.identity`, or 0 for the proxy's own network.
    public var network: UInt64

    public init(address: SocketAddress, network: UInt64) {
        self.address = address
        self.network = network
    }

    static let size = 27

    var bytes: [UInt8] {
        let own = address.bytes + [UInt8](repeating: 0, count: 16)
        return [address.family] + own.prefix(16) + withUnsafeBytes(of: address.port.bigEndian, Array.init)
            + withUnsafeBytes(of: network.bigEndian, Array.init)
    }

    init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count == Self.size, let family = bytes.first, family == 4 || family == 6 else { return nil }
        let start = bytes.startIndex + 1
        var native = cweft_address()
        native.family = family
        native.port = UInt16(bytes[start + 16]) << 8 | UInt16(bytes[start + 17])
        withUnsafeMutableBytes(of: &native.ip) { $0.copyBytes(from: bytes[start..<start + (family == 6 ? 16 : 4)]) }
        address = SocketAddress(native)
        network = Self.number(bytes[(start + 18)...])
    }

    static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    /// Whether a descriptor is a listening TCP socket on this address, one of a group (`SO_REUSEPORT`) or not.
    public func isServed(by fd: Int32, sharesPort: Bool) -> Bool {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = -1
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
        }
        return option(SO_ACCEPTCONN) == 1 && option(SO_TYPE) == Int32(SOCK_STREAM.rawValue)
            && option(SO_PROTOCOL) == Int32(IPPROTO_TCP) && option(SO_DOMAIN) == (address.isIPv6 ? AF_INET6 : AF_INET)
            && option(SO_REUSEPORT) == (sharesPort ? 1 : 0) && Socket.localAddress(fd) == address
    }
}

/// A listening Unix socket's name for good: its path, and the file that stands there for it. Two sockets have never the same.
public struct KeptPath: Hashable, Sendable {
    /// Beginning with `@` where the name is abstract.
    public var path: String
    /// Zero for abstract names.
    public var device: UInt64 = 0
    public var inode: UInt64 = 0

    /// The socket that listens on a path now, to be asked by whoever has just opened it.
    public init(openedAt path: String) {
        self.path = path
        if let file = Self.file(path) { (device, inode) = file }
    }

    /// `sun_path` has no room for more.
    private static let longest = 108

    var bytes: [UInt8] {
        withUnsafeBytes(of: device.bigEndian, Array.init) + withUnsafeBytes(of: inode.bigEndian, Array.init)
            + Array(path.utf8)
    }

    init?(_ bytes: ArraySlice<UInt8>) {
        let text = bytes.dropFirst(16)
        guard (1...Self.longest).contains(text.count), !text.contains(0),
            let path = String(validating: text, as: UTF8.self)
        else {
            return nil
        }
        self.path = path
        device = KeptListener.number(bytes.prefix(8))
        inode = KeptListener.number(bytes.dropFirst(8).prefix(8))
    }

    private static func file(_ path: String) -> (UInt64, UInt64)? {
        var status = stat()
        guard !path.hasPrefix("@"), lstat(path, &status) == 0 else { return nil }
        return (UInt64(status.st_dev), UInt64(status.st_ino))
    }

    /// Whether the file that was made for the socket still stands at its path: else nobody can reach it.
    public var isInPlace: Bool {
        if path.hasPrefix("@") { return true }
        guard let file = Self.file(path) else { return false }
        return file == (device, inode)
    }

    /// Removes the socket's own file.
    public func removeFile() { if !path.hasPrefix("@"), isInPlace { unlink(path) } }

    /// Whether a descriptor is a listening Unix socket that can be reached at this path.
    public func isServed(by fd: Int32) -> Bool {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = -1
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
        }
        return option(SO_ACCEPTCONN) == 1 && option(SO_TYPE) == Int32(SOCK_STREAM.rawValue)
            && option(SO_DOMAIN) == AF_UNIX && isInPlace
    }
}

extension Socket {
    /// The inode of a socket: one of its own among all that are open. Nil for what is no socket.
    public static func inode(_ fd: Int32) -> UInt64? {
        var status = stat()
        guard fstat(fd, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
        return UInt64(status.st_ino)
    }

    /// Whether a socket listens.
    public static func isListening(_ fd: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value == 1
    }

    /// Ends a listening socket for everybody who holds it: it takes no connection any more, and its port is free.
    public static func stopListening(_ fd: Int32) { Glibc.shutdown(fd, Int32(SHUT_RDWR)) }

    /// Another descriptor of the same socket, or -1.
    public static func duplicate(_ fd: Int32) -> Int32 { fcntl(fd, F_DUPFD_CLOEXEC, 0) }
}
