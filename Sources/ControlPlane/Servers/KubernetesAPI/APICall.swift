import Resources
import Store
import Wire

/// One request about objects, from its path to its answer.
struct APICall {
    let api: KubernetesAPI
    let request: HTTPRequest
    let target: APITarget
    var caller = Caller.owner

    var store: any ObjectStore { type.isLive ? api.live ?? api.store : api.store }
    var type: ResourceType { target.type }

    func answer() async throws -> HTTPResponse {
        do { return try await known { try await respond() } } catch let error as APIError where error.code == 405 {
            var response = KubernetesAPI.refusal(error)
            if let methods { response.headers["Allow"] = methods }
            return response
        }
    }

    /// The methods that the path knows.
    private var methods: String? {
        switch (target.name, target.subresource) {
        case _ where type.isLive: "GET, HEAD"
        case (nil, _): type.isNamespaced && target.namespace == nil ? "GET, HEAD" : "GET, HEAD, POST, DELETE"
        case (_, nil): "GET, HEAD, PUT, PATCH, DELETE"
        case (_, "status"): "GET, HEAD, PUT, PATCH"
        default: nil
        }
    }

    private func respond() async throws -> HTTPResponse {
        if let older = target.older, !older.isWhole, ["PUT", "PATCH"].contains(request.method) {
            throw APIError.badRequest(
                "\(type.plural) are changed in \(type.apiVersion); \(older.apiVersion) is served for making and reading them"
            )
        }
        var response = try await dispatch()
        if let deprecation = type.custom?.deprecation { response.headers.add("Warning", Self.warning(deprecation)) }
        return response
    }

    private func dispatch() async throws -> HTTPResponse {
        if [nil, "status", "scale"].contains(target.subresource), !AnswerForm.canSatisfy(request) {
            throw APIError.notAcceptable(
                "only the following media types are accepted: application/json, application/yaml"
            )
        }
        guard let key = target.key else { return try await collection() }
        switch target.subresource {
        case nil: return try await object(key)
        case "status" where type.hasStatus: return try await status(key)
        case "scale" where type.hasScale: return try await scale(key)
        case "log" where type == ResourceTypes.pods: return try await log(key)
        case "exec" where type == ResourceTypes.pods: return try await exec(key)
        case "attach" where type == ResourceTypes.pods: return try await attach(key)
        case "portforward" where type == ResourceTypes.pods: return try await portForward(key)
        case "binding" where type == ResourceTypes.pods: return try await bind(key)
        case "token" where type == ResourceTypes.serviceAccounts: return try await token(key)
        case "eviction" where type == ResourceTypes.pods: return try await evict(key)
        case "finalize" where type == ResourceTypes.namespaces && request.method == "PUT":
            return try await replace(key, isStatus: false)
        default: throw KubernetesAPI.unknownPath
        }
    }

    private func collection() async throws -> HTTPResponse {
        switch request.method {
        case "GET" where Self.isTrue(request.queryValue("watch")): return try await watch()
        case "GET", "HEAD": return try await list()
        case "POST": return try await create()
        case "DELETE": return try await deleteCollection()
        default: throw KubernetesAPI.wrongMethod
        }
    }

    private func object(_ key: ObjectKey) async throws -> HTTPResponse {
        switch request.method {
        case "GET" where Self.isTrue(request.queryValue("watch")): return try await watch(only: key.name)
        case "GET", "HEAD":
            try await checkMoment()
            return present(try await store.get(key))
        case "PUT": return try await replace(key, isStatus: false)
        case "PATCH": return try await patch(key, isStatus: false)
        case "DELETE": return try await delete(key)
        default: throw KubernetesAPI.wrongMethod
        }
    }

    private func status(_ key: ObjectKey) async throws -> HTTPResponse {
        switch request.method {
        case "GET", "HEAD": return present(try await store.get(key))
        case "PUT": return try await replace(key, isStatus: true)
        case "PATCH": return try await patch(key, isStatus: true)
        default: throw KubernetesAPI.wrongMethod
        }
    }

    static func isTrue(_ text: String?) -> Bool { text == "true" || text == "1" }

    // MARK: Reading

    func selectors() throws(APIError) -> (labels: LabelSelector, fields: FieldSelector) {
        let labels = try request.queryValue("labelSelector").map { (text) throws(APIError) in
            try LabelSelector(text: text)
        }
        // Some clients send the same selector twice.
        var fields = FieldSelector()
        for item in request.query where item.name == "fieldSelector" {
            let text = target.older?.inward(selector: item.value) ?? item.value
            fields.requirements += try FieldSelector(text: text, for: type).requirements
        }
        return (labels ?? LabelSelector(), fields)
    }

