import Bytes
import Testing

/// A pool that expectations can call: they take no values that cannot be copied.
private final class Pool {
    private var pool = BufferPool()

    var bytesInUse: Int { pool.bytesInUse }
    func take(_ size: Int) -> Buffer? { pool.take(size) }
    func give(_ buffer: inout Buffer) { pool.give(&buffer) }
    func reserve(_ buffer: inout Buffer, _ size: Int) -> Bool { pool.reserve(&buffer, size) }
    func append(_ buffer: inout Buffer, _ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { raw in raw.baseAddress.map { pool.append(&buffer, $0, raw.count) } ?? true }
    }
}

@Suite("BufferPool")
struct BufferPoolTests {
    private func bytes(_ buffer: Buffer) -> [UInt8] {
        guard let start = buffer.bytes else { return [] }
        return Array(UnsafeRawBufferPointer(start: start, count: buffer.count))
    }

    @Test(
        "a buffer has the smallest size that fits",
        arguments: [(1, 2048), (2048, 2048), (2049, 16_384), (65_536, 65_536), (262_144, 262_144)]
    )
    func sizes(asked: Int, given: Int) throws {
        let pool = Pool()
        var buffer = try #require(pool.take(asked))
        #expect(buffer.room == given && buffer.isEmpty)
        #expect(pool.bytesInUse == given)
        pool.give(&buffer)
        #expect(buffer.base == nil && pool.bytesInUse == 0)
    }

    @Test("more than the largest size is refused")
    func tooLarge() throws {
        let pool = Pool()
        #expect(pool.take(262_145) == nil)
        var buffer = try #require(pool.take(262_144))
        buffer.end = 262_144
        let hasRoom = pool.reserve(&buffer, 1)
        #expect(!hasRoom)
        #expect(buffer.count == 262_144)
        pool.give(&buffer)
    }

    @Test("memory that was given back is used again")
    func reuse() throws {
        let pool = Pool()
        var first = try #require(pool.take(100))
        let place = first.base
        pool.give(&first)
        var second = try #require(pool.take(2000))
        #expect(second.base == place && second.isEmpty)
        pool.give(&second)
    }

    @Test("giving an empty buffer back does nothing")
    func nothing() {
        let pool = Pool()
        var buffer = Buffer()
        pool.give(&buffer)
        #expect(pool.bytesInUse == 0)
    }

    @Test("reserving moves what is held to the front before it takes larger memory")
    func compaction() throws {
        let pool = Pool()
        var buffer = try #require(pool.take(2048))
        let place = buffer.base
        let isAdded = pool.append(&buffer, [UInt8](repeating: 1, count: 2000))
        #expect(isAdded)
        buffer.start = 1990
        let hasRoom = pool.reserve(&buffer, 1000)
        #expect(hasRoom)
        #expect(buffer.base == place && buffer.start == 0)
        #expect(bytes(buffer) == [UInt8](repeating: 1, count: 10))
        pool.give(&buffer)
    }

    @Test("random appending and consuming keeps every byte in order", arguments: [4, 5, 6] as [UInt64])
    func model(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let pool = Pool()
        var buffer = Buffer()
        var model: [UInt8] = []
        for _ in 0..<2000 {
            let count = Int.random(in: 0...3000, using: &random)
            if Bool.random(using: &random) {
                let part = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                let fits = pool.append(&buffer, part)
                #expect(fits == (model.count + count <= 262_144))
                if fits { model += part }
            } else {
                let taken = min(count, model.count)
                model.removeFirst(taken)
                buffer.start += Int32(taken)
                if buffer.isEmpty { pool.give(&buffer) }
            }
            #expect(buffer.count == model.count)
        }
        #expect(bytes(buffer) == model)
        pool.give(&buffer)
        #expect(pool.bytesInUse == 0)
    }
}
