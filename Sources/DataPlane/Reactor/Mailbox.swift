import Bytes

/// Carries messages to a loop from other threads: the only way across. Posting is for control work, not per request.
public final class Mailbox<Message: Sendable>: Sendable {
    private let messages = Lock<[Message]>([])
    private let waker: LoopWaker

    public init(waker: LoopWaker) { self.waker = waker }

    /// Adds a message and wakes the loop.
    public func post(_ message: Message) {
        let isFirst = messages.withLock { waiting in
            waiting.append(message)
            return waiting.count == 1
        }
        if isFirst { waker.wakeUp() }
    }

    /// All messages, in the order of posting. Called by the loop's thread after a wake-up.
    public func take() -> [Message] {
        messages.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }
}
