import Wire

/// The table of one message's fields, from which JSON and protobuf are read and written.
package struct MessageSchema<Message: Sendable & Equatable>: Sendable {
    /// The full name of the message, as `envoy.config.listener.v3.Listener`.
    package let name: String
    private let empty: Message
    private let fields: [Field<Message>]
    private let oneofs: [Oneof]
    private let indexOfName: [String: Int]
    private let indexOfNumber: [Int: Int]
    /// Indices of the fields in the order of their numbers.
    private let byNumber: [Int]
    private let verify: @Sendable (Message, inout SchemaReader) -> Void

    /// - Parameters:
    ///   - name: the full name of the message.
    ///   - empty: the message without any field.
    ///   - build: fills the table, in the order in which JSON is written.
    package init(_ name: String, empty: Message, _ build: (inout SchemaBuilder<Message>) -> Void)
    where Message: EnvoyMessage {
        var builder = SchemaBuilder<Message>()
        build(&builder)
        self.name = name
        self.empty = empty
        fields = builder.fields
        oneofs = builder.oneofs
        var names: [String: Int] = [:]
        var numbers: [Int: Int] = [:]
        for (index, field) in builder.fields.enumerated() {
            names[field.name] = index
            names[lowerCamelCase(field.name)] = index
            precondition(numbers.updateValue(index, forKey: field.number) == nil, "\(name) has \(field.number) twice")
        }
        indexOfName = names
        indexOfNumber = numbers
        byNumber = numbers.sorted { $0.key < $1.key }.map(\.value)
        verify = { Message.verify($0, &$1) }
    }

    /// The names of the fields that have an effect, in the order of the table.
    package var supportedFields: [String] { fields.filter { $0.support == .full }.map(\.name) }

    /// The names of the fields that are accepted without effect.
    package var ignoredFields: [String] { fields.filter { $0.support == .ignored }.map(\.name) }

    /// The table as a page shows it.
    package var outline: MessageOutline {
        MessageOutline(
            name: name,
            fields: fields.map { field in
                let support: MessageOutline.Support =
                    switch field.support {
                    case .full: .full
                    case .ignored: .meaningless(field.why)
                    case .none: .none(field.why)
                    }
                return MessageOutline.Row(
                    name: field.name,
                    number: field.number,
                    support: support,
                    content: field.outline
                )
            }
        )
    }

    // MARK: JSON

    func read(_ value: Value, _ reader: inout SchemaReader) -> Message {
        guard let object = value.fields else {
            if !value.isNull { reader.wrongType("an object", value) }
            return checked(empty, failed: [], set: [], errorsBefore: reader.errorCount, &reader)
        }
        return read(object, isAny: false, &reader)
    }

    /// As `read(_:_:)`; with `isAny` the object holds `@type` beside the fields.
    func read(_ object: Fields, isAny: Bool, _ reader: inout SchemaReader) -> Message {
        var message = empty
        var seen: Set<Int> = []
        var failed: Set<Int> = []
        let errorsBefore = reader.errorCount
        for (name, value) in object where !(isAny && name == "@type") {
            guard let index = indexOfName[name] else {
                reader.report(.unknown, at: name, unknown(name))
                continue
            }
            guard !value.isNull else { continue }
            let field = fields[index]
            reader.within(field: field.name) { reader in
                let errors = reader.errorCount
                if !seen.insert(index).inserted {
                    reader.report(
                        .conflict,
                        "is there twice, also as \(name == field.name ? lowerCamelCase(name) : field.name)"
                    )
                }
                field.read(value, &message, &reader)
                if reader.errorCount != errors { failed.insert(index) }
            }
        }
        return checked(message, failed: failed, set: seen, errorsBefore: errorsBefore, &reader)
    }

    func write(_ message: Message) -> Value {
        var object = Fields()
        for field in fields {
            if let value = field.write(message) { object[field.name] = value }
        }
        return .object(object)
    }

    // MARK: protobuf

    func decode(_ bytes: ArraySlice<UInt8>, _ reader: inout SchemaReader) -> Message {
        var contents: [Int: [Protobuf.Content]] = [:]
        var lastSeen: [Int] = []
        let errorsBefore = reader.errorCount
        reader.fields(of: bytes) { field, _ in
            guard let index = indexOfNumber[field.number] else { return }
            contents[index, default: []].append(field.content)
            if lastSeen.last != index { lastSeen.append(index) }
        }
        var message = empty
        var failed: Set<Int> = []
        // Of a oneof the last one counts: fields are set in the order of their last occurrence.
        var order: [Int] = []
        var added: Set<Int> = []
        for index in lastSeen.reversed() where added.insert(index).inserted { order.append(index) }
        for index in order.reversed() {
            reader.within(field: fields[index].name) { reader in
                let errors = reader.errorCount
                fields[index].decode(contents[index] ?? [], &message, &reader)
                if reader.errorCount != errors { failed.insert(index) }
            }
        }
        // A oneof with several members on the wire is no conflict: protobuf lets the last one count.
        return checked(message, failed: failed, set: [], errorsBefore: errorsBefore, &reader)
    }

    func encode(_ message: Message, _ writer: inout ProtobufWriter) {
        for index in byNumber { fields[index].encode(message, &writer) }
    }

    // MARK: rules

    /// Reports all problems of a message and of the messages in it.
    func check(_ message: Message, _ reader: inout SchemaReader) {
        let errorsBefore = reader.errorCount
        for field in fields {
            reader.within(field: field.name) { field.check(message, true, &$0) }
        }
        checkOneofs(message, failed: [], set: [], &reader)
        if reader.errorCount == errorsBefore { verify(message, &reader) }
    }

    private func checked(
        _ message: Message,
        failed: Set<Int>,
        set: Set<Int>,
        errorsBefore: Int,
        _ reader: inout SchemaReader
    ) -> Message {
        for (index, field) in fields.enumerated() where !failed.contains(index) {
            reader.within(field: field.name) { field.check(message, false, &$0) }
        }
        checkOneofs(message, failed: failed, set: set, &reader)
        if reader.errorCount == errorsBefore { verify(message, &reader) }
        return message
    }

    private func checkOneofs(_ message: Message, failed: Set<Int>, set: Set<Int>, _ reader: inout SchemaReader) {
        for oneof in oneofs {
            let members = fields.indices.filter { fields[$0].oneof == oneof.name }
            let present = members.filter { set.contains($0) }
            if present.count > 1 {
                let names = present.map { fields[$0].name }.joined(separator: " and ")
                reader.report(.conflict, "\(names) exclude one another")
            }
            guard oneof.isRequired, present.isEmpty, failed.isDisjoint(with: members) else { continue }
            guard !members.contains(where: { fields[$0].isSet(message) }) else { continue }
            let supported = members.filter { fields[$0].support == .full }.map { fields[$0].name }
            reader.report(
                .missing,
                supported.count == 1
                    ? "\(supported[0]) is required" : "one of \(supported.joined(separator: ", ")) is required"
            )
        }
    }

    private func unknown(_ name: String) -> String {
        let guess = closest(to: name, among: indexOfName.keys.sorted { ($0.utf8.count, $0) < ($1.utf8.count, $1) })
        let field = guess.flatMap { indexOfName[$0] }.map { fields[$0].name }
        return "unknown field of \(self.name)" + (field.map { "; did you mean \($0)?" } ?? "")
    }
}

