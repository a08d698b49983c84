import HTTP
import Traffic

/// `buffer`: the endpoint gets a request once its body is whole, and no body that is too large.
extension Worker {
    func awaitBody(_ rules: BufferRules, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        let own = settings(pass.exchange, step, .buffer, BufferRules.self) ?? rules
        guard let limit = own.limit, !pass.exchange.pointee.flags.contains(.wantsUpgrade),
            pass.exchange.pointee.method != .connect
        else { return .next }
        // Nothing has to be read of a body that says itself that it is too large.
        if case .length(let count) = head.framing, count > UInt64(limit) { return tooLarge(rules) }
        switch pass.collected {
        case .nothing: return pass.hasBody ? .collects(limit) : .next
        case .whole: return .next
        case .beginning: return tooLarge(rules)
        }
    }

    private func tooLarge(_ rules: BufferRules) -> FilterVerdict {
        countFilter(rules.number)
        return .answered(FilterReply(status: 413, body: "Payload Too Large", details: "request_payload_too_large"))
    }
}
