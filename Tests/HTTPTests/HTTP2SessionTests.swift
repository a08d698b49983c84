import Bytes
import HTTP
import Testing

/// One side of a connection in memory: it writes down what it is told and sends what the test gave it.
final class HTTP2Peer {
    struct Stream {
        var head: [String] = []
        var body: [UInt8] = []
        var trailers: String?
        var hasEnded = false
        var closedWith: UInt32?
        var toSend: [UInt8] = []
        var trailersToSend: String?
        var isComplete = false
    }

    let shared: HTTP2Shared
    var session: HTTP2Session?
    var streams: [Int32: Stream] = [:]
    var faults: [HTTPFault] = []
    var lastHead = HTTP2Head()
    var goAways: [(Int32, UInt32)] = []
    var pongs: [UInt64] = []
    var settingsChanges = 0
    var consumes = true
    var answers: String?

    init(_ role: HTTP2Role, _ settings: HTTP2Settings = HTTP2Settings()) throws {
        shared = try #require(HTTP2Shared(seed: 1))
        let owner = Unmanaged.passUnretained(self).toOpaque()
        session = HTTP2Session(role, settings, events: Self.events, owner: owner, shared: shared)
    }

    deinit { session?.free() }

    static func of(_ owner: UnsafeMutableRawPointer) -> HTTP2Peer {
        Unmanaged<HTTP2Peer>.fromOpaque(owner).takeUnretainedValue()
    }

    static let events = HTTP2Events(
        head: { owner, stream, _ in HTTP2Peer.of(owner).headCame(stream) },
        data: { owner, stream, _, bytes, count in
            let peer = HTTP2Peer.of(owner)
            peer.streams[stream]?.body += UnsafeRawBufferPointer(start: bytes, count: count)
            if peer.consumes { peer.session?.consume(stream, count) }
        },
        ended: { owner, stream, _ in HTTP2Peer.of(owner).streams[stream]?.hasEnded = true },
        closed: { owner, stream, _, code in HTTP2Peer.of(owner).streams[stream]?.closedWith = code },
        supply: { owner, stream, _, limit, flags in HTTP2Peer.of(owner).supply(stream, limit, flags) },
        copy: { owner, stream, _, target, count in
            let peer = HTTP2Peer.of(owner)
            let taken = peer.streams[stream]?.toSend.prefix(count) ?? []
            target.copyMemory(from: Array(taken), byteCount: taken.count)
            peer.streams[stream]?.toSend.removeFirst(taken.count)
        },
        goAway: { owner, last, code in HTTP2Peer.of(owner).goAways.append((last, code)) },
        settings: { owner in HTTP2Peer.of(owner).settingsChanges += 1 },
        pong: { owner, number in HTTP2Peer.of(owner).pongs.append(number) }
    )

    private func headCame(_ stream: Int32) {
        guard let session else { return }
        let head = session.head
        lastHead = head
        lastHead.text = nil
        if let fault = head.fault { faults.append(fault) }
        let text = String(decoding: UnsafeRawBufferPointer(start: head.text, count: head.count), as: UTF8.self)
        var entry = streams[stream] ?? Stream()
        if head.kind == .trailers { entry.trailers = text } else { entry.head.append(text) }
        streams[stream] = entry
        session.attach(stream, UInt64(stream))
        guard head.kind == .request, let answers else { return }
        answer(stream, answers, body: streams[stream]?.toSend ?? [])
    }

    private func supply(_ stream: Int32, _ limit: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
        guard let entry = streams[stream] else { return -1 }
        let count = min(limit, entry.toSend.count)
        if entry.isComplete, count == entry.toSend.count {
            flags.pointee = HTTP2Supply.ends
            if let trailers = entry.trailersToSend {
                flags.pointee = HTTP2Supply.trailersFollow
                let bytes = Array(trailers.utf8)
                _ = session?.sendTrailers(stream, bytes, bytes.count)
            }
            return count
        }
        return count > 0 ? count : -1
    }

