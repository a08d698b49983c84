import Bytes
import CWeft
package import Controllers
import Glibc
package import Sandbox

/// This daemon's share of the machine's loopback addresses, told from those of other daemons.
///
/// A name in the abstract socket namespace is held while the process lives: it belongs to the network namespace, as the
/// addresses do, and nothing has to be cleaned up after a crash. Without it two daemons would listen on the same
/// addresses side by side, and each would get some of the other's connections.
///
/// The proxy holds the claim too: while it serves, with or without a daemon, nobody else takes the addresses. The state
/// directory remembers which they are, so that the next daemon gets the same.
package final class HostClaim: Sendable {
    package let addresses: LoadBalancerAddresses
    /// The port of the ingress listener that the proxy serves already; nil: it is still to be chosen.
    package let ingressPort: Int?
    private let file: String
    private let descriptor: Lock<Int32>

    /// Claims the block of before, else the first that nobody holds.
    ///
    /// - Parameters:
    ///   - file: remembers the claim.
    ///   - isServed: the proxy of an earlier daemon still runs.
    package init(file: String, isServed: Bool) {
        self.file = file
        let words = (readFile(file, limit: 64) ?? "").split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        let before = words.first.flatMap { LoadBalancerAddresses.blocks.contains($0) ? $0 : nil }
        ingressPort = isServed && words.count == 2 ? words[1] : nil
        if let before {
            let fd = Self.bind(Self.name(before))
            if fd >= 0 || isServed {
                addresses = LoadBalancerAddresses(block: before)
                descriptor = Lock(fd)
                return
            }
        }
        for block in LoadBalancerAddresses.blocks {
            let fd = Self.bind(Self.name(block))
            guard fd >= 0 else { continue }
            addresses = LoadBalancerAddresses(block: block)
            descriptor = Lock(fd)
            return
        }
        addresses = LoadBalancerAddresses()
        descriptor = Lock(-1)
    }

    /// Writes down what is claimed, for the next daemon.
    package func remember(ingressPort: Int) throws(SandboxError) {
        let text = "\(addresses.block) \(ingressPort)\n"
        // On a full disk what is there already is still good.
        if readFile(file, limit: 64) != text { try replaceFile(file, with: text) }
    }

    /// The descriptor that holds the claim, for a proxy that is about to be started; negative when somebody else holds it.
    package func held() -> Int32 {
        descriptor.withLock { fd in
            if fd < 0 { fd = Self.bind(Self.name(addresses.block)) }
            return fd
        }
    }

    /// Whether other daemons had their blocks before.
    package var isFirst: Bool { addresses.block == LoadBalancerAddresses.blocks.lowerBound }

    /// Where NodePorts are served: the machine's usual loopback address, or one of the own block when
    /// another daemon has that.
    package var nodeAddress: String { isFirst ? "127.0.0.1" : "127.\(addresses.block).255.254" }

    /// Gives the block free; the process's end does the same.
    package func release() {
        descriptor.withLock { fd in
            if fd >= 0 { close(fd) }
            fd = -1
        }
    }

    private static func name(_ block: Int) -> String { "weft-addresses-127.\(block)" }

    private static func bind(_ name: String) -> Int32 {
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { return -1 }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(name.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            // The first byte stays zero: that makes the name an abstract one.
            for (index, byte) in bytes.enumerated() where index + 1 < path.count { path[index + 1] = byte }
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + bytes.count)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(fd, __CONST_SOCKADDR_ARG(__sockaddr__: $0), length)
            }
        }
        guard result == 0 else {
            close(fd)
            return -1
        }
        return fd
    }
}
