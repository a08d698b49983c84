import CWeft

/// A parsed response head. All places are relative to the first byte that was parsed.
public struct ResponseHead: BitwiseCopyable, Sendable {
    public var status: UInt16 = 0
    public var reasonStart: UInt32 = 0
    public var reasonLength: UInt32 = 0
    public var minorVersion: UInt8 = 1
    public var flags: HeadFlags = []
    public var framing = Framing.none
    /// Declared by Content-Length, also where no body follows (HEAD, 304); nil when it was absent.
    public var declaredLength: UInt64?
    /// Bytes of the head with its empty line.
    public var length = 0

    public init() {}

    /// Whether the connection may be used again after this response.
    @inlinable
    public var keepsAlive: Bool {
        if flags.contains(.wantsClose) || framing == .untilClose { return false }
        return minorVersion == 1 || flags.contains(.wantsKeepAlive)
    }

    /// An interim response: others follow.
    @inlinable public var isInterim: Bool { status < 200 && status != 101 }

    /// Reads a response head from the start of `bytes`; `request` tells which responses have no body.
    public mutating func parse(
        _ bytes: UnsafeRawPointer,
        count: Int,
        limits: HeadLimits,
        request: RequestMethod,
        fields: inout FieldTable
    ) -> HeadOutcome {
        self = ResponseHead()
        let bounded = min(count, limits.bytes)
        var outcome = parseStatusLine(bytes, bounded)
        if outcome == .complete {
            var parser = FieldParser(base: bytes, count: bounded, position: length)
            outcome = parser.parse(&fields, limits)
            length = parser.position
        }
        if outcome == .incomplete, count >= limits.bytes { return .failed(.headTooLarge) }
        guard outcome == .complete else { return outcome }
        var facts = FieldFacts()
        if let fault = facts.gather(bytes, fields) { return .failed(fault) }
        return finish(facts, request)
    }

    private mutating func finish(_ facts: FieldFacts, _ request: RequestMethod) -> HeadOutcome {
        flags = facts.flags
        if facts.hasContentLength { declaredLength = facts.contentLength }
        if facts.hasTransferEncoding, minorVersion == 0 { return .failed(.transferEncodingInHTTP10) }
        // RFC 9112 section 6.3, rules 1 and 2.
        if request == .head || status < 200 || status == 204 || status == 304 || (request == .connect && status < 300) {
            framing = .none
        } else if facts.isChunked {
            framing = .chunked
        } else if facts.hasContentLength {
            framing = facts.contentLength == 0 ? .none : .length(facts.contentLength)
        } else {
            framing = .untilClose
        }
        return .complete
    }

    private mutating func parseStatusLine(_ bytes: UnsafeRawPointer, _ count: Int) -> HeadOutcome {
        func byte(_ index: Int) -> UInt8 { bytes.load(fromByteOffset: index, as: UInt8.self) }
        let expected: StaticString = "HTTP/1."
        for index in 0..<min(7, count) where byte(index) != expected.utf8Start[index] { return .failed(.badStartLine) }
        guard count >= 13 else { return .incomplete }
        let minor = byte(7) &- 0x30
        guard minor <= 1, byte(8) == 0x20 else { return .failed(.badVersion) }
        minorVersion = minor
        var number: UInt16 = 0
        for index in 9..<12 {
            let digit = byte(index) &- 0x30
            guard digit <= 9 else { return .failed(.badStatus) }
            number = number &* 10 &+ UInt16(digit)
        }
        guard number >= 100, number <= 599 else { return .failed(.badStatus) }
        status = number
        var stop = 12
        if byte(12) == 0x20 {
            stop = 13 + cweft_scan_value(bytes + 13, count - 13)
            reasonStart = 13
            reasonLength = UInt32(truncatingIfNeeded: stop - 13)
        }
        guard stop < count else { return .incomplete }
        guard byte(stop) == FieldParser.cr else { return .failed(stop == 12 ? .badStatus : .badLineEnd) }
        guard stop + 1 < count else { return .incomplete }
        guard byte(stop + 1) == FieldParser.lf else { return .failed(.badLineEnd) }
        length = stop + 2
        return .complete
    }
}
