import CWeft
import Glibc
import HTTP
import Reactor

/// One exchange of the client.
///
/// Safety: every stored property is touched on `LoopThread.shared`'s thread only; tasks reach it by posting there.
final class ClientConnection: EventHandler, @unchecked Sendable {
    struct Head: Sendable {
        let status: Int
        let headers: HTTPFields
    }

    /// Reading pauses while more than this waits for the task.
    private static let highWater = 256 << 10
    private static let readSize = 64 << 10
    /// Interim answers before the final one.
    private static let mostInterim = 8

    private enum Phase {
        case head
        case body
        case ended
    }

    private let deadline: Instant
    private let coversBody: Bool
    private var fd: Int32 = -1
    private var key: HandlerKey?
    private weak var loop: HandlerLoop?
    private var phase = Phase.head
    private var isHead = false
    private var output: [UInt8] = []
    private var sent = 0
    private var hasSent = false
    private var input: [UInt8] = []
    private var framing = Framing.none
    private var missing: UInt64 = 0
    private var chunks = ChunkedDecoder()
    private var interim = 0
    private var ready: [UInt8] = []
    private var failure: (any Error)?
    private var headWaiter: CheckedContinuation<Head, any Error>?
    private var bodyWaiter: CheckedContinuation<[UInt8]?, any Error>?
    private var isReading = true

    /// - Parameters:
    ///   - deadline: until the head is there, or with `coversBody` until the end of the body.
    ///   - coversBody: false for streams that may rest.
    init(deadline: Instant, coversBody: Bool) {
        self.deadline = deadline
        self.coversBody = coversBody
    }

    func start(
        _ endpoint: HTTPEndpoint,
        _ bytes: [UInt8],
        isHead: Bool,
        _ loop: HandlerLoop,
        _ waiter: CheckedContinuation<Head, any Error>
    ) {
        guard phase != .ended else {
            // Cancelled before it began.
            if case .descriptor(let unused) = endpoint { Socket.close(unused) }
            return waiter.resume(throwing: failure ?? CancellationError())
        }
        headWaiter = waiter
        self.loop = loop
        self.isHead = isHead
        output = bytes
        fd = Self.connect(endpoint)
        guard fd >= 0 else { return fail(HTTPFailure(.unreachable, SystemError.text(-fd))) }
        do throws(SystemError) {
            let key = try loop.add(fd, [.read, .write], self)
            self.key = key
            loop.setTimer(key, deadline)
        } catch {
            fail(HTTPFailure(.unreachable, "\(error)"))
        }
    }

    /// The descriptor, or `-errno`.
    private static func connect(_ endpoint: HTTPEndpoint) -> Int32 {
        switch endpoint {
        case .unix(let path): cweft_connect_unix(path, Int32(SOCK_STREAM.rawValue), 1)
        case .tcp(let address): Socket.connect(address)
        case .descriptor(let fd): fd
        }
    }

