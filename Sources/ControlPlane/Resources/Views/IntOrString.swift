package import Wire

/// A number, or a text that is a share (`25%`) or a name (`http`).
package enum IntOrString: Sendable, Equatable {
    case number(Int)
    case text(String)

    /// Reads a value; nil for anything but a whole number or a text.
    package init?(_ value: Value?) {
        if let number = value?.intValue {
            self = .number(number)
        } else if let text = value?.stringValue {
            self = .text(text)
        } else {
            return nil
        }
    }

    /// The share of a text such as `25%`, or nil.
    package var percent: Int? {
        guard case .text(let text) = self, text.hasSuffix("%"), let percent = Int(text.dropLast()), percent >= 0 else {
            return nil
        }
        return percent
    }

    /// The number, or the share of `total`; a text that is neither counts as nil.
    package func scaled(of total: Int, roundingUp: Bool) -> Int? {
        if case .number(let number) = self { return number }
        guard let percent else { return nil }
        let (product, overflow) = percent.multipliedReportingOverflow(by: max(total, 0))
        guard !overflow else { return nil }
        return roundingUp ? (product / 100) + (product % 100 == 0 ? 0 : 1) : product / 100
    }
}

extension IntOrString: CustomStringConvertible {
    package var description: String {
        switch self {
        case .number(let number): String(number)
        case .text(let text): text
        }
    }
}
