import EnvoyAPI
import HTTP

/// `Http2ProtocolOptions`, compiled: of a listener or a cluster.
struct HTTP2Options: Sendable {
    var settings = HTTP2Settings()
    /// PINGs: 0 = none. Times in nanoseconds.
    var pingInterval: UInt64 = 0
    var pingTimeout: UInt64 = 0
    /// Share of the interval by which it is made longer, at random: 0...1.
    var pingJitter = 0.0

    /// What a stream may send before it is given back: held in memory while its other side is slow.
    static let largestStreamWindow: UInt32 = 196_608

    init() {
        // All streams together: none waits because another is slow.
        settings.connectionWindow = settings.streamWindow * settings.maxConcurrentStreams
    }

    /// For endpoints: how many streams there may be at once is theirs to say.
    init(endpoints message: Envoy.Http2ProtocolOptions?, _ context: CompileContext) {
        var message = message ?? Envoy.Http2ProtocolOptions()
        if message.maxConcurrentStreams == nil { message.maxConcurrentStreams = 1024 }
        self.init(message, context)
        settings.headBytes = 96 * 1024
        settings.headFields = 200
    }

    /// Reads the message; what cannot be done is reported.
    init(_ message: Envoy.Http2ProtocolOptions?, _ context: CompileContext) {
        self.init()
        guard let message else { return }
        if let size = message.hpackTableSize { settings.headerTableSize = size }
        if let count = message.maxConcurrentStreams { settings.maxConcurrentStreams = count }
        if let window = message.initialStreamWindowSize {
            settings.streamWindow = min(window, Self.largestStreamWindow)
        }
        let all = UInt64(settings.streamWindow) * UInt64(min(settings.maxConcurrentStreams, 1024))
        settings.connectionWindow = message.initialConnectionWindowSize ?? UInt32(clamping: min(all, 268_435_456))
        settings.allowsConnect = message.allowConnect
        if let limit = message.maxOutboundFrames { settings.maxOutboundFrames = Int(limit) }
        if let limit = message.maxOutboundControlFrames { settings.maxOutboundControlFrames = Int(limit) }
        if let limit = message.maxConsecutiveInboundFramesWithEmptyPayload {
            settings.maxEmptyFramesInRow = Int(limit)
        }
        if let limit = message.maxInboundPriorityFramesPerStream {
            settings.maxPriorityFramesPerStream = Int(limit)
        }
        if let limit = message.maxInboundWindowUpdateFramesPerDataFrameSent {
            settings.maxWindowUpdatesPerData = Int(limit)
        }
        if message.streamErrorOnInvalidHttpMessaging { settings.resetsBadMessages = true }
        if let isLenient = message.overrideStreamErrorOnInvalidHttpMessage {
            settings.resetsBadMessages = isLenient
        }
        guard let keepalive = message.connectionKeepalive else { return }
        context.at("connection_keepalive") {
            if keepalive.connectionIdleInterval != nil {
                context.report("connection_idle_interval: is not supported; interval sends PINGs at all times")
            }
            pingInterval = nanoseconds(keepalive.interval) ?? 0
            pingTimeout = nanoseconds(keepalive.timeout) ?? 0
            pingJitter = min(1, max(0, (keepalive.intervalJitter?.value ?? 15) / 100))
        }
    }
}
