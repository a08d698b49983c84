/// The kinds that this API serves, and the ways to find one.
package enum ResourceTypes {
    package static let namespaces = core(
        "namespaces",
        "Namespace",
        ["ns"],
        namespaced: false,
        acted: true,
        status: true
    )
    package static let nodes = core("nodes", "Node", ["no"], namespaced: false, acted: true, status: true)
    package static let pods = core("pods", "Pod", ["po"], ["all"], acted: true, status: true)
    package static let services = core("services", "Service", ["svc"], ["all"], acted: true, status: true)
    package static let endpoints = core("endpoints", "Endpoints", ["ep"], acted: true)
    package static let configMaps = core("configmaps", "ConfigMap", ["cm"], acted: true)
    package static let secrets = core("secrets", "Secret", acted: true)
    package static let events = core("events", "Event", ["ev"], acted: true)
    package static let serviceAccounts = core("serviceaccounts", "ServiceAccount", ["sa"], acted: true)
    package static let volumeClaims = core(
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        ["pvc"],
        acted: true,
        status: true
    )
    package static let volumes = core(
        "persistentvolumes",
        "PersistentVolume",
        ["pv"],
        namespaced: false,
        acted: true,
        status: true
    )
    package static let deployments = ResourceType(
        group: "apps",
        version: "v1",
        plural: "deployments",
        kind: "Deployment",
        shortNames: ["deploy"],
        categories: ["all"],
        isActedOn: true,
        hasStatus: true,
        hasScale: true
    )
    package static let replicaSets = ResourceType(
        group: "apps",
        version: "v1",
        plural: "replicasets",
        kind: "ReplicaSet",
        shortNames: ["rs"],
        categories: ["all"],
        isActedOn: true,
        hasStatus: true,
        hasScale: true
    )
    package static let endpointSlices = ResourceType(
        group: "discovery.k8s.io",
        version: "v1",
        plural: "endpointslices",
        kind: "EndpointSlice",
        isActedOn: true
    )
    package static let ingresses = ResourceType(
        group: "networking.k8s.io",
        version: "v1",
        plural: "ingresses",
        kind: "Ingress",
        shortNames: ["ing"],
        isActedOn: true,
        hasStatus: true
    )
    package static let images = ResourceType(
        group: "weft.dev",
        version: "v1alpha1",
        plural: "images",
        kind: "Image",
        shortNames: ["img"],
        isNamespaced: false,
        isActedOn: true
    )

    package static let storageClasses = kept(
        "storage.k8s.io/v1",
        "storageclasses",
        "StorageClass",
        ["sc"],
        namespaced: false
    )

    package static let leases = kept("coordination.k8s.io/v1", "leases", "Lease")

    package static let roles = access("roles", "Role")
    package static let roleBindings = access("rolebindings", "RoleBinding")
    package static let clusterRoles = access("clusterroles", "ClusterRole", namespaced: false)
    package static let clusterRoleBindings = access("clusterrolebindings", "ClusterRoleBinding", namespaced: false)

    package static let policies = admission("validatingadmissionpolicies", "ValidatingAdmissionPolicy", hasStatus: true)
    package static let policyBindings = admission(
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        hasStatus: false
    )

    private static func admission(_ plural: String, _ kind: String, hasStatus: Bool) -> ResourceType {
        ResourceType(
            group: "admissionregistration.k8s.io",
            version: "v1",
            plural: plural,
            kind: kind,
            categories: ["api-extensions"],
            isNamespaced: false,
            isActedOn: true,
            hasStatus: hasStatus
        )
    }

    package static let definitions = ResourceType(
        group: "apiextensions.k8s.io",
        version: "v1",
        plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        shortNames: ["crd", "crds"],
        categories: ["api-extensions"],
        isNamespaced: false,
        isActedOn: true,
        hasStatus: true
    )

    private static func access(_ plural: String, _ kind: String, namespaced: Bool = true) -> ResourceType {
        ResourceType(
            group: "rbac.authorization.k8s.io",
            version: "v1",
            plural: plural,
            kind: kind,
            isNamespaced: namespaced,
            isActedOn: true
        )
    }

    /// Every kind, acted on or only kept, in the order of discovery.
    package static let all: [ResourceType] =
        [
            namespaces, nodes, pods, services, endpoints, configMaps, secrets, events, serviceAccounts, deployments,
            replicaSets, endpointSlices, ingresses, images, volumeClaims, volumes,
            roles, roleBindings, clusterRoles, clusterRoleBindings, definitions,
            policies, policyBindings,
        ] + workloads + keptOnly

    /// The kinds that Weft keeps and answers for, but does nothing about.
    private static let keptOnly: [ResourceType] = [
        core("replicationcontrollers", "ReplicationController", ["rc"], ["all"], status: true),
        core("podtemplates", "PodTemplate"),
        kept("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", ["netpol"]),
        kept("networking.k8s.io/v1", "ingressclasses", "IngressClass", [], namespaced: false),
        storageClasses,
        leases,
        kept("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", namespaced: false),
    ]

    private static func core(
        _ plural: String,
        _ kind: String,
        _ shortNames: [String] = [],
        _ categories: [String] = [],
        namespaced: Bool = true,
        acted: Bool = false,
        status: Bool = false
    ) -> ResourceType {
        ResourceType(
            group: "",
            version: "v1",
            plural: plural,
            kind: kind,
            shortNames: shortNames,
            categories: categories,
            isNamespaced: namespaced,
            isActedOn: acted,
            hasStatus: status
        )
    }

    private static func kept(
        _ apiVersion: String,
        _ plural: String,
        _ kind: String,
        _ shortNames: [String] = [],
        _ categories: [String] = [],
        namespaced: Bool = true
    ) -> ResourceType {
        let parts = apiVersion.split(separator: "/").map(String.init)
        return ResourceType(
            group: parts.first ?? "",
            version: parts.last ?? "",
            plural: plural,
            kind: kind,
            shortNames: shortNames,
            categories: categories,
            isNamespaced: namespaced,
            hasStatus: true
        )
    }
}

