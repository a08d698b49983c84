import Wire

/// Fills the table of a message.
package struct SchemaBuilder<Message: Sendable & Equatable> {
    private(set) var facts: [FieldFacts] = []
    private(set) var fields: [Field<Message>] = []
    private(set) var oneofs: [Oneof] = []

    /// A plain field: proto3's zero value when absent.
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func field<T>(
        _ number: Int,
        _ name: String,
        _ path: any WritableKeyPath<Message, T> & Sendable,
        _ codec: Codec<T>,
        _ rules: [Rule] = []
    ) {
        facts.append(FieldFacts(number, name, codec, rules))
        fields.append(
            Field(
                read: { value, message, reader in
                    if let new = codec.read(value, &reader) { message[keyPath: path] = new }
                },
                write: { $0[keyPath: path] == codec.zero ? Value?.none : codec.write($0[keyPath: path]) },
                decode: { contents, message, reader in
                    if let new = codec.decode(last: contents, &reader) { message[keyPath: path] = new }
                },
                encode: { message, writer in
                    let value = message[keyPath: path]
                    if value != codec.zero { codec.encode(value, number, &writer) }
                },
                check: { message, _, reader in reader.apply(rules, codec.subject(message[keyPath: path])) },
                isSet: { $0[keyPath: path] != codec.zero }
            )
        )
    }

    /// A message, wrapper or duration, or the only supported member of a oneof: nil when absent.
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func optional<T>(
        _ number: Int,
        _ name: String,
        of oneof: String? = nil,
        _ path: any WritableKeyPath<Message, T?> & Sendable,
        _ codec: Codec<T>,
        _ rules: [Rule] = []
    ) {
        append(
            number,
            name,
            oneof: oneof,
            codec,
            rules,
            get: { $0[keyPath: path] },
            set: { $0[keyPath: path] = $1 }
        )
    }

    /// A member of a oneof that is an enum.
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func choice<Choice, T>(
        _ number: Int,
        _ name: String,
        of oneof: String,
        _ path: any WritableKeyPath<Message, Choice?> & Sendable,
        _ codec: Codec<T>,
        _ rules: [Rule] = [],
        make: @escaping @Sendable (T) -> Choice,
        get: @escaping @Sendable (Choice) -> T?
    ) {
        append(
            number,
            name,
            oneof: oneof,
            codec,
            rules,
            get: { $0[keyPath: path].flatMap(get) },
            set: { $0[keyPath: path] = make($1) }
        )
    }

    @_semantics("optimize.sil.specialize.generic.never")
    private mutating func append<T>(
        _ number: Int,
        _ name: String,
        oneof: String?,
        _ codec: Codec<T>,
        _ rules: [Rule],
        get: @escaping @Sendable (Message) -> T?,
        set: @escaping @Sendable (inout Message, T) -> Void
    ) {
        facts.append(FieldFacts(number, name, of: oneof, codec, rules))
        fields.append(
            Field(
                read: { value, message, reader in
                    if let new = codec.read(value, &reader) { set(&message, new) }
                },
                write: { get($0).map(codec.write) },
                decode: { contents, message, reader in
                    if let new = codec.decode(last: contents, &reader) { set(&message, new) }
                },
                encode: { message, writer in
                    if let value = get(message) { codec.encode(value, number, &writer) }
                },
                check: { message, isDeep, reader in
                    guard let value = get(message) else {
                        // Of a oneof's members none is required by itself.
                        if oneof == nil, rules.contains(.required) { reader.report(.missing, "required") }
                        return
                    }
                    reader.apply(rules, codec.subject(value))
                    if isDeep { codec.check?(value, &reader) }
                },
                isSet: { get($0) != nil }
            )
        )
    }

    /// A list.
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func repeated<T>(
        _ number: Int,
        _ name: String,
        _ path: any WritableKeyPath<Message, [T]> & Sendable,
        _ codec: Codec<T>,
        _ rules: [Rule] = []
    ) {
        facts.append(FieldFacts(number, name, codec, rules))
        fields.append(
            Field(
                read: { value, message, reader in
                    guard case .array(let elements) = value else { return reader.wrongType("an array", value) }
                    message[keyPath: path] = reader.elements(elements) { codec.read($0, &$1) }
                },
                write: { message in
                    let elements = message[keyPath: path]
                    return elements.isEmpty ? Value?.none : .array(elements.map(codec.write))
                },
                decode: { contents, message, reader in
                    let elements = codec.unpacked(contents, &reader)
                    message[keyPath: path] = reader.elements(elements) { codec.decode($0, &$1) }
                },
                encode: { message, writer in
                    let elements = message[keyPath: path]
                    if let varint = codec.varint {
                        if !elements.isEmpty { writer.packed(number, elements.map(varint)) }
                    } else {
                        for element in elements { codec.encode(element, number, &writer) }
                    }
                },
                check: { message, isDeep, reader in
                    let elements = message[keyPath: path]
                    reader.apply(rules, count: elements.count)
                    let rules = rules.filter { !$0.concernsCount }
                    guard !rules.isEmpty || isDeep else { return }
                    for (index, element) in elements.enumerated() {
                        reader.within(element: index) { reader in
                            reader.apply(rules, codec.subject(element))
                            if isDeep { codec.check?(element, &reader) }
                        }
                    }
                },
                isSet: { !$0[keyPath: path].isEmpty }
            )
        )
    }

    /// A map from strings.
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func map<T>(
        _ number: Int,
        _ name: String,
        _ path: any WritableKeyPath<Message, [String: T]> & Sendable,
        _ codec: Codec<T>,
        _ rules: [Rule] = []
    ) {
        facts.append(FieldFacts(number, name, codec, rules))
        fields.append(
            Field(
                read: { value, message, reader in
                    guard case .object(let entries) = value else { return reader.wrongType("an object", value) }
                    for (key, value) in entries {
                        reader.within(key: key) { message[keyPath: path][key] = codec.read(value, &$0) }
                    }
                },
                write: { message in
                    let entries = message[keyPath: path].sorted { $0.key < $1.key }
                    return entries.isEmpty
                        ? Value?.none : .object(Fields(entries.map { ($0.key, codec.write($0.value)) }))
                },
                decode: { contents, message, reader in
                    for content in contents {
                        guard let (key, value) = codec.decode(entry: content, &reader) else { continue }
                        message[keyPath: path][key] = value
                    }
                },
                encode: { message, writer in
                    for (key, value) in message[keyPath: path].sorted(by: { $0.key < $1.key }) {
                        var entry = ProtobufWriter()
                        if !key.isEmpty { entry.text(1, key) }
                        codec.encode(value, 2, &entry)
                        writer.run(number, entry.bytes)
                    }
                },
                check: { message, isDeep, reader in
                    reader.apply(rules, count: message[keyPath: path].count)
                    guard isDeep, let check = codec.check else { return }
                    for (key, value) in message[keyPath: path].sorted(by: { $0.key < $1.key }) {
                        reader.within(key: key) { check(value, &$0) }
                    }
                },
                isSet: { !$0[keyPath: path].isEmpty }
            )
        )
    }

    /// Declares a group of fields of which at most one, or exactly one, is there.
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func oneof(_ name: String, isRequired: Bool = false) {
        oneofs.append(Oneof(name: name, isRequired: isRequired))
    }

    /// Fields that Envoy has and weft-proxy has not, as `name=number name=number`; `why` says what to do instead.
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func unsupported(_ table: String, of oneof: String? = nil, why: String = "") {
        let message = why.isEmpty ? "not supported by weft-proxy" : "not supported by weft-proxy: \(why)"
        for (name, number) in numbered(table) {
            appendEmpty(number, name, of: oneof, .none, why) { $0.report(.unsupported, message) }
        }
    }

    /// Fields that are accepted, with a warning, because there is nothing here that they could change; `why` says so after
    /// "has no meaning here: ".
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func ignored(_ table: String, why: String) {
        for (name, number) in numbered(table) {
            appendEmpty(number, name, of: nil, .ignored, why) { $0.report(.ignored, "has no meaning here: \(why)") }
        }
    }

    /// Fields above that are read, and given on, but change nothing here; `why` says so as in `ignored`.
    @_semantics("optimize.sil.specialize.generic.never")
    package mutating func noted(_ names: String, why: String) {
        for name in names.split(separator: " ") {
            guard let index = facts.firstIndex(where: { $0.name == name }) else {
                preconditionFailure("there is no field \(name)")
            }
            facts[index].support = .ignored
            facts[index].why = why
            fields[index] = fields[index].warning("has no meaning here: \(why)")
        }
    }

    @_semantics("optimize.sil.specialize.generic.never")
    private mutating func appendEmpty(
        _ number: Int,
        _ name: String,
        of oneof: String?,
        _ support: FieldFacts.Support,
        _ why: String,
        _ report: @escaping @Sendable (inout SchemaReader) -> Void
    ) {
        facts.append(
            FieldFacts(number: number, name: name, oneof: oneof, support: support, why: why, isCarried: false)
        )
        fields.append(
            Field(
                read: { value, _, reader in if value != .array([]) { report(&reader) } },
                write: { _ in nil },
                decode: { _, _, reader in report(&reader) },
                encode: { _, _ in },
                check: { _, _, _ in },
                isSet: { _ in false }
            )
        )
    }
}

