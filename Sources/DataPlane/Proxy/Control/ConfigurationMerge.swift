import Wire

/// One configuration laid over another, as protobuf merges messages: lists grow, messages merge, everything else is replaced.
enum ConfigurationMerge {
    static func merge(_ base: Value, _ more: Value) -> Value {
        switch (base, more) {
        case (.object(let old), .object(let new)): .object(merge(old, new))
        case (.array(let old), .array(let new)): .array(old + new)
        default: more
        }
    }

    private static func merge(_ base: Fields, _ more: Fields) -> Fields {
        var pairs = base.map { ($0.name, $0.value) }
        for (name, value) in more {
            // Both spellings of a field's name are the same field.
            if let place = pairs.firstIndex(where: { $0.0 == name || plain($0.0) == plain(name) }) {
                pairs[place].1 = merge(pairs[place].1, value)
            } else {
                pairs.append((name, value))
            }
        }
        return Fields(pairs)
    }

    private static func plain(_ name: String) -> [UInt8] { name.lowercased().utf8.filter { $0 != 0x5F } }
}
