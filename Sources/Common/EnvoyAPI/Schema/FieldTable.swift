import Wire

/// One row of a message's table, as far as it does not depend on the message's type.
struct FieldFacts: Sendable {
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
    /// Whether messages have a place for it.
    var isCarried = true
    /// Whether a value of this field can be wrong by itself.
    var hasRules = false
    /// Whether the value holds messages with rules of their own.
    var isNested = false
    /// What stands in it.
    var outline: FieldOutline = .plain
}

/// A group of fields of which at most one is there.
struct Oneof: Sendable {
    let name: String
    let isRequired: Bool
    var members: FieldSet = []
}

/// Some of a message's fields, by their places in its table.
struct FieldSet: OptionSet, Sendable {
    /// A table has at most as many fields.
    static let capacity = UInt128.bitWidth

    var rawValue: UInt128 = 0

    init(rawValue: UInt128) { self.rawValue = rawValue }
    init(index: Int) { rawValue = 1 << UInt128(truncatingIfNeeded: index) }

    func contains(index: Int) -> Bool { contains(FieldSet(index: index)) }
}

/// The walk over a message's fields, written once for all messages: what it does with a field it is told by closures.
///
/// The compiler makes no copy of this for each of some hundred messages, which would take it minutes.
struct FieldTable: Sendable {
    /// The full name of the message, as `envoy.config.listener.v3.Listener`.
    let name: String
    let facts: [FieldFacts]
    private let oneofs: [Oneof]
    private let indexOfName: [String: Int]
    private let indexOfNumber: [Int: Int]
    /// The fields that messages have a place for, in the order of the table.
    let carried: [Int]
    /// The same in the order of their numbers.
    let carriedByNumber: [Int]
    /// Those of which a value that was read can be wrong.
    private let ruled: [Int]
    /// Those of which a value that was made in memory can be wrong.
    private let checked: [Int]

    /// What a walk has found.
    struct Progress {
        let errorsBefore: Int
        /// The fields that a JSON document has.
        var set: FieldSet = []
        /// The fields whose values are wrong already.
        var failed: FieldSet = []
    }

    init(_ name: String, _ facts: [FieldFacts], _ oneofs: [Oneof]) {
        precondition(facts.count <= FieldSet.capacity, "\(name) has \(facts.count) fields")
        self.name = name
        self.facts = facts
        var names: [String: Int] = [:]
        var numbers: [Int: Int] = [:]
        for (index, field) in facts.enumerated() {
            names[field.name] = index
            names[lowerCamelCase(field.name)] = index
            precondition(numbers.updateValue(index, forKey: field.number) == nil, "\(name) has \(field.number) twice")
        }
        indexOfName = names
        indexOfNumber = numbers
        self.oneofs = oneofs.map { oneof in
            var group = oneof
            for index in facts.indices where facts[index].oneof == oneof.name {
                group.members.insert(FieldSet(index: index))
            }
            return group
        }
        carried = facts.indices.filter { facts[$0].isCarried }
        carriedByNumber = carried.sorted { facts[$0].number < facts[$1].number }
        ruled = carried.filter { facts[$0].hasRules }
        checked = carried.filter { facts[$0].hasRules || facts[$0].isNested }
    }

    /// Walks over the fields of an object; with `isAny` it holds `@type` beside them.
    func read(
        _ object: Fields,
        isAny: Bool,
        _ reader: inout SchemaReader,
        _ read: (_ index: Int, Value, inout SchemaReader) -> Void
    ) -> Progress {
        var progress = Progress(errorsBefore: reader.errorCount)
        for (name, value) in object where !(isAny && name == "@type") {
            guard let index = indexOfName[name] else {
                reader.report(.unknown, at: name, unknown(name))
                continue
            }
            guard !value.isNull else { continue }
            let field = facts[index].name
            reader.within(field: field) { reader in
                let errors = reader.errorCount
                if !progress.set.insert(FieldSet(index: index)).inserted {
                    reader.report(.conflict, "is there twice, also as \(name == field ? lowerCamelCase(name) : field)")
                }
                read(index, value, &reader)
                if reader.errorCount != errors { progress.failed.insert(FieldSet(index: index)) }
            }
        }
        return progress
    }

