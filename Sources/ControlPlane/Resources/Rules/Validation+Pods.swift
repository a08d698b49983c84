import Wire

extension Validation {
    mutating func pod(_ object: Object, _ old: Object?) {
        podSpec(object.spec, "spec")
        placement(object, "spec")
        if let old { podUpdate(object, old) }
    }

    mutating func workload(_ object: Object, of type: ResourceType, _ old: Object?) {
        template(object, of: type)
        notNegative(object.spec, "progressDeadlineSeconds", "spec")
        immutableSelector(object, old)
        if type.kind == "Deployment" { strategy(object.spec) }
    }

    static func shown(_ labels: [String: String]) -> String {
        "{" + labels.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }.joined(separator: ",") + "}"
    }

    private mutating func strategy(_ spec: Value) {
        let view = DeploymentSpec(spec)
        if view.strategyType == "Recreate" {
            if let rolling = spec.at("strategy", "rollingUpdate"), !(rolling.fields?.isEmpty ?? true) {
                add(
                    "spec.strategy.rollingUpdate",
                    .forbidden,
                    "Forbidden: may not be specified when strategy `type` is 'Recreate'"
                )
            }
            return
        }
        for name in ["maxSurge", "maxUnavailable"] {
            let path = "spec.strategy.rollingUpdate.\(name)"
            switch IntOrString(spec.at("strategy", "rollingUpdate", name)) {
            case .number(let number)? where number < 0: invalid(path, number, "must be greater than or equal to 0")
            case .number(let number)? where number > Int(Int32.max): notHuge(number, path)
            case .text(let text)? where IntOrString.text(text).percent == nil:
                invalid(path, text, "must be a whole number or a percentage such as 25%")
            case .text(let text)? where name == "maxUnavailable" && (IntOrString.text(text).percent ?? 0) > 100:
                invalid(path, text, "must not be greater than 100%")
            default: break
            }
        }
        let isZero = { (limit: IntOrString) in limit == .number(0) || limit.percent == 0 }
        if isZero(view.maxSurge), isZero(view.maxUnavailable) {
            invalid("spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0")
        }
        if view.progressDeadlineSeconds <= view.minReadySeconds {
            invalid(
                "spec.progressDeadlineSeconds",
                view.progressDeadlineSeconds,
                "must be greater than minReadySeconds"
            )
        }
    }

    mutating func podSpec(_ spec: Value, _ path: String, extraVolumes: Set<String> = []) {
        let volumes = volumeNames(spec, path).union(extraVolumes)
        var names: Set<String> = []
        for field in ["containers", "initContainers"] {
            for (index, container) in spec.list(field).enumerated() {
                let at = "\(path).\(field)[\(index)]"
                let name = container.text("name") ?? ""
                if name.isEmpty { required("\(at).name") } else { check("\(at).name", name, NameRules.label) }
                if !name.isEmpty, !names.insert(name).inserted { duplicate("\(at).name", name) }
                self.container(container, at, volumes)
                if field == "containers", let policy = container.text("restartPolicy") {
                    add(
                        "\(at).restartPolicy",
                        .forbidden,
                        "Forbidden: \"\(policy)\" may only be set on init containers"
                    )
                }
            }
        }
        if spec.list("containers").isEmpty { required("\(path).containers") }
        notNegative(spec, "terminationGracePeriodSeconds", path)
        for (index, constraint) in spec.list("topologySpreadConstraints").enumerated() {
            let at = "\(path).topologySpreadConstraints[\(index)]"
            if let skew = constraint.integer("maxSkew"), skew < 1 {
                invalid("\(at).maxSkew", skew, "must be greater than zero")
            }
            if let count = constraint.integer("minDomains"), count < 1 {
                invalid("\(at).minDomains", count, "must be greater than zero")
            }
        }
        if let deadline = spec.integer("activeDeadlineSeconds"), deadline < 1 {
            invalid("\(path).activeDeadlineSeconds", deadline, "must be greater than 0")
        }
        for field in ["hostname", "subdomain"] {
            if let name = spec.text(field), !name.isEmpty { check("\(path).\(field)", name, NameRules.label) }
        }
        for (index, alias) in spec.list("hostAliases").enumerated() {
            if !Addresses.isIP(alias.text("ip") ?? "") {
                invalid("\(path).hostAliases[\(index)].ip", alias.text("ip") ?? "", "must be a valid IP address")
            }
            for (position, name) in alias.texts("hostnames").enumerated() {
                check("\(path).hostAliases[\(index)].hostnames[\(position)]", name, NameRules.subdomain)
            }
        }
        if spec.text("dnsPolicy") == "None", spec["dnsConfig"]?.texts("nameservers").isEmpty ?? true {
            required("\(path).dnsConfig.nameservers", "must provide at least one nameserver when `dnsPolicy` is None")
        }
    }

    private mutating func volumeNames(_ spec: Value, _ path: String) -> Set<String> {
        var names: Set<String> = []
        for (index, volume) in spec.list("volumes").enumerated() {
            let at = "\(path).volumes[\(index)]"
            let name = volume.text("name") ?? ""
            check("\(at).name", name, NameRules.label)
            if !names.insert(name).inserted { duplicate("\(at).name", name) }
            let sources = volume.fields?.names.filter { $0 != "name" } ?? []
            if sources.count > 1 {
                add("\(at).\(sources[1])", .forbidden, "Forbidden: may not specify more than 1 volume type")
            }
            if volume["configMap"] != nil, (volume["configMap"]?.text("name") ?? "").isEmpty {
                required("\(at).configMap.name")
            }
            if volume["secret"] != nil, (volume["secret"]?.text("secretName") ?? "").isEmpty {
                required("\(at).secret.secretName")
            }
            if let claim = volume["persistentVolumeClaim"] {
                check("\(at).persistentVolumeClaim.claimName", claim.text("claimName") ?? "", NameRules.subdomain)
            }
            if let path = volume["hostPath"]?.text("path"), path.split(separator: "/").contains("..") || path.isEmpty {
                invalid("\(at).hostPath.path", path, "must be a path without '..'")
            }
            for source in ["configMap", "secret", "projected"] { items(volume[source], "\(at).\(source)") }
            for (position, part) in (volume["projected"]?.list("sources") ?? []).enumerated() {
                for source in ["configMap", "secret"] {
                    items(part[source], "\(at).projected.sources[\(position)].\(source)")
                }
            }
        }
        return names
    }

    private mutating func items(_ source: Value?, _ path: String) {
        guard let source else { return }
        mode(source, "defaultMode", path)
        for (index, item) in source.list("items").enumerated() {
            let at = "\(path).items[\(index)]"
            mode(item, "mode", at)
            localPath(item.text("path") ?? "", "\(at).path")
        }
    }

    private mutating func mode(_ value: Value, _ name: String, _ path: String) {
        if let mode = value.integer(name), !(0...0o777).contains(mode) {
            invalid("\(path).\(name)", mode, "must be a number between 0 and 0777 (octal), both inclusive")
        }
    }

    private mutating func localPath(_ text: String, _ path: String) {
        if text.isEmpty || text.hasPrefix("/") || text.split(separator: "/").contains("..") || text.utf8.contains(0) {
            invalid(path, text, "must be a relative path without '..'")
        }
    }

    private mutating func container(_ container: Value, _ path: String, _ volumes: Set<String>) {
        let image = container.text("image") ?? ""
        if image.isEmpty {
            required("\(path).image")
        } else if image.trimmed != image {
            invalid("\(path).image", image, "must not have leading or trailing whitespace")
        }
        ports(container, path)
        environment(container.list("env"), "\(path).env")
        for (index, source) in container.list("envFrom").enumerated() {
            let references = ["configMapRef", "secretRef"].filter { source[$0] != nil }
            if references.count != 1 {
                add(
                    "\(path).envFrom[\(index)]",
                    .invalid,
                    "Invalid value: must specify exactly one of: `configMapRef` or `secretRef`"
                )
            } else if (source[references[0]]?.text("name") ?? "").isEmpty {
                required("\(path).envFrom[\(index)].\(references[0]).name")
            }
        }
        mounts(container, path, volumes)
        resources(container["resources"], "\(path).resources")
        for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
            guard let probe = container[name] else { continue }
            self.probe(probe, "\(path).\(name)", mustSucceedOnce: name != "readinessProbe")
        }
        for hook in ["postStart", "preStop"] {
            guard let handler = container["lifecycle"]?[hook] else { continue }
            self.handler(handler, "\(path).lifecycle.\(hook)")
        }
    }

    private mutating func ports(_ container: Value, _ path: String) {
        var names: Set<String> = []
        for (index, port) in container.list("ports").enumerated() {
            let at = "\(path).ports[\(index)]"
            portNumber(port.integer("containerPort") ?? 0, "\(at).containerPort")
            if let number = port.integer("hostPort"), number != 0 { portNumber(number, "\(at).hostPort") }
            guard let name = port.text("name"), !name.isEmpty else { continue }
            check("\(at).name", name, NameRules.portName)
            if !names.insert(name).inserted { duplicate("\(at).name", name) }
        }
    }

    private mutating func mounts(_ container: Value, _ path: String, _ volumes: Set<String>) {
        var places: Set<String> = []
        for (index, mount) in container.list("volumeMounts").enumerated() {
            let at = "\(path).volumeMounts[\(index)]"
            let name = mount.text("name") ?? ""
            if name.isEmpty {
                required("\(at).name")
            } else if !volumes.contains(name) {
                let near = Spelling.nearest(to: name, among: volumes.sorted()).map { " (did you mean \"\($0)\"?)" }
                add("\(at).name", .notFound, "Not found: \"\(name)\": no volume of the pod has this name\(near ?? "")")
            }
            let place = mount.text("mountPath") ?? ""
            if place.isEmpty { required("\(at).mountPath") }
            if !places.insert(place).inserted { invalid("\(at).mountPath", place, "must be unique") }
            if let part = mount.text("subPath"), !part.isEmpty { localPath(part, "\(at).subPath") }
        }
    }

    private mutating func resources(_ value: Value?, _ path: String) {
        guard let value else { return }
        for list in ["limits", "requests"] {
            for (name, amount) in value[list]?.fields ?? Fields() {
                guard let quantity = Quantity(amount) else { continue }
                if quantity.isNegative {
                    invalid("\(path).\(list)[\(name)]", amount.stringValue ?? "", "must be greater than or equal to 0")
                }
                if list == "requests", let limit = Quantity(value["limits"]?[name]), limit < quantity {
                    invalid(
                        "\(path).requests",
                        amount.stringValue ?? "",
                        "must be less than or equal to \(name) limit of \(value["limits"]?[name]?.stringValue ?? "")"
                    )
                }
            }
        }
    }

    private mutating func probe(_ probe: Value, _ path: String, mustSucceedOnce: Bool) {
        for name in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
            notNegative(probe, name, path)
        }
        if mustSucceedOnce, let threshold = probe.integer("successThreshold"), threshold > 1 {
            invalid("\(path).successThreshold", threshold, "must be 1")
        }
        handler(probe, path)
    }

    private mutating func handler(_ handler: Value, _ path: String) {
        let kinds = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"].filter { handler[$0] != nil }
        if kinds.isEmpty { return required(path, "must specify a handler type (exec, httpGet, tcpSocket or grpc)") }
        if kinds.count > 1 {
            return add("\(path).\(kinds[1])", .forbidden, "Forbidden: may not specify more than 1 handler type")
        }
        let kind = kinds[0]
        switch kind {
        case "exec":
            if handler["exec"]?.texts("command").isEmpty ?? true { required("\(path).exec.command") }
        case "httpGet", "tcpSocket": portNumberOrName(IntOrString(handler[kind]?["port"]), "\(path).\(kind).port")
        case "grpc": portNumber(handler["grpc"]?.integer("port") ?? 0, "\(path).grpc.port")
        default: break
        }
    }

    /// What of a pod's wishes for a place cannot be.
    private mutating func placement(_ object: Object, _ path: String) {
        let spec = object.spec
        if spec.text("nodeName") != nil, !spec.list("schedulingGates").isEmpty {
            add("\(path).nodeName", .forbidden, "Forbidden: cannot be set until all schedulingGates have been cleared")
        }
        var seen: Set<String> = []
        for (index, gate) in spec.list("schedulingGates").enumerated() {
            let name = gate.text("name") ?? ""
            check("\(path).schedulingGates[\(index)].name", name, NameRules.labelKey)
            if !seen.insert(name).inserted { duplicate("\(path).schedulingGates[\(index)]", name) }
        }
    }

    /// Of a pod's spec only images, tolerations, the deadline, the grace period and a first node may change; gates may go, and
    /// while there are any the pod may still be told where to run.
    private mutating func podUpdate(_ object: Object, _ old: Object) {
        let gates = old.spec.list("schedulingGates")
        for gate in object.spec.list("schedulingGates") where !gates.contains(gate) {
            let name = gate.text("name") ?? ""
            add(
                "spec.schedulingGates",
                .forbidden,
                "Forbidden: only deletion is allowed, but found new scheduling gate '\(name)'"
            )
        }
        func comparable(_ spec: Value, filling node: Value?) -> Value {
            var spec = spec
            for name in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"] {
                spec[name] = nil
            }
            if !gates.isEmpty { for name in ["nodeSelector", "affinity"] { spec[name] = nil } }
            for list in ["containers", "initContainers"] { spec.updateEach(list) { $0["image"] = nil } }
            if spec["nodeName"] == nil { spec["nodeName"] = node }
            return spec
        }
        guard comparable(object.spec, filling: nil) != comparable(old.spec, filling: object.spec["nodeName"]) else {
            return
        }
        add(
            "spec",
            .forbidden,
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, "
                + "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` or "
                + "`spec.terminationGracePeriodSeconds`"
        )
    }
}
