import Compression
import HTTP
import Traffic

/// `decompressor`: bodies of requests and answers in their plain form.
extension Worker {
    func decompressRequest(_ settings: DecompressorSettings, _ pass: inout FilterPass) -> FilterVerdict {
        let token = FieldText.run(settings.decoder.coding.token)
        let kept = CodingState()
        setState(pass.exchange, pass.step, .coding(kept))
        if settings.advertises, let value = DecompressionRules.advertising(token, pass.facts.view) {
            pass.edits.add(.set, "accept-encoding".utf8, value)
        }
        guard pass.hasBody, !head.isUpgrade else { return .next }
        guard settings.request.takes(token, pass.facts.view), let decoder = ContentDecoder(settings.decoder) else {
            countFilter(settings.requestNumbers.notDecompressed)
            return .next
        }
        countFilter(settings.requestNumbers.decompressed)
        kept.decodesRequest = decoder
        Self.plain(pass.facts.view, &pass.edits)
        pass.transformsBody = true
        return .next
    }

    func decompressAnswer(_ settings: DecompressorSettings, _ pass: inout AnswerPass) {
        guard !pass.isLocal, pass.hasBody, case .coding(let kept) = state(pass.exchange, pass.step) else { return }
        let token = FieldText.run(settings.decoder.coding.token)
        // A part of a compressed body is no stream of its own.
        guard pass.status != 206, settings.answer.takes(token, pass.view),
            let decoder = ContentDecoder(settings.decoder)
        else {
            countFilter(settings.answerNumbers.notDecompressed)
            return
        }
        countFilter(settings.answerNumbers.decompressed)
        kept.decodesAnswer = decoder
        Self.plain(pass.view, &pass.edits)
        pass.transformsBody = true
    }

    private static func plain(_ view: RequestView, _ edits: inout HeadEdits) {
        if let rest = DecompressionRules.rest(view) {
            edits.add(.set, "content-encoding".utf8, rest)
        } else {
            edits.remove("content-encoding")
        }
    }

    /// Decompresses a piece of a body. False when it is corrupt or becomes too large.
    func decompress(
        _ decoder: ContentDecoder?,
        _ numbers: DecompressorNumbers,
        _ data: inout [UInt8],
        isLast: Bool
    ) -> Bool {
        guard let decoder, !data.isEmpty || isLast else { return true }
        var made: [UInt8] = []
        var outcome = CoderOutcome.hungry
        withUnsafeTemporaryAllocation(byteCount: 32_768, alignment: 1) { room in
            var taken = 0
            repeat {
                let step = data[taken...].withUnsafeBytes { decoder.step($0, into: room, isLast: isLast) }
                taken += step.taken
                made += room[..<step.made]
                outcome = made.count > Limits.inflatedPiece ? .tooLarge : step.outcome
            } while outcome == .full
        }
        countFilter(numbers.bytesIn, Int64(data.count))
        countFilter(numbers.bytesOut, Int64(made.count))
        data = made
        switch outcome {
        case .corrupt: countFilter(numbers.corrupt)
        case .tooLarge: countFilter(numbers.tooLarge)
        default: return true
        }
        return false
    }
}
