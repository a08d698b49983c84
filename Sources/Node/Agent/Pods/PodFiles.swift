import Resources
import Sandbox
import Wire

/// The small files that make a pod at home in the cluster's names.
enum PodFiles {
    static func files(pod: Object, spec: PodSpec, address: String, settings: AgentSettings) -> [SandboxFile] {
        let hostname = hostname(of: pod, spec, settings)
        return [
            SandboxFile(path: "/etc/resolv.conf", content: resolver(pod.namespace, spec, settings)),
            SandboxFile(path: "/etc/hostname", content: hostname + "\n"),
            SandboxFile(path: "/etc/hosts", content: hosts(pod, spec, address, settings)),
            SandboxFile(path: "/etc/nsswitch.conf", content: nameSources),
        ]
    }

    /// Host names come from the file and the name server alone: multicast DNS would claim `.local`.
    private static let nameSources = """
        passwd: files
        group: files
        shadow: files
        hosts: files dns
        networks: files
        protocols: files
        services: files

        """

    private static func resolver(_ namespace: String, _ spec: PodSpec, _ settings: AgentSettings) -> String {
        let domain = settings.clusterDomain
        var searches = ["\(namespace).svc.\(domain)", "svc.\(domain)", domain]
        var options = ["ndots:5"]
        if spec.dnsPolicy == "None" {
            searches = []
            options = []
        }
        if let config = spec.dnsConfig {
            searches += config.texts("searches")
            for option in config.list("options") {
                guard let name = option.text("name") else { continue }
                options.removeAll { $0.hasPrefix(name + ":") || $0 == name }
                options.append(option.text("value").map { "\(name):\($0)" } ?? name)
            }
        }
        var text = "nameserver \(settings.dnsAddress)\n"
        if !searches.isEmpty { text += "search \(searches.joined(separator: " "))\n" }
        if !options.isEmpty { text += "options \(options.joined(separator: " "))\n" }
        return text
    }

    /// The pod's name in DNS, when it has a `subdomain`.
    private static func fullName(_ pod: Object, _ spec: PodSpec, _ settings: AgentSettings) -> String? {
        guard let subdomain = spec.subdomain, !subdomain.isEmpty else { return nil }
        return "\(spec.hostname ?? pod.name).\(subdomain).\(pod.namespace).svc.\(settings.clusterDomain)"
    }

    /// What `hostname` says in the pod; Linux takes at most 64 letters, Kubernetes 63 of a pod's name.
    static func hostname(of pod: Object, _ spec: PodSpec, _ settings: AgentSettings) -> String {
        if spec.setHostnameAsFQDN, let full = fullName(pod, spec, settings), full.utf8.count <= 64 { return full }
        return String((spec.hostname ?? pod.name).prefix(63))
    }

    private static func hosts(_ pod: Object, _ spec: PodSpec, _ address: String, _ settings: AgentSettings) -> String {
        let short = String((spec.hostname ?? pod.name).prefix(63))
        let names = fullName(pod, spec, settings).map { "\($0)\t\(short)" } ?? short
        var text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\(address)\t\(names)\n"
        for alias in spec.hostAliases where !alias.hostnames.isEmpty {
            text += "\(alias.ip)\t\(alias.hostnames.joined(separator: "\t"))\n"
        }
        return text
    }
}