    /// Walks over the fields of a message in protobuf, each with all that stands of it there.
    func decode(
        _ bytes: ArraySlice<UInt8>,
        _ reader: inout SchemaReader,
        _ decode: (_ index: Int, [Protobuf.Content], inout SchemaReader) -> Void
    ) -> Progress {
        // A oneof with several members on the wire is no conflict, and `set` stays empty: protobuf lets the last one count.
        var progress = Progress(errorsBefore: reader.errorCount)
        // In the order of their last occurrence, for that.
        var found: [(index: Int, contents: [Protobuf.Content])] = []
        var seen: FieldSet = []
        reader.fields(of: bytes) { field, _ in
            guard let index = indexOfNumber[field.number] else { return }
            if seen.insert(FieldSet(index: index)).inserted {
                found.append((index, [field.content]))
                return
            }
            if found.last?.index != index, let place = found.firstIndex(where: { $0.index == index }) {
                found.append(found.remove(at: place))
            }
            found[found.count - 1].contents.append(field.content)
        }
        for (index, contents) in found {
            reader.within(field: facts[index].name) { reader in
                let errors = reader.errorCount
                decode(index, contents, &reader)
                if reader.errorCount != errors { progress.failed.insert(FieldSet(index: index)) }
            }
        }
        return progress
    }

    /// Applies the rules to what was read. True when all is well so far.
    func check(
        _ progress: Progress,
        _ reader: inout SchemaReader,
        _ check: (_ index: Int, inout SchemaReader) -> Void,
        isSet: (_ index: Int) -> Bool
    ) -> Bool {
        for index in ruled where !progress.failed.contains(index: index) {
            reader.within(field: facts[index].name) { check(index, &$0) }
        }
        checkOneofs(progress, &reader, isSet: isSet)
        return reader.errorCount == progress.errorsBefore
    }

    /// Applies the rules to a message that was made in memory, and to those in it. True when all is well so far.
    func checkAll(
        _ reader: inout SchemaReader,
        _ check: (_ index: Int, inout SchemaReader) -> Void,
        isSet: (_ index: Int) -> Bool
    ) -> Bool {
        let progress = Progress(errorsBefore: reader.errorCount)
        for index in checked {
            reader.within(field: facts[index].name) { check(index, &$0) }
        }
        checkOneofs(progress, &reader, isSet: isSet)
        return reader.errorCount == progress.errorsBefore
    }

    private func checkOneofs(_ progress: Progress, _ reader: inout SchemaReader, isSet: (Int) -> Bool) {
        for oneof in oneofs {
            let present = names(progress.set.intersection(oneof.members))
            if present.count > 1 {
                reader.report(.conflict, "\(present.joined(separator: " and ")) exclude one another")
            }
            guard oneof.isRequired, present.isEmpty, progress.failed.isDisjoint(with: oneof.members) else { continue }
            guard !carried.contains(where: { oneof.members.contains(index: $0) && isSet($0) }) else { continue }
            let supported = names(oneof.members) { $0.support == .full }
            reader.report(
                .missing,
                supported.count == 1
                    ? "\(supported[0]) is required" : "one of \(supported.joined(separator: ", ")) is required"
            )
        }
    }

    /// The names of some fields, in the order of the table.
    func names(_ fields: FieldSet = FieldSet(rawValue: .max), where isWanted: (FieldFacts) -> Bool = { _ in true })
        -> [String]
    {
        guard !fields.isEmpty else { return [] }
        return facts.indices.filter { fields.contains(index: $0) && isWanted(facts[$0]) }.map { facts[$0].name }
    }

    private func unknown(_ name: String) -> String {
        let guess = closest(to: name, among: indexOfName.keys.sorted { ($0.utf8.count, $0) < ($1.utf8.count, $1) })
        let field = guess.flatMap { indexOfName[$0] }.map { facts[$0].name }
        return "unknown field of \(self.name)" + (field.map { "; did you mean \($0)?" } ?? "")
    }

    /// The table as a page shows it.
    var outline: MessageOutline {
        MessageOutline(
            name: name,
            fields: facts.map { field in
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
}

/// `filter_chains` -> `filterChains`: the name that proto3's JSON has beside the original one.
private func lowerCamelCase(_ name: String) -> String {
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
