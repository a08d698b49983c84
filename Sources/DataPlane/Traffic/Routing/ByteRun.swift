import Glibc

/// A run of bytes that somebody else owns: a piece of a request's buffer or of an `Arena`.
///
/// Safety: it never owns and never writes. The owner (the connection's buffer, or the snapshot's arena) outlives it; runs
/// into an arena may be read by every thread because an arena never changes once it is built.
public struct ByteRun: @unchecked Sendable, BitwiseCopyable {
    public let start: UnsafeRawPointer?
    public let count: Int

    public static let empty = ByteRun(start: nil, count: 0)

    @inlinable
    public init(start: UnsafeRawPointer?, count: Int) {
        self.start = start
        self.count = start == nil ? 0 : max(0, count)
    }

    @inlinable
    public init(_ buffer: UnsafeRawBufferPointer) {
        self.init(start: buffer.baseAddress, count: buffer.count)
    }

    @inlinable public var isEmpty: Bool { count == 0 }

    /// The same bytes as a buffer, for calls that want one.
    @inlinable public var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// The byte at `index`, or nil beyond the end.
    @inlinable
    public subscript(index: Int) -> UInt8? {
        guard index >= 0, index < count, let start else { return nil }
        return start.load(fromByteOffset: index, as: UInt8.self)
    }

    /// The first `length` bytes (all of them when there are fewer).
    @inlinable
    public func first(_ length: Int) -> ByteRun { ByteRun(start: start, count: min(count, max(0, length))) }

    /// What follows the first `length` bytes (nothing when there are fewer).
    @inlinable
    public func dropping(_ length: Int) -> ByteRun {
        guard let start, length < count else { return ByteRun(start: nil, count: 0) }
        return ByteRun(start: start + max(0, length), count: count - max(0, length))
    }

    /// The last `length` bytes (all of them when there are fewer).
    @inlinable
    public func last(_ length: Int) -> ByteRun { dropping(count - min(count, max(0, length))) }

    package func equals(_ other: ByteRun) -> Bool {
        guard count == other.count else { return false }
        guard count > 0, let start, let theirs = other.start else { return true }
        return memcmp(start, theirs, count) == 0
    }

    /// Whether the bytes are equal when ASCII letters of both sides are read in lower case.
    package func equalsIgnoringCase(_ other: ByteRun) -> Bool {
        guard count == other.count else { return false }
        guard count > 0, let start, let theirs = other.start else { return true }
        return strncasecmp(
            start.assumingMemoryBound(to: CChar.self),
            theirs.assumingMemoryBound(to: CChar.self),
            count
        ) == 0
    }

    package func hasPrefix(_ prefix: ByteRun) -> Bool { first(prefix.count).equals(prefix) }
    package func hasSuffix(_ suffix: ByteRun) -> Bool { last(suffix.count).equals(suffix) }

    package func contains(_ needle: ByteRun) -> Bool {
        guard let bytes = needle.start, needle.count > 0 else { return true }
        guard count >= needle.count else { return false }
        var rest = self
        while let hit = rest.firstIndex(of: bytes.load(as: UInt8.self)) {
            rest = rest.dropping(hit)
            if rest.hasPrefix(needle) { return true }
            rest = rest.dropping(1)
        }
        return false
    }

    /// The offset of the first `byte`, or nil.
    package func firstIndex(of byte: UInt8) -> Int? {
        guard let start, count > 0, let hit = memchr(start, Int32(byte), count) else { return nil }
        return UnsafeRawPointer(hit) - start
    }

    /// The offset of the last `byte`, or nil.
    package func lastIndex(of byte: UInt8) -> Int? {
        var index = count - 1
        while index >= 0 {
            if self[index] == byte { return index }
            index -= 1
        }
        return nil
    }

    /// Without spaces and tabs at both ends.
    package var trimmed: ByteRun {
        var run = self
        while let byte = run[0], byte == 0x20 || byte == 0x09 { run = run.dropping(1) }
        while let byte = run[run.count - 1], byte == 0x20 || byte == 0x09 { run = run.first(run.count - 1) }
        return run
    }

    /// A copy as text; bytes that are no UTF-8 are replaced. For logs and answers of the admin, never per request.
    package var text: String { String(decoding: buffer, as: UTF8.self) }
}

