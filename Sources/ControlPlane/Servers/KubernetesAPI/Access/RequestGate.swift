import Bytes
import Resources

/// How many requests are answered at once, and who is next: each flow (a user's program) has a queue of its own, and the queues
/// take turns. A program that floods waits for itself.
package final class RequestGate: Sendable {
    package struct Limits: Sendable {
        /// Requests that are answered at once. Watches, followed logs and commands do not count once they have begun.
        package var atOnce = 64
        /// Requests of one flow that wait.
        package var waitingPerFlow = 256
        /// Requests that wait, together.
        package var waiting = 2048

        package init() {}
    }

    private struct State {
        var running = 0
        var waiting = 0
        var queues: [String: [CheckedContinuation<Void, Never>]] = [:]
        /// The flows that wait, in the order of their turns.
        var turns: [String] = []
        var refused = 0
    }

    private let limits: Limits
    private let state = Lock(State())

    package init(limits: Limits = Limits()) { self.limits = limits }

    /// Requests refused since the start.
    package var refusals: Int { state.withLock { $0.refused } }

    var isBusy: Bool { state.withLock { $0.running > 0 } }
    var waitingCount: Int { state.withLock { $0.waiting } }

    /// Runs `work` when it is this flow's turn.
    ///
    /// - Throws: `APIError` 429 when too many wait already.
    func pass<Result: Sendable>(
        _ flow: String,
        _ work: () async -> Result
    ) async throws(APIError) -> Result {
        let mayRun = state.withLock { state in
            guard state.running < limits.atOnce, state.turns.isEmpty else { return false }
            state.running += 1
            return true
        }
        if !mayRun { try await wait(flow) }
        let result = await work()
        leave()
        return result
    }

    private func wait(_ flow: String) async throws(APIError) {
        let refusal = APIError(
            code: 429,
            reason: .tooManyRequests,
            message: "too many requests of \(flow) wait; please try again later"
        )
        let limits = limits
        let isFull = state.withLock { state in
            let own = state.queues[flow]?.count ?? 0
            guard state.waiting < limits.waiting, own < limits.waitingPerFlow else {
                state.refused += 1
                return true
            }
            return false
        }
        if isFull { throw refusal }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let runsNow = state.withLock { state in
                if state.running < limits.atOnce, state.turns.isEmpty {
                    state.running += 1
                    return true
                }
                if state.queues[flow] == nil { state.turns.append(flow) }
                state.queues[flow, default: []].append(continuation)
                state.waiting += 1
                return false
            }
            if runsNow { continuation.resume() }
        }
    }

    /// Hands the place to the flow whose turn it is.
    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.turns.isEmpty else {
                state.running -= 1
                return nil
            }
            let flow = state.turns.removeFirst()
            guard var queue = state.queues[flow], !queue.isEmpty else {
                state.running -= 1
                return nil
            }
            let first = queue.removeFirst()
            state.waiting -= 1
            state.queues[flow] = queue.isEmpty ? nil : queue
            if !queue.isEmpty { state.turns.append(flow) }
            return first
        }
        next?.resume()
    }
}
