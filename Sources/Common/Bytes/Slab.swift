/// A plain value that lives in a `Slab`.
public protocol SlabElement: BitwiseCopyable {
    init()
    /// Grows each time the slot is given back, so that what remembers the slot can tell that it changed hands.
    var generation: UInt32 { get set }
    /// The next free slot while this one is free.
    var nextFree: Int32 { get set }
    var isLive: Bool { get set }
}

/// How far a slot's generation counts before it begins again.
public enum SlabGeneration {
    /// 28 bits: with an index of 32 bits and a kind of 4 bits a handle fits one 64-bit number.
    @inlinable public static var mask: UInt32 { 0x0FFF_FFFF }
}

/// Slots of plain values at fixed places: found by index in two loads, no allocation per element, no reference counts.
///
/// Safety: chunks are never freed before the slab is, so a pointer into a slot stays valid memory for the slab's life; whether
/// the slot still holds the same element is told by its generation. Owned by one worker thread.
public struct Slab<Element: SlabElement>: ~Copyable {
    @inlinable static var chunkSize: Int { 256 }
    /// 4096 chunks: about a million elements.
    @inlinable static var maximumChunks: Int { 4096 }

    @usableFromInline let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    @usableFromInline var chunkCount = 0
    @usableFromInline var freeHead: Int32 = -1
    @usableFromInline var usedSlots: Int32 = 0
    @usableFromInline var live = 0

    /// Slots ever used: walking over them reaches every live element.
    @inlinable public var used: Int32 { usedSlots }
    /// Elements taken and not given back.
    @inlinable public var liveCount: Int { live }

    @inlinable
    public init() { chunks = .allocate(capacity: Self.maximumChunks) }

    @inlinable
    deinit {
        for index in 0..<chunkCount { chunks[index].deallocate() }
        chunks.deallocate()
    }

    /// A fresh element's slot; nil when the slab is full.
    @inlinable
    public mutating func take() -> Int32? {
        let index: Int32
        if freeHead >= 0 {
            index = freeHead
            freeHead = pointer(index).pointee.nextFree
        } else {
            if Int(usedSlots) == chunkCount * Self.chunkSize {
                guard chunkCount < Self.maximumChunks else { return nil }
                let chunk = UnsafeMutablePointer<Element>.allocate(capacity: Self.chunkSize)
                chunk.initialize(repeating: Element(), count: Self.chunkSize)
                chunks[chunkCount] = chunk
                chunkCount += 1
            }
            index = usedSlots
            usedSlots += 1
        }
        let place = pointer(index)
        let generation = place.pointee.generation
        place.pointee = Element()
        place.pointee.generation = generation
        place.pointee.isLive = true
        live += 1
        return index
    }

    /// Frees a slot. One that is free already stays so.
    @inlinable
    public mutating func give(_ index: Int32) {
        let place = pointer(index)
        guard place.pointee.isLive else { return }
        place.pointee.isLive = false
        place.pointee.generation = (place.pointee.generation &+ 1) & SlabGeneration.mask
        place.pointee.nextFree = freeHead
        freeHead = index
        live -= 1
    }

    /// The slot's place. `index` must come from `take`.
    @inlinable
    @inline(__always)
    public func pointer(_ index: Int32) -> UnsafeMutablePointer<Element> {
        chunks[Int(index) >> 8] + (Int(index) & 255)
    }

    /// The element, if the slot still holds the one of that generation.
    @inlinable
    @inline(__always)
    public func find(_ index: Int32, generation: UInt32) -> UnsafeMutablePointer<Element>? {
        guard index >= 0, index < usedSlots else { return nil }
        let place = pointer(index)
        return place.pointee.isLive && place.pointee.generation == generation ? place : nil
    }
}
