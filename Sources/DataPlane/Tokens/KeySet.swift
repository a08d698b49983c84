import COpenSSL
import Wire

/// The keys of an issuer (a JWKS, RFC 7517). Immutable; all threads may verify with it.
package final class KeySet: Sendable {
    private let keys: [VerificationKey]

    package var count: Int { keys.count }

    /// Keys of unknown kinds and unusable ones are left out; without a usable one there is no set.
    package init(json bytes: [UInt8]) throws(TokenFault) {
        guard bytes.count <= TokenLimits.keySet else { throw .keysNotJSON }
        var limits = ReadLimits()
        limits.size = TokenLimits.keySet
        limits.depth = TokenLimits.depth
        limits.values = TokenLimits.values
        guard let value = try? JSON.parse(bytes, limits: limits), case .object(let document) = value else {
            throw .keysNotJSON
        }
        guard let field = document["keys"] else { throw .noKeysField }
        guard case .array(let entries) = field else { throw .keysNotArray }
        keys = entries.prefix(TokenLimits.keys).compactMap { entry in
            guard case .object(let fields) = entry else { return nil }
            return VerificationKey(fields)
        }
        guard !keys.isEmpty else { throw .noValidKey }
    }

    /// Proves that an owner of one of the keys signed the token.
    package func verify(_ token: WebToken) throws(TokenFault) {
        var hasCandidate = false
        for key in keys {
            if let wanted = token.keyID, let id = key.id, wanted != id { continue }
            if let only = key.algorithm, only != token.algorithmText { continue }
            hasCandidate = true
            if key.proves(token) { return }
        }
        throw hasCandidate ? .verificationFailed : .noMatchingKey
    }
}

/// One key of a set.
///
/// Safety: the native key is owned, constant, and verified with by any thread.
private final class VerificationKey: @unchecked Sendable {
    let id: String?
    let algorithm: String?
    let kind: KeyKind
    private let native: OpaquePointer?
    private let secret: [UInt8]

    init?(_ fields: Fields) {
        id = fields["kid"]?.stringValue
        algorithm = fields["alg"]?.stringValue
        guard let made = Self.material(fields) else { return nil }
        (kind, native, secret) = made
    }

    deinit { wsig_free(native) }

    private typealias Material = (kind: KeyKind, native: OpaquePointer?, secret: [UInt8])

    private static func material(_ fields: Fields) -> Material? {
        // A key for encryption proves nothing.
        if let use = fields["use"], use.stringValue != "sig" { return nil }
        if let uses = fields["key_ops"], !(uses.arrayValue ?? []).contains("verify") { return nil }
        let bytes = { (name: String) -> [UInt8]? in
            guard let text = fields[name]?.stringValue else { return nil }
            return Base64URL.decode(Array(text.utf8)[...])
        }
        switch fields["kty"]?.stringValue {
        case "RSA":
            guard let n = bytes("n"), let e = bytes("e"), n.count <= 1025, e.count <= 9,
                let key = wsig_rsa(n, n.count, e, e.count)
            else { return nil }
            return (.rsa, key, [])
        case "EC": return curve(fields["crv"]?.stringValue, bytes("x"), bytes("y"))
        case "OKP":
            guard fields["crv"]?.stringValue == "Ed25519", let x = bytes("x"), x.count == 32,
                let key = wsig_ed25519(x, x.count)
            else { return nil }
            return (.ed25519, key, [])
        case "oct":
            guard let secret = bytes("k"), !secret.isEmpty else { return nil }
            return (.secret, nil, secret)
        default: return nil
        }
    }

    private static func curve(_ name: String?, _ x: [UInt8]?, _ y: [UInt8]?) -> Material? {
        let kinds: [String: (KeyKind, Int)] = ["P-256": (.ec256, 32), "P-384": (.ec384, 48), "P-521": (.ec521, 66)]
        guard let name, let x, let y, let (kind, size) = kinds[name], x.count <= size, y.count <= size else {
            return nil
        }
        // Zeros in front may be missing in sets of careless makers; the number is the same.
        let pad = { (bytes: [UInt8]) in [UInt8](repeating: 0, count: size - bytes.count) + bytes }
        let point = [4] + pad(x) + pad(y)
        guard let key = wsig_ec(name, point, point.count) else { return nil }
        return (kind, key, [])
    }

    func proves(_ token: WebToken) -> Bool {
        // The kind of the key decides, never the token: else a public key could be taken for a shared secret.
        guard token.algorithm.keyKind == kind else { return false }
        let message = token.signedBytes
        let signature = token.signature
        guard let native else {
            return wsig_verify_hmac(
                token.algorithm.bits,
                secret,
                secret.count,
                message,
                message.count,
                signature,
                signature.count
            ) == 1
        }
        return wsig_verify(
            native,
            token.algorithm.scheme,
            token.algorithm.bits,
            message,
            message.count,
            signature,
            signature.count
        ) == 1
    }
}
