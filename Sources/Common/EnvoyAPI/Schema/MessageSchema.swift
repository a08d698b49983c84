import Wire

/// The table of one message's fields, from which JSON and protobuf are read and written.
///
/// What the fields' types decide is in `Field`; all else is in `FieldTable`. Nothing here is specialised for a message: copies for
/// some hundred messages take the compiler minutes, and gain little.
package final class MessageSchema<Message: Sendable & Equatable>: Sendable {
    private let table: FieldTable
    private let fields: [Field<Message>]
    private let verify: @Sendable (Message, inout SchemaReader) -> Void
    private let empty: Message

    /// - Parameters:
    ///   - name: the full name of the message.
    ///   - empty: the message without any field.
    ///   - build: fills the table, in the order in which JSON is written.
    @_semantics("optimize.sil.specialize.generic.never")
    package init(_ name: String, empty: Message, _ build: (inout SchemaBuilder<Message>) -> Void)
    where Message: EnvoyMessage {
        var builder = SchemaBuilder<Message>()
        build(&builder)
        self.empty = empty
        table = FieldTable(name, builder.facts, builder.oneofs)
        fields = builder.fields
        verify = { Message.verify($0, &$1) }
    }

    /// The full name of the message, as `envoy.config.listener.v3.Listener`.
    package var name: String { table.name }

    /// The names of the fields that have an effect, in the order of the table.
    package var supportedFields: [String] { table.names { $0.support == .full } }

    /// The names of the fields that are accepted without effect.
    package var ignoredFields: [String] { table.names { $0.support == .ignored } }

    /// The table as a page shows it.
    package var outline: MessageOutline { table.outline }

    // MARK: JSON

    @_semantics("optimize.sil.specialize.generic.never")
    func read(_ value: Value, _ reader: inout SchemaReader) -> Message {
        let errorsBefore = reader.errorCount
        if let object = value.fields { return read(object, isAny: false, &reader) }
        if !value.isNull { reader.wrongType("an object", value) }
        return checked(empty, FieldTable.Progress(errorsBefore: errorsBefore), &reader)
    }

    /// As `read(_:_:)`; with `isAny` the object holds `@type` beside the fields.
    @_semantics("optimize.sil.specialize.generic.never")
    func read(_ object: Fields, isAny: Bool, _ reader: inout SchemaReader) -> Message {
        var message = empty
        let progress = table.read(object, isAny: isAny, &reader) { fields[$0].read($1, &message, &$2) }
        return checked(message, progress, &reader)
    }

    @_semantics("optimize.sil.specialize.generic.never")
    func write(_ message: Message) -> Value {
        var object = Fields()
        for index in table.carried {
            if let value = fields[index].write(message) { object[table.facts[index].name] = value }
        }
        return .object(object)
    }

    // MARK: protobuf

    @_semantics("optimize.sil.specialize.generic.never")
    func decode(_ bytes: ArraySlice<UInt8>, _ reader: inout SchemaReader) -> Message {
        var message = empty
        let progress = table.decode(bytes, &reader) { fields[$0].decode($1, &message, &$2) }
        return checked(message, progress, &reader)
    }

    @_semantics("optimize.sil.specialize.generic.never")
    func encode(_ message: Message, _ writer: inout ProtobufWriter) {
        for index in table.carriedByNumber { fields[index].encode(message, &writer) }
    }

    // MARK: rules

    /// Reports all problems of a message and of the messages in it.
    @_semantics("optimize.sil.specialize.generic.never")
    func check(_ message: Message, _ reader: inout SchemaReader) {
        let isWell = table.checkAll(
            &reader,
            { fields[$0].check(message, true, &$1) },
            isSet: { fields[$0].isSet(message) }
        )
        if isWell { verify(message, &reader) }
    }

    @_semantics("optimize.sil.specialize.generic.never")
    private func checked(_ message: Message, _ progress: FieldTable.Progress, _ reader: inout SchemaReader) -> Message {
        let isWell = table.check(
            progress,
            &reader,
            { fields[$0].check(message, false, &$1) },
            isSet: { fields[$0].isSet(message) }
        )
        if isWell { verify(message, &reader) }
        return message
    }
}

/// What a field's type decides: how its value comes into a message and out of it.
final class Field<Message: Sendable>: Sendable {
    let read: @Sendable (Value, inout Message, inout SchemaReader) -> Void
    /// nil when there is nothing to write.
    let write: @Sendable (Message) -> Value?
    let decode: @Sendable ([Protobuf.Content], inout Message, inout SchemaReader) -> Void
    let encode: @Sendable (Message, inout ProtobufWriter) -> Void
    /// With `true` the messages inside are checked too.
    let check: @Sendable (Message, Bool, inout SchemaReader) -> Void
    let isSet: @Sendable (Message) -> Bool

    @_semantics("optimize.sil.specialize.generic.never")
    init(
        read: @escaping @Sendable (Value, inout Message, inout SchemaReader) -> Void,
        write: @escaping @Sendable (Message) -> Value?,
        decode: @escaping @Sendable ([Protobuf.Content], inout Message, inout SchemaReader) -> Void,
        encode: @escaping @Sendable (Message, inout ProtobufWriter) -> Void,
        check: @escaping @Sendable (Message, Bool, inout SchemaReader) -> Void,
        isSet: @escaping @Sendable (Message) -> Bool
    ) {
        self.read = read
        self.write = write
        self.decode = decode
        self.encode = encode
        self.check = check
        self.isSet = isSet
    }

    /// The same, with a warning wherever it stands.
    @_semantics("optimize.sil.specialize.generic.never")
    func warning(_ text: String) -> Field {
        Field(
            read: { [read] value, message, reader in
                reader.report(.ignored, text)
                read(value, &message, &reader)
            },
            write: write,
            decode: { [decode] contents, message, reader in
                reader.report(.ignored, text)
                decode(contents, &message, &reader)
            },
            encode: encode,
            check: check,
            isSet: isSet
        )
    }
}
