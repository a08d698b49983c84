import Glibc
import TLS
import Testing

/// Certificates made by the `openssl` command, once for all tests.
private struct Authority {
    let directory: String

    static let shared = Authority()

    init() {
        var template = Array("/tmp/weft-tls-XXXXXX".utf8CString)
        directory = template.withUnsafeMutableBufferPointer { text in
            text.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? ""
        }
        run(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 30"
        )
    }

    func run(_ command: String) { _ = system("cd \(directory) && openssl \(command) >/dev/null 2>&1") }

    func file(_ name: String) -> [UInt8] {
        let file = open("\(directory)/\(name)", O_RDONLY)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = read(file, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }

    /// A certificate with these names, signed by the authority.
    func leaf(_ name: String, _ names: String, days: Int = 5, use: String = "clientAuth,serverAuth") -> TLSCertificate {
        run("ecparam -name prime256v1 -genkey -noout -out \(name).key")
        run("req -new -key \(name).key -subj /CN=\(name) -out \(name).csr")
        _ = system(
            "printf 'subjectAltName=\(names)\\nextendedKeyUsage=\(use)\\nbasicConstraints=CA:FALSE\\n' > \(directory)/\(name).ext"
        )
        run(
            "x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days \(days) -extfile \(name).ext -out \(name).pem"
        )
        return TLSCertificate(chain: file("\(name).pem"), key: file("\(name).key"))
    }
}

@Suite(.serialized) struct SessionTests {
    private let authority = Authority.shared

    private func server(_ certificates: [TLSCertificate], _ change: (inout TLSSettings) -> Void = { _ in }) throws
        -> TLSContext
    {
        var settings = TLSSettings(isServer: true)
        settings.certificates = certificates
        change(&settings)
        return try TLSContext(settings)
    }

    private func client(_ certificate: TLSCertificate? = nil, _ change: (inout TLSSettings) -> Void = { _ in }) throws
        -> TLSContext
    {
        var settings = TLSSettings(isServer: false)
        settings.certificates = certificate.map { [$0] } ?? []
        settings.verification = .required
        settings.authorities = [authority.file("ca.pem")]
        change(&settings)
        return try TLSContext(settings)
    }

    private struct Pair {
        var server: TLSSession
        var client: TLSSession
        var sockets: [Int32]

        func close() {
            server.free()
            client.free()
            for socket in sockets { Glibc.close(socket) }
        }
    }

    /// Both ends after as many steps as they need.
    private func meet(_ server: TLSContext, _ client: TLSContext, name: String? = nil, wanted: String? = nil) throws
        -> (pair: Pair, server: TLSSession.Progress, client: TLSSession.Progress)
    {
        var sockets: [Int32] = [-1, -1]
        _ = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &sockets)
        let pair = Pair(
            server: try #require(TLSSession(server, fd: sockets[0])),
            client: try #require(TLSSession(client, fd: sockets[1], name: name, wanted: wanted)),
            sockets: sockets
        )
        var ends = (TLSSession.Progress.wantsRead, TLSSession.Progress.wantsRead)
        for _ in 0..<20 {
            if ends.1 != .failed { ends.1 = pair.client.handshake() }
            if ends.0 != .failed { ends.0 = pair.server.handshake() }
        }
        return (pair, ends.0, ends.1)
    }

    @Test("Bytes go both ways, the certificate follows the name, the protocol is agreed on")
    func talks() throws {
        let first = authority.leaf("first", "DNS:first.example")
        let second = authority.leaf("second", "DNS:second.example,DNS:*.second.example")
        let server = try server([first, second]) { $0.protocols = ["http/1.1"] }
        let client = try client { $0.protocols = ["h2", "http/1.1"] }
        for (name, certificate) in [("second.example", "second"), ("a.second.example", "second"), ("other", "first")] {
            let (pair, one, two) = try meet(server, client, name: name)
            defer { pair.close() }
            #expect(one == .done && two == .done)
            #expect(pair.client.peer?.subject == "CN=\(certificate)")
            #expect(pair.server.serverName == name)
            #expect(pair.server.applicationProtocol == "http/1.1")
            #expect(pair.client.version == "TLSv1.3")
            var bytes = [UInt8](repeating: 0, count: 100_000)
            #expect(pair.server.receive(&bytes, 100) == -Int(EAGAIN))
            #expect(pair.client.send("head", 4, "body", 4, "!", 1) == 9)
            #expect(pair.server.receive(&bytes, 4) == 4)
            #expect(pair.server.hasMore)
            #expect(pair.server.receive(&bytes, 100) == 5)
            #expect(!pair.server.hasMore)
            pair.client.end()
            #expect(pair.server.receive(&bytes, 100) == 0)
        }
    }

