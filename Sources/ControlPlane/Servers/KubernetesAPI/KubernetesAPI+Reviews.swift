import Resources
import Store
import Wire

// Questions about callers: who is this, and what may they do. They are asked like objects are made, and nobody stores them.
extension KubernetesAPI {
    static let authentication = "authentication.k8s.io"
    static let authorization = "authorization.k8s.io"

    struct Review: Sendable {
        let group: String
        let plural: String
        let kind: String
        var isNamespaced = false
    }

    static let reviews = [
        Review(group: authentication, plural: "selfsubjectreviews", kind: "SelfSubjectReview"),
        Review(group: authentication, plural: "tokenreviews", kind: "TokenReview"),
        Review(
            group: authorization,
            plural: "localsubjectaccessreviews",
            kind: "LocalSubjectAccessReview",
            isNamespaced: true
        ),
        Review(group: authorization, plural: "selfsubjectaccessreviews", kind: "SelfSubjectAccessReview"),
        Review(group: authorization, plural: "selfsubjectrulesreviews", kind: "SelfSubjectRulesReview"),
        Review(group: authorization, plural: "subjectaccessreviews", kind: "SubjectAccessReview"),
    ]

    /// Everything behind `/apis/authentication.k8s.io` and `/apis/authorization.k8s.io`.
    func review(_ request: HTTPRequest, _ group: String, _ segments: [String], _ caller: Caller) async throws
        -> HTTPResponse
    {
        guard segments.first == "v1" else { throw Self.unknownPath }
        var rest = Array(segments.dropFirst())
        if rest.isEmpty { return Self.json(Self.reviewResources(group)) }
        var namespace = ""
        if rest.count == 3, rest[0] == "namespaces" {
            namespace = rest[1]
            rest = [rest[2]]
        }
        guard rest.count == 1,
            let review = Self.reviews.first(where: { $0.group == group && $0.plural == rest[0] }),
            review.isNamespaced == !namespace.isEmpty
        else { throw Self.unknownPath }
        guard request.method == "POST" else { throw Self.wrongMethod }
        var answer = try request.readBody()
        guard answer.fields != nil else { throw APIError.badRequest("the body must be an object") }
        answer["kind"] = .string(review.kind)
        answer["apiVersion"] = .string("\(group)/v1")
        answer["metadata"] = ["creationTimestamp": .string(clock().description)]
        answer["status"] = try await status(of: review, answer["spec"] ?? .null, caller, namespace)
        return Self.json(answer, status: 201)
    }

    private func status(
        of review: Review,
        _ spec: Value,
        _ caller: Caller,
        _ namespace: String
    ) async throws(APIError) -> Value {
        switch review.kind {
        case "SelfSubjectReview": return ["userInfo": caller.value]
        case "TokenReview": return try await tokenStatus(spec)
        case "SelfSubjectAccessReview": return try await access(spec, caller)
        case "SelfSubjectRulesReview": return try await rules(spec, caller)
        case "LocalSubjectAccessReview":
            guard spec["resourceAttributes"]?.text("namespace") == namespace else {
                throw .badRequest("spec.resourceAttributes.namespace must be the namespace of the request")
            }
            return try await access(spec, Self.subject(spec))
        default: return try await access(spec, Self.subject(spec))
        }
    }

    private static func subject(_ spec: Value) -> Caller {
        Caller(name: spec.text("user") ?? "", uid: spec.text("uid") ?? "", groups: spec.texts("groups"))
    }

    private func access(_ spec: Value, _ caller: Caller) async throws(APIError) -> Value {
        var facts: RequestFacts
        if let resource = spec["resourceAttributes"] {
            facts = RequestFacts(verb: resource.text("verb") ?? "")
            facts.group = resource.text("group") ?? ""
            facts.version = resource.text("version") ?? ""
            facts.resource = resource.text("resource") ?? ""
            facts.subresource = resource.text("subresource") ?? ""
            facts.namespace = resource.text("namespace") ?? ""
            facts.name = resource.text("name") ?? ""
        } else if let plain = spec["nonResourceAttributes"] {
            facts = RequestFacts(verb: plain.text("verb") ?? "", path: plain.text("path") ?? "")
        } else {
            throw .badRequest("spec needs exactly one of resourceAttributes and nonResourceAttributes")
        }
        let verdict = try await authorizer.judge(facts, by: caller)
        var status: Value = ["allowed": .bool(verdict.isAllowed)]
        if !verdict.reason.isEmpty { status["reason"] = .string(verdict.reason) }
        return status
    }

    private func rules(_ spec: Value, _ caller: Caller) async throws(APIError) -> Value {
        let all = try await authorizer.rules(of: caller, in: spec.text("namespace") ?? "default")
        return [
            "resourceRules": .array(all.filter { !$0.resources.isEmpty }.map(\.value)),
            "nonResourceRules": .array(all.filter { !$0.paths.isEmpty }.map(\.value)), "incomplete": false,
        ]
    }

