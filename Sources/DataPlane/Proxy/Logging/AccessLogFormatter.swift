import Glibc
import Reactor

/// Turns records into lines. Used by the log thread alone.
struct AccessLogFormatter {
    /// The host's name, for `%HOSTNAME%`.
    let hostname: String

    /// Appends the line of a record.
    func write(_ record: AccessLogRecord, format: AccessLogFormat, into line: inout [UInt8]) {
        switch format.style {
        case .text(let parts):
            for part in parts { text(part, record, format, &line) }
            if line.last != 0x0A { line.append(0x0A) }
        case .json(let fields):
            line.append(0x7B)
            for (index, field) in fields.enumerated() {
                if index > 0 { line.append(0x2C) }
                Self.appendJSON(Array(field.name.utf8), &line)
                line.append(0x3A)
                json(field, record, format, &line)
            }
            line.append(contentsOf: [0x7D, 0x0A])
        }
    }

    private func text(
        _ part: AccessLogFormat.Operator,
        _ record: AccessLogRecord,
        _ format: AccessLogFormat,
        _ line: inout [UInt8]
    ) {
        if case .literal(let literal) = part {
            line.append(contentsOf: literal.utf8)
            return
        }
        switch value(part, record, format) {
        case .none: line.append(0x2D)
        case .number(let number): line.append(contentsOf: String(number).utf8)
        case .bytes(let bytes): Self.appendEscaped(bytes, &line)
        }
    }

    private func json(
        _ field: AccessLogFormat.JSONField,
        _ record: AccessLogRecord,
        _ format: AccessLogFormat,
        _ line: inout [UInt8]
    ) {
        if field.parts.count == 1, let only = field.parts.first {
            switch value(only, record, format) {
            case .none: line.append(contentsOf: "null".utf8)
            case .number(let number): line.append(contentsOf: String(number).utf8)
            case .bytes(let bytes): Self.appendJSON(bytes, &line)
            }
            return
        }
        var joined: [UInt8] = []
        for part in field.parts {
            switch value(part, record, format) {
            case .none: joined.append(0x2D)
            case .number(let number): joined.append(contentsOf: String(number).utf8)
            case .bytes(let bytes): joined.append(contentsOf: bytes)
            }
        }
        Self.appendJSON(joined, &line)
    }

    private enum Piece {
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
    }

    private func value(
        _ part: AccessLogFormat.Operator,
        _ record: AccessLogRecord,
        _ format: AccessLogFormat
    ) -> Piece {
        let numbers = record.numbers
        switch part {
        case .literal(let text): return .bytes(Array(text.utf8))
        case .startTime(let pattern): return Piece(CalendarTime.text(nanoseconds: numbers.startTime, pattern: pattern))
        case .duration: return .number(numbers.duration / 1_000_000)
        case .requestDuration: return .number(numbers.requestTime / 1_000_000)
        case .responseDuration: return numbers.responseTime == 0 ? .none : .number(numbers.responseTime / 1_000_000)
        case .responseCode: return .number(UInt64(numbers.status))
        case .responseCodeDetails: return Piece(record.details)
        case .responseFlags: return Piece(numbers.flags.text)
        case .bytesReceived: return .number(numbers.bytesReceived)
        case .bytesSent: return .number(numbers.bytesSent)
        case .protocol: return Self.protocolName(numbers.version)
        case .upstreamHost: return address(numbers.upstream, withPort: true, else: record.upstreamName)
        case .upstreamCluster: return Piece(record.cluster)
        case .upstreamRequestAttempts: return .number(UInt64(numbers.attempts))
        case .upstreamFailure: return Piece(record.failure)
        case .downstreamRemoteAddress(let port): return address(numbers.remote, withPort: port)
        case .downstreamDirectRemoteAddress(let port): return address(numbers.directRemote, withPort: port)
        case .downstreamLocalAddress(let port): return address(numbers.local, withPort: port)
        case .downstreamLocalPort: return numbers.local.family == 0 ? .none : .number(UInt64(numbers.local.port))
        case .routeName: return Piece(record.routeName)
        case .listener: return Piece(record.listener)
        case .virtualHost, .requestedServerName: return .none
        case .connectionID: return .number(numbers.connectionID)
        case .hostname: return Piece(hostname)
        case .request(let name, let other, let limit):
            return header(name, other, limit, record, format.requestHeaders, offset: 0)
        case .response(let name, let other, let limit):
            return header(name, other, limit, record, format.responseHeaders, offset: format.requestHeaders.count)
        }
    }

