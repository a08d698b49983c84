extension Envoy {
    /// What a watched file may hold.
    package enum Resource: AnyExtension {
        case listener(Listener)
        case cluster(Cluster)
        case routeConfiguration(RouteConfiguration)
        case clusterLoadAssignment(ClusterLoadAssignment)
        case secret(Secret)

        package static let members = AnyMembers<Resource>(
            "resource",
            [
                AnyMember(Listener.self, wrap: { .listener($0) }) {
                    if case .listener(let value) = $0 { value } else { nil }
                },
                AnyMember(Cluster.self, wrap: { .cluster($0) }) {
                    if case .cluster(let value) = $0 { value } else { nil }
                },
                AnyMember(RouteConfiguration.self, wrap: { .routeConfiguration($0) }) {
                    if case .routeConfiguration(let value) = $0 { value } else { nil }
                },
                AnyMember(ClusterLoadAssignment.self, wrap: { .clusterLoadAssignment($0) }) {
                    if case .clusterLoadAssignment(let value) = $0 { value } else { nil }
                },
                AnyMember(Secret.self, wrap: { .secret($0) }) {
                    if case .secret(let value) = $0 { value } else { nil }
                },
            ]
        )
    }

    /// The listener filters that exist here.
    package enum ListenerFilterConfig: AnyExtension {
        case originalDst(OriginalDst)
        case httpInspector(HttpInspector)
        case proxyProtocol(ProxyProtocol)
        case tlsInspector(TlsInspector)

        package static let members = AnyMembers<ListenerFilterConfig>(
            "listener filter",
            [
                AnyMember(OriginalDst.self, wrap: { .originalDst($0) }) {
                    if case .originalDst(let value) = $0 { value } else { nil }
                },
                AnyMember(HttpInspector.self, wrap: { .httpInspector($0) }) {
                    if case .httpInspector(let value) = $0 { value } else { nil }
                },
                AnyMember(ProxyProtocol.self, wrap: { .proxyProtocol($0) }) {
                    if case .proxyProtocol(let value) = $0 { value } else { nil }
                },
                AnyMember(TlsInspector.self, wrap: { .tlsInspector($0) }) {
                    if case .tlsInspector(let value) = $0 { value } else { nil }
                },
            ]
        )
    }

    /// The network filters that exist here.
    package enum NetworkFilterConfig: AnyExtension {
        case httpConnectionManager(HttpConnectionManager)
        case tcpProxy(TcpProxy)
        case connectionLimit(ConnectionLimit)
        case connectionRateLimit(ConnectionRateLimit)
        case rbac(NetworkRBAC)
        case directResponse(NetworkDirectResponse)
        case echo(Echo)

        package static let members = AnyMembers<NetworkFilterConfig>(
            "network filter",
            [
                AnyMember(HttpConnectionManager.self, wrap: { .httpConnectionManager($0) }) {
                    if case .httpConnectionManager(let value) = $0 { value } else { nil }
                },
                AnyMember(TcpProxy.self, wrap: { .tcpProxy($0) }) {
                    if case .tcpProxy(let value) = $0 { value } else { nil }
                },
                AnyMember(ConnectionLimit.self, wrap: { .connectionLimit($0) }) {
                    if case .connectionLimit(let value) = $0 { value } else { nil }
                },
                AnyMember(ConnectionRateLimit.self, wrap: { .connectionRateLimit($0) }) {
                    if case .connectionRateLimit(let value) = $0 { value } else { nil }
                },
                AnyMember(NetworkRBAC.self, wrap: { .rbac($0) }) {
                    if case .rbac(let value) = $0 { value } else { nil }
                },
                AnyMember(NetworkDirectResponse.self, wrap: { .directResponse($0) }) {
                    if case .directResponse(let value) = $0 { value } else { nil }
                },
                AnyMember(Echo.self, wrap: { .echo($0) }) { if case .echo(let value) = $0 { value } else { nil } },
            ]
        )
    }

    /// The access loggers that exist here.
    package enum AccessLogConfig: AnyExtension {
        case file(FileAccessLog)
        case stdout(StdoutAccessLog)
        case stderr(StderrAccessLog)

        package static let members = AnyMembers<AccessLogConfig>(
            "access logger",
            [
                AnyMember(FileAccessLog.self, wrap: { .file($0) }) {
                    if case .file(let value) = $0 { value } else { nil }
                },
                AnyMember(StdoutAccessLog.self, wrap: { .stdout($0) }) {
                    if case .stdout(let value) = $0 { value } else { nil }
                },
                AnyMember(StderrAccessLog.self, wrap: { .stderr($0) }) {
                    if case .stderr(let value) = $0 { value } else { nil }
                },
            ]
        )
    }

    /// The balancers that exist here.
    package enum LoadBalancingPolicyConfig: AnyExtension {
        case roundRobin(RoundRobin)
        case random(Random)
        case leastRequest(LeastRequest)
        case ringHash(RingHash)
        case maglev(Maglev)
        case peakEwma(PeakEwma)

        package static let members = AnyMembers<LoadBalancingPolicyConfig>(
            "load balancing policy",
            isTolerant: true,
            [
                AnyMember(RoundRobin.self, wrap: { .roundRobin($0) }) {
                    if case .roundRobin(let value) = $0 { value } else { nil }
                },
                AnyMember(Random.self, wrap: { .random($0) }) {
                    if case .random(let value) = $0 { value } else { nil }
                },
                AnyMember(LeastRequest.self, wrap: { .leastRequest($0) }) {
                    if case .leastRequest(let value) = $0 { value } else { nil }
                },
                AnyMember(RingHash.self, wrap: { .ringHash($0) }) {
                    if case .ringHash(let value) = $0 { value } else { nil }
                },
                AnyMember(Maglev.self, wrap: { .maglev($0) }) {
                    if case .maglev(let value) = $0 { value } else { nil }
                },
                AnyMember(PeakEwma.self, wrap: { .peakEwma($0) }) {
                    if case .peakEwma(let value) = $0 { value } else { nil }
                },
            ]
        )
    }

    /// The ways to avoid endpoints in retries that exist here.
    package enum RetryHostPredicateConfig: AnyExtension {
        case previousHosts(PreviousHostsPredicate)
        case omitCanaryHosts(OmitCanaryHostsPredicate)

        package static let members = AnyMembers<RetryHostPredicateConfig>(
            "retry host predicate",
            [
                AnyMember(PreviousHostsPredicate.self, wrap: { .previousHosts($0) }) {
                    if case .previousHosts(let value) = $0 { value } else { nil }
                },
                AnyMember(OmitCanaryHostsPredicate.self, wrap: { .omitCanaryHosts($0) }) {
                    if case .omitCanaryHosts(let value) = $0 { value } else { nil }
                },
            ]
        )
    }

    /// The protocol options of clusters that exist here.
    package enum UpstreamProtocolOptions: AnyExtension {
        case http(UpstreamHttpProtocolOptions)

        package static let members = AnyMembers<UpstreamProtocolOptions>(
            "set of protocol options",
            [
                AnyMember(UpstreamHttpProtocolOptions.self, wrap: { .http($0) }) {
                    if case .http(let value) = $0 { value } else { nil }
                }
            ]
        )
    }
}

