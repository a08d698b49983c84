package import Wire

/// `spec` of a Pod.
package struct PodSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var containers: [Container] { value.views("containers") }
    package var initContainers: [Container] { value.views("initContainers") }
    package var volumes: [Volume] { value.views("volumes") }
    /// `Always`, `OnFailure` or `Never`.
    package var restartPolicy: String { value.text("restartPolicy") ?? "Always" }
    package var terminationGracePeriodSeconds: Int { max(value.integer("terminationGracePeriodSeconds") ?? 30, 0) }
    package var activeDeadlineSeconds: Int? { value.integer("activeDeadlineSeconds") }
    package var nodeName: String? { value.text("nodeName") }
    package var hostname: String? { value.text("hostname") }
    package var subdomain: String? { value.text("subdomain") }
    package var serviceAccountName: String { value.text("serviceAccountName") ?? "default" }
    package var dnsPolicy: String { value.text("dnsPolicy") ?? "ClusterFirst" }
    package var dnsConfig: Value? { value["dnsConfig"] }
    package var hostNetwork: Bool { value.flag("hostNetwork") }
    package var setHostnameAsFQDN: Bool { value.flag("setHostnameAsFQDN") }
    package var enableServiceLinks: Bool { value["enableServiceLinks"]?.boolValue ?? true }
    package var hostAliases: [(ip: String, hostnames: [String])] {
        value.list("hostAliases").map { ($0.text("ip") ?? "", $0.texts("hostnames")) }
    }
    package var securityContext: SecurityContext { SecurityContext(value["securityContext"] ?? .null) }
    package var readinessGates: [String] { value.list("readinessGates").compactMap { $0.text("conditionType") } }
}

/// One container of a pod.
package struct Container: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var name: String { value.text("name") ?? "" }
    package var image: String { value.text("image") ?? "" }
    package var imagePullPolicy: String { value.text("imagePullPolicy") ?? "IfNotPresent" }
    package var command: [String] { value.texts("command") }
    package var args: [String] { value.texts("args") }
    package var workingDir: String? { value.text("workingDir") }
    package var ports: [ContainerPort] { value.views("ports") }
    package var env: [EnvVar] { value.views("env") }
    package var envFrom: [EnvFromSource] { value.views("envFrom") }
    package var volumeMounts: [VolumeMount] { value.views("volumeMounts") }
    package var livenessProbe: Probe? { value.view("livenessProbe") }
    package var readinessProbe: Probe? { value.view("readinessProbe") }
    package var startupProbe: Probe? { value.view("startupProbe") }
    package var preStop: ProbeHandler? { value["lifecycle"]?.view("preStop") }
    package var postStart: ProbeHandler? { value["lifecycle"]?.view("postStart") }
    package var resources: ResourceRequirements { ResourceRequirements(value["resources"] ?? .null) }
    package var securityContext: SecurityContext { SecurityContext(value["securityContext"] ?? .null) }
    /// `Always` makes an init container a sidecar that runs beside the others.
    package var restartPolicy: String? { value.text("restartPolicy") }
    package var terminationMessagePath: String { value.text("terminationMessagePath") ?? "/dev/termination-log" }
    /// The end of the log serves as the message of a failure that left none.
    package var fallsBackToLog: Bool { value.text("terminationMessagePolicy") == "FallbackToLogsOnError" }
    package var stdin: Bool { value.flag("stdin") }
    package var tty: Bool { value.flag("tty") }
}

/// A port that a container says it listens on.
package struct ContainerPort: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var name: String? { value.text("name") }
    package var containerPort: Int { value.integer("containerPort") ?? 0 }
    package var hostPort: Int? { value.integer("hostPort") }
    package var protocolName: String { value.text("protocol") ?? "TCP" }
}

/// One environment variable: a value, or where the value comes from.
package struct EnvVar: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package enum Source: Sendable, Equatable {
        case literal(String)
        case field(path: String)
        case resourceField(container: String?, resource: String, divisor: String?)
        case configMapKey(name: String, key: String, isOptional: Bool)
        case secretKey(name: String, key: String, isOptional: Bool)
    }

    package var name: String { value.text("name") ?? "" }

    package var source: Source {
        guard let from = value["valueFrom"] else { return .literal(value.text("value") ?? "") }
        if let field = from["fieldRef"] { return .field(path: field.text("fieldPath") ?? "") }
        if let field = from["resourceFieldRef"] {
            return .resourceField(
                container: field.text("containerName"),
                resource: field.text("resource") ?? "",
                divisor: field.text("divisor")
            )
        }
        if let key = from["configMapKeyRef"] {
            return .configMapKey(
                name: key.text("name") ?? "",
                key: key.text("key") ?? "",
                isOptional: key.flag("optional")
            )
        }
        if let key = from["secretKeyRef"] {
            return .secretKey(
                name: key.text("name") ?? "",
                key: key.text("key") ?? "",
                isOptional: key.flag("optional")
            )
        }
        return .literal("")
    }
}

