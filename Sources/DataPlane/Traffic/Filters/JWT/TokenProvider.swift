import Tokens
import Wire

/// Who issues tokens, where they stand in requests, and what becomes of them.
package struct TokenProvider: Sendable, Equatable {
    /// What a subject has to be.
    package enum SubjectRule: Sendable, Equatable {
        case exact(String), prefix(String), suffix(String), contains(String)

        func accepts(_ text: String) -> Bool {
            switch self {
            case .exact(let wanted): Array(text.utf8) == Array(wanted.utf8)
            case .prefix(let wanted): text.utf8.starts(with: wanted.utf8)
            case .suffix(let wanted): text.utf8.reversed().starts(with: wanted.utf8.reversed())
            case .contains(let wanted): wanted.isEmpty || Array(text.utf8).contains(Array(wanted.utf8))
            }
        }
    }

    /// A claim that goes to the endpoint in a header field.
    package struct ClaimField: Sendable, Equatable {
        package var name: [UInt8]
        package var path: [String]

        package init(name: [UInt8], path: [String]) {
            self.name = name
            self.path = path
        }
    }

    package var name: String
    /// Empty: not checked.
    package var issuer = ""
    /// Empty: not checked.
    package var audiences: [String] = []
    package var subjects: SubjectRule?
    package var subjectsIgnoreCase = false
    package var requiresExpiry = false
    /// How long a token may still hold, seconds.
    package var longestLife: UInt64?
    /// Seconds.
    package var skew: UInt64 = 60
    package var places = TokenPlace.defaults
    /// The token stays in the request.
    package var forwards = false
    /// In lower case; empty: none.
    package var payloadField: [UInt8] = []
    package var padsPayload = false
    package var claimFields: [ClaimField] = []
    package var clearsRoute = false

    package init(name: String) { self.name = name }

    /// What is wrong with the token besides its signature, checked in Envoy's order.
    func check(_ token: WebToken, audiences wanted: [String]?, now: UInt64) throws(TokenFault) {
        if !issuer.isEmpty, token.issuer != issuer { throw .unknownIssuer }
        if let subjects {
            let rule = subjectsIgnoreCase ? subjects.lowercased : subjects
            let subject = token.subject ?? ""
            guard rule.accepts(subjectsIgnoreCase ? subject.lowercased() : subject) else { throw .verificationFailed }
        }
        if let longestLife {
            guard let expiry = token.expiry, expiry > 0, expiry <= now || expiry - now <= longestLife else {
                throw .verificationFailed
            }
        } else if requiresExpiry, (token.expiry ?? 0) == 0 {
            throw .verificationFailed
        }
        try token.check(now: now, skew: skew)
        let allowed = wanted ?? self.audiences
        guard
            allowed.isEmpty || token.audiences.contains(where: { audience in allowed.contains { same($0, audience) } })
        else { throw .audienceNotAllowed }
    }

    /// Audiences are compared without their scheme and a slash at the end, as Envoy does.
    private func same(_ left: String, _ right: String) -> Bool { Self.bare(left) == Self.bare(right) }

    private static func bare(_ audience: String) -> Substring {
        var text = Substring(audience)
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) { text = text.dropFirst(scheme.count) }
        if text.hasSuffix("/") { text = text.dropLast() }
        return text
    }

    /// Which fields the endpoint hears from this proxy only.
    package var ownFields: [[UInt8]] { (payloadField.isEmpty ? [] : [payloadField]) + claimFields.map(\.name) }

    /// What a good token changes in its request.
    func effects(of token: WebToken, at place: TokenPlace) -> TokenEffects {
        var effects = TokenEffects()
        if !forwards, let name = place.headerName { effects.removed.append(name) }
        if !payloadField.isEmpty {
            var text = token.payloadText
            while padsPayload, text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
            effects.set.append(TokenEffects.Field(name: payloadField, value: text))
        }
        for field in claimFields {
            guard let claim = token.claim(field.path), let text = Self.text(of: claim) else { continue }
            effects.set.append(TokenEffects.Field(name: field.name, value: text))
            if clearsRoute { effects.clearsRoute = true }
        }
        return effects
    }

    /// A claim as a field's value; nil where it would not stand in one.
    private static func text(of claim: Value) -> [UInt8]? {
        let text: String
        switch claim {
        case .string(let value): text = value
        case .int(let value): text = "\(value)"
        case .double(let value): text = "\(value)"
        case .bool(let value): text = value ? "true" : "false"
        case .array, .object: text = Base64.encode(JSON.bytes(claim))
        case .null: return nil
        }
        let bytes = Array(text.utf8)
        guard bytes.count <= 8192, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else { return nil }
        return bytes
    }
}

extension TokenProvider.SubjectRule {
    fileprivate var lowercased: Self {
        switch self {
        case .exact(let text): .exact(text.lowercased())
        case .prefix(let text): .prefix(text.lowercased())
        case .suffix(let text): .suffix(text.lowercased())
        case .contains(let text): .contains(text.lowercased())
        }
    }
}

/// What good tokens change in a request.
package struct TokenEffects: Sendable, Equatable {
    package struct Field: Sendable, Equatable {
        package var name: [UInt8]
        package var value: [UInt8]

        package init(name: [UInt8], value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// Names of fields in lower case.
    package var removed: [[UInt8]] = []
    package var set: [Field] = []
    package var clearsRoute = false

    package init() {}

    mutating func add(_ other: TokenEffects) {
        removed += other.removed
        set += other.set
        clearsRoute = clearsRoute || other.clearsRoute
    }
}
