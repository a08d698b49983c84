import Glibc
import Reactor
import Sandbox
import Servers
import TLS

/// The API's own authority, certificate and secret, in the folder `pki` of the state directory (mode 0700, files 0600).
struct APIIdentity: Sendable {
    let authority: CertificateIssuer.Issued
    let tokens: AccountTokens

    static let days = 3650
    /// How long certificates of clients and of the server count.
    static let leafDays = 365

    static func folder(_ state: StateDirectory) -> String { "\(state.path)/pki" }

    /// Reads what there is, and makes what is missing.
    ///
    /// - Throws: `CommandError` that says what cannot be read or made.
    init(_ state: StateDirectory) throws(CommandError) {
        let folder = Self.folder(state)
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw CommandError("the folder \(folder) cannot be made: \(FileReader.describe(errno))")
        }
        let certificate = readFile("\(folder)/ca.crt")
        let key = readFile("\(folder)/ca.key")
        do {
            if let certificate, let key {
                authority = CertificateIssuer.Issued(certificate: certificate, key: key)
            } else {
                authority = try CertificateIssuer.authority(name: "weft", days: Self.days)
                try replaceFile("\(folder)/ca.key", with: authority.key)
                try replaceFile("\(folder)/ca.crt", with: authority.certificate)
            }
            let digits = readFile("\(folder)/token.key").map { String($0.prefix { $0 != "\n" }) }
            if let secret = digits.flatMap(Self.bytes), secret.count >= 32 {
                tokens = AccountTokens(secret: secret)
            } else {
                guard let secret = AccountTokens.newSecret() else {
                    throw CommandError("the machine gives no random bytes for the secret of tokens")
                }
                let text = secret.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                try replaceFile("\(folder)/token.key", with: text + "\n")
                tokens = AccountTokens(secret: secret)
            }
        } catch {
            throw CommandError("the API's keys in \(folder) cannot be made or read: \(error)")
        }
    }

    private static func bytes(_ digits: String) -> [UInt8]? {
        let letters = Array(digits.utf8)
        guard letters.count % 2 == 0 else { return nil }
        return stride(from: 0, to: letters.count, by: 2).reduce(into: [UInt8]?.some([])) { result, index in
            guard let byte = UInt8(String(decoding: letters[index..<index + 2], as: UTF8.self), radix: 16) else {
                result = nil
                return
            }
            result?.append(byte)
        }
    }

    /// What TLS needs to serve an address. The certificate is made anew with each start: clients know the authority.
    func context(_ address: SocketAddress) throws(TLSError) -> TLSContext {
        var names = [
            "DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local", "IP:127.0.0.1", "IP:::1", "IP:10.96.0.1",
        ]
        if !address.isAny, !names.contains("IP:\(address.host)") { names.append("IP:\(address.host)") }
        var host = [CChar](repeating: 0, count: 256)
        if gethostname(&host, host.count - 1) == 0 {
            let name = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".") }), !name.isEmpty
            {
                names.append("DNS:\(name)")
            }
        }
        let leaf = try CertificateIssuer.server(name: "weft-api", names: names, days: Self.leafDays, by: authority)
        var settings = TLSSettings(isServer: true)
        settings.certificates = [TLSCertificate(chain: Array(leaf.certificate.utf8), key: Array(leaf.key.utf8))]
        settings.authorities = [Array(authority.certificate.utf8)]
        settings.verification = .optional
        settings.protocols = ["http/1.1"]
        return try TLSContext(settings)
    }
}
