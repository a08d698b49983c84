import Traffic

/// Names of headers whose bytes stay in place as long as this object lives.
final class HeaderNameRuns: Sendable {
    let runs: [ByteRun]
    private let arena: Arena

    init(_ names: [String]) {
        let arena = Arena()
        runs = names.map { arena.copy($0) }
        self.arena = arena
    }
}

/// The compiled form of an access log's line: literals and command operators in order.
struct AccessLogFormat: Sendable, Equatable {
    enum Operator: Sendable, Equatable {
        case literal(String)
        case startTime(String?)
        case duration, responseDuration, requestDuration
        case responseCode, responseCodeDetails, responseFlags
        case bytesReceived, bytesSent, `protocol`
        case upstreamHost, upstreamCluster, upstreamRequestAttempts, upstreamFailure
        case downstreamRemoteAddress(withPort: Bool), downstreamLocalAddress(withPort: Bool), downstreamLocalPort
        case downstreamDirectRemoteAddress(withPort: Bool)
        case routeName, virtualHost, requestedServerName, connectionID, hostname, listener
        /// Header names in lower case: the second one is used when the first is missing.
        case request(String, alternative: String?, limit: Int?)
        case response(String, alternative: String?, limit: Int?)
    }

    enum Style: Sendable, Equatable {
        case text([Operator])
        /// One JSON object per line; numbers where a field is a single numeric operator.
        case json([JSONField])
    }

    struct JSONField: Sendable, Equatable {
        var name: String
        var parts: [Operator]
    }

    let style: Style
    /// The request and response headers that the operators name: what a worker copies into its ring, in this order.
    let requestHeaders: [String]
    let responseHeaders: [String]
    /// The same names as runs, for the worker's look-up.
    let requestHeaderRuns: HeaderNameRuns
    let responseHeaderRuns: HeaderNameRuns

    static func == (left: AccessLogFormat, right: AccessLogFormat) -> Bool { left.style == right.style }

    init(_ style: Style) {
        self.style = style
        let operators: [Operator]
        switch style {
        case .text(let parts): operators = parts
        case .json(let fields): operators = fields.flatMap(\.parts)
        }
        var request: [String] = []
        var response: [String] = []
        func add(_ name: String?, to list: inout [String]) {
            if let name, !name.hasPrefix(":"), !list.contains(name) { list.append(name) }
        }
        for part in operators {
            switch part {
            case .request(let name, let other, _):
                add(name, to: &request)
                add(other, to: &request)
            case .response(let name, let other, _):
                add(name, to: &response)
                add(other, to: &response)
            default: break
            }
        }
        requestHeaders = request
        responseHeaders = response
        requestHeaderRuns = HeaderNameRuns(request)
        responseHeaderRuns = HeaderNameRuns(response)
    }

    /// Envoy's default line.
    static let standardText =
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% "
        + "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
        + "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" "
        + "\"%UPSTREAM_HOST%\"\n"
}

/// A command operator that cannot be used; the text names it.
struct AccessLogFormatError: Error, Equatable {
    let message: String
}

extension AccessLogFormat {
    /// The operators of a format text such as `%START_TIME% %REQ(:METHOD)%`; `%%` is a per cent sign.
    static func parse(_ text: String) throws(AccessLogFormatError) -> [Operator] {
        var parts: [Operator] = []
        var literal: [UInt8] = []
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            guard bytes[index] == 0x25 else {
                literal.append(bytes[index])
                index += 1
                continue
            }
            guard let end = endOfCommand(bytes, from: index + 1) else {
                throw AccessLogFormatError(
                    message: "the command operator that begins at byte \(index) has no closing %"
                )
            }
            if end == index + 1 {
                literal.append(0x25)
            } else {
                if !literal.isEmpty { parts.append(.literal(String(decoding: literal, as: UTF8.self))) }
                literal = []
                parts.append(try parseOperator(String(decoding: bytes[(index + 1)..<end], as: UTF8.self)))
            }
            index = end + 1
        }
        if !literal.isEmpty { parts.append(.literal(String(decoding: literal, as: UTF8.self))) }
        return parts
    }

    /// The closing per cent sign; one between parentheses (`START_TIME(%Y)`) does not close.
    private static func endOfCommand(_ bytes: [UInt8], from start: Int) -> Int? {
        var depth = 0
        for index in start..<max(start, bytes.count) {
            switch bytes[index] {
            case 0x28: depth += 1
            case 0x29: depth = max(0, depth - 1)
            case 0x25 where depth == 0: return index
            default: break
            }
        }
        return nil
    }

    private static func parseOperator(_ command: String) throws(AccessLogFormatError) -> Operator {
        let name = String(command.prefix { $0 != "(" && $0 != ":" })
        var argument: String?
        var limit: Int?
        if let open = command.firstIndex(of: "("), let close = command.lastIndex(of: ")"), open < close {
            argument = String(command[command.index(after: open)..<close])
        }
        let tail = command[(command.lastIndex(of: ")") ?? command.startIndex)...]
        if let colon = tail.lastIndex(of: ":") { limit = Int(tail[tail.index(after: colon)...]) }
        if let simple = simpleOperators[name] { return simple }
        switch name {
        case "START_TIME": return .startTime(argument)
        case "REQ", "RESP":
            guard let argument, !argument.isEmpty else {
                throw AccessLogFormatError(message: "%\(command)% names no header")
            }
            let names = argument.split(separator: "?", maxSplits: 1).map { $0.lowercased() }
            guard let first = names.first else {
                throw AccessLogFormatError(message: "%\(command)% names no header")
            }
            let other = names.count > 1 ? names[1] : nil
            return name == "REQ"
                ? .request(first, alternative: other, limit: limit) : .response(first, alternative: other, limit: limit)
        default:
            throw AccessLogFormatError(message: "the command operator %\(command)% is not supported")
        }
    }

    private static let simpleOperators: [String: Operator] = [
        "DURATION": .duration, "RESPONSE_DURATION": .responseDuration, "REQUEST_DURATION": .requestDuration,
        "RESPONSE_CODE": .responseCode, "RESPONSE_CODE_DETAILS": .responseCodeDetails, "RESPONSE_FLAGS": .responseFlags,
        "BYTES_RECEIVED": .bytesReceived, "BYTES_SENT": .bytesSent, "PROTOCOL": .protocol,
        "UPSTREAM_HOST": .upstreamHost, "UPSTREAM_REMOTE_ADDRESS": .upstreamHost, "UPSTREAM_CLUSTER": .upstreamCluster,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT": .upstreamRequestAttempts,
        "UPSTREAM_TRANSPORT_FAILURE_REASON": .upstreamFailure,
        "DOWNSTREAM_REMOTE_ADDRESS": .downstreamRemoteAddress(withPort: true),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamRemoteAddress(withPort: false),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": .downstreamDirectRemoteAddress(withPort: true),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamDirectRemoteAddress(withPort: false),
        "DOWNSTREAM_LOCAL_ADDRESS": .downstreamLocalAddress(withPort: true),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .downstreamLocalAddress(withPort: false),
        "DOWNSTREAM_LOCAL_PORT": .downstreamLocalPort,
        "ROUTE_NAME": .routeName, "VIRTUAL_CLUSTER_NAME": .virtualHost, "REQUESTED_SERVER_NAME": .requestedServerName,
        "CONNECTION_ID": .connectionID, "HOSTNAME": .hostname, "LISTENER_NAME": .listener,
    ]
}
