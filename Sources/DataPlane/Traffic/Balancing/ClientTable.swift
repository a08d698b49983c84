/// Which endpoint each client of a cluster stays with, for as long as it comes back in time.
///
/// Pure: clients and endpoints are numbers, times are nanoseconds. Shared by the workers behind a lock.
package struct ClientTable: Sendable {
    private struct Entry {
        var endpoint: UInt64
        var seen: UInt64
    }

    /// Clients that are remembered; beyond, those that were not seen for the longest are forgotten.
    package static let limit = 65_536

    private var entries: [UInt64: Entry] = [:]
    private let limit: Int

    package init(limit: Int = Self.limit) { self.limit = limit }

    /// Clients that are known at the moment.
    package var count: Int { entries.count }

    /// The endpoint of a client that was here within `timeout`; this counts as being here.
    package mutating func endpoint(of client: UInt64, now: UInt64, timeout: UInt64) -> UInt64? {
        guard let entry = entries[client] else { return nil }
        guard now < entry.seen &+ timeout else {
            entries[client] = nil
            return nil
        }
        // Another worker's clock may be a little ahead.
        entries[client]?.seen = max(entry.seen, now)
        return entry.endpoint
    }

    /// Remembers where a client went.
    package mutating func keep(_ client: UInt64, at endpoint: UInt64, now: UInt64, timeout: UInt64) {
        if entries.count >= limit, entries[client] == nil { makeRoom(now: now, timeout: timeout) }
        entries[client] = Entry(endpoint: endpoint, seen: now)
    }

    /// Forgets clients that stayed away, and if that is not enough the longer half away of the rest: rarely, and then many.
    private mutating func makeRoom(now: UInt64, timeout: UInt64) {
        entries = entries.filter { now < $0.value.seen &+ timeout }
        guard entries.count >= limit else { return }
        let middle = entries.values.map(\.seen).sorted()[entries.count / 2]
        entries = entries.filter { $0.value.seen > middle }
        // All of one moment: they cannot be told apart.
        if entries.count >= limit { entries.removeAll(keepingCapacity: true) }
    }
}
