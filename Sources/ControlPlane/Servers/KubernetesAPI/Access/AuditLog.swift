import Bytes
import Glibc
import Resources
import Wire

/// Who did what and what came of it: an event of `audit.k8s.io/v1` (level `Metadata`) a line, in a file of mode 0600.
///
/// A file that has reached its size becomes `FILE.1`, an older one `FILE.2`, up to `kept`. Safe from every task.
package final class AuditLog: Sendable {
    private struct File {
        var descriptor: Int32 = -1
        var size = 0
        var lost = 0
    }

    /// Bytes of one file.
    static let size = 16 << 20
    /// Files kept beside the one that is written.
    static let kept = 4

    private let path: String
    private let limit: Int
    private let file: Lock<File>

    /// - Returns: nil when the file cannot be opened; `errno` says why.
    package init?(path: String, limit: Int = AuditLog.size) {
        self.path = path
        self.limit = limit
        var first = File()
        first.descriptor = Self.open(path)
        guard first.descriptor >= 0 else { return nil }
        first.size = max(0, Int(lseek(first.descriptor, 0, SEEK_END)))
        file = Lock(first)
    }

    deinit { file.withLock { _ = close($0.descriptor) } }

    private static func open(_ path: String) -> Int32 {
        Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
    }

    /// Events that could not be written: the disk is full.
    package var lostEvents: Int { file.withLock { $0.lost } }

    func write(_ event: Value) {
        let line = JSON.bytes(event) + [UInt8(ascii: "\n")]
        file.withLock { file in
            if file.size > 0, file.size + line.count > limit { rotate(&file) }
            let written = Glibc.write(file.descriptor, line, line.count)
            if written > 0 { file.size += written }
            if written != line.count { file.lost += 1 }
        }
    }

    private func rotate(_ file: inout File) {
        for number in stride(from: Self.kept - 1, through: 1, by: -1) {
            rename("\(path).\(number)", "\(path).\(number + 1)")
        }
        rename(path, "\(path).1")
        let next = Self.open(path)
        guard next >= 0 else { return }
        close(file.descriptor)
        file.descriptor = next
        file.size = 0
    }
}

/// One request on its way through the API, for the audit.
struct AuditEvent: Sendable {
    let request: HTTPRequest
    let facts: RequestFacts
    var caller: Caller
    let received: Timestamp
    let id: String
    var decision = ""
    var reason = ""
    /// What policies noted.
    var notes: [(key: String, value: String)] = []

    func value(status: Int, goesOn: Bool, at now: Timestamp) -> Value {
        var target = request.path
        if !request.query.isEmpty {
            target += "?" + request.query.prefix(64).map { "\($0.name)=\($0.value.prefix(256))" }.joined(separator: "&")
        }
        var event: Value = [
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": .string(id),
            "stage": goesOn ? "ResponseStarted" : "ResponseComplete",
            "requestURI": .string(String(target.prefix(2048))),
            "verb": .string(facts.verb), "user": caller.value,
            "sourceIPs": .array(request.origin.address.isEmpty ? [] : [.string(request.origin.address)]),
            "userAgent": .string(String((request.headers["User-Agent"] ?? "").prefix(256))),
        ]
        if facts.path == nil {
            var reference: Value = ["resource": .string(facts.resource)]
            for (field, text) in [
                ("namespace", facts.namespace), ("name", facts.name), ("apiGroup", facts.group),
                ("apiVersion", facts.version), ("subresource", facts.subresource),
            ] where !text.isEmpty {
                reference[field] = .string(text)
            }
            event["objectRef"] = reference
        }
        event["responseStatus"] = ["metadata": [:], "code": .int(Int64(status))]
        event["requestReceivedTimestamp"] = .string(received.microDescription)
        event["stageTimestamp"] = .string(now.microDescription)
        var annotations: Value = [:]
        if !decision.isEmpty {
            annotations["authorization.k8s.io/decision"] = .string(decision)
            annotations["authorization.k8s.io/reason"] = .string(reason)
        }
        for note in notes { annotations[note.key] = .string(note.value) }
        if annotations.fields?.isEmpty == false { event["annotations"] = annotations }
        return event
    }
}
