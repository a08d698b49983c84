import Bytes
import Glibc
import Testing

private struct Refusal: Error, Equatable {}

private final class Counter: Sendable {
    let value = Lock(0)

    var now: Int { value.withLock { $0 } }

    func refuse() throws(Refusal) {
        try value.withLock { value throws(Refusal) in
            value = 2
            throw Refusal()
        }
    }
}

@Suite("Lock and SeededRandom")
struct LockTests {
    @Test("no addition of several threads is lost")
    func threads() {
        let counter = Counter()
        let handles = (0..<4).compactMap { _ -> pthread_t? in
            var thread = pthread_t()
            let place = Unmanaged.passRetained(counter).toOpaque()
            let code = pthread_create(
                &thread,
                nil,
                { argument in
                    guard let argument else { return nil }
                    let counter = Unmanaged<Counter>.fromOpaque(argument).takeRetainedValue()
                    for _ in 0..<10_000 { counter.value.withLock { $0 += 1 } }
                    return nil
                },
                place
            )
            return code == 0 ? thread : nil
        }
        for handle in handles { pthread_join(handle, nil) }
        #expect(counter.now == handles.count * 10_000)
    }

    @Test("a body that throws leaves the lock open")
    func throwing() {
        let counter = Counter()
        #expect(throws: Refusal.self) { try counter.refuse() }
        #expect(counter.now == 2)
    }

    @Test("a seed repeats its numbers, another seed gives others")
    func seeds() {
        var first = SeededRandom(seed: 1)
        var again = SeededRandom(seed: 1)
        var other = SeededRandom(seed: 2)
        let numbers = (0..<100).map { _ in first.next() }
        #expect(numbers == (0..<100).map { _ in again.next() })
        #expect(Set(numbers).count == 100)
        #expect(Set(numbers).isDisjoint(with: (0..<100).map { _ in other.next() }))
    }

    @Test("numbers are spread evenly")
    func spread() {
        var random = SeededRandom(seed: 0)
        var counts = [Int](repeating: 0, count: 16)
        for _ in 0..<16_000 { counts[Int(random.next() >> 60)] += 1 }
        #expect(counts.allSatisfy { (800...1200).contains($0) }, "\(counts)")
    }
}
