import Controllers
import Glibc
import Resources
import Servers
import Wire

/// `tap?to=service/web&from=deployment/shop&method=GET&path=/cart&status=5xx&max_rps=10`: live requests, one JSON object a line, as
/// the proxy tells of them, with the names of pods.
struct TapRoute: Sendable {
    let cluster: Cluster
    let adminSocket: String

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        // What passes between others is for the one who runs the daemon, not for whoever reaches the API.
        guard request.origin.transport == .unix, let uid = request.origin.uid, uid == geteuid() || uid == 0 else {
            return KubernetesAPI.refusal(
                APIError(
                    code: 403,
                    reason: .forbidden,
                    message: "live requests are shown over the daemon's own socket, to its user alone"
                )
            )
        }
        do {
            let wish = try await TapWish(request, cluster)
            let target = "/tap" + wish.query
            let stream = try await HTTPClient.open(
                HTTPRequest("POST", target, body: JSON.bytes(wish.body)),
                to: .unix(adminSocket),
                target: target,
                timeout: .seconds(5)
            )
            guard stream.status == 200 else {
                var text: [UInt8] = []
                while text.count < 4096, let piece = try await stream.next() { text += piece }
                let message = String(decoding: text, as: UTF8.self).filter { $0 != "\n" }
                return KubernetesAPI.refusal(
                    APIError(
                        code: stream.status == 400 ? 400 : 503,
                        reason: stream.status == 400 ? .badRequest : .serviceUnavailable,
                        message: "weft-proxy: \(message)"
                    )
                )
            }
            let cluster = cluster
            return HTTPResponse(
                status: 200,
                headers: ["Content-Type": "application/x-ndjson"],
                body: .stream { writer in
                    defer { stream.close() }
                    var names = TapNames(cluster)
                    for try await line in stream.lines {
                        guard var value = try? JSON.parse(line) else { continue }
                        await names.add(to: &value)
                        try await writer.write(JSON.bytes(value) + [0x0A])
                    }
                }
            )
        } catch let error as APIError {
            return KubernetesAPI.refusal(error)
        } catch {
            return KubernetesAPI.refusal(.unavailable("weft-proxy does not answer: \(error)"))
        }
    }
}

/// What is asked of the daemon, as the proxy's admin wants it.
struct TapWish: Sendable {
    var body: Value
    var query: String

    init(_ request: HTTPRequest, _ cluster: Cluster) async throws {
        var items: [(String, String?)] = [("format", "lines"), ("max_rps", request.queryValue("max_rps"))]
        items.append(("redact", request.queryValue("redact")))
        let namespace = request.queryValue("namespace") ?? "default"
        for (side, prefix) in [("to", "dst_"), ("from", "")] {
            guard let word = request.queryValue(side), !word.isEmpty else { continue }
            items += try await Self.side(side, word, prefix, namespace, cluster)
        }
        query = APIPath.query(items)
        let sink: Value = ["streaming_admin": [:]]
        body = [
            "config_id": "weft",
            "tap_config": [
                "match": try Self.match(request),
                "output_config": ["streaming": true, "sinks": .array([sink])],
            ],
        ]
    }

