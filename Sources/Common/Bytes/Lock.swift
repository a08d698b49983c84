import Glibc

/// A value that only one thread at a time can reach, guarded by a POSIX mutex.
///
/// It has the face of `Synchronization.Mutex`, whose futex code the thread sanitizer does not see and reports as races. The
/// lock is not recursive: taking it again inside `withLock` never returns.
///
/// Safety: `storage` is owned by this value, its content reached under the mutex alone.
public struct Lock<Value>: ~Copyable, @unchecked Sendable {
    private struct Storage {
        var mutex = pthread_mutex_t()
        var value: Value
    }

    private let storage: UnsafeMutablePointer<Storage>

    /// The first field lies at the beginning of the storage, which never moves.
    private var mutex: UnsafeMutablePointer<pthread_mutex_t> {
        UnsafeMutableRawPointer(storage).assumingMemoryBound(to: pthread_mutex_t.self)
    }

    public init(_ value: consuming sending Value) {
        storage = .allocate(capacity: 1)
        storage.initialize(to: Storage(value: value))
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        storage.deinitialize(count: 1)
        storage.deallocate()
    }

    /// Runs `body` with the value while no other thread can.
    public func withLock<Result, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&storage.pointee.value)
    }
}
