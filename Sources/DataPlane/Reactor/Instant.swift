import CWeft

/// A point of the monotonic clock, in nanoseconds.
public struct Instant: BitwiseCopyable, Sendable, Comparable, Hashable {
    public var nanoseconds: UInt64

    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Later than everything.
    public static let distantFuture = Instant(nanoseconds: .max)

    /// The clock's present reading: a system call in the vDSO, about 25 ns. Loops keep a cached one.
    public static func read() -> Instant { Instant(nanoseconds: cweft_monotonic()) }

    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The instant that many nanoseconds later; saturates.
    @inlinable
    public func advanced(byNanoseconds span: UInt64) -> Instant {
        let (sum, isOver) = nanoseconds.addingReportingOverflow(span)
        return Instant(nanoseconds: isOver ? .max : sum)
    }

    /// The instant that many milliseconds later; saturates.
    @inlinable
    public func advanced(byMilliseconds span: UInt64) -> Instant {
        let (product, isOver) = span.multipliedReportingOverflow(by: 1_000_000)
        return isOver ? .distantFuture : advanced(byNanoseconds: product)
    }

    /// Nanoseconds from `earlier` to here; 0 when `earlier` is later.
    @inlinable
    public func since(_ earlier: Instant) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds &- earlier.nanoseconds : 0
    }
}
