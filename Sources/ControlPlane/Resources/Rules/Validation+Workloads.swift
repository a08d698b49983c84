import Wire

// StatefulSets, DaemonSets and their revisions.
extension Validation {
    mutating func statefulSet(_ object: Object, of type: ResourceType, _ old: Object?) {
        let spec = object.spec
        let templates = spec.list("volumeClaimTemplates").compactMap { $0["metadata"]?.text("name") }
        template(object, of: type, extraVolumes: Set(templates))
        notNegative(
            spec.at("updateStrategy", "rollingUpdate") ?? .null,
            "partition",
            "spec.updateStrategy.rollingUpdate"
        )
        notNegative(spec["ordinals"] ?? .null, "start", "spec.ordinals")
        allowance(spec.at("updateStrategy", "rollingUpdate"), "maxUnavailable", "spec.updateStrategy.rollingUpdate", 1)
        onlyForRolling(spec)
        if let name = spec.text("serviceName"), !name.isEmpty { check("spec.serviceName", name, NameRules.label1035) }
        claimTemplates(spec)
        guard let old else { return }
        func fixed(_ spec: Value) -> Value {
            var spec = spec
            for name in [
                "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
            ] { spec[name] = nil }
            return spec
        }
        guard fixed(spec) != fixed(old.spec) else { return }
        add(
            "spec",
            .forbidden,
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                + "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                + "'minReadySeconds' are forbidden"
        )
    }

    private mutating func claimTemplates(_ spec: Value) {
        var names: Set<String> = []
        for (index, claim) in spec.list("volumeClaimTemplates").enumerated() {
            let at = "spec.volumeClaimTemplates[\(index)]"
            let name = claim["metadata"]?.text("name") ?? ""
            if name.isEmpty {
                required("\(at).metadata.name")
            } else {
                check("\(at).metadata.name", name, NameRules.label)
            }
            if !name.isEmpty, !names.insert(name).inserted { duplicate("\(at).metadata.name", name) }
            let before = errors.count
            self.claim(Object(claim), nil)
            prefix("\(at).", from: before)
        }
    }

    mutating func daemonSet(_ object: Object, of type: ResourceType, _ old: Object?) {
        let spec = object.spec
        template(object, of: type)
        onlyForRolling(spec)
        if let rolling = spec.at("updateStrategy", "rollingUpdate") {
            let path = "spec.updateStrategy.rollingUpdate"
            for name in ["maxSurge", "maxUnavailable"] { allowance(rolling, name, path, 0) }
            let isZero = { (name: String) in
                let limit = IntOrString(rolling[name]) ?? .number(0)
                return limit == .number(0) || limit.percent == 0
            }
            switch (isZero("maxSurge"), isZero("maxUnavailable")) {
            case (true, true): required("\(path).maxUnavailable", "cannot be 0 when maxSurge is 0")
            case (false, false):
                invalid(
                    "\(path).maxSurge",
                    rolling["maxSurge"].map { JSON.write($0) } ?? "",
                    "may not be set when maxUnavailable is non-zero"
                )
            default: break
            }
        }
        immutableSelector(object, old)
    }

    /// What all kinds with a selector and a template of pods that run for ever have.
    mutating func template(_ object: Object, of type: ResourceType, extraVolumes: Set<String> = []) {
        let spec = object.spec
        for name in ["replicas", "minReadySeconds", "revisionHistoryLimit"] { notNegative(spec, name, "spec") }
        selector(spec["selector"], "spec.selector")
        let template = PodTemplate(spec["template"] ?? .null)
        let selector = LabelSelector(spec["selector"] ?? .null)
        if selector.isEmpty {
            add("spec.selector", .invalid, "Invalid value: {}: empty selector is invalid for \(type.singular)")
        } else if !selector.matches(template.labels) {
            add(
                "spec.template.metadata.labels",
                .invalid,
                "Invalid value: \(Self.shown(template.labels)): `selector` does not match template `labels`"
            )
        }
        labels(spec.at("template", "metadata", "labels"), "spec.template.metadata.labels")
        podSpec(spec.at("template", "spec") ?? .null, "spec.template.spec", extraVolumes: extraVolumes)
        guard template.spec.restartPolicy != "Always" else { return }
        add(
            "spec.template.spec.restartPolicy",
            .notSupported,
            "Unsupported value: \"\(template.spec.restartPolicy)\": supported values: \"Always\""
        )
    }

    mutating func immutableSelector(_ object: Object, _ old: Object?) {
        let selector = LabelSelector(object.spec["selector"] ?? .null)
        guard let old, LabelSelector(old.spec["selector"] ?? .null) != selector else { return }
        add("spec.selector", .invalid, "Invalid value: \"\(selector)\": field is immutable")
    }

    private mutating func onlyForRolling(_ spec: Value) {
        guard spec.at("updateStrategy", "type") == "OnDelete",
            !(spec.at("updateStrategy", "rollingUpdate")?.fields?.isEmpty ?? true)
        else { return }
        add(
            "spec.updateStrategy.rollingUpdate",
            .forbidden,
            "Forbidden: only allowed for updateStrategy 'RollingUpdate'"
        )
    }

    /// A number of pods, or a share of them up to 100 %.
    mutating func allowance(_ value: Value?, _ name: String, _ path: String, _ lowest: Int) {
        switch IntOrString(value?[name]) {
        case .number(let number)?:
            if number < lowest { invalid("\(path).\(name)", number, "must be greater than or equal to \(lowest)") }
            notHuge(number, "\(path).\(name)")
        case .text(let text)?:
            guard let percent = IntOrString.text(text).percent else {
                return invalid("\(path).\(name)", text, "must be a whole number or a percentage such as 25%")
            }
            if percent > 100 { invalid("\(path).\(name)", text, "must not be greater than 100%") }
            if percent < lowest { invalid("\(path).\(name)", text, "must not be 0%") }
        default: break
        }
    }

    private static let highestRevision = 1_000_000_000_000

    mutating func revision(_ object: Object, _ old: Object?) {
        if let number = object.value.integer("revision"), number < 0 {
            invalid("revision", number, "must be greater than or equal to 0")
        }
        if let number = object.value.integer("revision"), number > Self.highestRevision {
            invalid("revision", number, "must be less than or equal to \(Self.highestRevision)")
        }
        if let old, old["data"] != object["data"] { add("data", .invalid, "Invalid value: field is immutable") }
    }
}
