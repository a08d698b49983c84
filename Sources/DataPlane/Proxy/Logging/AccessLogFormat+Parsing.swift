import Glibc

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
                parts.append(try Command(String(decoding: bytes[(index + 1)..<end], as: UTF8.self)).compiled())
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
}

/// A command operator as text: `NAME`, `NAME(ARGUMENT)`, `NAME(ARGUMENT):LIMIT`.
private struct Command {
    let text: String
    let name: String
    let argument: String?
    let limit: Int?

    init(_ text: String) throws(AccessLogFormatError) {
        self.text = text
        name = String(text.prefix { $0 != "(" && $0 != ":" })
        var tail = text.dropFirst(name.count)
        if let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close {
            argument = String(text[text.index(after: open)..<close])
            tail = text[text.index(after: close)...]
        } else {
            argument = nil
        }
        guard !tail.isEmpty else {
            limit = nil
            return
        }
        guard tail.first == ":", let number = Int(tail.dropFirst()), (0...65_536).contains(number) else {
            throw AccessLogFormatError(message: "%\(text)%: what follows the operator must be a length, as in :20")
        }
        limit = number
    }

    private func fail(_ why: String) -> AccessLogFormatError { AccessLogFormatError(message: "%\(text)%: \(why)") }

    func compiled() throws(AccessLogFormatError) -> AccessLogFormat.Operator {
        if let field = LogField(rawValue: name) {
            guard argument == nil || field == .responseCodeDetails, limit == nil else {
                throw fail("\(name) takes no argument")
            }
            return .field(field)
        }
        if let why = LogField.refused[name] { throw fail("\(name) \(why)") }
        switch name {
        case "START_TIME", "START_TIME_LOCAL", "EMIT_TIME", "EMIT_TIME_LOCAL":
            return .time(argument, isLocal: name.hasSuffix("LOCAL"), isEnd: name.hasPrefix("EMIT"))
        case "REQ": return .header(.request, try pick())
        case "RESP": return .header(.response, try pick())
        case "TRAILER": return .header(.trailer, try pick())
        case "COMMON_DURATION": return try duration()
        case "GRPC_STATUS":
            guard let format = AccessLogFormat.GRPCFormat(rawValue: argument ?? "CAMEL_STRING") else {
                throw fail("the format must be CAMEL_STRING, SNAKE_STRING or NUMBER")
            }
            return .grpcStatus(format)
        case "QUERY_PARAM":
            guard let argument, !argument.isEmpty else { throw fail("names no parameter") }
            return .query(argument, limit: limit)
        case "QUERY_PARAMS": return .query(nil, limit: limit)
        case "PATH": return try path()
        case "ENVIRONMENT": return try environment()
        // Nothing here sets dynamic metadata or filter state: without a filter that does, Envoy prints the same.
        case "DYNAMIC_METADATA", "FILTER_STATE", "UPSTREAM_FILTER_STATE", "PER_REQUEST_STATE":
            guard let argument, !argument.isEmpty else { throw fail("names no key") }
            return .nothing
        default: throw fail("the command operator \(name) is not supported")
        }
    }

    private func pick() throws(AccessLogFormatError) -> AccessLogFormat.HeaderPick {
        let names = (argument ?? "").split(separator: "?", omittingEmptySubsequences: false).map { $0.lowercased() }
        guard let first = names.first, !first.isEmpty else { throw fail("names no header") }
        guard names.count <= 2 else { throw fail("takes at most two headers") }
        for name in names where name.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
            throw fail("\"\(name)\" is no name of a header")
        }
        return AccessLogFormat.HeaderPick(name: first, alternative: names.count > 1 ? names[1] : nil, limit: limit)
    }

    private static let points: [String: AccessLogFormat.TimePoint] = [
        "DS_RX_BEG": .start, "DS_RX_END": .requestEnd, "US_TX_BEG": .lastTry, "US_RX_BEG": .responseStart,
        "DS_TX_BEG": .responseStart, "US_RX_END": .end, "DS_TX_END": .end,
    ]

    private func duration() throws(AccessLogFormatError) -> AccessLogFormat.Operator {
        let words = (argument ?? "").split(separator: ":").map(String.init)
        guard words.count == 2 || words.count == 3 else { throw fail("is START:END or START:END:ms, us or ns") }
        guard let start = Self.points[words[0]], let end = Self.points[words[1]] else {
            throw fail("the time points are \(Self.points.keys.sorted().joined(separator: ", "))")
        }
        guard let unit = AccessLogFormat.TimeUnit(rawValue: words.count == 3 ? words[2] : "ms") else {
            throw fail("the unit must be ms, us or ns")
        }
        return .commonDuration(from: start, to: end, unit)
    }

    private func path() throws(AccessLogFormatError) -> AccessLogFormat.Operator {
        let words = (argument ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard words.count <= 2 else { throw fail("is PATH(WQ or NQ : ORIG, PATH or ORIG_OR_PATH)") }
        let query = words.first ?? ""
        let which = words.count > 1 ? words[1] : ""
        guard ["", "WQ", "NQ"].contains(query), ["", "ORIG_OR_PATH", "PATH"].contains(which) else {
            throw fail("takes WQ or NQ, and PATH or ORIG_OR_PATH")
        }
        return .path(withQuery: query != "NQ", original: which != "PATH", limit: limit)
    }

    /// Read once, when the configuration is: the environment of a process does not change.
    private func environment() throws(AccessLogFormatError) -> AccessLogFormat.Operator {
        guard let argument, !argument.isEmpty else { throw fail("names no variable") }
        guard let value = getenv(argument), value.pointee != 0 else { return .nothing }
        let text = String(cString: value)
        return .literal(limit.map { String(text.prefix($0)) } ?? text)
    }
}
