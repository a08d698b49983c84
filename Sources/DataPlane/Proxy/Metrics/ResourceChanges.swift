/// How often resources came, changed and went, and what the runtime holds.
struct ResourceChanges: Sendable {
    struct Kind: Sendable {
        var added: UInt64 = 0
        var modified: UInt64 = 0
        var removed: UInt64 = 0

        mutating func count(isNew: Bool) {
            if isNew { added &+= 1 } else { modified &+= 1 }
        }
    }
    var listeners = Kind()
    var clusters = Kind()
    var runtimeKeys = 0
    var runtimeLayers = 0
    var runtimeLoads: UInt64 = 0
    var overridesRuntime = false
}
