import Traffic

/// Where the frame meets the filters: one line for each of them in every phase that it takes part in.
extension Worker {
    /// A request's head: what the step makes of it. Called again after `.suspended` and `.collects`.
    func ask(_ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        switch step.kind {
        case .headerMutation(let rules):
            return rules._withUnsafeGuaranteedRef { changeRequest($0, step, &pass) }
        case .compressor(let settings):
            return settings._withUnsafeGuaranteedRef { compressRequest($0, step, &pass) }
        case .decompressor(let settings):
            return settings._withUnsafeGuaranteedRef { decompressRequest($0, &pass) }
        case .externalAuthorization(let settings):
            return settings._withUnsafeGuaranteedRef { authorize($0, step, &pass) }
        case .fault(let filter): return filter._withUnsafeGuaranteedRef { injectFault($0, step, &pass) }
        case .buffer(let rules): return rules._withUnsafeGuaranteedRef { awaitBody($0, step, &pass) }
        case .cors(let filter): return filter._withUnsafeGuaranteedRef { checkOrigin($0, step, &pass) }
        case .healthCheck(let filter): return filter._withUnsafeGuaranteedRef { answerHealth($0, &pass) }
        case .rateLimit(let settings):
            return settings._withUnsafeGuaranteedRef { limit($0, step, &pass) }
        case .tokens(let settings): return settings._withUnsafeGuaranteedRef { checkTokens($0, step, &pass) }
        case .admission(let settings): return settings._withUnsafeGuaranteedRef { admit($0, pass) }
        case .concurrency(let settings): return settings._withUnsafeGuaranteedRef { admit($0, pass) }
        case .session(let settings): return settings._withUnsafeGuaranteedRef { followSession($0, step, pass) }
        case .localRateLimit(let filter):
            return filter._withUnsafeGuaranteedRef { limitLocally($0, step, &pass) }
        case .rbac(let filter): return filter._withUnsafeGuaranteedRef { admit($0, step, &pass) }
        case .fallback(let filter): return filter._withUnsafeGuaranteedRef { prepareFallback($0, step, pass) }
        case .onDemand(let filter): return filter._withUnsafeGuaranteedRef { awaitCluster($0, step, pass) }
        }
    }

    /// An answer's head, also one of the proxy's own. Called in the opposite order.
    func show(_ step: FilterStep, _ pass: inout AnswerPass) {
        switch step.kind {
        case .headerMutation(let rules): rules._withUnsafeGuaranteedRef { changeAnswer($0, step, &pass) }
        case .compressor(let settings): settings._withUnsafeGuaranteedRef { compressAnswer($0, step, &pass) }
        case .decompressor(let settings): settings._withUnsafeGuaranteedRef { decompressAnswer($0, &pass) }
        case .cors: nameOrigin(step, &pass)
        case .healthCheck(let filter): filter._withUnsafeGuaranteedRef { tellHealth($0, &pass) }
        case .session: tellSession(&pass)
        case .externalAuthorization, .rateLimit, .localRateLimit: showAnswerEdits(&pass)
        default: break
        }
    }

    /// A piece of a body, for steps that set `transformsBody`: `data` is replaced. False: it cannot go on.
    func transform(
        _ step: FilterStep,
        _ number: Int,
        _ exchange: ExchangePlace,
        _ data: inout [UInt8],
        ofAnswer: Bool,
        isLast: Bool
    ) -> Bool {
        guard case .coding(let kept) = state(exchange, number) else { return true }
        switch step.kind {
        case .compressor(let settings):
            let numbers = settings._withUnsafeGuaranteedRef { ofAnswer ? $0.answerNumbers : $0.requestNumbers }
            return compress(ofAnswer ? kept.encodesAnswer : kept.encodesRequest, numbers, &data, isLast: isLast)
        case .decompressor(let settings):
            let numbers = settings._withUnsafeGuaranteedRef { ofAnswer ? $0.answerNumbers : $0.requestNumbers }
            return decompress(ofAnswer ? kept.decodesAnswer : kept.decodesRequest, numbers, &data, isLast: isLast)
        default: return true
        }
    }

    /// The request is over; its status, flags and times stand in the exchange. For steps with `.end` that kept a state.
    func ended(_ step: FilterStep, _ number: Int, _ exchange: ExchangePlace, _ run: UnsafeMutablePointer<FilterRun>) {
        switch step.kind {
        case .admission(let settings):
            guard case .admitted = run.pointee.states[number] else { return }
            settings._withUnsafeGuaranteedRef { judgeAdmitted($0, exchange) }
        case .concurrency(let settings):
            guard case .admitted(let start) = run.pointee.states[number] else { return }
            settings._withUnsafeGuaranteedRef { measure($0, exchange, since: start) }
        default: break
        }
    }

    /// The request is gone: what a step waits for is called off.
    func cancel(_ state: FilterState) {
        switch state {
        case .calling(let token): cancelCall(token)
        case .fault(let state): endFault(state)
        case .cluster(let wait): forget(wait)
        default: break
        }
    }
}
