/// Kubernetes' rules for names, labels and ports. Each answers nil for a good text, else what is wrong with it.
package enum NameRules {
    /// RFC 1123 subdomain: most objects' names.
    package static func subdomain(_ text: String) -> String? {
        guard text.utf8.count <= 253 else { return "must be no more than 253 characters" }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard !text.isEmpty, parts.allSatisfy({ isLabel($0) }) else {
            return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
                + "and must start and end with an alphanumeric character (e.g. 'example.com')"
        }
        return nil
    }

    /// RFC 1123 label: names of namespaces, containers and volumes.
    package static func label(_ text: String) -> String? {
        guard text.utf8.count <= 63 else { return "must be no more than 63 characters" }
        guard isLabel(text[...]) else {
            return
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
                + "and end with an alphanumeric character (e.g. 'my-name')"
        }
        return nil
    }

    /// RFC 1035 label: names of Services (they begin with a letter).
    package static func label1035(_ text: String) -> String? {
        guard text.utf8.count <= 63 else { return "must be no more than 63 characters" }
        guard isLabel(text[...]), let first = text.utf8.first, isLower(first) else {
            return
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
                + "character, and end with an alphanumeric character (e.g. 'my-name')"
        }
        return nil
    }

    /// A label's or annotation's key: an optional DNS prefix and `/`, then up to 63 characters.
    package static func labelKey(_ text: String) -> String? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let name = parts.last else { return "a valid label key must have at most one '/'" }
        if parts.count == 2, let problem = subdomain(String(parts[0])) { return "prefix part \(problem)" }
        guard !name.isEmpty else { return "name part must be non-empty" }
        guard name.utf8.count <= 63 else { return "name part must be no more than 63 characters" }
        guard isQualified(name) else {
            return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
                + "alphanumeric character (e.g. 'MyName')"
        }
        return nil
    }

    /// A label's value: empty, or up to 63 characters.
    package static func labelValue(_ text: String) -> String? {
        guard text.utf8.count <= 63 else { return "must be no more than 63 characters" }
        guard text.isEmpty || isQualified(text[...]) else {
            return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
                + "must start and end with an alphanumeric character (e.g. 'MyValue')"
        }
        return nil
    }

    /// The name of a container's port: up to 15 lower case letters, digits and single dashes, with a letter among them.
    package static func portName(_ text: String) -> String? {
        guard text.utf8.count <= 15 else { return "must be no more than 15 characters" }
        guard isLabel(text[...]), text.split(at: "--") == nil, text.utf8.contains(where: isLower) else {
            return
                "must contain only alphanumeric characters (a-z, 0-9) and single hyphens (-), with at least one letter"
        }
        return nil
    }

    /// The key of a ConfigMap or Secret: a file name.
    package static func configKey(_ text: String) -> String? {
        guard text.utf8.count <= 253 else { return "must be no more than 253 characters" }
        guard !text.isEmpty, text != ".", text != "..", text.utf8.allSatisfy({ isQualifiedByte($0) }) else {
            return
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.', and must not be '.' or "
                + "'..'"
        }
        return nil
    }

    /// An environment variable's name: printable ASCII without `=`.
    package static func envName(_ text: String) -> String? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "=") }) else {
            return "a valid environment variable name must consist only of printable ASCII characters other than '='"
        }
        return nil
    }

    private static func isLower(_ byte: UInt8) -> Bool { (97...122).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
    private static func isUpper(_ byte: UInt8) -> Bool { (65...90).contains(byte) }

    private static func isLabel(_ text: Substring) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last, first != 45, last != 45 else { return false }
        return bytes.allSatisfy { isLower($0) || isDigit($0) || $0 == 45 }
    }

    private static func isQualifiedByte(_ byte: UInt8) -> Bool {
        isLower(byte) || isUpper(byte) || isDigit(byte) || byte == 45 || byte == 95 || byte == 46
    }

    private static func isQualified(_ text: Substring) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last else { return false }
        let isEdge = { (byte: UInt8) in isLower(byte) || isUpper(byte) || isDigit(byte) }
        return isEdge(first) && isEdge(last) && bytes.allSatisfy(isQualifiedByte)
    }
}
