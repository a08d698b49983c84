/// The header of the PROXY protocol and the format of access logs, whose files are compiled in here: nothing traps, and
/// more bytes change no verdict.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzEdge(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 2, count: count - 2))
    let cut = Int(start[1]) * bytes.count / 256
    if start[0] & 1 == 0 {
        header(bytes, cut, start[0] & 2 == 0 ? [.text, .binary] : [.text])
    } else {
        _ = try? AccessLogFormat.parse(String(decoding: bytes, as: UTF8.self))
    }
    return 0
}

private func header(_ bytes: [UInt8], _ cut: Int, _ versions: ProxyProtocolRule.Versions) {
    let whole = bytes.withUnsafeBytes { ProxyHeader.read($0, versions) }
    let part = Array(bytes[..<cut]).withUnsafeBytes { ProxyHeader.read($0, versions) }
    switch (part, whole) {
    case (.accepted(let length, _, _), .accepted(let again, _, _)):
        precondition(length == again && length <= cut, "more bytes changed the header")
    case (.accepted, _): preconditionFailure("more bytes made a header none")
    case (.refused, .accepted): preconditionFailure("a refused header was accepted with more bytes")
    default: break
    }
    if case .accepted(let length, _, _) = whole { precondition(length <= bytes.count) }
    if case .incomplete = whole { precondition(bytes.count < ProxyHeader.binaryLimit, "a header without end") }
}

// What the rule about the header names beside it, without its rooms.
struct IPKey {}
struct AddressRange: Sendable {
    func contains(_ peer: IPKey) -> Bool { false }
}
