/// All kinds of one store at one moment: those of the house, and those that definitions add.
///
/// A value; a store gives a new one when a definition changes.
package struct ServedTypes: Sendable {
    /// Custom kinds that are served, by the names of their definitions.
    package private(set) var custom: [String: CustomKind] = [:]
    /// Kinds whose definition is being deleted: nothing new may be made of them.
    package private(set) var terminating: Set<String> = []
    /// The served types of custom kinds, in the order of discovery.
    package private(set) var customTypes: [ResourceType] = []
    private var byKind: [String: [ResourceType]] = [:]

    package init() {}

    /// Adds a kind or takes its place; nil takes it away.
    package mutating func set(_ definition: String, _ kind: CustomKind?, isTerminating: Bool = false) {
        custom[definition] = kind
        if isTerminating, kind != nil { terminating.insert(definition) } else { terminating.remove(definition) }
        customTypes = custom.sorted { ($0.value.group, $0.key) < ($1.value.group, $1.key) }.flatMap(\.value.served)
        byKind = Dictionary(grouping: customTypes, by: \.kind)
    }

    /// Every served type; of a custom kind each served version.
    package var all: [ResourceType] { customTypes.isEmpty ? ResourceTypes.all : ResourceTypes.all + customTypes }

    /// One type for each kind: of custom ones that in which objects are kept.
    package var kinds: [ResourceType] {
        custom.isEmpty ? ResourceTypes.all : ResourceTypes.all + custom.values.map(\.storage)
    }

    /// The type of an object by what stands in it, or nil when no such kind is served.
    package func find(apiVersion: String, kind: String) -> ResourceType? {
        if let found = ResourceTypes.find(apiVersion: apiVersion, kind: kind) { return found }
        return byKind[kind]?.first { $0.apiVersion == apiVersion }
    }

    /// The type behind a URL's group, version and plural.
    package func find(group: String, version: String, plural: String) -> ResourceType? {
        if let found = ResourceTypes.find(group: group, version: version, plural: plural) { return found }
        return customTypes.first { $0.plural == plural && $0.version == version && $0.group == group }
    }

    /// The type in which objects of a custom kind are kept.
    package func storage(group: String, kind: String) -> ResourceType? {
        custom.values.first { $0.group == group && $0.kind == kind }?.storage
    }

    /// Whether a version of a group has any kind.
    package func hasVersion(group: String, version: String) -> Bool {
        let isIt = { (type: ResourceType) in type.group == group && type.version == version }
        return ResourceTypes.all.contains(where: isIt) || customTypes.contains(where: isIt)
    }

    /// Whether the definition of a type is being deleted.
    package func isTerminating(_ type: ResourceType) -> Bool {
        !terminating.isEmpty && terminating.contains("\(type.plural).\(type.group)")
    }
}
