import Compression
import HTTP
import Traffic

/// `compressor`: bodies of answers, and of requests where the configuration says so.
extension Worker {
    func compressRequest(_ settings: CompressorSettings, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict
    {
        let route = self.settings(pass.exchange, step, .compressor, CompressorRoute.self)
        guard !(route?.isDisabled ?? false) else { return .next }
        let kept = CodingState()
        let name = FieldText.run("accept-encoding")
        let values = FieldText.values(name, pass.facts.view)
        if !values.isEmpty { kept.accepted = values.map { Array($0.buffer) } }
        setState(pass.exchange, pass.step, .coding(kept))
        if settings.answer.isEnabled, route?.hidesAcceptEncoding ?? settings.answer.hidesAcceptEncoding, !values.isEmpty
        {
            pass.edits.remove("accept-encoding")
        }
        guard let rules = settings.request, pass.hasBody, !head.isUpgrade else {
            if settings.request != nil { countFilter(settings.requestNumbers.notCompressed) }
            return .next
        }
        var length: UInt64?
        if case .length(let declared) = head.framing { length = declared }
        let verdict = rules.takesRequest(length: length, pass.facts.view)
        guard verdict == .compressible, let encoder = ContentEncoder(settings.encoder) else {
            if verdict.contains(.tooShort) { countFilter(settings.requestNumbers.tooShort) }
            countFilter(settings.requestNumbers.notCompressed)
            return .next
        }
        kept.encodesRequest = encoder
        countFilter(settings.requestNumbers.compressed)
        pass.edits.set("content-encoding", "\(settings.encoder.coding.token)")
        pass.transformsBody = true
        return .next
    }

    func compressAnswer(_ settings: CompressorSettings, _ step: FilterStep, _ pass: inout AnswerPass) {
        // What the proxy answers itself is not worth it.
        guard !pass.isLocal, case .coding(let kept) = state(pass.exchange, pass.step) else { return }
        let numbers = settings.answerNumbers
        guard pass.hasBody || pass.length != nil else {
            countFilter(numbers.notCompressed)
            return
        }
        let verdict = settings.answer.judge(
            status: pass.status,
            length: pass.length,
            isUpgrade: pass.status == 101,
            pass.view
        )
        if verdict.contains(.tooShort) { countFilter(numbers.tooShort) }
        if verdict.contains(.hasETag) { countFilter(numbers.hasETag) }
        let isChosen =
            pass.hasBody && settings.answer.isEnabled && !verdict.contains(.tooShort)
            && isChosen(settings, kept, pass)
        if isChosen, verdict == .compressible, let encoder = ContentEncoder(settings.encoder) {
            kept.encodesAnswer = encoder
            countFilter(numbers.compressed)
            pass.edits.set("content-encoding", "\(settings.encoder.coding.token)")
            switch CompressionFields.etag(pass.view, weakens: settings.answer.weakensETag) {
            case .stays: break
            case .goes: pass.edits.remove("etag")
            case .becomes(let weak): pass.edits.add(.set, "etag".utf8, weak)
            }
            pass.transformsBody = true
        } else {
            countFilter(numbers.notCompressed)
        }
        // A cache has to know that others would have got another form.
        if verdict == .compressible, let vary = CompressionFields.vary(pass.view) {
            pass.edits.add(.set, "vary".utf8, vary)
        }
    }

    /// Whether this compressor of all in the chain is the one that the client likes best.
    private func isChosen(_ settings: CompressorSettings, _ kept: CodingState, _ pass: AnswerPass) -> Bool {
        guard let accepted = kept.accepted else {
            countFilter(settings.answerNumbers.noHeader)
            return false
        }
        var offered: [OfferedCoding] = []
        for number in 0..<pass.chain.pointee.steps.count {
            guard case .compressor(let other) = pass.chain.pointee.steps[number].kind,
                case .coding = state(pass.exchange, number)
            else { continue }
            let one = other.takeUnretainedValue()
            guard one.answer.takesType(pass.view) else { continue }
            let token = FieldText.run(one.encoder.coding.token)
            offered.append(OfferedCoding(token: token, isFavourite: one.isFavourite))
        }
        let joined = Array(accepted.joined(separator: [0x2C]))
        let choice = joined.withUnsafeBytes { EncodingChoice.choose([ByteRun($0)], offered: offered) }
        let isMine =
            choice.place.map { offered[$0].token.equals(FieldText.run(settings.encoder.coding.token)) } ?? false
        let numbers = settings.answerNumbers
        switch choice {
        case .noHeader, .notValid: countFilter(numbers.notValid)
        case .identity: countFilter(numbers.identity)
        case .wildcard: countFilter(numbers.wildcard)
        case .coding: countFilter(isMine ? numbers.used : numbers.overshadowed)
        }
        return isMine
    }

    /// Compresses a piece of a body; all of it comes out, since whoever waits for it cannot wait for more.
    func compress(
        _ encoder: ContentEncoder?,
        _ numbers: CompressorNumbers,
        _ data: inout [UInt8],
        isLast: Bool
    ) -> Bool {
        guard let encoder, !data.isEmpty || isLast else { return true }
        var made: [UInt8] = []
        made.reserveCapacity(data.count / 2 + 64)
        let isGood = withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 1) { room in
            var taken = 0
            while true {
                let step = data[taken...].withUnsafeBytes {
                    encoder.step($0, into: room, flushes: true, isLast: isLast)
                }
                taken += step.taken
                made += room[..<step.made]
                switch step.outcome {
                case .full: continue
                case .hungry, .done: return true
                case .corrupt, .tooLarge: return false
                }
            }
        }
        countFilter(numbers.bytesIn, Int64(data.count))
        countFilter(numbers.bytesOut, Int64(made.count))
        data = made
        return isGood
    }
}