extension Envoy {
    /// The resolvers of names that exist here.
    package enum DnsResolverConfig: AnyExtension {
        case cares(CaresDnsResolverConfig)

        package static let members = AnyMembers<DnsResolverConfig>(
            "DNS resolver",
            [
                AnyMember(CaresDnsResolverConfig.self, wrap: { .cares($0) }) {
                    if case .cares(let value) = $0 { value } else { nil }
                }
            ]
        )
    }

    /// The places for health events that exist here.
    package enum HealthCheckEventSinkConfig: AnyExtension {
        case file(HealthCheckEventFileSink)

        package static let members = AnyMembers<HealthCheckEventSinkConfig>(
            "health check event sink",
            [
                AnyMember(HealthCheckEventFileSink.self, wrap: { .file($0) }) {
                    if case .file(let value) = $0 { value } else { nil }
                }
            ]
        )
    }
}

extension Envoy.DiscoveryResponse {
    /// The listeners among the resources.
    package var listeners: [Envoy.Listener] {
        resources.compactMap { if case .listener(let value) = $0 { value } else { nil } }
    }

    /// The clusters among the resources.
    package var clusters: [Envoy.Cluster] {
        resources.compactMap { if case .cluster(let value) = $0 { value } else { nil } }
    }

    /// The route configurations among the resources.
    package var routeConfigurations: [Envoy.RouteConfiguration] {
        resources.compactMap { if case .routeConfiguration(let value) = $0 { value } else { nil } }
    }

    /// The endpoint assignments among the resources.
    package var clusterLoadAssignments: [Envoy.ClusterLoadAssignment] {
        resources.compactMap { if case .clusterLoadAssignment(let value) = $0 { value } else { nil } }
    }
}
