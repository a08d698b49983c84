import CNghttp2

/// The functions that nghttp2 calls. Each finds its session's context behind `user_data`; none allocates.
enum HTTP2Callbacks {
    typealias Context = UnsafeMutablePointer<HTTP2Context>

    static func install(_ callbacks: OpaquePointer) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
            guard let context = HTTP2Callbacks.context(user), let frame else { return HTTP2Callbacks.failure }
            HTTP2Callbacks.beginHead(context, frame)
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, _, name, nameLength, value, length, _, user in
            guard let context = HTTP2Callbacks.context(user), let name, let value else { return HTTP2Callbacks.failure }
            guard let collector = context.pointee.collector else { return 0 }
            let goesOn = collector.pointee.add(
                name,
                nameLength,
                value,
                length,
                bytes: context.pointee.settings.headBytes,
                fieldLimit: context.pointee.settings.headFields
            )
            return goesOn || context.pointee.fail(.headFlood) ? 0 : HTTP2Callbacks.failure
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            guard let context = HTTP2Callbacks.context(user), let frame else { return HTTP2Callbacks.failure }
            return HTTP2Callbacks.received(context, frame) ? 0 : HTTP2Callbacks.failure
        }
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) { _, frame, code, user in
            guard let context = HTTP2Callbacks.context(user), let frame else { return HTTP2Callbacks.failure }
            return HTTP2Callbacks.invalid(context, frame, code) ? 0 : HTTP2Callbacks.failure
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { session, _, stream, data, length, user in
            guard let context = HTTP2Callbacks.context(user), let data else { return HTTP2Callbacks.failure }
            let bytes = UnsafeMutableRawPointer(mutating: data)
            context.pointee.guarding.emptyInRow = 0
            context.pointee.events.data(
                context.pointee.owner,
                stream,
                HTTP2Callbacks.attached(session, stream),
                bytes,
                length
            )
            return context.pointee.fault == nil ? 0 : HTTP2Callbacks.failure
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { session, stream, code, user in
            guard let context = HTTP2Callbacks.context(user) else { return HTTP2Callbacks.failure }
            HTTP2Callbacks.closed(context, stream, HTTP2Callbacks.attached(session, stream), code)
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
            guard let context = HTTP2Callbacks.context(user), let frame else { return HTTP2Callbacks.failure }
            return HTTP2Callbacks.sent(context, frame) ? 0 : HTTP2Callbacks.failure
        }
        nghttp2_session_callbacks_set_send_data_callback(callbacks) { session, frame, head, length, _, user in
            guard let context = HTTP2Callbacks.context(user), let frame, let head else { return HTTP2Callbacks.failure }
            return HTTP2Callbacks.sendData(
                context,
                session,
                frame.pointee.hd.stream_id,
                frame.pointee.data.padlen,
                head,
                length
            )
        }
    }

    static var failure: Int32 { Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }

    @inline(__always)
    fileprivate static func context(_ user: UnsafeMutableRawPointer?) -> Context? {
        user?.assumingMemoryBound(to: HTTP2Context.self)
    }

    @inline(__always)
    static func attached(_ session: OpaquePointer?, _ stream: Int32) -> UInt64 {
        UInt64(UInt(bitPattern: nghttp2_session_get_stream_user_data(session, stream)))
    }

    // MARK: Heads

    fileprivate static func beginHead(_ context: Context, _ frame: UnsafePointer<nghttp2_frame>) {
        let collector =
            context.pointee.collector ?? context.pointee.shared._withUnsafeGuaranteedRef { $0.lend() }
        context.pointee.collector = collector
        let isClient = context.pointee.role == .client
        collector.pointee.begin(isClient: isClient)
        if frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST { context.pointee.openStreams &+= 1 }
        collector.pointee.isTrailers = !isClient && frame.pointee.headers.cat == NGHTTP2_HCAT_HEADERS
    }

    fileprivate static func headReceived(_ context: Context, _ frame: UnsafePointer<nghttp2_frame>) -> Bool {
        let stream = frame.pointee.hd.stream_id
        guard let collector = context.pointee.collector else { return true }
        defer { giveBack(context) }
        let isClient = context.pointee.role == .client
        var head = HTTP2Head()
        if isClient {
            head.kind = collector.pointee.status.count >= 0 ? .response : .trailers
            collector.pointee.isTrailers = head.kind == .trailers
        } else {
            head.kind = collector.pointee.isTrailers ? .trailers : .request
        }
        if head.kind == .trailers { context.pointee.count(.trailers) }
        if head.kind == .request, context.pointee.openStreams > Int(context.pointee.settings.maxConcurrentStreams) {
            return turnAway(context, stream)
        }
        head.endsStream = frame.pointee.hd.flags & 1 != 0
        if collector.pointee.isTooLarge || collector.pointee.hasTooManyFields {
            context.pointee.count(.headerOverflow)
            head.fault = collector.pointee.isTooLarge ? .headTooLarge : .tooManyFields
        } else {
            let isWebSocket = collector.pointee.isWebSocket
            collector.pointee.finish(
                key: isWebSocket ? context.pointee.shared._withUnsafeGuaranteedRef { $0.nextKey() } : (0, 0)
            )
            guard !collector.pointee.isMalformed else { return refuse(context, stream) }
            head.isWebSocket = isWebSocket
            head.isUnknownProtocol = collector.pointee.protocolName.count >= 0 && !isWebSocket
            head.isHTTPS = collector.pointee.isValue(collector.pointee.scheme, "https")
            head.text = UnsafeMutableRawPointer(collector.pointee.text.base)
            head.count = collector.pointee.text.count
        }
        context.pointee.head = head
        let user = attached(context.pointee.session, stream)
        context.pointee.events.head(context.pointee.owner, stream, user)
        context.pointee.head = HTTP2Head()
        return context.pointee.fault == nil
    }

    fileprivate static func giveBack(_ context: Context) {
        guard let collector = context.pointee.collector else { return }
        context.pointee.collector = nil
        context.pointee.shared._withUnsafeGuaranteedRef { $0.takeBack(collector) }
    }

    /// A stream beyond the limit is refused: its client may ask again. Doing so over and over counts as resets do.
    private static func turnAway(_ context: Context, _ stream: Int32) -> Bool {
        context.pointee.count(.streamRefusedErrors)
        let code = UInt32(NGHTTP2_REFUSED_STREAM.rawValue)
        nghttp2_submit_rst_stream(context.pointee.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code)
        return context.pointee.takeReset()
    }

    /// A malformed head ends its stream, or the connection.
    fileprivate static func refuse(_ context: Context, _ stream: Int32) -> Bool {
        context.pointee.count(.rxMessagingError)
        guard context.pointee.settings.resetsBadMessages else { return context.pointee.fail(.badMessage) }
        let code = UInt32(NGHTTP2_PROTOCOL_ERROR.rawValue)
        nghttp2_submit_rst_stream(context.pointee.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code)
        return true
    }

    // MARK: Frames

    fileprivate static func received(_ context: Context, _ frame: UnsafePointer<nghttp2_frame>) -> Bool {
        let header = frame.pointee.hd
        let owner = context.pointee.owner
        switch header.type {
        case 0:
            if header.length > 0, header.length == frame.pointee.data.padlen, header.flags & 1 == 0 {
                guard context.pointee.guarding.takeEmpty(context.pointee.settings) else {
                    return context.pointee.fail(.emptyFrameFlood)
                }
            }
        case 1:
            guard headReceived(context, frame) else { return false }
        case 3:
            context.pointee.count(.rxReset)
            return context.pointee.role == .client || context.pointee.takeReset()
        case 4:
            if header.flags & 1 == 0 { context.pointee.events.settings(owner) }
            return true
        case 6:
            if header.flags & 1 != 0 {
                let bytes = frame.pointee.ping.opaque_data
                context.pointee.events.pong(owner, withUnsafeBytes(of: bytes) { $0.load(as: UInt64.self) })
            }
            return true
        case 7:
            context.pointee.events.goAway(owner, frame.pointee.goaway.last_stream_id, frame.pointee.goaway.error_code)
            return true
        default: return true
        }
        if header.flags & 1 != 0 {
            let user = attached(context.pointee.session, header.stream_id)
            context.pointee.events.ended(owner, header.stream_id, user)
        }
        return context.pointee.fault == nil
    }

    /// nghttp2 refuses a frame; unless it ends the connection, the stream is reset.
    fileprivate static func invalid(_ context: Context, _ frame: UnsafePointer<nghttp2_frame>, _ code: Int32) -> Bool {
        giveBack(context)
        if code == Int32(NGHTTP2_ERR_HTTP_HEADER.rawValue) || code == Int32(NGHTTP2_ERR_HTTP_MESSAGING.rawValue) {
            context.pointee.count(.rxMessagingError)
            guard context.pointee.settings.resetsBadMessages else { return context.pointee.fail(.badMessage) }
        } else if code == Int32(NGHTTP2_ERR_REFUSED_STREAM.rawValue) {
            context.pointee.count(.streamRefusedErrors)
        }
        return true
    }

    fileprivate static func closed(_ context: Context, _ stream: Int32, _ user: UInt64, _ code: UInt32) {
        if code == 0, context.pointee.resetTokens < context.pointee.settings.maxResets {
            context.pointee.resetTokens &+= 1
        }
        if context.pointee.role == .server { context.pointee.openStreams &-= 1 }
        context.pointee.events.closed(context.pointee.owner, stream, user, code)
    }

    // MARK: Sending

    fileprivate static func sent(_ context: Context, _ frame: UnsafePointer<nghttp2_frame>) -> Bool {
        switch frame.pointee.hd.type {
        case 0: context.pointee.guarding.dataSent &+= 1
        case 1 where context.pointee.role == .client && frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST:
            context.pointee.guarding.opened &+= 1
            context.pointee.lastStreamSent = frame.pointee.hd.stream_id
        case 3:
            context.pointee.count(.txReset)
            // For faults of the peer: they share the budget of its own resets.
            switch frame.pointee.rst_stream.error_code {
            case 1, 3, 5, 6: return context.pointee.takeReset()
            default: break
            }
        case 7:
            context.pointee.count(.goAwaySent)
            context.pointee.sentGoAway = frame.pointee.goaway.error_code
        default: break
        }
        return true
    }

    /// A DATA frame goes straight from the owner's memory into the output.
    fileprivate static func sendData(
        _ context: Context,
        _ session: OpaquePointer?,
        _ stream: Int32,
        _ padding: Int,
        _ head: UnsafePointer<UInt8>,
        _ length: Int
    ) -> Int32 {
        let needed = 9 + length
        guard let out = context.pointee.out, padding == 0,
            context.pointee.outCapacity - context.pointee.outCount >= needed
        else { return Int32(NGHTTP2_ERR_WOULDBLOCK.rawValue) }
        let place = out + context.pointee.outCount
        place.copyMemory(from: head, byteCount: 9)
        if length > 0 {
            context.pointee.events.copy(context.pointee.owner, stream, attached(session, stream), place + 9, length)
        }
        context.pointee.outCount += needed
        return 0
    }

    /// What nghttp2 asks a stream for.
    static let source: nghttp2_data_source_read_callback = { session, stream, _, limit, flags, _, user in
        guard let context = HTTP2Callbacks.context(user), let flags else {
            return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
        var supplied: UInt32 = 0
        let count = context.pointee.events.supply(
            context.pointee.owner,
            stream,
            HTTP2Callbacks.attached(session, stream),
            limit,
            &supplied
        )
        guard count >= 0 else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        var result = UInt32(NGHTTP2_DATA_FLAG_NO_COPY.rawValue)
        if supplied & (HTTP2Supply.ends | HTTP2Supply.trailersFollow) != 0 {
            result |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
        }
        if supplied & HTTP2Supply.trailersFollow != 0 {
            result |= UInt32(NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
        }
        flags.pointee = result
        return min(count, limit)
    }
}
