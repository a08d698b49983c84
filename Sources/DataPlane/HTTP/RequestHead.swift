import CWeft

/// The methods that a proxy treats in a way of their own; framing never depends on the method.
public enum RequestMethod: UInt8, BitwiseCopyable, Sendable {
    case other, get, head, post, put, delete, options, trace, connect, patch

    /// RFC 9110 section 9.2.2.
    @inlinable
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        default: false
        }
    }

    static func recognise(_ start: UnsafeRawPointer, count: Int) -> RequestMethod {
        func equals(_ name: StaticString) -> Bool { cweft_same(start, name.utf8Start, count) != 0 }
        switch count {
        case 3: return equals("GET") ? .get : equals("PUT") ? .put : .other
        case 4: return equals("POST") ? .post : equals("HEAD") ? .head : .other
        case 5: return equals("PATCH") ? .patch : equals("TRACE") ? .trace : .other
        case 6: return equals("DELETE") ? .delete : .other
        case 7: return equals("OPTIONS") ? .options : equals("CONNECT") ? .connect : .other
        default: return .other
        }
    }
}

/// A parsed request head. All places are relative to the first byte that was parsed.
public struct RequestHead: BitwiseCopyable, Sendable {
    public var method = RequestMethod.other
    public var methodStart: UInt32 = 0
    public var methodLength: UInt32 = 0
    /// Path and query as they came; empty for an absolute target without a path (`/` is meant), `*` for OPTIONS.
    public var pathStart: UInt32 = 0
    public var pathLength: UInt32 = 0
    /// From the absolute target, else from Host; empty only in HTTP/1.0.
    public var authorityStart: UInt32 = 0
    public var authorityLength: UInt32 = 0
    public var minorVersion: UInt8 = 1
    public var flags: HeadFlags = []
    public var framing = Framing.none
    /// Bytes of the head with its empty line.
    public var length = 0

    public init() {}

    /// Whether the connection may carry a further request (RFC 9112 section 9.3).
    @inlinable
    public var keepsAlive: Bool {
        if flags.contains(.wantsClose) { return false }
        return minorVersion == 1 || flags.contains(.wantsKeepAlive)
    }

    /// Whether the request asks to become a WebSocket (RFC 6455 section 4.1, RFC 9110 section 7.8).
    @inlinable
    public var isUpgrade: Bool {
        minorVersion == 1 && flags.isSuperset(of: [.hasUpgrade, .nominatesUpgrade, .isWebSocket])
    }

    /// Reads a request head from the start of `bytes`.
    ///
    /// After `.complete` the table holds its fields and `length` tells where the body begins. Up to two empty lines before
    /// the start line are skipped (RFC 9112 section 2.2). O(count), allocates nothing.
    public mutating func parse(
        _ bytes: UnsafeRawPointer,
        count: Int,
        limits: HeadLimits,
        fields: inout FieldTable
    ) -> HeadOutcome {
        self = RequestHead()
        let outcome = parseAll(bytes, min(count, limits.bytes), limits, &fields)
        if outcome == .incomplete, count >= limits.bytes { return .failed(.headTooLarge) }
        return outcome
    }

    private mutating func parseAll(
        _ bytes: UnsafeRawPointer,
        _ count: Int,
        _ limits: HeadLimits,
        _ fields: inout FieldTable
    ) -> HeadOutcome {
        var start = 0
        while start < 4, start < count, bytes.load(fromByteOffset: start, as: UInt8.self) == FieldParser.cr {
            guard start + 1 < count else { return .incomplete }
            guard bytes.load(fromByteOffset: start + 1, as: UInt8.self) == FieldParser.lf else {
                return .failed(.badLineEnd)
            }
            start += 2
        }
        var line = RequestLine(base: bytes, count: count, position: start)
        let outcome = line.parse(&self, limits)
        guard outcome == .complete else { return outcome }
        var parser = FieldParser(base: bytes, count: count, position: line.position)
        let fieldOutcome = parser.parse(&fields, limits)
        guard fieldOutcome == .complete else { return fieldOutcome }
        length = parser.position
        var facts = FieldFacts()
        if let fault = facts.gather(bytes, fields) { return .failed(fault) }
        return finish(bytes, facts, fields)
    }

    private mutating func finish(
        _ bytes: UnsafeRawPointer,
        _ facts: FieldFacts,
        _ fields: borrowing FieldTable
    ) -> HeadOutcome {
        flags.formUnion(facts.flags)
        if facts.hasTransferEncoding {
            guard minorVersion == 1 else { return .failed(.transferEncodingInHTTP10) }
            framing = .chunked
        } else if facts.hasContentLength {
            framing = facts.contentLength == 0 ? .none : .length(facts.contentLength)
        }
        guard facts.hosts <= 1 else { return .failed(.severalHosts) }
        if facts.host >= 0 {
            let field = fields.fields[facts.host]
            let host = bytes + Int(field.valueStart)
            guard Authority.isValid(host, count: Int(field.valueLength)) else { return .failed(.badHost) }
            if method == .connect {
                let same =
                    field.valueLength == authorityLength
                    && cweft_equals_ignoring_case(host, bytes + Int(authorityStart), Int(authorityLength)) != 0
                guard same else { return .failed(.badHost) }
            } else if !flags.contains(.isAbsolute) {
                authorityStart = field.valueStart
                authorityLength = field.valueLength
            }
        } else if minorVersion == 1 {
            return .failed(.missingHost)
        }
        if isUpgrade, let fault = WebSocketHandshake.fault(of: self, bytes, fields) { return .failed(fault) }
        return .complete
    }
}

