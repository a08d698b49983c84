import Resources
import Store
import Wire

/// Deletes Events that are old, or too many.
package struct EventExpiry: Sendable {
    /// How long an Event stays.
    package static let lifetimeSeconds = 3600
    /// Events kept at most; the oldest go first.
    package static let limit = 2000
    private static let interval = Duration.seconds(300)

    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    /// Sweeps every five minutes until the task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.interval)
            guard !Task.isCancelled else { return }
            try? await sweep()
        }
    }

    /// Deletes what is too old now.
    package func sweep() async throws {
        let events = try await cluster.store.list(ResourceTypes.events)
        for key in Self.expired(events, now: cluster.now()) {
            try await cluster.delete(key)
        }
    }

    static func expired(_ events: [Object], now: Timestamp) -> [ObjectKey] {
        let aged = events.map { event -> (event: Object, time: Timestamp) in
            let text =
                event.value.text("lastTimestamp") ?? event.value["series"]?.text("lastObservedTime")
                ?? event.value.text("eventTime")
            return (event, text.flatMap(Timestamp.init) ?? event.creationTimestamp ?? now)
        }.sorted { $0.time > $1.time }
        return aged.enumerated().compactMap { index, entry in
            guard index >= limit || now.seconds(since: entry.time) > lifetimeSeconds else { return nil }
            return ObjectKey(ResourceTypes.events, namespace: entry.event.namespace, name: entry.event.name)
        }
    }
}
