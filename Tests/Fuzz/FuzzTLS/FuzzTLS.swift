import TLS
import Tokens
import Wire

/// A client's first message, names, identities, certificates, tokens and their keys: nothing traps, a cut changes no verdict, and
/// no key proves what it did not sign.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTLS(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 2, count: count - 2))
    switch start[0] % 5 {
    case 0: hello(bytes, Int(start[1]) * bytes.count / 256)
    case 1: names(bytes, Int(start[1]) * bytes.count / 256)
    case 2: certificate(bytes)
    case 3: token(bytes)
    default: keys(bytes)
    }
    return 0
}

private func hello(_ bytes: [UInt8], _ cut: Int) {
    let whole = bytes.withUnsafeBytes { ClientHello.read($0) }
    let part = Array(bytes[..<cut]).withUnsafeBytes { ClientHello.read($0) }
    if part != .incomplete { precondition(part == whole, "more bytes changed what was decided") }
    if case .hello(let hello) = whole, let name = hello.serverName {
        precondition(ServerName.normalized(name) == name, "the normal form is not stable")
    }
}

private func names(_ bytes: [UInt8], _ cut: Int) {
    let left = Array(bytes[..<cut]), right = Array(bytes[cut...])
    if let name = ServerName.normalized(bytes) { precondition(ServerName.normalized(name) == name) }
    if let identity = SPIFFEIdentity(bytes) {
        precondition(Array(identity.text.utf8) == bytes && !identity.trustDomain.isEmpty)
    }
    var table = ServerNameTable()
    table.add([String(decoding: left, as: UTF8.self), "*.example.com"], place: 1)
    _ = table.place(of: right)
    let wanted = String(decoding: left, as: UTF8.self)
    for kind in [PeerIdentity.Name.Kind.dns, .uri, .ip, .email] {
        let name = PeerIdentity.Name(kind, right)
        let matcher = NameMatcher(kind, .exact(wanted))
        if matcher.accepts(name) { precondition(wanted == name.text || kind == .dns, "names that differ are equal") }
        let identity = PeerIdentity(names: [name, PeerIdentity.Name(kind, left)])
        _ = (identity.summary, identity.spiffe, name.text, name.isPlain)
        _ = PeerRule(names: [matcher], isForClients: true).objection(to: identity, wanted: "a")
    }
}

/// As PEM, so that whatever stands in the bytes reaches the reader of DER.
private func certificate(_ bytes: [UInt8]) {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text = Array("-----BEGIN CERTIFICATE-----\n".utf8)
    for place in stride(from: 0, to: bytes.count - 2, by: 3) {
        let group = Int(bytes[place]) << 16 | Int(bytes[place + 1]) << 8 | Int(bytes[place + 2])
        for shift in [18, 12, 6, 0] { text.append(digits[group >> shift & 63]) }
        if place % 48 == 45 { text.append(10) }
    }
    text += Array("\n-----END CERTIFICATE-----\n".utf8)
    _ = try? CertificateFacts.read(text)
    _ = try? CertificateFacts.read(bytes)
}

/// What stands in the bytes, and the same as header and payload of a token that nobody signed.
private func token(_ bytes: [UInt8]) {
    _ = try? WebToken(bytes)
    let half = bytes.count / 2
    let parts = [Base64URL.encode(Array(bytes[..<half])), Base64URL.encode(Array(bytes[half...])), Array("c2ln".utf8)]
    guard let token = try? WebToken(Array(parts.joined(separator: [0x2E]))) else { return }
    _ = (token.claim(["a", "b"]), token.claim(["iss"]))
    try? token.check(now: 1_000_000_000, skew: 60)
    let secret = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}"
    guard let keys = try? KeySet(json: Array(secret.utf8)) else { preconditionFailure("the keys are good") }
    precondition((try? keys.verify(token)) == nil, "what nobody signed is proven")
}

private func keys(_ bytes: [UInt8]) {
    precondition(Base64URL.decode(Base64URL.encode(bytes)[...]) == bytes)
    for text in [bytes, Array("{\"keys\":[".utf8) + bytes + Array("]}".utf8)] {
        if let set = try? KeySet(json: text) { precondition(set.count > 0 && set.count <= TokenLimits.keys) }
    }
}
