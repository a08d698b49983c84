import Resources
import Wire

/// The kinds that a command may name: those of the house, those that the daemon serves beside them, and those that
/// manifests define.
struct Kinds: Sendable {
    /// Custom kinds in every served version; of one kind the preferred version first.
    private var custom: [ResourceType] = []

    /// The custom kinds among what a daemon serves, by its discovery.
    static func served(by client: APIClient) async throws -> Kinds {
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        let groups = try await client.call("GET", "/apis", accept: accept)
        var kinds = Kinds()
        for group in groups.list("items") {
            let name = group["metadata"]?.text("name") ?? ""
            for version in group.list("versions") {
                for resource in version.list("resources") {
                    guard let type = Self.type(resource, name, version.text("version") ?? "") else { continue }
                    kinds.custom.append(type)
                }
            }
        }
        return kinds
    }

    /// A resource of discovery as a type; nil for those of the house, and for those that are no objects.
    private static func type(_ resource: Value, _ group: String, _ version: String) -> ResourceType? {
        let plural = resource.text("resource") ?? ""
        let verbs = resource.texts("verbs")
        guard verbs.contains("list"), verbs.contains("create"), !plural.isEmpty,
            !ResourceTypes.all.contains(where: { $0.group == group && $0.plural == plural })
        else { return nil }
        let subresources = resource.list("subresources").compactMap { $0.text("subresource") }
        return ResourceType(
            group: group,
            version: version,
            plural: plural,
            kind: resource["responseKind"]?.text("kind") ?? "",
            shortNames: resource.texts("shortNames"),
            categories: resource.texts("categories"),
            isNamespaced: resource.text("scope") == "Namespaced",
            hasStatus: subresources.contains("status"),
            hasScale: subresources.contains("scale"),
            singular: resource.text("singularResource")
        )
    }

    /// Adds a kind with its schemas, in place of what was known of it.
    mutating func add(_ kind: CustomKind) {
        custom.removeAll { $0.group == kind.group && $0.plural == kind.plural }
        custom += kind.served
    }

    /// Adds the kinds of others that are not known here.
    mutating func add(_ others: Kinds) {
        let known = Set(custom.map(\.qualifiedPlural))
        custom += others.custom.filter { !known.contains($0.qualifiedPlural) }
    }

    /// Fetches the schemas of a kind from the daemon, so that its objects can be checked before they are sent.
    mutating func learn(_ type: ResourceType, from client: APIClient) async throws {
        let path = APIPath.of(ResourceTypes.definitions, namespace: nil, name: type.qualifiedPlural)
        guard let found = try await client.find(path),
            let kind = Definition.kind(of: Object(found), rules: Self.withoutRules)
        else { return }
        add(kind)
    }

    /// Rules are checked by the daemon alone.
    static let withoutRules: CustomRuleCompiler = { _, _ in (nil, []) }

    /// The type that a person means, by the words that `ResourceTypes.find(named:)` takes, too.
    func find(named word: String) -> ResourceType? {
        ResourceTypes.find(named: word) ?? ResourceTypes.find(named: word, in: custom)
    }

    /// The type of an object by what stands in it.
    func find(apiVersion: String, kind: String) -> ResourceType? {
        ResourceTypes.find(apiVersion: apiVersion, kind: kind)
            ?? custom.first { $0.apiVersion == apiVersion && $0.kind == kind }
    }

    /// The types of a category, each in its preferred version.
    func category(_ name: String) -> [ResourceType] {
        var seen: Set<String> = []
        return ResourceTypes.category(name)
            + custom.filter { $0.categories.contains(name) && seen.insert($0.qualifiedPlural).inserted }
    }

    /// Every type, for suggestions.
    var all: [ResourceType] { ResourceTypes.all + custom }

    /// Every word that `find(named:)` knows, for suggestions.
    var words: [String] { ResourceTypes.words + custom.flatMap { [$0.plural, $0.singular] + $0.shortNames } }
}

extension ResourceType {
    /// False for kinds that definitions add.
    var isOfTheHouse: Bool { ResourceTypes.find(apiVersion: apiVersion, kind: kind) != nil }

    /// The kind in what a command prints: `pod`; with its group when it is a custom one.
    var word: String { isOfTheHouse ? singular : qualifiedSingular }
}
