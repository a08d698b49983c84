package import Wire

/// A message of the Envoy API: a value that its schema table reads and writes as JSON, YAML and protobuf.
package protocol EnvoyMessage: Sendable, Equatable {
    static var schema: MessageSchema<Self> { get }

    /// Reports what no rule of a single field can say. Called for every message read, after its fields.
    static func verify(_ message: Self, _ reader: inout SchemaReader)
}

extension EnvoyMessage {
    package static func verify(_: Self, _: inout SchemaReader) {}

    /// The name of this message's type as an `Any` has it: `type.googleapis.com/envoy.config...`.
    @_semantics("optimize.sil.specialize.generic.never")
    package static var typeURL: String { "type.googleapis.com/\(schema.name)" }

    /// The message that a JSON or YAML document holds.
    ///
    /// - Throws: `SchemaErrors` with all problems by path; a document with problems gives no message.
    @_semantics("optimize.sil.specialize.generic.never")
    package static func read(_ value: Value) throws(SchemaErrors) -> Self {
        var warnings: [SchemaProblem] = []
        return try read(value, warnings: &warnings)
    }

    /// As `read(_:)`; `warnings` gets what is accepted without effect.
    @_semantics("optimize.sil.specialize.generic.never")
    package static func read(_ value: Value, warnings: inout [SchemaProblem]) throws(SchemaErrors) -> Self {
        var reader = SchemaReader()
        let message = schema.read(value, &reader)
        warnings = reader.warnings
        try reader.finish()
        return message
    }

    /// The message that protobuf bytes hold.
    ///
    /// Fields whose numbers Envoy does not know are skipped, as protobuf wants it; fields that Envoy knows and weft-proxy
    /// does not are errors.
    @_semantics("optimize.sil.specialize.generic.never")
    package init(protobuf bytes: [UInt8]) throws(SchemaErrors) {
        var warnings: [SchemaProblem] = []
        try self.init(protobuf: bytes, warnings: &warnings)
    }

    /// As `init(protobuf:)`; `warnings` gets what is accepted without effect.
    @_semantics("optimize.sil.specialize.generic.never")
    package init(protobuf bytes: [UInt8], warnings: inout [SchemaProblem]) throws(SchemaErrors) {
        var reader = SchemaReader()
        self = Self.schema.decode(bytes[...], &reader)
        warnings = reader.warnings
        try reader.finish()
    }

    /// The message as JSON: names as in the proto files, zero values left out. Equal messages give equal documents.
    @_semantics("optimize.sil.specialize.generic.never")
    package var jsonValue: Value { Self.schema.write(self) }

    /// The message as protobuf: fields by number, maps by key. Equal messages give equal bytes.
    @_semantics("optimize.sil.specialize.generic.never")
    package var protobufBytes: [UInt8] {
        var writer = ProtobufWriter()
        Self.schema.encode(self, &writer)
        return writer.bytes
    }

    /// Reports all problems of a message that was made in memory, as reading it would.
    @_semantics("optimize.sil.specialize.generic.never")
    package func validate() throws(SchemaErrors) {
        var reader = SchemaReader()
        Self.schema.check(self, &reader)
        try reader.finish()
    }
}

/// An enumeration of the Envoy API.
package protocol EnvoyEnum: RawRepresentable<Int32>, CaseIterable, Sendable, Equatable {
    static var names: EnumNames { get }
}

/// The names of an enumeration's values in JSON.
package struct EnumNames: Sendable {
    let type: String
    let supported: [(name: String, number: Int32)]
    let unsupported: [(name: String, number: Int32)]

    /// - Parameters:
    ///   - type: the full name of the enumeration.
    ///   - supported: `NAME=number`, separated by spaces.
    ///   - unsupported: the values that Envoy has and weft-proxy does not, in the same way.
    package init(_ type: String, _ supported: String, unsupported: String = "") {
        self.type = type
        self.supported = numbered(supported).map { ($0.name, Int32($0.number)) }
        self.unsupported = numbered(unsupported).map { ($0.name, Int32($0.number)) }
    }
}

/// The pairs of a table `name=number name=number`.
func numbered(_ table: String) -> [(name: String, number: Int)] {
    table.split { $0 == " " || $0 == "\n" }.compactMap { entry in
        let parts = entry.split(separator: "=")
        guard parts.count == 2, let number = Int(parts[1]) else {
            preconditionFailure("a schema table holds \(entry)")
        }
        return (String(parts[0]), number)
    }
}
