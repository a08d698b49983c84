import Resources
import Wire

/// Holds new pods and claims to the LimitRanges of their namespace.
struct LimitAdmission: Admission {
    func admit(_ object: inout Object, replacing old: Object?, view: any StoreView) throws(APIError) {
        guard object.apiVersion == "v1", object.kind == "Pod" && old == nil || object.kind == "PersistentVolumeClaim"
        else { return }
        let ranges = view.list(ResourceTypes.limitRanges, namespace: object.namespace)
        guard !ranges.isEmpty else { return }
        let rules = LimitRules(ranges)
        var problems: [String]
        if object.kind == "Pod" {
            var spec = object.spec
            let words = rules.fill(&spec)
            object.spec = spec
            if !words.isEmpty { object.annotations["kubernetes.io/limit-ranger"] = words }
            problems = rules.problems(ofPod: spec)
        } else {
            problems = rules.problems(ofClaim: object.spec)
        }
        guard !problems.isEmpty, let type = object.type else { return }
        let text = problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]"
        throw .forbidden(type, object.name, text)
    }
}