    @Test("A stream that is cut off is no end")
    func truncation() throws {
        let (pair, _, _) = try meet(try server([authority.leaf("cut", "DNS:cut.example")]), try client())
        defer { pair.close() }
        shutdown(pair.sockets[1], Int32(SHUT_RDWR))
        var bytes = [UInt8](repeating: 0, count: 100)
        #expect(pair.server.receive(&bytes, 100) == -Int(ECONNRESET))
        #expect(pair.server.reason == "the peer cut the connection off")
    }

    @Test("What was written in part is written on with the same bytes")
    func partialWrites() throws {
        let (pair, _, _) = try meet(try server([authority.leaf("part", "DNS:part.example")]), try client())
        defer { pair.close() }
        let sent = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var received: [UInt8] = []
        var position = 0
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while received.count < sent.count {
            while position < sent.count {
                let count = sent[position...].withUnsafeBytes { raw in
                    raw.baseAddress.map { pair.server.send($0, raw.count) } ?? 0
                }
                if count < 0 { break }
                position += count
            }
            let count = pair.client.receive(&bytes, bytes.count)
            guard count > 0 else { continue }
            received += bytes[..<count]
        }
        #expect(received == sent)
    }

    @Test("A client's certificate is demanded, checked, and refused with the reason")
    func clients() throws {
        let own = authority.leaf("server", "DNS:server.example")
        let server = try server([own]) {
            $0.verification = .required
            $0.authorities = [authority.file("ca.pem")]
            $0.rule = PeerRule(names: [NameMatcher(.uri, .exact("spiffe://td/web"))], isForClients: true)
        }
        let good = authority.leaf("good", "URI:spiffe://td/web")
        let (pair, one, _) = try meet(server, try client(good))
        #expect(one == .done)
        #expect(pair.server.peer?.spiffe?.text == "spiffe://td/web")
        #expect(!pair.server.wasResumed)
        pair.close()
        let cases = [
            (nil, "the peer gave no certificate"),
            (
                authority.leaf("wrong", "URI:spiffe://td/other"),
                "name mismatch: wanted spiffe://td/web, got spiffe://td/other"
            ),
            (authority.leaf("use", "URI:spiffe://td/web", use: "serverAuth"), "extended key usage"),
            (authority.leaf("old", "URI:spiffe://td/web", days: -1), "is expired since"),
        ]
        for (certificate, reason) in cases {
            let (pair, one, _) = try meet(server, try client(certificate))
            #expect(one == .failed)
            #expect(pair.server.reason.contains(reason), "\(pair.server.reason)")
            pair.close()
        }
        authority.run("req -x509 -newkey rsa:2048 -nodes -keyout alien.key -out alien.pem -subj /CN=alien -days 30")
        let alien = TLSCertificate(chain: authority.file("alien.pem"), key: authority.file("alien.key"))
        let (strange, refused, _) = try meet(server, try client(alien))
        #expect(refused == .failed)
        #expect(strange.server.reason.contains("unknown authority"))
        strange.close()
    }

    @Test("A server's name is checked where it is wanted")
    func servers() throws {
        let server = try server([authority.leaf("named", "DNS:named.example")])
        let (pair, _, two) = try meet(server, try client(), name: "other.example", wanted: "other.example")
        #expect(two == .failed)
        #expect(pair.client.reason == "name mismatch: wanted other.example, got named.example")
        pair.close()
    }

    @Test("No common protocol or version ends the handshake with the reason")
    func nothingInCommon() throws {
        let own = authority.leaf("plain", "DNS:plain.example")
        let (pair, one, _) = try meet(
            try server([own]) { $0.protocols = ["http/1.1"] },
            try client { $0.protocols = ["h3"] }
        )
        #expect(one == .failed)
        #expect(pair.server.reason.contains("ALPN"))
        pair.close()
        let (old, two, _) = try meet(try server([own]) { $0.minimum = .v13 }, try client { $0.maximum = .v12 })
        #expect(two == .failed)
        #expect(old.server.reason == "no protocol version in common with the peer")
        old.close()
    }

    @Test("A key of another certificate, damaged and missing PEM are refused with the reason")
    func mismatches() throws {
        let one = authority.leaf("one", "DNS:one.example")
        let two = authority.leaf("two", "DNS:two.example")
        func error(_ certificate: TLSCertificate) -> String {
            do {
                _ = try server([certificate])
                return ""
            } catch { return "\(error)" }
        }
        #expect(error(TLSCertificate(chain: one.chain, key: two.key)).contains("does not belong to the certificate"))
        #expect(error(TLSCertificate(chain: [], key: two.key)).contains("there is no certificate"))
        #expect(error(TLSCertificate(chain: one.chain, key: Array("x".utf8))).contains("private key cannot be read"))
        #expect(
            error(TLSCertificate(chain: one.chain + Array("-----BEGIN CERTIFICATE-----\nAAAA\n".utf8), key: one.key))
                != ""
        )
    }
}