/// All keys of a ConfigMap or Secret as environment variables.
package struct EnvFromSource: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var prefix: String { value.text("prefix") ?? "" }
    package var configMapName: String? { value["configMapRef"]?.text("name") }
    package var secretName: String? { value["secretRef"]?.text("name") }
    package var isOptional: Bool {
        value["configMapRef"]?.flag("optional") ?? value["secretRef"]?.flag("optional") ?? false
    }
}

/// Where a volume stands in a container's file system.
package struct VolumeMount: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var name: String { value.text("name") ?? "" }
    package var mountPath: String { value.text("mountPath") ?? "" }
    package var subPath: String? { value.text("subPath") }
    package var subPathExpr: String? { value.text("subPathExpr") }
    package var readOnly: Bool { value.flag("readOnly") }
}

/// One volume of a pod.
package struct Volume: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    /// One file made from a key: its path in the volume and its mode.
    package struct Item: Sendable, Equatable {
        package let key: String
        package let path: String
        package let mode: Int?
    }

    package enum Source: Sendable, Equatable {
        case emptyDir(isMemory: Bool, sizeLimit: String?)
        case hostPath(path: String, type: String)
        case configMap(name: String, items: [Item], defaultMode: Int, isOptional: Bool)
        case secret(name: String, items: [Item], defaultMode: Int, isOptional: Bool)
        case downwardAPI(items: Value, defaultMode: Int)
        case projected(sources: [Value], defaultMode: Int)
        case claim(name: String, isReadOnly: Bool)
        /// A source that Weft does not mount, by its field name.
        case other(String)
    }

    package var name: String { value.text("name") ?? "" }

    package var source: Source {
        if let from = value["configMap"] {
            return .configMap(
                name: from.text("name") ?? "",
                items: Self.items(from),
                defaultMode: from.integer("defaultMode") ?? 0o644,
                isOptional: from.flag("optional")
            )
        }
        if let from = value["secret"] {
            return .secret(
                name: from.text("secretName") ?? "",
                items: Self.items(from),
                defaultMode: from.integer("defaultMode") ?? 0o644,
                isOptional: from.flag("optional")
            )
        }
        if let from = value["hostPath"] {
            return .hostPath(path: from.text("path") ?? "", type: from.text("type") ?? "")
        }
        if let from = value["downwardAPI"] {
            return .downwardAPI(items: from["items"] ?? [], defaultMode: from.integer("defaultMode") ?? 0o644)
        }
        if let from = value["projected"] {
            return .projected(sources: from.list("sources"), defaultMode: from.integer("defaultMode") ?? 0o644)
        }
        if let from = value["persistentVolumeClaim"] {
            return .claim(name: from.text("claimName") ?? "", isReadOnly: from.flag("readOnly"))
        }
        if let other = value.fields?.names.first(where: { $0 != "name" && $0 != "emptyDir" }) { return .other(other) }
        let empty = value["emptyDir"] ?? .null
        return .emptyDir(isMemory: empty.text("medium") == "Memory", sizeLimit: empty.text("sizeLimit"))
    }

    /// Whether a Secret's bytes stand in it.
    package var holdsSecrets: Bool {
        switch source {
        case .secret: true
        case .projected(let sources, _): sources.contains { $0["secret"] != nil }
        default: false
        }
    }

    private static func items(_ source: Value) -> [Item] {
        source.list("items").map {
            Item(key: $0.text("key") ?? "", path: $0.text("path") ?? "", mode: $0.integer("mode"))
        }
    }
}

/// What a probe or a life-cycle hook does.
package struct ProbeHandler: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package enum Action: Sendable, Equatable {
        case exec(command: [String])
        case http(scheme: String, host: String?, port: IntOrString, path: String, headers: [Header])
        case tcp(host: String?, port: IntOrString)
        case grpc(port: Int, service: String)
        case sleep(seconds: Int)
    }

    package struct Header: Sendable, Equatable {
        package let name: String
        package let value: String
    }

    /// The action, or nil when the handler names none that is known.
    package var action: Action? {
        if let exec = value["exec"] { return .exec(command: exec.texts("command")) }
        if let http = value["httpGet"] {
            return .http(
                scheme: http.text("scheme") ?? "HTTP",
                host: http.text("host"),
                port: IntOrString(http["port"]) ?? .number(0),
                path: http.text("path") ?? "/",
                headers: http.list("httpHeaders").map {
                    Header(name: $0.text("name") ?? "", value: $0.text("value") ?? "")
                }
            )
        }
        if let tcp = value["tcpSocket"] {
            return .tcp(host: tcp.text("host"), port: IntOrString(tcp["port"]) ?? .number(0))
        }
        if let grpc = value["grpc"] {
            return .grpc(port: grpc.integer("port") ?? 0, service: grpc.text("service") ?? "")
        }
        if let sleep = value["sleep"] { return .sleep(seconds: sleep.integer("seconds") ?? 0) }
        return nil
    }
}

