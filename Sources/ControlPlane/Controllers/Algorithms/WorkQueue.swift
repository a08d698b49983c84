/// The keys a controller still has to look at: each once, however often it was named, with a back-off per failing key.
///
/// Pure: time is an argument, in milliseconds of any steady clock. A key that is being worked on and is named again comes
/// back when its work is done, so one key is never worked on twice at the same time.
package struct WorkQueue<Key: Hashable & Sendable>: Sendable {
    /// First wait after a failure; it doubles with each further one.
    package static var firstBackOff: Int { 5 }
    /// Longest wait after failures.
    package static var longestBackOff: Int { 30_000 }

    private var ready: [Key] = []
    private var head = 0
    private var queued: Set<Key> = []
    private var running: Set<Key> = []
    private var dirty: Set<Key> = []
    private var delayed: [Key: Int] = [:]
    private var failures: [Key: Int] = [:]

    package init() {}

    package var isEmpty: Bool { queued.isEmpty && delayed.isEmpty && running.isEmpty }
    package var runningCount: Int { running.count }

    /// Names a key: it will be handed out as soon as possible.
    package mutating func add(_ key: Key) {
        delayed[key] = nil
        if running.contains(key) {
            dirty.insert(key)
            return
        }
        guard queued.insert(key).inserted else { return }
        ready.append(key)
    }

    /// Names a key for a later time; an earlier time that was already set stays.
    package mutating func add(_ key: Key, at time: Int) {
        guard !queued.contains(key), !dirty.contains(key) else { return }
        delayed[key] = min(delayed[key] ?? time, time)
    }

    /// The next key to work on, or nil when none is due.
    package mutating func take(now: Int) -> Key? {
        promote(now: now)
        guard head < ready.count else { return nil }
        let key = ready[head]
        head += 1
        if head == ready.count {
            ready.removeAll(keepingCapacity: true)
            head = 0
        }
        queued.remove(key)
        running.insert(key)
        return key
    }

    /// When the next delayed key is due, or nil when none waits.
    package var nextDue: Int? { delayed.values.min() }

    /// Work on a key ended well.
    package mutating func succeeded(_ key: Key) {
        failures[key] = nil
        finish(key)
    }

    /// Work on a key failed: it comes back after its back-off, or at once when it was named meanwhile.
    package mutating func failed(_ key: Key, now: Int) {
        let count = failures[key, default: 0]
        failures[key] = count + 1
        finish(key)
        guard !queued.contains(key) else { return }
        let wait = count > 20 ? Self.longestBackOff : min(Self.firstBackOff << count, Self.longestBackOff)
        add(key, at: now + wait)
    }

    /// How often a key has failed in a row.
    package func failureCount(_ key: Key) -> Int { failures[key] ?? 0 }

    private mutating func finish(_ key: Key) {
        running.remove(key)
        if dirty.remove(key) != nil { add(key) }
    }

    private mutating func promote(now: Int) {
        guard !delayed.isEmpty else { return }
        for (key, due) in delayed where due <= now && !running.contains(key) {
            delayed[key] = nil
            add(key)
        }
    }
}
