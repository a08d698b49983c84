import Wire

/// The columns of each kind and how an object fills them.
enum TableLayouts {
    struct Layout: Sendable {
        let columns: [Table.Column]
        let cells: @Sendable (Object, Timestamp) -> [Value]
        /// For kinds of which an object is several rows: those in place of `cells`.
        var rows: (@Sendable (Object, Timestamp) -> [(cells: [Value], gist: [Value])])?
    }

    static func layout(of type: ResourceType) -> Layout {
        if let custom = type.custom { return layout(of: custom) }
        return switch type.kind {
        case "Pod": pods
        case "Service": services
        case "Deployment": deployments
        case "ReplicaSet": replicaSets
        case "Node": nodes
        case "Event": events
        case "Namespace": namespaces
        case "Secret": secrets
        case "ConfigMap": configMaps
        case "Endpoints": endpoints
        case "EndpointSlice": endpointSlices
        case "Ingress": ingresses
        case "Image": images
        case "PersistentVolumeClaim": volumeClaims
        case "PersistentVolume": volumes
        case "StatefulSet": statefulSets
        case "Job": jobs
        case "CronJob": cronJobs
        case "DaemonSet": daemonSets
        case "ControllerRevision": controllerRevisions
        case "HorizontalPodAutoscaler": autoscalers
        case "PodDisruptionBudget": disruptionBudgets
        case "ServiceRoutes": serviceRoutes
        case "ServiceHealth": serviceHealth
        default: other(type.kind) ?? plain
        }
    }

    static func columns(_ names: String...) -> [Table.Column] {
        names.map { name in
            let isWide = name.hasSuffix("*")
            let bare = isWide ? String(name.dropLast()) : name
            let type = bare.hasSuffix("#") ? "integer" : "string"
            return Table.Column(bare.hasSuffix("#") ? String(bare.dropLast()) : bare, type: type, isWide: isWide)
        }
    }

    static func age(_ object: Object, _ now: Timestamp) -> Value {
        .string(HumanDuration.age(of: object.creationTimestamp, at: now))
    }

    static func count(_ number: Int) -> Value { .int(Int64(number)) }

    static func orNone(_ text: String) -> Value { .string(text.isEmpty ? "<none>" : text) }

    private static let plain = Layout(columns: columns("Name", "Age")) { [.string($0.name), age($0, $1)] }

    private static let pods = Layout(
        columns: columns(
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "IP*",
            "Node*",
            "Nominated Node*",
            "Readiness Gates*"
        )
    ) { object, now in
        let summary = PodSummary(object, at: now)
        return [
            .string(object.name), .string(summary.ready), .string(summary.status), .string(summary.restarts),
            age(object, now), orNone(PodStatus(object.status).podIP), orNone(PodSpec(object.spec).nodeName ?? ""),
            orNone(object.status.text("nominatedNodeName") ?? ""), "<none>",
        ]
    }

    private static let services = Layout(
        columns: columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector*")
    ) { object, now in
        let spec = ServiceSpec(object.spec)
        let ports = spec.ports.map { port in
            port.nodePort.map { "\(port.port):\($0)/\(port.protocolName)" } ?? "\(port.port)/\(port.protocolName)"
        }
        return [
            .string(object.name), .string(spec.type), orNone(spec.clusterIP), .string(externalAddress(object, spec)),
            orNone(ports.joined(separator: ",")), age(object, now),
            orNone(LabelSelector(matching: spec.selector).description),
        ]
    }

    private static func externalAddress(_ object: Object, _ spec: ServiceSpec) -> String {
        switch spec.type {
        case "LoadBalancer":
            let addresses = LoadBalancerStatus(object.status).addresses + spec.externalIPs
            return addresses.isEmpty ? "<pending>" : addresses.joined(separator: ",")
        case "ExternalName": return spec.externalName ?? "<none>"
        default: return spec.externalIPs.isEmpty ? "<none>" : spec.externalIPs.joined(separator: ",")
        }
    }

