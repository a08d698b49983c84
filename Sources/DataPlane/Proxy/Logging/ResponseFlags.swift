/// Why an answer is not simply the upstream's: Envoy's response flags, in Envoy's order.
struct ResponseFlags: OptionSet, BitwiseCopyable, Sendable {
    let rawValue: UInt32

    static let failedLocalHealthCheck = ResponseFlags(rawValue: 1 << 0)
    static let noHealthyUpstream = ResponseFlags(rawValue: 1 << 1)
    static let upstreamTimeout = ResponseFlags(rawValue: 1 << 2)
    static let localReset = ResponseFlags(rawValue: 1 << 3)
    static let upstreamRemoteReset = ResponseFlags(rawValue: 1 << 4)
    static let upstreamConnectionFailure = ResponseFlags(rawValue: 1 << 5)
    static let upstreamConnectionTermination = ResponseFlags(rawValue: 1 << 6)
    static let upstreamOverflow = ResponseFlags(rawValue: 1 << 7)
    static let noRoute = ResponseFlags(rawValue: 1 << 8)
    static let delayInjected = ResponseFlags(rawValue: 1 << 9)
    static let faultInjected = ResponseFlags(rawValue: 1 << 10)
    static let rateLimited = ResponseFlags(rawValue: 1 << 11)
    static let downstreamTermination = ResponseFlags(rawValue: 1 << 12)
    static let upstreamRetryLimit = ResponseFlags(rawValue: 1 << 13)
    static let streamIdleTimeout = ResponseFlags(rawValue: 1 << 14)
    static let downstreamProtocolError = ResponseFlags(rawValue: 1 << 15)
    static let upstreamMaxStreamDuration = ResponseFlags(rawValue: 1 << 16)
    static let durationTimeout = ResponseFlags(rawValue: 1 << 17)
    static let upstreamProtocolError = ResponseFlags(rawValue: 1 << 18)
    static let noCluster = ResponseFlags(rawValue: 1 << 19)
    static let overloadManager = ResponseFlags(rawValue: 1 << 20)
    static let dnsFailure = ResponseFlags(rawValue: 1 << 21)
    static let dropOverload = ResponseFlags(rawValue: 1 << 22)
    static let downstreamRemoteReset = ResponseFlags(rawValue: 1 << 23)
    static let unauthorizedExternalService = ResponseFlags(rawValue: 1 << 24)
    static let rateLimitServiceError = ResponseFlags(rawValue: 1 << 25)
    /// Not Envoy's: the answer came from the filter `fallback`.
    static let fallback = ResponseFlags(rawValue: 1 << 26)

    /// Short and long names as in Envoy's logs, by bit.
    static let names: [(short: String, long: String)] = [
        ("LH", "FailedLocalHealthCheck"), ("UH", "NoHealthyUpstream"), ("UT", "UpstreamRequestTimeout"),
        ("LR", "LocalReset"), ("UR", "UpstreamRemoteReset"), ("UF", "UpstreamConnectionFailure"),
        ("UC", "UpstreamConnectionTermination"), ("UO", "UpstreamOverflow"), ("NR", "NoRouteFound"),
        ("DI", "DelayInjected"), ("FI", "FaultInjected"), ("RL", "RateLimited"),
        ("DC", "DownstreamConnectionTermination"), ("URX", "UpstreamRetryLimitExceeded"), ("SI", "StreamIdleTimeout"),
        ("DPE", "DownstreamProtocolError"), ("UMSDR", "UpstreamMaxStreamDurationReached"), ("DT", "DurationTimeout"),
        ("UPE", "UpstreamProtocolError"), ("NC", "NoClusterFound"), ("OM", "OverloadManagerTerminated"),
        ("DF", "DnsResolutionFailed"), ("DO", "DropOverload"), ("DR", "DownstreamRemoteReset"),
        ("UAEX", "UnauthorizedExternalService"), ("RLSE", "RateLimitServiceError"), ("FB", "Fallback"),
    ]

    /// Flags that Envoy has and that never stand in an answer of this proxy: it has not the features behind them.
    static let foreignNames: Set<String> = ["IH", "RFCF", "NFCF", "UDO"]

    /// The flag of a short name, or nil.
    init?(name: String) {
        guard let bit = Self.names.firstIndex(where: { $0.short == name }) else { return nil }
        self.init(rawValue: 1 << UInt32(bit))
    }

    init(rawValue: UInt32) { self.rawValue = rawValue }

    var text: String { joined(\.short) }
    var longText: String { joined(\.long) }

    private func joined(_ name: KeyPath<(short: String, long: String), String>) -> String {
        guard rawValue != 0 else { return "-" }
        return Self.names.indices.filter { rawValue & (1 << UInt32($0)) != 0 }.map { Self.names[$0][keyPath: name] }
            .joined(separator: ",")
    }
}
