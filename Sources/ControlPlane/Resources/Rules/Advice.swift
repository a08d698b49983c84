import Wire

/// What an object asks for that is right, but that Weft does not do (yet): warnings for whoever applies it.
enum Advice {
    /// One line per matter, each with its path.
    static func warnings(_ value: Value, of type: ResourceType) -> [String] {
        switch type.kind {
        case "Service": service(value["spec"] ?? .null)
        case "Pod": pod(value["spec"] ?? .null, "spec")
        case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job":
            pod(value.at("spec", "template", "spec") ?? .null, "spec.template.spec")
        case "Ingress": ingress(value["spec"] ?? .null)
        default: []
        }
    }

    private static func service(_ spec: Value) -> [String] {
        var warnings: [String] = []
        for (index, port) in spec.list("ports").enumerated() {
            guard let name = port.text("protocol"), name == "UDP" || name == "SCTP" else { continue }
            warnings.append("spec.ports[\(index)].protocol: Weft carries TCP only; \(name) does not reach the pods")
        }
        return warnings
    }

    private static func pod(_ spec: Value, _ path: String) -> [String] {
        var warnings: [String] = []
        for (index, container) in spec.list("containers").enumerated() {
            for (position, port) in container.list("ports").enumerated() where port.text("protocol") == "UDP" {
                let at = "\(path).containers[\(index)].ports[\(position)].protocol"
                warnings.append("\(at): Weft carries TCP only; UDP does not reach the pod")
            }
            if container["securityContext"]?.flag("privileged") ?? false {
                let at = "\(path).containers[\(index)].securityContext.privileged"
                warnings.append("\(at): Weft keeps this field but does not act on it")
            }
        }
        return warnings
    }

    private static func ingress(_ spec: Value) -> [String] {
        guard let name = spec.text("ingressClassName"), name != "weft" else { return [] }
        return ["spec.ingressClassName: Weft serves every Ingress, whatever class it names"]
    }
}