extension FieldFacts {
    @_semantics("optimize.sil.specialize.generic.never")
    fileprivate init<T>(_ number: Int, _ name: String, of oneof: String? = nil, _ codec: Codec<T>, _ rules: [Rule]) {
        self.init(
            number: number,
            name: name,
            oneof: oneof,
            hasRules: !rules.isEmpty,
            isNested: codec.check != nil,
            outline: codec.outline
        )
    }
}

extension Codec {
    /// A field that is no list: its last occurrence, or all of a message's parts together.
    fileprivate func decode(last contents: [Protobuf.Content], _ reader: inout SchemaReader) -> T? {
        guard let last = contents.last else { return nil }
        guard isMergeable, contents.count > 1 else { return decode(last, &reader) }
        var whole: [UInt8] = []
        for content in contents {
            guard let part = reader.run(content) else { return nil }
            whole += part
        }
        return decode(.bytes(whole[...]), &reader)
    }

    /// The elements of a list, whose numbers may be packed.
    fileprivate func unpacked(
        _ contents: [Protobuf.Content],
        _ reader: inout SchemaReader
    ) -> [Protobuf.Content] {
        guard varint != nil else { return contents }
        var elements: [Protobuf.Content] = []
        for content in contents {
            guard case .bytes(let run) = content else {
                elements.append(content)
                continue
            }
            do throws(WireError) {
                elements += try ProtobufReader.packed(run).map { .varint($0) }
            } catch {
                reader.report(.malformed, error.message)
            }
        }
        return elements
    }

