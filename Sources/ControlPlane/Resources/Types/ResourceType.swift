/// One kind of object that the API serves: its names and where it lives.
///
/// Two types are equal when group, version and kind are. Every type of the house stands in `ResourceTypes`.
package struct ResourceType: Sendable {
    /// The API group; empty for the core group (`v1`).
    package let group: String
    package let version: String
    /// The name in URLs and on command lines: `deployments`.
    package let plural: String
    package let kind: String
    package let singular: String
    package let shortNames: [String]
    package let categories: [String]
    package let isNamespaced: Bool
    /// False for kinds that Weft keeps but does nothing about: whoever applies one gets a warning.
    package let isActedOn: Bool
    /// Whether `status` is written apart from the rest.
    package let hasStatus: Bool
    /// Whether the kind has a `scale` sub-resource.
    package let hasScale: Bool

    /// `v1` or `apps/v1`: what stands in an object's `apiVersion`.
    package let apiVersion: String

    package init(
        group: String,
        version: String,
        plural: String,
        kind: String,
        shortNames: [String] = [],
        categories: [String] = [],
        isNamespaced: Bool = true,
        isActedOn: Bool = false,
        hasStatus: Bool = false,
        hasScale: Bool = false
    ) {
        self.group = group
        self.version = version
        self.plural = plural
        self.kind = kind
        self.singular = kind.lowercased()
        self.shortNames = shortNames
        self.categories = categories
        self.isNamespaced = isNamespaced
        self.isActedOn = isActedOn
        self.hasStatus = hasStatus
        self.hasScale = hasScale
        self.apiVersion = group.isEmpty ? version : "\(group)/\(version)"
    }

    /// `pods` or `deployments.apps`: the name in messages.
    package var qualifiedPlural: String { group.isEmpty ? plural : "\(plural).\(group)" }

    /// `pod` or `deployment.apps`: the name in what a command prints.
    package var qualifiedSingular: String { group.isEmpty ? singular : "\(singular).\(group)" }

    /// The kind of a list of these: `PodList`.
    package var listKind: String { kind + "List" }
}

extension ResourceType: Hashable {
    package static func == (left: ResourceType, right: ResourceType) -> Bool {
        left.kind == right.kind && left.apiVersion == right.apiVersion
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(group)
    }
}
