/// The fields of an object: names and values in the order in which they were written, each name once.
///
/// Look-up scans up to 12 fields and uses an index beyond (a ConfigMap may hold thousands).
public struct Fields: Sendable {
    private var entries: [(name: String, value: Value)] = []
    private var index: [String: Int]?

    /// Above this many fields a dictionary finds a name faster than a scan.
    private static let scanLimit = 12

    public init() {}

    /// Fields from pairs; of pairs with the same name the last one counts.
    public init(_ pairs: some Sequence<(String, Value)>) {
        for (name, value) in pairs { self[name] = value }
    }

    public var count: Int { entries.count }
    public var isEmpty: Bool { entries.isEmpty }
    public var names: [String] { entries.map(\.name) }

    /// The value of a field, or nil. Setting nil removes the field.
    public subscript(name: String) -> Value? {
        get { position(of: name).map { entries[$0].value } }
        set {
            switch (position(of: name), newValue) {
            case (let found?, let value?): entries[found].value = value
            case (let found?, nil):
                entries.remove(at: found)
                if index != nil { rebuildIndex() }
            case (nil, let value?):
                index?[name] = entries.count
                entries.append((name, value))
                if index == nil, entries.count > Self.scanLimit { rebuildIndex() }
            case (nil, nil): break
            }
        }
    }

    private func position(of name: String) -> Int? {
        if let index { return index[name] }
        return entries.firstIndex { $0.name == name }
    }

    private mutating func rebuildIndex() {
        index = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
    }
}

extension Fields: Sequence {
    public func makeIterator() -> some IteratorProtocol<(name: String, value: Value)> { entries.makeIterator() }
}

extension Fields: Equatable {
    public static func == (left: Fields, right: Fields) -> Bool {
        left.count == right.count && left.allSatisfy { right[$0.name] == $0.value }
    }
}