/// Reads the first line of a request.
struct RequestLine {
    let base: UnsafeRawPointer
    let count: Int
    var position: Int

    @inline(__always)
    private func byte(_ index: Int) -> UInt8 { base.load(fromByteOffset: index, as: UInt8.self) }

    mutating func parse(_ head: inout RequestHead, _ limits: HeadLimits) -> HeadOutcome {
        let methodStart = position
        let methodLength = cweft_scan_token(base + position, count - position)
        guard methodLength <= 32 else { return .failed(.badMethod) }
        guard position + methodLength < count else { return .incomplete }
        guard methodLength > 0, byte(position + methodLength) == 0x20 else { return .failed(.badMethod) }
        head.methodStart = UInt32(truncatingIfNeeded: methodStart)
        head.methodLength = UInt32(truncatingIfNeeded: methodLength)
        head.method = RequestMethod.recognise(base + methodStart, count: methodLength)
        let target = position + methodLength + 1
        let targetLength = cweft_scan_visible(base + target, count - target)
        guard targetLength <= limits.target else { return .failed(.targetTooLong) }
        guard target + targetLength < count else { return .incomplete }
        guard targetLength > 0, byte(target + targetLength) == 0x20 else { return .failed(.badTarget) }
        position = target + targetLength + 1
        let outcome = parseVersion(&head)
        guard outcome == .complete else { return outcome }
        return parseTarget(&head, target, targetLength) ? .complete : .failed(.badTarget)
    }

    /// `HTTP/1.x` CR LF; anything that can still become it is incomplete.
    private mutating func parseVersion(_ head: inout RequestHead) -> HeadOutcome {
        let expected: StaticString = "HTTP/"
        let have = count - position
        for offset in 0..<min(5, have) where byte(position + offset) != expected.utf8Start[offset] {
            return .failed(.badVersion)
        }
        guard have >= 8 else { return .incomplete }
        guard byte(position + 6) == 0x2E else { return .failed(.badVersion) }
        let major = byte(position + 5)
        let minor = byte(position + 7)
        guard major >= 0x30, major <= 0x39, minor >= 0x30, minor <= 0x39 else { return .failed(.badVersion) }
        guard have >= 9 else { return .incomplete }
        guard byte(position + 8) == FieldParser.cr else {
            return .failed(byte(position + 8) == FieldParser.lf ? .badLineEnd : .badVersion)
        }
        guard have >= 10 else { return .incomplete }
        guard byte(position + 9) == FieldParser.lf else { return .failed(.badLineEnd) }
        guard major == 0x31, minor <= 0x31 else { return .failed(.unsupportedVersion) }
        head.minorVersion = minor &- 0x30
        position += 10
        return .complete
    }

    /// The four forms of RFC 9112 section 3.2.
    private func parseTarget(_ head: inout RequestHead, _ start: Int, _ length: Int) -> Bool {
        guard cweft_find(base + start, length, 0x23) < 0 else { return false }
        if head.method == .connect {
            guard Authority.isValid(base + start, count: length), Authority.hasPort(base + start, count: length) else {
                return false
            }
            setAuthority(&head, start, length)
            return true
        }
        if byte(start) == 0x2F {
            setPath(&head, start, length)
            return true
        }
        if length == 1, byte(start) == 0x2A {
            setPath(&head, start, 1)
            return head.method == .options
        }
        return parseAbsolute(&head, start, length)
    }

    private func parseAbsolute(_ head: inout RequestHead, _ start: Int, _ length: Int) -> Bool {
        let scheme: Int
        if length > 7, cweft_equals_lower(base + start, "http://", 7) != 0 {
            scheme = 7
        } else if length > 8, cweft_equals_lower(base + start, "https://", 8) != 0 {
            scheme = 8
        } else {
            return false
        }
        let authority = start + scheme
        let end = start + length
        var stop = authority
        while stop < end, byte(stop) != 0x2F, byte(stop) != 0x3F { stop += 1 }
        guard Authority.isValid(base + authority, count: stop - authority) else { return false }
        // `http://a?q` would need a slash put before the query; nobody sends it.
        guard stop == end || byte(stop) == 0x2F else { return false }
        setAuthority(&head, authority, stop - authority)
        setPath(&head, stop, end - stop)
        head.flags.insert(.isAbsolute)
        return true
    }

    private func setPath(_ head: inout RequestHead, _ start: Int, _ length: Int) {
        head.pathStart = UInt32(truncatingIfNeeded: start)
        head.pathLength = UInt32(truncatingIfNeeded: length)
    }

    private func setAuthority(_ head: inout RequestHead, _ start: Int, _ length: Int) {
        head.authorityStart = UInt32(truncatingIfNeeded: start)
        head.authorityLength = UInt32(truncatingIfNeeded: length)
    }
}
