/// Bytes both ways below a framing of streams: an upgraded connection, or the messages of a WebSocket.
protocol ByteChannel: Sendable {
    /// What the peer sent; nil when it has gone. For one task.
    func read() async -> [UInt8]?
    func write(_ bytes: [UInt8]) async throws
}

extension UpgradedConnection: ByteChannel {}

/// A WebSocket whose messages are pieces of one stream of bytes.
actor WebSocketBytes: ByteChannel {
    private let socket: WebSocket
    private var messages: WebSocket.Messages

    init(_ socket: WebSocket) {
        self.socket = socket
        messages = socket.messages(limit: 16 << 20)
    }

    func read() async -> [UInt8]? {
        var rest = messages
        let message = await rest.next()
        messages = rest
        return message
    }

    nonisolated func write(_ bytes: [UInt8]) async throws { try await socket.send(bytes) }
}

/// What the peer of a SPDY session did.
enum SPDYEvent: Sendable, Equatable {
    case opened(UInt32, [String: String])
    case data(UInt32, [UInt8])
    /// The peer sends no more on a stream, or has given it up.
    case ended(UInt32, isReset: Bool)
}

/// The frames of SPDY/3 as a server reads them, pure.
struct SPDYReader: Sendable {
    /// The payload of one frame.
    static let limit = 1 << 20
    /// Streams that one session may open, all together.
    static let mostStreams = 4096

    struct Fault: Error, Equatable { let reason: String }

    enum Frame: Sendable, Equatable {
        case event(SPDYEvent)
        case ping(UInt32)
        case goodbye
    }

    private var bytes: [UInt8] = []
    private var inflater = HeaderInflater()
    private var streams = 0
    private var pending: [Frame] = []

    mutating func append(_ more: [UInt8]) { bytes += more }

    /// The next frame that means something; nil until it is whole.
    mutating func next() throws(Fault) -> Frame? {
        while pending.isEmpty {
            guard bytes.count >= 8 else { return nil }
            let length = Int(bytes[5]) << 16 | Int(bytes[6]) << 8 | Int(bytes[7])
            guard length <= Self.limit else { throw Fault(reason: "a frame of \(length) bytes") }
            guard bytes.count >= 8 + length else { return nil }
            let head = Array(bytes[..<8])
            let payload = Array(bytes[8..<8 + length])
            bytes.removeFirst(8 + length)
            try read(head, payload)
        }
        return pending.removeFirst()
    }

    private static func number(_ bytes: [UInt8], _ place: Int) -> UInt32 {
        guard place + 4 <= bytes.count else { return 0 }
        return bytes[place..<place + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    private mutating func read(_ head: [UInt8], _ payload: [UInt8]) throws(Fault) {
        let isEnd = head[4] & 1 != 0
        guard head[0] & 0x80 != 0 else {
            let stream = Self.number(head, 0)
            if !payload.isEmpty { pending.append(.event(.data(stream, payload))) }
            if isEnd { pending.append(.event(.ended(stream, isReset: false))) }
            return
        }
        guard head[0] == 0x80, head[1] == 3 else { throw Fault(reason: "another version than SPDY/3") }
        let stream = Self.number(payload, 0) & 0x7fff_ffff
        switch Int(head[2]) << 8 | Int(head[3]) {
        case 1:
            guard payload.count >= 10 else { throw Fault(reason: "a frame that is cut short") }
            streams += 1
            guard streams <= Self.mostStreams else { throw Fault(reason: "too many streams") }
            pending.append(.event(.opened(stream, try fields(payload[10...]))))
            if isEnd { pending.append(.event(.ended(stream, isReset: false))) }
        case 3: pending.append(.event(.ended(stream, isReset: true)))
        case 6: pending.append(.ping(Self.number(payload, 0)))
        case 7: pending.append(.goodbye)
        case 2, 8:
            // Their blocks are part of the one packed stream, so they are read, too.
            if payload.count > 4 { _ = try fields(payload[4...]) }
        default: break
        }
    }

    private mutating func fields(_ block: ArraySlice<UInt8>) throws(Fault) -> [String: String] {
        let plain: [UInt8]
        do throws(HeaderInflater.Failure) { plain = try inflater.unpack(block) } catch {
            throw Fault(reason: "a block of headers that cannot be unpacked")
        }
        var place = 0
        func text() throws(Fault) -> String {
            let length = Int(Self.number(plain, place))
            guard place + 4 + length <= plain.count else { throw Fault(reason: "a header that is cut short") }
            defer { place += 4 + length }
            return String(decoding: plain[place + 4..<place + 4 + length], as: UTF8.self)
        }
        let count = Int(Self.number(plain, 0))
        guard count <= 64 else { throw Fault(reason: "too many headers") }
        place = 4
        var fields: [String: String] = [:]
        for _ in 0..<count {
            let name = try text()
            fields[name.lowercased()] = try text()
        }
        return fields
    }
}

/// One SPDY/3 session, the server's side. One task takes events; any task sends.
actor SPDYSession {
    private let channel: any ByteChannel
    private var reader = SPDYReader()
    private var hasPacked = false

    init(_ channel: any ByteChannel) { self.channel = channel }

    /// What the peer did next; nil when it has gone or broken the protocol.
    func next() async -> SPDYEvent? {
        while true {
            do throws(SPDYReader.Fault) {
                while let frame = try reader.next() {
                    switch frame {
                    case .event(let event): return event
                    case .ping(let id): try? await channel.write(Self.control(6, 0, Self.bytes(id)))
                    case .goodbye: continue
                    }
                }
            } catch { return nil }
            guard let bytes = await channel.read() else { return nil }
            reader.append(bytes)
        }
    }

    /// Answers the opening of a stream.
    func accept(_ stream: UInt32) async throws {
        // No headers, not packed: a stored block of DEFLATE behind zlib's head, which comes once, and an empty one that ends the piece.
        var block: [UInt8] = hasPacked ? [] : [0x78, 0x01]
        hasPacked = true
        block += [0x00, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0x00, 0, 0, 0xff, 0xff]
        try await channel.write(Self.control(2, 0, Self.bytes(stream) + block))
    }

    nonisolated func send(_ stream: UInt32, _ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(32 << 10)
            rest = rest.dropFirst(piece.count)
            try await channel.write(Self.data(stream, 0, Array(piece)))
        }
    }

    /// Says that no more is sent on a stream.
    nonisolated func end(_ stream: UInt32) async { try? await channel.write(Self.data(stream, 1, [])) }

    /// Gives a stream up.
    nonisolated func reset(_ stream: UInt32) async {
        try? await channel.write(Self.control(3, 0, Self.bytes(stream) + Self.bytes(5)))
    }

    private static func bytes(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * $0)) }
    }

    private static func length(_ count: Int) -> [UInt8] {
        [
            UInt8(truncatingIfNeeded: count >> 16), UInt8(truncatingIfNeeded: count >> 8),
            UInt8(truncatingIfNeeded: count),
        ]
    }

    static func control(_ type: UInt8, _ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [0x80, 3, 0, type, flags] + length(payload.count) + payload
    }

    static func data(_ stream: UInt32, _ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        bytes(stream) + [flags] + length(payload.count) + payload
    }
}