    private func tokenStatus(_ spec: Value) async throws(APIError) -> Value {
        let audiences = spec.texts("audiences")
        for audience in audiences.isEmpty ? [AccountTokens.issuer] : audiences {
            guard let found = try await authenticator.account(spec.text("token") ?? "", audience: audience) else {
                continue
            }
            return [
                "authenticated": true, "user": found.caller.value, "audiences": [.string(audience)],
            ]
        }
        return ["authenticated": false, "user": [:], "error": "the token is not valid here"]
    }

    static func reviewResources(_ group: String) -> Value {
        [
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": .string("\(group)/v1"),
            "resources": .array(
                reviews.filter { $0.group == group }.map { review in
                    [
                        "name": .string(review.plural), "singularName": .string(review.kind.lowercased()),
                        "namespaced": .bool(review.isNamespaced), "kind": .string(review.kind), "verbs": ["create"],
                    ]
                }
            ),
        ]
    }
}

// `serviceaccounts/x/token` and `pods/x/binding`.
extension APICall {
    func token(_ key: ObjectKey) async throws -> HTTPResponse {
        guard request.method == "POST" else { throw KubernetesAPI.wrongMethod }
        guard let tokens = api.tokens else { throw APIError.unavailable("this server issues no tokens") }
        let account = try await store.get(key)
        var answer = try request.readBody()
        guard answer.fields != nil else { throw APIError.badRequest("the body must be an object") }
        let spec = answer["spec"] ?? .null
        let seconds = spec.integer("expirationSeconds") ?? 3600
        guard AccountTokens.seconds.contains(seconds) else {
            let why =
                "Invalid value: \(seconds): may not specify a duration less than 10 minutes or larger than 2^32 seconds"
            throw APIError.invalid(type, key.name, [FieldError("spec.expirationSeconds", .invalid, why)])
        }
        var claims = AccountTokens.Claims(
            namespace: key.namespace,
            account: key.name,
            accountUID: account.uid,
            audiences: spec.texts("audiences").isEmpty ? [AccountTokens.issuer] : spec.texts("audiences")
        )
        if let bound = spec["boundObjectRef"], !bound.isNull { try await bind(&claims, to: bound, key) }
        let now = api.clock()
        guard let token = tokens.issue(claims, from: Int(now.seconds), seconds: seconds) else {
            throw APIError.internalError("the token cannot be signed")
        }
        answer["kind"] = "TokenRequest"
        answer["apiVersion"] = "authentication.k8s.io/v1"
        answer["metadata"] = [
            "name": .string(key.name), "namespace": .string(key.namespace),
            "creationTimestamp": .string(now.description),
        ]
        answer["status"] = [
            "token": .string(token), "expirationTimestamp": .string(now.adding(seconds: seconds).description),
        ]
        return KubernetesAPI.json(answer, status: 201)
    }

    private func bind(_ claims: inout AccountTokens.Claims, to bound: Value, _ key: ObjectKey) async throws {
        let kind = bound.text("kind") ?? ""
        guard kind == "Pod" || kind == "Secret" else {
            throw APIError.badRequest("cannot bind token for serviceaccount \(key.name) to object of kind \"\(kind)\"")
        }
        let type = kind == "Pod" ? ResourceTypes.pods : ResourceTypes.secrets
        let object = try await store.get(ObjectKey(type, namespace: key.namespace, name: bound.text("name") ?? ""))
        if let uid = bound.text("uid"), !uid.isEmpty, uid != object.uid {
            throw APIError.conflict(type, object.name, "the UID in the bound object reference does not match")
        }
        claims.boundKind = kind
        claims.boundName = object.name
        claims.boundUID = object.uid
    }

    /// `pods/x/binding` and `bindings`: puts a pod on the node.
    func bind(_ key: ObjectKey) async throws -> HTTPResponse {
        guard request.method == "POST" else { throw KubernetesAPI.wrongMethod }
        let binding = try request.readBody()
        let node = binding["target"]?.text("name") ?? ""
        guard !node.isEmpty, try await store.find(ObjectKey(ResourceTypes.nodes, name: node)) != nil else {
            throw APIError.notFound(ResourceTypes.nodes, node)
        }
        let type = type
        if try dryRun() {
            _ = try await store.get(key)
        } else {
            try await store.modify(key) { (pod) throws(APIError) in
                let present = pod.spec.text("nodeName") ?? ""
                guard present.isEmpty else {
                    throw .conflict(type, key.name, "pod \(key.name) is already assigned to node \"\(present)\"")
                }
                pod.value.set(["spec", "nodeName"], .string(node))
            }
        }
        return KubernetesAPI.json(
            ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201],
            status: 201
        )
    }
}
