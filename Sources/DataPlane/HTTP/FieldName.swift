public import CWeft

/// The field names that a proxy acts on. Every other name is `.other` and passes as it came.
public enum FieldName: UInt8, BitwiseCopyable, Sendable {
    case other
    case host, connection, contentLength, transferEncoding, upgrade, expect, te, trailer, keepAlive, proxyConnection
    case http2Settings, via, server, date, cookie, authorization, forwarded
    case forwardedFor, forwardedProto, forwardedHost, forwardedPrefix, realIP, requestID, forwardedClientCert
    case secWebSocketKey, secWebSocketVersion, secWebSocketAccept, contentType
    /// A name that begins with `x-envoy-`: what a proxy says to the next one.
    case envoy
    /// A field that was taken out of its table: it matches nothing and does not pass.
    case dropped

    /// Fields that hold for one connection only (RFC 9110 section 7.6.1) or that the writer makes itself.
    @inlinable
    public var isHopByHop: Bool {
        switch self {
        case .connection, .transferEncoding, .upgrade, .te, .trailer, .keepAlive, .proxyConnection, .http2Settings,
            .dropped:
            true
        default: false
        }
    }

    /// Fields that a `Connection` field cannot make the proxy remove.
    @inlinable
    public var isProtected: Bool {
        switch self {
        case .host, .contentLength, .transferEncoding, .cookie, .authorization, .forwarded, .forwardedFor,
            .forwardedProto,
            .forwardedHost, .forwardedPrefix, .realIP, .requestID, .via, .date, .secWebSocketKey, .secWebSocketVersion,
            .expect, .envoy:
            true
        default: false
        }
    }

    /// Recognises a name in any case.
    @inlinable
    public static func recognise(_ name: UnsafeRawPointer, count: Int) -> FieldName {
        switch count {
        case 2: return matches(name, "te", 2) ? .te : .other
        case 3: return matches(name, "via", 3) ? .via : .other
        case 4: return matches(name, "host", 4) ? .host : matches(name, "date", 4) ? .date : .other
        case 6:
            if matches(name, "cookie", 6) { return .cookie }
            if matches(name, "expect", 6) { return .expect }
            return matches(name, "server", 6) ? .server : .other
        case 7: return matches(name, "upgrade", 7) ? .upgrade : matches(name, "trailer", 7) ? .trailer : .other
        case 9:
            return matches(name, "forwarded", 9) ? .forwarded : matches(name, "x-real-ip", 9) ? .realIP : .other
        case 10:
            return matches(name, "connection", 10) ? .connection : matches(name, "keep-alive", 10) ? .keepAlive : .other
        case 12:
            if matches(name, "x-request-id", 12) { return .requestID }
            return matches(name, "content-type", 12) ? .contentType : .other
        case 13: return matches(name, "authorization", 13) ? .authorization : .other
        case 14:
            if matches(name, "content-length", 14) { return .contentLength }
            return matches(name, "http2-settings", 14) ? .http2Settings : .other
        case 15: return matches(name, "x-forwarded-for", 15) ? .forwardedFor : envoy(name)
        case 16:
            if matches(name, "x-forwarded-host", 16) { return .forwardedHost }
            return matches(name, "proxy-connection", 16) ? .proxyConnection : envoy(name)
        case 17:
            if matches(name, "transfer-encoding", 17) { return .transferEncoding }
            if matches(name, "x-forwarded-proto", 17) { return .forwardedProto }
            return matches(name, "sec-websocket-key", 17) ? .secWebSocketKey : envoy(name)
        case 18: return matches(name, "x-forwarded-prefix", 18) ? .forwardedPrefix : envoy(name)
        case 23: return matches(name, "x-forwarded-client-cert", 23) ? .forwardedClientCert : envoy(name)
        case 20: return matches(name, "sec-websocket-accept", 20) ? .secWebSocketAccept : envoy(name)
        case 21: return matches(name, "sec-websocket-version", 21) ? .secWebSocketVersion : envoy(name)
        case 19...40: return envoy(name)
        default: return .other
        }
    }

    /// The name has at least 15 bytes.
    @inlinable @inline(__always)
    static func envoy(_ name: UnsafeRawPointer) -> FieldName { matches(name, "x-envoy-", 8) ? .envoy : .other }

    @inlinable @inline(__always)
    static func matches(_ name: UnsafeRawPointer, _ lower: StaticString, _ count: Int) -> Bool {
        // The first byte differs for almost every other name of the length.
        let first = name.load(as: UInt8.self) | 0x20
        guard first == lower.utf8Start[0] else { return false }
        return cweft_equals_lower(name, lower.utf8Start, count) != 0
    }
}
