package import Resources
import Wire

/// What a pod asks for and does not get, in words for its events.
///
/// Pure.
package enum PodNotes {
    package struct Note: Sendable, Equatable {
        package let reason: String
        package let message: String
    }

    /// The notes; `controllers` are the control-group controllers that weft may write, `mapsAllUsers` says whether pods have
    /// all of the machine's users (weft runs as root).
    package static func of(_ spec: PodSpec, controllers: Set<String>, mapsAllUsers: Bool) -> [Note] {
        var notes = shared(spec, mapsAllUsers)
        let containers = spec.initContainers + spec.containers
        for container in containers { notes += own(container, spec) }
        notes += limits(containers, controllers)
        return notes
    }

    private static func shared(_ spec: PodSpec, _ mapsAllUsers: Bool) -> [Note] {
        var notes: [Note] = []
        let fields = ["hostNetwork", "hostPID", "hostIPC"].filter { spec.value.flag($0) }
        if !fields.isEmpty {
            notes.append(
                Note(
                    reason: "HostNamespaceRefused",
                    message: "\(fields.joined(separator: ", ")): the pod has namespaces of its own all the same; reach "
                        + "it through a Service (type NodePort or LoadBalancer for ports of this machine)"
                )
            )
        }
        if spec.value["shareProcessNamespace"]?.boolValue == false {
            notes.append(
                Note(reason: "SharedProcesses", message: "the containers of a pod see each other's processes always")
            )
        }
        if !(spec.dnsConfig?.texts("nameservers").isEmpty ?? true) {
            notes.append(
                Note(
                    reason: "NameServersIgnored",
                    message: "dnsConfig.nameservers: no other server can be reached from a pod; Weft answers its names"
                )
            )
        }
        if !mapsAllUsers, spec.securityContext.fsGroup != nil || !spec.securityContext.supplementalGroups.isEmpty {
            notes.append(
                Note(
                    reason: "GroupsIgnored",
                    message: "fsGroup, supplementalGroups: weft runs as an ordinary user, whose pods have one group; "
                        + "volumes belong to it"
                )
            )
        }
        for volume in spec.volumes {
            guard case .projected(let sources, _) = volume.source,
                let path = sources.lazy.compactMap({ $0["serviceAccountToken"]?.text("path") }).first
            else { continue }
            notes.append(
                Note(
                    reason: "TokenNotIssued",
                    message: "volume \"\(volume.name)\": no token is issued for \(path): pods have no API to use it on"
                )
            )
        }
        return notes
    }

    private static func own(_ container: Container, _ spec: PodSpec) -> [Note] {
        let name = container.name
        var notes: [Note] = []
        if container.securityContext.privileged {
            notes.append(
                Note(
                    reason: "PrivilegedRefused",
                    message: "container \(name): privileged is not given; it runs as any other"
                )
            )
        }
        if let refused = try? ContainerPrivileges(container, in: spec).refused, !refused.isEmpty {
            notes.append(
                Note(
                    reason: "CapabilityRefused",
                    message:
                        "container \(name): not given, for they would open the pod: \(refused.joined(separator: ", "))"
                )
            )
        }
        if (container.securityContext.seccompProfile ?? spec.securityContext.seccompProfile) == "Localhost" {
            let text = "container \(name): seccompProfile Localhost is not read; RuntimeDefault is used"
            notes.append(Note(reason: "SeccompProfileIgnored", message: text))
        }
        return notes
    }

    private static func limits(_ containers: [Container], _ controllers: Set<String>) -> [Note] {
        var missing: [String] = []
        for (resource, controller) in [("memory", "memory"), ("cpu", "cpu")] where !controllers.contains(controller) {
            if containers.contains(where: { $0.resources.limit(resource) != nil }) { missing.append(resource) }
        }
        var notes: [Note] = []
        if !missing.isEmpty {
            notes.append(
                Note(
                    reason: "LimitsNotEnforced",
                    message:
                        "limits of \(missing.joined(separator: " and ")) do not hold: weft may not write these control "
                        + "groups here; 'weft check' says why"
                )
            )
        }
        if containers.contains(where: { $0.resources.limit("ephemeral-storage") != nil }) {
            let text = "limits of ephemeral-storage hold for images made of layers alone, and emptyDir.sizeLimit"
            notes.append(Note(reason: "LimitsNotEnforced", message: text))
        }
        return notes
    }
}
