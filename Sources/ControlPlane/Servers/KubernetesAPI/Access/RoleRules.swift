package import Resources
import Wire

/// The rules of a Role or ClusterRole (`rbac.authorization.k8s.io/v1`), pure.
struct RoleRule: Sendable, Equatable {
    var verbs: [String] = []
    var groups: [String] = []
    var resources: [String] = []
    var names: [String] = []
    var paths: [String] = []

    init(_ value: Value) {
        verbs = value.texts("verbs")
        groups = value.texts("apiGroups")
        resources = value.texts("resources")
        names = value.texts("resourceNames")
        paths = value.texts("nonResourceURLs")
    }

    init(verbs: [String], groups: [String] = [], resources: [String] = [], names: [String] = [], paths: [String] = []) {
        self.verbs = verbs
        self.groups = groups
        self.resources = resources
        self.names = names
        self.paths = paths
    }

    func allows(_ facts: RequestFacts) -> Bool {
        guard has(verbs, facts.verb) else { return false }
        if let path = facts.path {
            return paths.contains { $0 == path || $0.hasSuffix("*") && path.hasPrefix($0.dropLast()) }
        }
        guard has(groups, facts.group), names.isEmpty || !facts.name.isEmpty && names.contains(facts.name) else {
            return false
        }
        return resources.contains { wanted in
            wanted == "*" || wanted == facts.qualifiedResource
                || !facts.subresource.isEmpty && wanted == "*/\(facts.subresource)"
        }
    }

    private func has(_ list: [String], _ word: String) -> Bool { list.contains("*") || list.contains(word) }

    /// Whether everything that `self` allows is allowed by one of `others`.
    func isCovered(by others: [RoleRule]) -> Bool {
        let resources = resources.isEmpty ? [] : groups.flatMap { group in self.resources.map { (group, $0) } }
        for verb in verbs {
            for path in paths where !others.contains(where: { $0.has($0.verbs, verb) && $0.coversPath(path) }) {
                return false
            }
            for (group, resource) in resources {
                for name in names.isEmpty ? [""] : names {
                    guard others.contains(where: { $0.covers(verb, group, resource, name) }) else { return false }
                }
            }
        }
        return true
    }

    private func coversPath(_ path: String) -> Bool {
        paths.contains { $0 == path || $0.hasSuffix("*") && path.hasPrefix($0.dropLast()) }
    }

    private func covers(_ verb: String, _ group: String, _ resource: String, _ name: String) -> Bool {
        let parts = resource.split(separator: "/", maxSplits: 1).map(String.init)
        return has(verbs, verb) && has(groups, group)
            && (resources.contains("*") || resources.contains(resource)
                || parts.count == 2 && resources.contains("*/\(parts[1])"))
            && (names.isEmpty || !name.isEmpty && names.contains(name))
    }

    var value: Value {
        var value: Value = ["verbs": .array(verbs.map(Value.string))]
        for (field, list) in [
            ("apiGroups", groups), ("resources", resources), ("resourceNames", names), ("nonResourceURLs", paths),
        ] where !list.isEmpty {
            value[field] = .array(list.map(Value.string))
        }
        return value
    }
}

/// Who a binding is for.
enum RoleSubject {
    /// Whether one of a binding's subjects is the caller. `namespace` is the binding's own.
    static func matches(_ binding: Object, _ caller: Caller) -> Bool {
        binding.value.list("subjects").contains { subject in
            let name = subject.text("name") ?? ""
            switch subject.text("kind") {
            case "User": return name == caller.name
            case "Group": return caller.groups.contains(name)
            case "ServiceAccount":
                let namespace = subject.text("namespace").flatMap { $0.isEmpty ? nil : $0 } ?? binding.namespace
                return caller.name == "system:serviceaccount:\(namespace):\(name)"
            default: return false
            }
        }
    }
}