/// A run of plain values that an `Arena` owns.
///
/// Safety: as for `ByteRun`; the values never change once the arena is built.
public struct ArenaArray<Element: BitwiseCopyable>: @unchecked Sendable, BitwiseCopyable {
    @usableFromInline let start: UnsafePointer<Element>?
    public let count: Int

    @usableFromInline
    init(start: UnsafePointer<Element>?, count: Int) {
        self.start = start
        self.count = start == nil ? 0 : count
    }

    /// No values at all.
    @inlinable public init() {
        start = nil
        count = 0
    }

    @inlinable public var isEmpty: Bool { count == 0 }

    /// The value at `index`, which must be below `count`.
    @inlinable
    public subscript(index: Int) -> Element {
        guard index >= 0, index < count, let start else { preconditionFailure("an arena array was read out of range") }
        return start[index]
    }

    /// Where the value at `index` stands: valid as long as the arena is.
    @inlinable
    public func pointer(at index: Int) -> UnsafePointer<Element> {
        guard index >= 0, index < count, let start else { preconditionFailure("an arena array was read out of range") }
        return start + index
    }
}

/// Memory for the compiled part of a configuration: filled once, then only read, freed as a whole.
///
/// Safety: only the thread that builds a configuration calls `copy`; after that the arena is handed out inside an
/// immutable object, so that every thread may read it. Whoever holds a run or an array keeps the owner of the arena alive.
package final class Arena: @unchecked Sendable {
    private var blocks: [UnsafeMutableRawPointer] = []
    private var free: UnsafeMutableRawPointer?
    private var left = 0
    private var patterns = PatternBook()
    /// Bytes taken from the system for this arena.
    package private(set) var size = 0

    private let blockSize: Int

    private var objects: [any AnyObject & Sendable] = []

    /// - Parameter blockSize: what is taken from the system at once; less where the arena holds little.
    package init(blockSize: Int = 4096) { self.blockSize = max(1, blockSize) }

    deinit {
        for block in blocks { block.deallocate() }
        patterns.free()
    }

    package func copy(_ bytes: some Collection<UInt8>) -> ByteRun {
        let count = bytes.count
        guard count > 0 else { return .empty }
        let place = reserve(count, alignment: 1)
        UnsafeMutableRawBufferPointer(start: place, count: count).copyBytes(from: bytes)
        return ByteRun(start: UnsafeRawPointer(place), count: count)
    }

    /// A regular expression that lives as long as this arena.
    package func compile(_ text: String, programLimit: Int = PatternLimits.program) throws(PatternError) -> Pattern {
        try patterns.compile(text, programLimit: programLimit)
    }

    /// The address of an object that lives as long as this arena.
    package func keep(_ object: any AnyObject & Sendable) -> ByteRun {
        objects.append(object)
        return ByteRun(start: UnsafeRawPointer(Unmanaged.passUnretained(object).toOpaque()), count: 0)
    }

    package func copy(_ text: String) -> ByteRun { copy(Array(text.utf8)) }

    package func copy<Element: BitwiseCopyable>(_ values: [Element]) -> ArenaArray<Element> {
        guard !values.isEmpty else { return ArenaArray() }
        let place = reserve(values.count * MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment)
        let typed = place.bindMemory(to: Element.self, capacity: values.count)
        for (offset, value) in values.enumerated() { (typed + offset).initialize(to: value) }
        return ArenaArray(start: UnsafePointer(typed), count: values.count)
    }

    /// The place of a value, for as long as the arena lives.
    package func place<Element: BitwiseCopyable>(_ value: Element) -> UnsafePointer<Element> {
        let memory = reserve(MemoryLayout<Element>.size, alignment: MemoryLayout<Element>.alignment)
        let typed = memory.bindMemory(to: Element.self, capacity: 1)
        typed.initialize(to: value)
        return UnsafePointer(typed)
    }

    private func reserve(_ size: Int, alignment: Int) -> UnsafeMutableRawPointer {
        if let start = free {
            let aligned = start.alignedUp(toMultipleOf: alignment)
            let needed = (aligned - start) + size
            if needed <= left {
                free = start + needed
                left -= needed
                return aligned
            }
        }
        let length = max(blockSize, size)
        let block = UnsafeMutableRawPointer.allocate(byteCount: length, alignment: 16)
        blocks.append(block)
        self.size += length
        if length - size > left {
            free = block + size
            left = length - size
        }
        return block
    }
}
