import CNghttp2
import CWeft

/// One HTTP/2 connection, of either role, without its socket: bytes go in with `feed`, bytes to send come out with `fill`, and
/// what happens is told by calls of `HTTP2Events`.
///
/// A handle: copies mean the same session. `free` ends it; its owner, who made it, calls that once. Nothing is allocated by Swift
/// per stream; nghttp2 allocates from the C library. One thread.
public struct HTTP2Session: BitwiseCopyable {
    let context: UnsafeMutablePointer<HTTP2Context>

    /// Begins a session; its SETTINGS (and a client's preface) wait to be taken by `fill`. Nil when memory is exhausted.
    public init?(
        _ role: HTTP2Role,
        _ settings: HTTP2Settings,
        events: HTTP2Events,
        owner: UnsafeMutableRawPointer,
        shared: HTTP2Shared
    ) {
        let guarding = FrameGuard(role)
        context = .allocate(capacity: 1)
        context.initialize(
            to: HTTP2Context(
                shared: Unmanaged.passUnretained(shared),
                events: events,
                owner: owner,
                role: role,
                settings: settings,
                guarding: guarding,
                resetTokens: settings.maxResets,
                saysLimit: role == .server
            )
        )
        guard let session = Self.open(role, settings, shared, context) else {
            guarding.over.deallocate()
            context.deallocate()
            return nil
        }
        context.pointee.session = session
        guard submitSettings() else {
            free()
            return nil
        }
    }

    private static func open(
        _ role: HTTP2Role,
        _ settings: HTTP2Settings,
        _ shared: HTTP2Shared,
        _ context: UnsafeMutablePointer<HTTP2Context>
    ) -> OpaquePointer? {
        var option: OpaquePointer?
        guard nghttp2_option_new(&option) == 0, let option else { return nil }
        defer { nghttp2_option_del(option) }
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_no_closed_streams(option, 1)
        nghttp2_option_set_max_outbound_ack(option, settings.maxOutboundControlFrames)
        nghttp2_option_set_max_continuations(option, settings.maxContinuations + 1)
        // The budget of resets is kept here, not there.
        nghttp2_option_set_stream_reset_rate_limit(option, 1 << 40, 1 << 20)
        nghttp2_option_set_peer_max_concurrent_streams(option, 100)
        nghttp2_option_set_max_deflate_dynamic_table_size(option, Int(settings.headerTableSize))
        nghttp2_option_set_max_send_header_block_length(option, 1 << 20)
        var session: OpaquePointer?
        let result =
            role == .server
            ? nghttp2_session_server_new2(&session, shared.callbacks, context, option)
            : nghttp2_session_client_new2(&session, shared.callbacks, context, option)
        return result == 0 ? session : nil
    }

