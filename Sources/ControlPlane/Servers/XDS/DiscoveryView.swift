import Bytes
package import Mesh

/// What one kind of client is served, shared by all of that kind. For any thread.
package final class DiscoveryView: Sendable {
    private struct State {
        var tables: DiscoveryTables
        var listeners: [UInt64: AsyncStream<Void>.Continuation] = [:]
    }

    private let state: Lock<State>

    package init(_ audience: DiscoveryAudience) {
        state = Lock(State(tables: DiscoveryTables(hasServiceNames: audience.kind == .proxyless)))
    }

    /// Takes changes over and wakes who listens.
    package func apply(_ updates: [DiscoveryUpdate]) {
        let listeners = state.withLock { state in
            state.tables.apply(updates) ? Array(state.listeners.values) : []
        }
        for listener in listeners { listener.yield() }
    }

    /// Wakes `listener` after every change; nil: no more.
    func listen(_ number: UInt64, _ listener: AsyncStream<Void>.Continuation?) {
        state.withLock { $0.listeners[number] = listener }
    }

    var listenerCount: Int { state.withLock { $0.listeners.count } }

    /// The revisions of the tables, in the order of the types.
    var revisions: [UInt64] {
        state.withLock { state in DiscoveryType.allCases.map { state.tables[$0].revision } }
    }

    /// The responses that a stream is due.
    func advance(_ stream: inout DiscoveryStream) -> [DiscoveryResponse] {
        let tables = state.withLock { $0.tables }
        return stream.advance(tables)
    }

    /// How many resources of a type there are.
    package func count(_ type: DiscoveryType) -> Int { state.withLock { $0.tables[type].resources.count } }
}