    fileprivate func decode(entry content: Protobuf.Content, _ reader: inout SchemaReader) -> (String, T)? {
        guard let run = reader.run(content) else { return nil }
        var key = ""
        var found: Protobuf.Content?
        reader.fields(of: run) { field, reader in
            if field.number == 1 { key = Codec<String>.string.decode(field.content, &reader) ?? "" }
            if field.number == 2 { found = field.content }
        }
        let content = found ?? .bytes([])
        return reader.within(key: key) { decode(content, &$0) }.map { (key, $0) }
    }
}

extension SchemaReader {
    fileprivate mutating func apply(_ rules: [Rule], _ subject: Rule.Subject) {
        for rule in rules {
            if let violation = rule.violation(subject) { return report(.outOfRange, violation) }
        }
    }

    fileprivate mutating func apply(_ rules: [Rule], count: Int) {
        for rule in rules {
            guard let violation = rule.violation(count: count) else { continue }
            return report(count == 0 ? .missing : .outOfRange, violation)
        }
    }

    fileprivate mutating func elements<Element, T>(
        _ elements: [Element],
        _ read: (Element, inout SchemaReader) -> T?
    ) -> [T] {
        var result: [T] = []
        result.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            if let new = within(element: index, { read(element, &$0) }) { result.append(new) }
        }
        return result
    }
}
