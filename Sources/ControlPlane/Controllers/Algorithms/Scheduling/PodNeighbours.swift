package import Resources
package import Wire

/// Which pods want to stand beside which: pod affinity, anti-affinity and spreading on one machine, where all pods that
/// have a machine are in the same place.
///
/// Pure.
package enum PodNeighbours {
    /// Required terms of `podAffinity` or `podAntiAffinity`.
    package static func terms(_ pod: Value, _ kind: String) -> [Value] {
        pod.at("affinity", kind)?.list("requiredDuringSchedulingIgnoredDuringExecution") ?? []
    }

    /// Whether the pod can stand beside those of the ledger.
    ///
    /// - Parameters:
    ///   - pod: the pod.
    ///   - ledger: the pods of the machine.
    ///   - node: the machine.
    ///   - namespaces: the labels of a namespace.
    /// - Returns: why not, in the scheduler's words, or nil.
    package static func problem(
        _ pod: Object,
        beside ledger: NodeLedger,
        on node: Object,
        namespaces: (String) -> [String: String]
    ) -> String? {
        if let problem = spreading(pod, ledger, node) { return problem }
        let labels = pod.labels
        let affinity = terms(pod.spec, "podAffinity")
        for term in affinity {
            guard node.label(term.text("topologyKey") ?? "") != nil else { return unmet }
            let isMet = ledger.holdings.values.contains {
                chooses(term, of: pod.namespace, labels, $0.key.namespace, $0.labels, namespaces)
            }
            guard !isMet else { continue }
            // The first of its kind may stand alone, if it is of the kind that it asks for.
            let isFirst = affinity.allSatisfy { one in
                chooses(one, of: pod.namespace, labels, pod.namespace, labels, namespaces)
                    && !ledger.holdings.values.contains {
                        chooses(one, of: pod.namespace, labels, $0.key.namespace, $0.labels, namespaces)
                    }
            }
            guard isFirst else { return unmet }
        }
        for term in terms(pod.spec, "podAntiAffinity") where node.label(term.text("topologyKey") ?? "") != nil {
            let isThere = ledger.holdings.values.contains {
                chooses(term, of: pod.namespace, labels, $0.key.namespace, $0.labels, namespaces)
            }
            if isThere { return "node(s) didn't match pod anti-affinity rules" }
        }
        guard ledger.hasRejections else { return nil }
        for other in ledger.holdings.values {
            for term in other.rejects where node.label(term.text("topologyKey") ?? "") != nil {
                if chooses(term, of: other.key.namespace, other.labels, pod.namespace, labels, namespaces) {
                    return "node(s) didn't satisfy existing pods anti-affinity rules"
                }
            }
        }
        return nil
    }

    private static let unmet = "node(s) didn't match pod affinity rules"

    /// One machine is one place: the skew is 0, unless more places are asked for than there are.
    private static func spreading(_ pod: Object, _ ledger: NodeLedger, _ node: Object) -> String? {
        for constraint in pod.spec.list("topologySpreadConstraints")
        where constraint.text("whenUnsatisfiable") != "ScheduleAnyway" {
            guard node.label(constraint.text("topologyKey") ?? "") != nil else {
                return "node(s) didn't match pod topology spread constraints (missing required label)"
            }
            guard (constraint.integer("minDomains") ?? 1) > 1 else { continue }
            let labels = pod.labels
            let selector = selector(constraint, labels)
            let here = ledger.holdings.values.count {
                $0.key.namespace == pod.namespace && !$0.isEnding && selector?.matches($0.labels) == true
            }
            let own = selector?.matches(labels) == true ? 1 : 0
            if here + own > constraint.integer("maxSkew") ?? 1 {
                return "node(s) didn't match pod topology spread constraints"
            }
        }
        return nil
    }

    /// The selector of a term; nil chooses nothing.
    private static func selector(_ term: Value, _ labels: [String: String]) -> LabelSelector? {
        guard let value = term["labelSelector"] else { return nil }
        var selector = LabelSelector(value)
        for key in term.texts("matchLabelKeys") {
            if let own = labels[key] { selector.requirements.append(.isIn(key: key, values: [own])) }
        }
        for key in term.texts("mismatchLabelKeys") {
            if let own = labels[key] { selector.requirements.append(.isNotIn(key: key, values: [own])) }
        }
        return selector
    }

    /// Whether a term of a pod (of `namespace`, with `labels`) chooses another pod.
    private static func chooses(
        _ term: Value,
        of namespace: String,
        _ labels: [String: String],
        _ otherNamespace: String,
        _ otherLabels: [String: String],
        _ namespaces: (String) -> [String: String]
    ) -> Bool {
        let names = term.texts("namespaces")
        var isNear = names.contains(otherNamespace)
        if let chosen = term["namespaceSelector"] {
            isNear = isNear || LabelSelector(chosen).matches(namespaces(otherNamespace))
        } else if names.isEmpty {
            isNear = otherNamespace == namespace
        }
        return isNear && selector(term, labels)?.matches(otherLabels) == true
    }
}
