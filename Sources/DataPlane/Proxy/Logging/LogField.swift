/// Command operators without an argument, by their names in Envoy.
enum LogField: String, CaseIterable, Sendable {
    // Times, in milliseconds.
    case duration = "DURATION"
    case requestDuration = "REQUEST_DURATION"
    case responseDuration = "RESPONSE_DURATION"
    case responseTxDuration = "RESPONSE_TX_DURATION"
    case roundtripDuration = "ROUNDTRIP_DURATION"
    // Sizes.
    case bytesReceived = "BYTES_RECEIVED"
    case bytesSent = "BYTES_SENT"
    case bytesRetransmitted = "BYTES_RETRANSMITTED"
    case packetsRetransmitted = "PACKETS_RETRANSMITTED"
    case downstreamWireBytesReceived = "DOWNSTREAM_WIRE_BYTES_RECEIVED"
    case downstreamWireBytesSent = "DOWNSTREAM_WIRE_BYTES_SENT"
    case requestHeadersBytes = "REQUEST_HEADERS_BYTES"
    case responseHeadersBytes = "RESPONSE_HEADERS_BYTES"
    case responseTrailersBytes = "RESPONSE_TRAILERS_BYTES"
    // The answer.
    case `protocol` = "PROTOCOL"
    case responseCode = "RESPONSE_CODE"
    case responseCodeDetails = "RESPONSE_CODE_DETAILS"
    case responseFlags = "RESPONSE_FLAGS"
    case responseFlagsLong = "RESPONSE_FLAGS_LONG"
    case connectionTerminationDetails = "CONNECTION_TERMINATION_DETAILS"
    case grpcStatusNumber = "GRPC_STATUS_NUMBER"
    case localReplyBody = "LOCAL_REPLY_BODY"
    // Where it went.
    case routeName = "ROUTE_NAME"
    case virtualClusterName = "VIRTUAL_CLUSTER_NAME"
    case filterChainName = "FILTER_CHAIN_NAME"
    case upstreamCluster = "UPSTREAM_CLUSTER"
    case upstreamClusterRaw = "UPSTREAM_CLUSTER_RAW"
    case upstreamHost = "UPSTREAM_HOST"
    case upstreamHostName = "UPSTREAM_HOST_NAME"
    case upstreamHostNameWithoutPort = "UPSTREAM_HOST_NAME_WITHOUT_PORT"
    case upstreamRemoteAddress = "UPSTREAM_REMOTE_ADDRESS"
    case upstreamRemoteAddressWithoutPort = "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"
    case upstreamRemotePort = "UPSTREAM_REMOTE_PORT"
    case upstreamLocalAddress = "UPSTREAM_LOCAL_ADDRESS"
    case upstreamLocalAddressWithoutPort = "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT"
    case upstreamLocalPort = "UPSTREAM_LOCAL_PORT"
    case upstreamProtocol = "UPSTREAM_PROTOCOL"
    case upstreamRequestAttemptCount = "UPSTREAM_REQUEST_ATTEMPT_COUNT"
    case upstreamTransportFailureReason = "UPSTREAM_TRANSPORT_FAILURE_REASON"
    // Where it came from.
    case downstreamRemoteAddress = "DOWNSTREAM_REMOTE_ADDRESS"
    case downstreamRemoteAddressWithoutPort = "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"
    case downstreamRemotePort = "DOWNSTREAM_REMOTE_PORT"
    case downstreamDirectRemoteAddress = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS"
    case downstreamDirectRemoteAddressWithoutPort = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT"
    case downstreamDirectRemotePort = "DOWNSTREAM_DIRECT_REMOTE_PORT"
    case downstreamLocalAddress = "DOWNSTREAM_LOCAL_ADDRESS"
    case downstreamLocalAddressWithoutPort = "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT"
    case downstreamLocalPort = "DOWNSTREAM_LOCAL_PORT"
    case connectionID = "CONNECTION_ID"
    case requestedServerName = "REQUESTED_SERVER_NAME"
    case downstreamTLSVersion = "DOWNSTREAM_TLS_VERSION"
    case downstreamTLSCipher = "DOWNSTREAM_TLS_CIPHER"
    case downstreamPeerSubject = "DOWNSTREAM_PEER_SUBJECT"
    case downstreamPeerURIs = "DOWNSTREAM_PEER_URI_SAN"
    case downstreamPeerDNSNames = "DOWNSTREAM_PEER_DNS_SAN"
    case downstreamPeerAddresses = "DOWNSTREAM_PEER_IP_SAN"
    case downstreamPeerEmails = "DOWNSTREAM_PEER_EMAIL_SAN"
    case downstreamPeerDigest = "DOWNSTREAM_PEER_FINGERPRINT_256"
    case downstreamTLSGroup = "DOWNSTREAM_TLS_GROUP"
    case downstreamTLSSessionID = "DOWNSTREAM_TLS_SESSION_ID"
    case downstreamPeerIssuer = "DOWNSTREAM_PEER_ISSUER"
    case downstreamPeerSerial = "DOWNSTREAM_PEER_SERIAL"
    case downstreamPeerShortDigest = "DOWNSTREAM_PEER_FINGERPRINT_1"
    case downstreamPeerCertificate = "DOWNSTREAM_PEER_CERT"
    case downstreamPeerNotBefore = "DOWNSTREAM_PEER_CERT_V_START"
    case downstreamPeerNotAfter = "DOWNSTREAM_PEER_CERT_V_END"
    case downstreamLocalSubject = "DOWNSTREAM_LOCAL_SUBJECT"
    case downstreamLocalURIs = "DOWNSTREAM_LOCAL_URI_SAN"
    case downstreamLocalDNSNames = "DOWNSTREAM_LOCAL_DNS_SAN"
    case downstreamLocalAddresses = "DOWNSTREAM_LOCAL_IP_SAN"
    case downstreamLocalEmails = "DOWNSTREAM_LOCAL_EMAIL_SAN"
    // Identities.
    case hostname = "HOSTNAME"
    case uniqueID = "UNIQUE_ID"
    case streamID = "STREAM_ID"
    case accessLogType = "ACCESS_LOG_TYPE"
    // What nothing here ever sets: they give what Envoy gives without the features behind them.
    case traceID = "TRACE_ID"
    case spanID = "SPAN_ID"
    case customFlags = "CUSTOM_FLAGS"

