import Telemetry

/// The numbers of one edge: one caller's label set towards one callee's.
struct EdgeCell: BitwiseCopyable, Sendable {
    var caller: Int32 = 0
    var callee: Int32 = 0
    var requests: UInt64 = 0
    /// Responses by outcome; statuses beyond the eight that stand here are in `WorkerMetrics.rareStatuses`.
    var statuses: InlineArray<8, StatusCell> = .init(repeating: StatusCell())
    var latency = LatencyHistogram()
    var tcpOpened: UInt64 = 0
    var tcpOpen: Int64 = 0
    var tcpClosed: UInt64 = 0
    var tcpClosedWithError: UInt64 = 0
    var tcpRead: UInt64 = 0
    var tcpWritten: UInt64 = 0
}

/// Responses of one status and one classification.
struct StatusCell: BitwiseCopyable, Sendable {
    /// The status; 0 = free.
    var status: UInt16 = 0
    var isFailure = false
    var count: UInt64 = 0
}
