import Wire

/// The loopback addresses of a weft without isolation: each Service and each pod has one of its own.
///
/// All of 127.0.0.0/8 is local to a Linux machine without any configuration. Daemons have different blocks, so that they
/// never meet. A Service keeps its `clusterIP` in the store, where it belongs to the object; the loopback address follows
/// from it.
package struct LoopbackNetwork: Sendable, Equatable {
    /// The daemon's block: load balancers are in 127.BLOCK.0.0/17.
    package let block: Int

    package init(block: Int) { self.block = block }

    /// Services are in a block of their own, this far above.
    private static let serviceShift = 100

    /// The address of a Service, from its `clusterIP`; nil for a headless one.
    package func service(_ clusterIP: String) -> String? {
        let parts = clusterIP.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "10", parts[1] == "96", let third = UInt8(parts[2]),
            let fourth = UInt8(parts[3])
        else { return nil }
        return "127.\(block + Self.serviceShift).\(third).\(fourth)"
    }

    /// The addresses of pods, as numbers: 127.BLOCK.128.2 to 127.BLOCK.254.255.
    package var pods: ClosedRange<UInt32> {
        let base = 127 << 24 | UInt32(block) << 16
        return (base | 0x8002)...(base | 0xfeff)
    }

    /// A Service as programs on the machine reach it: with its loopback address, and its ports where they are served:
    /// those in `moved` under another number.
    package func view(of service: Object, moved: [Int: Int]) -> Object {
        let spec = ServiceSpec(service.spec)
        guard !spec.isHeadless, let address = self.service(spec.clusterIP) else { return service }
        var view = service
        var fields = service.spec
        fields["clusterIP"] = .string(address)
        fields["ports"] = .array(
            (fields["ports"]?.arrayValue ?? []).map { port in
                var port = port
                if let number = port["port"]?.intValue, let other = moved[number] { port["port"] = .int(Int64(other)) }
                return port
            }
        )
        view.spec = fields
        return view
    }
}
