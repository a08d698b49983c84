/// Names and values that tell series of one metric apart: sorted by name, each name once.
package struct LabelSet: Hashable, Sendable {
    package struct Label: Hashable, Sendable {
        package let name: String
        package let value: String
    }
    package private(set) var labels: [Label] = []

    package static let empty = LabelSet()

    package init() {}

    /// Labels from pairs; of pairs with the same name the last one counts. Names are made valid for Prometheus
    /// (`[a-zA-Z_][a-zA-Z0-9_]*`): other characters become `_`.
    package init(_ pairs: [(String, String)]) {
        for (name, value) in pairs { self[Self.validName(name)] = value }
    }

    package var isEmpty: Bool { labels.isEmpty }

    /// The value of a label, or nil. Setting nil removes the label.
    package subscript(name: String) -> String? {
        get { labels.first { $0.name == name }?.value }
        set {
            labels.removeAll { $0.name == name }
            guard let newValue else { return }
            let place = labels.firstIndex { $0.name > name } ?? labels.count
            labels.insert(Label(name: name, value: newValue), at: place)
        }
    }

    /// These labels and the others; the others win where both have a name.
    package func merging(_ others: LabelSet) -> LabelSet {
        guard !others.isEmpty else { return self }
        var merged = self
        for label in others.labels { merged[label.name] = label.value }
        return merged
    }

    static func validName(_ name: String) -> String {
        var bytes: [UInt8] = []
        for byte in name.utf8 {
            let isLetter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A
            let isDigit = byte >= 0x30 && byte <= 0x39
            if isDigit, bytes.isEmpty { bytes.append(0x5F) }
            bytes.append(isLetter || isDigit || byte == 0x5F ? byte : 0x5F)
        }
        return bytes.isEmpty ? "_" : String(decoding: bytes, as: UTF8.self)
    }
}
