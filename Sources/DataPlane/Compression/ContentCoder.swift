import CCompression

/// How a call of a coder ended.
package enum CoderOutcome: Sendable, Equatable {
    /// All bytes given were taken; more are wanted, unless the message is at its end.
    case hungry
    /// The room is used up: the call has to be made again with the rest, and with room.
    case full
    /// The stream is whole.
    case done
    /// The bytes are none of this coding, or cut short.
    case corrupt
    /// More came out than may.
    case tooLarge
}

/// What a call did.
package struct CoderStep: Sendable, Equatable {
    package var taken: Int
    package var made: Int
    package var outcome: CoderOutcome
}

/// Compresses one message.
///
/// Safety: owns its stream, used by one thread.
package final class ContentEncoder {
    private let stream: OpaquePointer

    /// Nil when memory is short.
    package init?(_ settings: EncoderSettings) {
        var native = settings.native
        guard let stream = wcomp_compressor(&native) else { return nil }
        self.stream = stream
    }

    deinit { wcomp_free(stream) }

    /// Takes what it can of `input` and puts what comes out into `output`. With `flushes` all that was taken comes out, for a
    /// reader that waits for it; with `isLast` the message ends with these bytes.
    package func step(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        flushes: Bool,
        isLast: Bool
    ) -> CoderStep {
        var taken = 0
        var made = 0
        let result = wcomp_step(
            stream,
            input.baseAddress,
            input.count,
            &taken,
            output.baseAddress,
            output.count,
            &made,
            isLast ? wcomp_end : flushes ? wcomp_flush : wcomp_more
        )
        let outcome: CoderOutcome =
            switch result {
            case wcomp_hungry: .hungry
            case wcomp_full: .full
            case wcomp_done: .done
            default: .corrupt
            }
        return CoderStep(taken: taken, made: made, outcome: outcome)
    }
}

/// Decompresses one message and keeps watch over how much comes out.
///
/// Safety: owns its stream, used by one thread.
package final class ContentDecoder {
    private let stream: OpaquePointer
    private let settings: DecoderSettings
    /// Bytes of the message in either form so far.
    package private(set) var compressed: UInt64 = 0
    package private(set) var uncompressed: UInt64 = 0

    /// Nil when memory is short.
    package init?(_ settings: DecoderSettings) {
        var native = settings.native
        guard let stream = wcomp_decompressor(&native) else { return nil }
        self.stream = stream
        self.settings = settings
    }

    deinit { wcomp_free(stream) }

    /// Takes what it can of `input` and puts what comes out into `output`. With `isLast` the message ends with these bytes; one
    /// that is not whole then is corrupt.
    package func step(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        isLast: Bool
    ) -> CoderStep {
        var taken = 0
        var made = 0
        let result = wcomp_step(
            stream,
            input.baseAddress,
            input.count,
            &taken,
            output.baseAddress,
            output.count,
            &made,
            isLast ? wcomp_end : wcomp_more
        )
        compressed &+= UInt64(taken)
        uncompressed &+= UInt64(made)
        return CoderStep(taken: taken, made: made, outcome: outcome(result, taken, made, isLast))
    }

    private func outcome(_ result: wcomp_result, _ taken: Int, _ made: Int, _ isLast: Bool) -> CoderOutcome {
        if result == wcomp_failed { return .corrupt }
        if uncompressed > settings.maxBytes { return .tooLarge }
        // Divided, not multiplied: no product can overflow.
        if uncompressed > DecoderSettings.ratioFree, uncompressed / settings.maxRatio > compressed { return .tooLarge }
        switch result {
        case wcomp_done: return .done
        case wcomp_full: return taken == 0 && made == 0 ? .corrupt : .full
        // An empty message is no stream, and needs not be one.
        default: return isLast && compressed > 0 ? .corrupt : isLast ? .done : .hungry
        }
    }
}
