import EnvoyAPI

/// How the proxy's own answers say what went wrong (`proxy_status_config`, RFC 9209).
struct ProxyStatusRule: Sendable {
    var name: [UInt8]
    var hasDetails: Bool
    var hasFlags: Bool

    init(_ message: Envoy.HttpConnectionManager.ProxyStatusConfig, _ context: CompileContext) {
        let wanted = message.literalProxyName ?? ""
        name = Array((wanted.isEmpty ? "weft" : wanted).utf8)
        hasDetails = !message.removeDetails
        hasFlags = !message.removeResponseFlags
        // A token of structured fields (RFC 8941 section 3.3.4).
        let isToken = name.enumerated().allSatisfy { index, byte in
            let isLetter = (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2A
            return isLetter
                || (index > 0 && (0x21...0x7E).contains(byte) && !Array("\"(),;<=>?@[\\]{}".utf8).contains(byte))
        }
        if !isToken { context.report("literal_proxy_name: \"\(wanted)\" is no token, which begins with a letter") }
    }

    /// The kind of error that flags stand for; nil: none of the proxy's.
    static func error(_ flags: ResponseFlags) -> StaticString? {
        if flags.contains(.noHealthyUpstream) { return "destination_unavailable" }
        if flags.contains(.upstreamTimeout) { return "http_response_timeout" }
        if flags.contains(.localReset) { return "connection_timeout" }
        if flags.contains(.upstreamRemoteReset) { return "connection_terminated" }
        if flags.contains(.upstreamConnectionFailure) { return "connection_refused" }
        if flags.contains(.upstreamConnectionTermination) { return "connection_terminated" }
        if flags.contains(.upstreamOverflow) { return "connection_limit_reached" }
        if flags.contains(.noRoute) { return "destination_not_found" }
        if flags.contains(.rateLimited) { return "connection_limit_reached" }
        if flags.contains(.upstreamRetryLimit) { return "destination_unavailable" }
        if flags.contains(.streamIdleTimeout) { return "http_response_timeout" }
        if flags.contains(.downstreamProtocolError) { return "http_request_error" }
        if flags.contains(.durationTimeout) { return "http_response_timeout" }
        if flags.contains(.upstreamProtocolError) { return "http_protocol_error" }
        return flags.contains(.noCluster) ? "destination_unavailable" : nil
    }
}
