/// A plain value that lives in a `Slab`.
protocol SlabElement: BitwiseCopyable {
    init()
    /// Grows each time the slot is given back, so that what remembers the slot can tell that it changed hands.
    var generation: UInt32 { get set }
    /// The next free slot while this one is free.
    var nextFree: Int32 { get set }
    var isLive: Bool { get set }
}

/// Slots of plain values at fixed places: found by index in two loads, no allocation per element, no reference counts.
///
/// Safety: chunks are never freed before the slab is, so a pointer into a slot stays valid memory for the slab's life; whether
/// the slot still holds the same element is told by its generation. Owned by one worker thread.
struct Slab<Element: SlabElement>: ~Copyable {
    static var chunkSize: Int { 256 }
    /// 4096 chunks: about a million elements.
    static var maximumChunks: Int { 4096 }

    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private var chunkCount = 0
    private var freeHead: Int32 = -1
    /// Slots ever used: walking over them reaches every live element.
    private(set) var used: Int32 = 0
    private(set) var liveCount = 0

    init() { chunks = .allocate(capacity: Self.maximumChunks) }

    deinit {
        for index in 0..<chunkCount { chunks[index].deallocate() }
        chunks.deallocate()
    }

    /// A fresh element's slot; nil when the slab is full.
    mutating func take() -> Int32? {
        let index: Int32
        if freeHead >= 0 {
            index = freeHead
            freeHead = pointer(index).pointee.nextFree
        } else {
            if Int(used) == chunkCount * Self.chunkSize {
                guard chunkCount < Self.maximumChunks else { return nil }
                let chunk = UnsafeMutablePointer<Element>.allocate(capacity: Self.chunkSize)
                chunk.initialize(repeating: Element(), count: Self.chunkSize)
                chunks[chunkCount] = chunk
                chunkCount += 1
            }
            index = used
            used += 1
        }
        let place = pointer(index)
        let generation = place.pointee.generation
        place.pointee = Element()
        place.pointee.generation = generation
        place.pointee.isLive = true
        liveCount += 1
        return index
    }

    /// Frees a slot.
    mutating func give(_ index: Int32) {
        let place = pointer(index)
        guard place.pointee.isLive else { return }
        place.pointee.isLive = false
        place.pointee.generation = (place.pointee.generation &+ 1) & Token.generationMask
        place.pointee.nextFree = freeHead
        freeHead = index
        liveCount -= 1
    }

    /// The slot's place. `index` must come from `take`.
    @inline(__always)
    func pointer(_ index: Int32) -> UnsafeMutablePointer<Element> {
        chunks[Int(index) >> 8] + (Int(index) & 255)
    }

    /// The element, if the slot still holds the one of that generation.
    @inline(__always)
    func find(_ index: Int32, generation: UInt32) -> UnsafeMutablePointer<Element>? {
        guard index >= 0, index < used else { return nil }
        let place = pointer(index)
        return place.pointee.isLive && place.pointee.generation == generation ? place : nil
    }
}

/// What an event or a timer is about: a kind, a slot and the slot's generation in one number.
struct Token: BitwiseCopyable {
    enum Kind: UInt8 {
        case listener = 1, downstream, upstream, downstreamTimer, upstreamTimer, workerTimer
    }
    static let generationMask: UInt32 = 0x0FFF_FFFF

    let raw: UInt64

    @inline(__always)
    init(raw: UInt64) { self.raw = raw }

    @inline(__always)
    init(_ kind: Kind, _ index: Int32, generation: UInt32) {
        raw =
            UInt64(kind.rawValue) << 60 | UInt64(generation & Self.generationMask) << 32
            | UInt64(UInt32(bitPattern: index))
    }

    @inline(__always) var kind: Kind? { Kind(rawValue: UInt8(truncatingIfNeeded: raw >> 60)) }
    @inline(__always) var index: Int32 { Int32(truncatingIfNeeded: raw) }
    @inline(__always) var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) & Self.generationMask }
}
