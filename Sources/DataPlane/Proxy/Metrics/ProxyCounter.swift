/// Counters of a worker that need no labels beyond one fixed one.
enum ProxyCounter: Int, CaseIterable, Sendable {
    // Connections from clients.
    case downstreamConnectionsTotal, downstreamConnectionsRefused, connectionsLimited
    case downstreamRequestsTotal
    case downstreamHTTP2Connections, downstreamHTTP2Requests
    // Requests that the proxy answered itself.
    case idleConnectionsShed, connectionsShed
    case requestsShed, requestsTimedOut, noRoute, noCluster, noHealthyEndpoint
    // Towards endpoints.
    case upstreamHTTP2Connections, upstreamHTTP2Requests
    case upstreamConnectionsTotal, upstreamConnectFailures, upstreamConnectTimeouts
    case retriesTotal, retriesOverBudget, retriesLimitReached, retriesSucceeded
    case endpointWaits
    case mirrorsTotal, mirrorsRefused, mirrorsGivenUp
    case redirectsFollowed
    case breakerConnections, breakerPending, breakerRequests
    case ejectionsConsecutive5xx, ejectionsConsecutiveGateway, ejectionsConsecutiveLocal, ejectionsSuccessRate
    case ejectionsFailurePercentage
    case ejectionsEnded
    // Detection of protocols.
    case detectedHTTP, detectedOther, detectionTimeouts
    // TLS.
    case tlsNoCertificate, tlsChainRefused, tlsNameRefused, tlsOldVersion, tlsNewVersion, tlsResumed
    case tlsUpstreamResumed, tlsUpstreamChainRefused, tlsUpstreamNameRefused
    case tlsHandshakes, tlsHandshakeFailures, tlsUpstreamHandshakes, tlsUpstreamFailures
    // Housekeeping.
    case listenersTakenOver, accessLogDropped, acceptFailures, systemCallFailures, loopIterations
}

/// Gauges of a worker.
enum ProxyGauge: Int, CaseIterable, Sendable {
    case downstreamConnections, downstreamHTTP2Open, downstreamRequests, upstreamConnections, upstreamConnectionsIdle
    case bufferBytes
    /// How late the loop came to its last look at itself, microseconds.
    case loopLagMicroseconds
    /// Who waited longer is refused; 0: nobody is.
    case queueLimitMicroseconds
}

/// What a peer did that no honest peer does: each has its counter `protocol_violation_total{kind}`.
enum ProtocolViolation: Int, CaseIterable, Sendable {
    case badRequestLine, badHeader, badFraming, badChunk, badTarget, badHost, headerTooLarge, tooManyHeaders, uriTooLong
    case badUpgrade, unsupportedVersion, slowRequest, badProxyHeader, http2, other
    case badResponse, unexpectedResponseBytes, tooManyInterimResponses

    var name: String {
        switch self {
        case .badRequestLine: "bad_request_line"
        case .badHeader: "bad_header"
        case .badFraming: "bad_framing"
        case .badChunk: "bad_chunk"
        case .badTarget: "bad_target"
        case .badHost: "bad_host"
        case .headerTooLarge: "header_too_large"
        case .tooManyHeaders: "too_many_headers"
        case .uriTooLong: "uri_too_long"
        case .badUpgrade: "bad_upgrade"
        case .unsupportedVersion: "unsupported_version"
        case .slowRequest: "slow_request"
        case .badProxyHeader: "bad_proxy_header"
        case .http2: "http2"
        case .other: "other"
        case .badResponse: "bad_response"
        case .unexpectedResponseBytes: "unexpected_response_bytes"
        case .tooManyInterimResponses: "too_many_interim_responses"
        }
    }
}
