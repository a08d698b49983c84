import Resources
import Store
import Wire

// `…/scale`: the number of replicas, apart from everything else.
extension APICall {
    func scale(_ key: ObjectKey) async throws -> HTTPResponse {
        switch request.method {
        case "GET": return KubernetesAPI.json(try scale(of: shown(try await store.get(key))))
        case "PUT", "PATCH": break
        default: throw KubernetesAPI.wrongMethod
        }
        let isPut = request.method == "PUT"
        let wanted = isPut ? try request.readBody() : .null
        let change = isPut ? nil : try patchFunction()
        var attempts = 8
        while true {
            attempts -= 1
            let stored = shown(try await store.get(key))
            let before = try scale(of: stored)
            let after = try change?(before) ?? wanted
            guard let replicas = after["spec"]?.integer("replicas") ?? (isPut ? 0 : nil), replicas >= 0 else {
                throw APIError.invalid(
                    type,
                    key.name,
                    [FieldError("spec.replicas", .invalid, "Invalid value: must be a whole number of 0 or more")]
                )
            }
            var object = stored
            object.value.set(type.custom?.scale?.specReplicas ?? ["spec", "replicas"], .int(Int64(replicas)))
            let version = after["metadata"]?.text("resourceVersion") ?? ""
            if !version.isEmpty { object.resourceVersion = version }
            do throws(APIError) {
                return KubernetesAPI.json(try scale(of: shown(try await write(object, isStatus: false, "scale"))))
            } catch {
                guard error.reason == .conflict, attempts > 0, !isPut, version == stored.resourceVersion else {
                    throw error
                }
            }
        }
    }

    private func scale(of object: Object) throws(APIError) -> Value {
        var metadata: Value = [:]
        for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            metadata[name] = object.metadata[name]
        }
        let numbers = try ScaleNumbers(object, type)
        return [
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
            "spec": ["replicas": .int(Int64(numbers.wanted))],
            "status": ["replicas": .int(Int64(numbers.present)), "selector": .string(numbers.selector)],
        ]
    }
}
