/// An answer of the admin that goes on: whoever made it writes as long as somebody listens. On the main thread.
final class AdminStream {
    /// Bytes that a consumer has not taken; what does not fit is not written.
    static let limit = 1 << 20

    /// Set by the connection that carries it.
    var send: (([UInt8]) -> Bool)?
    var endConnection: (() -> Void)?
    private var onEnd: (() -> Void)?

    /// - Parameter onEnd: called once, when the consumer has gone or the stream was finished.
    init(onEnd: @escaping () -> Void) { self.onEnd = onEnd }

    /// False: the consumer is gone, or reads too slowly, and the piece is lost.
    func write(_ bytes: [UInt8]) -> Bool { send?(bytes) ?? false }

    /// Ends the answer.
    func finish() { endConnection?() }

    /// The connection is gone.
    func ended() {
        send = nil
        endConnection = nil
        let handler = onEnd
        onEnd = nil
        handler?()
    }
}
