import EnvoyAPI
import TLS

/// Compiles transport sockets.
struct TLSCompiler {
    let context: CompileContext

    /// The TLS of a filter chain; nil: none, or problems.
    func server(_ socket: Envoy.TransportSocket?, owner: String, isHTTP1: Bool) -> TLSHolder? {
        guard let socket else { return nil }
        return context.at("transport_socket.typed_config") {
            switch socket.typedConfig {
            case .downstreamTls(let message):
                guard let named = message.commonTlsContext else {
                    context.report("common_tls_context: is required")
                    return nil
                }
                let common = context.secrets.inlined(named, context)
                var source = TLSSource(owner: owner, common: common, isServer: true)
                source.requiresPeer = message.requireClientCertificate ?? false
                source.requiresName = message.requireSni ?? false
                source.allowsResumption = !(message.disableStatelessSessionResumption ?? false)
                source.sessionSeconds = Int((nanoseconds(message.sessionTimeout) ?? 0) / 1_000_000_000)
                source.prefersClientCiphers = message.preferClientCiphers
                source.protocols = protocols(common, isHTTP1: isHTTP1)
                if common.tlsCertificates.isEmpty, common.tlsCertificateSdsSecretConfigs.isEmpty {
                    context.report("common_tls_context.tls_certificates: a server needs at least one certificate")
                    return nil
                }
                return make(source)
            case .upstreamProxyProtocol:
                context.report(
                    "ProxyProtocolUpstreamTransport is for clusters; a listener has the filter proxy_protocol"
                )
                return nil
            case .upstreamTls:
                context.report("UpstreamTlsContext is for clusters; a filter chain has DownstreamTlsContext")
                return nil
            case .rawBuffer: return nil
            case nil:
                context.report("is required")
                return nil
            }
        }
    }

    /// The TLS of a cluster.
    func client(
        _ socket: Envoy.TransportSocket?,
        owner: String,
        names: TransportConfiguration.Naming = [],
        speaks: EndpointProtocol = .http1
    ) -> TLSHolder? {
        clientSource(socket, owner: owner, names: names, speaks: speaks).flatMap(make)
    }

    /// A cluster's TLS for its health checks, which offer protocols of their own.
    func checks(_ socket: Envoy.TransportSocket?, owner: String, protocols: [String]) -> TLSHolder? {
        guard context.isSound, var source = clientSource(socket, owner: owner) else { return nil }
        source.protocols = protocols
        return make(source)
    }

    private func clientSource(
        _ socket: Envoy.TransportSocket?,
        owner: String,
        names: TransportConfiguration.Naming = [],
        speaks: EndpointProtocol = .http1
    ) -> TLSSource? {
        guard let socket else { return nil }
        return context.at("transport_socket.typed_config") {
            switch socket.typedConfig {
            case .upstreamTls(let message):
                let named = message.commonTlsContext ?? Envoy.CommonTlsContext()
                let common = context.secrets.inlined(named, context)
                var source = TLSSource(owner: owner, common: common, isServer: false)
                source.name = message.sni
                source.usesHostName = message.autoHostSni
                source.checksName = message.autoSniSanValidation
                source.keptSessions = Int(min(1024, message.maxSessionKeys ?? 1))
                source.checksKeyUsage = message.enforceRsaKeyUsage ?? false
                source.protocols = offered(common, speaks)
                if source.usesHostName, !source.name.isEmpty {
                    context.report("auto_host_sni: sni stands here, too; give one of them")
                }
                if names.contains(.san), common.validationContextType == nil {
                    context.report("auto_san_validation: needs a validation context with trusted_ca")
                }
                if source.checksName, common.validationContextType == nil {
                    context.report("auto_sni_san_validation: needs a validation context with trusted_ca")
                }
                return source
            case .upstreamProxyProtocol(let message):
                return clientSource(message.transportSocket, owner: owner, names: names, speaks: speaks)
            case .downstreamTls:
                context.report("DownstreamTlsContext is for filter chains; a cluster has UpstreamTlsContext")
                return nil
            case .rawBuffer: return nil
            case nil:
                context.report("is required")
                return nil
            }
        }
    }