    private func header(
        _ name: String,
        _ other: String?,
        _ limit: Int?,
        _ record: AccessLogRecord,
        _ names: [String],
        offset: Int
    ) -> Piece {
        for wanted in [name, other].compactMap({ $0 }) {
            var found: [UInt8]?
            switch wanted {
            case ":method": found = record.method
            case ":path": found = record.path
            case ":authority": found = record.authority
            case ":scheme": found = nil
            default:
                if let index = names.firstIndex(of: wanted), offset + index < record.headers.count {
                    found = record.headers[offset + index]
                }
            }
            if let found, !found.isEmpty { return .bytes(Array(found.prefix(limit ?? found.count))) }
        }
        return .none
    }

    private func address(_ address: SocketAddress, withPort: Bool, else name: [UInt8] = []) -> Piece {
        guard address.family != 0 else { return Piece(name) }
        return Piece(withPort ? address.description : address.host)
    }

    private static func protocolName(_ version: UInt8) -> Piece {
        switch version {
        case 10: Piece("HTTP/1.0")
        case 11: Piece("HTTP/1.1")
        case 20: Piece("HTTP/2")
        default: .none
        }
    }

    // MARK: Escaping

    private static let hex = Array("0123456789abcdef".utf8)

    /// Bytes from a peer must not end a line, close a quotation or steer a terminal.
    static func appendEscaped(_ bytes: [UInt8], _ line: inout [UInt8]) {
        for byte in bytes {
            switch byte {
            case 0x22, 0x5C:
                line.append(0x5C)
                line.append(byte)
            case 0x20...0x7E: line.append(byte)
            default: line.append(contentsOf: [0x5C, 0x78, hex[Int(byte >> 4)], hex[Int(byte & 15)]])
            }
        }
    }

    /// A JSON string; bytes that are no UTF-8 are replaced.
    static func appendJSON(_ bytes: [UInt8], _ line: inout [UInt8]) {
        line.append(0x22)
        for byte in String(decoding: bytes, as: UTF8.self).utf8 {
            switch byte {
            case 0x22, 0x5C:
                line.append(0x5C)
                line.append(byte)
            case 0..<0x20, 0x7F:
                line.append(contentsOf: "\\u00".utf8)
                line.append(contentsOf: [hex[Int(byte >> 4)], hex[Int(byte & 15)]])
            default: line.append(byte)
            }
        }
        line.append(0x22)
    }
}

/// Wall-clock time as text, in UTC.
enum CalendarTime {
    /// `2026-11-21T04:38:46.123Z` without a pattern, else strftime with `%3f`, `%6f` and `%9f` for fractions and `%s` for
    /// seconds since 1970.
    static func text(nanoseconds: UInt64, pattern: String?) -> String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        let fraction = nanoseconds % 1_000_000_000
        var parts = tm()
        gmtime_r(&seconds, &parts)
        guard let pattern, !pattern.isEmpty else {
            return strftime("%Y-%m-%dT%H:%M:%S", &parts) + "." + digits(fraction / 1_000_000, 3) + "Z"
        }
        var prepared = pattern
        for (mark, text) in [
            ("%9f", digits(fraction, 9)), ("%6f", digits(fraction / 1000, 6)), ("%3f", digits(fraction / 1_000_000, 3)),
            ("%f", digits(fraction, 9)), ("%s", String(nanoseconds / 1_000_000_000)),
        ] {
            prepared = replace(mark, by: text, in: prepared)
        }
        return strftime(prepared, &parts)
    }

    private static func strftime(_ pattern: String, _ parts: inout tm) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = Glibc.strftime(&buffer, buffer.count, pattern, &parts)
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func digits(_ number: UInt64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private static func replace(_ mark: String, by text: String, in whole: String) -> String {
        var result = ""
        var rest = Substring(whole)
        while !rest.isEmpty {
            if rest.hasPrefix(mark) {
                result += text
                rest = rest.dropFirst(mark.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return result
    }
}
