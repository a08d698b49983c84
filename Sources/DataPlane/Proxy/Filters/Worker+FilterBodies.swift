import Bytes
import HTTP
import Traffic

/// Bodies in the hands of filters: those that are collected before a decision, and those that are changed piece by piece.
extension Worker {
    // MARK: Collecting

    /// Takes what came with the head. -1 when its framing is malformed.
    func collectFirst(_ pass: FilterPass, _ body: UnsafeMutableRawPointer, _ count: Int) -> Int {
        guard let run = pass.exchange.filterRun else { return 0 }
        guard !pass.exchange.pointee.requestBody.isComplete else {
            run.pointee.collected = .whole
            return 0
        }
        guard count > 0 else { return 0 }
        do throws(HTTPFault) {
            let step = try pass.exchange.pointee.requestBody.take(body, count)
            pass.exchange.pointee.bytesReceived &+= UInt64(step.consumed)
            return store(pass.exchange, run, body, step) ? step.consumed : -1
        } catch {
            pass.exchange.pointee.responseFlags.insert(.downstreamProtocolError)
            metrics.violation(.badChunk)
            return -1
        }
    }

    /// A piece of a body that a step waits for.
    func collect(_ index: Int32, _ exchange: ExchangePlace, _ bytes: UnsafeMutableRawPointer, _ step: Body.Step) {
        guard let run = exchange.filterRun else { return }
        guard store(exchange, run, bytes, step) else {
            answer(index, exchange, status: 400, reason: "the trailers are malformed or too long")
            return
        }
        if run.pointee.collected != .nothing {
            resumeFilters(index, exchange)
        } else {
            armExchange(exchange)
        }
    }

    private func store(
        _ exchange: ExchangePlace,
        _ run: UnsafeMutablePointer<FilterRun>,
        _ bytes: UnsafeMutableRawPointer,
        _ step: Body.Step
    ) -> Bool {
        run.pointee.stored += UnsafeRawBufferPointer(start: bytes, count: step.data)
        if step.trailers > 0 {
            guard exchange.pointee.trailers.count + step.trailers <= Trailers.maximumBytes,
                buffers.append(&exchange.pointee.trailers, bytes + step.data, step.trailers)
            else { return false }
        }
        if run.pointee.stored.count > run.pointee.limit {
            run.pointee.collected = .beginning
        } else if exchange.pointee.requestBody.isComplete {
            run.pointee.collected = .whole
        }
        return true
    }

    /// Goes on with a body that is whole: its length is known now.
    func goOnWithStored(_ pass: FilterPass, _ run: UnsafeMutablePointer<FilterRun>) {
        let exchange = pass.exchange
        let count = run.pointee.stored.count
        if count == 0, head.framing == .none {
            _ = settle(pass.match, pass.facts, pass.index, exchange, pass.chain, pass.facts.base, 0)
            return
        }
        let changes = !run.pointee.requestTransforms.isEmpty
        if exchange.pointee.trailers.isEmpty, !changes {
            head.framing = .length(UInt64(count))
            exchange.pointee.flags.remove(.requestIsChunked)
        } else {
            head.framing = .chunked
            exchange.pointee.flags.insert(.requestIsChunked)
        }
        exchange.pointee.requestBody = Body(.length(UInt64(count)))
        guard count > 0, let memory = scratch.base else {
            _ = settle(pass.match, pass.facts, pass.index, exchange, pass.chain, pass.facts.base, 0)
            return
        }
        // The scratch buffer may hold the input that is being read: the first piece has memory of its own.
        let first = min(count, Limits.firstPiece)
        guard var piece = buffers.take(first), let bytes = piece.base else { return }
        defer { buffers.give(&piece) }
        _ = memory
        run.pointee.stored.withUnsafeBytes { raw in
            if let start = raw.baseAddress { bytes.copyMemory(from: start, byteCount: first) }
        }
        run.pointee.fed = first
        let downstream = exchange.pointee.downstream
        let generation = pass.place.pointee.generation
        _ = settle(pass.match, pass.facts, pass.index, exchange, pass.chain, bytes, first)
        guard first < count, let place = downstreams.find(downstream, generation: generation),
            place.pointee.exchange == pass.index
        else { return }
        enqueue(downstream, place)
    }

    /// Whether collected bytes wait to go on.
    func hasStored(_ exchange: ExchangePlace) -> Bool {
        guard let run = exchange.filterRun else { return false }
        return run.pointee.collected == .whole && run.pointee.fed < run.pointee.stored.count && run.pointee.fed > 0
    }

    /// Brings the next piece of a collected body on its way.
    func feedStored(_ index: Int32, _ place: DownstreamPlace, _ exchange: ExchangePlace) {
        let waiting = exchange.pointee.request.count &- Int(exchange.pointee.requestSent)
        guard waiting < Limits.replay, let run = exchange.filterRun, let memory = scratch.base else { return }
        let exchangeIndex = place.pointee.exchange
        let generation = place.pointee.generation
        let count = min(run.pointee.stored.count - run.pointee.fed, min(Int(scratch.capacity), Limits.firstPiece))
        run.pointee.stored.withUnsafeBytes { raw in
            if let start = raw.baseAddress { memory.copyMemory(from: start + run.pointee.fed, byteCount: count) }
        }
        run.pointee.fed += count
        exchange.pointee.lastActivity = now
        do throws(HTTPFault) {
            let step = try exchange.pointee.requestBody.take(memory, count)
            carry(exchangeIndex, exchange, memory, step)
        } catch { return }
        guard let place = downstreams.find(index, generation: generation), place.pointee.exchange == exchangeIndex,
            hasStored(exchange)
        else { return }
        enqueue(index, place)
    }

