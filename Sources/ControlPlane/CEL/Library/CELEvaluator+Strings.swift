// Texts: CEL's own functions and the library of strings.
extension CELEvaluator {
    mutating func text(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        guard let text = values.text(0) else { return nil }
        try spend(bytes: text.utf8.count)
        switch (function, values.count) {
        case (.contains, 2):
            guard let part = values.text(1) else { return nil }
            // The search looks at each place of the text for each byte of the part at the worst.
            try spend(bytes: text.utf8.count * min(part.utf8.count, 64) / 8)
            return .bool(Self.find(Array(part.utf8), in: Array(text.utf8), from: 0) != nil)
        case (.startsWith, 2): return values.text(1).map { .bool(text.utf8.starts(with: $0.utf8)) }
        case (.endsWith, 2):
            return values.text(1).map { .bool(text.utf8.reversed().starts(with: $0.utf8.reversed())) }
        case (.matches, 2), (.find, 2), (.findAll, 2), (.findAll, 3): return try pattern(function, text, values)
        case (.lowerAscii, 1):
            return .string(Self.mapped(text) { (65...90).contains($0) ? $0 + 32 : $0 })
        case (.upperAscii, 1):
            return .string(Self.mapped(text) { (97...122).contains($0) ? $0 - 32 : $0 })
        case (.trim, 1):
            let scalars = text.unicodeScalars
            let head = scalars.drop { $0.properties.isWhitespace }
            let end = head.lastIndex { !$0.properties.isWhitespace }.map { head.index(after: $0) } ?? head.startIndex
            return .string(String(head[head.startIndex..<end]))
        case (.reverse, 1): return .string(String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
        case (.quote, 1): return .string(Self.quoted(text))
        case (.replace, 3), (.replace, 4): return try replace(text, values)
        case (.split, 2), (.split, 3): return try split(text, values)
        case (.format, 2): return try formatted(text, values[1])
        default: return nil
        }
    }

    private mutating func pattern(
        _ function: CELFunction,
        _ text: String,
        _ values: [CELValue]
    ) throws(CELFailure) -> CELValue? {
        guard let source = values.text(1) else { return nil }
        let pattern = try compiled(source)
        try spend(matching: text, size: pattern.size)
        switch function {
        case .matches: return .bool(pattern.isFound(in: text))
        case .find: return .string(pattern.find(in: text, limit: 1).first ?? "")
        default:
            let limit = values.whole(2) ?? -1
            let found = pattern.find(in: text, limit: limit < 0 ? .max : Int(limit))
            try spend(found.count)
            return .list(found.map { .string($0) })
        }
    }

    /// The expression of a text; the one that was used last is kept.
    private mutating func compiled(_ source: String) throws(CELFailure) -> CELPattern {
        if let lastPattern, lastPattern.text == source { return lastPattern.pattern }
        // A short text may become a large program: up to 10,000 instructions, some milliseconds.
        try spend(10_000 + source.utf8.count * 100)
        let pattern = try CELPattern(source)
        lastPattern = (source, pattern)
        return pattern
    }

    private static func mapped(_ text: String, _ change: (UInt8) -> UInt8) -> String {
        String(decoding: text.utf8.map(change), as: UTF8.self)
    }

    /// The first place of a part in bytes, or nil.
    static func find(_ part: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
        guard let head = part.first else { return from <= bytes.count ? from : nil }
        guard part.count <= bytes.count else { return nil }
        var place = from
        while place <= bytes.count - part.count {
            if bytes[place] == head, bytes[place..<place + part.count].elementsEqual(part) { return place }
            place += 1
        }
        return nil
    }

    private mutating func replace(_ text: String, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        guard let old = values.text(1), let new = values.text(2), values.count == 3 || values.whole(3) != nil else {
            return nil
        }
        let limit = values.whole(3).map { $0 < 0 ? Int.max : Int($0) } ?? .max
        try spend(bytes: text.utf8.count * min(old.utf8.count, 64) / 8)
        guard !old.isEmpty else { return try interleave(text, new, limit) }
        let bytes = Array(text.utf8)
        let part = Array(old.utf8)
        let substitute = Array(new.utf8)
        var result: [UInt8] = []
        var from = 0
        var count = 0
        while count < limit, let place = Self.find(part, in: bytes, from: from) {
            try spend(bytes: substitute.count)
            result += bytes[from..<place]
            result += substitute
            from = place + part.count
            count += 1
        }
        return .string(String(decoding: result + bytes[from...], as: UTF8.self))
    }

    /// Nothing stands before every code point and at the end.
    private mutating func interleave(_ text: String, _ new: String, _ limit: Int) throws(CELFailure) -> CELValue {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            if count < limit {
                try spend(bytes: new.utf8.count)
                result += new
                count += 1
            }
            result.unicodeScalars.append(scalar)
        }
        if count < limit { result += new }
        return .string(result)
    }

