import EnvoyAPI
import Telemetry
import Wire

extension CompileContext {
    /// A literal address; a name is a problem.
    func address(_ message: Envoy.Address?, isPortRequired: Bool = true) -> Address? {
        switch message?.kind {
        case .socket(let socket): return at("socket_address") { literal(socket) }
        case .pipe(let pipe):
            guard !pipe.path.isEmpty else {
                at("pipe") { report("path must not be empty") }
                return nil
            }
            return Address(host: .pipe(pipe.path), port: 0)
        case nil:
            report("an address is required")
            return nil
        }
    }

    func literal(_ socket: Envoy.SocketAddress) -> Address? {
        guard let port = port(socket) else { return nil }
        let namespace = socket.networkNamespaceFilepath.isEmpty ? nil : socket.networkNamespaceFilepath
        guard let address = Address(literal: socket.address, port: port, namespacePath: namespace) else {
            report("address: \"\(socket.address)\" is no IPv4 or IPv6 address")
            return nil
        }
        return address
    }

    func port(_ socket: Envoy.SocketAddress) -> UInt16? {
        guard let port = UInt16(exactly: socket.portValue ?? 0) else {
            report("port_value: \(socket.portValue ?? 0) is no port (0...65535)")
            return nil
        }
        return port
    }

    func ranges(_ step: String, _ messages: [Envoy.CidrRange]) -> [AddressRange] {
        each(step, messages) { range in
            guard let address = Address(literal: range.addressPrefix, port: 0), let key = address.key else {
                report("address_prefix: \"\(range.addressPrefix)\" is no IPv4 or IPv6 address")
                return nil
            }
            let bits: UInt32 = key.isIPv4 ? 32 : 128
            let length = range.prefixLen ?? 0
            guard length <= bits else {
                report("prefix_len: \(length) is more than \(bits)")
                return nil
            }
            return AddressRange(base: key, prefixLength: UInt8(128 - bits + length))
        }.compactMap { $0 }
    }

    /// The labels that an object carries for metrics. Names of single pods are left out: each of them would make new series.
    func labels(_ metadata: Envoy.Metadata?) -> LabelSet {
        guard let fields = metadata?.filterMetadata["weft.dev/labels"]?.fields else { return .empty }
        var pairs: [(String, String)] = []
        for (name, value) in fields where name != "pod" && name != "dst_pod" {
            if let text = value.stringValue { pairs.append((name, text)) }
        }
        return LabelSet(pairs)
    }
}