    @discardableResult
    func answer(_ stream: Int32, _ text: String, body: [UInt8]?, trailers: String? = nil) -> Bool {
        let bytes = Array(text.utf8)
        if let body {
            streams[stream, default: Stream()].toSend = body
            streams[stream]?.trailersToSend = trailers
            streams[stream]?.isComplete = true
        }
        return session?.sendResponse(stream, bytes, bytes.count, hasBody: body != nil) ?? false
    }

    func request(_ text: String, body: [UInt8]? = nil, isWebSocket: Bool = false) -> Int32? {
        let bytes = Array(text.utf8)
        let stream = session?.sendRequest(
            bytes,
            bytes.count,
            isHTTPS: false,
            hasBody: body != nil,
            isWebSocket: isWebSocket,
            user: 7
        )
        guard let stream else { return nil }
        var entry = Stream()
        entry.toSend = body ?? []
        entry.isComplete = true
        streams[stream] = entry
        return stream
    }

    /// What it wants to send now, all of it.
    func output() -> [UInt8] {
        var all: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 40_000)
        while true {
            let count = room.withUnsafeMutableBytes { raw -> Int in
                guard let base = raw.baseAddress else { return 0 }
                return session?.fill(base, raw.count) ?? 0
            }
            guard count > 0 else { return all }
            all += room.prefix(count)
        }
    }

    @discardableResult
    func take(_ bytes: [UInt8], now: UInt64 = 0) -> Bool {
        guard !bytes.isEmpty else { return true }
        return bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return true }
            return session?.feed(base, raw.count, now: now) ?? false
        }
    }
}

/// Lets both sides talk until neither has anything to say.
func converse(_ client: HTTP2Peer, _ server: HTTP2Peer) {
    while true {
        let there = client.output()
        server.take(there)
        let back = server.output()
        client.take(back)
        if there.isEmpty, back.isEmpty { return }
    }
}

/// A frame of RFC 9113 section 4.1.
func frame(_ type: UInt8, _ flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    let length = payload.count
    return [UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags]
        + (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * UInt32($0))) } + payload
}

let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4)
/// `GET / http example.com` from the static table.
let smallHead: [UInt8] = [0x82, 0x84, 0x86, 0x41, 1, 0x78]

@Suite struct HTTP2SessionTests {
    static let get = "GET /a?b=c HTTP/1.1\r\nhost: shop.test\r\nAccept: */*\r\nconnection: close\r\n\r\n"

    @Test func `a request and its answer pass as text of HTTP/1`() throws {
        let client = try HTTP2Peer(.client)
        let server = try HTTP2Peer(.server)
        let stream = try #require(client.request(Self.get))
        converse(client, server)
        #expect(server.streams[stream]?.head == ["GET /a?b=c HTTP/1.1\r\nhost: shop.test\r\naccept: */*\r\n\r\n"])
        #expect(server.streams[stream]?.hasEnded == true)
        let body = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(
            server.answer(
                stream,
                "HTTP/1.1 200 OK\r\nX-A: 1\r\ntransfer-encoding: chunked\r\n\r\n",
                body: body,
                trailers: "grpc-status: 0\r\n"
            )
        )
        converse(client, server)
        #expect(client.streams[stream]?.head == ["HTTP/1.1 200 \r\nx-a: 1\r\n\r\n"])
        #expect(client.streams[stream]?.body == body)
        #expect(client.streams[stream]?.trailers == "grpc-status: 0\r\n")
        #expect(client.streams[stream]?.closedWith == 0)
        #expect(server.streams[stream]?.closedWith == 0)
    }

