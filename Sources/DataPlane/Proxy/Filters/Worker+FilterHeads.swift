import Bytes
import HTTP
import Traffic

/// Heads that filters change: each change makes a new text, which is read like one that came.
extension Worker {
    /// Writes the request's head with the changes and reads it again. Nil when it is too large or none any more.
    func rewriteHead(_ facts: RequestFacts, _ exchange: ExchangePlace, _ edits: HeadEdits) -> RequestFacts? {
        guard let run = exchange.filterRun else { return nil }
        var lines = HeadLines(facts.base, requestFields, withHost: false)
        return edits.bytes.withUnsafeBytes { bytes -> RequestFacts? in
            if let start = bytes.baseAddress { lines.apply(edits, start) }
            let authority = lines.authority ?? facts.view.authority
            let target = lines.path ?? (exchange.pointee.method == .connect ? authority : facts.target)
            let size = lines.size + authority.count + target.count + facts.view.method.count + 64
            guard var made = buffers.take(size), let room = made.base else { return nil }
            var writer = ByteWriter(room, capacity: Int(made.capacity))
            writer.put(lines.method ?? facts.view.method)
            writer.put(byte: 0x20)
            writer.put(target)
            writer.put(head.minorVersion == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n")
            if !authority.isEmpty {
                writer.put("host: ")
                writer.put(authority)
                writer.endLine()
            }
            lines.write(&writer)
            made.end = Int32(writer.count)
            let before = head
            guard !writer.overflowed, parseHead(room, writer.count) else {
                buffers.give(&made)
                return nil
            }
            // What was settled about the message is not for its text to change.
            head.framing = before.framing
            head.flags = before.flags
            exchange.pointee.method = head.method
            buffers.give(&run.pointee.head)
            run.pointee.head = made
            if !exchange.pointee.record.isEmpty {
                buffers.give(&exchange.pointee.record)
                record(exchange, room, head.length)
            }
            var fresh = self.facts(room, isTLS: facts.view.isTLS)
            fresh.view.isInternal = facts.view.isInternal
            fresh.view.hasCertificate = facts.view.hasCertificate
            return fresh
        }
    }

    /// Reads the head of a request that waited.
    func readHead(
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int,
        _ place: DownstreamPlace,
        _ run: UnsafeMutablePointer<FilterRun>
    ) -> RequestFacts? {
        guard parseHead(bytes, count) else { return nil }
        head.framing = run.pointee.parsed.framing
        head.flags = run.pointee.parsed.flags
        return facts(bytes, isTLS: place.pointee.tls != nil)
    }

    private func parseHead(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        var limits = HeadLimits()
        limits.bytes = BufferPool.sizes.3
        limits.target = 65_536
        limits.fields = FieldTable.capacity
        limits.rejectsUnderscores = false
        return head.parse(bytes, count: count, limits: limits, fields: &requestFields) == .complete
    }

    /// The facts of the head that was just read; its target is in normal form already.
    private func facts(_ bytes: UnsafeMutableRawPointer, isTLS: Bool) -> RequestFacts {
        var target = ByteRun(start: bytes + Int(head.pathStart), count: Int(head.pathLength))
        if target.isEmpty, head.method != .connect { target = head.method == .options ? Self.asterisk : Self.slash }
        let query = target.firstIndex(of: 0x3F)
        let view = RequestView(
            method: ByteRun(start: bytes + Int(head.methodStart), count: Int(head.methodLength)),
            authority: ByteRun(start: bytes + Int(head.authorityStart), count: Int(head.authorityLength)),
            path: query.map { target.first($0) } ?? target,
            query: query.map { target.dropping($0 + 1) } ?? .empty,
            isTLS: isTLS,
            base: UnsafeRawPointer(bytes),
            fields: UnsafePointer(requestFields.fields),
            fieldCount: requestFields.count
        )
        return RequestFacts(base: bytes, view: view, target: target)
    }

    // MARK: Answers

    /// Shows the answer whose head was just parsed to the steps, the last one first. Where its head stands then.
    func filterAnswer(
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ memory: UnsafeMutableRawPointer,
        isLocal: Bool,
        hasBody: Bool
    ) -> UnsafeMutableRawPointer {
        guard let chain = place.pointee.chain, let run = exchange.filterRun else { return memory }
        var base = memory
        for number in (0..<chain.pointee.steps.count).reversed() {
            let step = chain.pointee.steps[number]
            guard step.parts.contains(.answer), isActive(step, exchange) else { continue }
            var pass = AnswerPass(
                exchange: exchange,
                place: place,
                chain: chain,
                step: number,
                status: responseHead.status,
                view: responseView(base),
                isLocal: isLocal,
                hasBody: hasBody,
                length: responseHead.declaredLength
            )
            show(step, &pass)
            if !pass.edits.isEmpty || pass.status != responseHead.status {
                base = rewriteAnswer(run, base, pass) ?? base
            }
            guard pass.transformsBody, hasBody, !isLocal else { continue }
            run.pointee.answerTransforms.append(number)
            responseHead.declaredLength = nil
            responseHead.framing = .chunked
        }
        return base
    }

    /// Nil when there is no room: the answer stays as it is.
    private func rewriteAnswer(
        _ run: UnsafeMutablePointer<FilterRun>,
        _ base: UnsafeMutableRawPointer,
        _ pass: AnswerPass
    ) -> UnsafeMutableRawPointer? {
        var lines = HeadLines(base, responseFields, withHost: true)
        return pass.edits.bytes.withUnsafeBytes { bytes -> UnsafeMutableRawPointer? in
            if let start = bytes.baseAddress { lines.apply(pass.edits, start) }
            guard var made = buffers.take(lines.size + 128), let room = made.base else { return nil }
            var writer = ByteWriter(room, capacity: Int(made.capacity))
            writer.put("HTTP/1.1 ")
            writer.put(decimal: UInt64(pass.status))
            writer.put(byte: 0x20)
            writer.put(StatusText.reason(pass.status))
            writer.endLine()
            lines.write(&writer)
            made.end = Int32(writer.count)
            let before = responseHead
            var limits = HeadLimits.responses
            limits.bytes = BufferPool.sizes.3
            limits.fields = FieldTable.capacity
            let outcome = responseHead.parse(
                room,
                count: writer.count,
                limits: limits,
                request: pass.exchange.pointee.method,
                fields: &responseFields
            )
            guard !writer.overflowed, outcome == .complete else {
                buffers.give(&made)
                _ = responseHead.parse(
                    base,
                    count: before.length,
                    limits: limits,
                    request: pass.exchange.pointee.method,
                    fields: &responseFields
                )
                responseHead = before
                return nil
            }
            responseHead.framing = before.framing
            responseHead.declaredLength = before.declaredLength
            responseHead.flags = before.flags
            buffers.give(&run.pointee.answer)
            run.pointee.answer = made
            return room
        }
    }

    /// Shows an answer of the proxy's own to the steps: its head is whole in `writer`.
    func filterOwnAnswer(
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ writer: inout ByteWriter,
        bodyCount: Int
    ) {
        guard let run = exchange.filterRun, !writer.overflowed else { return }
        var limits = HeadLimits.responses
        limits.bytes = BufferPool.sizes.3
        limits.fields = FieldTable.capacity
        let outcome = responseHead.parse(
            writer.base,
            count: writer.count,
            limits: limits,
            request: exchange.pointee.method,
            fields: &responseFields
        )
        guard outcome == .complete else { return }
        let base = filterAnswer(exchange, place, writer.base, isLocal: true, hasBody: bodyCount > 0)
        guard base != writer.base, let text = run.pointee.answer.bytes else { return }
        writer.count = 0
        writer.put(text, run.pointee.answer.count)
        exchange.pointee.status = responseHead.status
    }
}
