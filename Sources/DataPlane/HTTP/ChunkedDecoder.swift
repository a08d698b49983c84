/// Takes the framing off a chunked body, in place and as it comes (RFC 9112 section 7.1).
///
/// The decoded bytes are moved together at the front of the given memory; extensions are checked and dropped. Trailer
/// fields are given out raw, for the caller to gather. A plain value, no memory of its own.
public struct ChunkedDecoder: BitwiseCopyable, Sendable {
    /// 15 hexadecimal digits cannot overflow 64 bits.
    static let maximumDigits = 15
    /// One line of extensions, and all lines of one message.
    static let maximumExtension = 4096
    static let maximumExtensions = 16 * 1024

    private enum State: UInt8, BitwiseCopyable {
        case size, sizeEnd, extensions, quoted, quotedEscape, lineFeed, data, dataCR, dataLF
        case trailerStart, trailerLine, trailerLF, endLF, done
    }
    private var state = State.size
    private var digits: UInt8 = 0
    private var extensionBytes: UInt32 = 0
    private var allExtensionBytes: UInt32 = 0
    private var remaining: UInt64 = 0

    public init() {}

    /// The last byte of the message was read.
    public var isDone: Bool { state == .done }
    /// The message's data are complete; trailer fields may still come.
    public var isInTrailers: Bool { state.rawValue >= State.trailerStart.rawValue }

    /// What a step gave.
    public struct Step: BitwiseCopyable, Sendable {
        /// Bytes of the input that belong to this message.
        public var consumed = 0
        /// Bytes of data, now at the front of the memory.
        public var data = 0
        /// Bytes of trailer lines that directly follow the data there, each with its CR LF.
        public var trailers = 0
    }

    /// Reads `count` bytes at `bytes`.
    public mutating func decode(_ bytes: UnsafeMutableRawPointer, count: Int) throws(HTTPFault) -> Step {
        var step = Step()
        var position = 0
        while position < count, state != .done {
            if state == .data {
                let run = Int(min(remaining, UInt64(count - position)))
                let target = bytes + step.data
                if target != bytes + position { target.copyMemory(from: bytes + position, byteCount: run) }
                step.data += run
                position += run
                remaining -= UInt64(run)
                if remaining == 0 { state = .dataCR }
                continue
            }
            let byte = bytes.load(fromByteOffset: position, as: UInt8.self)
            position += 1
            if isInTrailers {
                try advanceTrailers(byte)
                // A trailer byte goes behind the data; what stood there has been read.
                if state == .trailerLine || state == .trailerLF || state == .trailerStart {
                    bytes.storeBytes(of: byte, toByteOffset: step.data + step.trailers, as: UInt8.self)
                    step.trailers += 1
                }
            } else {
                try advance(byte)
            }
        }
        step.consumed = position
        return step
    }

    private mutating func advance(_ byte: UInt8) throws(HTTPFault) {
        switch state {
        case .size: try takeDigit(byte)
        case .sizeEnd, .extensions, .quoted, .quotedEscape: try takeExtension(byte)
        case .lineFeed:
            guard byte == 10 else { throw .badChunkSize }
            state = remaining == 0 ? .trailerStart : .data
            digits = 0
            extensionBytes = 0
        case .dataCR:
            guard byte == 13 else { throw .badChunkEnd }
            state = .dataLF
        case .dataLF:
            guard byte == 10 else { throw .badChunkEnd }
            state = .size
        default: throw .badChunkSize
        }
    }

    private mutating func takeDigit(_ byte: UInt8) throws(HTTPFault) {
        let value: UInt8
        switch byte {
        case 0x30...0x39: value = byte - 0x30
        case 0x41...0x46: value = byte - 0x37
        case 0x61...0x66: value = byte - 0x57
        case 13 where digits > 0:
            state = .lineFeed
            return
        case 0x3B where digits > 0:
            state = .sizeEnd
            return
        default: throw .badChunkSize
        }
        guard digits < Self.maximumDigits else { throw .badChunkSize }
        if digits == 0 { remaining = 0 }
        digits += 1
        remaining = remaining << 4 | UInt64(value)
    }

    /// `;name`, `;name=token`, `;name="quoted"`: what matters is that no control byte and no line end hides in it.
    private mutating func takeExtension(_ byte: UInt8) throws(HTTPFault) {
        extensionBytes += 1
        allExtensionBytes += 1
        guard extensionBytes <= Self.maximumExtension, allExtensionBytes <= Self.maximumExtensions else {
            throw .badChunkExtension
        }
        let isControl = byte < 0x20 && byte != 9 || byte == 0x7F
        switch (state, byte) {
        case (.sizeEnd, _):
            // A name must follow the semicolon.
            guard !isControl, byte > 0x20, byte != 0x3B, byte != 0x22, byte != 0x3D else { throw .badChunkExtension }
            state = .extensions
        case (.quotedEscape, _):
            guard !isControl else { throw .badChunkExtension }
            state = .quoted
        case (.quoted, 0x22): state = .extensions
        case (.quoted, 0x5C): state = .quotedEscape
        case (.extensions, 0x22): state = .quoted
        case (.extensions, 0x3B): state = .sizeEnd
        case (.extensions, 13): state = .lineFeed
        default: guard !isControl else { throw .badChunkExtension }
        }
    }

    private mutating func advanceTrailers(_ byte: UInt8) throws(HTTPFault) {
        switch state {
        case .trailerStart:
            if byte == 13 {
                state = .endLF
            } else {
                guard byte > 0x20, byte != 0x7F else { throw .badTrailer }
                state = .trailerLine
            }
        case .trailerLine:
            if byte == 13 {
                state = .trailerLF
            } else {
                guard byte >= 0x20 && byte != 0x7F || byte == 9 else { throw .badTrailer }
            }
        case .trailerLF:
            guard byte == 10 else { throw .badTrailer }
            state = .trailerStart
        case .endLF:
            guard byte == 10 else { throw .badTrailer }
            state = .done
        default: throw .badTrailer
        }
    }
}

/// Reads the gathered trailer lines of a message.
public enum Trailers {
    /// The trailer section of one message may not be larger.
    public static let maximumBytes = 8 * 1024

    /// Fills `fields` from trailer lines (each with its CR LF, without the final empty line).
    public static func parse(
        _ bytes: UnsafeRawPointer,
        count: Int,
        limits: HeadLimits,
        fields: inout FieldTable
    ) throws(HTTPFault) {
        // The empty line that ends a head is not part of what was gathered: the parser stops at the end instead.
        var parser = FieldParser(base: bytes, count: count, position: 0)
        switch parser.parse(&fields, limits) {
        case .complete: throw .badTrailer
        case .failed(let fault): throw fault
        case .incomplete: guard parser.position == count else { throw .badTrailer }
        }
    }

    /// Whether a field may travel as a trailer: never framing, routing, authentication or connection matters (RFC 9110
    /// section 6.5.1).
    public static func isAllowed(_ name: FieldName) -> Bool { !name.isHopByHop && !name.isProtected && name != .server }
}
