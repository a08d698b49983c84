import Wire

// Jobs and CronJobs.
extension Validation {
    /// Kubernetes' bound on the indexes of a Job.
    private static let indexLimit = 100_000

    mutating func job(_ object: Object, _ old: Object?) {
        jobSpec(object.spec, "spec")
        let spec = object.spec
        selector(spec["selector"], "spec.selector")
        let labels = PodTemplate(spec["template"] ?? .null).labels
        let chosen = LabelSelector(spec["selector"] ?? .null)
        if chosen.isEmpty {
            // A manifest has none: it comes with the uid.
            if !object.uid.isEmpty { required("spec.selector") }
        } else if !chosen.matches(labels) {
            add(
                "spec.template.metadata.labels",
                .invalid,
                "Invalid value: \(Self.shown(labels)): `selector` does not match template `labels`"
            )
        }
        if spec.text("completionMode") == "Indexed", let count = spec.integer("completions"), count > 0 {
            // The name of a pod is its host name.
            check("metadata.name", "\(object.name)-\(count - 1)", NameRules.label)
        }
        if let old { jobUpdate(object, old) }
    }

    private mutating func jobUpdate(_ object: Object, _ old: Object) {
        let (spec, before) = (object.spec, old.spec)
        for name in [
            "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "successPolicy", "managedBy",
        ] where spec[name] != before[name] {
            add("spec.\(name)", .invalid, "Invalid value: field is immutable")
        }
        if spec["completions"] != before["completions"] {
            let isElastic =
                spec.text("completionMode") == "Indexed" && spec["completions"] == spec["parallelism"]
                && spec["completions"] != nil && before["completions"] != nil
            if !isElastic {
                add(
                    "spec.completions",
                    .invalid,
                    "Invalid value: field is immutable (of an Indexed Job it may change together with parallelism)"
                )
            }
        }
        guard spec["template"] != before["template"] else { return }
        // Before the first pod a suspended Job's pods may still be told where to run.
        let mayMove = before.flag("suspend") && old.status["startTime"] == nil
        func fixed(_ template: Value?) -> Value {
            var template = template ?? .null
            guard mayMove else { return template }
            template["metadata"] = nil
            for name in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
                template.set(["spec", name], nil)
            }
            return template
        }
        if fixed(spec["template"]) != fixed(before["template"]) {
            add(
                "spec.template",
                .invalid,
                "Invalid value: field is immutable: a Job runs one template; make another Job"
            )
        }
    }

    mutating func cronJob(_ object: Object) {
        let spec = object.spec
        if object.name.utf8.count > 52 {
            add("metadata.name", .tooLong, "Too long: may not be more than 52 bytes (its Jobs' names are longer)")
        }
        let text = spec.text("schedule") ?? ""
        if text.isEmpty {
            required("spec.schedule")
        } else {
            do throws(CronSchedule.Problem) { _ = try CronSchedule(text) } catch {
                invalid("spec.schedule", text, error.message)
            }
        }
        if let zone = spec.text("timeZone") {
            if zone.isEmpty {
                invalid("spec.timeZone", zone, "must be nil or non-empty string")
            } else if zone.lowercased() == "local" {
                invalid(
                    "spec.timeZone",
                    zone,
                    "timeZone must be an explicit time zone as defined in "
                        + "https://www.iana.org/time-zones"
                )
            } else if !Self.isZoneName(zone) {
                invalid("spec.timeZone", zone, "unknown time zone \(zone.prefix(80))")
            }
        }
        for name in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            notNegative(spec, name, "spec")
        }
        let template = spec.at("jobTemplate", "spec") ?? .null
        if template["selector"] != nil, !template.flag("manualSelector") {
            add("spec.jobTemplate.spec.selector", .invalid, "Invalid value: `selector` will be auto-generated")
        }
        jobSpec(template, "spec.jobTemplate.spec")
    }

    private static func isZoneName(_ name: String) -> Bool {
        name.utf8.count <= 64 && !name.hasPrefix("/") && !name.split(separator: "/").contains("..")
            && name.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                    || [0x2B, 0x2D, 0x2F, 0x5F].contains(byte)
            }
    }

    private mutating func jobSpec(_ spec: Value, _ path: String) {
        for name in [
            "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "backoffLimitPerIndex",
            "maxFailedIndexes", "ttlSecondsAfterFinished",
        ] { notNegative(spec, name, path) }
        let isIndexed = spec.text("completionMode") == "Indexed"
        if isIndexed {
            if let count = spec.integer("completions") {
                if count > Self.indexLimit {
                    invalid("\(path).completions", count, "must be less than or equal to \(Self.indexLimit)")
                }
            } else {
                required("\(path).completions", "when completion mode is Indexed")
            }
            if let count = spec.integer("parallelism"), count > Self.indexLimit {
                invalid("\(path).parallelism", count, "must be less than or equal to \(Self.indexLimit)")
            }
        } else {
            for name in ["backoffLimitPerIndex", "successPolicy"] where spec[name] != nil {
                invalid(
                    "\(path).\(name)",
                    spec.text("completionMode") ?? "NonIndexed",
                    "requires indexed completion mode"
                )
            }
        }
        if let limit = spec.integer("maxFailedIndexes") {
            if spec["backoffLimitPerIndex"] == nil {
                required("\(path).backoffLimitPerIndex", "when maxFailedIndexes is specified")
            }
            if let count = spec.integer("completions"), limit > count {
                invalid("\(path).maxFailedIndexes", limit, "must be less than or equal to completions")
            }
        }
        let template = PodTemplate(spec["template"] ?? .null)
        labels(spec.at("template", "metadata", "labels"), "\(path).template.metadata.labels")
        podSpec(spec.at("template", "spec") ?? .null, "\(path).template.spec")
        if template.spec.value.text("restartPolicy") ?? "Always" == "Always" {
            required("\(path).template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\"")
        }
        failurePolicy(spec, template, path)
        successPolicy(spec, path)
    }

    private mutating func failurePolicy(_ spec: Value, _ template: PodTemplate, _ path: String) {
        guard let policy = spec["podFailurePolicy"] else { return }
        let at = "\(path).podFailurePolicy"
        if template.spec.restartPolicy != "Never" {
            invalid(
                "\(path).template.spec.restartPolicy",
                template.spec.restartPolicy,
                "only \"Never\" is supported when podFailurePolicy is specified"
            )
        }
        if let replacement = spec.text("podReplacementPolicy"), replacement != "Failed" {
            invalid("\(path).podReplacementPolicy", replacement, "must be \"Failed\" when podFailurePolicy is used")
        }
        let rules = policy.list("rules")
        if rules.count > 20 { add("\(at).rules", .tooMany, "Too many: must have at most 20 items") }
        let names = Set((template.spec.containers + template.spec.initContainers).map(\.name))
        for (index, rule) in rules.prefix(20).enumerated() {
            let here = "\(at).rules[\(index)]"
            if rule.text("action") == "FailIndex", spec["backoffLimitPerIndex"] == nil {
                invalid("\(here).action", "FailIndex", "requires the backoffLimitPerIndex to be set")
            }
            let hasCodes = rule["onExitCodes"] != nil
            if hasCodes == !rule.list("onPodConditions").isEmpty {
                invalid(
                    here,
                    rule.text("action") ?? "",
                    "exactly one of onExitCodes and onPodConditions must be specified"
                )
            }
            guard let codes = rule["onExitCodes"] else { continue }
            exitCodes(codes, "\(here).onExitCodes", names)
        }
    }

    private mutating func exitCodes(_ codes: Value, _ path: String, _ names: Set<String>) {
        if let name = codes.text("containerName"), !names.contains(name) {
            invalid(
                "\(path).containerName",
                name,
                "must be one of the container or initContainer names in the pod template"
            )
        }
        let values = codes.list("values").compactMap(\.intValue)
        if values.isEmpty { invalid("\(path).values", "[]", "at least one value is required") }
        if values.count > 255 { add("\(path).values", .tooMany, "Too many: must have at most 255 items") }
        for (index, value) in values.prefix(255).enumerated() {
            if index > 0, values[index - 1] == value { duplicate("\(path).values[\(index)]", "\(value)") }
            if index > 0, values[index - 1] > value { invalid("\(path).values", "\(value)", "must be ordered") }
            if codes.text("operator") == "In", value == 0 {
                invalid("\(path).values[\(index)]", 0, "must not be 0 for the In operator")
            }
        }
    }

    private mutating func successPolicy(_ spec: Value, _ path: String) {
        guard let policy = spec["successPolicy"] else { return }
        let at = "\(path).successPolicy.rules"
        let rules = policy.list("rules")
        if rules.isEmpty { required(at, "at least one rules must be specified when the successPolicy is specified") }
        if rules.count > 20 { add(at, .tooMany, "Too many: must have at most 20 items") }
        let completions = spec.integer("completions") ?? 0
        for (index, rule) in rules.prefix(20).enumerated() {
            let here = "\(at)[\(index)]"
            var most = completions
            if let text = rule.text("succeededIndexes") {
                if let indexes = IndexRanges(text: text, below: max(completions, 0)), text.utf8.count <= 65_536 {
                    most = indexes.count
                } else {
                    invalid(
                        "\(here).succeededIndexes",
                        text,
                        "must be ascending indexes below completions, such as 0,2-4"
                    )
                }
            } else if rule["succeededCount"] == nil {
                required(here, "at least one of succeededCount or succeededIndexes must be specified")
            }
            if let count = rule.integer("succeededCount"), count < 1 || count > most {
                invalid(
                    "\(here).succeededCount",
                    count,
                    "must be from 1 to \(most), the number of indexes that it counts"
                )
            }
        }
    }
}
