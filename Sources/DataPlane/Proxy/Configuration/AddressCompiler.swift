import EnvoyAPI
import Reactor
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
            guard pipe.path.utf8.count < 108 else {
                at("pipe") { report("path: a Unix socket's path has at most 107 bytes, not \(pipe.path.utf8.count)") }
                return nil
            }
            if pipe.mode != 0, pipe.path.hasPrefix("@") {
                at("pipe") { report("mode: an abstract socket has no permissions") }
            }
            var address = Address(host: .pipe(pipe.path), port: 0)
            address.mode = UInt16(clamping: pipe.mode)
            return address
        case nil:
            report("an address is required")
            return nil
        }
    }

    func literal(_ socket: Envoy.SocketAddress) -> Address? {
        guard let port = port(socket) else { return nil }
        let namespace = socket.networkNamespaceFilepath.isEmpty ? nil : socket.networkNamespaceFilepath
        guard var address = Address(literal: socket.address, port: port, namespacePath: namespace) else {
            report("address: \"\(socket.address)\" is no IPv4 or IPv6 address")
            return nil
        }
        if socket.ipv4Compat {
            guard case .ipv6 = address.host else {
                report("ipv4_compat: is for IPv6 addresses")
                return nil
            }
            address.acceptsIPv4 = true
        }
        return address
    }

    /// Options of a socket as they are to be set.
    func options(_ step: String, _ messages: [Envoy.SocketOption]) -> [SocketOption] {
        each(step, messages) { message in
            guard let level = Int32(exactly: message.level), let name = Int32(exactly: message.name), level >= 0,
                name >= 0
            else {
                report("level: level and name are numbers of the kernel's, from 0 to 2147483647")
                return nil
            }
            let stage: SocketOption.Stage =
                switch message.state {
                case .prebind: .prebind
                case .bound: .bound
                case .listening: .listening
                }
            if let bytes = message.bufValue {
                return SocketOption(level: level, name: name, value: bytes, stage: stage)
            }
            guard let number = Int32(exactly: message.intValue ?? 0) else {
                report("int_value: \(message.intValue ?? 0) does not fit into 32 bits")
                return nil
            }
            return SocketOption(level: level, name: name, number: number, stage: stage)
        }.compactMap { $0 }
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
