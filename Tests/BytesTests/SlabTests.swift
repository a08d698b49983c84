import Bytes
import Testing

private struct Slot: SlabElement {
    var generation: UInt32 = 0
    var nextFree: Int32 = -1
    var isLive = false
    var number = 0
}

/// A slab that expectations can call: they take no values that cannot be copied.
private final class Slots {
    private var slab = Slab<Slot>()

    var liveCount: Int { slab.liveCount }
    func take() -> Int32? { slab.take() }
    func give(_ index: Int32) { slab.give(index) }
    func pointer(_ index: Int32) -> UnsafeMutablePointer<Slot> { slab.pointer(index) }
    func find(_ index: Int32, generation: UInt32) -> UnsafeMutablePointer<Slot>? {
        slab.find(index, generation: generation)
    }
}

@Suite("Slab")
struct SlabTests {
    @Test("a slot that changed hands is not found by its old generation")
    func generations() throws {
        let slab = Slots()
        let first = try #require(slab.take())
        let old = slab.pointer(first).pointee.generation
        slab.pointer(first).pointee.number = 7
        #expect(slab.find(first, generation: old)?.pointee.number == 7)
        slab.give(first)
        #expect(slab.find(first, generation: old) == nil)
        let second = try #require(slab.take())
        #expect(second == first)
        #expect(slab.find(second, generation: old) == nil)
        let new = slab.pointer(second).pointee.generation
        #expect(new == old + 1)
        #expect(slab.find(second, generation: new)?.pointee.number == 0)
    }

    @Test("giving a slot back twice changes nothing")
    func twice() throws {
        let slab = Slots()
        let index = try #require(slab.take())
        slab.give(index)
        slab.give(index)
        #expect(slab.liveCount == 0)
        #expect(slab.take() == index)
        #expect(slab.take() != index)
    }

    @Test("indices that were never taken are not found", arguments: [-1, 0, 5, Int32.max, Int32.min])
    func strangers(index: Int32) {
        let slab = Slots()
        #expect(slab.find(index, generation: 0) == nil)
    }

    @Test("a generation that is full begins again")
    func wrapping() throws {
        let slab = Slots()
        let index = try #require(slab.take())
        slab.pointer(index).pointee.generation = SlabGeneration.mask
        slab.give(index)
        #expect(slab.take() == index)
        #expect(slab.pointer(index).pointee.generation == 0)
    }

    @Test("random taking and giving agrees with a dictionary", arguments: [1, 2, 3] as [UInt64])
    func model(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let slab = Slots()
        var held: [Int32: (generation: UInt32, number: Int)] = [:]
        for step in 0..<5000 {
            if held.isEmpty || random.next() % 5 < 3 {
                let index = try #require(slab.take())
                #expect(held[index] == nil)
                slab.pointer(index).pointee.number = step
                held[index] = (slab.pointer(index).pointee.generation, step)
            } else if let index = held.keys.randomElement(using: &random) {
                guard let known = held.removeValue(forKey: index) else { continue }
                #expect(slab.find(index, generation: known.generation)?.pointee.number == known.number)
                slab.give(index)
            }
            #expect(slab.liveCount == held.count)
        }
        for (index, known) in held {
            #expect(slab.find(index, generation: known.generation)?.pointee.number == known.number)
        }
    }
}
