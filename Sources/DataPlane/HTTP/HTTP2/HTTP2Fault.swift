/// Why a session was ended for what its peer did, where the wrapper saw it itself. What nghttp2 refuses by its own rules is
/// `.protocolError`.
public enum HTTP2Fault: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case badPreface
    case protocolError
    case closedStream
    case tooManyContinuations
    case headFlood
    case emptyFrameFlood
    case priorityFlood
    case windowUpdateFlood
    case controlFrameFlood
    case outboundFlood
    case resetFlood
    case badMessage
    case internalError

    /// The error code of the GOAWAY frame (RFC 9113 section 7).
    public var code: UInt32 {
        switch self {
        case .badPreface, .protocolError, .badMessage: 1
        case .internalError: 2
        case .closedStream: 5
        default: 11
        }
    }

    /// In plain words, for logs.
    public var reason: StaticString {
        switch self {
        case .badPreface: "the connection does not begin with HTTP/2's preface"
        case .protocolError: "a frame breaks the protocol"
        case .closedStream: "a frame came on a stream that its sender had ended"
        case .tooManyContinuations: "a head came in too many frames"
        case .headFlood: "a head is far beyond the limit"
        case .emptyFrameFlood: "too many empty frames in a row"
        case .priorityFlood: "too many PRIORITY frames"
        case .windowUpdateFlood: "too many WINDOW_UPDATE frames"
        case .controlFrameFlood: "too many SETTINGS, PING or unknown frames"
        case .outboundFlood: "too many frames wait to be sent"
        case .resetFlood: "too many streams were reset"
        case .badMessage: "a head is malformed"
        case .internalError: "the library failed"
        }
    }
}

/// What sessions count, under the names of Envoy's `http2.*` statistics.
public enum HTTP2Counter: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case headerOverflow, inboundEmptyFramesFlood, inboundPriorityFramesFlood, inboundWindowUpdateFramesFlood
    case outboundControlFlood, outboundFlood, rxMessagingError, rxReset, txReset, streamRefusedErrors, trailers
    case goAwaySent, keepaliveTimeout, resetFlood, continuationFlood, controlFlood, closedStreamFrames, badPreface

    /// The last part of the statistic's name.
    public var name: StaticString {
        switch self {
        case .headerOverflow: "header_overflow"
        case .inboundEmptyFramesFlood: "inbound_empty_frames_flood"
        case .inboundPriorityFramesFlood: "inbound_priority_frames_flood"
        case .inboundWindowUpdateFramesFlood: "inbound_window_update_frames_flood"
        case .outboundControlFlood: "outbound_control_flood"
        case .outboundFlood: "outbound_flood"
        case .rxMessagingError: "rx_messaging_error"
        case .rxReset: "rx_reset"
        case .txReset: "tx_reset"
        case .streamRefusedErrors: "stream_refused_errors"
        case .trailers: "trailers"
        case .goAwaySent: "goaway_sent"
        case .keepaliveTimeout: "keepalive_timeout"
        case .resetFlood: "inbound_reset_flood"
        case .continuationFlood: "inbound_continuation_flood"
        case .controlFlood: "inbound_control_flood"
        case .closedStreamFrames: "inbound_closed_stream_frames"
        case .badPreface: "bad_preface"
        }
    }
}

extension HTTP2Fault {
    var counter: HTTP2Counter? {
        switch self {
        case .badPreface: .badPreface
        case .closedStream: .closedStreamFrames
        case .tooManyContinuations: .continuationFlood
        case .headFlood: .headerOverflow
        case .emptyFrameFlood: .inboundEmptyFramesFlood
        case .priorityFlood: .inboundPriorityFramesFlood
        case .windowUpdateFlood: .inboundWindowUpdateFramesFlood
        case .controlFrameFlood: .controlFlood
        case .outboundFlood: .outboundControlFlood
        case .resetFlood: .resetFlood
        case .protocolError, .badMessage, .internalError: nil
        }
    }
}