    @Test func `interim answers precede the answer, which may have no body`() throws {
        let client = try HTTP2Peer(.client)
        let server = try HTTP2Peer(.server)
        let stream = try #require(client.request("POST / HTTP/1.1\r\nhost: a\r\n\r\n", body: [1, 2, 3]))
        converse(client, server)
        #expect(server.streams[stream]?.body == [1, 2, 3])
        let interim = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
        #expect(server.session?.sendInterim(stream, interim, interim.count) == true)
        converse(client, server)
        #expect(server.answer(stream, "HTTP/1.1 204 No Content\r\n\r\n", body: nil))
        converse(client, server)
        #expect(client.streams[stream]?.head == ["HTTP/1.1 100 \r\n\r\n", "HTTP/1.1 204 \r\n\r\n"])
        #expect(client.streams[stream]?.hasEnded == true)
    }

    @Test func `bytes that are not given back stop the sender`() throws {
        var settings = HTTP2Settings()
        settings.streamWindow = 65_535
        let client = try HTTP2Peer(.client)
        let server = try HTTP2Peer(.server, settings)
        server.consumes = false
        let body = [UInt8](repeating: 7, count: 300_000)
        let stream = try #require(client.request("PUT / HTTP/1.1\r\nhost: a\r\n\r\n", body: body))
        converse(client, server)
        #expect(server.streams[stream]?.body.count == 65_535)
        server.session?.consume(stream, 65_535)
        server.consumes = true
        converse(client, server)
        #expect(server.streams[stream]?.body.count == 300_000)
        #expect(server.streams[stream]?.hasEnded == true)
    }

    @Test func `crumbs of cookies are joined and Host agrees with the authority`() throws {
        let server = try HTTP2Peer(.server)
        server.take(preface)
        func literal(_ name: String, _ value: String) -> [UInt8] {
            [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
        }
        let crumbs = smallHead + literal("cookie", "a=1") + literal("x", "y") + literal("cookie", "b=2")
        #expect(server.take(frame(1, 5, stream: 1, crumbs)))
        #expect(server.streams[1]?.head == ["GET / HTTP/1.1\r\nhost: x\r\nx: y\r\ncookie: a=1; b=2\r\n\r\n"])
        #expect(server.take(frame(1, 5, stream: 3, smallHead + literal("host", "x"))))
        #expect(server.streams[3]?.head == ["GET / HTTP/1.1\r\nhost: x\r\n\r\n"])
        #expect(server.take(frame(1, 5, stream: 5, smallHead + literal("host", "y"))))
        #expect(server.streams[5] == nil)
        #expect(server.shared[.rxMessagingError] == 1)
        // The connection goes on, and the stream was reset with PROTOCOL_ERROR.
        let reset = frame(3, 0, stream: 5, [0, 0, 0, 1])
        #expect(server.output().suffix(reset.count) == reset[...])
    }

    @Test func `extended CONNECT becomes an upgrade, and an upgrade extended CONNECT`() throws {
        var settings = HTTP2Settings()
        settings.allowsConnect = true
        let client = try HTTP2Peer(.client)
        let server = try HTTP2Peer(.server, settings)
        converse(client, server)
        #expect(client.session?.peerAllowsConnect == true)
        let text =
            "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            + "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        let stream = try #require(client.request(text, body: [], isWebSocket: true))
        converse(client, server)
        #expect(server.lastHead.isWebSocket)
        let head = try #require(server.streams[stream]?.head.first)
        #expect(head.hasPrefix("GET /chat HTTP/1.1\r\nhost: a\r\nsec-websocket-version: 13\r\n"))
        var parsed = RequestHead()
        var fields = FieldTable()
        let bytes = Array(head.utf8)
        #expect(parsed.parse(bytes, count: bytes.count, limits: HeadLimits(), fields: &fields) == .complete)
        #expect(parsed.isUpgrade)
    }

    @Test func `a WebSocket's key has one answer`() {
        // RFC 6455 section 1.3.
        let key = Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)
        #expect(WebSocketKey.accept(key, key.count) == Array("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".utf8))
    }

