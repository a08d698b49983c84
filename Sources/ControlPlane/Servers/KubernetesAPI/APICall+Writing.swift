import Resources
import Store
import Wire

// Creating, replacing, patching, deleting.
extension APICall {
    /// What the caller sent, checked against its kind: unknown fields are gone, or were an error.
    struct Received {
        var object: Object
        var warnings: [String]
    }

    func dryRun() throws(APIError) -> Bool {
        let values = request.query.filter { $0.name == "dryRun" }.map(\.value).filter { !$0.isEmpty }
        guard values.allSatisfy({ $0 == "All" }) else {
            throw .badRequest(
                "dryRun: Unsupported value: \"\(values.joined(separator: ","))\": supported values: \"All\""
            )
        }
        return !values.isEmpty
    }

    // MARK: Bodies

    /// The object in the body, placed where the path says.
    func received() throws(APIError) -> Received {
        let body = try request.readBody()
        return try checked(try placed(Object(inward(body))))
    }

    /// An object of the version that was asked for as it is kept.
    private func inward(_ value: Value) -> Value { target.older?.inward(value) ?? value }

    private func placed(_ body: Object) throws(APIError) -> Object {
        guard body.value.fields != nil else { throw .badRequest("the body must be an object") }
        var object = body
        // Some clients leave out what the path says.
        if object.apiVersion.isEmpty { object.apiVersion = type.apiVersion }
        if object.kind.isEmpty { object.kind = type.kind }
        guard object.apiVersion == type.apiVersion else {
            throw .badRequest(
                "the API version in the data (\(object.apiVersion)) does not match the expected API version "
                    + "(\(type.apiVersion))"
            )
        }
        guard object.kind == type.kind else {
            throw .badRequest("the kind in the data (\(object.kind)) does not match the expected kind (\(type.kind))")
        }
        if let namespace = target.namespace {
            guard object.namespace.isEmpty || object.namespace == namespace else {
                throw .badRequest(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            }
            object.namespace = namespace
        }
        if let name = target.name {
            guard object.name.isEmpty || object.name == name else {
                throw .badRequest(
                    "the name of the object (\(object.name)) does not match the name on the URL (\(name))"
                )
            }
            object.name = name
        }
        return object
    }

    /// Applies `fieldValidation`: `Strict` refuses unknown fields, `Warn` (the default) and `Ignore` drop them.
    func checked(_ object: Object) throws(APIError) -> Received {
        // Defaults come when the object is written: whoever applies it owns only what it named.
        let check = SchemaCheck(object.value, of: type, fillsDefaults: false)
        let mode = request.queryValue("fieldValidation").flatMap { $0.isEmpty ? nil : $0 } ?? "Warn"
        let unknown = check.unknown.map { "unknown field \"\($0.path)\"\($0.message.dropFirst("unknown field".count))" }
        var warnings: [String] = []
        switch mode {
        case "Strict":
            guard unknown.isEmpty else {
                throw .badRequest(
                    "\(type.kind) in version \"\(type.version)\" cannot be handled as a \(type.kind): strict decoding "
                        + "error: \(unknown.joined(separator: ", "))"
                )
            }
        case "Warn": warnings = unknown
        case "Ignore": break
        default:
            throw .badRequest(
                "fieldValidation: Unsupported value: \"\(mode)\": supported values: \"Ignore\", \"Strict\", \"Warn\""
            )
        }
        warnings += check.warnings
        if !type.isActedOn, type.custom == nil {
            warnings.append("Weft keeps \(type.qualifiedPlural) but does not act on them")
        }
        // Wrong types stay for the store, which refuses them by their path.
        return Received(object: check.errors.isEmpty ? Object(check.pruned) : object, warnings: warnings)
    }

    // MARK: Create and replace

    func create() async throws -> HTTPResponse {
        if type.isNamespaced, target.namespace == nil { throw KubernetesAPI.wrongMethod }
        let received = try received()
        try await api.authorizer.checkEscalation(received.object, of: type, by: caller)
        let object = try await store.create(received.object, try options(received.object, ""))
        return present(object, status: 201, warnings: received.warnings)
    }

    func replace(_ key: ObjectKey, isStatus: Bool) async throws -> HTTPResponse {
        let received = try received()
        let object = try await write(received.object, isStatus: isStatus)
        return present(object, warnings: isStatus ? [] : received.warnings)
    }

    func write(
        _ object: Object,
        isStatus: Bool,
        _ subresource: String? = nil
    ) async throws(APIError) -> Object {
        let options = try options(object, subresource ?? (isStatus ? "status" : ""))
        if !isStatus { try await api.authorizer.checkEscalation(object, of: type, by: caller) }
        return isStatus ? try await store.updateStatus(object, options) : try await store.replace(object, options)
    }

    private func options(_ object: Object, _ subresource: String) throws(APIError) -> WriteOptions {
        WriteOptions(isDryRun: try dryRun(), tracking: try tracking(subresource, object.metadata["managedFields"]))
    }

    /// Who writes: what it calls itself, else the name of its program.
    private func tracking(_ subresource: String, _ sent: Value?) throws(APIError) -> FieldTracking {
        let manager = request.queryValue("fieldManager").flatMap { $0.isEmpty ? nil : $0 }
        if let manager, manager.utf8.count > 128 || manager.unicodeScalars.contains(where: { $0.value < 0x20 }) {
            throw .badRequest("fieldManager: Invalid value: must be at most 128 printable characters")
        }
        let agent = request.headers["User-Agent"]?.split(separator: "/").first.map { String($0.prefix(128)) }
        return FieldTracking(
            type,
            manager: manager,
            agent: agent ?? "unknown",
            subresource: subresource,
            time: api.clock(),
            sent: sent
        )
    }

    // MARK: Patch

    /// Server-side apply: the caller's wish is merged field by field; what others own is not taken from them without `force`.
    private func apply(_ key: ObjectKey, isStatus: Bool) async throws -> HTTPResponse {
        guard let manager = request.queryValue("fieldManager"), !manager.isEmpty else {
            throw APIError.badRequest(
                "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
            )
        }
        let config = try checked(try placed(Object(inward(try appliedBody()))))
        guard config.object.metadata["managedFields"] == nil else {
            throw APIError.badRequest("metadata.managedFields must be nil")
        }
        let forces = Self.isTrue(request.queryValue("force"))
        var attempts = 8
        while true {
            attempts -= 1
            let stored = try await store.find(key).map(shown)
            if stored == nil, isStatus { throw APIError.notFound(type, key.name) }
            var tracking = try tracking(isStatus ? "status" : "", nil)
            var object = try tracking.apply(config.object, to: stored, forces: forces)
            let version = config.object.resourceVersion
            object.resourceVersion = version.isEmpty ? stored?.resourceVersion ?? "" : version
            let options = WriteOptions(isDryRun: try dryRun(), tracking: tracking)
            do throws(APIError) {
                guard stored != nil else {
                    object.uid = ""
                    try await mayCreate(object)
                    try await api.authorizer.checkEscalation(object, of: type, by: caller)
                    return present(try await store.create(object, options), status: 201, warnings: config.warnings)
                }
                guard !isStatus else { return present(try await store.updateStatus(object, options)) }
                try await api.authorizer.checkEscalation(object, of: type, by: caller)
                return present(try await store.replace(object, options), warnings: config.warnings)
            } catch {
                let isRace = error.reason == .conflict || stored == nil && error.reason == .alreadyExists
                guard isRace, attempts > 0, version.isEmpty else { throw error }
            }
        }
    }

    /// Who may change objects of a kind may not by that alone make new ones.
    private func mayCreate(_ object: Object) async throws(APIError) {
        var facts = RequestFacts(verb: "create")
        facts.group = type.group
        facts.resource = type.plural
        facts.namespace = object.namespace
        guard try await !api.authorizer.judge(facts, by: caller).isAllowed else { return }
        throw .forbidden(type, object.name, "User \"\(caller.name)\" \(facts.sentence)")
    }

    /// YAML, of which JSON is a part.
    private func appliedBody() throws(APIError) -> Value {
        var plain = request
        plain.headers["Content-Type"] =
            request.body.first == UInt8(ascii: "{") ? "application/json" : "application/yaml"
        return try plain.readBody()
    }

    /// Reads, patches and writes, again when somebody else wrote in between.
    func patch(_ key: ObjectKey, isStatus: Bool) async throws -> HTTPResponse {
        if ["application/apply-patch+yaml", "application/apply-patch+json"].contains(request.mediaType) {
            return try await apply(key, isStatus: isStatus)
        }
        let change = try patchFunction()
        var attempts = 8
        while true {
            attempts -= 1
            let stored = shown(try await store.get(key))
            let patched = try placed(Object(inward(try change(outward(stored.value)))))
            let received = try checked(patched)
            do throws(APIError) {
                let object = try await write(received.object, isStatus: isStatus)
                return present(object, warnings: isStatus ? [] : received.warnings)
            } catch {
                // A patch that names a revision means that one.
                guard error.reason == .conflict, attempts > 0, patched.resourceVersion == stored.resourceVersion else {
                    throw error
                }
            }
        }
    }

    func patchFunction() throws(APIError) -> (Value) throws(APIError) -> Value {
        let mediaType = request.mediaType
        let patch: Value
        do { patch = try JSON.parse(request.body) } catch { throw .badRequest("the patch is not valid JSON: \(error)") }
        switch mediaType {
        case "application/merge-patch+json":
            guard patch.fields != nil else { throw .badRequest("a merge patch must be an object") }
            return { (value) throws(APIError) in Patch.merge(patch, into: value) }
        case "application/json-patch+json":
            return { (value) throws(APIError) in try Patch.json(patch, into: value) }
        case "application/strategic-merge-patch+json" where isBuiltIn:
            guard patch.fields != nil else { throw .badRequest("a strategic merge patch must be an object") }
            let shape = Schema.shape(of: type)
            return { (value) throws(APIError) in Patch.strategic(patch, into: value, shape: shape) }
        default:
            throw APIError(
                code: 415,
                reason: .unsupportedMediaType,
                message:
                    "the body of the request was in an unknown format (\(mediaType)) - accepted media types include: "
                    + "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                    + (isBuiltIn ? ", application/strategic-merge-patch+json" : "")
            )
        }
    }

    /// Kinds of Kubernetes itself: only their clients know strategic merging.
    private var isBuiltIn: Bool {
        type.custom == nil && (!type.group.contains(".") || type.group.hasSuffix(".k8s.io"))
    }

    // MARK: Delete

    private func deleteOptions() throws(APIError) -> DeleteOptions {
        var value: Value = [:]
        if !request.body.isEmpty { value = try request.readBody() }
        var options = DeleteOptions()
        options.gracePeriodSeconds =
            value.integer("gracePeriodSeconds") ?? request.queryValue("gracePeriodSeconds").flatMap { Int($0) }
        if let seconds = options.gracePeriodSeconds, seconds < 0 {
            throw .badRequest("gracePeriodSeconds must not be negative")
        }
        options.uid = value["preconditions"]?.text("uid")
        options.resourceVersion = value["preconditions"]?.text("resourceVersion")
        options.isDryRun = try dryRun() || value.texts("dryRun").contains("All")
        guard let word = value.text("propagationPolicy") ?? request.queryValue("propagationPolicy") else {
            if value.flag("orphanDependents") { options.propagation = .orphan }
            return options
        }
        guard let propagation = DeleteOptions.Propagation(rawValue: word) else {
            throw .badRequest(
                "propagationPolicy: Unsupported value: \"\(word)\": supported values: \"Background\", \"Foreground\", "
                    + "\"Orphan\""
            )
        }
        options.propagation = propagation
        return options
    }

    func delete(_ key: ObjectKey) async throws -> HTTPResponse {
        switch try await store.delete(key, try deleteOptions()) {
        case .marked(let object): return present(object)
        case .removed(let object): return KubernetesAPI.json(Self.success(object, type))
        }
    }

    private static func success(_ object: Object, _ type: ResourceType) -> Value {
        var details: Value = ["name": .string(object.name)]
        if !type.group.isEmpty { details["group"] = .string(type.group) }
        details["kind"] = .string(type.plural)
        details["uid"] = .string(object.uid)
        return ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "details": details]
    }