    static func containers(_ template: PodTemplate) -> [Value] {
        let containers = template.spec.containers
        return [
            .string(containers.map(\.name).joined(separator: ",")),
            .string(containers.map(\.image).joined(separator: ",")),
        ]
    }

    private static let deployments = Layout(
        columns: columns(
            "Name",
            "Ready",
            "Up-to-date#",
            "Available#",
            "Age",
            "Containers*",
            "Images*",
            "Selector*"
        )
    ) { object, now in
        let spec = DeploymentSpec(object.spec)
        let status = ScaleStatus(object.status)
        return [
            .string(object.name), .string("\(status.readyReplicas)/\(spec.replicas)"), count(status.updatedReplicas),
            count(status.availableReplicas), age(object, now),
        ] + containers(spec.template) + [orNone(spec.selector.description)]
    }

    private static let replicaSets = Layout(
        columns: columns("Name", "Desired#", "Current#", "Ready#", "Age", "Containers*", "Images*", "Selector*")
    ) { object, now in
        let spec = ReplicaSetSpec(object.spec)
        let status = ScaleStatus(object.status)
        return [
            .string(object.name), count(spec.replicas), count(status.replicas), count(status.readyReplicas),
            age(object, now),
        ] + containers(spec.template) + [orNone(spec.selector.description)]
    }

    private static let nodes = Layout(
        columns: columns(
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            "Internal-IP*",
            "External-IP*",
            "OS-Image*",
            "Kernel-Version*",
            "Container-Runtime*"
        )
    ) { object, now in
        let conditions: [Condition] = object.status.views("conditions")
        let info = object.status["nodeInfo"] ?? .null
        let isReady = conditions.first(ofType: "Ready").map(\.isTrue)
        let roles = object.labels.keys.filter { $0.hasPrefix("node-role.kubernetes.io/") }
            .map { String($0.dropFirst("node-role.kubernetes.io/".count)) }.sorted()
        let addresses = object.status.list("addresses")
        let address = { (type: String) in
            orNone(addresses.first { $0.text("type") == type }?.text("address") ?? "")
        }
        return [
            .string(object.name), .string(isReady.map { $0 ? "Ready" : "NotReady" } ?? "Unknown"),
            orNone(roles.joined(separator: ",")), age(object, now), .string(info.text("kubeletVersion") ?? ""),
            address("InternalIP"), address("ExternalIP"), orNone(info.text("osImage") ?? ""),
            orNone(info.text("kernelVersion") ?? ""), orNone(info.text("containerRuntimeVersion") ?? ""),
        ]
    }

    private static let events = Layout(
        columns: columns(
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject*",
            "Source*",
            "Message",
            "First Seen*",
            "Count#*",
            "Name*"
        )
    ) { object, now in
        let value = object.value
        let moment = { (name: String) in value.text(name).flatMap(Timestamp.init) }
        let involved = value["involvedObject"] ?? .null
        let series = value["series"]
        let observed = series?.text("lastObservedTime").flatMap(Timestamp.init)
        let last = observed ?? moment("lastTimestamp") ?? moment("eventTime") ?? object.creationTimestamp
        let first = moment("firstTimestamp") ?? moment("eventTime") ?? object.creationTimestamp
        let source = value["source"]?.text("component") ?? value.text("reportingComponent") ?? ""
        return [
            .string(HumanDuration.age(of: last, at: now)), .string(value.text("type") ?? ""),
            .string(value.text("reason") ?? ""),
            .string("\((involved.text("kind") ?? "").lowercased())/\(involved.text("name") ?? "")"),
            .string(involved.text("fieldPath") ?? ""), .string(source), .string((value.text("message") ?? "").trimmed),
            .string(HumanDuration.age(of: first, at: now)),
            count(max(series?.integer("count") ?? value.integer("count") ?? 1, 1)),
            .string(object.name),
        ]
    }

    private static let namespaces = Layout(columns: columns("Name", "Status", "Age")) {
        [.string($0.name), .string($0.status.text("phase") ?? "Active"), age($0, $1)]
    }

    private static func entries(_ object: Object) -> Int {
        (object["data"]?.fields?.count ?? 0) + (object["binaryData"]?.fields?.count ?? 0)
    }

