import Bytes
import Reactor

/// Tells a thread that nobody waits for its work any more.
package final class Cancellation: Sendable {
    private let flag = Lock(false)
    package init() {}
    package var isCancelled: Bool { flag.withLock { $0 } }
    package func cancel() { flag.withLock { $0 = true } }

    func check() throws(ImageError) {
        if isCancelled { throw ImageError(.cancelled, "nobody waits for the image any more") }
    }
}

/// Work that blocks, on threads of its own: disks and networks must not hold up tasks.
enum WorkThread {
    static func run<Value: Sendable>(
        _ body: @escaping @Sendable (Cancellation) throws(ImageError) -> Value
    ) async throws(ImageError) -> Value {
        let cancellation = Cancellation()
        let result: Result<Value, ImageError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let hasStarted = SystemThread.start(name: "images") {
                    continuation.resume(returning: Result { () throws(ImageError) in try body(cancellation) })
                }
                if !hasStarted {
                    continuation.resume(returning: .failure(ImageError(.store, "no thread can be started")))
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }
}

/// Lets so many in at a time, in the order in which they came.
actor Gate {
    private var free: Int
    private var waiting: [(id: Int, continuation: CheckedContinuation<Bool, Never>)] = []
    private var nextID = 0

    init(_ count: Int) { free = max(1, count) }

    /// Waits for a place, which `leave` gives back.
    func enter() async throws(ImageError) {
        if free > 0 {
            free -= 1
            return
        }
        nextID += 1
        let id = nextID
        let hasEntered = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // Nothing else runs here before: whoever gives up finds it in the row, or let in already.
                waiting.append((id, continuation))
            }
        } onCancel: {
            Task { await self.giveUp(id) }
        }
        guard hasEntered else { throw ImageError(.cancelled, "nobody waits for the image any more") }
    }

    private func giveUp(_ id: Int) {
        guard let place = waiting.firstIndex(where: { $0.id == id }) else { return }
        waiting.remove(at: place).continuation.resume(returning: false)
    }

    func leave() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().continuation.resume(returning: true)
        }
    }
}
