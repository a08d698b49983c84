/// A run of bytes in memory of a `BufferPool`: filled at `end`, consumed at `start`. A plain value: whoever holds it gives the
/// memory back.
public struct Buffer: BitwiseCopyable {
    public var base: UnsafeMutableRawPointer?
    public var capacity: Int32 = 0
    public var start: Int32 = 0
    public var end: Int32 = 0

    /// A buffer without memory.
    @inlinable
    public init() {}

    /// An empty buffer over `capacity` bytes at `base`.
    @inlinable
    public init(base: UnsafeMutableRawPointer, capacity: Int32) {
        self.base = base
        self.capacity = capacity
    }

    @inlinable @inline(__always) public var count: Int { Int(end &- start) }
    @inlinable @inline(__always) public var isEmpty: Bool { end == start }
    /// Room behind `end`.
    @inlinable @inline(__always) public var room: Int { Int(capacity &- end) }

    /// The first byte that is not consumed. Only for a buffer with memory.
    @inlinable @inline(__always)
    public var bytes: UnsafeMutableRawPointer? { base.map { $0 + Int(start) } }
    @inlinable @inline(__always)
    public var tail: UnsafeMutableRawPointer? { base.map { $0 + Int(end) } }
}

/// Memory for bytes in transit, in four sizes. Connections that are idle hold none of it.
///
/// Safety: owned by one worker thread. Free buffers form lists through their first bytes.
public struct BufferPool: ~Copyable {
    /// Small requests and answers; heads; bodies; the largest piece that is moved at once.
    @inlinable public static var sizes: (Int, Int, Int, Int) { (2048, 16_384, 65_536, 262_144) }
    /// Free buffers of each size that are kept for the next use.
    @inlinable static var kept: (Int, Int, Int, Int) { (4096, 512, 64, 16) }

    @usableFromInline var heads:
        (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) =
            (nil, nil, nil, nil)
    @usableFromInline var counts = (0, 0, 0, 0)
    @usableFromInline var inUse = 0

    /// Bytes in buffers that somebody holds.
    @inlinable public var bytesInUse: Int { inUse }

    @inlinable
    public init() {}

    deinit {
        Self.release(heads.0)
        Self.release(heads.1)
        Self.release(heads.2)
        Self.release(heads.3)
    }

    private static func release(_ head: UnsafeMutableRawPointer?) {
        var next = head
        while let block = next {
            next = block.load(as: UnsafeMutableRawPointer?.self)
            block.deallocate()
        }
    }

    /// Gives up what waits for its next use.
    public mutating func shrink() {
        Self.release(heads.0)
        Self.release(heads.1)
        Self.release(heads.2)
        Self.release(heads.3)
        heads = (nil, nil, nil, nil)
        counts = (0, 0, 0, 0)
    }

    /// An empty buffer of at least `size` bytes; nil when that is more than the largest.
    @inlinable
    public mutating func take(_ size: Int) -> Buffer? {
        if size <= Self.sizes.0 { return Self.pop(&heads.0, &counts.0, Self.sizes.0, &inUse) }
        if size <= Self.sizes.1 { return Self.pop(&heads.1, &counts.1, Self.sizes.1, &inUse) }
        if size <= Self.sizes.2 { return Self.pop(&heads.2, &counts.2, Self.sizes.2, &inUse) }
        if size <= Self.sizes.3 { return Self.pop(&heads.3, &counts.3, Self.sizes.3, &inUse) }
        return nil
    }

    @inlinable
    @inline(__always)
    static func pop(
        _ head: inout UnsafeMutableRawPointer?,
        _ count: inout Int,
        _ size: Int,
        _ inUse: inout Int
    ) -> Buffer {
        inUse &+= size
        if let block = head {
            head = block.load(as: UnsafeMutableRawPointer?.self)
            count -= 1
            return Buffer(base: block, capacity: Int32(size))
        }
        return Buffer(base: .allocate(byteCount: size, alignment: 64), capacity: Int32(size))
    }

    /// Gives the memory back and leaves the buffer empty.
    @inlinable
    @inline(__always)
    public mutating func give(_ buffer: inout Buffer) {
        guard let block = buffer.base else { return }
        let size = Int(buffer.capacity)
        buffer = Buffer()
        inUse &-= size
        switch size {
        case Self.sizes.0: Self.push(block, &heads.0, &counts.0, Self.kept.0)
        case Self.sizes.1: Self.push(block, &heads.1, &counts.1, Self.kept.1)
        case Self.sizes.2: Self.push(block, &heads.2, &counts.2, Self.kept.2)
        default: Self.push(block, &heads.3, &counts.3, Self.kept.3)
        }
    }

    @inlinable
    @inline(__always)
    static func push(
        _ block: UnsafeMutableRawPointer,
        _ head: inout UnsafeMutableRawPointer?,
        _ count: inout Int,
        _ kept: Int
    ) {
        guard count < kept else {
            block.deallocate()
            return
        }
        block.storeBytes(of: head, as: UnsafeMutableRawPointer?.self)
        head = block
        count += 1
    }

    /// Makes room for `size` more bytes behind what the buffer holds, in larger memory where needed; false when they would
    /// not fit into the largest.
    @inlinable
    public mutating func reserve(_ buffer: inout Buffer, _ size: Int) -> Bool {
        if buffer.base != nil, buffer.room >= size { return true }
        let held = buffer.count
        if let base = buffer.base, Int(buffer.capacity) - held >= size, let bytes = buffer.bytes {
            base.copyMemory(from: bytes, byteCount: held)
            buffer.start = 0
            buffer.end = Int32(held)
            return true
        }
        guard var larger = take(held + size), let target = larger.base else { return false }
        if let bytes = buffer.bytes, held > 0 { target.copyMemory(from: bytes, byteCount: held) }
        larger.end = Int32(held)
        give(&buffer)
        buffer = larger
        return true
    }

    /// Adds bytes; false when they do not fit into the largest buffer.
    @inlinable
    public mutating func append(_ buffer: inout Buffer, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count > 0 else { return true }
        guard reserve(&buffer, count), let tail = buffer.tail else { return false }
        tail.copyMemory(from: bytes, byteCount: count)
        buffer.end &+= Int32(count)
        return true
    }
}
