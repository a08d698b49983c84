import Resources
import Store
import TLS
import Wire

/// Tokens of ServiceAccounts: JSON Web Tokens (RFC 7519) that this server signs with a secret of its own (HS256).
package struct AccountTokens: Sendable {
    /// Who a token says it is from, and the audience when nobody asks for another.
    package static let issuer = "https://kubernetes.default.svc.cluster.local"
    private static let header = Array(#"{"alg":"HS256","typ":"JWT"}"#.utf8)
    /// Kubernetes' own bounds for `expirationSeconds`.
    static let seconds = 600...(1 << 32)

    private let secret: [UInt8]

    package init(secret: [UInt8]) { self.secret = secret }

    /// A secret for `init`; nil when the machine gives no random bytes.
    package static func newSecret() -> [UInt8]? { TokenSecret.random(32) }

    /// What a token is bound to: it is worth nothing when that is gone.
    struct Claims: Sendable, Equatable {
        var namespace: String
        var account: String
        var accountUID: String
        var audiences: [String]
        /// A Pod or Secret.
        var boundKind = ""
        var boundName = ""
        var boundUID = ""
    }

    func issue(_ claims: Claims, from now: Int, seconds: Int) -> String? {
        var inner: Value = [
            "namespace": .string(claims.namespace),
            "serviceaccount": ["name": .string(claims.account), "uid": .string(claims.accountUID)],
        ]
        if !claims.boundKind.isEmpty {
            inner[claims.boundKind.lowercased()] = ["name": .string(claims.boundName), "uid": .string(claims.boundUID)]
        }
        let payload: Value = [
            "aud": .array(claims.audiences.map(Value.string)), "exp": .int(Int64(now + seconds)),
            "iat": .int(Int64(now)), "nbf": .int(Int64(now)), "iss": .string(Self.issuer), "kubernetes.io": inner,
            "sub": .string("system:serviceaccount:\(claims.namespace):\(claims.account)"),
        ]
        let text = Self.encode(Self.header) + "." + Self.encode(JSON.bytes(payload))
        guard let sum = TokenSecret.sum(of: Array(text.utf8), secret: secret) else { return nil }
        return text + "." + Self.encode(sum)
    }

    /// What a token says, if this server signed it and its time has come and not gone.
    func read(_ token: String, now: Int) -> Claims? {
        guard token.utf8.count <= 8192 else { return nil }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        // Only this very head: no other algorithm is ever looked at.
        guard parts.count == 3, parts[0] == Self.encode(Self.header), let sum = Self.decode(parts[2]),
            TokenSecret.verify(sum, of: Array("\(parts[0]).\(parts[1])".utf8), secret: secret),
            let bytes = Self.decode(parts[1]), let payload = try? JSON.parse(bytes),
            payload.text("iss") == Self.issuer, let expiry = payload.integer("exp"), let start = payload.integer("nbf"),
            start <= now + 60, now < expiry
        else { return nil }
        let inner = payload["kubernetes.io"] ?? .null
        guard let namespace = inner.text("namespace"), let account = inner["serviceaccount"],
            let name = account.text("name"), let uid = account.text("uid")
        else { return nil }
        var claims = Claims(
            namespace: namespace,
            account: name,
            accountUID: uid,
            audiences: payload.texts("aud")
        )
        for kind in ["Pod", "Secret"] {
            guard let bound = inner[kind.lowercased()] else { continue }
            claims.boundKind = kind
            claims.boundName = bound.text("name") ?? ""
            claims.boundUID = bound.text("uid") ?? ""
        }
        return claims
    }

    private static func encode(_ bytes: [UInt8]) -> String {
        String(
            Base64.encode(bytes).compactMap { $0 == "=" ? nil : $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }
        )
    }

    private static func decode(_ text: String) -> [UInt8]? {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "/") }) else {
            return nil
        }
        let plain = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        return Base64.decode(plain + String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4))
    }
}

/// Finds out who sent a request.
struct Authenticator: Sendable {
    let store: any ObjectStore
    let tokens: AccountTokens?
    let clock: @Sendable () -> Timestamp

    /// - Throws: `APIError` 401 for credentials that prove nothing.
    func caller(of request: HTTPRequest) async throws(APIError) -> Caller {
        // Whoever reaches these is the daemon's own user: the socket's mode and `LoopbackGuard` saw to it.
        guard request.origin.transport == .tls else { return .owner }
        if let certificate = request.origin.certificate {
            return Caller(name: certificate.name, groups: certificate.groups + [Caller.authenticated])
        }
        let values = request.headers.all("Authorization")
        guard let value = values.first else { return .anonymous }
        let words = value.split(separator: " ").map(String.init)
        guard values.count == 1, words.count == 2, words[0].lowercased() == "bearer",
            let found = try await account(words[1], audience: AccountTokens.issuer)
        else { throw APIError(code: 401, reason: .unauthorized, message: "Unauthorized") }
        return found.caller
    }

    /// The account behind a token for one of some audiences; nil when it is worth nothing.
    func account(
        _ token: String,
        audience: String
    ) async throws(APIError) -> (caller: Caller, claims: AccountTokens.Claims)? {
        guard let claims = tokens?.read(token, now: Int(clock().seconds)), claims.audiences.contains(audience) else {
            return nil
        }
        let key = ObjectKey(ResourceTypes.serviceAccounts, namespace: claims.namespace, name: claims.account)
        guard let account = try await store.find(key), account.uid == claims.accountUID else { return nil }
        if !claims.boundKind.isEmpty {
            let type = claims.boundKind == "Pod" ? ResourceTypes.pods : ResourceTypes.secrets
            let bound = try await store.find(ObjectKey(type, namespace: claims.namespace, name: claims.boundName))
            guard let bound, bound.uid == claims.boundUID else { return nil }
        }
        let caller = Caller.serviceAccount(namespace: claims.namespace, name: claims.account, uid: claims.accountUID)
        return (caller, claims)
    }
}
