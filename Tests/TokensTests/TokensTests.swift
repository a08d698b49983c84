import Testing
import Tokens
import Wire

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
private func part(_ text: String) -> String { String(decoding: Base64URL.encode(bytes(text)), as: UTF8.self) }
private func token(_ header: String, _ payload: String, _ signature: String = "c2ln") -> [UInt8] {
    bytes("\(part(header)).\(part(payload)).\(signature)")
}
private func keys(_ entries: String) throws -> KeySet { try KeySet(json: bytes("{\"keys\":[\(entries)]}")) }
private func fault(_ work: () throws -> Void) -> TokenFault? {
    do {
        try work()
        return nil
    } catch {
        return error as? TokenFault
    }
}

@Suite struct TokensTests {
    @Test func everyAlgorithmProvesWhatItsOwnerSigned() throws {
        let set = try keys(Samples.keys)
        #expect(set.count == 6)
        #expect(Set(Samples.tokens.map(\.algorithm)) == Set(TokenAlgorithm.allCases.map(\.rawValue)))
        for sample in Samples.tokens {
            let token = try WebToken(bytes(sample.token))
            #expect(token.algorithmText == sample.algorithm)
            #expect(fault { try set.verify(token) } == nil, "\(sample.algorithm)")
        }
    }

    @Test func aChangedByteOfAnyPartIsNoticed() throws {
        let set = try keys(Samples.keys)
        for sample in Samples.tokens {
            let text = bytes(sample.token)
            let dots = text.indices.filter { text[$0] == UInt8(ascii: ".") }
            for place in [dots[0] + 12, dots[1] + 4, text.count - 8] {
                var changed = text
                changed[place] = changed[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
                guard let token = try? WebToken(changed) else { continue }
                #expect(fault { try set.verify(token) } == .verificationFailed, "\(sample.algorithm) at \(place)")
            }
        }
    }

    @Test func aKeyServesItsOwnAlgorithmsOnly() throws {
        let rsa = try keys(Samples.keys.split(separator: "\n").map(String.init)[0].trimmedComma)
        let confused = try WebToken(bytes(Samples.confused))
        #expect(fault { try rsa.verify(confused) } == .verificationFailed)
        for sample in Samples.tokens where !sample.algorithm.hasPrefix("RS") && !sample.algorithm.hasPrefix("PS") {
            var token = try WebToken(bytes(sample.token))
            token.keyID = nil
            #expect(fault { try rsa.verify(token) } == .verificationFailed)
        }
    }

    @Test func keysAreChosenByIDAndAlgorithm() throws {
        let set = try keys(Samples.keys)
        var token = try WebToken(bytes(Samples.tokens[0].token))
        token.keyID = "another"
        #expect(fault { try set.verify(token) } == .noMatchingKey)
        token.keyID = nil
        #expect(fault { try set.verify(token) } == nil)
        let bound = Samples.keys.split(separator: "\n").map(String.init)[0].trimmedComma
            .replacing("\"use\"", with: "\"alg\": \"RS512\", \"use\"")
        #expect(fault { try keys(bound).verify(token) } == .noMatchingKey)
    }

    @Test func keysThatAreNoneAreRefused() {
        let broken = [
            ("{", TokenFault.keysNotJSON), ("[]", .keysNotJSON), ("{}", .noKeysField), ("{\"keys\":{}}", .keysNotArray),
            ("{\"keys\":[]}", .noValidKey), ("{\"keys\":[1,{\"kty\":\"X\"}]}", .noValidKey),
            ("{\"keys\":[\(Samples.smallKey)]}", .noValidKey),
            ("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", .noValidKey),
            ("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}]}", .noValidKey),
            ("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"}]}", .noValidKey),
            ("{\"keys\":[{\"kty\":\"oct\",\"use\":\"enc\",\"k\":\"AQAB\"}]}", .noValidKey),
            ("{\"keys\":[{\"kty\":\"oct\",\"k\":\"\"}]}", .noValidKey),
            (String(repeating: " ", count: TokenLimits.keySet + 1), .keysNotJSON),
        ]
        for (text, expected) in broken {
            #expect(fault { _ = try KeySet(json: bytes(text)) } == expected, "\(text.prefix(60))")
        }
    }

    @Test func whatIsNoTokenIsToldApart() {
        let header = "{\"alg\":\"RS256\"}"
        let cases: [([UInt8], TokenFault)] = [
            (bytes(""), .badForm), (bytes("a.b"), .badForm), (bytes("a.b.c.d"), .badForm),
            (bytes("!.e30.c2ln"), .headerNotBase64), (bytes("e30=.e30.c2ln"), .headerNotBase64),
            (bytes("YQ.e30.c2ln"), .headerNotJSON), (token("[]", "{}"), .headerNotJSON),
            (token("{}", "{}"), .badAlgorithm), (token("{\"alg\":1}", "{}"), .badAlgorithm),
            (token("{\"alg\":\"none\"}", "{}"), .unsupportedAlgorithm),
            (token("{\"alg\":\"none\"}", "{}", ""), .badForm),
            (token("{\"alg\":\"rs256\"}", "{}"), .unsupportedAlgorithm),
            (token("{\"alg\":\"RS256\",\"alg\":\"HS256\"}", "{}"), .headerNotJSON),
            (token("{\"alg\":\"RS256\",\"kid\":1}", "{}"), .badKeyID),
            (token("{\"alg\":\"RS256\",\"crit\":[\"x\"]}", "{}"), .unknownExtension),
            (token(header, "x"), .payloadNotJSON), (token(header, "{\"iss\":1}"), .issuerNotString),
            (token(header, "{\"sub\":[]}"), .subjectNotString), (token(header, "{\"aud\":[1]}"), .audienceNotString),
            (token(header, "{\"exp\":\"1\"}"), .expiryNotNumber), (token(header, "{\"exp\":-1}"), .expiryOutOfRange),
            (token(header, "{\"nbf\":1e300}"), .startOutOfRange), (token(header, "{\"iat\":true}"), .issuedNotNumber),
            (token(header, "{}", "*"), .signatureNotBase64),
            ([UInt8](repeating: 0x61, count: TokenLimits.token + 1), .tooLarge),
        ]
        for (text, expected) in cases {
            #expect(fault { _ = try WebToken(text) } == expected, "\(String(decoding: text.prefix(80), as: UTF8.self))")
        }
    }

    @Test func timeIsCheckedWithItsSkew() throws {
        let one = try WebToken(token("{\"alg\":\"RS256\"}", "{\"nbf\":1000,\"exp\":2000}"))
        for (now, expected) in [
            (UInt64(939), TokenFault.notYetValid), (940, nil), (1000, nil), (2060, nil), (2061, .expired),
        ] as [(UInt64, TokenFault?)] {
            #expect(fault { try one.check(now: now, skew: 60) } == expected, "\(now)")
        }
        let endless = try WebToken(token("{\"alg\":\"RS256\"}", "{}"))
        #expect(fault { try endless.check(now: .max - 100, skew: 60) } == nil)
    }

    @Test func claimsAreFoundByTheirPath() throws {
        let one = try WebToken(bytes(Samples.tokens[0].token))
        #expect(one.issuer == "https://issuer.example" && one.subject == "ann")
        #expect(one.audiences == ["shop", "stock"] && one.expiry == 2_000_000_000)
        #expect(one.claim(["role", "name"]) == .string("admin") && one.claim(["role", "level"]) == .int(3))
        #expect(one.claim(["role", "name", "x"]) == nil && one.claim(["none"]) == nil)
    }

    @Test func base64HasOneForm() {
        for count in 0..<70 {
            let message = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 250) }
            #expect(Base64URL.decode(Base64URL.encode(message)[...]) == message)
        }
        #expect(Base64URL.encode([0xFF], isPadded: true) == bytes("_w=="))
        for bad in ["A", "AA=", "AA==", "A A", "AA\n", "+A", "/A", "AB"] {
            #expect(Base64URL.decode(bytes(bad)[...]) == nil, "\(bad)")
        }
        #expect(Base64URL.decode(bytes("AA")[...]) == [0])
    }
}

extension String {
    fileprivate var trimmedComma: String {
        var text = self
        while text.last == "," || text.last == " " { text.removeLast() }
        return text
    }
}
