package import Resources
package import Store
import Wire

/// The Kubernetes-shaped API: a handler of requests over an `ObjectStore`.
///
/// Stateless but for its parts; safe from every task. Whoever serves it decides who may call it.
package struct KubernetesAPI: Sendable {
    /// Answers requests under a path of Weft's own; `rest` are the path's segments behind the name it was added by.
    package typealias Extension = @Sendable (_ request: HTTPRequest, _ rest: [String]) async -> HTTPResponse

    let store: any ObjectStore
    let logs: (any PodLogSource)?
    let commands: (any PodCommandSource)?
    let usage: (any UsageSource)?
    let ports: (any PodPortSource)?
    /// Tokens of ServiceAccounts; without it none are issued or believed.
    let tokens: AccountTokens?
    let clock: @Sendable () -> Timestamp
    /// The version of Weft, in `/version` and in the server's name.
    let version: String
    /// Where the kinds are that are measured, not written.
    package var live: (any ObjectStore)?
    private var extensions: [String: Extension] = [:]
    private var paths: [String: Extension] = [:]

    package init(
        store: any ObjectStore,
        logs: (any PodLogSource)? = nil,
        commands: (any PodCommandSource)? = nil,
        usage: (any UsageSource)? = nil,
        ports: (any PodPortSource)? = nil,
        tokens: AccountTokens? = nil,
        version: String = "0.1.0",
        clock: @escaping @Sendable () -> Timestamp = { SQLiteStore.now() }
    ) {
        self.store = store
        self.logs = logs
        self.commands = commands
        self.usage = usage
        self.ports = ports
        self.tokens = tokens
        self.version = version
        self.clock = clock
    }

    /// Adds `/apis/weft.dev/v1alpha1/<name>` and everything below it. Resources of the group go first.
    package mutating func add(_ name: String, _ handler: @escaping Extension) { extensions[name] = handler }

    /// Adds `/<name>` and everything below it, such as `/metrics`.
    package mutating func add(path name: String, _ handler: @escaping Extension) { paths[name] = handler }

    var authenticator: Authenticator { Authenticator(store: store, tokens: tokens, clock: clock) }
    var authorizer: Authorizer { Authorizer(store: store) }

    /// Answers a request of somebody who may send it (`APIFront` sees to that).
    package func handle(_ request: HTTPRequest, as caller: Caller = .owner) async -> HTTPResponse {
        do {
            guard let segments = request.segments else { throw APIError.badRequest("the path is malformed") }
            return AnswerPacking.packed(try await route(request, segments, caller), for: request)
        } catch let error as APIError {
            return Self.refusal(error)
        } catch is CancellationError {
            return Self.refusal(.unavailable("the request was cancelled"))
        } catch {
            return Self.refusal(.internalError(String(describing: error)))
        }
    }

    private func route(_ request: HTTPRequest, _ segments: [String], _ caller: Caller) async throws -> HTTPResponse {
        switch segments.first {
        case "api" where segments.count == 1, "apis" where segments.count <= 2:
            return try discovery(request, segments)
        case "api": return try await version(request, "", Array(segments.dropFirst()), caller)
        case "apis" where segments[1] == Self.metricsGroup:
            return try await metrics(request, Array(segments.dropFirst(2)))
        case "apis" where segments[1] == ResourceTypes.liveGroup:
            return try await live(request, Array(segments.dropFirst(2)), caller)
        case "apis" where segments[1] == Self.authentication || segments[1] == Self.authorization:
            return try await review(request, segments[1], Array(segments.dropFirst(2)), caller)
        case "apis": return try await version(request, segments[1], Array(segments.dropFirst(2)), caller)
        case "version" where segments.count == 1: return Self.json(versionInfo)
        case "healthz", "livez", "readyz": return Self.health(request, segments)
        case "openapi": return try await openAPI(request, Array(segments.dropFirst()))
        case let name?:
            guard let handler = paths[name] else { throw Self.unknownPath }
            return await handler(request, Array(segments.dropFirst()))
        case nil:
            return Self.json([
                "paths": [
                    "/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz",
                    "/version",
                ]
            ])
        }
    }

    /// Everything behind `/api/v1` and `/apis/<group>/<version>`.
    private func version(
        _ request: HTTPRequest,
        _ group: String,
        _ segments: [String],
        _ caller: Caller
    ) async throws -> HTTPResponse {
        guard let version = segments.first,
            store.types.hasVersion(group: group, version: version)
                || OlderVersion.all.contains(where: { $0.group == group && $0.version == version })
        else { throw Self.unknownPath }
        let rest = Array(segments.dropFirst())
        guard let first = rest.first else { return try resourceList(request, group: group, version: version) }
        if group == ResourceTypes.images.group, let handler = extensions[first] {
            return await handler(request, Array(rest.dropFirst()))
        }
        guard let target = APITarget(group: group, version: version, rest, store.types) else { throw Self.unknownPath }
        return try await APICall(api: self, request: request, target: target, caller: caller).answer()
    }

    /// Everything behind `/apis/live.weft.dev`, the version first: for reading.
    private func live(_ request: HTTPRequest, _ segments: [String], _ caller: Caller) async throws -> HTTPResponse {
        guard let version = segments.first, ResourceTypes.live.contains(where: { $0.version == version }) else {
            throw Self.unknownPath
        }
        guard segments.count > 1 else {
            return try resourceList(request, group: ResourceTypes.liveGroup, version: version)
        }
        guard
            let target = APITarget(
                group: ResourceTypes.liveGroup,
                version: version,
                Array(segments.dropFirst()),
                store.types
            ),
            target.subresource == nil
        else { throw Self.unknownPath }
        guard request.method == "GET" || request.method == "HEAD" else { throw Self.wrongMethod }
        guard live != nil else { throw APIError.unavailable("nothing is measured here") }
        return try await APICall(api: self, request: request, target: target, caller: caller).answer()
    }

    static let unknownPath = APIError(
        code: 404,
        reason: .notFound,
        message: "the server could not find the requested resource",
        // Clients look into it for what was not found: no object, but the path itself.
        details: APIError.Details()
    )

    static let wrongMethod = APIError(
        code: 405,
        reason: .methodNotAllowed,
        message: "the server does not allow this method on the requested resource"
    )

    static func json(_ value: Value, status: Int = 200) -> HTTPResponse { .json(JSON.bytes(value), status: status) }

    /// The answer that carries an error.
    package static func refusal(_ error: APIError) -> HTTPResponse {
        var response = json(error.status, status: error.code)
        if let seconds = error.details?.retryAfterSeconds ?? (error.code == 429 ? 1 : nil) {
            response.headers["Retry-After"] = String(seconds)
        }
        return response
    }

    /// `?verbose` lists what was looked at: an answer at all means that the store is open.
    private static func health(_ request: HTTPRequest, _ segments: [String]) -> HTTPResponse {
        guard request.query.contains(where: { $0.name == "verbose" }) else { return .text("ok") }
        return .text("[+]ping ok\n[+]store ok\n\(segments[0]) check passed\n")
    }

    /// Clients choose their behaviour by this: it names the Kubernetes version whose API this one follows.
    private var versionInfo: Value {
        [
            "major": "1", "minor": "33", "gitVersion": .string("v1.33.0+weft.\(version)"), "gitCommit": "",
            "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "swift",
            "platform": "linux/amd64",
        ]
    }
}

