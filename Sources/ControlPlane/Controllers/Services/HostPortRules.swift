package import Resources

/// Where the ports of a LoadBalancer Service are served on the host: under their own numbers, except those that this
/// process may not listen on.
package struct HostPortRules: Equatable, Sendable {
    /// How far a port that may not be had is moved: 80 becomes 8080, 443 becomes 8443.
    private static let shift = 8000

    /// The lowest port that may be listened on; 0 when all may.
    package let lowest: Int

    package init(lowest: Int = 0) { self.lowest = lowest }

    /// The host's ports that differ from the Service's, by the Service's; empty when none do.
    package func moved(_ service: Object) -> [Int: Int] {
        let ports = ServiceSpec(service.spec).ports.map(\.port)
        var taken = Set(ports)
        var moved: [Int: Int] = [:]
        for port in ports where port < lowest {
            var candidate = port + Self.shift
            while taken.contains(candidate), candidate < 65_535 { candidate += 1 }
            taken.insert(candidate)
            moved[port] = candidate
        }
        return moved
    }
}