    /// The text that the operator reads, if it reads one.
    var text: LogText? {
        switch self {
        case .responseCodeDetails: .details
        case .connectionTerminationDetails: .termination
        case .localReplyBody: .localReply
        case .routeName: .routeName
        case .filterChainName: .filterChain
        case .upstreamCluster, .upstreamClusterRaw: .cluster
        case .upstreamHost, .upstreamRemoteAddress, .upstreamRemoteAddressWithoutPort: .upstreamName
        case .upstreamHostName, .upstreamHostNameWithoutPort: .upstreamHostname
        case .upstreamTransportFailureReason: .failure
        case .requestedServerName: .serverName
        case .downstreamTLSVersion: .tlsVersion
        case .downstreamTLSCipher: .tlsCipher
        case .downstreamPeerSubject: .peerSubject
        case .downstreamPeerURIs: .peerURIs
        case .downstreamPeerDNSNames: .peerDNSNames
        case .downstreamPeerAddresses: .peerAddresses
        case .downstreamPeerEmails: .peerEmails
        case .downstreamPeerDigest: .peerDigest
        case .downstreamTLSGroup: .tlsGroup
        case .downstreamTLSSessionID: .tlsSessionID
        case .downstreamPeerIssuer: .peerIssuer
        case .downstreamPeerSerial: .peerSerial
        case .downstreamPeerShortDigest: .peerShortDigest
        case .downstreamPeerCertificate: .peerCertificate
        case .downstreamPeerNotBefore: .peerNotBefore
        case .downstreamPeerNotAfter: .peerNotAfter
        case .downstreamLocalSubject: .ownSubject
        case .downstreamLocalURIs: .ownURIs
        case .downstreamLocalDNSNames: .ownDNSNames
        case .downstreamLocalAddresses: .ownAddresses
        case .downstreamLocalEmails: .ownEmails
        case .streamID: .requestID
        case .traceID: .traceID
        case .spanID: .spanID
        default: nil
        }
    }

    /// Operators of Envoy without an argument that weft-proxy has not, each with the reason.
    static let refused: [String: String] = {
        var reasons: [String: String] = [:]
        for name in [
            "UPSTREAM_WIRE_BYTES_SENT", "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_HEADER_BYTES_SENT",
            "UPSTREAM_HEADER_BYTES_RECEIVED", "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
            "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT",
            "DOWNSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
            "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
        ] {
            reasons[name] = "is not measured; use BYTES_SENT, BYTES_RECEIVED or DOWNSTREAM_WIRE_BYTES_SENT"
        }
        for name in [
            "REQUEST_TX_DURATION", "DOWNSTREAM_HANDSHAKE_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION",
            "DOWNSTREAM_CX_RTT",
        ] {
            reasons[name] = "is not measured; use DURATION, REQUEST_DURATION or RESPONSE_DURATION"
        }
        return reasons
    }()
}
