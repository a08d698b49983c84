import Wire

/// What a walk through a document has found so far, and where it stands.
package struct SchemaReader: Sendable {
    private enum Step {
        case field(String)
        case element(Int)
        case key(String)
    }

    /// More problems than this help nobody; the walk goes on but does not keep them.
    static let problemLimit = 100

    private(set) var errors: [SchemaProblem] = []
    private(set) var warnings: [SchemaProblem] = []
    private(set) var isTruncated = false
    /// All errors so far, kept or not.
    private(set) var errorCount = 0
    private var steps: [Step] = []

    init() {}

    /// Reports a problem at the present place.
    mutating func report(_ kind: SchemaProblem.Kind, _ message: @autoclosure () -> String) {
        guard kind != .ignored else {
            if warnings.count < Self.problemLimit {
                warnings.append(SchemaProblem(path: path, kind: kind, message: message()))
            }
            return
        }
        errorCount += 1
        guard errors.count < Self.problemLimit else {
            isTruncated = true
            return
        }
        errors.append(SchemaProblem(path: path, kind: kind, message: message()))
    }

    /// Reports what does no harm: the configuration is used all the same.
    mutating func warn(_ kind: SchemaProblem.Kind, _ message: String) {
        guard warnings.count < Self.problemLimit else { return }
        warnings.append(SchemaProblem(path: path, kind: kind, message: message))
    }

    /// Reports a problem of a field of the message at the present place.
    mutating func report(_ kind: SchemaProblem.Kind, at field: String, _ message: @autoclosure () -> String) {
        within(field: field) { $0.report(kind, message()) }
    }

    mutating func wrongType(_ expected: String, _ value: Value) {
        report(.wrongType, "expected \(expected), got \(describe(value))")
    }

    mutating func within<R>(field: String, _ body: (inout SchemaReader) -> R) -> R {
        steps.append(.field(field))
        defer { steps.removeLast() }
        return body(&self)
    }

    mutating func within<R>(element: Int, _ body: (inout SchemaReader) -> R) -> R {
        steps.append(.element(element))
        defer { steps.removeLast() }
        return body(&self)
    }

    mutating func within<R>(key: String, _ body: (inout SchemaReader) -> R) -> R {
        steps.append(.key(key))
        defer { steps.removeLast() }
        return body(&self)
    }

    /// Nothing when there is no error, else all of them.
    func finish() throws(SchemaErrors) {
        guard !errors.isEmpty else { return }
        throw SchemaErrors(problems: errors, isTruncated: isTruncated)
    }

    private var path: String {
        var text = ""
        for step in steps {
            switch step {
            case .field(let name):
                if !text.isEmpty { text += "." }
                text += name
            case .element(let index): text += "[\(index)]"
            case .key(let key): text += "[\"\(clip(key))\"]"
            }
        }
        return text
    }
}

/// A value as a message shows it: short, whatever it is.
func describe(_ value: Value) -> String {
    switch value {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let value): "\"\(clip(value))\""
    case .array: "an array"
    case .object: "an object"
    }
}

/// At most 80 characters of a text that came from outside, without control characters.
func clip(_ text: String) -> String {
    var clipped = ""
    var count = 0
    for scalar in text.unicodeScalars {
        guard count < 80 else { return clipped + "…" }
        clipped.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? "?" : scalar)
        count += 1
    }
    return clipped
}

/// The name that a misspelt one most likely stands for, or nil.
func closest(to name: String, among candidates: some Sequence<String>) -> String? {
    guard name.utf8.count <= 100 else { return nil }
    let limit = name.utf8.count <= 4 ? 1 : name.utf8.count <= 8 ? 2 : 3
    var best: (name: String, distance: Int)?
    for candidate in candidates {
        let distance = editDistance(Array(name.utf8), Array(candidate.utf8), limit: limit)
        if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.name
}

/// Levenshtein's distance, or `limit + 1` as soon as it must be more.
private func editDistance(_ left: [UInt8], _ right: [UInt8], limit: Int) -> Int {
    guard abs(left.count - right.count) <= limit else { return limit + 1 }
    var row = Array(0...right.count)
    for (index, byte) in left.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for column in 0..<right.count {
            let substitution = diagonal + (byte == right[column] ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(substitution, min(diagonal, row[column]) + 1)
        }
    }
    return row[right.count]
}
