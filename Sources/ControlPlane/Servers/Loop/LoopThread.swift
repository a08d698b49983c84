import CWeft
import Glibc
package import Reactor

/// The thread on which all sockets of the control plane live.
///
/// Async code hands closures to it; objects confined to it are touched by those closures alone.
package final class LoopThread: Sendable {
    private let remote: LoopRemote

    /// The one loop of the process for servers and clients; made at first use.
    package static let shared = LoopThread(name: "weft-servers")

    private init(name: String) {
        // Safety: written once by the new thread before the semaphore is posted, read once after it.
        nonisolated(unsafe) var started: LoopRemote?
        let ready = Semaphore()
        let isRunning = SystemThread.start(name: name) {
            guard let loop = try? HandlerLoop() else {
                ready.post()
                return
            }
            started = loop.remote
            ready.post()
            loop.run()
        }
        if isRunning { ready.wait() }
        // Without a thread or an epoll descriptor the process cannot do anything at all.
        guard let made = started else {
            preconditionFailure("the servers' loop cannot be started: out of descriptors or threads")
        }
        remote = made
    }

    /// Runs `work` on the loop's thread, after what was posted before.
    package func post(_ work: @escaping @Sendable (HandlerLoop) -> Void) { remote.post(work) }

    /// Runs `work` on the loop's thread and returns what it gives.
    package func run<Result: Sendable, Failure: Error>(
        _ work: @escaping @Sendable (HandlerLoop) throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Swift.Result<Result, Failure>, Never>) in
            remote.post { loop in
                do throws(Failure) {
                    continuation.resume(returning: .success(try work(loop)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }
}

/// A counting semaphore (`sem_overview(7)`), for the start of a thread.
///
/// Safety: the memory lives as long as the object, and the calls are thread-safe.
private final class Semaphore: @unchecked Sendable {
    private let memory = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(memory, 0, 0) }
    deinit {
        sem_destroy(memory)
        memory.deallocate()
    }

    func post() { sem_post(memory) }
    func wait() { while sem_wait(memory) != 0 {} }
}