    /// How endpoints are spoken to; nil: in the clear and without a word before.
    func transport(
        _ socket: Envoy.TransportSocket?,
        owner: String,
        names: TransportConfiguration.Naming = [],
        speaks: EndpointProtocol = .http1
    ) -> TransportConfiguration {
        let tls = client(socket, owner: owner, names: names, speaks: speaks)
        guard case .upstreamProxyProtocol(let message) = socket?.typedConfig else {
            return TransportConfiguration(tls: tls, introduction: nil)
        }
        if case .upstreamProxyProtocol = message.transportSocket?.typedConfig {
            context.report("transport_socket.typed_config.transport_socket: the header is sent once")
        }
        let config = message.config ?? Envoy.ProxyProtocolConfig()
        if config.version == .v1, !config.addedTlvs.isEmpty {
            context.report("transport_socket.typed_config.config.added_tlvs: are for version V2")
        }
        var introduction = ProxyIntroduction(version: config.version == .v1 ? .text : .binary)
        for value in config.addedTlvs { introduction.add(UInt8(truncatingIfNeeded: value.type), value.value) }
        if introduction.values.count > ProxyIntroduction.valuesLimit {
            context.report(
                "transport_socket.typed_config.config.added_tlvs: at most \(ProxyIntroduction.valuesLimit) bytes together"
            )
        }
        return TransportConfiguration(tls: tls, introduction: introduction)
    }

    /// What an endpoint is offered: as configured, else what is spoken.
    private func offered(_ common: Envoy.CommonTlsContext, _ speaks: EndpointProtocol) -> [String] {
        switch speaks {
        case .http1: return protocols(common, isHTTP1: true)
        case .http2: return common.alpnProtocols.isEmpty ? ["h2"] : common.alpnProtocols
        case .downstream: return common.alpnProtocols
        case .automatic: return common.alpnProtocols.isEmpty ? ["h2", "http/1.1"] : common.alpnProtocols
        }
    }

    /// What ALPN offers. HTTP/2 is left out where only HTTP/1 is spoken.
    private func protocols(_ common: Envoy.CommonTlsContext, isHTTP1: Bool) -> [String] {
        guard isHTTP1, common.alpnProtocols.contains("h2") else { return common.alpnProtocols }
        let others = common.alpnProtocols.filter { $0 != "h2" }
        if others.isEmpty {
            context.report(
                "common_tls_context.alpn_protocols: h2 is not spoken here; offer http/1.1, alone or beside it"
            )
        }
        return others
    }

    private func make(_ source: TLSSource) -> TLSHolder? {
        var source = source
        check(&source)
        guard context.isSound else { return nil }
        let holder: TLSHolder
        switch source.load(context.tls.secrets) {
        case .success(let made): holder = TLSHolder(source, context: made?.context, hash: made?.hash)
        case .failure(let error):
            guard source.mayComeLater(context.tls.secrets) else {
                context.report("common_tls_context: \(error)")
                return nil
            }
            holder = TLSHolder(source, context: nil, error: error.description)
        }
        context.tls.add(holder)
        return holder
    }

    /// What no file and no control plane can make good; notes where secrets come from.
    private func check(_ source: inout TLSSource) {
        let common = source.common
        func note(_ secret: Envoy.SdsSecretConfig?, _ step: String) {
            guard let secret else { return }
            let found = context.at("common_tls_context.\(step).sds_config") {
                context.source(secret.sdsConfig, .secret)
            }
            guard case .discovery(let server, let wait) = found else { return }
            let key = ResourceKey(server: server, name: secret.name)
            source.discovered[secret.name] = key
            context.refer(toSecret: key, wait: wait)
        }
        for (index, secret) in common.tlsCertificateSdsSecretConfigs.enumerated() {
            note(secret, "tls_certificate_sds_secret_configs[\(index)]")
        }
        switch common.validationContextType {
        case .validationContext(let validation): check(validation, "common_tls_context.validation_context")
        case .validationContextSdsSecretConfig(let secret): note(secret, "validation_context_sds_secret_config")
        case .combinedValidationContext(let combined):
            if let validation = combined.defaultValidationContext {
                check(validation, "common_tls_context.combined_validation_context.default_validation_context")
            }
            note(
                combined.validationContextSdsSecretConfig,
                "combined_validation_context.validation_context_sds_secret_config"
            )
        case nil: break
        }
    }

    private func check(_ validation: Envoy.CertificateValidationContext, _ step: String) {
        context.at(step) {
            for (index, matcher) in validation.matchTypedSubjectAltNames.enumerated() {
                if [.unspecified, .otherName].contains(matcher.sanType) {
                    context.report(
                        "match_typed_subject_alt_names[\(index)].san_type: use one of DNS, URI, IP_ADDRESS, EMAIL"
                    )
                }
                if matcher.matcher.flatMap(TLSSource.pattern) == nil {
                    context.report(
                        "match_typed_subject_alt_names[\(index)].matcher: use one of exact, prefix, suffix, contains"
                    )
                }
            }
        }
    }
}
