/// One kind of object that the API serves: its names and where it lives.
///
/// Two types are equal when group, version and kind are; the versions of a custom kind are one type, for their objects are
/// the same ones. Every type of the house stands in `ResourceTypes`, those that definitions add in `ServedTypes`.
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

    /// What a definition says of a custom kind; nil for the kinds of the house.
    package let custom: CustomVersion?

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
        hasScale: Bool = false,
        singular: String? = nil,
        custom: CustomVersion? = nil
    ) {
        self.group = group
        self.version = version
        self.plural = plural
        self.kind = kind
        self.singular = singular ?? kind.lowercased()
        self.custom = custom
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
    package var listKind: String { custom?.listKind ?? kind + "List" }
}

extension ResourceType: Hashable {
    package static func == (left: ResourceType, right: ResourceType) -> Bool {
        guard left.kind == right.kind, left.group == right.group else { return false }
        return left.version == right.version || left.custom != nil && right.custom != nil
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(group)
    }
}

extension ResourceType {
    /// Versions of a group in the order in which clients are to prefer them: `v2`, `v1`, `v1beta1`, others.
    package static func preferred(_ versions: [String]) -> [String] {
        versions.sorted { VersionOrder($0) < VersionOrder($1) }
    }
}
