package import Resources
package import Store
import Wire

/// Writes Events: what happened to an object, for people. The same thing happening again raises a count.
///
/// Telling never fails and never waits: at most `queueLimit` Events wait to be written, further ones are dropped.
package actor EventRecorder {
    private static let queueLimit = 512
    private static let rememberedLimit = 1024

    private let store: any ObjectStore
    private let now: @Sendable () -> Timestamp
    private let queue: AsyncStream<Entry>
    private let input: AsyncStream<Entry>.Continuation
    private var written: [Entry.Key: String] = [:]
    private var serial = 0

    package enum Severity: String, Sendable { case normal = "Normal", warning = "Warning" }

    private struct Entry: Sendable {
        struct Key: Hashable { var uid, reason, message: String }

        var object: Object
        var severity: Severity
        var reason: String
        var message: String
        var component: String
        var time: Timestamp

        var key: Key { Key(uid: object.uid, reason: reason, message: message) }
    }

    package init(store: any ObjectStore, now: @escaping @Sendable () -> Timestamp) {
        self.store = store
        self.now = now
        (queue, input) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.queueLimit))
    }

    /// Tells an event about an object.
    package nonisolated func record(
        _ object: Object,
        _ severity: Severity,
        reason: String,
        message: String,
        component: String
    ) {
        let entry = Entry(
            object: object,
            severity: severity,
            reason: reason,
            message: message,
            component: component,
            time: now()
        )
        input.yield(entry)
    }

    /// Writes what is told, until the task is cancelled.
    package func run() async {
        for await entry in queue { await write(entry) }
    }

    private func write(_ entry: Entry) async {
        let namespace = entry.object.namespace.isEmpty ? "default" : entry.object.namespace
        let time = Value.string(entry.time.description)
        if let name = written[entry.key] {
            let key = ObjectKey(ResourceTypes.events, namespace: namespace, name: name)
            let updated = try? await store.modify(key) { (event) throws(APIError) in
                event["count"] = .int(Int64((event.value.integer("count") ?? 1) + 1))
                event["lastTimestamp"] = time
            }
            if updated != nil { return }
        }
        if written.count >= Self.rememberedLimit { written.removeAll() }
        serial += 1
        let suffix = String(UInt64(bitPattern: entry.time.seconds) << 20 | UInt64(serial & 0xf_ffff), radix: 16)
        let name = "\(entry.object.name.prefix(200)).\(suffix)"
        var event = Object(ResourceTypes.events, namespace: namespace, name: name)
        event["involvedObject"] = reference(to: entry.object)
        event["reason"] = .string(entry.reason)
        event["message"] = .string(entry.message)
        event["type"] = .string(entry.severity.rawValue)
        event["source"] = ["component": .string(entry.component)]
        event["reportingComponent"] = .string(entry.component)
        event["firstTimestamp"] = time
        event["lastTimestamp"] = time
        event["count"] = 1
        // An Event that cannot be written (its namespace is going) is not worth a failure.
        if (try? await store.create(event)) != nil { written[entry.key] = name }
    }

    private func reference(to object: Object) -> Value {
        var reference: Value = [
            "apiVersion": .string(object.apiVersion), "kind": .string(object.kind), "name": .string(object.name),
        ]
        if !object.namespace.isEmpty { reference["namespace"] = .string(object.namespace) }
        if !object.uid.isEmpty { reference["uid"] = .string(object.uid) }
        if !object.resourceVersion.isEmpty { reference["resourceVersion"] = .string(object.resourceVersion) }
        return reference
    }
}