    @Test func `pings are answered, shutdown is announced and streams end in order`() throws {
        let client = try HTTP2Peer(.client)
        let server = try HTTP2Peer(.server)
        let stream = try #require(client.request(Self.get))
        converse(client, server)
        server.session?.ping(99)
        server.session?.announceShutdown()
        converse(client, server)
        #expect(server.pongs == [99])
        #expect(client.goAways.first?.0 == Int32.max)
        server.session?.goAway()
        converse(client, server)
        #expect(client.goAways.last?.0 == stream)
        #expect(client.session?.canOpen == false)
        #expect(server.session?.isOver == false)
        server.answer(stream, "HTTP/1.1 200 OK\r\n\r\n", body: [1])
        converse(client, server)
        #expect(client.streams[stream]?.body == [1])
        #expect(server.session?.isOver == true)
        #expect(server.session?.fault == nil)
    }

    @Test func `heads beyond the limits are told as such`() throws {
        var settings = HTTP2Settings()
        settings.headFields = 10
        let client = try HTTP2Peer(.client)
        let server = try HTTP2Peer(.server, settings)
        let many = (0..<11).map { "x-\($0): y\r\n" }.joined()
        _ = try #require(client.request("GET / HTTP/1.1\r\nhost: a\r\n\(many)\r\n"))
        converse(client, server)
        #expect(server.faults == [.tooManyFields])
        let cookies = (0..<41).map { "cookie: \($0)\r\n" }.joined()
        _ = try #require(client.request("GET / HTTP/1.1\r\nhost: a\r\n\(cookies)\r\n"))
        converse(client, server)
        #expect(server.faults == [.tooManyFields, .tooManyFields])
        let long = "x: \(String(repeating: "y", count: 62_000))\r\n"
        _ = try #require(client.request("GET / HTTP/1.1\r\nhost: a\r\n\(long)\r\n"))
        converse(client, server)
        #expect(server.faults.last == .headTooLarge)
        #expect(server.session?.fault == nil)
    }
}

