import Resources
import Store
import Wire

// What clients ask first: which groups, versions and kinds there are (the form without aggregation, which all still read).
extension KubernetesAPI {
    private static let ownGroups: [(name: String, versions: [String])] = {
        var groups: [(name: String, versions: [String])] = []
        for type in ResourceTypes.all where !type.group.isEmpty {
            if let index = groups.firstIndex(where: { $0.name == type.group }) {
                if !groups[index].versions.contains(type.version) { groups[index].versions.append(type.version) }
            } else {
                groups.append((type.group, [type.version]))
            }
        }
        for older in OlderVersion.all {
            if let index = groups.firstIndex(where: { $0.name == older.group }) {
                groups[index].versions.append(older.version)
            } else {
                groups.append((older.group, [older.version]))
            }
        }
        return groups + [
            (authentication, ["v1"]), (authorization, ["v1"]), (metricsGroup, [metricsVersion]),
            (ResourceTypes.liveGroup, ["v1alpha1"]),
        ]
    }()

    /// The groups of the house, then those of custom kinds: of names that both have, clients take the first.
    private var groups: [(name: String, versions: [String])] {
        var groups = Self.ownGroups
        for type in store.types.customTypes {
            if let index = groups.firstIndex(where: { $0.name == type.group }) {
                if !groups[index].versions.contains(type.version) { groups[index].versions.append(type.version) }
            } else {
                groups.append((type.group, [type.version]))
            }
        }
        return groups.enumerated().map { index, group in
            // The order of the house's own stands; that of others is by age and stability.
            index < Self.ownGroups.count ? group : (group.name, ResourceType.preferred(group.versions))
        }
    }

    /// `/api`, `/apis` and `/apis/<group>`.
    func discovery(_ request: HTTPRequest, _ segments: [String]) throws(APIError) -> HTTPResponse {
        guard request.method == "GET" else { throw Self.wrongMethod }
        if segments.count == 1, let version = Self.aggregation(request) {
            return aggregated(isCore: segments == ["api"], version)
        }
        if segments == ["api"] {
            return Self.json([
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [["clientCIDR": "0.0.0.0/0", "serverAddress": ""]],
            ])
        }
        if segments == ["apis"] {
            return Self.json([
                "kind": "APIGroupList", "apiVersion": "v1", "groups": .array(groups.map(Self.group)),
            ])
        }
        guard let group = groups.first(where: { $0.name == segments[1] }) else { throw Self.unknownPath }
        var value = Self.group(group)
        value["kind"] = "APIGroup"
        value["apiVersion"] = "v1"
        return Self.json(value)
    }

    private static func group(_ group: (name: String, versions: [String])) -> Value {
        let versions = group.versions.map { version -> Value in
            ["groupVersion": .string("\(group.name)/\(version)"), "version": .string(version)]
        }
        return [
            "name": .string(group.name), "versions": .array(versions), "preferredVersion": versions.first ?? [:],
        ]
    }

    /// `/api/v1` and `/apis/<group>/<version>`.
    func resourceList(_ request: HTTPRequest, group: String, version: String) throws(APIError) -> HTTPResponse {
        guard request.method == "GET" else { throw Self.wrongMethod }
        var resources: [Value] = []
        for type in store.types.all + ResourceTypes.live where type.group == group && type.version == version {
            resources.append(Self.resource(type))
            resources += Self.subresources(type)
        }
        resources += Self.older(group, version)
        return Self.json([
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": .string(group.isEmpty ? version : "\(group)/\(version)"), "resources": .array(resources),
        ])
    }

    // MARK: All at once

    /// The version of aggregated discovery that a client asks for first; nil when it wants the old form.
    private static func aggregation(_ request: HTTPRequest) -> String? {
        for entry in request.headers.all("Accept").flatMap({ $0.split(separator: ",") }) {
            let parts = entry.split(separator: ";").map { $0.filter { !$0.isWhitespace } }
            guard parts.contains("g=apidiscovery.k8s.io"), parts.contains("as=APIGroupDiscoveryList") else {
                if parts.first == "application/json" { return nil }
                continue
            }
            if let version = ["v2", "v2beta1"].first(where: { parts.contains("v=\($0)") }) { return version }
        }
        return nil
    }

