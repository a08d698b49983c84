package import Wire

/// Chooses objects by their labels: `matchLabels` and `matchExpressions`, or the text of `-l`.
package struct LabelSelector: Sendable, Equatable {
    /// One condition on one label; all of a selector's must hold.
    package enum Requirement: Sendable, Equatable {
        case isIn(key: String, values: [String])
        case isNotIn(key: String, values: [String])
        case exists(key: String)
        case doesNotExist(key: String)
        case isGreater(key: String, than: Int)
        case isLess(key: String, than: Int)
    }

    package var requirements: [Requirement]

    package init(requirements: [Requirement] = []) { self.requirements = requirements }

    /// All of these labels with these values: `spec.selector` of a Service.
    package init(matching labels: [String: String]) {
        requirements = labels.sorted { $0.key < $1.key }.map { .isIn(key: $0.key, values: [$0.value]) }
    }

    /// `{matchLabels, matchExpressions}`; an unknown operator matches nothing.
    package init(_ value: Value) {
        self.init(matching: value.textMap("matchLabels"))
        for expression in value.list("matchExpressions") {
            let key = expression.text("key") ?? ""
            switch expression.text("operator") {
            case "In": requirements.append(.isIn(key: key, values: expression.texts("values")))
            case "NotIn": requirements.append(.isNotIn(key: key, values: expression.texts("values")))
            case "Exists": requirements.append(.exists(key: key))
            case "DoesNotExist": requirements.append(.doesNotExist(key: key))
            default: requirements.append(.isIn(key: key, values: []))
            }
        }
    }

    /// Chooses everything.
    package var isEmpty: Bool { requirements.isEmpty }

    package func matches(_ labels: [String: String]) -> Bool { matches { labels[$0] } }

    package func matches(_ object: Object) -> Bool {
        if requirements.isEmpty { return true }
        let labels = object.value["metadata"]?["labels"]
        return matches { labels?[$0]?.stringValue }
    }

    private func matches(_ label: (String) -> String?) -> Bool {
        requirements.allSatisfy { requirement in
            switch requirement {
            case .isIn(let key, let values): label(key).map(values.contains) ?? false
            case .isNotIn(let key, let values): label(key).map { !values.contains($0) } ?? true
            case .exists(let key): label(key) != nil
            case .doesNotExist(let key): label(key) == nil
            case .isGreater(let key, let than): label(key).flatMap { Int($0) }.map { $0 > than } ?? false
            case .isLess(let key, let than): label(key).flatMap { Int($0) }.map { $0 < than } ?? false
            }
        }
    }
}

extension LabelSelector {
    /// Reads the text of `-l`: `app=web,tier!=db,env in (a,b),release notin (x),canary,!old`.
    ///
    /// - Throws: `APIError` 400 that says where the text cannot be read.
    package init(text: String) throws(APIError) {
        self.init()
        for term in try Self.terms(text) { requirements.append(try Self.requirement(term, in: text)) }
    }

    /// Splits at the commas outside parentheses.
    private static func terms(_ text: String) throws(APIError) -> [String] {
        var terms: [String] = []
        var current = ""
        var depth = 0
        for character in text {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            guard depth == 0 || depth == 1 else { throw unreadable(text, "parentheses do not match") }
            if character == ",", depth == 0 {
                terms.append(current)
                current = ""
            } else {
                current.append(character)
            }
        }
        guard depth == 0 else { throw unreadable(text, "a parenthesis is not closed") }
        if !current.allSatisfy(\.isWhitespace) || !terms.isEmpty { terms.append(current) }
        return terms
    }

    private static func requirement(_ term: String, in text: String) throws(APIError) -> Requirement {
        let term = term.trimmed
        if term.hasPrefix("!") { return .doesNotExist(key: try key(term.dropFirst(), in: text)) }
        for (sign, isEqual) in [("!=", false), ("==", true), ("=", true)] {
            guard let (left, right) = term.split(at: sign) else { continue }
            let key = try key(left[...], in: text)
            let value = right.trimmed
            if let problem = NameRules.labelValue(value) { throw unreadable(text, problem) }
            return isEqual ? .isIn(key: key, values: [value]) : .isNotIn(key: key, values: [value])
        }
        if let (left, right) = term.split(at: "("), right.hasSuffix(")") {
            var words = left.split(whereSeparator: \.isWhitespace)
            guard words.count == 2, let verb = words.popLast() else { throw unreadable(text, "\"\(term)\"") }
            let values = right.dropLast().split(separator: ",", omittingEmptySubsequences: false)
                .map { String($0).trimmed }
            let key = try key(words[0], in: text)
            if verb == "in" { return .isIn(key: key, values: values) }
            if verb == "notin" { return .isNotIn(key: key, values: values) }
        }
        for (sign, isGreater) in [(">", true), ("<", false)] {
            guard let (left, right) = term.split(at: sign), let bound = Int(right.trimmed) else { continue }
            let key = try key(left[...], in: text)
            return isGreater ? .isGreater(key: key, than: bound) : .isLess(key: key, than: bound)
        }
        return .exists(key: try key(term[...], in: text))
    }

    private static func key(_ word: Substring, in text: String) throws(APIError) -> String {
        let key = String(word).trimmed
        if let problem = NameRules.labelKey(key) { throw unreadable(text, problem) }
        return key
    }

    private static func unreadable(_ text: String, _ why: String) -> APIError {
        .badRequest("unable to parse the label selector \"\(text)\": \(why)")
    }
}

extension LabelSelector: CustomStringConvertible {
    /// The text form, as the SELECTOR column shows it.
    package var description: String {
        requirements.map { requirement in
            switch requirement {
            case .isIn(let key, let values):
                values.count == 1 ? "\(key)=\(values[0])" : "\(key) in (\(values.joined(separator: ",")))"
            case .isNotIn(let key, let values):
                values.count == 1 ? "\(key)!=\(values[0])" : "\(key) notin (\(values.joined(separator: ",")))"
            case .exists(let key): key
            case .doesNotExist(let key): "!\(key)"
            case .isGreater(let key, let than): "\(key)>\(than)"
            case .isLess(let key, let than): "\(key)<\(than)"
            }
        }.joined(separator: ",")
    }
}

extension String {
    /// Without white space at both ends.
    var trimmed: String {
        var slice = self[...]
        while let first = slice.first, first.isWhitespace { slice = slice.dropFirst() }
        while let last = slice.last, last.isWhitespace { slice = slice.dropLast() }
        return String(slice)
    }

    /// The parts before and after the first occurrence of `sign`, or nil.
    func split(at sign: String) -> (before: String, after: String)? {
        guard let first = sign.first else { return nil }
        var start = startIndex
        while let found = self[start...].firstIndex(of: first) {
            if self[found...].hasPrefix(sign) {
                return (String(self[..<found]), String(self[found...].dropFirst(sign.count)))
            }
            start = index(after: found)
        }
        return nil
    }
}