/// What a path below a group and version names.
struct APITarget {
    let type: ResourceType
    /// The version that was asked for, when it is not the one in which the objects are kept.
    let older: OlderVersion?
    /// Nil for all namespaces, or for types that have none.
    let namespace: String?
    /// Nil for the collection.
    let name: String?
    let subresource: String?

    init?(group: String, version: String, _ segments: [String], _ types: ServedTypes) {
        var rest = segments[...]
        var namespace: String?
        // `namespaces/x/status` and `namespaces/x/finalize` are of the namespace itself.
        if rest.count >= 3, rest.first == "namespaces", !["status", "finalize"].contains(rest[rest.startIndex + 2]) {
            namespace = rest[rest.startIndex + 1]
            rest = rest.dropFirst(2)
        }
        guard let plural = rest.popFirst(), rest.count <= 2 else { return nil }
        older = OlderVersion.find(group: group, version: version, plural: plural)
        guard let type = older?.type ?? types.find(group: group, version: version, plural: plural) else {
            return nil
        }
        guard type.isNamespaced || namespace == nil else { return nil }
        self.type = type
        self.namespace = namespace
        name = rest.popFirst()
        subresource = rest.popFirst()
        if name != nil, type.isNamespaced, namespace == nil { return nil }
    }

    /// The object of the path; nil for a collection.
    var key: ObjectKey? { name.map { ObjectKey(type, namespace: namespace ?? "", name: $0) } }
}
