import HTTP

/// HTTP/2 of a check's connection: one stream at a time.
///
/// Safety: the session calls back with a pointer to this object only while the object itself feeds or empties it.
final class CheckStreams {
    private(set) var status: Int64 = 0
    private(set) var fields: [String: String] = [:]
    private(set) var trailers: [String: String] = [:]
    private(set) var body: [UInt8] = []
    /// The stream ended in order.
    private(set) var hasEnded = false
    /// The stream was reset, or is one that the peer does not serve.
    private(set) var isBroken = false
    private(set) var isGoingAway = false

    private let session: HTTP2Session
    private let limit: Int
    private var stream: Int32 = 0
    private var toSend: [UInt8] = []
    private var table = FieldTable()
    private let shared: HTTP2Shared

    init?(limit: Int) {
        self.limit = limit
        guard let shared = HTTP2Shared(seed: 1) else { return nil }
        self.shared = shared
        // The owner's pointer is needed before there is an owner: it is kept in a box.
        box = .allocate(capacity: 1)
        box.initialize(to: nil)
        guard let made = HTTP2Session(.client, HTTP2Settings(), events: Self.events, owner: box, shared: shared) else {
            box.deallocate()
            return nil
        }
        session = made
        box.pointee = Unmanaged.passUnretained(self)
    }

    private let box: UnsafeMutablePointer<Unmanaged<CheckStreams>?>

    deinit {
        session.free()
        box.deallocate()
    }

    private static func streams(_ owner: HTTP2Events.Owner) -> CheckStreams? {
        owner.assumingMemoryBound(to: Unmanaged<CheckStreams>?.self).pointee?.takeUnretainedValue()
    }

    private static let events = HTTP2Events(
        head: { owner, stream, _ in CheckStreams.streams(owner)?.headCame(stream) },
        data: { owner, stream, _, bytes, count in CheckStreams.streams(owner)?.dataCame(stream, bytes, count) },
        ended: { owner, stream, _ in CheckStreams.streams(owner)?.streamEnded(stream) },
        closed: { owner, stream, _, code in CheckStreams.streams(owner)?.streamClosed(stream, code) },
        supply: { owner, _, _, limit, flags in CheckStreams.streams(owner)?.supply(limit, flags) ?? -1 },
        copy: { owner, _, _, memory, count in CheckStreams.streams(owner)?.copy(memory, count) },
        goAway: { owner, _, _ in CheckStreams.streams(owner)?.isGoingAway = true },
        settings: { _ in },
        pong: { _, _ in }
    )

    /// Begins a request (text of HTTP/1); false when it cannot be begun.
    func begin(_ request: [UInt8], body: [UInt8]?, isHTTPS: Bool) -> Bool {
        status = 0
        fields = [:]
        trailers = [:]
        self.body = []
        hasEnded = false
        isBroken = false
        toSend = body ?? []
        let made = request.withUnsafeBytes { raw -> Int32? in
            guard let start = raw.baseAddress else { return nil }
            return session.sendRequest(start, raw.count, isHTTPS: isHTTPS, hasBody: body != nil, user: 1)
        }
        stream = made ?? 0
        return made != nil
    }

    /// Bytes that are due.
    func output() -> [UInt8] {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: HTTP2Session.fillMinimum * 2)
        while true {
            let count = chunk.withUnsafeMutableBytes { raw -> Int in
                guard let start = raw.baseAddress else { return 0 }
                return session.fill(start, raw.count)
            }
            guard count > 0 else { return all }
            all += chunk[..<count]
        }
    }

    /// False when the session is over.
    func take(_ bytes: [UInt8], now: UInt64) -> Bool {
        bytes.withUnsafeBytes { raw -> Bool in
            guard let start = raw.baseAddress else { return true }
            return session.feed(start, raw.count, now: now)
        }
    }

    /// Nothing more will come or go.
    var isOver: Bool { session.isOver }
    var canServe: Bool { !isGoingAway && session.canOpen && !session.isOver }

    private func headCame(_ number: Int32) {
        let head = session.head
        guard number == stream, let text = head.text, head.fault == nil else {
            if number == stream { isBroken = true }
            return
        }
        let bytes = Array(UnsafeRawBufferPointer(start: text, count: head.count))
        guard head.kind == .response else {
            trailers = Self.lines(bytes)
            return
        }
        var parsed = ResponseHead()
        var limits = HeadLimits()
        limits.fields = FieldTable.capacity
        guard parsed.parse(text, count: head.count, limits: limits, request: .get, fields: &table) == .complete else {
            isBroken = true
            return
        }
        guard !parsed.isInterim else { return }
        status = Int64(parsed.status)
        fields = CheckAnswer.fields(bytes, table)
    }

    /// `name: value` lines.
    private static func lines(_ bytes: [UInt8]) -> [String: String] {
        var found: [String: String] = [:]
        for line in bytes.split(separator: 0x0A) {
            guard let colon = line.firstIndex(of: 0x3A) else { continue }
            let value = line[(colon + 1)...].drop { $0 == 0x20 }.prefix { $0 != 0x0D }
            found[String(decoding: line[..<colon], as: UTF8.self).lowercased()] = String(decoding: value, as: UTF8.self)
        }
        return found
    }

    private func dataCame(_ number: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) {
        session.consume(number, count)
        guard number == stream else { return }
        body += UnsafeRawBufferPointer(start: bytes, count: min(count, max(0, limit - body.count)))
    }

    private func streamEnded(_ number: Int32) {
        if number == stream { hasEnded = true }
    }

    private func streamClosed(_ number: Int32, _ code: UInt32) {
        if number == stream, !hasEnded { isBroken = true }
    }

    private func supply(_ limit: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
        let count = min(limit, toSend.count)
        flags.pointee = count == toSend.count ? HTTP2Supply.ends : 0
        return count
    }

    private func copy(_ memory: UnsafeMutableRawPointer, _ count: Int) {
        toSend.withUnsafeBytes { raw in
            if let start = raw.baseAddress { memory.copyMemory(from: start, byteCount: min(count, raw.count)) }
        }
        toSend.removeFirst(min(count, toSend.count))
    }
}
