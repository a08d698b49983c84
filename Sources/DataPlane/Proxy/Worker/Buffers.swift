/// A run of bytes in memory of a `BufferPool`: filled at `end`, consumed at `start`. A plain value: whoever holds it gives the
/// memory back.
struct Buffer: BitwiseCopyable {
    var base: UnsafeMutableRawPointer?
    var capacity: Int32 = 0
    var start: Int32 = 0
    var end: Int32 = 0

    @inline(__always) var count: Int { Int(end &- start) }
    @inline(__always) var isEmpty: Bool { end == start }
    /// Room behind `end`.
    @inline(__always) var room: Int { Int(capacity &- end) }

    /// The first byte that is not consumed. Only for a buffer with memory.
    @inline(__always)
    var bytes: UnsafeMutableRawPointer? { base.map { $0 + Int(start) } }
    @inline(__always)
    var tail: UnsafeMutableRawPointer? { base.map { $0 + Int(end) } }
}

/// Memory for bytes in transit, in four sizes. Connections that are idle hold none of it.
///
/// Safety: owned by one worker thread. Free buffers form lists through their first bytes.
struct BufferPool: ~Copyable {
    /// Small requests and answers; heads; bodies; the largest piece that is moved at once.
    static let sizes = (2048, 16_384, 65_536, 262_144)
    /// Free buffers of each size that are kept for the next use.
    private static let kept = (4096, 512, 64, 16)

    private var heads:
        (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) =
            (nil, nil, nil, nil)
    private var counts = (0, 0, 0, 0)
    /// Bytes in buffers that somebody holds.
    private(set) var bytesInUse = 0

    init() {}

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

    /// An empty buffer of at least `size` bytes; nil when that is more than the largest.
    mutating func take(_ size: Int) -> Buffer? {
        if size <= Self.sizes.0 { return Self.pop(&heads.0, &counts.0, Self.sizes.0, &bytesInUse) }
        if size <= Self.sizes.1 { return Self.pop(&heads.1, &counts.1, Self.sizes.1, &bytesInUse) }
        if size <= Self.sizes.2 { return Self.pop(&heads.2, &counts.2, Self.sizes.2, &bytesInUse) }
        if size <= Self.sizes.3 { return Self.pop(&heads.3, &counts.3, Self.sizes.3, &bytesInUse) }
        return nil
    }

    @inline(__always)
    private static func pop(
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
    @inline(__always)
    mutating func give(_ buffer: inout Buffer) {
        guard let block = buffer.base else { return }
        let size = Int(buffer.capacity)
        buffer = Buffer()
        bytesInUse &-= size
        switch size {
        case Self.sizes.0: Self.push(block, &heads.0, &counts.0, Self.kept.0)
        case Self.sizes.1: Self.push(block, &heads.1, &counts.1, Self.kept.1)
        case Self.sizes.2: Self.push(block, &heads.2, &counts.2, Self.kept.2)
        default: Self.push(block, &heads.3, &counts.3, Self.kept.3)
        }
    }

    @inline(__always)
    private static func push(
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
    mutating func reserve(_ buffer: inout Buffer, _ size: Int) -> Bool {
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
    mutating func append(_ buffer: inout Buffer, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count > 0 else { return true }
        guard reserve(&buffer, count), let tail = buffer.tail else { return false }
        tail.copyMemory(from: bytes, byteCount: count)
        buffer.end &+= Int32(count)
        return true
    }
}