/// Each flood ends in GOAWAY with ENHANCE_YOUR_CALM, each fault with its code.
@Suite struct HTTP2FloodTests {
    struct Case: CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let fault: HTTP2Fault
        var testDescription: String { name }
    }

    static func opened(_ stream: UInt32 = 1) -> [UInt8] { frame(1, 4, stream: stream, smallHead) }

    static func resets() -> [UInt8] {
        (0..<202).flatMap { index in
            let stream = UInt32(index * 2 + 1)
            return opened(stream) + frame(3, 0, stream: stream, [0, 0, 0, 8])
        }
    }

    static func many(_ count: Int, _ bytes: [UInt8]) -> [UInt8] {
        Array(repeating: bytes, count: count).flatMap(\.self)
    }

    static let cases = [
        Case(name: "no preface", bytes: Array("GET / HTTP/1.1\r\nhost: a\r\n\r\n".utf8), fault: .badPreface),
        Case(name: "rapid reset", bytes: preface + resets(), fault: .resetFlood),
        Case(name: "empty data", bytes: preface + opened() + many(2, frame(0, 0, stream: 1)), fault: .emptyFrameFlood),
        Case(
            name: "padding alone",
            bytes: preface + opened() + many(2, frame(0, 8, stream: 1, [3, 0, 0, 0])),
            fault: .emptyFrameFlood
        ),
        Case(
            name: "priorities",
            bytes: preface + opened() + many(201, frame(2, 0, stream: 1, [0, 0, 0, 0, 5])),
            fault: .priorityFlood
        ),
        Case(
            name: "window updates",
            bytes: preface + opened() + many(8, frame(8, 0, stream: 0, [0, 0, 0, 1])),
            fault: .windowUpdateFlood
        ),
        Case(
            name: "continuations",
            bytes: preface + frame(1, 0, stream: 1, smallHead) + many(6, frame(9, 0, stream: 1, [0x82])),
            fault: .tooManyContinuations
        ),
        Case(
            name: "pings",
            bytes: preface + many(1002, frame(6, 0, stream: 0, [0, 0, 0, 0, 0, 0, 0, 1])),
            fault: .outboundFlood
        ),
        Case(
            name: "data on a stream that the client reset",
            bytes: preface + opened() + frame(3, 0, stream: 1, [0, 0, 0, 8]) + frame(0, 0, stream: 1, [1]),
            fault: .closedStream
        ),
    ]

    @Test(arguments: cases)
    func `ends the session`(_ flood: Case) throws {
        let server = try HTTP2Peer(.server)
        server.take(flood.bytes)
        #expect(server.session?.fault == flood.fault)
        let last = Array(server.output().suffix(17))
        #expect(Array(last.prefix(9)) == Array(frame(7, 0, stream: 0, [0, 0, 0, 0, 0, 0, 0, 0]).prefix(9)))
        #expect(last.last == UInt8(flood.fault.code))
    }

    @Test func `a bomb of indexed crumbs ends the session before it is large`() throws {
        let server = try HTTP2Peer(.server)
        // `cookie` with a long value goes into the table; then each byte is a crumb of 60 bytes.
        let value = [UInt8](repeating: 0x61, count: 60)
        let first = smallHead + [0x60, 60] + value
        var head = preface + frame(1, 1, stream: 1, first + [UInt8](repeating: 0xBE, count: 16_000))
        head += frame(9, 4, stream: 1, [UInt8](repeating: 0xBE, count: 16_000))
        server.take(head)
        #expect(server.session?.fault == .headFlood)
    }

    @Test func `resets between streams that end in order are no flood`() throws {
        let server = try HTTP2Peer(.server)
        server.answers = "HTTP/1.1 204 No Content\r\n\r\n"
        server.take(preface)
        for index in 0..<500 {
            let stream = UInt32(index * 4 + 1)
            #expect(server.take(frame(1, 5, stream: stream, smallHead)))
            _ = server.output()
            server.answers = nil
            #expect(server.take(Self.opened(stream + 2) + frame(3, 0, stream: stream + 2, [0, 0, 0, 8])))
            server.answers = "HTTP/1.1 204 No Content\r\n\r\n"
        }
        #expect(server.session?.fault == nil)
    }

    @Test func `streams beyond the limit are refused one by one`() throws {
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = 2
        let server = try HTTP2Peer(.server, settings)
        let first = server.output()
        // What the client is told is the limit itself.
        #expect(first[9 + 12..<9 + 18] == [0, 3, 0, 0, 0, 2])
        server.take(preface + frame(4, 1))
        for stream in [UInt32(1), 3, 5] { #expect(server.take(Self.opened(stream))) }
        #expect(server.streams.keys.sorted() == [1, 3])
        #expect(server.shared[.streamRefusedErrors] == 1)
        #expect(server.output().suffix(13) == frame(3, 0, stream: 5, [0, 0, 0, 7])[...])
        // A place becomes free.
        #expect(server.take(frame(3, 0, stream: 1, [0, 0, 0, 8]) + Self.opened(7)))
        #expect(server.streams[7] != nil)
        for index in 0..<300 where server.session?.fault == nil {
            server.take(Self.opened(UInt32(9 + index * 2)))
            _ = server.output()
        }
        #expect(server.session?.fault == .resetFlood)
    }

    @Test func `the budget of resets is renewed with time`() throws {
        let server = try HTTP2Peer(.server)
        server.take(preface, now: 1)
        for index in 0..<400 {
            let stream = UInt32(index * 2 + 1)
            let bytes = Self.opened(stream) + frame(3, 0, stream: stream, [0, 0, 0, 8])
            #expect(server.take(bytes, now: index < 200 ? 1 : 31_000_000_000))
        }
        #expect(server.session?.fault == nil)
    }
}
