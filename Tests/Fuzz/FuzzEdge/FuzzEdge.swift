import Bytes
import Traffic

/// The header of the PROXY protocol and the format of access logs, whose files are compiled in here, and deadlines of gRPC: nothing
/// traps, and more bytes change no verdict.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzEdge(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 2, count: count - 2))
    let cut = Int(start[1]) * bytes.count / 256
    if start[0] & 0x40 != 0 {
        deadline(bytes)
    } else if start[0] & 1 == 0 {
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

/// A `grpc-timeout` is 1 to 8 digits and a unit, never endless, and stays within the rule's bounds.
private func deadline(_ bytes: [UInt8]) {
    let time = bytes.withUnsafeBytes { CallTimeout.parse(ByteRun($0)) }
    let isDeadline =
        (2...9).contains(bytes.count) && bytes.dropLast().allSatisfy { (0x30...0x39).contains($0) }
        && bytes.last.map { "HMSmun".utf8.contains($0) } ?? false
    precondition((time != nil) == isDeadline, "the grammar of a deadline")
    precondition(time.map { $0 < UInt64.max / 2 } ?? true, "a deadline became endless")
    for maximum: UInt64 in [0, 1_000_000_000] {
        let rule = CallTimeout(maximum: maximum, offset: 1_000_000, isRouteTimeout: bytes.count % 2 == 0)
        let granted = rule.time(time)
        precondition(maximum == 0 || granted.map { $0 > 0 && $0 <= maximum } ?? true, "a deadline beyond its bound")
        precondition(time == nil || granted != 0, "a deadline that is asked for became none")
    }
}

// What the rule about the header names beside it, without its rooms.
struct IPKey {}
struct AddressRange: Sendable {
    func contains(_ peer: IPKey) -> Bool { false }
}