/// A group of fields of which at most one is there.
struct Oneof: Sendable {
    let name: String
    let isRequired: Bool
}

/// One row of the table.
struct Field<Message: Sendable>: Sendable {
    enum Support {
        case full
        case ignored
        case none
    }

    let number: Int
    let name: String
    var oneof: String?
    var support = Support.full
    /// Why it has no meaning here, or what to use instead.
    var why = ""
    let read: @Sendable (Value, inout Message, inout SchemaReader) -> Void
    /// nil when there is nothing to write.
    let write: @Sendable (Message) -> Value?
    let decode: @Sendable ([Protobuf.Content], inout Message, inout SchemaReader) -> Void
    let encode: @Sendable (Message, inout ProtobufWriter) -> Void
    /// With `true` the messages inside are checked too.
    let check: @Sendable (Message, Bool, inout SchemaReader) -> Void
    let isSet: @Sendable (Message) -> Bool
    /// What stands in it.
    var outline: FieldOutline = .plain

    /// The same, with a warning wherever it stands.
    func noted(_ warning: String, _ why: String) -> Field {
        Field(
            number: number,
            name: name,
            oneof: oneof,
            support: .ignored,
            why: why,
            read: { value, message, reader in
                reader.report(.ignored, warning)
                read(value, &message, &reader)
            },
            write: write,
            decode: { contents, message, reader in
                reader.report(.ignored, warning)
                decode(contents, &message, &reader)
            },
            encode: encode,
            check: check,
            isSet: isSet,
            outline: outline
        )
    }
}

/// `filter_chains` -> `filterChains`: the name that proto3's JSON has beside the original one.
func lowerCamelCase(_ name: String) -> String {
    var result = ""
    var isUpper = false
    for scalar in name.unicodeScalars {
        if scalar == "_" {
            isUpper = true
        } else if isUpper {
            result += String(scalar).uppercased()
            isUpper = false
        } else {
            result.unicodeScalars.append(scalar)
        }
    }
    return result
}
