import Bytes
import HTTP
import Reactor
import Traffic

/// Streams of gRPC that the proxy itself holds open: messages one by one in both directions, each side held back where the other is
/// slower.
extension Worker {
    /// What waits of messages for an endpoint that does not take them; more ends the stream.
    private static var outgoingLimit: Int { 16 << 20 }
    /// Bytes of messages that the owner has not dealt with, beyond which the endpoint's window stays shut.
    private static var untakenLimit: Int { 1 << 20 }
    /// One step of a message into the exchange.
    private static var piece: Int { 32_768 }

    private func stream(_ id: UInt64) -> (Int32, ExchangePlace, UnsafeMutablePointer<ExchangeExtras>)? {
        guard let token = mainCalls[id] else { return nil }
        guard let exchange = exchanges.find(token.exchange, generation: token.generation),
            let extras = exchange.pointee.extras, extras.pointee.call?.isStream ?? false
        else {
            mainCalls[id] = nil
            return nil
        }
        return (token.exchange, exchange, extras)
    }

    // MARK: Sending

    func send(_ message: [UInt8], on id: UInt64) {
        guard let (index, exchange, extras) = stream(id), var call = extras.pointee.call, !call.isFinishing else {
            return
        }
        let framed = CallFrame.framed(message)
        guard call.waiting + framed.count <= Self.outgoingLimit else {
            extras.pointee.call?.answer.failure = "the endpoint does not take what it is sent"
            let client = exchange.pointee.downstream
            closeDownstream(client, downstreams.pointer(client), flags: .localReset)
            return
        }
        extras.pointee.call = nil
        call.outgoing.append(framed)
        call.waiting += framed.count
        extras.pointee.call = call
        feedStream(index, exchange)
    }

    func finishStream(_ id: UInt64) {
        guard let (index, exchange, extras) = stream(id) else { return }
        extras.pointee.call?.isFinishing = true
        feedStream(index, exchange)
    }

    /// Moves what waits of messages into the exchange, as far as there is room.
    func feedStream(_ index: Int32, _ exchange: ExchangePlace) {
        guard let extras = exchange.pointee.extras, extras.pointee.call?.isStream ?? false,
            !(extras.pointee.call?.isFeeding ?? true)
        else { return }
        let generation = exchange.pointee.generation
        extras.pointee.call?.isFeeding = true
        while let message = extras.pointee.call?.outgoing.first {
            let room = Limits.replay - (exchange.pointee.request.count &- Int(exchange.pointee.requestSent))
            guard room > 0 else { break }
            let start = extras.pointee.call?.outgoingStart ?? 0
            let count = min(message.count - start, Self.piece)
            withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { space in
                guard let base = space.baseAddress else { return }
                message.withUnsafeBytes { raw in
                    if let from = raw.baseAddress { base.copyMemory(from: from + start, byteCount: count) }
                }
                moved(extras, count, of: message.count)
                exchange.pointee.lastActivity = now
                var step = Body.Step()
                step.data = count
                step.consumed = count
                carry(index, exchange, base, step)
            }
            guard exchanges.find(index, generation: generation) != nil else { return }
        }
        extras.pointee.call?.isFeeding = false
        guard extras.pointee.call?.isFinishing ?? false, extras.pointee.call?.outgoing.isEmpty ?? false,
            !exchange.pointee.requestBody.isComplete, exchange.pointee.requestBody.endOfStream()
        else { return }
        var nothing: UInt8 = 0
        withUnsafeMutableBytes(of: &nothing) { raw in
            guard let base = raw.baseAddress else { return }
            carry(index, exchange, base, Body.Step())
        }
    }

    private func moved(_ extras: UnsafeMutablePointer<ExchangeExtras>, _ count: Int, of whole: Int) {
        extras.pointee.call?.waiting -= count
        extras.pointee.call?.outgoingStart += count
        guard extras.pointee.call?.outgoingStart == whole else { return }
        extras.pointee.call?.outgoing.removeFirst()
        extras.pointee.call?.outgoingStart = 0
    }

    // MARK: Receiving

    /// False when the stream is over by what came.
    func takeMessages(
        _ exchange: ExchangePlace,
        _ extras: UnsafeMutablePointer<ExchangeExtras>,
        _ bytes: UnsafeRawBufferPointer
    ) -> Bool {
        guard case .main(let id)? = extras.pointee.call?.owner, var frame = extras.pointee.call?.frame else {
            return true
        }
        // So that what is held of a message has one owner while it grows.
        extras.pointee.call?.frame = CallFrame(limit: 0)
        var count = 0
        do throws(CallFrame.Fault) {
            try frame.take(bytes) { message in
                count += message.count + 5
                control.post(.call(CallEvent(id: id, what: .message(message))))
            }
        } catch {
            metrics.violation(.badResponse)
            extras.pointee.call?.answer.failure =
                error == .tooLarge ? "a message is larger than allowed" : "a message is compressed"
            let client = exchange.pointee.downstream
            closeDownstream(client, downstreams.pointer(client), flags: .upstreamProtocolError)
            return false
        }
        extras.pointee.call?.frame = frame
        extras.pointee.call?.untaken += count
        return true
    }

    /// Whether the endpoint has to wait until the stream's owner has dealt with what came.
    func holdsBack(_ exchange: ExchangePlace) -> Bool {
        guard let call = exchange.pointee.extras?.pointee.call else { return false }
        return call.untaken > Self.untakenLimit
    }

    func messagesTaken(_ count: Int, on id: UInt64) {
        guard let (_, exchange, extras) = stream(id) else { return }
        let before = holdsBack(exchange)
        extras.pointee.call?.untaken = max(0, (extras.pointee.call?.untaken ?? 0) - count)
        guard before, !holdsBack(exchange), exchange.pointee.upstream >= 0 else { return }
        giveBack(upstreams.pointer(exchange.pointee.upstream))
    }
}
