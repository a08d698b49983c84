import Synchronization

/// The largest number that any worker gave since the last look.
final class SharedPeak: Sendable {
    private let peak = Atomic<UInt64>(0)

    func note(_ value: UInt64) {
        if value > peak.load(ordering: .relaxed) { peak.max(value, ordering: .relaxed) }
    }

    /// The peak; the next one begins at 0.
    func take() -> UInt64 { peak.exchange(0, ordering: .relaxed) }
}
