import Resources
import Wire

/// Gives new pods the number of their PriorityClass, and what every pod has on a cluster: tolerations of a machine that is
/// gone for five minutes.
struct PriorityAdmission: Admission {
    func admit(_ object: inout Object, replacing old: Object?, view: any StoreView) throws(APIError) {
        guard object.kind == "Pod", object.apiVersion == "v1" else { return }
        if let old {
            // Whoever leaves them out means what stands there.
            for name in ["priority", "preemptionPolicy"] where object.spec[name] == nil {
                if let value = old.spec[name] { object.value.set(["spec", name], value) }
            }
            return
        }
        let found = try priorityClass(of: object, view)
        let value = found.flatMap { $0.value.integer("value") } ?? 0
        if let given = object.spec.integer("priority"), given != value {
            throw .forbidden(
                ResourceTypes.pods,
                object.name,
                "the integer value of priority (\(given)) must not be provided in pod spec; priority admission controller "
                    + "computed \(value) from the given PriorityClass name"
            )
        }
        object.value.set(["spec", "priority"], .int(Int64(value)))
        if let found { object.value.set(["spec", "priorityClassName"], .string(found.name)) }
        let policy = found?.value.text("preemptionPolicy") ?? "PreemptLowerPriority"
        if object.spec["preemptionPolicy"] == nil { object.value.set(["spec", "preemptionPolicy"], .string(policy)) }
        tolerate(&object)
    }

    private func priorityClass(of pod: Object, _ view: any StoreView) throws(APIError) -> Object? {
        guard let name = pod.spec.text("priorityClassName"), !name.isEmpty else {
            return view.list(ResourceTypes.priorityClasses, namespace: nil)
                .filter { $0.value.flag("globalDefault") }
                .min { $0.value.integer("value") ?? 0 < $1.value.integer("value") ?? 0 }
        }
        guard let found = view.get(ObjectKey(ResourceTypes.priorityClasses, name: name)) else {
            throw .forbidden(ResourceTypes.pods, pod.name, "no PriorityClass with name \(name) was found")
        }
        return found
    }

    private func tolerate(_ pod: inout Object) {
        var tolerations = pod.spec.list("tolerations")
        for name in ["not-ready", "unreachable"] {
            let key = "node.kubernetes.io/\(name)"
            let isSaid = tolerations.contains {
                let (mine, effect) = ($0.text("key") ?? "", $0.text("effect") ?? "")
                return (mine.isEmpty || mine == key) && (effect.isEmpty || effect == "NoExecute")
            }
            guard !isSaid else { continue }
            tolerations.append([
                "key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            ])
        }
        pod.value.set(["spec", "tolerations"], .array(tolerations))
    }
}
