package import Controllers
import Glibc

/// This daemon's share of the machine's loopback addresses, told from those of other daemons.
///
/// A name in the abstract socket namespace is held while the process lives: it belongs to the network namespace, as the
/// addresses do, and nothing has to be cleaned up after a crash. Without it two daemons would listen on the same
/// addresses side by side, and each would get some of the other's connections.
package struct HostClaim: Sendable {
    package let addresses: LoadBalancerAddresses
    private let fd: Int32

    /// Claims the first block that nobody holds.
    package init() {
        for block in LoadBalancerAddresses.blocks {
            let fd = Self.bind("weft-addresses-127.\(block)")
            guard fd >= 0 else { continue }
            addresses = LoadBalancerAddresses(block: block)
            self.fd = fd
            return
        }
        addresses = LoadBalancerAddresses()
        fd = -1
    }

    /// Whether other daemons had their blocks before.
    package var isFirst: Bool { addresses.block == LoadBalancerAddresses.blocks.lowerBound }

    /// Where NodePorts are served: the machine's usual loopback address, or one of the own block when
    /// another daemon has that.
    package var nodeAddress: String { isFirst ? "127.0.0.1" : "127.\(addresses.block).255.254" }

    /// Gives the block free; the process's end does the same.
    package func release() {
        if fd >= 0 { close(fd) }
    }

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
