import Wire

// Claims and volumes.
extension Validation {
    private static let modes: Set<String> = [
        "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod",
    ]

    mutating func claim(_ object: Object, _ old: Object?) {
        accessModes(object.spec, "spec.accessModes")
        storage(object.spec["resources"]?["requests"], "spec.resources.requests.storage")
        guard let old else { return }
        func fixed(_ spec: Value) -> Value {
            var spec = spec
            for name in ["resources", "volumeMode", "volumeAttributesClassName"] { spec[name] = nil }
            // The binder fills these in once.
            for name in ["volumeName", "storageClassName"] where (old.spec.text(name) ?? "").isEmpty {
                spec[name] = nil
            }
            return spec
        }
        if fixed(object.spec) != fixed(old.spec) {
            let why = "Forbidden: spec is immutable after creation except resources.requests for bound claims"
            add("spec", .forbidden, why)
        }
    }

    mutating func persistentVolume(_ object: Object, _ old: Object?) {
        accessModes(object.spec, "spec.accessModes")
        storage(object.spec["capacity"], "spec.capacity.storage")
        let source = object.spec["hostPath"] ?? object.spec["local"]
        if let path = source?.text("path") {
            if !path.hasPrefix("/") || path.split(separator: "/").contains("..") || path.utf8.contains(0) {
                invalid(
                    "spec.\(object.spec["hostPath"] == nil ? "local" : "hostPath").path",
                    path,
                    "must be absolute and without '..'"
                )
            }
        }
    }

    private mutating func accessModes(_ spec: Value, _ path: String) {
        let given = spec.texts("accessModes")
        if given.isEmpty { required(path, "at least 1 access mode is required") }
        for mode in given where !Self.modes.contains(mode) {
            let known = Self.modes.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
            add(path, .notSupported, "Unsupported value: \"\(mode.prefix(80))\": supported values: \(known)")
        }
    }

    private mutating func storage(_ amounts: Value?, _ path: String) {
        guard let amount = Quantity(amounts?["storage"]) else { return required(path) }
        if amount.isNegative || amount.rounded == 0 {
            invalid(path, amounts?.text("storage") ?? "", "must be greater than zero")
        }
    }
}
