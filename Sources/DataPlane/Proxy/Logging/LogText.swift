/// A text of an entry that is no header.
enum LogText: Int, CaseIterable, Sendable {
    /// Path with query, as it went upstream.
    case method, authority, path, scheme
    case routeName, virtualHost, cluster, filterChain
    /// The endpoint's address where it is no IP address; its host name.
    case upstreamName, upstreamHostname
    case details, failure, termination, requestID
    /// The body of the proxy's own answer.
    case localReply
    /// The numbers of a trace and a span, in hexadecimal; a `SpanRecord` as bytes.
    case traceID, spanID, span
    case serverName, tlsVersion, tlsCipher, tlsGroup, tlsSessionID
    case peerSubject, peerIssuer, peerSerial, peerURIs, peerDNSNames, peerAddresses, peerEmails
    case peerDigest, peerShortDigest, peerCertificate, peerNotBefore, peerNotAfter
    case ownSubject, ownURIs, ownDNSNames, ownAddresses, ownEmails
}