/// The roles that a cluster always has.
package enum DefaultRoles {
    private static let read = ["get", "list", "watch"]
    private static let write = ["create", "delete", "deletecollection", "patch", "update"]
    /// What people who work in a namespace see: no secrets, no roles.
    private static let visible: [(group: String, resources: [String])] = [
        (
            "",
            [
                "bindings", "configmaps", "endpoints", "events", "limitranges", "namespaces", "namespaces/status",
                "persistentvolumeclaims", "persistentvolumeclaims/status", "pods", "pods/log", "pods/status",
                "replicationcontrollers", "replicationcontrollers/scale", "resourcequotas", "serviceaccounts",
                "services", "services/status",
            ]
        ),
        (
            "apps",
            ["daemonsets", "deployments", "replicasets", "statefulsets"].flatMap { ["\($0)", "\($0)/status"] }
                + ["deployments/scale", "replicasets/scale", "statefulsets/scale", "controllerrevisions"]
        ),
        ("autoscaling", ["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
        ("batch", ["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
        ("policy", ["poddisruptionbudgets", "poddisruptionbudgets/status"]),
        ("networking.k8s.io", ["ingresses", "ingresses/status", "networkpolicies"]),
        ("discovery.k8s.io", ["endpointslices"]),
        ("gateway.networking.k8s.io", ["gateways", "httproutes", "grpcroutes"]),
        ("metrics.k8s.io", ["pods"]), ("events.k8s.io", ["events"]),
    ]
    private static let changeable: [(group: String, resources: [String])] = [
        (
            "",
            [
                "configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/attach", "pods/exec",
                "pods/eviction", "pods/portforward", "replicationcontrollers", "replicationcontrollers/scale",
                "secrets",
                "serviceaccounts", "services",
            ]
        ),
        (
            "apps",
            [
                "daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
                "statefulsets/scale",
            ]
        ),
        ("autoscaling", ["horizontalpodautoscalers"]), ("batch", ["cronjobs", "jobs"]),
        ("policy", ["poddisruptionbudgets"]), ("networking.k8s.io", ["ingresses", "networkpolicies"]),
        ("gateway.networking.k8s.io", ["gateways", "httproutes", "grpcroutes"]),
        ("coordination.k8s.io", ["leases"]), ("discovery.k8s.io", ["endpointslices"]),
    ]

    /// The objects, for a daemon whose callers prove who they are.
    package static var objects: [Object] {
        let view = visible.map { RoleRule(verbs: read, groups: [$0.group], resources: $0.resources) }
        let edit =
            view + changeable.map { RoleRule(verbs: read + write, groups: [$0.group], resources: $0.resources) }
        let admin =
            edit + [
                RoleRule(
                    verbs: read + write,
                    groups: ["rbac.authorization.k8s.io"],
                    resources: ["roles", "rolebindings"]
                ),
                RoleRule(
                    verbs: ["create"],
                    groups: ["authorization.k8s.io"],
                    resources: ["localsubjectaccessreviews"]
                ),
                RoleRule(verbs: ["create"], groups: [""], resources: ["serviceaccounts/token"]),
            ]
        let everything = [
            RoleRule(verbs: ["*"], groups: ["*"], resources: ["*"]), RoleRule(verbs: ["*"], paths: ["*"]),
        ]
        let discovery = RoleRule(
            verbs: ["get"],
            paths: [
                "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi/*", "/readyz", "/version", "/",
            ]
        )
        let basic = [
            RoleRule(
                verbs: ["create"],
                groups: ["authorization.k8s.io"],
                resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
            ),
            RoleRule(verbs: ["create"], groups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"]),
        ]
        let facts = RoleRule(verbs: ["get"], paths: ["/healthz", "/livez", "/readyz", "/version"])
        let everybody = [Caller.authenticated, Caller.unauthenticated]
        return [
            role("cluster-admin", everything), role("admin", admin), role("edit", edit), role("view", view),
            role("system:discovery", [discovery]), role("system:basic-user", basic),
            role("system:public-info-viewer", [facts]), binding("cluster-admin", [Caller.masters]),
            binding("system:discovery", [Caller.authenticated]), binding("system:basic-user", [Caller.authenticated]),
            binding("system:public-info-viewer", everybody),
        ]
    }

    private static let marks = ["kubernetes.io/bootstrapping": "rbac-defaults"]

    private static func role(_ name: String, _ rules: [RoleRule]) -> Object {
        var object = Object(ResourceTypes.clusterRoles, name: name)
        object.labels = marks
        object["rules"] = .array(rules.map(\.value))
        return object
    }

    private static func binding(_ name: String, _ groups: [String]) -> Object {
        var object = Object(ResourceTypes.clusterRoleBindings, name: name)
        object.labels = marks
        object["roleRef"] = [
            "apiGroup": .string(ResourceTypes.roles.group), "kind": "ClusterRole", "name": .string(name),
        ]
        object["subjects"] = .array(
            groups.map { ["apiGroup": .string(ResourceTypes.roles.group), "kind": "Group", "name": .string($0)] }
        )
        return object
    }
}
