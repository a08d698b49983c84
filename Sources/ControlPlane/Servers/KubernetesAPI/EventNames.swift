import Wire

/// What `events.k8s.io/v1` calls the fields of an Event that the core calls otherwise.
enum EventNames {
    private static let pairs = [
        ("involvedObject", "regarding"), ("message", "note"), ("reportingComponent", "reportingController"),
        ("source", "deprecatedSource"), ("count", "deprecatedCount"), ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
    ]

    static func outward(_ value: Value) -> Value {
        var value = value
        for (core, name) in pairs {
            value[name] = value[core]
            value[core] = nil
        }
        return value
    }

    /// The core's own names mean nothing here.
    static func inward(_ value: Value) -> Value {
        var value = value
        for (core, name) in pairs {
            value[core] = value[name]
            value[name] = nil
        }
        // An Event may be about nothing, but the core asks for the field.
        if value["involvedObject"] == nil { value["involvedObject"] = [:] }
        return value
    }

    /// One requirement of a field selector.
    static func inward(_ requirement: Substring) -> String {
        for (core, name) in pairs where requirement.hasPrefix(name) {
            let rest = requirement.dropFirst(name.count)
            if let next = rest.first, ".=!".contains(next) { return core + rest }
        }
        return String(requirement)
    }
}