/// A liveness, readiness or startup probe.
package struct Probe: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var action: ProbeHandler.Action? { ProbeHandler(value).action }
    package var initialDelaySeconds: Int { max(value.integer("initialDelaySeconds") ?? 0, 0) }
    package var periodSeconds: Int { max(value.integer("periodSeconds") ?? 10, 1) }
    package var timeoutSeconds: Int { max(value.integer("timeoutSeconds") ?? 1, 1) }
    package var successThreshold: Int { max(value.integer("successThreshold") ?? 1, 1) }
    package var failureThreshold: Int { max(value.integer("failureThreshold") ?? 3, 1) }
    package var terminationGracePeriodSeconds: Int? { value.integer("terminationGracePeriodSeconds") }
}

/// Requests and limits of a container.
package struct ResourceRequirements: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package func limit(_ resource: String) -> Quantity? { Quantity(value["limits"]?[resource]) }
    package func request(_ resource: String) -> Quantity? { Quantity(value["requests"]?[resource]) }
}

/// Who a container runs as, and what it may do.
package struct SecurityContext: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var runAsUser: Int? { value.integer("runAsUser") }
    package var runAsGroup: Int? { value.integer("runAsGroup") }
    package var runAsNonRoot: Bool? { value["runAsNonRoot"]?.boolValue }
    package var supplementalGroups: [Int] { value.list("supplementalGroups").compactMap(\.intValue) }
    /// `RuntimeDefault`, `Unconfined` or `Localhost`.
    package var seccompProfile: String? { value["seccompProfile"]?.text("type") }
    package var fsGroupChangePolicy: String? { value.text("fsGroupChangePolicy") }
    package var fsGroup: Int? { value.integer("fsGroup") }
    package var readOnlyRootFilesystem: Bool { value.flag("readOnlyRootFilesystem") }
    package var privileged: Bool { value.flag("privileged") }
    package var addedCapabilities: [String] { value["capabilities"]?.texts("add") ?? [] }
    package var droppedCapabilities: [String] { value["capabilities"]?.texts("drop") ?? [] }
}

/// `status` of a Pod.
package struct PodStatus: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    package var phase: String { value.text("phase") ?? "Pending" }
    package var reason: String { value.text("reason") ?? "" }
    package var message: String { value.text("message") ?? "" }
    package var podIP: String { value.text("podIP") ?? "" }
    package var hostIP: String { value.text("hostIP") ?? "" }
    package var startTime: Timestamp? { value.text("startTime").flatMap(Timestamp.init) }
    package var conditions: [Condition] { value.views("conditions") }
    package var containerStatuses: [ContainerStatus] { value.views("containerStatuses") }
    package var initContainerStatuses: [ContainerStatus] { value.views("initContainerStatuses") }
    package var isReady: Bool { conditions.first(ofType: "Ready")?.isTrue ?? false }
}

/// The state of one container in a pod's status.
package struct ContainerStatus: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package enum State: Sendable, Equatable {
        case waiting(reason: String, message: String)
        case running(startedAt: Timestamp?)
        case terminated(Termination)
    }

    package struct Termination: Sendable, Equatable {
        package let exitCode: Int
        package let signal: Int
        package let reason: String
        package let message: String
        package let startedAt: Timestamp?
        package let finishedAt: Timestamp?
    }

    package var name: String { value.text("name") ?? "" }
    package var image: String { value.text("image") ?? "" }
    package var ready: Bool { value.flag("ready") }
    package var started: Bool { value.flag("started") }
    package var restartCount: Int { value.integer("restartCount") ?? 0 }
    package var state: State? { Self.state(value["state"]) }
    package var lastState: State? { Self.state(value["lastState"]) }

    private static func state(_ value: Value?) -> State? {
        guard let value else { return nil }
        if let waiting = value["waiting"] {
            return .waiting(reason: waiting.text("reason") ?? "", message: waiting.text("message") ?? "")
        }
        if let running = value["running"] {
            return .running(startedAt: running.text("startedAt").flatMap(Timestamp.init))
        }
        guard let ended = value["terminated"] else { return nil }
        return .terminated(
            Termination(
                exitCode: ended.integer("exitCode") ?? 0,
                signal: ended.integer("signal") ?? 0,
                reason: ended.text("reason") ?? "",
                message: ended.text("message") ?? "",
                startedAt: ended.text("startedAt").flatMap(Timestamp.init),
                finishedAt: ended.text("finishedAt").flatMap(Timestamp.init)
            )
        )
    }
}
