import Glibc

/// Carries messages to a loop from other threads: the only way across.
///
/// Safety: `messages` is touched under `lock` alone; the waker is Sendable. Posting is for control work, not per request.
public final class Mailbox<Message: Sendable>: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private var messages: [Message] = []
    private let waker: LoopWaker

    public init(waker: LoopWaker) {
        self.waker = waker
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    /// Adds a message and wakes the loop.
    public func post(_ message: Message) {
        pthread_mutex_lock(lock)
        messages.append(message)
        let isFirst = messages.count == 1
        pthread_mutex_unlock(lock)
        if isFirst { waker.wakeUp() }
    }

    /// All messages, in the order of posting. Called by the loop's thread after a wake-up.
    public func take() -> [Message] {
        pthread_mutex_lock(lock)
        let taken = messages
        messages = []
        pthread_mutex_unlock(lock)
        return taken
    }
}
