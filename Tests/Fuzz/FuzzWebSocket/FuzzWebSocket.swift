import Servers

/// WebSocket frames: nothing traps, memory is bounded, and pieces of any size give the same messages. The first byte chooses
/// the role and the size of the pieces.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWebSocket(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let role: WebSocketReader.Role = start[0] & 1 == 0 ? .server : .client
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    let whole = read(bytes, role, piece: bytes.count)
    let pieces = read(bytes, role, piece: Int(start[0] >> 1) % 64 + 1)
    precondition(whole.messages == pieces.messages && whole.fault == pieces.fault)
    for case .data(let payload, _) in whole.messages {
        precondition(payload.count <= 1000)
        var reader = WebSocketReader(role: .server)
        reader.append(WebSocketFrame.bytes(.binary, payload, mask: 0x1234_5678))
        guard case .data(payload, false)? = try? reader.next() else { preconditionFailure("a frame was changed") }
    }
    return 0
}

private func read(
    _ bytes: [UInt8],
    _ role: WebSocketReader.Role,
    piece: Int
) -> (messages: [WebSocketMessage], fault: UInt16?) {
    var reader = WebSocketReader(role: role, limit: 1000)
    var messages: [WebSocketMessage] = []
    var rest = bytes[...]
    do throws(WebSocketFault) {
        while !rest.isEmpty {
            reader.append(Array(rest.prefix(piece)))
            rest = rest.dropFirst(piece)
            while let message = try reader.next() { messages.append(message) }
        }
    } catch { return (messages, error.code) }
    return (messages, nil)
}
