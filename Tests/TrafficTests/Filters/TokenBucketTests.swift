import Testing
import Traffic

@Suite("Buckets of tokens")
struct TokenBucketTests {
    private let start: UInt64 = 1_000 * second

    @Test("a bucket is full at first, and fills again with time, never beyond its size")
    func filling() {
        let bucket = TokenBucket(capacity: 3, perFill: 2, fillInterval: second)
        #expect(bucket.remaining(now: start) == 3 && bucket.secondsUntilFull(now: start) == 0)
        #expect((0..<3).allSatisfy { _ in bucket.take(now: start) })
        #expect(!bucket.take(now: start) && bucket.remaining(now: start) == 0)
        #expect(bucket.secondsUntilFull(now: start) == 2)
        #expect(!bucket.take(now: start + second / 2 - 1) && bucket.take(now: start + second / 2))
        #expect(bucket.remaining(now: start + 60 * second) == 3)
        #expect(!bucket.take(4, now: start + 60 * second) && bucket.take(3, now: start + 60 * second))
        #expect(!bucket.take(.max, now: start + 90 * second))
    }

    @Test("the slowest bucket of a request's entries decides first; the usual one counts them too, or not")
    func entries() {
        func descriptor(_ value: String) -> RateLimitDescriptor { .init([.init(Array("k".utf8), Array(value.utf8))]) }
        func limits(_ always: Bool) -> LocalLimits {
            LocalLimits(
                usual: TokenBucket(capacity: 2, perFill: 1, fillInterval: 3600 * second),
                entries: [
                    .init(
                        entries: descriptor("a").entries,
                        bucket: TokenBucket(capacity: 1, perFill: 1, fillInterval: 3600 * second)
                    )
                ],
                alwaysUsesUsual: always
            )
        }
        let both = limits(true)
        #expect(both.judge([descriptor("a")], now: 5 * second).isAllowed)
        #expect(!both.judge([descriptor("a")], now: 5 * second).isAllowed)
        #expect(both.judge([descriptor("b")], now: 5 * second).isAllowed)
        #expect(!both.judge([], now: 5 * second).isAllowed)
        let apart = limits(false)
        let verdict = apart.judge([descriptor("a")], now: 5 * second)
        #expect(verdict.isAllowed && verdict.bucket?.capacity == 1)
        #expect(apart.judge([], now: 5 * second).isAllowed && apart.judge([], now: 5 * second).isAllowed)
        #expect(!apart.judge([], now: 5 * second).isAllowed)
    }
}
