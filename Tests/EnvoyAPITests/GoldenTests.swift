import EnvoyAPI
import Testing
import Wire

@Suite("JSON and protobuf")
struct GoldenTests {
    @Test("every field has the name, number and wire form that protobuf gives it", arguments: Golden.documents)
    func golden(_ golden: Golden) throws {
        switch golden.message {
        case "envoy.config.bootstrap.v3.Bootstrap": try check(Envoy.Bootstrap.self, golden)
        default: try check(Envoy.DiscoveryResponse.self, golden)
        }
    }

    private func check<M: EnvoyMessage>(_: M.Type, _ golden: Golden) throws {
        #expect(M.schema.name == golden.message)
        let document = try JSON.parse(golden.json)
        let bytes = try #require(Base64.decode(golden.base64))
        let message = try M.read(document)
        #expect(
            message.protobufBytes == bytes,
            "differ from byte \(zip(message.protobufBytes, bytes).prefix { $0 == $1 }.count)"
        )
        #expect(try M(protobuf: bytes) == message)
        #expect(differences(message.jsonValue, document).isEmpty)
        #expect(try M.read(camelCased(document)) == message)
        try message.validate()
    }

    @Test("documents with some parts taken out survive both round trips", arguments: 0..<40 as Range<UInt64>)
    func randomRoundTrip(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        for golden in Golden.documents where golden.message.hasSuffix("Bootstrap") {
            let document = thin(try JSON.parse(golden.json), &random)
            guard let message = try? Envoy.Bootstrap.read(document) else { continue }
            #expect(try Envoy.Bootstrap.read(message.jsonValue) == message)
            #expect(try Envoy.Bootstrap(protobuf: message.protobufBytes) == message)
            let text = JSON.write(message.jsonValue)
            #expect(try Envoy.Bootstrap.read(JSON.parse(text)).protobufBytes == message.protobufBytes)
        }
    }

    @Test("broken bytes are refused or read, never a trap", arguments: 0..<20 as Range<UInt64>)
    func brokenBytes(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        for golden in Golden.documents {
            let good = try #require(Base64.decode(golden.base64))
            for _ in 0..<20 {
                var bytes = good
                for _ in 0..<Int(random.next() % 4 + 1) {
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                }
                if random.next() % 4 == 0 { bytes.removeLast(Int(random.next() % UInt64(bytes.count))) }
                guard let message = try? Envoy.Bootstrap(protobuf: bytes) else { continue }
                #expect(try Envoy.Bootstrap(protobuf: message.protobufBytes) == message)
            }
        }
    }

    @Test(
        "bytes by hand",
        arguments: [
            (Envoy.Percent(value: 20).protobufBytes, [0x09, 0, 0, 0, 0, 0, 0, 0x34, 0x40]),
            (Envoy.Locality(region: "a", subZone: "b").protobufBytes, [0x0A, 1, 0x61, 0x1A, 1, 0x62]),
            (
                Envoy.SocketAddress(address: "::", portValue: 0, networkNamespaceFilepath: "/n").protobufBytes,
                [0x12, 2, 0x3A, 0x3A, 0x18, 0, 0x3A, 2, 0x2F, 0x6E]
            ),
            (
                Envoy.FractionalPercent(numerator: 300, denominator: .million).protobufBytes,
                [0x08, 0xAC, 0x02, 0x10, 2]
            ),
            (
                Envoy.RetryPolicy(numRetries: 0, retriableStatusCodes: [503, 1]).protobufBytes,
                [0x12, 0, 0x3A, 3, 0xF7, 0x03, 1]
            ),
            (
                Envoy.RetryPolicy(perTryTimeout: .milliseconds(1500)).protobufBytes,
                [0x1A, 8, 0x08, 1, 0x10, 0x80, 0xCA, 0xB5, 0xEE, 0x01]
            ),
            (Envoy.CidrRange(addressPrefix: "a", prefixLen: 8).protobufBytes, [0x0A, 1, 0x61, 0x12, 2, 0x08, 8]),
        ] as [([UInt8], [UInt8])]
    )
    func byHand(bytes: [UInt8], expected: [UInt8]) {
        #expect(bytes == expected)
    }

    @Test("unpacked numbers and a message in two parts are read as protobuf demands")
    func lenientWire() throws {
        let retry = try Envoy.RetryPolicy(protobuf: [0x38, 0xF7, 0x03, 0x38, 0xF8, 0x03])
        #expect(retry.retriableStatusCodes == [503, 504])
        let thresholds = try Envoy.CircuitBreakers.Thresholds(
            protobuf: [0x42, 4, 0x12, 2, 0x08, 7, 0x42, 11, 0x0A, 9, 0x09, 0, 0, 0, 0, 0, 0, 0x34, 0x40]
        )
        #expect(thresholds.retryBudget == .init(budgetPercent: .init(value: 20), minRetryConcurrency: 7))
    }

    @Test("of two members of a oneof on the wire the last one counts")
    func lastMember() throws {
        let match = try Envoy.StringMatcher(protobuf: [0x12, 1, 0x62, 0x0A, 1, 0x61])
        #expect(match.matchPattern == .exact("a"))
    }

    @Test("field numbers that Envoy does not know are skipped")
    func unknownNumbers() throws {
        #expect(try Envoy.Percent(protobuf: [0xF8, 0x3F, 1, 0x09, 0, 0, 0, 0, 0, 0, 0x34, 0x40]) == .init(value: 20))
    }
}

/// Every name in lowerCamelCase, but the keys of maps and structs, and what is in these.
private func camelCased(_ value: Value) -> Value {
    switch value {
    case .array(let elements): return .array(elements.map(camelCased))
    case .object(let fields):
        return .object(
            Fields(
                fields.map { name, value in
                    let isOpaque = ["filter_metadata", "metadata", "json_format"].contains(name)
                    let isMap = name == "typed_extension_protocol_options"
                    var parts = name.split(separator: "_").map(String.init)
                    for index in parts.indices.dropFirst() {
                        parts[index] = parts[index].prefix(1).uppercased() + parts[index].dropFirst()
                    }
                    let newName = name.hasPrefix("@") ? name : parts.joined()
                    if isMap, let entries = value.fields {
                        return (newName, .object(Fields(entries.map { ($0.name, camelCased($0.value)) })))
                    }
                    let isStruct = isOpaque && !(name == "metadata" && value["filter_metadata"] != nil)
                    return (newName, isStruct ? value : camelCased(value))
                }
            )
        )
    default: return value
    }
}

/// The paths at which two trees differ.
private func differences(_ left: Value, _ right: Value, _ path: String = "") -> [String] {
    switch (left, right) {
    case (.object(let left), .object(let right)):
        return Set(left.names + right.names).sorted().flatMap {
            differences(left[$0] ?? .null, right[$0] ?? .null, "\(path).\($0)")
        }
    case (.array(let left), .array(let right)) where left.count == right.count:
        return left.indices.flatMap { differences(left[$0], right[$0], "\(path)[\($0)]") }
    default: return left == right ? [] : ["\(path): \(JSON.write(left)) and \(JSON.write(right))"]
    }
}

/// Takes out some fields and elements.
private func thin(_ value: Value, _ random: inout SplitMix) -> Value {
    switch value {
    case .array(let elements): return .array(elements.map { thin($0, &random) })
    case .object(let fields):
        var kept = Fields()
        for (name, value) in fields where name.hasPrefix("@") || random.next() % 50 != 0 {
            kept[name] = thin(value, &random)
        }
        return .object(kept)
    default: return value
    }
}

struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
