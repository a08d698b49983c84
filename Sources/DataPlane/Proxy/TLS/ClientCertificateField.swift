import HTTP
import TLS
import Traffic

/// `x-forwarded-client-cert`: what endpoints are told of the client's certificate.
extension Worker {
    /// The handshake is over: puts together what requests of this connection will say.
    func noteClientCertificate(_ place: DownstreamPlace, _ session: TLSSession, _ chain: FilterChainConfiguration) {
        guard case .http(let http) = chain.filter, http.settings.clientCertificate.mode != .remove, session.hasPeer
        else {
            return
        }
        let text = Self.clientCertificate(session, http.settings.clientCertificate)
        note(place) { $0.clientCertificate = text }
    }

    private static func clientCertificate(
        _ session: TLSSession,
        _ rule: HTTPChainConfiguration.ClientCertificate
    ) -> [UInt8] {
        guard rule.mode == .append || rule.mode == .set, let peer = session.peerCertificate else { return [] }
        var elements: [String] = []
        for uri in session.ownCertificate?.identity.uris ?? [] { elements.append("By=\(quoted(uri.text))") }
        if let digest = session.peerDigest { elements.append("Hash=\(digest)") }
        if rule.parts.contains(.certificate) {
            elements.append("Cert=\"\(percentEncoded(session.peerText(chain: false)))\"")
        }
        if rule.parts.contains(.chain) { elements.append("Chain=\"\(percentEncoded(session.peerText(chain: true)))\"") }
        if rule.parts.contains(.subject) { elements.append("Subject=\"\(inQuotes(peer.identity.subject))\"") }
        if rule.parts.contains(.uri) {
            let uris = peer.identity.uris
            elements += uris.isEmpty ? ["URI="] : uris.map { "URI=\(quoted($0.text))" }
        }
        if rule.parts.contains(.dns) { elements += peer.identity.dnsNames.map { "DNS=\(quoted($0.text))" } }
        return Array(elements.joined(separator: ";").utf8)
    }

    /// As it is, or in quotes where it holds what separates elements: a name must not become another element.
    private static func quoted(_ text: String) -> String {
        text.utf8.contains { $0 == 0x2C || $0 == 0x3B || $0 == 0x3D || $0 == 0x22 } ? "\"\(inQuotes(text))\"" : text
    }

    /// Inside of quotes: printable ASCII, and no quote that is not escaped.
    private static func inQuotes(_ text: String) -> String {
        var made = ""
        var isEscaped = false
        for scalar in text.unicodeScalars {
            guard scalar.value >= 0x20, scalar.value < 0x7F else {
                made += "?"
                continue
            }
            if scalar == "\"", !isEscaped { made += "\\" }
            isEscaped = scalar == "\\" && !isEscaped
            made.unicodeScalars.append(scalar)
        }
        return isEscaped ? made + "\\" : made
    }

    /// PEM in percent encoding, as far as it needs it.
    static func percentEncoded(_ text: [UInt8]) -> String {
        var made: [UInt8] = []
        made.reserveCapacity(text.count + text.count / 16)
        for byte in text {
            switch byte {
            case 0x0A: made += Array("%0A".utf8)
            case 0x20: made += Array("%20".utf8)
            case 0x2B: made += Array("%2B".utf8)
            case 0x2F: made += Array("%2F".utf8)
            case 0x3D: made += Array("%3D".utf8)
            default: made.append(byte)
            }
        }
        return String(decoding: made, as: UTF8.self)
    }

    /// Whether `x-forwarded-client-cert` of a client's request passes as it came.
    func passesClientCertificate(_ place: DownstreamPlace, _ chain: ChainPlace) -> Bool {
        switch chain.pointee.clientCertificate {
        case .remove, .append, .set: false
        case .forwardAlways: true
        case .forward: notes(of: place)?.clientCertificate != nil
        }
    }

    /// Says who the client is by its certificate; what it said itself goes before it where that is wanted.
    func writeClientCertificate(
        _ place: DownstreamPlace,
        _ chain: ChainPlace,
        _ base: UnsafeRawPointer,
        _ writer: inout ByteWriter
    ) {
        guard let own = notes(of: place)?.clientCertificate, !own.isEmpty else { return }
        writer.put("x-forwarded-client-cert: ")
        if chain.pointee.clientCertificate == .append {
            for index in 0..<requestFields.count where requestFields.names[index] == .forwardedClientCert {
                let field = requestFields.fields[index]
                guard field.valueLength > 0 else { continue }
                writer.put(base + Int(field.valueStart), Int(field.valueLength))
                writer.put(byte: 0x2C)
            }
        }
        own.withUnsafeBytes { raw in if let start = raw.baseAddress { writer.put(start, raw.count) } }
        writer.endLine()
    }
}