    func deleteCollection() async throws -> HTTPResponse {
        if type.isNamespaced, target.namespace == nil { throw KubernetesAPI.wrongMethod }
        let (labels, fields) = try selectors()
        let options = try deleteOptions()
        let list = try await store.list(type, namespace: target.namespace, ListOptions(labels: labels, fields: fields))
        var items: [Value] = []
        for object in list.items {
            do throws(APIError) {
                let key = ObjectKey(type, namespace: object.namespace, name: object.name)
                items.append(try await store.delete(key, options).object.value)
            } catch {
                // Somebody else was faster.
                if error.reason != .notFound { throw error }
            }
        }
        return KubernetesAPI.json([
            "kind": .string(type.listKind), "apiVersion": .string(type.apiVersion),
            "metadata": ["resourceVersion": .string(String(await store.currentRevision()))], "items": .array(items),
        ])
    }

    /// `pods/x/eviction`: a deletion that asks the pod's disruption budget first.
    func evict(_ key: ObjectKey) async throws -> HTTPResponse {
        guard request.method == "POST" else { throw KubernetesAPI.wrongMethod }
        let eviction = try request.readBody()
        let wish = eviction["deleteOptions"] ?? .null
        // Clients say it in the body, of which the path knows nothing.
        var options = DeleteOptions(isDryRun: try dryRun() || wish.texts("dryRun").contains("All"))
        options.gracePeriodSeconds = wish.integer("gracePeriodSeconds")
        options.uid = wish["preconditions"]?.text("uid")
        options.resourceVersion = wish["preconditions"]?.text("resourceVersion")
        try await askBudget(key, isDryRun: options.isDryRun)
        _ = try await store.delete(key, options)
        return KubernetesAPI.json(
            ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201],
            status: 201
        )
    }

    /// Takes one from the disruption budget that covers a pod, if there is one, and marks the pod.
    ///
    /// - Throws: `APIError` 429 when the budget allows none.
    private func askBudget(_ key: ObjectKey, isDryRun: Bool) async throws {
        var attempts = 8
        while true {
            attempts -= 1
            let pod = try await store.get(key)
            let budgets = try await store.list(ResourceTypes.disruptionBudgets, namespace: key.namespace)
            let now = api.clock()
            switch Eviction(pod, budgets: budgets, now: now) {
            case .deny(let error): throw error
            case .allow(let budget):
                guard !isDryRun else { return }
                do throws(APIError) {
                    if let budget { _ = try await store.updateStatus(budget) }
                } catch {
                    // Another eviction, or the budget's controller, was faster: it is asked again.
                    guard error.reason == .conflict, attempts > 0 else { throw error }
                    continue
                }
                try await store.modifyStatus(key) { (pod) throws(APIError) in
                    var conditions = PodStatus(pod.status).conditions
                    conditions.set(Eviction.condition(now: now))
                    pod.value.set(["status", "conditions"], .array(conditions.map(\.value)))
                }
                return
            }
        }
    }
}
