import Resources
import Wire

// Pods, and the templates that pods are made from.
extension Describer {
    func pod(_ text: inout Description) async throws {
        let spec = PodSpec(object.spec)
        let status = PodStatus(object.status)
        text.field("Service Account", spec.serviceAccountName)
        text.field("Node", spec.nodeName.map { "\($0)/\(status.hostIP)" } ?? "<none>")
        text.field("Start Time", moment(status.startTime))
        labels(&text)
        let summary = PodSummary(object, at: now)
        text.field("Status", summary.status == status.phase ? status.phase : "\(status.phase) (\(summary.status))")
        if !status.reason.isEmpty { text.field("Reason", status.reason) }
        if !status.message.isEmpty { text.field("Message", status.message) }
        text.field("IP", status.podIP.isEmpty ? [] : [status.podIP])
        owner(&text)
        let uses = (try? await usage()) ?? [:]
        if !spec.initContainers.isEmpty {
            text.group("Init Containers") { group in
                for container in spec.initContainers {
                    let known = status.initContainerStatuses.first { $0.name == container.name }
                    group.group(container.name) { self.container(container, known, uses[container.name], &$0) }
                }
            }
        }
        text.group("Containers") { group in
            for container in spec.containers {
                let known = status.containerStatuses.first { $0.name == container.name }
                group.group(container.name) { self.container(container, known, uses[container.name], &$0) }
            }
        }
        Self.conditions(status.conditions, &text)
        Self.volumes(spec, &text)
        text.field("Restart Policy", spec.restartPolicy)
        text.field("Grace Period", "\(spec.terminationGracePeriodSeconds)s")
        if let quality = object.status.text("qosClass") { text.field("QoS Class", quality) }
    }

    private func usage() async throws -> [String: Use] {
        let path = APIPath.metrics(ResourceTypes.pods, namespace: object.namespace) + "/\(APIPath.escape(object.name))"
        let metrics = try await client.get(path, timeout: .seconds(5))
        let pairs = (metrics["containers"]?.arrayValue ?? []).map { ($0.text("name") ?? "", Use($0["usage"])) }
        return Dictionary(pairs, uniquingKeysWith: { $1 })
    }

    private func container(
        _ container: Container,
        _ status: ContainerStatus?,
        _ use: Use?,
        _ text: inout Description
    ) {
        Self.program(container, &text)
        if let status {
            state("State", status.state, &text)
            if let last = status.lastState { state("Last State", last, &text) }
            text.field("Ready", status.ready ? "True" : "False")
            text.field("Restart Count", "\(status.restartCount)")
        }
        if let use { text.field("Uses", "CPU \(use.cores), memory \(use.memory)") }
        Self.settings(container, &text)
    }

    private func state(_ name: String, _ state: ContainerStatus.State?, _ text: inout Description) {
        var inner = Description()
        switch state {
        case .waiting(let reason, let message)?:
            inner.field("Reason", reason)
            if !message.isEmpty { inner.field("Message", Self.split(message)) }
            text.field(name, "Waiting", inner)
        case .running(let start)?:
            inner.field("Started", moment(start))
            text.field(name, "Running", inner)
        case .terminated(let end)?:
            inner.field("Reason", end.reason)
            if !end.message.isEmpty { inner.field("Message", Self.split(end.message)) }
            inner.field("Exit Code", "\(end.exitCode)")
            if end.signal != 0 { inner.field("Signal", "\(end.signal)") }
            if end.startedAt != nil { inner.field("Started", moment(end.startedAt)) }
            inner.field("Finished", moment(end.finishedAt))
            text.field(name, "Terminated", inner)
        case nil: if name == "State" { text.field(name, "Waiting") }
        }
    }

    private static func split(_ message: String) -> [String] {
        message.split(separator: "\n", omittingEmptySubsequences: false).prefix(20).map(String.init)
    }

    /// What runs.
    private static func program(_ container: Container, _ text: inout Description) {
        text.field("Image", container.image)
        let ports = container.ports.map { "\($0.containerPort)/\($0.protocolName)\($0.name.map { " (\($0))" } ?? "")" }
        text.field(ports.count > 1 ? "Ports" : "Port", ports.isEmpty ? "<none>" : ports.joined(separator: ", "))
        if !container.command.isEmpty { text.field("Command", container.command.flatMap(split)) }
        if !container.args.isEmpty { text.field("Args", container.args.flatMap(split)) }
        if let directory = container.workingDir { text.field("Working Dir", directory) }
        if let policy = container.restartPolicy { text.field("Restart Policy", policy) }
    }

