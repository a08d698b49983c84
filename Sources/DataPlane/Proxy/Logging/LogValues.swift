import Glibc
import HTTP
import Reactor

/// What an operator gives.
enum LogValue {
    case none
    case number(UInt64)
    case bytes([UInt8])

    init(_ bytes: [UInt8]?) {
        guard let bytes, !bytes.isEmpty else {
            self = .none
            return
        }
        self = .bytes(bytes)
    }
    init(_ text: String) { self.init(Array(text.utf8)) }

    func cut(to limit: Int?) -> LogValue {
        guard let limit, case .bytes(let bytes) = self else { return self }
        return LogValue(Array(bytes.prefix(limit)))
    }
}

/// The values of operators for one record.
struct LogValues {
    let record: AccessLogRecord
    let format: AccessLogFormat
    let hostname: String

    func value(_ part: AccessLogFormat.Operator) -> LogValue {
        let numbers = record.numbers
        switch part {
        case .literal(let text): return .bytes(Array(text.utf8))
        case .nothing, .span: return .none
        case .time(let pattern, let isLocal, let isEnd):
            let time = isEnd ? numbers.startTime &+ numbers.duration : numbers.startTime
            return LogValue(CalendarTime.text(nanoseconds: time, pattern: pattern, isLocal: isLocal))
        case .commonDuration(let start, let end, let unit):
            guard let from = point(start), let to = point(end), to >= from else { return .none }
            switch unit {
            case .milliseconds: return .number((to - from) / 1_000_000)
            case .microseconds: return .number((to - from) / 1000)
            case .nanoseconds: return .number(to - from)
            }
        case .header(let origin, let pick): return header(origin, pick)
        case .grpcStatus(let format): return grpcStatus(format)
        case .query(let name, let limit): return query(name).cut(to: limit)
        case .path(let withQuery, let original, let limit):
            let kept = original ? header(.request, "x-envoy-original-path") : nil
            guard let path = kept ?? text(.path) else { return .none }
            return LogValue(withQuery ? path : Array(path.prefix { $0 != 0x3F })).cut(to: limit)
        case .field(let field): return value(field)
        }
    }

    private func point(_ point: AccessLogFormat.TimePoint) -> UInt64? {
        let numbers = record.numbers
        switch point {
        case .start: return 0
        case .requestEnd: return numbers.requestTime > 0 ? numbers.requestTime : nil
        case .lastTry: return numbers.attempts > 0 ? numbers.tryTime : nil
        case .responseStart: return numbers.responseTime > 0 ? numbers.responseTime : nil
        case .end: return numbers.duration
        }
    }

    private func value(_ field: LogField) -> LogValue {
        let numbers = record.numbers
        switch field {
        case .duration: return .number(numbers.duration / 1_000_000)
        case .requestDuration: return milliseconds(numbers.requestTime)
        case .responseDuration: return milliseconds(numbers.responseTime)
        case .responseTxDuration:
            return numbers.responseTime == 0
                ? .none : .number((numbers.duration - min(numbers.duration, numbers.responseTime)) / 1_000_000)
        case .bytesReceived: return .number(numbers.bytesReceived)
        case .bytesSent: return .number(numbers.bytesSent)
        case .downstreamWireBytesReceived: return .number(numbers.wireReceived)
        case .downstreamWireBytesSent: return .number(numbers.wireSent)
        // Of datagrams only, which are not carried here.
        case .bytesRetransmitted, .packetsRetransmitted: return .number(0)
        case .requestHeadersBytes: return .number(UInt64(numbers.requestHeaders))
        case .responseHeadersBytes: return .number(UInt64(numbers.responseHeaders))
        case .responseTrailersBytes: return .number(UInt64(numbers.responseTrailers))
        case .protocol: return Self.protocolName(numbers.version)
        case .upstreamProtocol: return Self.protocolName(numbers.upstreamVersion)
        case .responseCode: return .number(UInt64(numbers.status))
        case .responseFlags: return LogValue(numbers.flags.text)
        case .responseFlagsLong: return LogValue(numbers.flags.longText)
        case .grpcStatusNumber: return grpcStatus(.number)
        case .upstreamRequestAttemptCount: return .number(UInt64(numbers.attempts))
        case .connectionID: return .number(numbers.connectionID)
        case .accessLogType: return LogValue(numbers.kind.name)
        case .hostname: return LogValue(hostname)
        case .uniqueID: return LogValue(Self.uuid())
        case .upstreamHost, .upstreamRemoteAddress, .upstreamRemoteAddressWithoutPort, .upstreamHostName,
            .upstreamHostNameWithoutPort, .upstreamRemotePort, .upstreamLocalAddress, .upstreamLocalPort,
            .upstreamLocalAddressWithoutPort, .downstreamRemoteAddress, .downstreamRemoteAddressWithoutPort,
            .downstreamRemotePort, .downstreamDirectRemoteAddress, .downstreamDirectRemoteAddressWithoutPort,
            .downstreamDirectRemotePort, .downstreamLocalAddress, .downstreamLocalAddressWithoutPort,
            .downstreamLocalPort:
            return address(field)
        case .virtualClusterName, .roundtripDuration, .customFlags: return .none
        default: return LogValue(field.text.flatMap { text($0) })
        }
    }

