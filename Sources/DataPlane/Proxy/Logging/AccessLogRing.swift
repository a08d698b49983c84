import CWeft
import Glibc
import Synchronization
import Traffic

/// A worker's way to the access-log thread: a ring of binary records with one writer and one reader.
///
/// `append` never waits: what does not fit is dropped and counted.
///
/// Safety: `memory` is written only by the worker between `tail` and `head + capacity`, and read only by the log thread between
/// `head` and `tail`; the two positions are atomics with release/acquire order. Freed in `deinit`, when both are gone.
final class AccessLogRing: @unchecked Sendable {
    private let memory: UnsafeMutableRawPointer
    private let capacity: Int
    /// Bytes ever consumed and produced; places are these modulo the capacity.
    private let head = Atomic<Int>(0)
    private let tail = Atomic<Int>(0)
    private let dropped = Atomic<Int>(0)
    private let bell: AccessLogBell

    /// - Parameters:
    ///   - capacity: a power of two, in bytes.
    ///   - bell: rung when the log thread sleeps.
    init(capacity: Int = 1 << 18, bell: AccessLogBell) {
        self.capacity = capacity
        self.bell = bell
        memory = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { memory.deallocate() }

    /// Lines that were lost because the log thread was too slow.
    var droppedCount: Int { dropped.load(ordering: .relaxed) }

    /// Hands an entry to the log thread. Called by the worker that owns this ring.
    func append(_ entry: AccessLogEntry, to log: AccessLogIndex, format: AccessLogFormat) {
        let end = tail.load(ordering: .relaxed)
        let free = capacity - (end - head.load(ordering: .acquiring))
        let place = end & (capacity - 1)
        let contiguous = capacity - place
        let needed = Self.size(of: entry, format: format)
        // A record never wraps: when the rest of the ring is too short it is skipped.
        let skip = needed > contiguous ? contiguous : 0
        guard needed + skip <= free, needed <= capacity / 4 else {
            dropped.add(1, ordering: .relaxed)
            return
        }
        if skip >= MemoryLayout<RecordHead>.size {
            (memory + place).storeBytes(of: RecordHead(size: Int32(skip), log: -1), as: RecordHead.self)
        }
        write(entry, to: log, format: format, at: memory + ((end + skip) & (capacity - 1)), size: needed)
        tail.store(end + skip + needed, ordering: .releasing)
        bell.ringIfAsleep()
    }

    private struct RecordHead: BitwiseCopyable {
        var size: Int32
        var log: Int32
    }

    /// The longest text that is kept of one piece of a request.
    private static let textLimit = 4096

    private static func size(of entry: AccessLogEntry, format: AccessLogFormat) -> Int {
        var size = MemoryLayout<RecordHead>.size + MemoryLayout<AccessLogNumbers>.stride
        var count = format.texts.count
        for text in format.texts { size += entry.withText(text) { kept($0) } }
        for (origin, runs) in format.nameRuns.enumerated() {
            for name in runs.runs { size += kept(entry.header(name, origin)) }
            count += runs.runs.count
        }
        return (size + count * 2 + 15) & ~15
    }

    private static func kept(_ run: ByteRun?) -> Int { min(run?.count ?? 0, textLimit) }

    private func write(
        _ entry: AccessLogEntry,
        to log: AccessLogIndex,
        format: AccessLogFormat,
        at place: UnsafeMutableRawPointer,
        size: Int
    ) {
        place.storeBytes(of: RecordHead(size: Int32(size), log: log), as: RecordHead.self)
        var cursor = place + MemoryLayout<RecordHead>.size
        cursor.storeBytes(of: entry.numbers, as: AccessLogNumbers.self)
        cursor += MemoryLayout<AccessLogNumbers>.stride
        func put(_ run: ByteRun?) {
            // 0xFFFF tells a missing header from an empty one.
            guard let run else {
                cursor.storeBytes(of: UInt16.max, as: UInt16.self)
                cursor += 2
                return
            }
            let count = Self.kept(run)
            cursor.storeBytes(of: UInt16(count), as: UInt16.self)
            if let start = run.start, count > 0 { (cursor + 2).copyMemory(from: start, byteCount: count) }
            cursor += 2 + count
        }
        for text in format.texts { entry.withText(text) { put($0) } }
        for (origin, runs) in format.nameRuns.enumerated() {
            for name in runs.runs { put(entry.header(name, origin)) }
        }
    }

    // MARK: The reader's side

    /// Takes the oldest record, or nil; `shape` tells how many texts and header values the records of a log
    /// carry. Called by the log thread alone.
    func next(shape: (AccessLogIndex) -> AccessLogShape) -> AccessLogRecord? {
        while true {
            let start = head.load(ordering: .relaxed)
            let available = tail.load(ordering: .acquiring) - start
            guard available > 0 else { return nil }
            let place = start & (capacity - 1)
            let contiguous = capacity - place
            guard contiguous >= MemoryLayout<RecordHead>.size else {
                head.store(start + contiguous, ordering: .releasing)
                continue
            }
            let record = (memory + place).load(as: RecordHead.self)
            defer { head.store(start + Int(record.size), ordering: .releasing) }
            guard record.log >= 0 else { continue }
            return read(at: memory + place + MemoryLayout<RecordHead>.size, log: record.log, shape(record.log))
        }
    }

    private func read(at place: UnsafeMutableRawPointer, log: Int32, _ shape: AccessLogShape) -> AccessLogRecord {
        let numbers = place.load(as: AccessLogNumbers.self)
        var cursor = place + MemoryLayout<AccessLogNumbers>.stride
        func take() -> [UInt8]? {
            let count = Int(cursor.loadUnaligned(as: UInt16.self))
            cursor += 2
            guard count != Int(UInt16.max) else { return nil }
            let bytes = Array(UnsafeRawBufferPointer(start: cursor, count: count))
            cursor += count
            return bytes
        }
        var record = AccessLogRecord(log: log, numbers: numbers)
        for _ in 0..<shape.texts { record.texts.append(take()) }
        for _ in 0..<shape.headers { record.headers.append(take()) }
        return record
    }
}

/// How many values the records of a log carry.
struct AccessLogShape {
    var texts = 0
    var headers = 0
}

/// A record as the formatter has it: copied out of the ring, or out of a request in work.
struct AccessLogRecord {
    var log: AccessLogIndex
    var numbers: AccessLogNumbers
    /// In the order of the format's `texts`; nil = there is none.
    var texts: [[UInt8]?] = []
    /// In the order of the format's `names`; nil = missing.
    var headers: [[UInt8]?] = []

