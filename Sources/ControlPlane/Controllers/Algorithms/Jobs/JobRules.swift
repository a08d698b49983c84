package import Resources
package import Wire

/// What a Job's `podFailurePolicy` says of a pod that failed.
package struct PodFailureVerdict: Equatable, Sendable {
    package enum Action: String, Sendable {
        case failJob = "FailJob"
        case failIndex = "FailIndex"
        case ignore = "Ignore"
        case count = "Count"
    }

    package let action: Action
    /// Why, for the condition of a Job that fails by it.
    package let message: String

    /// The first rule that matches decides; without one the failure counts.
    ///
    /// - Parameters:
    ///   - rules: `podFailurePolicy.rules`.
    ///   - pod: the pod, which has failed.
    package init(_ rules: [Value], pod: Object) {
        for (index, rule) in rules.enumerated() {
            guard let action = Action(rawValue: rule.text("action") ?? ""),
                let match = Self.match(rule, pod)
            else { continue }
            self.action = action
            message = "\(match) matching \(action.rawValue) rule at index \(index)"
            return
        }
        (action, message) = (.count, "")
    }

    /// What of the pod a rule matches, in words; nil when nothing does.
    private static func match(_ rule: Value, _ pod: Object) -> String? {
        let status = PodStatus(pod.status)
        let place = "pod \(pod.namespace)/\(pod.name)"
        if let codes = rule["onExitCodes"] {
            let values = Set(codes.list("values").compactMap(\.intValue))
            let wantsIn = codes.text("operator") == "In"
            for container in status.containerStatuses + status.initContainerStatuses {
                guard case .terminated(let end)? = container.state, end.exitCode != 0 else { continue }
                if let name = codes.text("containerName"), name != container.name { continue }
                guard values.contains(end.exitCode) == wantsIn else { continue }
                return "Container \(container.name) for \(place) failed with exit code \(end.exitCode)"
            }
            return nil
        }
        for pattern in rule.list("onPodConditions") {
            let wanted = pattern.text("status") ?? "True"
            guard let condition = status.conditions.first(ofType: pattern.text("type") ?? ""),
                condition.status == wanted
            else { continue }
            return "Pod \(pod.namespace)/\(pod.name) has condition \(condition.type)"
        }
        return nil
    }
}

/// Whether the indexes that succeeded are enough by a Job's `successPolicy`.
package enum JobSuccess {
    /// The first rule that is met, or nil.
    package static func rule(_ rules: [Value], succeeded: IndexRanges, completions: Int) -> Int? {
        rules.firstIndex { rule in
            var counted = succeeded.count
            var needed = rule.integer("succeededCount")
            if let text = rule.text("succeededIndexes"), let indexes = IndexRanges(text: text, below: completions) {
                counted = indexes.commonCount(succeeded)
                needed = needed ?? indexes.count
            }
            guard let needed, needed > 0 else { return false }
            return counted >= needed
        }
    }
}