    /// Who calls, or who is called: `service/NAME`, `deployment/NAME`, `pod/NAME`; a word alone is a Service, or else a pod.
    private static func side(
        _ side: String,
        _ word: String,
        _ prefix: String,
        _ namespace: String,
        _ cluster: Cluster
    ) async throws -> [(String, String?)] {
        let parts = word.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }), let name = parts.last else {
            throw APIError.badRequest("\(side): KIND/NAME is expected, not '\(word)'")
        }
        var type = ResourceTypes.find(named: parts.count == 2 ? parts[0] : side == "to" ? "service" : "pod")
        if parts.count == 1, let first = type, await cluster.get(key(first, namespace, name)) == nil {
            let others = ["service", "pod", "deployment"].compactMap { ResourceTypes.find(named: $0) }
            for other in others where await cluster.get(key(other, namespace, name)) != nil {
                type = other
                break
            }
        }
        guard let type else { throw APIError.badRequest("\(side): '\(parts[0])' is no kind") }
        guard let object = await cluster.get(key(type, namespace, name)) else { throw APIError.notFound(type, name) }
        switch type.plural {
        case "pods":
            let address = PodStatus(object.status).podIP
            guard !address.isEmpty else { throw APIError.badRequest("\(side): the pod \(name) has no address yet") }
            return [("\(side)_address", address)]
        case "services" where side == "to":
            return [("to", "dst_namespace=\(namespace),dst_service=\(name)")]
        case "deployments": return [(side, "\(prefix)namespace=\(namespace),\(prefix)deployment=\(name)")]
        default:
            throw APIError.badRequest(
                "\(side): give a \(side == "to" ? "service, a " : "")deployment or a pod, not '\(word)'"
            )
        }
    }

    private static func key(_ type: ResourceType, _ namespace: String, _ name: String) -> ObjectKey {
        ObjectKey(type, namespace: namespace, name: name)
    }

    private static func match(_ request: HTTPRequest) throws -> Value {
        func headers(_ kind: String, _ name: String, _ rule: Value) -> Value {
            var matcher = rule
            matcher["name"] = .string(name)
            let headers: Value = ["headers": .array([matcher])]
            return .object(Fields([(kind, headers)]))
        }
        var rules: [Value] = []
        let own = "http_request_headers_match"
        if let method = request.queryValue("method") {
            rules.append(headers(own, ":method", ["string_match": ["exact": .string(method.uppercased())]]))
        }
        if let path = request.queryValue("path"), !path.isEmpty {
            rules.append(headers(own, ":path", ["string_match": ["prefix": .string(path)]]))
        }
        if let authority = request.queryValue("authority") {
            rules.append(
                headers(own, ":authority", ["string_match": ["exact": .string(authority), "ignore_case": true]])
            )
        }
        if let status = request.queryValue("status") {
            let range = try range(of: status)
            let rule: Value = ["range_match": ["start": .int(range.lowerBound), "end": .int(range.upperBound)]]
            rules.append(headers("http_response_headers_match", ":status", rule))
        }
        if rules.isEmpty { return ["any_match": true] }
        return rules.count == 1 ? rules[0] : ["and_match": ["rules": .array(rules)]]
    }

    /// `404`, `5xx`, `400-499`.
    static func range(of text: String) throws -> Range<Int64> {
        let problem = APIError.badRequest("status takes 404, 5xx or 400-499, not '\(text)'")
        let sides = text.split(separator: "-", omittingEmptySubsequences: false)
        if sides.count == 2 {
            guard let low = Int64(sides[0]), let high = Int64(sides[1]), (100...999).contains(low), high >= low,
                high < 1000
            else { throw problem }
            return low..<high + 1
        }
        if text.count == 3, text.lowercased().hasSuffix("xx"), let digit = Int64(text.prefix(1)),
            (1...9).contains(digit)
        {
            return digit * 100..<digit * 100 + 100
        }
        guard let status = Int64(text), (100...999).contains(status) else { throw problem }
        return status..<status + 1
    }
}

/// The names of pods by their addresses, looked up anew where an address is not known.
private struct TapNames {
    private let cluster: Cluster
    private var names: [String: String] = [:]
    private var lookedUp: ContinuousClock.Instant?

    init(_ cluster: Cluster) { self.cluster = cluster }

    mutating func add(to value: inout Value) async {
        for side in ["source", "destination"] {
            guard let address = value.at(side, "address")?.stringValue else { continue }
            guard let name = await name(of: address) else { continue }
            value.set([side, "pod"], .string(name))
        }
    }

    private mutating func name(of address: String) async -> String? {
        let host = address.split(separator: ":").dropLast().joined(separator: ":")
        if let known = names[host] { return known }
        // Most callers that are not known are no pods: one look a second is enough.
        if let lookedUp, lookedUp.duration(to: .now) < .seconds(1) { return nil }
        lookedUp = .now
        names = await cluster.read { state in
            state.list(ResourceTypes.pods).reduce(into: [:]) { names, pod in
                let address = PodStatus(pod.status).podIP
                if !address.isEmpty { names[address] = "\(pod.namespace)/\(pod.name)" }
            }
        }
        return names[host]
    }
}
