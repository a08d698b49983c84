/// One thing that is wrong with a configuration, by the path of its field.
package struct SchemaProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong.
    package enum Kind: Sendable, Equatable {
        /// No message of Envoy has such a field, type or value here: most often a misspelt name.
        case unknown
        /// Envoy knows it, weft-proxy does not.
        case unsupported
        /// Accepted without effect; a warning only.
        case ignored
        /// The value has another type than the field.
        case wrongType
        /// The value breaks a rule of its field.
        case outOfRange
        /// A field that has to be there is not.
        case missing
        /// Fields that exclude one another are both there.
        case conflict
        /// The bytes are no protobuf message.
        case malformed
    }

    /// The way from the root, as `static_resources.listeners[0].name`; empty for the root itself.
    package let path: String
    package let kind: Kind
    /// What is wrong with it, in words that follow the path.
    package let message: String

    package init(path: String, kind: Kind, message: String) {
        self.path = path
        self.kind = kind
        self.message = message
    }

    package var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

/// Why a configuration was refused: every problem that was found, in the order of the document.
package struct SchemaErrors: Error, Sendable, Equatable, CustomStringConvertible {
    /// At least one.
    package let problems: [SchemaProblem]
    /// Whether there were more problems than are kept.
    package let isTruncated: Bool

    package init(problems: [SchemaProblem], isTruncated: Bool = false) {
        self.problems = problems
        self.isTruncated = isTruncated
    }

    /// One problem a line.
    package var description: String {
        problems.map(\.description).joined(separator: "\n") + (isTruncated ? "\nand more" : "")
    }
}