    private func submitSettings() -> Bool {
        let settings = context.pointee.settings
        func entry(_ id: nghttp2_settings_id, _ value: UInt32) -> nghttp2_settings_entry {
            nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: value)
        }
        let isServer = context.pointee.role == .server
        let result = withUnsafeTemporaryAllocation(of: nghttp2_settings_entry.self, capacity: 8) { entries in
            guard let base = entries.baseAddress else { return Int32(-1) }
            var count = 0
            func put(_ id: nghttp2_settings_id, _ value: UInt32) {
                (base + count).initialize(to: entry(id, value))
                count += 1
            }
            put(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.streamWindow)
            put(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(clamping: settings.headBytes))
            // The library would end the connection at the limit; it is given a higher one, and the frame is corrected.
            let allowed = min(settings.maxConcurrentStreams, UInt32(Int32.max) - Self.spareStreams) + Self.spareStreams
            put(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, isServer ? allowed : 0)
            if !isServer { put(NGHTTP2_SETTINGS_ENABLE_PUSH, 0) }
            if settings.headerTableSize != 4096 {
                put(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, settings.headerTableSize)
            }
            if isServer, settings.allowsConnect { put(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1) }
            return nghttp2_submit_settings(session, Self.none, base, count)
        }
        guard result == 0 else { return false }
        let window = Int32(clamping: settings.connectionWindow)
        return nghttp2_session_set_local_window_size(session, Self.none, 0, window) == 0
    }

    /// Streams beyond the limit that are refused one by one (RFC 9113 section 5.1.2); more at once end the connection.
    static var spareStreams: UInt32 { 100 }

    static var none: UInt8 { UInt8(NGHTTP2_FLAG_NONE.rawValue) }

    @inline(__always)
    var session: OpaquePointer? { context.pointee.session }

    /// Frees everything. No event is told any more; not within an event.
    public func free() {
        if let collector = context.pointee.collector {
            context.pointee.shared._withUnsafeGuaranteedRef { $0.takeBack(collector) }
        }
        nghttp2_session_del(context.pointee.session)
        context.pointee.guarding.over.deallocate()
        context.deinitialize(count: 1)
        context.deallocate()
    }

    // MARK: Bytes

    /// Works on bytes that came; events are told meanwhile. `now` is monotonic, in nanoseconds, and ages the budgets.
    ///
    /// - Returns: false when the session is over: `fill` gives its last frames (GOAWAY), then the connection is to be closed.
    public func feed(_ bytes: UnsafeRawPointer, _ count: Int, now: UInt64) -> Bool {
        guard context.pointee.fault == nil else { return false }
        context.pointee.refresh(now)
        let allowed = context.pointee.guarding.scan(bytes, count, context.pointee.settings)
        let result = nghttp2_session_mem_recv(session, bytes.assumingMemoryBound(to: UInt8.self), allowed)
        if result < 0 {
            switch nghttp2_error(rawValue: Int32(truncatingIfNeeded: result)) {
            case NGHTTP2_ERR_BAD_CLIENT_MAGIC: _ = context.pointee.fail(.badPreface)
            case NGHTTP2_ERR_FLOODED: _ = context.pointee.fail(.outboundFlood)
            case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS: _ = context.pointee.fail(.tooManyContinuations)
            default: _ = context.pointee.fail(.internalError)
            }
        }
        if let fault = context.pointee.guarding.fault,
            context.pointee.sentGoAway == .max || context.pointee.sentGoAway == 0
        {
            return context.pointee.fail(fault)
        }
        if queuedFrames > context.pointee.settings.maxOutboundFrames { _ = context.pointee.fail(.outboundFlood) }
        return context.pointee.fault == nil
    }

    /// Room that `fill` wants at least: a whole frame of the size that every peer accepts.
    public static var fillMinimum: Int { 16_384 + 9 }

    /// Writes frames that are due into memory, as many as fit.
    ///
    /// - Returns: how many bytes were written; 0 when nothing is due, or no room for a further frame.
    public func fill(_ memory: UnsafeMutableRawPointer, _ capacity: Int) -> Int {
        context.pointee.out = memory
        context.pointee.outCount = 0
        context.pointee.outCapacity = capacity
        defer { context.pointee.out = nil }
        takeLeft()
        while context.pointee.fault == nil, context.pointee.leftCount == 0,
            capacity - context.pointee.outCount >= Self.fillMinimum
        {
            var data: UnsafePointer<UInt8>?
            let before = context.pointee.outCount
            let count = nghttp2_session_mem_send(session, &data)
            if count < 0 {
                _ = context.pointee.fail(.internalError)
                break
            }
            if count > 0, let data {
                context.pointee.left = data
                context.pointee.leftCount = count
                takeLeft()
            } else if context.pointee.outCount == before {
                break
            }
        }
        sayFarewell()
        return context.pointee.outCount
    }

    private func takeLeft() {
        guard let left = context.pointee.left, let out = context.pointee.out else { return }
        let count = min(context.pointee.leftCount, context.pointee.outCapacity - context.pointee.outCount)
        (out + context.pointee.outCount).copyMemory(from: left, byteCount: count)
        if context.pointee.saysLimit {
            sayLimit((out + context.pointee.outCount).assumingMemoryBound(to: UInt8.self), count)
        }
        context.pointee.outCount += count
        context.pointee.leftCount -= count
        context.pointee.left = context.pointee.leftCount > 0 ? left + count : nil
    }

    /// The first frame of a server is its SETTINGS: the limit of streams that the peer is to know goes into it.
    private func sayLimit(_ frame: UnsafeMutablePointer<UInt8>, _ count: Int) {
        context.pointee.saysLimit = false
        guard count >= 9, frame[3] == 4, frame[4] == 0 else { return }
        let limit = context.pointee.settings.maxConcurrentStreams
        var entry = 9
        while entry + 6 <= count {
            if frame[entry] == 0, frame[entry + 1] == 3 {
                for index in 0..<4 {
                    frame[entry + 2 + index] = UInt8(truncatingIfNeeded: limit >> UInt32(24 - index * 8))
                }
            }
            entry += 6
        }
    }

    /// The GOAWAY of a session that was ended here: nghttp2 may not be asked any more.
    private func sayFarewell() {
        guard let fault = context.pointee.fault, !context.pointee.saidFarewell, context.pointee.leftCount == 0,
            let out = context.pointee.out, context.pointee.outCapacity - context.pointee.outCount >= 17
        else { return }
        context.pointee.saidFarewell = true
        context.pointee.count(.goAwaySent)
        context.pointee.sentGoAway = fault.code
        let place = (out + context.pointee.outCount).assumingMemoryBound(to: UInt8.self)
        place.initialize(repeating: 0, count: 17)
        place[2] = 8
        place[3] = 7
        let last = context.pointee.role == .server ? context.pointee.guarding.lastStream : 0
        for index in 0..<4 {
            let shift = UInt32(24 - index * 8)
            place[9 + index] = UInt8(truncatingIfNeeded: last >> shift)
            place[13 + index] = UInt8(truncatingIfNeeded: fault.code >> shift)
        }
        context.pointee.outCount += 17
    }

    /// Whether `fill` would give something.
    public var hasOutput: Bool {
        if context.pointee.leftCount > 0 { return true }
        if context.pointee.fault != nil { return !context.pointee.saidFarewell }
        return nghttp2_session_want_write(session) != 0
    }

    /// The session has come to its end: once its output is sent the connection is to be closed.
    public var isOver: Bool {
        if context.pointee.fault != nil { return true }
        return nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    /// Why the session was ended by the rules of this wrapper, or by nghttp2's.
    public var fault: HTTP2Fault? {
        if let fault = context.pointee.fault { return fault }
        let code = context.pointee.sentGoAway
        return code == 0 || code == .max ? nil : .protocolError
    }

    /// A head has begun and its end has not come.
    public var isInHead: Bool { context.pointee.collector != nil }

    /// The head of which an event tells; only within that event.
    public var head: HTTP2Head { context.pointee.head }

    // MARK: Streams

    /// Attaches a value (not 0) to a stream: it comes with all its events.
    public func attach(_ stream: Int32, _ user: UInt64) {
        nghttp2_session_set_stream_user_data(session, stream, UnsafeMutableRawPointer(bitPattern: UInt(user)))
    }

    /// Gives bytes of a body back: the peer may send as many more on the stream and on the connection.
    public func consume(_ stream: Int32, _ count: Int) { nghttp2_session_consume(session, stream, count) }

    /// Gives bytes back for the connection alone: those of a stream that is over or reset.
    public func consumeConnection(_ count: Int) { nghttp2_session_consume_connection(session, count) }

    /// `supply` of this stream has something again.
    public func resume(_ stream: Int32) { nghttp2_session_resume_data(session, stream) }

    /// Ends a stream at once with an error code (RFC 9113 section 7); nothing more of it is sent.
    public func reset(_ stream: Int32, _ code: UInt32) {
        nghttp2_submit_rst_stream(session, Self.none, stream, code)
    }

    /// Streams of this stream's peer that may still be opened, or 0 (clients): what the peer allows at once.
    public var peerMaxConcurrentStreams: UInt32 {
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
    }

    /// Whether the server takes extended CONNECT (RFC 8441).
    public var peerAllowsConnect: Bool {
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
    }

    /// The last stream of a client whose request was written: those above it never reached the server.
    public var lastStreamSent: Int32 { context.pointee.lastStreamSent }

    /// Whether a client may begin a further stream: no GOAWAY came or went, and numbers are left.
    public var canOpen: Bool {
        context.pointee.fault == nil && nghttp2_session_check_request_allowed(session) != 0
    }

    /// Frames that wait in the library.
    public var queuedFrames: Int { nghttp2_session_get_outbound_queue_size(session) }

    /// How much of a stream's data the peer takes at present; 0 or less: it is blocked.
    public func peerWindow(_ stream: Int32) -> Int32 {
        min(
            nghttp2_session_get_stream_remote_window_size(session, stream),
            nghttp2_session_get_remote_window_size(session)
        )
    }

    // MARK: The connection

    /// Says that the end is near, without closing anything: new streams are still taken (the first of two GOAWAYs).
    public func announceShutdown() { nghttp2_submit_shutdown_notice(session) }

    /// Takes no further streams; those that are open go on. `isOver` when the last has ended.
    public func goAway(_ code: UInt32 = 0) {
        let last = nghttp2_session_get_last_proc_stream_id(session)
        nghttp2_submit_goaway(session, Self.none, last, code, nil, 0)
    }

    /// Ends the session with all its streams, after a GOAWAY with this code.
    public func terminate(_ code: UInt32) { nghttp2_session_terminate_session(session, code) }

    /// Sends a PING; `pong` tells its answer.
    public func ping(_ number: UInt64) {
        withUnsafeBytes(of: number) { raw in
            _ = nghttp2_submit_ping(session, Self.none, raw.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
    }
}
