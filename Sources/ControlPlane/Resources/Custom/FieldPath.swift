package import Wire

/// A simple JSONPath as definitions use it for columns, scales and selectors: `.spec.replicas`,
/// `.status.conditions[?(@.type=="Ready")].status`, `.metadata.labels['app\.kubernetes\.io/name']`.
package struct FieldPath: Sendable, Equatable {
    enum Step: Sendable, Equatable {
        case field(String)
        case index(Int)
        case all
        /// Elements of which a field has a value.
        case filter(path: [String], value: Value, isEqual: Bool)
    }

    let steps: [Step]
    /// As it was written.
    package let text: String

    /// Longer ones are refused.
    private static let maximumLength = 1024

    /// Nil for a text that is no such path.
    package init?(_ text: String) {
        guard text.utf8.count <= Self.maximumLength else { return nil }
        var reader = Reader(text)
        guard let steps = reader.read() else { return nil }
        self.steps = steps
        self.text = text
    }

    /// The first value that the path leads to, or nil.
    package func first(in value: Value) -> Value? { Self.find(value, steps[...]) }

    private static func find(_ value: Value, _ steps: ArraySlice<Step>) -> Value? {
        guard let step = steps.first else { return value }
        let rest = steps.dropFirst()
        switch step {
        case .field(let name): return value[name].flatMap { find($0, rest) }
        case .index(let index):
            guard let elements = value.arrayValue else { return nil }
            let place = index < 0 ? elements.count + index : index
            return elements.indices.contains(place) ? find(elements[place], rest) : nil
        case .all:
            let inner = value.arrayValue ?? value.fields.map { $0.map(\.value) } ?? []
            for element in inner { if let found = find(element, rest) { return found } }
            return nil
        case .filter(let path, let wanted, let isEqual):
            for element in value.arrayValue ?? [] where (element.at(path: path) == wanted) == isEqual {
                if let found = find(element, rest) { return found }
            }
            return nil
        }
    }

    /// The names of a path that is made of fields alone; nil for any other.
    package var fields: [String]? {
        var names: [String] = []
        for step in steps {
            guard case .field(let name) = step else { return nil }
            names.append(name)
        }
        return names
    }

    private struct Reader {
        private var rest: Substring

        init(_ text: String) {
            var text = Substring(text)
            if text.hasPrefix("{"), text.hasSuffix("}") { text = text.dropFirst().dropLast() }
            if text.hasPrefix("$") { text = text.dropFirst() }
            rest = text
        }

        mutating func read() -> [Step]? {
            var steps: [Step] = []
            while let character = rest.first {
                guard steps.count < 64 else { return nil }
                switch character {
                case ".":
                    rest = rest.dropFirst()
                    if rest.isEmpty { return nil }
                    if rest.first == "[" { continue }
                    guard let name = name() else { return nil }
                    steps.append(name == "*" ? .all : .field(name))
                case "[":
                    guard let step = bracket() else { return nil }
                    steps.append(step)
                default: return nil
                }
            }
            return steps.isEmpty ? nil : steps
        }

        private mutating func name() -> String? {
            var name = ""
            while let character = rest.first, character != ".", character != "[" {
                rest = rest.dropFirst()
                if character == "\\" {
                    guard let escaped = rest.popFirst() else { return nil }
                    name.append(escaped)
                } else {
                    name.append(character)
                }
            }
            return name.isEmpty ? nil : name
        }

        private mutating func bracket() -> Step? {
            rest = rest.dropFirst()
            if rest.first == "'" || rest.first == "\"" {
                guard let name = quoted(), rest.popFirst() == "]" else { return nil }
                return .field(name)
            }
            if rest.hasPrefix("?(") { return filter() }
            guard let end = rest.firstIndex(of: "]") else { return nil }
            let inner = String(rest[..<end])
            rest = rest[rest.index(after: end)...]
            if inner == "*" { return .all }
            return Int(inner).map(Step.index)
        }

        private mutating func quoted() -> String? {
            guard let quote = rest.popFirst() else { return nil }
            var text = ""
            while let character = rest.popFirst() {
                if character == quote { return text }
                if character == "\\", let escaped = rest.popFirst() {
                    text.append(escaped)
                } else {
                    text.append(character)
                }
            }
            return nil
        }

        /// `?(@.type=="Ready")]`
        private mutating func filter() -> Step? {
            rest = rest.dropFirst(2)
            skipSpace()
            guard rest.popFirst() == "@" else { return nil }
            var path: [String] = []
            while rest.first == "." {
                rest = rest.dropFirst()
                let name = rest.prefix { !"=!<>. )".contains($0) }
                guard !name.isEmpty else { return nil }
                path.append(String(name))
                rest = rest.dropFirst(name.count)
            }
            skipSpace()
            let sign = rest.prefix(2)
            guard sign == "==" || sign == "!=" else { return nil }
            rest = rest.dropFirst(2)
            skipSpace()
            guard let value = literal() else { return nil }
            skipSpace()
            guard rest.popFirst() == ")", rest.popFirst() == "]" else { return nil }
            return .filter(path: path, value: value, isEqual: sign == "==")
        }

        private mutating func literal() -> Value? {
            if rest.first == "'" || rest.first == "\"" { return quoted().map(Value.string) }
            let word = rest.prefix { !" )".contains($0) }
            rest = rest.dropFirst(word.count)
            switch word {
            case "true": return true
            case "false": return false
            case "null": return .null
            default: return Int64(word).map(Value.int) ?? Double(word).map(Value.double)
            }
        }

        private mutating func skipSpace() { rest = rest.drop { $0 == " " } }
    }
}
