import HTTP

/// Heads, chunked bodies and paths: nothing traps, and cutting the input in two changes nothing.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTP1(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let cut = Int(bytes[0]) % count
    let input = Array(bytes[1...])
    requestHead(input, cut)
    responseHead(input, bytes[0])
    chunks(input, cut)
    path(input)
    return 0
}

private func parse(_ input: [UInt8], _ count: Int) -> (HeadOutcome, Int) {
    var head = RequestHead()
    var fields = FieldTable()
    let outcome = input.withUnsafeBytes { raw -> HeadOutcome in
        guard let base = raw.baseAddress else { return .incomplete }
        return head.parse(base, count: count, limits: HeadLimits(), fields: &fields)
    }
    if outcome == .complete {
        for index in 0..<fields.count {
            let field = fields.fields[index]
            precondition(Int(field.nameStart + field.nameLength) <= head.length && field.nameLength > 0)
            precondition(Int(field.valueStart + field.valueLength) <= head.length)
        }
        precondition(Int(head.pathStart + head.pathLength) <= head.length)
        precondition(Int(head.authorityStart + head.authorityLength) <= head.length)
    }
    return (outcome, head.length)
}

private func requestHead(_ input: [UInt8], _ cut: Int) {
    let (whole, length) = parse(input, input.count)
    let (part, partLength) = parse(input, min(cut, input.count))
    switch part {
    case .complete: precondition(whole == .complete && length == partLength, "a complete head changed with more bytes")
    case .failed: precondition(whole != .complete, "a refused head was accepted with more bytes")
    case .incomplete: break
    }
}

private func responseHead(_ input: [UInt8], _ choice: UInt8) {
    var head = ResponseHead()
    var fields = FieldTable()
    let outcome = input.withUnsafeBytes { raw -> HeadOutcome in
        guard let base = raw.baseAddress else { return .incomplete }
        let method: RequestMethod = choice & 1 == 0 ? .get : .head
        return head.parse(base, count: raw.count, limits: HeadLimits(), request: method, fields: &fields)
    }
    if outcome == .complete { precondition(head.length <= input.count && (100...599).contains(head.status)) }
}

private func decode(_ decoder: inout ChunkedDecoder, _ part: ArraySlice<UInt8>) -> (data: [UInt8], isFault: Bool) {
    var bytes = Array(part)
    guard !bytes.isEmpty else { return ([], false) }
    var data = 0
    var isFault = false
    bytes.withUnsafeMutableBytes { raw in
        guard let base = raw.baseAddress else { return }
        do throws(HTTPFault) {
            let step = try decoder.decode(base, count: raw.count)
            precondition(step.consumed <= raw.count && step.data + step.trailers <= step.consumed)
            data = step.data
        } catch {
            isFault = true
        }
    }
    return (Array(bytes[..<data]), isFault)
}

private func chunks(_ input: [UInt8], _ cut: Int) {
    var whole = ChunkedDecoder()
    let all = decode(&whole, input[...])
    var halves = ChunkedDecoder()
    let middle = min(cut, input.count)
    let first = decode(&halves, input[..<middle])
    guard !first.isFault, !halves.isDone else { return }
    let second = decode(&halves, input[middle...])
    precondition(all.isFault == second.isFault, "a cut changed the verdict")
    if !all.isFault { precondition(all.data == first.data + second.data && whole.isDone == halves.isDone) }
}

private func path(_ input: [UInt8]) {
    for slashes in [PathNormalizer.EscapedSlashes.reject, .keep, .unescape] {
        guard let once = normalize(input, slashes) else { continue }
        precondition(normalize(once, slashes) == once, "the normal form is not stable")
    }
}

private func normalize(_ path: [UInt8], _ slashes: PathNormalizer.EscapedSlashes) -> [UInt8]? {
    guard path.first == 0x2F else { return nil }
    var target = [UInt8](repeating: 0, count: path.count + 1)
    let count = path.withUnsafeBytes { source in
        target.withUnsafeMutableBytes { target -> Int? in
            guard let from = source.baseAddress, let into = target.baseAddress else { return nil }
            return try? PathNormalizer.normalize(
                from,
                count: path.count,
                mergesSlashes: true,
                escapedSlashes: slashes,
                into: into
            )
        }
    }
    return count.map { Array(target[..<$0]) }
}
