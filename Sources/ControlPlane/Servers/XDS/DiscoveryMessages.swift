package import Mesh
import Wire

/// Which of the two protocols a stream speaks.
package enum DiscoveryVariant: String, Sendable, Equatable, CaseIterable {
    /// `StreamAggregatedResources`.
    case stateOfTheWorld = "StreamAggregatedResources"
    /// `DeltaAggregatedResources`.
    case delta = "DeltaAggregatedResources"

    static let service = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"

    init?(path: String) {
        guard path.hasPrefix(Self.service) else { return nil }
        self.init(rawValue: String(path.dropFirst(Self.service.utf8.count)))
    }
}

/// Who a client says it is.
package struct DiscoveryNode: Sendable, Equatable {
    package var id = ""
    package var cluster = ""
    package var userAgent = ""
    /// The plain values of its metadata, as text.
    package var metadata: [String: String] = [:]

    package init(id: String = "", cluster: String = "", userAgent: String = "", metadata: [String: String] = [:]) {
        self.id = id
        self.cluster = cluster
        self.userAgent = userAgent
        self.metadata = metadata
    }
}

/// A request of either protocol: what only one has is empty in the other.
package struct DiscoveryRequest: Sendable, Equatable {
    package struct Refusal: Sendable, Equatable {
        package var code: Int
        package var message: String

        package init(code: Int = 3, message: String) {
            self.code = code
            self.message = message
        }
    }

    package var node: DiscoveryNode?
    package var typeURL = ""
    package var nonce = ""
    package var refusal: Refusal?
    /// State of the world: all names. Delta: names that are added.
    package var names: [String] = []
    /// State of the world: the last version that was accepted.
    package var version = ""
    /// Delta: names that are dropped.
    package var dropped: [String] = []
    /// Delta: what the client holds from an earlier stream.
    package var held: [String: String] = [:]

    package init(_ type: DiscoveryType, names: [String] = [], version: String = "", nonce: String = "") {
        typeURL = type.url
        self.names = names
        self.version = version
        self.nonce = nonce
    }

    /// Names of one request; longer and more are refused.
    private static let nameLimit = 4096

    /// The request in some bytes.
    ///
    /// - Throws: `GRPCStatus` that says what is wrong with them.
    package init(_ bytes: [UInt8], _ variant: DiscoveryVariant) throws(GRPCStatus) {
        do throws(WireError) {
            var reader = ProtobufReader(bytes)
            while let field = try reader.next() { try take(field, variant) }
        } catch {
            throw GRPCStatus(.invalidArgument, "the request cannot be read: \(error)")
        }
        guard (names + dropped).allSatisfy({ $0.utf8.count <= Self.nameLimit }) else {
            throw GRPCStatus(.invalidArgument, "a resource's name is longer than \(Self.nameLimit) bytes")
        }
    }

    private mutating func take(_ field: Protobuf.Field, _ variant: DiscoveryVariant) throws(WireError) {
        switch (variant, field.number) {
        case (.stateOfTheWorld, 1): version = field.text
        case (.stateOfTheWorld, 2), (.delta, 1): node = try DiscoveryNode(field.run)
        case (.stateOfTheWorld, 3), (.delta, 3): names.append(field.text)
        case (.stateOfTheWorld, 4), (.delta, 2): typeURL = field.text
        case (.stateOfTheWorld, 5), (.delta, 6): nonce = field.text
        case (.stateOfTheWorld, 6), (.delta, 7): refusal = try Refusal(field.run)
        case (.delta, 4): dropped.append(field.text)
        case (.delta, 5):
            let entry = try DiscoveryReading.fields(field.run)
            held[entry.last { $0.number == 1 }?.text ?? ""] = entry.last { $0.number == 2 }?.text ?? ""
        default: break
        }
    }
}

extension DiscoveryRequest.Refusal {
    fileprivate init(_ bytes: ArraySlice<UInt8>) throws(WireError) {
        self.init(code: 0, message: "")
        for field in try DiscoveryReading.fields(bytes) {
            if field.number == 1, case .varint(let number) = field.content { code = Int(truncatingIfNeeded: number) }
            if field.number == 2 { message = String(field.text.prefix(4096)) }
        }
    }
}

extension DiscoveryNode {
    fileprivate init(_ bytes: ArraySlice<UInt8>) throws(WireError) {
        self.init()
        for field in try DiscoveryReading.fields(bytes) {
            switch field.number {
            case 1: id = String(field.text.prefix(256))
            case 2: cluster = String(field.text.prefix(256))
            case 3: metadata = try Self.metadata(field.run)
            case 6: userAgent = String(field.text.prefix(256))
            default: break
            }
        }
    }

    /// Text, numbers and truth values of a `google.protobuf.Struct`; lists and structures within it are passed over.
    private static func metadata(_ bytes: ArraySlice<UInt8>) throws(WireError) -> [String: String] {
        var found: [String: String] = [:]
        for entry in try DiscoveryReading.fields(bytes).prefix(64) where entry.number == 1 {
            let parts = try DiscoveryReading.fields(entry.run)
            guard let key = parts.last(where: { $0.number == 1 })?.text,
                let value = parts.last(where: { $0.number == 2 })
            else { continue }
            for field in try DiscoveryReading.fields(value.run) {
                switch (field.number, field.content) {
                case (2, .fixed64(let bits)):
                    let number = Double(bitPattern: bits)
                    found[key] = Int(exactly: number).map { "\($0)" } ?? "\(number)"
                case (3, .bytes): found[key] = String(field.text.prefix(1024))
                case (4, .varint(let flag)): found[key] = flag == 0 ? "false" : "true"
                default: break
                }
            }
        }
        return found
    }
}

private enum DiscoveryReading {
    static func fields(_ bytes: ArraySlice<UInt8>) throws(WireError) -> [Protobuf.Field] {
        var reader = ProtobufReader(bytes)
        var fields: [Protobuf.Field] = []
        while let field = try reader.next() { fields.append(field) }
        return fields
    }
}

extension Protobuf.Field {
    /// The content of a text, a message or a run of bytes; nothing for numbers.
    fileprivate var run: ArraySlice<UInt8> {
        if case .bytes(let bytes) = content { bytes } else { [] }
    }

    fileprivate var text: String { String(decoding: run, as: UTF8.self) }
}

/// A response of either protocol.
package struct DiscoveryResponse: Sendable, Equatable {
    package var type: DiscoveryType
    package var version: String
    package var nonce: String
    package var resources: [DiscoveryResource] = []
    /// Delta: names of what is gone, or not there.
    package var removed: [String] = []

    /// Names of this control plane in responses.
    private static let identifier: [UInt8] = {
        var writer = ProtobufWriter()
        writer.text(1, "weft")
        return writer.bytes
    }()

    /// The message as it goes over the wire.
    package func bytes(_ variant: DiscoveryVariant) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, version)
        for resource in resources {
            var any = ProtobufWriter()
            any.text(1, type.url)
            any.run(2, resource.bytes)
            guard variant == .delta else {
                writer.run(2, any.bytes)
                continue
            }
            var wrapped = ProtobufWriter()
            wrapped.text(1, resource.version)
            wrapped.run(2, any.bytes)
            wrapped.text(3, resource.name)
            writer.run(2, wrapped.bytes)
        }
        writer.text(4, type.url)
        writer.text(5, nonce)
        if variant == .delta {
            for name in removed { writer.text(6, name) }
            writer.run(7, Self.identifier)
        } else {
            writer.run(6, Self.identifier)
        }
        return writer.bytes
    }
}
