import Resources
import Wire

// What clients ask first: which groups, versions and kinds there are (the form without aggregation, which all still read).
extension KubernetesAPI {
    private static let groups: [(name: String, versions: [String])] = {
        var groups: [(name: String, versions: [String])] = []
        for type in ResourceTypes.all where !type.group.isEmpty {
            if let index = groups.firstIndex(where: { $0.name == type.group }) {
                if !groups[index].versions.contains(type.version) { groups[index].versions.append(type.version) }
            } else {
                groups.append((type.group, [type.version]))
            }
        }
        return groups + [(metricsGroup, [metricsVersion])]
    }()

    /// `/api`, `/apis` and `/apis/<group>`.
    func discovery(_ request: HTTPRequest, _ segments: [String]) throws(APIError) -> HTTPResponse {
        guard request.method == "GET" else { throw Self.wrongMethod }
        if segments == ["api"] {
            return Self.json([
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [["clientCIDR": "0.0.0.0/0", "serverAddress": ""]],
            ])
        }
        if segments == ["apis"] {
            return Self.json([
                "kind": "APIGroupList", "apiVersion": "v1", "groups": .array(Self.groups.map(Self.group)),
            ])
        }
        guard let group = Self.groups.first(where: { $0.name == segments[1] }) else { throw Self.unknownPath }
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
        for type in ResourceTypes.all where type.group == group && type.version == version {
            resources.append(Self.resource(type))
            resources += Self.subresources(type)
        }
        return Self.json([
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": .string(group.isEmpty ? version : "\(group)/\(version)"), "resources": .array(resources),
        ])
    }

    private static func resource(_ type: ResourceType) -> Value {
        var resource: Value = [
            "name": .string(type.plural), "singularName": .string(type.singular),
            "namespaced": .bool(type.isNamespaced),
            "kind": .string(type.kind),
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
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
            entries.append(entry("eviction", "Eviction", ["create"], [("group", "policy"), ("version", "v1")]))
        }
        if type == ResourceTypes.namespaces { entries.append(entry("finalize", "Namespace", ["update"])) }
        return entries
    }
}
