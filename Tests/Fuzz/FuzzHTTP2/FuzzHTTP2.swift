import HTTP

/// Frames to sessions of both roles: nothing traps, whatever a head says is one whole head of HTTP/1, what has failed stays
/// failed, and cutting the input in two changes nothing that counts.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTP2(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 2, count: count - 2))
    let role: HTTP2Role = start[0] & 1 == 0 ? .server : .client
    let cut = Int(start[1]) * bytes.count / 256
    let whole = Side(role, answers: start[0] & 2 != 0)
    whole.take(bytes[...])
    whole.drain()
    let halves = Side(role, answers: start[0] & 2 != 0)
    halves.take(bytes[..<cut])
    halves.take(bytes[cut...])
    halves.drain()
    precondition(whole.heads == halves.heads || whole.hasFailed || halves.hasFailed, "a cut changed the heads")
    return 0
}

private final class Side {
    let role: HTTP2Role
    let answers: Bool
    let shared: HTTP2Shared?
    var session: HTTP2Session?
    var heads: [[UInt8]] = []
    var hasFailed = false
    private var out = [UInt8](repeating: 0, count: 1 << 16)
    private var left: [Int32: Int] = [:]

    init(_ role: HTTP2Role, answers: Bool) {
        self.role = role
        self.answers = answers
        shared = HTTP2Shared(seed: 1)
        guard let shared else { return }
        let owner = Unmanaged.passUnretained(self).toOpaque()
        session = HTTP2Session(role, HTTP2Settings(), events: Self.events, owner: owner, shared: shared)
        prepare()
    }

    deinit { session?.free() }

    /// What every fuzzed peer would have sent rightly: the preface, or the requests that it answers.
    private func prepare() {
        if role == .server {
            take(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)[...] + [0, 0, 0, 4, 0, 0, 0, 0, 0])
        } else {
            let text = Array("GET /a HTTP/1.1\r\nhost: a\r\n\r\n".utf8)
            for _ in 0..<3 {
                _ = text.withUnsafeBytes { raw in
                    raw.baseAddress.flatMap {
                        session?.sendRequest($0, raw.count, isHTTPS: false, hasBody: false, user: 1)
                    }
                }
            }
            drain()
            take([0, 0, 0, 4, 0, 0, 0, 0, 0])
        }
    }

    func take(_ bytes: ArraySlice<UInt8>) {
        guard let session, !bytes.isEmpty else { return }
        let goesOn = Array(bytes).withUnsafeBytes { raw in
            raw.baseAddress.map { session.feed($0, raw.count, now: 1) } ?? true
        }
        precondition(!hasFailed || !goesOn, "a session that had failed went on")
        if !goesOn { hasFailed = true }
    }

    /// Takes all output; the bounds of a session keep that finite.
    func drain() {
        guard let session else { return }
        for _ in 0..<4096 {
            let count = out.withUnsafeMutableBytes { raw in
                raw.baseAddress.map { session.fill($0, raw.count) } ?? 0
            }
            precondition(count <= out.count)
            if count == 0 { break }
        }
        _ = (session.isOver, session.fault, session.hasOutput, session.queuedFrames)
    }

    private func headCame(_ stream: Int32) {
        guard let session else { return }
        let head = session.head
        session.attach(stream, UInt64(stream))
        guard head.fault == nil, let text = head.text else { return }
        heads.append(Array(UnsafeRawBufferPointer(start: text, count: head.count)))
        check(text, head)
        guard head.kind == .request, answers else { return }
        left[stream] = 70_000
        let answer = Array("HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\n\r\n".utf8)
        let isSent = answer.withUnsafeBytes { raw in
            raw.baseAddress.map { session.sendResponse(stream, $0, raw.count, hasBody: true) } ?? false
        }
        if !isSent { session.reset(stream, 2) }
    }

    /// The text of a head may be refused by the parser of HTTP/1, but never hold less or more than one head.
    private func check(_ text: UnsafeMutableRawPointer, _ head: HTTP2Head) {
        var fields = FieldTable()
        switch head.kind {
        case .request:
            var parsed = RequestHead()
            let outcome = parsed.parse(text, count: head.count, limits: HeadLimits(), fields: &fields)
            precondition(outcome != .incomplete, "a head without an end")
            precondition(outcome != .complete || parsed.length == head.count, "more than one head")
        case .response:
            var parsed = ResponseHead()
            let outcome = parsed.parse(text, count: head.count, limits: HeadLimits(), request: .get, fields: &fields)
            precondition(outcome != .incomplete, "a head without an end")
            precondition(outcome != .complete || parsed.length == head.count, "more than one head")
        case .trailers:
            _ = try? Trailers.parse(text, count: head.count, limits: HeadLimits(), fields: &fields)
        }
    }

    private func supply(_ stream: Int32, _ limit: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
        let count = min(limit, left[stream] ?? 0)
        left[stream] = (left[stream] ?? 0) - count
        if left[stream] == 0 { flags.pointee = HTTP2Supply.ends }
        return count
    }

    private static func of(_ owner: UnsafeMutableRawPointer) -> Side {
        Unmanaged<Side>.fromOpaque(owner).takeUnretainedValue()
    }

    private static let events = HTTP2Events(
        head: { owner, stream, _ in Side.of(owner).headCame(stream) },
        data: { owner, stream, _, _, count in Side.of(owner).session?.consume(stream, count) },
        ended: { _, _, _ in },
        closed: { owner, stream, _, _ in Side.of(owner).left[stream] = nil },
        supply: { owner, stream, _, limit, flags in Side.of(owner).supply(stream, limit, flags) },
        copy: { _, _, _, target, count in target.initializeMemory(as: UInt8.self, repeating: 0x78, count: count) },
        goAway: { _, _, _ in },
        settings: { _ in },
        pong: { _, _ in }
    )
}
