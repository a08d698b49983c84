import Wire

/// A place in the configuration that takes one of several message types, told by `@type`: an enum with one case a type.
package protocol AnyExtension: Sendable, Equatable {
    static var members: AnyMembers<Self> { get }
}

/// The message types that an extension point takes.
package struct AnyMembers<Extension: AnyExtension>: Sendable {
    /// What these are, in the singular, for messages.
    let label: String
    let members: [AnyMember<Extension>]
    /// Whether a type that is not known is passed over with a warning.
    let isTolerant: Bool

    package init(_ label: String, isTolerant: Bool = false, _ members: [AnyMember<Extension>]) {
        self.label = label
        self.isTolerant = isTolerant
        self.members = members
    }
}

/// One message type of an extension point.
package struct AnyMember<Extension: AnyExtension>: Sendable {
    let type: String
    let read: @Sendable (Fields, inout SchemaReader) -> Extension
    let write: @Sendable (Extension) -> Value?
    let decode: @Sendable (ArraySlice<UInt8>, inout SchemaReader) -> Extension
    let encode: @Sendable (Extension) -> [UInt8]?
    let check: @Sendable (Extension, inout SchemaReader) -> Void
    let outline: @Sendable () -> MessageOutline

    /// `wrap` makes the case with this message; `unwrap` gives the message of that case, and nil for another case. `name` is the
    /// type's name, for messages that hold this extension point themselves: their tables must not be made while the point's is.
    @_semantics("optimize.sil.specialize.generic.never")
    package init<Message: EnvoyMessage>(
        _: Message.Type,
        name: String? = nil,
        wrap: @escaping @Sendable (Message) -> Extension,
        unwrap: @escaping @Sendable (Extension) -> Message?
    ) {
        type = name ?? Message.schema.name
        read = { wrap(Message.schema.read($0, isAny: true, &$1)) }
        write = { unwrap($0).map { Message.schema.write($0) } }
        decode = { wrap(Message.schema.decode($0, &$1)) }
        encode = { unwrap($0)?.protobufBytes }
        check = { if let message = unwrap($0) { Message.schema.check(message, &$1) } }
        outline = { Message.schema.outline }
    }
}

private let typePrefix = "type.googleapis.com/"

/// Envelopes for a message whose type its sender does not know: `type_url` and a `google.protobuf.Struct` in `value`.
private let typedStructs = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"]

extension Codec where T: AnyExtension {
    /// `google.protobuf.Any` with one of the types of an extension point.
    @_semantics("optimize.sil.specialize.generic.never")
    package static var any: Codec {
        Codec(
            zero: nil,
            read: { read($0, &$1) },
            write: { value in
                for member in T.members.members {
                    guard case .object(let fields) = member.write(value) else { continue }
                    return .object(
                        Fields([("@type", .string(typePrefix + member.type))] + fields.map { ($0.name, $0.value) })
                    )
                }
                return .null
            },
            decode: { content, reader in decode(content, &reader) },
            encode: { value, number, writer in
                for member in T.members.members {
                    guard let bytes = member.encode(value) else { continue }
                    var any = ProtobufWriter()
                    any.text(1, typePrefix + member.type)
                    if !bytes.isEmpty { any.run(2, bytes) }
                    writer.run(number, any.bytes)
                    return
                }
            },
            check: { value, reader in
                for member in T.members.members { member.check(value, &reader) }
            },
            outline: .extensions(
                label: T.members.label,
                isTolerant: T.members.isTolerant,
                T.members.members.map(\.outline)
            )
        )
    }

    @_semantics("optimize.sil.specialize.generic.never")
    private static func read(_ value: Value, _ reader: inout SchemaReader) -> T? {
        guard let fields = value.fields else {
            reader.wrongType("an object with \"@type\"", value)
            return nil
        }
        guard let url = fields["@type"] else {
            reader.report(.missing, at: "@type", "required: the type of this \(T.members.label)")
            return nil
        }
        guard let text = url.stringValue else {
            reader.within(field: "@type") { $0.wrongType("a string", url) }
            return nil
        }
        let type = typeName(text)
        guard typedStructs.contains(type) else {
            return member(type, &reader).map { $0.read(fields, &reader) }
        }
        guard let inner = fields["type_url"]?.stringValue ?? fields["typeUrl"]?.stringValue else {
            reader.report(.missing, at: "type_url", "required: the type of this \(T.members.label)")
            return nil
        }
        return reader.within(field: "value") { reader in
            member(typeName(inner), &reader).map { $0.read(fields["value"]?.fields ?? Fields(), &reader) }
        }
    }

    @_semantics("optimize.sil.specialize.generic.never")
    private static func decode(_ content: Protobuf.Content, _ reader: inout SchemaReader) -> T? {
        guard let any = reader.run(content) else { return nil }
        var url = ""
        var bytes: ArraySlice<UInt8> = []
        reader.fields(of: any) { field, reader in
            if field.number == 1 { url = Codec<String>.string.decode(field.content, &reader) ?? "" }
            if field.number == 2 { bytes = reader.run(field.content) ?? [] }
        }
        let type = typeName(url)
        guard typedStructs.contains(type) else {
            return member(type, &reader).map { $0.decode(bytes, &reader) }
        }
        var inner = ""
        var object: Value?
        reader.fields(of: bytes) { field, reader in
            if field.number == 1 { inner = Codec<String>.string.decode(field.content, &reader) ?? "" }
            if field.number == 2 { object = Codec<Value>.object.decode(field.content, &reader) }
        }
        return reader.within(field: "value") { reader in
            member(typeName(inner), &reader).map { $0.read(object?.fields ?? Fields(), &reader) }
        }
    }

    private static func typeName(_ url: String) -> String {
        url.lastIndex(of: "/").map { String(url[url.index(after: $0)...]) } ?? url
    }

    @_semantics("optimize.sil.specialize.generic.never")
    private static func member(_ type: String, _ reader: inout SchemaReader) -> AnyMember<T>? {
        let members = T.members
        if let found = members.members.first(where: { $0.type == type }) { return found }
        let guess = closest(to: type, among: members.members.map(\.type))
        let kind: SchemaProblem.Kind = guess == nil ? .unsupported : .unknown
        let message =
            guess.map { "\(clip(type)) is an unknown type; did you mean \($0)?" }
            ?? "\(type.isEmpty ? "no type" : clip(type)) is not supported by weft-proxy as a \(members.label)"
        if members.isTolerant {
            reader.warn(kind, message)
        } else {
            reader.report(kind, at: "@type", message)
        }
        return nil
    }
}