    // MARK: Changing

    /// The piece of a request's body as the steps make it: data, then trailer lines as they were. Nil when a step gave up.
    func transformedRequest(
        _ exchange: ExchangePlace,
        _ run: UnsafeMutablePointer<FilterRun>,
        _ bytes: UnsafeMutableRawPointer,
        _ step: Body.Step
    ) -> (bytes: UnsafeMutableRawPointer, step: Body.Step)? {
        guard let chain = downstreams.pointer(exchange.pointee.downstream).pointee.chain else { return nil }
        let isLast = exchange.pointee.requestBody.isComplete
        var data = [UInt8](UnsafeRawBufferPointer(start: bytes, count: step.data))
        for number in run.pointee.requestTransforms {
            let step = chain.pointee.steps[number]
            guard transform(step, number, exchange, &data, ofAnswer: false, isLast: isLast) else { return nil }
        }
        let count = data.count
        data += UnsafeRawBufferPointer(start: bytes + step.data, count: step.trailers)
        filterBytes = data
        return filterBytes.withUnsafeMutableBytes { raw in
            var made = step
            made.data = count
            // Safety: the array is the worker's own and stays as it is until the next piece.
            return (raw.baseAddress ?? bytes, made)
        }
    }

    /// The piece of an answer's body as the steps make it, in the worker's own memory. Nil when a step gave up.
    func transformedAnswer(
        _ exchange: ExchangePlace,
        _ run: UnsafeMutablePointer<FilterRun>,
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int,
        isLast: Bool
    ) -> (bytes: UnsafeMutableRawPointer, count: Int)? {
        guard let chain = downstreams.pointer(exchange.pointee.downstream).pointee.chain else { return nil }
        var data = [UInt8](UnsafeRawBufferPointer(start: bytes, count: count))
        for number in run.pointee.answerTransforms {
            let step = chain.pointee.steps[number]
            guard transform(step, number, exchange, &data, ofAnswer: true, isLast: isLast) else { return nil }
        }
        filterBytes = data
        return filterBytes.withUnsafeMutableBytes { raw in (raw.baseAddress ?? bytes, raw.count) }
    }
}

extension Worker {
    /// The first bytes of a body that filters saw, or change. -1 when they cannot go on.
    func takeFilteredBody(
        _ exchange: ExchangePlace,
        _ run: UnsafeMutablePointer<FilterRun>,
        _ body: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        if run.pointee.collected == .beginning, !run.pointee.stored.isEmpty {
            var stored = run.pointee.stored
            run.pointee.stored = []
            let isDone = stored.withUnsafeMutableBytes { raw -> Bool in
                guard let start = raw.baseAddress else { return true }
                return append(exchange, run, start, Body.Step(consumed: raw.count, data: raw.count))
            }
            guard isDone else { return -1 }
        }
        guard count > 0, !exchange.pointee.requestBody.isComplete else { return 0 }
        do throws(HTTPFault) {
            let step = try exchange.pointee.requestBody.take(body, count)
            // What was collected was counted when it came.
            if run.pointee.collected != .whole { exchange.pointee.bytesReceived &+= UInt64(step.consumed) }
            return append(exchange, run, body, step) ? step.consumed : -1
        } catch {
            exchange.pointee.responseFlags.insert(.downstreamProtocolError)
            metrics.violation(.badChunk)
            return -1
        }
    }

    private func append(
        _ exchange: ExchangePlace,
        _ run: UnsafeMutablePointer<FilterRun>,
        _ bytes: UnsafeMutableRawPointer,
        _ step: Body.Step
    ) -> Bool {
        guard !run.pointee.requestTransforms.isEmpty else { return appendBody(exchange, bytes, step) }
        guard let made = transformedRequest(exchange, run, bytes, step) else { return false }
        return appendBody(exchange, made.bytes, made.step)
    }

    /// An answer that filters cannot read does not go on: the proxy's own takes its place, or that of another try.
    func forgetAnswer(_ exchange: ExchangePlace, _ run: UnsafeMutablePointer<FilterRun>) {
        run.pointee.answerTransforms = []
        exchange.pointee.flags.remove(.responseIsChunked)
        exchange.pointee.state = .awaitingResponse
        exchange.pointee.status = 0
        exchange.pointee.respondedAt = 0
    }

    /// Changes a piece of an answer's body; trailer lines behind it are kept for the end. Nil when it cannot go on.
    func changeAnswerBody(
        _ exchange: ExchangePlace,
        _ run: UnsafeMutablePointer<FilterRun>,
        _ bytes: UnsafeMutableRawPointer,
        _ step: inout Body.Step,
        isLast: Bool
    ) -> UnsafeMutableRawPointer? {
        if step.trailers > 0 {
            guard exchange.pointee.trailers.count + step.trailers <= Trailers.maximumBytes,
                buffers.append(&exchange.pointee.trailers, bytes + step.data, step.trailers)
            else { return nil }
            step.trailers = 0
        }
        guard let made = transformedAnswer(exchange, run, bytes, step.data, isLast: isLast) else { return nil }
        step.data = made.count
        return made.bytes
    }
}