    init(log: AccessLogIndex, numbers: AccessLogNumbers) {
        self.log = log
        self.numbers = numbers
    }

    /// All that the format wants of an entry.
    init(_ entry: AccessLogEntry, format: AccessLogFormat) {
        self.init(log: 0, numbers: entry.numbers)
        texts = format.texts.map { text in entry.withText(text) { $0.map { Array($0.buffer) } } }
        for (origin, runs) in format.nameRuns.enumerated() {
            headers += runs.runs.map { name in entry.header(name, origin).map { Array($0.buffer) } }
        }
    }
}

extension AccessLogEntry {
    /// A header by the number of its origin (`AccessLogFormat.Origin`).
    fileprivate func header(_ name: ByteRun, _ origin: Int) -> ByteRun? {
        switch origin {
        case 0: request.value(of: name)
        case 1: response.value(of: name)
        default: trailer(name)
        }
    }
}

/// Wakes the log thread. Ringing costs a system call only while it sleeps.
final class AccessLogBell: Sendable {
    private let isAsleep = Atomic<Bool>(false)
    private let fd: Int32

    init() { fd = eventfd(0, Int32(EFD_CLOEXEC)) }

    deinit { _ = close(fd) }

    func ringIfAsleep() {
        // The log thread looks into the rings once more after it set the flag, so a missed flag delays a line by its pause
        // at most.
        guard isAsleep.load(ordering: .relaxed) else { return }
        ring()
    }

    func ring() {
        guard isAsleep.exchange(false, ordering: .acquiringAndReleasing) else { return }
        var one: UInt64 = 1
        _ = write(fd, &one, 8)
    }

    /// Says that the log thread is about to sleep.
    func prepareToSleep() { isAsleep.store(true, ordering: .sequentiallyConsistent) }

    /// Waits for a ring, at most `milliseconds`.
    func sleep(milliseconds: Int32) {
        var waiting = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        if poll(&waiting, 1, milliseconds) > 0 {
            var count: UInt64 = 0
            _ = read(fd, &count, 8)
        }
        isAsleep.store(false, ordering: .relaxed)
    }
}