extension ResourceTypes {
    private static let byKind = Dictionary(
        (all + live).map { ("\($0.apiVersion)/\($0.kind)", $0) },
        uniquingKeysWith: { first, _ in first }
    )

    /// The type of an object by what stands in it, or nil when no such kind is served.
    package static func find(apiVersion: String, kind: String) -> ResourceType? { byKind["\(apiVersion)/\(kind)"] }

    /// The type behind a URL's group, version and plural.
    package static func find(group: String, version: String, plural: String) -> ResourceType? {
        (group == liveGroup ? live : all).first { $0.plural == plural && $0.version == version && $0.group == group }
    }

    /// The type that a person means: plural, singular, short name or kind in any case, with or without the group
    /// (`deploy`, `Deployment`, `deployments.apps`, `deployments.v1.apps`).
    package static func find(named word: String) -> ResourceType? { find(named: word, in: all + live) }

    /// The first of some types that a person means.
    package static func find(named word: String, in types: [ResourceType]) -> ResourceType? {
        let lowered = word.lowercased()
        if let found = types.first(where: { $0.isCalled(lowered) }) { return found }
        let parts = lowered.split(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return nil }
        return types.first { type in
            type.isCalled(parts[0]) && (type.group == parts[1] || "\(type.version).\(type.group)" == parts[1])
        }
    }

    /// The types of a category: `all` is what `get all` lists.
    package static func category(_ name: String) -> [ResourceType] { all.filter { $0.categories.contains(name) } }

    /// Every word that `find(named:)` knows, for suggestions after a misspelling.
    package static let words: [String] = (all + live).flatMap { [$0.plural, $0.singular] + $0.shortNames }
}

extension ResourceType {
    fileprivate func isCalled(_ word: String) -> Bool {
        plural == word || singular == word || shortNames.contains(word) || kind.lowercased() == word
    }
}
