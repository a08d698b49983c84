import COpenSSL

/// How a token is signed (RFC 7518 section 3.1, RFC 8037). `none` is no algorithm here.
package enum TokenAlgorithm: String, CaseIterable, Sendable {
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"
    case edDSA = "EdDSA"

    /// The only kind of key that may prove a token of this algorithm.
    package var keyKind: KeyKind {
        switch self {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
        case .es256: .ec256
        case .es384: .ec384
        case .es512: .ec521
        case .hs256, .hs384, .hs512: .secret
        case .edDSA: .ed25519
        }
    }

    var bits: Int32 {
        switch self {
        case .rs256, .ps256, .es256, .hs256: 256
        case .rs384, .ps384, .es384, .hs384: 384
        case .rs512, .ps512, .es512, .hs512, .edDSA: 512
        }
    }

    var scheme: wsig_scheme {
        switch self {
        case .rs256, .rs384, .rs512: wsig_rsa_pkcs1
        case .ps256, .ps384, .ps512: wsig_rsa_pss
        case .es256, .es384, .es512: wsig_ecdsa
        case .hs256, .hs384, .hs512, .edDSA: wsig_eddsa
        }
    }
}

/// What kind a key is.
package enum KeyKind: Sendable { case rsa, ec256, ec384, ec521, ed25519, secret }