    private func aggregated(isCore: Bool, _ version: String) -> HTTPResponse {
        let groups = isCore ? [("", ["v1"])] : groups
        let items = groups.map { group, versions -> Value in
            [
                "metadata": ["name": .string(group), "creationTimestamp": nil],
                "versions": .array(
                    versions.map { version in
                        [
                            "version": .string(version), "resources": .array(described(group, version)),
                            "freshness": "Current",
                        ]
                    }
                ),
            ]
        }
        let list: Value = [
            "kind": "APIGroupDiscoveryList", "apiVersion": .string("apidiscovery.k8s.io/\(version)"), "metadata": [:],
            "items": .array(items),
        ]
        var response = Self.json(list)
        response.headers["Content-Type"] =
            "application/json;g=apidiscovery.k8s.io;v=\(version);as=APIGroupDiscoveryList"
        return response
    }

    /// The resources of a version in the aggregated form, each with its sub-resources.
    private func described(_ group: String, _ version: String) -> [Value] {
        var entries: [Value] = []
        if group == Self.metricsGroup {
            entries = Self.metricsResources.list("resources")
        } else if group == Self.authentication || group == Self.authorization {
            entries = Self.reviewResources(group).list("resources")
        } else {
            for type in store.types.all + ResourceTypes.live where type.group == group && type.version == version {
                entries.append(Self.resource(type))
                entries += Self.subresources(type)
            }
            entries += Self.older(group, version)
        }
        var resources: [Value] = []
        for entry in entries {
            let parts = (entry.text("name") ?? "").split(separator: "/").map(String.init)
            let responseKind: Value = [
                "group": .string(entry.text("group") ?? group), "version": .string(entry.text("version") ?? version),
                "kind": entry["kind"] ?? "",
            ]
            var described: Value = ["responseKind": responseKind, "verbs": entry["verbs"] ?? []]
            if parts.count == 2, let last = resources.indices.last {
                described["subresource"] = .string(parts[1])
                resources[last]["subresources"] = .array(resources[last].list("subresources") + [described])
                continue
            }
            described["resource"] = .string(parts.first ?? "")
            described["scope"] = entry.flag("namespaced") ? "Namespaced" : "Cluster"
            described["singularResource"] = entry["singularName"] ?? ""
            described["shortNames"] = entry["shortNames"]
            described["categories"] = entry["categories"]
            resources.append(described)
        }
        return resources
    }

    /// What clients find of versions that are kept in others: of older ones enough to make, read and delete.
    private static func older(_ group: String, _ version: String) -> [Value] {
        OlderVersion.all.filter { $0.group == group && $0.version == version }.compactMap { older in
            guard let type = older.type else { return nil }
            var resource = resource(type)
            if !older.isWhole {
                resource["verbs"] = ["create", "delete", "deletecollection", "get", "list", "watch"]
            }
            return resource
        }
    }

    private static func resource(_ type: ResourceType) -> Value {
        var resource: Value = [
            "name": .string(type.plural), "singularName": .string(type.singular),
            "namespaced": .bool(type.isNamespaced),
            "kind": .string(type.kind),
            "verbs": type.isLive
                ? ["get", "list", "watch"]
                : ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        ]
        if !type.shortNames.isEmpty { resource["shortNames"] = .array(type.shortNames.map(Value.string)) }
        if !type.categories.isEmpty { resource["categories"] = .array(type.categories.map(Value.string)) }
        return resource
    }

    private static func subresources(_ type: ResourceType) -> [Value] {
        func entry(_ name: String, _ kind: String, _ verbs: Value, _ extra: [(String, Value)] = []) -> Value {
            var value: Value = [
                "name": .string("\(type.plural)/\(name)"), "singularName": "", "namespaced": .bool(type.isNamespaced),
            ]
            for (field, item) in extra { value[field] = item }
            value["kind"] = .string(kind)
            value["verbs"] = verbs
            return value
        }
        var entries: [Value] = []
        if type.hasStatus { entries.append(entry("status", type.kind, ["get", "patch", "update"])) }
        if type.hasScale {
            entries.append(
                entry("scale", "Scale", ["get", "patch", "update"], [("group", "autoscaling"), ("version", "v1")])
            )
        }
        if type == ResourceTypes.pods {
            entries.append(entry("log", "Pod", ["get"]))
            entries.append(entry("attach", "PodAttachOptions", ["create", "get"]))
            entries.append(entry("exec", "PodExecOptions", ["create", "get"]))
            entries.append(entry("portforward", "PodPortForwardOptions", ["create", "get"]))
            entries.append(entry("binding", "Binding", ["create"]))
            entries.append(entry("eviction", "Eviction", ["create"], [("group", "policy"), ("version", "v1")]))
        }
        if type == ResourceTypes.serviceAccounts {
            entries.append(
                entry(
                    "token",
                    "TokenRequest",
                    ["create"],
                    [("group", .string(authentication)), ("version", "v1")]
                )
            )
        }
        if type == ResourceTypes.namespaces { entries.append(entry("finalize", "Namespace", ["update"])) }
        return entries
    }
}