    private func list() async throws -> HTTPResponse {
        let list = try await store.list(type, namespace: target.namespace, try await listOptions())
        let form = AnswerForm(request)
        if case .table(let including) = form {
            let table = Table.make(list.items.map(shown), of: type, at: api.clock())
            return form.response(
                table.value(including: including, revision: String(list.revision), continuation: list.continuation)
            )
        }
        var metadata: Value = ["resourceVersion": .string(String(list.revision))]
        if let continuation = list.continuation { metadata["continue"] = .string(continuation) }
        if let rest = list.remainingCount { metadata["remainingItemCount"] = .int(Int64(rest)) }
        if case .metadata = form {
            return form.response([
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "items": .array(list.items.map(Table.partial)),
            ])
        }
        var answer: Value = [
            "kind": .string(type.listKind), "apiVersion": .string(target.older?.apiVersion ?? type.apiVersion),
            "metadata": metadata,
        ]
        let items = type.custom == nil ? list.items : list.items.map(shown)
        if case .json = form, target.older == nil { return .json(Self.text(of: answer, items: items)) }
        answer["items"] = .array(items.map { outward($0.value) })
        return form.response(answer)
    }

    /// A list from the texts that its items have already.
    private static func text(of list: Value, items: [Object]) -> [UInt8] {
        var text = JSON.bytes(list)
        text.removeLast()
        text += Array(#","items":["#.utf8)
        let texts = items.map(\.json)
        text.reserveCapacity(texts.reduce(text.count + 2) { $0 + $1.count + 1 })
        for (index, item) in texts.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text += item
        }
        text += Array("]}".utf8)
        return text
    }

    /// An object in the version that was asked for.
    func outward(_ value: Value) -> Value { target.older?.outward(value) ?? value }

    /// An object of a custom kind in the version that was asked for; any other as it is.
    func shown(_ object: Object) -> Object { type.custom?.shown(object, apiVersion: type.apiVersion) ?? object }

    /// One object in the form that the caller wants.
    func present(_ object: Object, status: Int = 200, warnings: [String] = []) -> HTTPResponse {
        let object = shown(object)
        let form = AnswerForm(request)
        var response: HTTPResponse
        switch form {
        case .table(let including):
            response = form.response(
                Table.make([object], of: type, at: api.clock())
                    .value(including: including, revision: object.resourceVersion)
            )
        case .metadata: response = form.response(Table.partial(object))
        case .json where target.older == nil: response = .json(object.json)
        case .json, .yaml: response = form.response(outward(object.value))
        }
        response.status = status
        for warning in warnings.prefix(20) { response.headers.add("Warning", Self.warning(warning)) }
        return response
    }

    /// A `Warning` header (RFC 9111 5.5 as Kubernetes uses it): printable, quoted, short.
    static func warning(_ text: String) -> String {
        var quoted = ""
        for scalar in text.unicodeScalars.prefix(500) {
            if scalar == "\"" || scalar == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(scalar.value >= 0x20 && scalar.value < 0x7f ? scalar : "?")
        }
        return "299 - \"\(quoted)\""
    }
}

/// The form in which a caller wants its answer.
enum AnswerForm {
    case json
    case yaml
    case table(Table.IncludedObject)
    case metadata

    /// Whether any form of the `Accept` header can be answered. Who can read Kubernetes' own coding reads JSON, too.
    static func canSatisfy(_ request: HTTPRequest) -> Bool {
        let entries = request.headers.all("Accept").joined(separator: ",").split(separator: ",")
        let types = entries.compactMap { $0.split(separator: ";").first?.filter { !$0.isWhitespace }.lowercased() }
        return types.allSatisfy(\.isEmpty) || types.contains(where: known.contains)
    }

    private static let known: Set<String> = [
        "*/*", "application/*", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf",
        "application/cbor",
    ]

    /// The first form of the `Accept` header that is known; JSON when there is none.
    init(_ request: HTTPRequest) {
        self = .json
        let accept = request.headers.all("Accept").joined(separator: ",")
        for entry in accept.split(separator: ",") {
            let parts = entry.split(separator: ";").map { $0.filter { !$0.isWhitespace } }
            let isVersion1 = parts.contains("v=v1") || parts.contains("v=v1beta1")
            switch parts.first {
            case "application/json":
                if parts.contains("as=Table"), isVersion1 {
                    self = .table(
                        request.queryValue("includeObject").flatMap(Table.IncludedObject.init(rawValue:)) ?? .metadata
                    )
                } else if parts.contains("as=PartialObjectMetadata") || parts.contains("as=PartialObjectMetadataList") {
                    self = .metadata
                }
                return
            case "application/yaml":
                self = .yaml
                return
            case "*/*", "application/*": return
            default: continue
            }
        }
    }

    func response(_ value: Value) -> HTTPResponse {
        guard case .yaml = self else { return KubernetesAPI.json(value) }
        return HTTPResponse(
            status: 200,
            headers: ["Content-Type": "application/yaml"],
            body: .bytes(Array(YAML.write(value).utf8))
        )
    }
}
