import CWeft

/// What a descriptor is ready for, or what a watcher wants to hear of. The bits are epoll's own.
public struct Readiness: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let read = Readiness(rawValue: 0x001)
    public static let write = Readiness(rawValue: 0x004)
    /// An error is pending; reading or writing tells which. Always reported.
    public static let failed = Readiness(rawValue: 0x008)
    /// Both directions are closed. Always reported.
    public static let hungUp = Readiness(rawValue: 0x010)
    /// The peer will send no more.
    public static let readHungUp = Readiness(rawValue: 0x2000)
    /// Report each change once instead of each state.
    public static let edgeTriggered = Readiness(rawValue: 1 << 31)
}

/// What a loop reports about one descriptor.
public struct ReadyEvent: BitwiseCopyable, Sendable {
    public var token: UInt64
    public var readiness: Readiness

    @inlinable
    public init(token: UInt64, readiness: Readiness) {
        self.token = token
        self.readiness = readiness
    }
}
