/// A map that an expression made: entries in their order, found by key.
package struct CELMap: Sendable {
    private(set) var entries: [(key: CELValue, value: CELValue)] = []
    private var places: [CELKey: Int] = [:]

    init() {}

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    /// The value of a key; nil when there is none, also when no map can have such a key.
    func value(of key: CELValue) -> CELValue? {
        CELKey(key).flatMap { places[$0] }.map { entries[$0].value }
    }

    /// Adds an entry.
    mutating func insert(_ key: CELValue, _ value: CELValue) throws(CELFailure) {
        if case .double = key { throw CELFailure("unsupported key type: double") }
        guard let place = CELKey(key) else { throw CELFailure("unsupported key type: \(key.typeName)") }
        guard places[place] == nil else { throw CELFailure("Failed with repeated key") }
        places[place] = entries.count
        entries.append((key, value))
    }
}

/// A key as it is compared: whole numbers by their value, whatever their type; texts by their bytes.
enum CELKey: Hashable {
    case bool(Bool)
    case number(Int128)
    case text(ContiguousArray<UInt8>)

    init?(_ value: CELValue) {
        switch value {
        case .bool(let truth): self = .bool(truth)
        case .int(let number): self = .number(Int128(number))
        case .uint(let number): self = .number(Int128(number))
        case .double(let number):
            guard let whole = Int128(exactly: number) else { return nil }
            self = .number(whole)
        case .string(let text): self = .text(ContiguousArray(text.utf8))
        default: return nil
        }
    }
}