    private mutating func split(_ text: String, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        guard let separator = values.text(1), values.count == 2 || values.whole(2) != nil else { return nil }
        let limit = values.whole(2).map { $0 < 0 ? Int.max : Int($0) } ?? .max
        guard limit > 0 else { return .list([]) }
        guard limit > 1 else { return .list([.string(text)]) }
        try spend(bytes: text.utf8.count * 8)
        guard !separator.isEmpty else {
            let scalars = Array(text.unicodeScalars)
            let head = scalars.prefix(limit == .max ? scalars.count : limit - 1).map { CELValue.string(String($0)) }
            guard scalars.count > head.count else { return .list(head) }
            return .list(head + [.string(String(String.UnicodeScalarView(scalars[head.count...])))])
        }
        let bytes = Array(text.utf8)
        let part = Array(separator.utf8)
        var pieces: [CELValue] = []
        var from = 0
        while pieces.count < limit - 1, let place = Self.find(part, in: bytes, from: from) {
            pieces.append(.string(String(decoding: bytes[from..<place], as: UTF8.self)))
            from = place + part.count
        }
        pieces.append(.string(String(decoding: bytes[from...], as: UTF8.self)))
        return .list(pieces)
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\u{07}": result += "\\a"
            case "\u{08}": result += "\\b"
            case "\u{0C}": result += "\\f"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{0B}": result += "\\v"
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

// Places in texts, counted in code points.
extension CELEvaluator {
    mutating func textPlaces(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        if function == .join { return try join(values) }
        guard let text = values.text(0) else { return nil }
        switch function {
        case .charAt, .substring, .indexOf, .lastIndexOf: break
        default: return nil
        }
        let scalars = Array(text.unicodeScalars)
        switch (function, values.count) {
        case (.charAt, 2):
            guard let place = values.whole(1) else { return nil }
            guard place >= 0, place <= scalars.count else { throw CELFailure("index out of range: \(place)") }
            return .string(place == scalars.count ? "" : String(scalars[Int(place)]))
        case (.substring, 2), (.substring, 3):
            guard let from = values.whole(1), values.count == 2 || values.whole(2) != nil else { return nil }
            let end = values.whole(2) ?? Int64(scalars.count)
            guard from >= 0, from <= scalars.count else { throw CELFailure("index out of range: \(from)") }
            guard end >= 0, end <= scalars.count else { throw CELFailure("index out of range: \(end)") }
            guard from <= end else {
                throw CELFailure("invalid substring range. start: \(from), end: \(end)")
            }
            return .string(String(String.UnicodeScalarView(scalars[Int(from)..<Int(end)])))
        default: return try search(function == .lastIndexOf, scalars, values)
        }
    }

    private mutating func search(
        _ isLast: Bool,
        _ text: [Unicode.Scalar],
        _ values: [CELValue]
    ) throws(CELFailure) -> CELValue? {
        guard let sought = values.text(1), values.count == 2 || values.whole(2) != nil else { return nil }
        let part = Array(sought.unicodeScalars)
        let from = values.whole(2) ?? (isLast ? Int64(text.count) : 0)
        if part.isEmpty, values.count == 2 { return .int(isLast ? Int64(text.count) : 0) }
        guard from >= 0, from <= text.count, values.count == 2 || from < text.count || part.isEmpty || isLast else {
            if from == text.count { return .int(-1) }
            throw CELFailure("index out of range: \(from)")
        }
        guard part.count <= text.count else { return .int(-1) }
        try spend(text.count * min(max(part.count, 1), 64) / 8)
        let last = text.count - part.count
        func stands(_ place: Int) -> Bool { text[place..<place + part.count].elementsEqual(part) }
        let place =
            isLast
            ? (0...last).reversed().first { $0 <= Int(from) && stands($0) }
            : (0...last).first { $0 >= Int(from) && stands($0) }
        return .int(Int64(place ?? -1))
    }

    private mutating func join(_ values: [CELValue]) throws(CELFailure) -> CELValue? {
        guard let list = values.first, let elements = try list.elements(), values.count == 1 || values.text(1) != nil
        else { return nil }
        let separator = values.text(1) ?? ""
        var result = ""
        for (index, element) in elements.enumerated() {
            guard case .string(let text) = element else { return nil }
            try spend(bytes: text.utf8.count + separator.utf8.count)
            if index > 0 { result += separator }
            result += text
        }
        return .string(result)
    }
}