    func ready(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.failed, .hungUp]), !hasSent, sent == 0, phase == .head {
            let code = Socket.error(of: fd)
            if code != 0 { return fail(HTTPFailure(.unreachable, SystemError.text(abs(code)))) }
        }
        if readiness.contains(.write), !hasSent { flush() }
        // A hang-up is reported until it is read, wanted or not; what is left then is no more than the socket's buffer.
        let hasEnded = !readiness.isDisjoint(with: [.hungUp, .failed])
        if phase != .ended, hasEnded || (isReading && readiness.contains(.read)) { receive() }
    }

    func timerFired() { fail(HTTPFailure(.timedOut, "no answer in time")) }

    private func flush() {
        while sent < output.count {
            let count = output.withUnsafeBytes { bytes -> Int in
                guard let base = bytes.baseAddress else { return 0 }
                return Socket.send(fd, base + sent, bytes.count - sent)
            }
            if count == -Int(EINTR) { continue }
            if count == -Int(EAGAIN) || count == -Int(ENOTCONN) || count == -Int(EINPROGRESS) { return }
            // The other side may have answered before it read everything: what it said still counts.
            guard count > 0 else { break }
            sent += count
        }
        output = []
        sent = 0
        hasSent = true
        updateInterest()
    }

    private func updateInterest() {
        guard let key else { return }
        var interest: Readiness = isReading ? .read : []
        if !hasSent { interest.insert(.write) }
        loop?.change(key, interest)
    }

    private func receive() {
        var chunk = [UInt8](repeating: 0, count: Self.readSize)
        let count = chunk.withUnsafeMutableBytes { bytes -> Int in
            guard let base = bytes.baseAddress else { return 0 }
            return Socket.receive(fd, base, bytes.count)
        }
        if count == -Int(EAGAIN) || count == -Int(EINTR) { return }
        guard count > 0 else { return peerEnded(count) }
        input += chunk[..<count]
        advance()
    }

    private func peerEnded(_ count: Int) {
        if phase == .body, framing == .untilClose, count == 0 { return finish() }
        let reason = count < 0 ? SystemError.text(Int32(truncatingIfNeeded: -count)) : "the connection was closed"
        fail(HTTPFailure(.closed, phase == .head ? "\(reason) before an answer came" : "\(reason) within the answer"))
    }

    private func advance() {
        while phase == .head, !input.isEmpty {
            guard readHead() else { return }
        }
        if phase == .body { readBody() }
    }

    private func readHead() -> Bool {
        var head = ResponseHead()
        var fields = FieldTable()
        var made: Head?
        let method: RequestMethod = isHead ? .head : .get
        let outcome = input.withUnsafeBytes { bytes -> HeadOutcome in
            guard let base = bytes.baseAddress else { return .incomplete }
            let outcome = head.parse(base, count: bytes.count, limits: HeadLimits(), request: method, fields: &fields)
            if outcome == .complete {
                made = Head(status: Int(head.status), headers: MessageReading.headers(base, fields))
            }
            return outcome
        }
        switch outcome {
        case .incomplete: return false
        case .failed(let fault):
            fail(HTTPFailure(.malformed, "the answer is no HTTP: \(fault.reason)"))
            return false
        case .complete: break
        }
        input.removeFirst(head.length)
        if head.isInterim {
            interim += 1
            guard interim <= Self.mostInterim else {
                fail(HTTPFailure(.malformed, "too many interim answers"))
                return false
            }
            return true
        }
        framing = head.framing
        if case .length(let length) = framing { missing = length }
        phase = .body
        let waiter = headWaiter
        headWaiter = nil
        if let made { waiter?.resume(returning: made) }
        if let key, !coversBody { loop?.setTimer(key, nil) }
        return true
    }

    private func readBody() {
        switch framing {
        case .none: return finish()
        case .untilClose:
            ready += input
            input = []
        case .length:
            let taken = Int(min(missing, UInt64(input.count)))
            ready += input[..<taken]
            input.removeFirst(taken)
            missing -= UInt64(taken)
            if missing == 0 { return finish() }
        case .chunked:
            do throws(HTTPFault) {
                let step = try MessageReading.decode(&chunks, &input)
                ready += input[..<step.data]
                input.removeFirst(step.consumed)
            } catch {
                return fail(HTTPFailure(.malformed, "the answer is no HTTP: \(error.reason)"))
            }
            if chunks.isDone { return finish() }
        }
        deliver()
        if ready.count > Self.highWater, isReading {
            isReading = false
            updateInterest()
        }
    }

    /// Asks for the next piece of the body.
    func next(_ waiter: CheckedContinuation<[UInt8]?, any Error>) {
        guard bodyWaiter == nil else {
            return waiter.resume(throwing: HTTPFailure(.malformed, "the stream is read by two tasks"))
        }
        bodyWaiter = waiter
        deliver()
        if !isReading, phase == .body {
            isReading = true
            updateInterest()
        }
    }

    private func deliver() {
        guard let waiter = bodyWaiter else { return }
        if !ready.isEmpty {
            bodyWaiter = nil
            let piece = ready
            ready = []
            waiter.resume(returning: piece)
        } else if phase == .ended {
            bodyWaiter = nil
            if let failure { waiter.resume(throwing: failure) } else { waiter.resume(returning: nil) }
        }
    }

    private func finish() {
        phase = .ended
        close()
        deliver()
    }

    /// Ends the exchange; what was received before can still be read.
    func fail(_ error: any Error) {
        guard phase != .ended else { return }
        phase = .ended
        failure = error
        close()
        headWaiter?.resume(throwing: error)
        headWaiter = nil
        deliver()
    }

    private func close() {
        if let key { loop?.remove(key) }
        key = nil
        if fd >= 0 { Socket.close(fd) }
        fd = -1
    }
}
