import Bytes

/// What the daemon says while it ends, for everybody who asked it to.
package final class ProgressHub: Sendable {
    private struct State {
        var hasBegun = false
        var lines: [String] = []
        var isFinished = false
        var listeners: [AsyncStream<String>.Continuation] = []
    }

    private let state = Lock(State())

    /// Whether the end has begun.
    package var hasBegun: Bool { state.withLock { $0.hasBegun } }

    package init() {}

    package func begin() { state.withLock { $0.hasBegun = true } }

    /// Tells a line to all who listen, now or later.
    package func say(_ line: String) {
        state.withLock { state in
            state.lines.append(line)
            for listener in state.listeners { listener.yield(line) }
        }
    }

    /// Ends every stream.
    package func finish() {
        state.withLock { state in
            state.isFinished = true
            for listener in state.listeners { listener.finish() }
            state.listeners = []
        }
    }

    /// Every line, from the first on.
    package func lines() -> AsyncStream<String> {
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        state.withLock { state in
            for line in state.lines { continuation.yield(line) }
            if state.isFinished { continuation.finish() } else { state.listeners.append(continuation) }
        }
        return stream
    }
}
