import EnvoyAPI

/// The entrance with TLS for all Ingresses of a gateway: a chain for each certificate, which comes by SDS.
struct IngressTLS {
    /// Where HTTPS is served, before the gateway's offset.
    static let port = 443
    static let name = "ingress-tls"

    /// The secrets that are used, in order.
    private(set) var secrets: [MeshSecret] = []
    private var hosts: [[String]] = []
    private var taken: Set<String> = []

    /// Of two Ingresses with the same host the older one counts. A certificate that is not there is waited for by nobody.
    init(_ ingresses: [MeshIngress], _ known: [String: MeshSecret]) {
        for ingress in ingresses.sorted(by: {
            ($0.created, $0.namespace, $0.name) < ($1.created, $1.namespace, $1.name)
        }) {
            for tls in ingress.tls {
                guard let secret = known[MeshIndex.key(ingress.namespace, tls.secret)] else { continue }
                // Without hosts it is for all that no other certificate is for.
                let wanted = tls.hosts.isEmpty ? [""] : tls.hosts.map { $0.lowercased() }.filter(Self.isHost)
                add(secret, wanted.filter { taken.insert($0).inserted })
            }
        }
    }

    private mutating func add(_ secret: MeshSecret, _ names: [String]) {
        guard !names.isEmpty else { return }
        if let place = secrets.firstIndex(of: secret) {
            hosts[place] += names
        } else {
            secrets.append(secret)
            hosts.append(names)
        }
    }

    private static func isHost(_ host: String) -> Bool {
        let name = host.hasPrefix("*.") ? host.dropFirst(2) : host[...]
        return !name.isEmpty && name.utf8.count <= 253
            && name.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x2E
            }
    }

    var resources: [DiscoveryResource] {
        secrets.map { secret in
            let certificate = Envoy.TlsCertificate(
                certificateChain: .init(specifier: .inlineBytes(secret.certificate)),
                privateKey: .init(specifier: .inlineBytes(secret.key))
            )
            let message = Envoy.Secret(name: Self.name(of: secret), type: .tlsCertificate(certificate))
            return DiscoveryResource(name: message.name, bytes: message.protobufBytes)
        }
    }

    private static func name(of secret: MeshSecret) -> String { "secret/\(secret.namespace)/\(secret.name)" }

    /// The listener, made of the one without TLS; nil when there is no certificate.
    func listener(_ plain: Envoy.Listener, at address: HostAddress) -> Envoy.Listener? {
        guard !secrets.isEmpty, let filters = plain.filterChains.first?.filters else { return nil }
        var listener = plain
        listener.name = Self.name
        listener.address = .socket(address.address, address.port)
        listener.listenerFilters = [
            .init(name: "envoy.filters.listener.tls_inspector", typedConfig: .tlsInspector(.init()))
        ]
        listener.filterChains = []
        for (secret, names) in zip(secrets, hosts) {
            var chain = Envoy.FilterChain(name: Self.name(of: secret), filters: filters)
            chain.transportSocket = Self.socket(secret)
            let exact = names.filter { !$0.isEmpty }
            if exact.count < names.count {
                var fallback = chain
                fallback.name += "/all"
                listener.defaultFilterChain = fallback
            }
            guard !exact.isEmpty else { continue }
            chain.filterChainMatch = .init(serverNames: exact)
            listener.filterChains.append(chain)
        }
        return listener
    }

    private static func socket(_ secret: MeshSecret) -> Envoy.TransportSocket {
        let common = Envoy.CommonTlsContext(
            tlsCertificateSdsSecretConfigs: [.init(name: name(of: secret), sdsConfig: ClusterBuilder.ads)],
            alpnProtocols: ["h2", "http/1.1"]
        )
        return Envoy.TransportSocket(
            name: "envoy.transport_sockets.tls",
            typedConfig: .downstreamTls(.init(commonTlsContext: common))
        )
    }
}