    private func milliseconds(_ time: UInt64) -> LogValue { time == 0 ? .none : .number(time / 1_000_000) }

    // MARK: Texts and headers

    /// The bytes of a `SpanRecord`.
    var span: [UInt8]? { text(.span) }

    private func text(_ text: LogText) -> [UInt8]? {
        let place = format.textPlaces[text.rawValue]
        return record.texts.indices.contains(place) ? record.texts[place] : nil
    }

    private func header(_ origin: AccessLogFormat.Origin, _ name: String) -> [UInt8]? {
        switch (origin, name) {
        case (.request, ":method"): return text(.method)
        case (.request, ":authority"), (.request, "host"): return text(.authority)
        case (.request, ":path"): return text(.path)
        case (.request, ":scheme"): return text(.scheme)
        case (.response, ":status"): return Array(String(record.numbers.status).utf8)
        default: break
        }
        var offset = 0
        for before in 0..<origin.rawValue { offset += format.names[before].count }
        guard let index = format.names[origin.rawValue].firstIndex(of: name),
            record.headers.indices.contains(offset + index)
        else { return nil }
        return record.headers[offset + index]
    }

    private func header(_ origin: AccessLogFormat.Origin, _ pick: AccessLogFormat.HeaderPick) -> LogValue {
        let found = header(origin, pick.name) ?? pick.alternative.flatMap { header(origin, $0) }
        return LogValue(found).cut(to: pick.limit)
    }

    private func query(_ name: String?) -> LogValue {
        guard let path = text(.path), let mark = path.firstIndex(of: 0x3F) else { return .none }
        let query = path[(mark + 1)...]
        guard let name else { return LogValue(Array(query)) }
        for pair in query.split(separator: 0x26) {
            let sides = pair.split(separator: 0x3D, maxSplits: 1, omittingEmptySubsequences: false)
            if sides[0].elementsEqual(name.utf8) { return LogValue(sides.count > 1 ? Array(sides[1]) : []) }
        }
        return .none
    }

    // MARK: Addresses

    private func address(_ field: LogField) -> LogValue {
        let numbers = record.numbers
        switch field {
        case .upstreamHost, .upstreamRemoteAddress: return whole(numbers.upstream, else: text(.upstreamName))
        case .upstreamHostName:
            return text(.upstreamHostname).map { LogValue($0) } ?? whole(numbers.upstream, else: text(.upstreamName))
        case .upstreamHostNameWithoutPort: return text(.upstreamHostname).map { LogValue($0) } ?? host(numbers.upstream)
        case .upstreamRemoteAddressWithoutPort: return host(numbers.upstream, else: text(.upstreamName))
        case .upstreamRemotePort: return port(numbers.upstream)
        case .upstreamLocalAddress: return whole(numbers.upstreamLocal)
        case .upstreamLocalAddressWithoutPort: return host(numbers.upstreamLocal)
        case .upstreamLocalPort: return port(numbers.upstreamLocal)
        case .downstreamRemoteAddress: return whole(numbers.remote)
        case .downstreamRemoteAddressWithoutPort: return host(numbers.remote)
        case .downstreamRemotePort: return port(numbers.remote)
        case .downstreamDirectRemoteAddress: return whole(numbers.directRemote)
        case .downstreamDirectRemoteAddressWithoutPort: return host(numbers.directRemote)
        case .downstreamDirectRemotePort: return port(numbers.directRemote)
        case .downstreamLocalAddress: return whole(numbers.local)
        case .downstreamLocalAddressWithoutPort: return host(numbers.local)
        case .downstreamLocalPort: return port(numbers.local)
        default: return .none
        }
    }

    private func whole(_ address: SocketAddress, else name: [UInt8]? = nil) -> LogValue {
        address.family == 0 ? LogValue(name) : LogValue(address.description)
    }

    private func host(_ address: SocketAddress, else name: [UInt8]? = nil) -> LogValue {
        address.family == 0 ? LogValue(name) : LogValue(address.host)
    }

    private func port(_ address: SocketAddress) -> LogValue {
        address.family == 0 ? .none : .number(UInt64(address.port))
    }

    // MARK: Names

    private static func protocolName(_ version: UInt8) -> LogValue {
        switch version {
        case 10: LogValue("HTTP/1.0")
        case 11: LogValue("HTTP/1.1")
        case 20: LogValue("HTTP/2")
        default: .none
        }
    }

    /// The names of gRPC's statuses, by number.
    static let grpcNames = [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
        "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
        "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
    ]

    private func grpcStatus(_ format: AccessLogFormat.GRPCFormat) -> LogValue {
        let status = Int(record.numbers.grpcStatus)
        guard status >= 0 else { return .none }
        guard format != .number, Self.grpcNames.indices.contains(status) else { return .number(UInt64(status)) }
        let snake = Self.grpcNames[status]
        if format == .snake || status == 0 { return LogValue(snake) }
        let words = snake.split(separator: "_").map { $0.prefix(1) + $0.dropFirst().lowercased() }
        // Envoy writes this one with one l.
        return LogValue(status == 1 ? "Canceled" : words.joined())
    }

    private static func uuid() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let parts = [8, 4, 4, 4, 12]
        var rest = Substring(digits)
        return parts.map { count in
            defer { rest = rest.dropFirst(count) }
            return String(rest.prefix(count))
        }.joined(separator: "-")
    }
}
