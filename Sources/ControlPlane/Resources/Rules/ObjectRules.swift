package import Wire

/// Kubernetes' life of an object as pure steps: what a write changes besides what the writer wanted. Time, uids and
/// revisions are arguments.
package enum ObjectRules {
    /// Holds an owner that is being deleted until its dependents are gone.
    package static let foreground = "foregroundDeletion"

    /// What a store adds to a new object.
    package struct Birth: Sendable {
        package let uid: String
        package let now: Timestamp
        /// Five letters for `generateName`.
        package let suffix: String

        package init(uid: String, now: Timestamp, suffix: String) {
            self.uid = uid
            self.now = now
            self.suffix = suffix
        }
    }

    /// A new object as it is to be stored, without its revision.
    ///
    /// - Throws: `APIError` 422 with every field that is wrong.
    package static func prepareNew(_ object: Object, of type: ResourceType, _ birth: Birth) throws(APIError) -> Object {
        var object = object
        // Users do not write the status of a custom kind that has it apart; defaults it may have.
        if type.custom != nil, type.hasStatus { object.value["status"] = nil }
        object.value = try checked(object, of: type)
        if object.name.isEmpty, !object.generateName.isEmpty {
            object.name = String(object.generateName.prefix(248)) + birth.suffix
        }
        object.resourceVersion = ""
        object.uid = birth.uid
        object.creationTimestamp = birth.now
        object.deletionTimestamp = nil
        object.value.set(["metadata", "deletionGracePeriodSeconds"], nil)
        object.value.set(["metadata", "managedFields"], nil)
        object.value.set(["metadata", "selfLink"], nil)
        if type.countsGenerations { object.generation = 1 } else { object.value.set(["metadata", "generation"], nil) }
        if type.custom != nil { return object }
        if type.hasStatus, type.isActedOn { object.value["status"] = initialStatus(of: type) }
        Defaults.fill(&object, of: type)
        if type == ResourceTypes.definitions, !object.finalizers.contains(Definition.finalizer) {
            object.finalizers.append(Definition.finalizer)
        }
        if type == ResourceTypes.volumeClaims, !object.finalizers.contains(VolumeClaim.finalizer) {
            object.finalizers.append(VolumeClaim.finalizer)
        }
        return object
    }

    /// What of a new object's own `status` is dropped: users do not write it.
    private static func initialStatus(of type: ResourceType) -> Value? {
        switch type.kind {
        case "Pod", "PersistentVolumeClaim": ["phase": "Pending"]
        case "PersistentVolume": ["phase": "Available"]
        case "Service", "Ingress": ["loadBalancer": [:]]
        case "Node", "Namespace": nil
        default: [:]
        }
    }

    /// A changed object as it is to be stored, without its revision: identity and status stay as stored, and the generation
    /// rises when anything but metadata and status changed.
    package static func prepareReplace(
        _ object: Object,
        of type: ResourceType,
        stored: Object
    ) throws(APIError) -> Object {
        var object = object
        if object.metadata.isNull { object.metadata = [:] }
        keepIdentity(&object, of: type, stored: stored)
        object.value = try checked(object, of: type)
        if type.hasStatus { object.value["status"] = stored.value["status"] }
        if type.custom == nil {
            keepAllocated(&object, of: type, stored: stored)
            Defaults.fill(&object, of: type)
        }
        if type.countsGenerations {
            let isSame = wanted(object, of: type) == wanted(stored, of: type)
            object.generation = stored.generation + (isSame ? 0 : 1)
        }
        return object
    }

    /// A stored object with another's status.
    ///
    /// - Throws: `APIError` 413 or 422 for a status that is too large or too deep.
    package static func prepareStatus(
        _ object: Object,
        of type: ResourceType,
        stored: Object
    ) throws(APIError) -> Object {
        try checkSize(object, of: type)
        var result = stored
        guard let custom = type.custom else {
            result.value["status"] = object.value["status"].map(SchemaCheck.withoutNulls)
            return result
        }
        result.value["status"] = object.value["status"]
        var shaping = CustomShaping()
        result.value = shaping.shape(object: result.value, custom.schema)
        return result
    }

    /// Refuses what the kind's rules forbid.
    package static func validate(
        _ object: Object,
        of type: ResourceType,
        replacing stored: Object? = nil
    ) throws(APIError) {
        let errors =
            Validation(object, of: type, replacing: stored).errors
            + (type.custom?.errors(of: object, replacing: stored) ?? [])
        if !errors.isEmpty { throw .invalid(type, object.name, errors) }
    }

    /// Deeper or larger objects are refused: what is stored must be read again, with the readers' limits to spare, and
    /// Kubernetes' own store takes no more than 1.5 MiB.
    package static let maximumDepth = 48
    /// The largest object, roughly as bytes of JSON.
    package static let maximumSize = 1_572_864

    /// Refuses an object that is too large or too deep to keep.
    ///
    /// - Throws: `APIError` 413 or 422.
    package static func checkSize(_ object: Object, of type: ResourceType) throws(APIError) {
        var size = 0
        guard measure(object.value, depth: 0, &size) else {
            let why = "the object is nested deeper than \(maximumDepth) levels"
            throw .invalid(type, object.name, [FieldError("", .invalid, why)])
        }
        guard size <= maximumSize else {
            throw APIError(
                code: 413,
                reason: .requestEntityTooLarge,
                message: "\(type.qualifiedPlural) \"\(object.name)\" is too large: about \(size) bytes, the limit is "
                    + "\(maximumSize)"
            )
        }
    }

    /// Adds up the texts of a value; false when it is too deep.
    private static func measure(_ value: Value, depth: Int, _ size: inout Int) -> Bool {
        guard depth <= maximumDepth else { return false }
        switch value {
        case .string(let text): size += text.utf8.count + 3
        case .array(let elements):
            size += 2
            for element in elements where !measure(element, depth: depth + 1, &size) { return false }
        case .object(let fields):
            size += 2
            for (name, item) in fields {
                size += name.utf8.count + 4
                guard measure(item, depth: depth + 1, &size) else { return false }
            }
        default: size += 8
        }
        return true
    }

    private static func checked(_ object: Object, of type: ResourceType) throws(APIError) -> Value {
        try checkSize(object, of: type)
        if let custom = type.custom {
            var shaping = CustomShaping()
            let shaped = shaping.shape(object: object.value, custom.schema)
            if !shaping.errors.isEmpty { throw .invalid(type, object.name, shaping.errors) }
            return shaped
        }
        let check = SchemaCheck(object.value, of: type)
        if !check.errors.isEmpty { throw .invalid(type, object.name, check.errors) }
        return check.pruned
    }

    private static func keepIdentity(_ object: inout Object, of type: ResourceType, stored: Object) {
        for name in [
            "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName", "namespace",
            "generation",
        ] {
            object.value.set(["metadata", name], stored.metadata[name])
        }
        object.value.set(["metadata", "selfLink"], nil)
        object.value.set(["metadata", "managedFields"], stored.metadata["managedFields"])
    }

    /// A manifest that names no cluster address or node port keeps what the Service was given.
    private static func keepAllocated(_ object: inout Object, of type: ResourceType, stored: Object) {
        guard type == ResourceTypes.services, object.spec.text("type") != "ExternalName" else { return }
        if (object.spec.text("clusterIP") ?? "").isEmpty, let address = stored.spec["clusterIP"] {
            object.value.set(["spec", "clusterIP"], address)
            object.value.set(["spec", "clusterIPs"], stored.spec["clusterIPs"])
        }
        let type = object.spec.text("type") ?? "ClusterIP"
        guard type == "NodePort" || type == "LoadBalancer" else {
            // Going back to ClusterIP gives node ports back.
            let before = stored.spec.text("type") ?? "ClusterIP"
            if before == "NodePort" || before == "LoadBalancer" {
                object.value.update("spec") {
                    $0.updateEach("ports") { $0["nodePort"] = nil }
                    for name in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts"] { $0[name] = nil }
                }
            }
            return
        }
        let given = stored.spec.list("ports")
        object.value.update("spec") { spec in
            spec.updateEach("ports") { port in
                guard port.integer("nodePort") ?? 0 == 0 else { return }
                let same = given.first {
                    $0["port"] == port["port"] && ($0.text("protocol") ?? "TCP") == (port.text("protocol") ?? "TCP")
                }
                port["nodePort"] = same?["nodePort"]
            }
        }
    }

    /// The object without what writes alone change: two equal results mean that nothing was asked for.
    package static func wanted(_ object: Object, of type: ResourceType) -> Value {
        var value = object.value
        value["metadata"] = nil
        // Without a sub-resource of its own a custom kind's status is a field like others.
        if type.custom == nil || type.hasStatus { value["status"] = nil }
        return value
    }
}

extension ResourceType {
    /// Kinds without a `spec` (ConfigMap, Secret, Event ...) have no generation in Kubernetes.
    package var countsGenerations: Bool {
        if custom != nil { return true }
        return switch kind {
        case "ConfigMap", "Secret", "Event", "Endpoints", "ServiceAccount", "Namespace", "Node", "Service", "Pod",
            "Lease", "PersistentVolumeClaim", "PersistentVolume", "ControllerRevision", "Role", "RoleBinding",
            "ClusterRole", "ClusterRoleBinding":
            kind == "Pod"
        default: true
        }
    }
}
