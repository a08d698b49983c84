package import Wire

// Short readers for the typed views: a missing field and one of the wrong type read alike, so that no odd value traps.
extension Value {
    /// The text of a field, or nil.
    package func text(_ name: String) -> String? { self[name]?.stringValue }

    /// The whole number of a field, or nil.
    package func integer(_ name: String) -> Int? { self[name]?.intValue }

    /// The truth of a field; false when it is missing.
    package func flag(_ name: String) -> Bool { self[name]?.boolValue ?? false }

    /// The elements of a list field; empty when it is missing.
    package func list(_ name: String) -> [Value] { self[name]?.arrayValue ?? [] }

    /// The texts of a list field; elements of other types are left out.
    package func texts(_ name: String) -> [String] { list(name).compactMap(\.stringValue) }

    /// A map of texts; values of other types are left out.
    package func textMap(_ name: String) -> [String: String] {
        guard let fields = self[name]?.fields else { return [:] }
        var map: [String: String] = [:]
        for (key, value) in fields { map[key] = value.stringValue }
        return map
    }

    /// A map of texts as a value, keys sorted; nil when empty.
    package static func map(_ texts: [String: String]) -> Value? {
        guard !texts.isEmpty else { return nil }
        return .object(Fields(texts.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
    }
}