    private static let secrets = Layout(columns: columns("Name", "Type", "Data#", "Age")) {
        [.string($0.name), .string($0.value.text("type") ?? "Opaque"), count(entries($0)), age($0, $1)]
    }

    private static let configMaps = Layout(columns: columns("Name", "Data#", "Age")) {
        [.string($0.name), count(entries($0)), age($0, $1)]
    }

    /// At most three addresses, then how many more there are.
    private static func shortened(_ items: [String]) -> Value {
        guard items.count > 3 else { return orNone(items.joined(separator: ",")) }
        return .string("\(items.prefix(3).joined(separator: ",")) + \(items.count - 3) more...")
    }

    private static let endpoints = Layout(columns: columns("Name", "Endpoints", "Age")) { object, now in
        var items: [String] = []
        for subset in object.value.list("subsets") {
            let ports = subset.list("ports").compactMap { $0.integer("port") }
            for address in subset.list("addresses").compactMap({ $0.text("ip") }) {
                items += ports.isEmpty ? [address] : ports.map { "\(address):\($0)" }
            }
        }
        return [.string(object.name), shortened(items), age(object, now)]
    }

    private static let endpointSlices = Layout(columns: columns("Name", "AddressType", "Ports", "Endpoints", "Age")) {
        object,
        now in
        let slice = EndpointSliceView(object.value)
        let ports = slice.ports.map { String($0.port) }
        return [
            .string(object.name), .string(slice.addressType),
            ports.isEmpty ? "<unset>" : shortened(ports), shortened(slice.endpoints.flatMap(\.addresses)),
            age(object, now),
        ]
    }

    private static let ingresses = Layout(columns: columns("Name", "Class", "Hosts", "Address", "Ports", "Age")) {
        object,
        now in
        let spec = IngressSpec(object.spec)
        let hosts = spec.rules.map(\.host).filter { !$0.isEmpty }
        return [
            .string(object.name), orNone(spec.ingressClassName ?? ""),
            hosts.isEmpty ? "*" : shortened(hosts),
            .string(LoadBalancerStatus(object.status).addresses.joined(separator: ",")),
            spec.tls.isEmpty ? "80" : "80, 443", age(object, now),
        ]
    }

    private static let images = Layout(columns: columns("Name", "Directory", "Command", "Age")) { object, now in
        let spec = ImageSpec(object.spec)
        return [
            .string(object.name), .string(spec.directory), orNone(spec.command.joined(separator: " ")),
            age(object, now),
        ]
    }

    private static let volumeClaims = Layout(
        columns: columns(
            "Name",
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "Age",
            "VolumeMode*"
        )
    ) { object, now in
        let claim = VolumeClaim(object)
        return [
            .string(object.name), .string(object.isDeleting ? "Terminating" : claim.phase),
            .string(claim.spec.text("volumeName") ?? ""),
            .string(object.status["capacity"]?.text("storage") ?? ""),
            .string(VolumeClaim.shortModes(object.status.texts("accessModes"))),
            .string(claim.spec.text("storageClassName") ?? ""), age(object, now),
            .string(claim.spec.text("volumeMode") ?? ""),
        ]
    }

    private static let volumes = Layout(
        columns: columns(
            "Name",
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "Reason",
            "Age",
            "VolumeMode*"
        )
    ) { object, now in
        let spec = object.spec
        let claim = spec["claimRef"].map { "\($0.text("namespace") ?? "")/\($0.text("name") ?? "")" }
        return [
            .string(object.name), .string(spec["capacity"]?.text("storage") ?? ""),
            .string(VolumeClaim.shortModes(spec.texts("accessModes"))),
            .string(spec.text("persistentVolumeReclaimPolicy") ?? ""),
            .string(object.isDeleting ? "Terminating" : object.status.text("phase") ?? ""), .string(claim ?? ""),
            .string(spec.text("storageClassName") ?? ""), .string(object.status.text("reason") ?? ""),
            age(object, now), .string(spec.text("volumeMode") ?? ""),
        ]
    }
}
