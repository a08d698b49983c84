/// A kind of client: those of one kind are served the same resources.
package struct DiscoveryAudience: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// gRPC without a proxy: a listener by the name of each Service.
        case proxyless
        /// A proxy at the edge: listeners for load balancers and Ingresses, clusters for all Services.
        case gateway
        /// The machine's own proxy: listeners inside of pods, endpoints dialled there. On a socket of its own.
        case machine
    }

    /// Where the client dials from.
    package enum Place: String, Sendable, Hashable, CaseIterable {
        /// The machine's network. An isolated pod has no address there: the Service's own address on the machine stands for
        /// it, where weft-proxy listens.
        case host
        /// The inside of a pod, where every pod has its address.
        case pod
        /// Any network namespace of the machine: for its own proxy alone.
        case machine
    }

    package var kind: Kind
    package var place: Place
    /// Gateways: how far above the Services' own ports theirs are, which weft-proxy has.
    package var portOffset: Int

    /// The machine's own proxy.
    package static let machine = DiscoveryAudience(.machine, at: .machine)

    /// The offset of gateways that name none.
    package static let defaultPortOffset = 10_000

    package init(_ kind: Kind, at place: Place = .host, portOffset: Int = 0) {
        self.kind = kind
        self.place = place
        self.portOffset = portOffset
    }
}

extension DiscoveryAudience: CustomStringConvertible {
    package var description: String {
        kind == .gateway ? "\(kind.rawValue)/\(place.rawValue)+\(portOffset)" : "\(kind.rawValue)/\(place.rawValue)"
    }
}
