/// What a field's value has to be beyond its type: the rules of Envoy's own validation.
package enum Rule: Sendable, Equatable {
    case required
    case minLength(Int)
    case maxBytes(Int)
    case headerName
    case headerValue
    case oneOf([String])
    case atLeast(Double)
    case above(Double)
    case atMost(Double)
    case below(Double)
    case durationAtLeast(Duration)
    case durationAbove(Duration)
    case durationAtMost(Duration)
    case durationBelow(Duration)
    case minItems(Int)
    case maxItems(Int)
    case mustBeTrue

    /// What rules look at in a value.
    enum Subject {
        case text(String)
        case bytes(Int)
        case number(Double)
        case duration(Duration)
        case flag(Bool)
        case other
    }

    /// Whether the rule is one of a list or map as a whole, and not of its elements.
    var concernsCount: Bool {
        switch self {
        case .required, .minItems, .maxItems: true
        default: false
        }
    }

    /// What is wrong with a list or map of so many elements, or nil.
    func violation(count: Int) -> String? {
        switch self {
        case .required where count == 0: "required"
        case .minItems(let minimum) where count < minimum:
            minimum == 1 ? "needs at least one element" : "needs at least \(minimum) elements, has \(count)"
        case .maxItems(let maximum) where count > maximum: "takes at most \(maximum) elements, has \(count)"
        default: nil
        }
    }

    /// What is wrong with a value, or nil.
    func violation(_ subject: Subject) -> String? {
        switch subject {
        case .text(let text): violation(text: text)
        case .number(let number): violation(number: number)
        case .duration(let duration): violation(duration: duration)
        case .bytes(let count):
            if case .maxBytes(let limit) = self, count > limit {
                "takes at most \(limit) bytes, has \(count)"
            } else {
                nil
            }
        case .flag(let flag): self == .mustBeTrue && !flag ? "can only be true" : nil
        case .other: nil
        }
    }

    private func violation(text: String) -> String? {
        switch self {
        case .minLength(let minimum) where text.unicodeScalars.count < minimum:
            text.isEmpty ? "must not be empty" : "must have at least \(minimum) characters"
        case .maxBytes(let limit) where text.utf8.count > limit:
            "takes at most \(limit) bytes, has \(text.utf8.count)"
        case .headerName where text.utf8.contains { $0 == 0 || $0 == 0x0A || $0 == 0x0D }:
            "holds a character that no header name has"
        case .headerValue where text.utf8.contains { $0 == 0 || $0 == 0x0A || $0 == 0x0D }:
            "holds a character that no header value has"
        case .oneOf(let allowed) where !text.isEmpty && !allowed.contains(text):
            "must be one of \(allowed.joined(separator: ", ")), not \"\(clip(text))\""
        default: nil
        }
    }

    private func violation(number: Double) -> String? {
        switch self {
        case .atLeast(let bound) where !(number >= bound): "must be \(plain(bound)) or more, is \(plain(number))"
        case .above(let bound) where !(number > bound): "must be more than \(plain(bound)), is \(plain(number))"
        case .atMost(let bound) where !(number <= bound): "must be \(plain(bound)) or less, is \(plain(number))"
        case .below(let bound) where !(number < bound): "must be less than \(plain(bound)), is \(plain(number))"
        default: nil
        }
    }

    private func violation(duration: Duration) -> String? {
        let text = { (value: Duration) in ProtoDuration.text(value) }
        return switch self {
        case .durationAtLeast(let bound) where duration < bound: "must be \(text(bound)) or more, is \(text(duration))"
        case .durationAbove(let bound) where duration <= bound: "must be more than \(text(bound)), is \(text(duration))"
        case .durationAtMost(let bound) where duration > bound: "must be \(text(bound)) or less, is \(text(duration))"
        case .durationBelow(let bound) where duration >= bound: "must be less than \(text(bound)), is \(text(duration))"
        default: nil
        }
    }

    private func plain(_ number: Double) -> String {
        if let whole = Int64(exactly: number) { "\(whole)" } else { "\(number)" }
    }
}
