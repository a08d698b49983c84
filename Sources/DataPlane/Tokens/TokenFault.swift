/// Why a token is refused; the texts are Envoy's, which clients know.
package enum TokenFault: Error, Sendable, Equatable, CaseIterable {
    case missing, notYetValid, expired, badForm, tooLarge
    case headerNotBase64, headerNotJSON, badAlgorithm, unsupportedAlgorithm, badKeyID, unknownExtension
    case payloadNotBase64, payloadNotJSON, issuerNotString, subjectNotString, audienceNotString, idNotString
    case expiryNotNumber, expiryOutOfRange, startNotNumber, startOutOfRange, issuedNotNumber, issuedOutOfRange
    case signatureNotBase64, verificationFailed, unknownIssuer, audienceNotAllowed
    case keysNotJSON, noKeysField, keysNotArray, noValidKey, noMatchingKey, keysNotFetched

    package var message: StaticString {
        switch self {
        case .missing: "Jwt is missing"
        case .notYetValid: "Jwt not yet valid"
        case .expired: "Jwt is expired"
        case .badForm: "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
        case .tooLarge: "Jwt is too large"
        case .headerNotBase64: "Jwt header is an invalid Base64url encoded"
        case .headerNotJSON: "Jwt header is an invalid JSON"
        case .badAlgorithm: "Jwt header [alg] field is required and must be a string"
        case .unsupportedAlgorithm: "Jwt header [alg] is not supported"
        case .badKeyID: "Jwt header [kid] field is not a string"
        case .unknownExtension: "Jwt header [crit] names an extension that is not supported"
        case .payloadNotBase64: "Jwt payload is an invalid Base64url encoded"
        case .payloadNotJSON: "Jwt payload is an invalid JSON"
        case .issuerNotString: "Jwt payload [iss] field is not a string"
        case .subjectNotString: "Jwt payload [sub] field is not a string"
        case .audienceNotString: "Jwt payload [aud] field is not a string or string list"
        case .idNotString: "Jwt payload [jti] field is not a string"
        case .expiryNotNumber: "Jwt payload [exp] field is not an integer"
        case .expiryOutOfRange: "Jwt payload [exp] field is not a positive 64 bit integer"
        case .startNotNumber: "Jwt payload [nbf] field is not an integer"
        case .startOutOfRange: "Jwt payload [nbf] field is not a positive 64 bit integer"
        case .issuedNotNumber: "Jwt payload [iat] field is not an integer"
        case .issuedOutOfRange: "Jwt payload [iat] field is not a positive 64 bit integer"
        case .signatureNotBase64: "Jwt signature is an invalid Base64url encoded"
        case .verificationFailed: "Jwt verification fails"
        case .unknownIssuer: "Jwt issuer is not configured"
        case .audienceNotAllowed: "Audiences in Jwt are not allowed"
        case .keysNotJSON: "Jwks is an invalid JSON"
        case .noKeysField: "Jwks does not have [keys] field"
        case .keysNotArray: "[keys] in Jwks is not an array"
        case .noValidKey: "Jwks doesn't have any valid public key"
        case .noMatchingKey: "Jwks doesn't have key to match kid or alg from Jwt"
        case .keysNotFetched: "Jwks remote fetch is failed"
        }
    }
}

/// How large what comes from outside may be.
package enum TokenLimits {
    package static let token = 16_384
    package static let keySet = 262_144
    package static let keys = 100
    package static let depth = 16
    package static let values = 4096
}
