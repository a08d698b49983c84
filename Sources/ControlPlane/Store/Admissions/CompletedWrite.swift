import Bytes
package import CEL
package import Resources
package import Wire

/// A write as it is to be stored.
package struct CompletedWrite: Sendable {
    package let operation: CELPolicyRequest.Operation
    package let type: ResourceType
    /// Nil for a deletion.
    package let object: Object?
    /// Nil for a new object.
    package let old: Object?
    package let isDryRun: Bool
    /// Nil for what the house itself writes.
    package let requester: WriteRequester?
    /// Whether only the status is written.
    package let isStatus: Bool
}

/// Who asks for the writes of a task, for those who judge them.
package struct WriteRequester: Sendable {
    /// Whoever asks for the writes of the current task; nil for the house itself.
    @TaskLocal package static var current: WriteRequester?

    /// `username`, `uid`, `groups`.
    package let user: Value
    /// `scale`, `eviction`; empty for the objects themselves.
    package let subresource: String
    /// What that one may do.
    package let access: CELAccess
    /// Where those who judge leave what the caller and the audit are to know.
    package let notes: WriteNotes

    package init(user: Value, subresource: String, access: CELAccess, notes: WriteNotes) {
        self.user = user
        self.subresource = subresource
        self.access = access
        self.notes = notes
    }
}

/// What is said about writes beside their outcome. Safe from every task.
package final class WriteNotes: Sendable {
    /// Where the notes of the current task's request are gathered, if anybody reads them.
    @TaskLocal package static var current: WriteNotes?

    private struct Content {
        var warnings: [String] = []
        var annotations: [(key: String, value: String)] = []
    }

    private static let limit = 64
    private let content = Lock(Content())

    package init() {}

    /// Adds a warning for the caller.
    package func warn(_ text: String) {
        content.withLock { if $0.warnings.count < Self.limit, !$0.warnings.contains(text) { $0.warnings.append(text) } }
    }

    /// Adds an annotation for the audit; the first one of a key stays.
    package func annotate(_ key: String, _ value: String) {
        content.withLock { content in
            guard content.annotations.count < Self.limit, !content.annotations.contains(where: { $0.key == key }) else {
                return
            }
            content.annotations.append((key, value))
        }
    }

    package var warnings: [String] { content.withLock { $0.warnings } }
    package var annotations: [(key: String, value: String)] { content.withLock { $0.annotations } }
}
