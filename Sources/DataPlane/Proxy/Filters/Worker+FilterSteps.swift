import Traffic

/// Where the frame meets the filters: one line for each of them in every phase that it takes part in.
extension Worker {
    /// A request's head: what the step makes of it. Called again after `.suspended` and `.collects`.
    func ask(_ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        switch step.kind {
        case .headerMutation(let rules):
            return rules._withUnsafeGuaranteedRef { changeRequest($0, step, &pass) }
        }
    }

    /// An answer's head, also one of the proxy's own. Called in the opposite order.
    func show(_ step: FilterStep, _ pass: inout AnswerPass) {
        switch step.kind {
        case .headerMutation(let rules): rules._withUnsafeGuaranteedRef { changeAnswer($0, step, &pass) }
        }
    }

    /// A piece of a request's body, for steps that set `transformsBody`: `data` is replaced. False: it cannot go on.
    func transformRequest(
        _ step: FilterStep,
        _ number: Int,
        _ exchange: ExchangePlace,
        _ data: inout [UInt8],
        isLast: Bool
    ) -> Bool {
        switch step.kind {
        case .headerMutation: return true
        }
    }

    /// A piece of an answer's body, for steps that set `transformsBody`: `data` is replaced. False: it cannot go on.
    func transformAnswer(
        _ step: FilterStep,
        _ number: Int,
        _ exchange: ExchangePlace,
        _ data: inout [UInt8],
        isLast: Bool
    ) -> Bool {
        switch step.kind {
        case .headerMutation: return true
        }
    }

    /// The request is over; its status, flags and times stand in the exchange. For steps with `.end` that kept a state.
    func ended(_ step: FilterStep, _ number: Int, _ exchange: ExchangePlace, _ run: UnsafeMutablePointer<FilterRun>) {
        switch step.kind {
        case .headerMutation: break
        }
    }

    /// The request is gone: what a step waits for is called off.
    func cancel(_ state: FilterState) {
        switch state {
        case .none: break
        }
    }
}