    /// How it runs.
    private static func settings(_ container: Container, _ text: inout Description) {
        for (name, field) in [("Limits", "limits"), ("Requests", "requests")] {
            let amounts = container.resources.value[field]?.fields?.map { ($0.name, plain($0.value)) } ?? []
            guard !amounts.isEmpty else { continue }
            text.group(name) { group in
                for (name, amount) in amounts { group.field(name, amount) }
            }
        }
        let probes = [
            ("Liveness", container.livenessProbe), ("Readiness", container.readinessProbe),
            ("Startup", container.startupProbe),
        ]
        for (name, probe) in probes { if let probe { text.field(name, Self.probe(probe)) } }
        for (name, hook) in [("Post Start", container.postStart), ("Pre Stop", container.preStop)] {
            if let action = hook?.action { text.field(name, Self.action(action)) }
        }
        let sources = container.envFrom.map { source in
            let kind = source.configMapName == nil ? "Secret" : "ConfigMap"
            let prefix = source.prefix.isEmpty ? "" : " with prefix '\(source.prefix)'"
            let optional = source.isOptional ? ", optional" : ""
            return "\(source.configMapName ?? source.secretName ?? "") (\(kind)\(optional))\(prefix)"
        }
        if !sources.isEmpty { text.field("Environment Variables from", sources) }
        text.group("Environment") { group in
            for variable in container.env { group.field(variable.name, environment(variable)) }
        }
        text.field(
            "Mounts",
            container.volumeMounts.map { mount in
                let part = mount.subPath.map { ",path=\"\($0)\"" } ?? ""
                return "\(mount.mountPath) from \(mount.name) (\(mount.readOnly ? "ro" : "rw")\(part))"
            }
        )
    }

    private static func environment(_ variable: EnvVar) -> String {
        switch variable.source {
        case .literal(let value):
            value.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
        case .field(let path): "(v1:\(path))"
        case .resourceField(let container, let resource, _):
            "(\(container.map { "\($0): " } ?? "")\(resource) of the container)"
        case .configMapKey(let name, let key, let isOptional):
            "<set to the key '\(key)' of config map '\(name)'>\(isOptional ? "  Optional: true" : "")"
        case .secretKey(let name, let key, let isOptional):
            "<set to the key '\(key)' in secret '\(name)'>\(isOptional ? "  Optional: true" : "")"
        }
    }

    private static func probe(_ probe: Probe) -> String {
        "\(probe.action.map(action) ?? "unknown") delay=\(probe.initialDelaySeconds)s timeout=\(probe.timeoutSeconds)s "
            + "period=\(probe.periodSeconds)s #success=\(probe.successThreshold) #failure=\(probe.failureThreshold)"
    }

    private static func action(_ action: ProbeHandler.Action) -> String {
        switch action {
        case .exec(let command): "exec [\(command.joined(separator: " "))]"
        case .http(let scheme, let host, let port, let path, _):
            "http-get \(scheme.lowercased())://\(host ?? ""):\(port)\(path)"
        case .tcp(let host, let port): "tcp-socket \(host ?? ""):\(port)"
        case .grpc(let port, let service): "grpc <pod>:\(port) \(service)"
        case .sleep(let seconds): "sleep \(seconds)s"
        }
    }

    private static func plain(_ value: Value) -> String { value.stringValue ?? JSON.write(value) }

    private static func volumes(_ spec: PodSpec, _ text: inout Description) {
        text.group("Volumes") { group in
            for volume in spec.volumes {
                group.group(volume.name) { inner in
                    switch volume.source {
                    case .emptyDir(let isMemory, let limit):
                        inner.field("Type", "EmptyDir (a directory that lives as long as the pod)")
                        if isMemory { inner.field("Medium", "Memory") }
                        if let limit { inner.field("SizeLimit", limit) }
                    case .hostPath(let path, _):
                        inner.field("Type", "HostPath (a directory of the machine)")
                        inner.field("Path", path)
                    case .configMap(let name, _, _, let isOptional):
                        inner.field("Type", "ConfigMap")
                        inner.field("Name", name)
                        inner.field("Optional", "\(isOptional)")
                    case .secret(let name, _, _, let isOptional):
                        inner.field("Type", "Secret")
                        inner.field("SecretName", name)
                        inner.field("Optional", "\(isOptional)")
                    case .downwardAPI: inner.field("Type", "DownwardAPI (facts about the pod)")
                    case .projected(let sources, _):
                        inner.field("Type", "Projected (several sources in one directory)")
                        inner.field("Sources", sources.compactMap { $0.fields?.names.first })
                    case .claim(let name, let isReadOnly):
                        inner.field("Type", "PersistentVolumeClaim")
                        inner.field("ClaimName", name)
                        inner.field("ReadOnly", "\(isReadOnly)")
                    case .other(let name): inner.field("Type", name)
                    }
                }
            }
        }
    }

    func template(_ template: PodTemplate, _ text: inout Description) {
        text.group("Pod Template") { inner in
            inner.field("Labels", Self.pairs(template.labels, "="))
            if !template.annotations.isEmpty { inner.field("Annotations", Self.annotations(template.annotations)) }
            for (name, containers) in [
                ("Init Containers", template.spec.initContainers), ("Containers", template.spec.containers),
            ] where !containers.isEmpty {
                inner.group(name) { group in
                    for container in containers {
                        group.group(container.name) { one in
                            Self.program(container, &one)
                            Self.settings(container, &one)
                        }
                    }
                }
            }
            Self.volumes(template.spec, &inner)
        }
    }
}
