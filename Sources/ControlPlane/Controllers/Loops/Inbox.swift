import Bytes
import Resources

/// Keys on their way to a loop, put there from any thread without waiting for it.
final class Inbox: Sendable {
    private let keys = Lock<[ObjectKey]>([])

    func put(_ new: [ObjectKey]) { keys.withLock { $0.append(contentsOf: new) } }

    func take() -> [ObjectKey] {
        keys.withLock { keys in
            defer { keys = [] }
            return keys
        }
    }
}
