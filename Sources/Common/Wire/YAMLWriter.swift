extension YAML {
    /// A value as one YAML document in block style, ending with a line end.
    ///
    /// Texts get quotes whenever they would be read back as something else.
    public static func write(_ value: Value) -> String {
        var writer = YAMLWriter()
        writer.append(value, indent: 0, isInline: false)
        return writer.output
    }
}

private struct YAMLWriter {
    private(set) var output = ""

    /// With `isInline` the cursor stands behind `name:` or `-`, not at the beginning of a line.
    mutating func append(_ value: Value, indent: Int, isInline: Bool) {
        switch value {
        case .object(let fields) where !fields.isEmpty:
            if isInline { output += "\n" }
            for (name, field) in fields {
                output += spaces(indent) + key(name, indent)
                appendField(field, indent: indent)
            }
        case .array(let elements) where !elements.isEmpty:
            if isInline { output += "\n" }
            for element in elements { appendElement(element, indent: indent) }
        case .string(let text) where Self.isBlock(text):
            output += (isInline ? " " : "") + "|" + (text.hasSuffix("\n") ? "" : "-") + "\n"
            let body = text.hasSuffix("\n") ? text.dropLast() : text[...]
            for line in body.split(separator: "\n", omittingEmptySubsequences: false) {
                output += (line.isEmpty ? "" : spaces(max(2, indent)) + line) + "\n"
            }
        default:
            output += (isInline ? " " : "") + Self.text(value) + "\n"
        }
    }

    private mutating func appendField(_ field: Value, indent: Int) {
        // Lists stand at the level of their name, as Kubernetes' own tools write them.
        if case .array(let elements) = field, !elements.isEmpty {
            append(field, indent: indent, isInline: true)
        } else {
            append(field, indent: indent + 2, isInline: true)
        }
    }

    private mutating func appendElement(_ element: Value, indent: Int) {
        switch element {
        case .object(let fields) where !fields.isEmpty:
            var isFirst = true
            for (name, field) in fields {
                output += (isFirst ? spaces(indent) + "- " : spaces(indent + 2)) + key(name, indent + 2)
                isFirst = false
                appendField(field, indent: indent + 2)
            }
        case .array(let inner) where !inner.isEmpty:
            output += spaces(indent) + "-"
            append(element, indent: indent + 2, isInline: true)
        default:
            output += spaces(indent) + "-"
            append(element, indent: indent + 2, isInline: true)
        }
    }

    /// A text of several ordinary lines can stand as it is; the last line end may be there once or not at all.
    private static func isBlock(_ text: String) -> Bool {
        let first = text.unicodeScalars.first
        guard text.utf8.contains(0x0A), !text.hasSuffix("\n\n"), text != "\n", first != " ", first != "\n" else {
            return false
        }
        return !text.unicodeScalars.contains {
            ($0.value < 0x20 && $0 != "\n") || $0.value == 0x7F || (0x80..<0xA0).contains($0.value)
                || $0.value == 0xFEFF
                || $0.value == 0x2028 || $0.value == 0x2029
        }
    }

    private static func text(_ value: Value) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .int(let number): "\(number)"
        case .double(let number): JSONWriter.text(of: number)
        case .string(let text): scalar(text)
        case .array: "[]"
        case .object: "{}"
        }
    }

    /// JSON's form of a string is YAML's double-quoted form too, but for characters that YAML takes for line ends.
    private static func scalar(_ text: String) -> String {
        guard YAMLScalar.needsQuotes(text) else { return text }
        var quoted = ""
        for scalar in JSON.write(.string(text)).unicodeScalars {
            switch scalar.value {
            case 0x80..<0xA0, 0x2028, 0x2029, 0xFEFF:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted
    }

    /// A field's name and its colon. A long name is marked as one: without the mark readers look 1024 characters far.
    private func key(_ name: String, _ indent: Int) -> String {
        let text = Self.scalar(name)
        return text.utf8.count < 1000 ? text + ":" : "? " + text + "\n" + spaces(indent) + ":"
    }

    private func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
}
