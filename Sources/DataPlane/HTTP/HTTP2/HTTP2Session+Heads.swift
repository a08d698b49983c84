import CNghttp2
import CWeft

/// Sends heads: text of HTTP/1 becomes name and value pairs. What holds for one connection only never passes.
extension HTTP2Session {
    /// Answers a request with a head: `HTTP/1.1 200 OK`, fields, empty line. Its bytes are copied.
    ///
    /// With `hasBody` the stream is then asked by `supply`; else it ends with this head. A second head (after 1xx) is a further call.
    /// False when the text cannot be sent: the stream is to be reset.
    public func sendResponse(_ stream: Int32, _ text: UnsafeRawPointer, _ count: Int, hasBody: Bool) -> Bool {
        guard let pairs = pairs(), count > 12 else { return false }
        pairs[0] = Self.pair(":status", text + 9, 3)
        guard let used = gather(text, count, pairs, 1, as: .response) else { return false }
        guard hasBody else {
            return nghttp2_submit_response(session, stream, pairs, used, nil) == 0
        }
        var provider = nghttp2_data_provider()
        provider.read_callback = HTTP2Callbacks.source
        return nghttp2_submit_response(session, stream, pairs, used, &provider) == 0
    }

    /// Sends an interim head (1xx) before the answer.
    public func sendInterim(_ stream: Int32, _ text: UnsafeRawPointer, _ count: Int) -> Bool {
        guard let pairs = pairs(), count > 12 else { return false }
        pairs[0] = Self.pair(":status", text + 9, 3)
        guard let used = gather(text, count, pairs, 1, as: .response) else { return false }
        return nghttp2_submit_headers(session, Self.none, stream, nil, pairs, used, nil) == 0
    }

    /// Sends trailer lines (`name: value` CR LF each) behind the body; only within `supply` with `HTTP2Supply.trailersFollow`.
    public func sendTrailers(_ stream: Int32, _ text: UnsafeRawPointer, _ count: Int) -> Bool {
        guard let pairs = pairs(), let used = gather(text, count, pairs, 0, as: .trailers) else { return false }
        return nghttp2_submit_trailer(session, stream, pairs, used) == 0
    }

    /// Begins a stream with a request: `GET /path HTTP/1.1`, Host, fields, empty line. Its bytes are copied.
    ///
    /// With `isWebSocket` an upgrade becomes an extended CONNECT (RFC 8441).
    ///
    /// - Returns: the stream's number, or nil when the text cannot be sent or no stream can be begun.
    public func sendRequest(
        _ text: UnsafeRawPointer,
        _ count: Int,
        isHTTPS: Bool,
        hasBody: Bool,
        isWebSocket: Bool = false,
        user: UInt64
    ) -> Int32? {
        guard let pairs = pairs() else { return nil }
        let line = cweft_find(text, count, 13)
        let methodEnd = cweft_find(text, max(0, line), 0x20)
        guard line > 11, methodEnd > 0, line - methodEnd > 10 else { return nil }
        // ` HTTP/1.1` stands behind the target.
        let target = text + methodEnd + 1
        let targetLength = line - methodEnd - 10
        let isConnect = methodEnd == 7 && cweft_same(text, ("CONNECT" as StaticString).utf8Start, 7) != 0
        var used = 0
        func put(_ name: StaticString, _ value: UnsafeRawPointer, _ length: Int) {
            pairs[used] = Self.pair(name, value, length)
            used += 1
        }
        func put(_ name: StaticString, _ value: StaticString) {
            put(name, value.utf8Start, value.utf8CodeUnitCount)
        }
        if isWebSocket { put(":method", "CONNECT") } else { put(":method", text, methodEnd) }
        if !isConnect {
            put(":scheme", isHTTPS ? "https" : "http")
            put(":path", target, targetLength)
        }
        if isWebSocket { put(":protocol", "websocket") }
        let authority = used
        put(":authority", target, isConnect ? targetLength : 0)
        guard let all = gather(text, count, pairs, used, as: isWebSocket ? .webSocket : .request, authority: authority)
        else { return nil }
        let value = UnsafeMutableRawPointer(bitPattern: UInt(user))
        guard hasBody else {
            let stream = nghttp2_submit_request(session, nil, pairs, all, nil, value)
            return stream > 0 ? stream : nil
        }
        var provider = nghttp2_data_provider()
        provider.read_callback = HTTP2Callbacks.source
        let stream = nghttp2_submit_request(session, nil, pairs, all, &provider, value)
        return stream > 0 ? stream : nil
    }

    private enum Message { case request, webSocket, response, trailers }

    @inline(__always)
    private func pairs() -> UnsafeMutablePointer<nghttp2_nv>? {
        guard context.pointee.fault == nil else { return nil }
        return context.pointee.shared._withUnsafeGuaranteedRef { $0.pairs }
    }

    @inline(__always)
    private static func pair(_ name: StaticString, _ value: UnsafeRawPointer, _ length: Int) -> nghttp2_nv {
        pair(name.utf8Start, name.utf8CodeUnitCount, value, length, UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue))
    }

    @inline(__always)
    private static func pair(
        _ name: UnsafeRawPointer,
        _ nameLength: Int,
        _ value: UnsafeRawPointer,
        _ length: Int,
        _ flags: UInt8 = 0
    ) -> nghttp2_nv {
        nghttp2_nv(
            name: UnsafeMutablePointer(mutating: name.assumingMemoryBound(to: UInt8.self)),
            value: UnsafeMutablePointer(mutating: value.assumingMemoryBound(to: UInt8.self)),
            namelen: nameLength,
            valuelen: length,
            flags: flags
        )
    }

    /// Reads the field lines of a text and adds them. Nil when there are too many, or the text is no such text.
    private func gather(
        _ text: UnsafeRawPointer,
        _ count: Int,
        _ pairs: UnsafeMutablePointer<nghttp2_nv>,
        _ first: Int,
        as message: Message,
        authority: Int = -1
    ) -> Int? {
        var used = first
        var position = 0
        if message != .trailers {
            let line = cweft_find(text, count, 10)
            guard line > 0 else { return nil }
            position = line + 1
        }
        while position < count, text.load(fromByteOffset: position, as: UInt8.self) != 13 {
            let rest = count - position
            let colon = cweft_find(text + position, rest, 0x3A)
            guard colon > 0 else { return nil }
            var value = position + colon + 1
            if value < count, text.load(fromByteOffset: value, as: UInt8.self) == 0x20 { value += 1 }
            let length = cweft_find(text + value, count - value, 13)
            guard length >= 0, used < HTTP2Shared.pairCapacity else { return nil }
            let name = text + position
            switch FieldName.recognise(name, count: colon) {
            case .connection, .transferEncoding, .upgrade, .keepAlive, .proxyConnection, .http2Settings: break
            case .host where authority >= 0:
                if pairs[authority].valuelen == 0 { pairs[authority] = Self.pair(":authority", text + value, length) }
            case .te
            where length != 8 || cweft_equals_lower(text + value, ("trailers" as StaticString).utf8Start, 8) == 0:
                break
            case .secWebSocketKey where message == .webSocket: break
            default:
                pairs[used] = Self.pair(name, colon, text + value, length)
                used += 1
            }
            position = value + length + 2
        }
        return used
    }
}
