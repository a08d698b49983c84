import EnvoyAPI
import Reactor
import Traffic

/// How the client's address is found where `original_ip_detection_extensions` say so: the first way that finds one counts.
struct ClientAddressRule: Sendable {
    enum Way: Sendable {
        /// The entry of `x-forwarded-for` before so many trusted ones, from the right.
        case hops(Int)
        /// The first entry of `x-forwarded-for`, from the right, that is not in one of these networks, if the peer is.
        case trusted([AddressRange])
        /// The value of a field (lower case); `isTrusted`: it may tell that a client is of the house.
        case field([UInt8], isTrusted: Bool)
    }
    var ways: [Way]

    init?(_ messages: [Envoy.OriginalIpDetection], _ context: CompileContext) {
        guard !messages.isEmpty else { return nil }
        ways = context.each("original_ip_detection_extensions", messages) { message -> Way? in
            context.at("typed_config") {
                switch message.typedConfig {
                case .xff(let config): return Self.forwarded(config, context)
                case .customHeader(let config):
                    return .field(
                        Array(RouteCompiler.lowercased(config.headerName).utf8),
                        isTrusted: config.allowExtensionToSetAddressAsTrusted
                    )
                case nil: return nil
                }
            }
        }.compactMap { $0 }
    }

    private static func forwarded(_ config: Envoy.XffConfig, _ context: CompileContext) -> Way {
        if config.skipXffAppend == false {
            context.report(
                "skip_xff_append: false is not supported: the peer is not appended where use_remote_address is off"
            )
        }
        guard let trusted = config.xffTrustedCidrs else { return .hops(Int(config.xffNumTrustedHops)) }
        if config.xffNumTrustedHops > 0 {
            context.report("xff_trusted_cidrs: xff_num_trusted_hops stands here, too; give one of them")
        }
        return .trusted(context.ranges("xff_trusted_cidrs.cidrs", trusted.cidrs))
    }

    /// The client's address, and whether it may count as one of the house; nil: the peer's.
    func client(_ request: RequestView, peer: SocketAddress) -> (address: SocketAddress, isTrusted: Bool)? {
        for way in ways {
            switch way {
            case .field(let name, let isTrusted):
                let value = name.withUnsafeBytes { request.value(of: ByteRun($0)) }
                guard let text = value?.trimmed.text, let found = Address(literal: text, port: 0)?.socketAddress else {
                    continue
                }
                return (found, isTrusted)
            case .hops(let hops):
                let entries = Self.entries(request)
                guard entries.count > hops, let found = entries[entries.count - 1 - hops] else { continue }
                return (found, false)
            case .trusted(let networks):
                guard networks.contains(where: { $0.contains(IPKey(peer)) }) else { continue }
                let entries = Self.entries(request)
                let found = entries.reversed().first { entry in
                    entry.map { address in !networks.contains { $0.contains(IPKey(address)) } } ?? true
                }
                // Where all are believed, the first of them is the client.
                if let address = found ?? entries.first ?? nil { return (address, false) }
            }
        }
        return nil
    }

    /// The entries of `x-forwarded-for`, at most 64 from the right; nil for one that is no address.
    private static func entries(_ request: RequestView) -> [SocketAddress?] {
        var found: [SocketAddress?] = []
        var position = 0
        while let value = request.nextValue(of: Worker.run("x-forwarded-for"), from: &position) {
            for entry in value.text.split(separator: ",") {
                found.append(
                    Address(literal: String(entry.drop { $0 == " " }.prefix { $0 != " " }), port: 0)?.socketAddress
                )
            }
        }
        return found.suffix(64)
    }
}
