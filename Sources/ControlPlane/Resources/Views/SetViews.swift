package import Wire

/// `spec` of a StatefulSet.
package struct StatefulSetSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var replicas: Int { max(value.integer("replicas") ?? 1, 0) }
    package var selector: LabelSelector { LabelSelector(value["selector"] ?? .null) }
    package var template: PodTemplate { PodTemplate(value["template"] ?? .null) }
    package var serviceName: String { value.text("serviceName") ?? "" }
    package var minReadySeconds: Int { max(value.integer("minReadySeconds") ?? 0, 0) }
    package var revisionHistoryLimit: Int { max(value.integer("revisionHistoryLimit") ?? 10, 0) }
    package var isParallel: Bool { value.text("podManagementPolicy") == "Parallel" }
    package var updatesOnDelete: Bool { value.at("updateStrategy", "type") == "OnDelete" }
    /// Pods below `start` plus this one keep their revision.
    package var partition: Int { max(value.at("updateStrategy", "rollingUpdate", "partition")?.intValue ?? 0, 0) }
    /// How many pods a rolling update may make unavailable at once; at least one.
    package var maxUnavailable: Int {
        let limit = IntOrString(value.at("updateStrategy", "rollingUpdate", "maxUnavailable"))
        return max(limit?.scaled(of: replicas, roundingUp: true) ?? 1, 1)
    }
    /// The number of the first pod.
    package var start: Int { max(value.at("ordinals", "start")?.intValue ?? 0, 0) }
    package var claimTemplates: [Value] { value.list("volumeClaimTemplates") }
    package var deletesClaimsWithSet: Bool {
        value.at("persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete"
    }
    package var deletesClaimsWithPods: Bool {
        value.at("persistentVolumeClaimRetentionPolicy", "whenScaled") == "Delete"
    }
}

/// `spec` of a DaemonSet.
package struct DaemonSetSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var selector: LabelSelector { LabelSelector(value["selector"] ?? .null) }
    package var template: PodTemplate { PodTemplate(value["template"] ?? .null) }
    package var minReadySeconds: Int { max(value.integer("minReadySeconds") ?? 0, 0) }
    package var revisionHistoryLimit: Int { max(value.integer("revisionHistoryLimit") ?? 10, 0) }
    package var updatesOnDelete: Bool { value.at("updateStrategy", "type") == "OnDelete" }
    /// Whether a new pod runs beside the old one for a while, on one machine.
    package var surges: Bool {
        (IntOrString(value.at("updateStrategy", "rollingUpdate", "maxSurge"))?.scaled(of: 1, roundingUp: true) ?? 0) > 0
    }
}
