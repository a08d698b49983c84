/// Where a request stands in a trace (W3C Trace Context, level 1).
public struct TraceContext: BitwiseCopyable, Equatable, Sendable {
    /// Of the trace: never both zero.
    public var high: UInt64
    public var low: UInt64
    /// Of the span: never zero.
    public var span: UInt64
    public var isSampled: Bool

    public init(high: UInt64, low: UInt64, span: UInt64, isSampled: Bool) {
        self.high = high
        self.low = low
        self.span = span
        self.isSampled = isSampled
    }

    /// Reads `traceparent`; nil when it is not one (section 3.2: the whole of it is then left aside).
    public init?(traceparent text: ByteRun) {
        guard text.count >= 55, text[2] == 0x2D, text[35] == 0x2D, text[52] == 0x2D,
            let version = Self.hexadecimal(text.first(2)), version != 0xFF,
            let high = Self.hexadecimal(text.dropping(3).first(16)),
            let low = Self.hexadecimal(text.dropping(19).first(16)),
            let span = Self.hexadecimal(text.dropping(36).first(16)),
            let flags = Self.hexadecimal(text.dropping(53).first(2)),
            high | low != 0, span != 0
        else { return nil }
        // A later version may have more behind a further dash.
        guard text.count == 55 || (version > 0 && text[55] == 0x2D) else { return nil }
        self.init(high: high, low: low, span: span, isSampled: flags & 1 == 1)
    }

    /// Reads `b3` with one field: `TRACE-SPAN-SAMPLED-PARENT`, of which the last two may be missing.
    ///
    /// `sampled` is nil where the field says nothing of it.
    public static func b3(_ text: ByteRun) -> (context: TraceContext, sampled: Bool?)? {
        let parts = text.buffer.split(separator: 0x2D, omittingEmptySubsequences: false)
            .map { ByteRun(UnsafeRawBufferPointer(rebasing: $0)) }
        guard (2...4).contains(parts.count), let context = b3(trace: parts[0], span: parts[1]) else { return nil }
        var sampled: Bool?
        if parts.count > 2 {
            guard parts[2].count == 1 else { return nil }
            switch parts[2][0] {
            case 0x31, 0x64: sampled = true
            case 0x30: sampled = false
            default: return nil
            }
        }
        return (context, sampled)
    }

    /// Reads `x-b3-traceid` and `x-b3-spanid`.
    public static func b3(trace: ByteRun, span: ByteRun) -> TraceContext? {
        guard trace.count == 16 || trace.count == 32, span.count == 16, let number = hexadecimal(span), number != 0
        else { return nil }
        let high = trace.count == 32 ? hexadecimal(trace.first(16)) : 0
        guard let high, let low = hexadecimal(trace.dropping(trace.count - 16)), high | low != 0 else { return nil }
        return TraceContext(high: high, low: low, span: number, isSampled: false)
    }

    /// Lower-case digits alone; at most 16.
    static func hexadecimal(_ text: ByteRun) -> UInt64? {
        guard text.count > 0, text.count <= 16 else { return nil }
        var value: UInt64 = 0
        for byte in text.buffer {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x61...0x66: digit = byte - 0x57
            default: return nil
            }
            value = value << 4 | UInt64(digit)
        }
        return value
    }
}

/// Which requests are traced: shares of a million, as Envoy has them.
public struct SamplingRule: BitwiseCopyable, Sendable {
    /// Of requests that ask for it (`x-client-trace-id`).
    public var client: UInt32 = 1_000_000
    /// Of all others.
    public var random: UInt32 = 1_000_000
    /// Of those that would be traced by one of these.
    public var overall: UInt32 = 1_000_000

    public enum Verdict: UInt8, BitwiseCopyable, Sendable {
        case notTraced
        /// The client asked for it; a service of the house did; it was drawn.
        case client, service, drawn

        public var isTraced: Bool { self != .notTraced }
    }

    public init() {}

    /// Whether a request is traced, and why. `isForced`: a service of the house wants it (`x-envoy-force-trace`); `draw` and
    /// `second`: numbers below a million, drawn evenly.
    public func verdict(asksForIt: Bool, isForced: Bool, draw: UInt32, second: UInt32) -> Verdict {
        let verdict: Verdict =
            asksForIt && draw < client ? .client : isForced ? .service : draw < random ? .drawn : .notTraced
        return verdict.isTraced && second >= overall ? .notTraced : verdict
    }
}
