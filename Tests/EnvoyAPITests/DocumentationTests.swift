import EnvoyAPI
import Glibc
import Testing

@Suite("docs/envoy.md")
struct DocumentationTests {
    private static let messages: [any EnvoyMessage.Type] = [
        Envoy.DiscoveryResponse.self, Envoy.ControlPlane.self, Envoy.Bootstrap.self,
        Envoy.Bootstrap.StaticResources.self, Envoy.Bootstrap.DynamicResources.self, Envoy.Admin.self, Envoy.Node.self,
        Envoy.Locality.self, Envoy.ConfigSource.self, Envoy.PathConfigSource.self, Envoy.WatchedDirectory.self,
        Envoy.Address.self, Envoy.SocketAddress.self, Envoy.Pipe.self, Envoy.CidrRange.self, Envoy.BindConfig.self,
        Envoy.TcpKeepalive.self, Envoy.Metadata.self, Envoy.HeaderValue.self, Envoy.HeaderValueOption.self,
        Envoy.DataSource.self, Envoy.RuntimeFractionalPercent.self, Envoy.RuntimeDouble.self,
        Envoy.FractionalPercent.self, Envoy.Percent.self, Envoy.Int64Range.self, Envoy.TypedExtensionConfig.self,
        Envoy.StringMatcher.self, Envoy.RegexMatcher.self, Envoy.RegexMatcher.GoogleRE2.self,
        Envoy.RegexMatchAndSubstitute.self, Envoy.CookieMatcher.self, Envoy.RouteAction.MaxStreamDuration.self,
        Envoy.CommonHttpProtocolOptions.self, Envoy.Http1ProtocolOptions.self,
        Envoy.Http2ProtocolOptions.self, Envoy.KeepaliveSettings.self,
        Envoy.SubstitutionFormatString.self, Envoy.AccessLog.self, Envoy.FileAccessLog.self, Envoy.StdoutAccessLog.self,
        Envoy.StderrAccessLog.self, Envoy.Listener.self, Envoy.AdditionalAddress.self, Envoy.ListenerFilter.self,
        Envoy.OriginalDst.self, Envoy.HttpInspector.self, Envoy.ProxyProtocol.self, Envoy.FilterChain.self,
        Envoy.FilterChainMatch.self,
        Envoy.Filter.self, Envoy.HttpConnectionManager.self, Envoy.Rds.self,
        Envoy.HttpConnectionManager.UpgradeConfig.self, Envoy.HttpFilter.self, Envoy.Router.self, Envoy.TcpProxy.self,
        Envoy.TcpProxy.WeightedCluster.self, Envoy.TcpProxy.WeightedCluster.ClusterWeight.self,
        Envoy.RouteConfiguration.self, Envoy.VirtualHost.self, Envoy.Route.self, Envoy.RouteMatch.self,
        Envoy.HeaderMatcher.self, Envoy.QueryParameterMatcher.self, Envoy.RouteAction.self,
        Envoy.RouteAction.UpgradeConfig.self, Envoy.WeightedCluster.self, Envoy.WeightedCluster.ClusterWeight.self,
        Envoy.RetryPolicy.self, Envoy.RetryPolicy.RetryBackOff.self, Envoy.RetryPolicy.RetryHostPredicate.self,
        Envoy.PreviousHostsPredicate.self, Envoy.TcpProxy.TunnelingConfig.self, Envoy.OmitCanaryHostsPredicate.self,
        Envoy.RetryPolicy.RateLimitedRetryBackOff.self, Envoy.RetryPolicy.ResetHeader.self,
        Envoy.RouteAction.RequestMirrorPolicy.self, Envoy.RouteAction.ConnectConfig.self,
        Envoy.InternalRedirectPolicy.self, Envoy.NonForwardingAction.self,
        Envoy.RouteMatch.GrpcRouteMatchOptions.self, Envoy.RouteMatch.ConnectMatcher.self,
        Envoy.RouteMatch.TlsContextMatchOptions.self, Envoy.HttpConnectionManager.InternalAddressConfig.self,
        Envoy.LayeredRuntime.self, Envoy.RuntimeLayer.self, Envoy.AdminLayer.self,
        Envoy.RedirectAction.self, Envoy.DirectResponseAction.self,
        Envoy.Cluster.self, Envoy.Cluster.EdsClusterConfig.self, Envoy.Cluster.LeastRequestLbConfig.self,
        Envoy.Cluster.OriginalDstLbConfig.self, Envoy.Cluster.CommonLbConfig.self, Envoy.LoadBalancingPolicy.self,
        Envoy.LoadBalancingPolicy.Policy.self, Envoy.UpstreamConnectionOptions.self, Envoy.CircuitBreakers.self,
        Envoy.CircuitBreakers.Thresholds.self, Envoy.CircuitBreakers.Thresholds.RetryBudget.self,
        Envoy.OutlierDetection.self, Envoy.RoundRobin.self, Envoy.Random.self, Envoy.LeastRequest.self,
        Envoy.PeakEwma.self, Envoy.UpstreamHttpProtocolOptions.self,
        Envoy.UpstreamHttpProtocolOptions.ExplicitHttpConfig.self, Envoy.ClusterLoadAssignment.self,
        Envoy.ClusterLoadAssignment.Policy.self, Envoy.LocalityLbEndpoints.self, Envoy.LbEndpoint.self,
        Envoy.Endpoint.self, Envoy.TransportSocket.self, Envoy.RawBuffer.self, Envoy.TlsInspector.self,
        Envoy.DownstreamTlsContext.self, Envoy.UpstreamTlsContext.self, Envoy.CommonTlsContext.self,
        Envoy.TlsParameters.self, Envoy.TlsCertificate.self, Envoy.CertificateValidationContext.self,
        Envoy.CertificateValidationContext.SystemRootCerts.self, Envoy.SubjectAltNameMatcher.self,
        Envoy.CombinedCertificateValidationContext.self, Envoy.SdsSecretConfig.self, Envoy.Secret.self,
        Envoy.SocketOption.self, Envoy.SocketOptionsOverride.self, Envoy.ConnectionLimit.self,
        Envoy.NetworkDirectResponse.self, Envoy.Echo.self, Envoy.OverloadManager.self, Envoy.ResourceMonitor.self,
        Envoy.DownstreamConnectionsConfig.self, Envoy.ProxyProtocolUpstreamTransport.self,
        Envoy.ProxyProtocolConfig.self, Envoy.TlvEntry.self, Envoy.Cluster.TransportSocketMatch.self,
        Envoy.NamingOptions.self, Envoy.HttpConnectionManager.SetCurrentClientCertDetails.self,
    ]

    @Test("the list of supported fields is what the tables hold")
    func listIsTrue() throws {
        let rows = try document().split(separator: "\n").filter { $0.hasPrefix("| `") }
        #expect(Set(rows) == Set(Self.messages.map { Substring(Self.row($0)) }))
    }

    private static func row<M: EnvoyMessage>(_: M.Type) -> String {
        let supported = M.schema.supportedFields.joined(separator: ", ")
        let ignored = M.schema.ignoredFields.joined(separator: ", ")
        return "| `\(M.schema.name)` | \(supported.isEmpty ? "(none)" : supported) | \(ignored) |"
    }

    private func document() throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try #require(fopen("/\(root)/docs/envoy.md", "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
