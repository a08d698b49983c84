package import Wire

/// A token in its compact form (RFC 7519), taken apart. Nothing in it is believed before a `KeySet` proved it.
package struct WebToken: Sendable, Equatable {
    package var algorithm: TokenAlgorithm
    package var algorithmText: String
    package var keyID: String?
    package var payload: Fields
    /// The payload as it stands in the token, and its bytes.
    package var payloadText: [UInt8]
    package var issuer: String?
    package var subject: String?
    package var audiences: [String] = []
    /// Seconds since 1970; nil: not said.
    package var expiry: UInt64?
    package var start: UInt64?
    var signedBytes: [UInt8]
    var signature: [UInt8]

    package init(_ text: [UInt8]) throws(TokenFault) {
        guard text.count <= TokenLimits.token else { throw .tooLarge }
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else { throw .badForm }
        let header = try Self.object(parts[0], .headerNotBase64, .headerNotJSON)
        guard case .string(let name) = header["alg"] else { throw .badAlgorithm }
        guard let algorithm = TokenAlgorithm(rawValue: name) else { throw .unsupportedAlgorithm }
        self.algorithm = algorithm
        algorithmText = name
        switch header["kid"] {
        case nil: break
        case .string(let id): keyID = id
        default: throw .badKeyID
        }
        // An extension that has to be understood, and is not (RFC 7515 section 4.1.11).
        guard header["crit"] == nil else { throw .unknownExtension }
        payload = try Self.object(parts[1], .payloadNotBase64, .payloadNotJSON)
        payloadText = Array(parts[1])
        guard let signature = Base64URL.decode(parts[2]) else { throw .signatureNotBase64 }
        self.signature = signature
        signedBytes = Array(text[..<(parts[2].startIndex - 1)])
        try readClaims()
    }

    private mutating func readClaims() throws(TokenFault) {
        issuer = try text("iss", .issuerNotString)
        subject = try text("sub", .subjectNotString)
        _ = try text("jti", .idNotString)
        expiry = try seconds("exp", .expiryNotNumber, .expiryOutOfRange)
        start = try seconds("nbf", .startNotNumber, .startOutOfRange)
        _ = try seconds("iat", .issuedNotNumber, .issuedOutOfRange)
        switch payload["aud"] {
        case nil: break
        case .string(let one): audiences = [one]
        case .array(let several):
            for value in several {
                guard case .string(let one) = value else { throw .audienceNotString }
                audiences.append(one)
            }
        default: throw .audienceNotString
        }
    }

    private func text(_ name: String, _ fault: TokenFault) throws(TokenFault) -> String? {
        switch payload[name] {
        case nil: return nil
        case .string(let text): return text
        default: throw fault
        }
    }

    private func seconds(_ name: String, _ fault: TokenFault, _ range: TokenFault) throws(TokenFault) -> UInt64? {
        switch payload[name] {
        case nil: return nil
        case .int(let number):
            guard number >= 0 else { throw range }
            return UInt64(number)
        case .double(let number):
            guard number >= 0, number < 9.2e18 else { throw range }
            return UInt64(number)
        default: throw fault
        }
    }

    static func object(
        _ text: ArraySlice<UInt8>,
        _ notBase64: TokenFault,
        _ notJSON: TokenFault
    ) throws(TokenFault) -> Fields {
        guard let bytes = Base64URL.decode(text) else { throw notBase64 }
        var limits = ReadLimits()
        limits.size = TokenLimits.token
        limits.depth = TokenLimits.depth
        limits.values = TokenLimits.values
        guard let value = try? JSON.parse(bytes, limits: limits), case .object(let fields) = value else {
            throw notJSON
        }
        return fields
    }

    /// What the time says about the token: `now` in seconds since 1970, `skew` how many seconds clocks may differ.
    package func check(now: UInt64, skew: UInt64) throws(TokenFault) {
        if let start, now &+ skew < start { throw .notYetValid }
        // 0 stands for no limit, as in Envoy.
        if let expiry, expiry > 0, now > expiry.addingReportingOverflow(skew).partialValue,
            !expiry.addingReportingOverflow(skew).overflow
        {
            throw .expired
        }
    }

    /// A claim by the names on the way to it.
    package func claim(_ path: [String]) -> Value? {
        var value = Value.object(payload)
        for name in path {
            guard case .object(let fields) = value, let next = fields[name] else { return nil }
            value = next
        }
        return value
    }
}
