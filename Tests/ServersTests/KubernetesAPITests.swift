import Reactor
import Resources
import Servers
import Store
import Testing
import Wire

/// An API on an empty store, called without sockets.
struct APIKit {
    static let now = Timestamp(seconds: 1_767_323_045)

    let store: SQLiteStore
    var api: KubernetesAPI

    init() async throws {
        store = try await SQLiteStore.open(path: ":memory:", clock: { Self.now })
        api = KubernetesAPI(store: store, logs: EchoLogs(), clock: { Self.now.adding(seconds: 200) })
    }

    struct Reply {
        let status: Int
        let headers: HTTPFields
        let text: String
        var value: Value { (try? JSON.parse(text)) ?? .null }
    }

    func call(
        _ method: String,
        _ target: String,
        _ body: String = "",
        type: String? = "application/yaml",
        accept: String? = nil
    ) async -> Reply {
        var request = HTTPRequest(method, target, body: Array(body.utf8))
        if !body.isEmpty, let type { request.headers["Content-Type"] = type }
        request.headers["Accept"] = accept
        let response = await api.handle(request)
        guard case .bytes(let bytes) = response.body else {
            return Reply(status: response.status, headers: response.headers, text: "")
        }
        return Reply(status: response.status, headers: response.headers, text: String(decoding: bytes, as: UTF8.self))
    }
}

/// Says what it was asked instead of a log.
struct EchoLogs: PodLogSource {
    func logs(
        of pod: Object,
        container: String,
        options: PodLogOptions
    ) async throws(APIError) -> AsyncThrowingStream<[UInt8], any Error> {
        AsyncThrowingStream { continuation in
            continuation.yield(Array("\(pod.name)/\(container) tail=\(options.tailLines ?? -1)\n".utf8))
            continuation.yield(Array("follow=\(options.follow) previous=\(options.previous)\n".utf8))
            continuation.finish()
        }
    }
}

let deploymentText = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web, labels: {app: web}}
    spec:
      replicas: 2
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          containers:
          - {name: web, image: "web:1"}
    """
let deployments = "/apis/apps/v1/namespaces/default/deployments"
let configMaps = "/api/v1/namespaces/default/configmaps"

func configText(_ name: String, _ labels: String = "{}") -> String {
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: \(name), labels: \(labels)}, data: {k: v}}"
}

@Suite("The Kubernetes-shaped API")
struct KubernetesAPITests {
    @Test("an object is created from YAML, read back, listed and deleted")
    func lifeCycle() async throws {
        let kit = try await APIKit()
        let created = await kit.call("POST", deployments, deploymentText)
        #expect(created.status == 201)
        #expect(created.value.at("spec", "strategy", "type") == "RollingUpdate")
        #expect(await kit.call("GET", "\(deployments)/web").value == created.value)
        let list = await kit.call("GET", "/apis/apps/v1/deployments")
        #expect(list.value["kind"] == "DeploymentList")
        #expect(list.value["items"]?.arrayValue?.count == 1)
        let deleted = await kit.call(
            "DELETE",
            "\(deployments)/web",
            "{\"propagationPolicy\":\"Background\"}",
            type: nil
        )
        #expect(deleted.status == 200)
        #expect(deleted.value["status"] == "Success")
        #expect(deleted.value.at("details", "uid") == created.value.at("metadata", "uid"))
        let gone = await kit.call("GET", "\(deployments)/web")
        #expect(gone.status == 404)
        #expect(gone.value["message"] == "deployments.apps \"web\" not found")
        #expect(gone.value["reason"] == "NotFound")
        #expect(gone.value.at("details", "kind") == "deployments")
    }

    @Test(
        "what is wrong with a request is answered as Kubernetes does",
        arguments: [
            ("GET", "/api/v1/frobs", "", 404, "could not find"),
            ("GET", "/api/v2/pods", "", 404, "could not find"),
            ("GET", "/nothing", "", 404, "could not find"),
            ("GET", "/api/v1/namespaces/default/pods/x/frob", "", 404, "could not find"),
            ("GET", "/api/v1/pods/x", "", 404, "could not find"),
            ("GET", "/api/v1/namespaces/default/nodes", "", 404, "could not find"),
            ("PUT", configMaps, "{}", 405, "does not allow this method"),
            ("POST", "/api/v1/configmaps", configText("a"), 405, "does not allow this method"),
            ("POST", configMaps, "{a: [", 400, "not valid YAML"),
            ("POST", configMaps, "[1]", 400, "must be an object"),
            ("POST", configMaps, "{kind: Secret}", 400, "does not match the expected kind"),
            ("POST", configMaps, "{apiVersion: v9}", 400, "does not match the expected API version"),
            ("POST", configMaps, "{metadata: {name: a, namespace: b}}", 400, "does not match the namespace"),
            ("POST", configMaps, "a: 1\n---\nb: 2\n", 400, "one YAML document"),
            ("POST", "/api/v1/namespaces/nowhere/configmaps", configText("a"), 404, "namespaces \"nowhere\" not found"),
            ("POST", configMaps, configText("A_b"), 422, "metadata.name: Invalid value: \"A_b\""),
            ("PUT", "\(configMaps)/x", configText("y"), 400, "does not match the name on the URL"),
            ("PUT", "\(configMaps)/x", configText("x"), 404, "configmaps \"x\" not found"),
            ("POST", "\(configMaps)?dryRun=Some", configText("a"), 400, "dryRun"),
            ("POST", "\(configMaps)?fieldValidation=Loose", configText("a"), 400, "fieldValidation"),
            ("GET", "\(configMaps)?labelSelector=a%20b%20c(", "", 400, "label selector"),
            ("GET", "\(configMaps)?fieldSelector=data.k%3Dv", "", 400, "field label not supported: data.k"),
            ("GET", "\(configMaps)?continue=!!", "", 400, "continue key is not valid"),
            ("DELETE", "/api/v1/namespaces/default", "", 403, "may not be deleted"),
            ("GET", "\(configMaps)?watch=1&resourceVersion=abc", "", 400, "resourceVersion"),
        ]
    )
    func refusals(method: String, target: String, body: String, status: Int, message: String) async throws {
        let reply = await (try await APIKit()).call(method, target, body)
        #expect(reply.status == status, "\(reply.text)")
        #expect(reply.value["kind"] == "Status")
        #expect(reply.value["code"] == .int(Int64(status)))
        #expect(reply.value.text("message")?.contains(message) == true, "\(reply.text)")
    }

    @Test("unknown fields are refused, warned of or dropped, as fieldValidation says")
    func fieldValidation() async throws {
        let kit = try await APIKit()
        let text = deploymentText.replacing("image:", with: "imagee: x, image:")
        let strict = await kit.call("POST", "\(deployments)?fieldValidation=Strict", text)
        #expect(strict.status == 400)
        #expect(
            strict.value.text("message")?.hasSuffix(
                "strict decoding error: unknown field \"spec.template.spec.containers[0].imagee\" (did you mean \"image\"?)"
            ) == true
        )
        let warned = await kit.call("POST", deployments, text)
        #expect(warned.status == 201)
        #expect(
            warned.headers["Warning"]
                == "299 - \"unknown field \\\"spec.template.spec.containers[0].imagee\\\" (did you mean \\\"image\\\"?)\""
        )
        #expect(!warned.text.contains("imagee"))
        let ignored = await kit.call("PUT", "\(deployments)/web?fieldValidation=Ignore", text)
        #expect(ignored.status == 200)
        #expect(ignored.headers["Warning"] == nil)
    }

    @Test("a kind that is only kept comes with a warning")
    func keptKind() async throws {
        let kit = try await APIKit()
        let reply = await kit.call(
            "POST",
            "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
            "{metadata: {name: j}, spec: {podSelector: {}}}"
        )
        #expect(reply.status == 201)
        #expect(reply.headers["Warning"]?.contains("does not act on them") == true)
        #expect(reply.value["kind"] == "NetworkPolicy")
    }

    @Test("a body without kind, apiVersion and Content-Type is read as JSON of the path's kind")
    func bareBody() async throws {
        let kit = try await APIKit()
        let reply = await kit.call(
            "POST",
            configMaps,
            "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}",
            type: nil
        )
        #expect(reply.status == 201)
        #expect(reply.value["apiVersion"] == "v1")
    }

    @Test("bodies of unknown types are refused with what is accepted")
    func unknownType() async throws {
        let reply = await (try await APIKit()).call("POST", configMaps, "k8s", type: "application/cbor")
        #expect(reply.status == 415)
        #expect(reply.value["reason"] == "UnsupportedMediaType")
    }

    @Test("the three patches change an object; a foreign kind takes no strategic one")
    func patches() async throws {
        let kit = try await APIKit()
        _ = await kit.call("POST", deployments, deploymentText)
        let merged = await kit.call(
            "PATCH",
            "\(deployments)/web",
            "{\"spec\":{\"replicas\":5},\"metadata\":{\"labels\":{\"app\":null}}}",
            type: "application/merge-patch+json"
        )
        #expect(merged.value.at("spec", "replicas") == 5)
        #expect(merged.value.at("metadata", "labels", "app") == nil)
        #expect(merged.value.at("metadata", "generation") == 2)
        let strategic = await kit.call(
            "PATCH",
            "\(deployments)/web",
            "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"web\",\"image\":\"web:2\"}]}}}}",
            type: "application/strategic-merge-patch+json"
        )
        #expect(strategic.value.at("spec", "template", "spec", "containers")?[0]?["image"] == "web:2")
        let json = await kit.call(
            "PATCH",
            "\(deployments)/web",
            "[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":1}]",
            type: "application/json-patch+json"
        )
        #expect(json.value.at("spec", "replicas") == 1)
        let foreign = await kit.call(
            "PATCH",
            "/apis/weft.dev/v1alpha1/images/x",
            "{}",
            type: "application/strategic-merge-patch+json"
        )
        #expect(foreign.status == 415)
        let stale = await kit.call(
            "PATCH",
            "\(deployments)/web",
            "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"replicas\":9}}",
            type: "application/merge-patch+json"
        )
        #expect(stale.status == 409)
    }

    @Test("status is written through its own path, and only there")
    func status() async throws {
        let kit = try await APIKit()
        let created = await kit.call("POST", deployments, deploymentText)
        var object = created.value
        object["status"] = ["readyReplicas": 2]
        object.set(["spec", "replicas"], 7)
        let spec = await kit.call("PUT", "\(deployments)/web", JSON.write(object), type: nil)
        #expect(spec.value["status"] == [:])
        object.set(["metadata", "resourceVersion"], spec.value.at("metadata", "resourceVersion"))
        object.set(["spec", "replicas"], 9)
        let status = await kit.call("PUT", "\(deployments)/web/status", JSON.write(object), type: nil)
        #expect(status.value.at("status", "readyReplicas") == 2)
        #expect(status.value.at("spec", "replicas") == 7)
    }

    @Test("scale reads and writes the number of replicas alone")
    func scale() async throws {
        let kit = try await APIKit()
        _ = await kit.call("POST", deployments, deploymentText)
        let read = await kit.call("GET", "\(deployments)/web/scale")
        #expect(read.value["kind"] == "Scale")
        #expect(read.value.at("spec", "replicas") == 2)
        #expect(read.value.at("status", "selector") == "app=web")
        let written = await kit.call(
            "PATCH",
            "\(deployments)/web/scale",
            "{\"spec\":{\"replicas\":4}}",
            type: "application/merge-patch+json"
        )
        #expect(written.value.at("spec", "replicas") == 4)
        #expect(await kit.call("GET", "\(deployments)/web").value.at("spec", "replicas") == 4)
        let wrong = await kit.call(
            "PATCH",
            "\(deployments)/web/scale",
            "{\"spec\":{\"replicas\":-4}}",
            type: "application/merge-patch+json"
        )
        #expect(wrong.status == 422)
    }

    @Test("a dry run answers and writes nothing")
    func dryRun() async throws {
        let kit = try await APIKit()
        let reply = await kit.call("POST", "\(deployments)?dryRun=All", deploymentText)
        #expect(reply.status == 201)
        #expect(await kit.call("GET", "\(deployments)/web").status == 404)
    }

    @Test("lists come in pages and by selectors, and a collection is deleted by them")
    func lists() async throws {
        let kit = try await APIKit()
        for index in 0..<5 {
            _ = await kit.call("POST", configMaps, configText("c\(index)", index % 2 == 0 ? "{even: \"yes\"}" : "{}"))
        }
        let first = await kit.call("GET", "\(configMaps)?limit=2")
        #expect(first.value["items"]?.arrayValue?.count == 2)
        #expect(first.value.at("metadata", "remainingItemCount") == 3)
        let token = try #require(first.value.at("metadata", "continue")?.stringValue)
        let second = await kit.call("GET", "\(configMaps)?limit=500&continue=\(token.replacing("=", with: "%3D"))")
        #expect(second.value["items"]?.arrayValue?.count == 3)
        #expect(second.value.at("metadata", "continue") == nil)
        let deleted = await kit.call("DELETE", "\(configMaps)?labelSelector=even%3Dyes")
        #expect(deleted.value["items"]?.arrayValue?.count == 3)
        let rest = await kit.call(
            "GET",
            "\(configMaps)?fieldSelector=metadata.name%3Dc1&fieldSelector=metadata.name%3Dc1"
        )
        #expect(rest.value["items"]?.arrayValue?.count == 1)
    }

    @Test("as=Table answers cells, as=PartialObjectMetadataList metadata, application/yaml YAML")
    func forms() async throws {
        let kit = try await APIKit()
        _ = await kit.call("POST", deployments, deploymentText)
        let accept =
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
        let table = await kit.call("GET", deployments, accept: accept)
        #expect(table.value["kind"] == "Table")
        #expect(table.value["rows"]?[0]?["cells"] == ["web", "0/2", 0, 0, "3m20s", "web", "web:1", "app=web"])
        #expect(table.value["rows"]?[0]?.at("object", "kind") == "PartialObjectMetadata")
        let one = await kit.call("GET", "\(deployments)/web?includeObject=Object", accept: accept)
        #expect(one.value["rows"]?[0]?.at("object", "kind") == "Deployment")
        let partial = await kit.call(
            "GET",
            deployments,
            accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
        )
        #expect(partial.value["items"]?[0]?["spec"] == nil)
        let yaml = await kit.call("GET", "\(deployments)/web", accept: "application/yaml")
        #expect(yaml.headers["Content-Type"] == "application/yaml")
        #expect(try YAML.parse(yaml.text).first?.value["kind"] == "Deployment")
    }

    @Test("discovery lists every served kind once, with its sub-resources")
    func discovery() async throws {
        let kit = try await APIKit()
        #expect(await kit.call("GET", "/api/").value["versions"] == ["v1"])
        let groups = await kit.call("GET", "/apis/").value["groups"]?.arrayValue ?? []
        var kinds: [String] = []
        for group in groups.map({ $0.at("preferredVersion", "groupVersion")?.stringValue ?? "" }) + ["v1"] {
            let path = group == "v1" ? "/api/v1" : "/apis/\(group)"
            let resources = await kit.call("GET", path).value["resources"]?.arrayValue ?? []
            kinds += resources.filter { !($0.text("name") ?? "").contains("/") }.compactMap { $0.text("kind") }
        }
        // Figures and reviews are asked for like objects, but nobody stores them.
        let asked = [
            "NodeMetrics", "PodMetrics", "SelfSubjectReview", "TokenReview", "LocalSubjectAccessReview",
            "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview",
        ]
        // Events are served in two groups.
        let served = (ResourceTypes.all + ResourceTypes.live).map(\.kind) + asked + ["Event"]
        #expect(kinds.sorted() == served.sorted())
        let apps = await kit.call("GET", "/apis/apps/v1").value["resources"]?.arrayValue ?? []
        #expect(apps.contains { $0.text("name") == "deployments/scale" && $0.text("kind") == "Scale" })
        #expect(await kit.call("GET", "/apis/apps").value["kind"] == "APIGroup")
        #expect(await kit.call("GET", "/version/").value["minor"] == "33")
        #expect(await kit.call("GET", "/readyz").text == "ok")
    }

    @Test("routes that other rooms add are called with the rest of their path")
    func extensions() async throws {
        var kit = try await APIKit()
        kit.api.add("stat") { request, rest in .text("\(request.method) \(rest) \(request.queryValue("a") ?? "")") }
        kit.api.add(path: "metrics") { _, _ in .text("up 1") }
        #expect(await kit.call("GET", "/apis/weft.dev/v1alpha1/stat/edges/x?a=b").text == "GET [\"edges\", \"x\"] b")
        #expect(await kit.call("GET", "/metrics").text == "up 1")
        #expect(await kit.call("GET", "/apis/weft.dev/v1alpha1/images").value["kind"] == "ImageList")
    }

    @Test("a log is asked of the right container, or the answer says which there are")
    func logs() async throws {
        let kit = try await APIKit()
        let pods = "/api/v1/namespaces/default/pods"
        _ = await kit.call("POST", pods, "{metadata: {name: one}, spec: {containers: [{name: a, image: i}]}}")
        _ = await kit.call(
            "POST",
            pods,
            "{metadata: {name: two}, spec: {containers: [{name: a, image: i}, {name: b, image: i}]}}"
        )
        #expect(await kit.call("GET", "\(pods)/one/log").status == 200)
        #expect(
            await kit.call("GET", "\(pods)/two/log").value.text("message")?.contains("choose one of: [a b]") == true
        )
        #expect(await kit.call("GET", "\(pods)/two/log?container=c").status == 400)
        #expect(await kit.call("GET", "\(pods)/two/log?container=b&tailLines=-1").status == 400)
        #expect(await kit.call("GET", "\(pods)/none/log").status == 404)
    }

    @Test("an eviction deletes the pod")
    func eviction() async throws {
        let kit = try await APIKit()
        let pods = "/api/v1/namespaces/default/pods"
        _ = await kit.call("POST", pods, "{metadata: {name: one}, spec: {containers: [{name: a, image: i}]}}")
        let reply = await kit.call("POST", "\(pods)/one/eviction", "{kind: Eviction, metadata: {name: one}}")
        #expect(reply.status == 201)
        #expect(await kit.call("GET", "\(pods)/one").status == 404)
    }

    @Test("an eviction asks the pod's disruption budget, and takes one from it")
    func budget() async throws {
        let kit = try await APIKit()
        let pods = "/api/v1/namespaces/default/pods"
        let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        let pod = "{metadata: {name: one, labels: {app: web}}, spec: {nodeName: n, containers: [{name: a, image: i}]}}"
        _ = await kit.call("POST", pods, pod)
        let running = "{status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}"
        let merge = "application/merge-patch+json"
        func json(_ yaml: String) throws -> String { JSON.write(try #require(try YAML.parse(yaml).first).value) }
        _ = await kit.call("PATCH", "\(pods)/one/status", try json(running), type: merge)
        let selector = "{metadata: {name: web}, spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}}"
        _ = await kit.call("POST", budgets, selector)
        func allow(_ count: Int) async throws {
            let status =
                "{status: {observedGeneration: 1, disruptionsAllowed: \(count), currentHealthy: 1, desiredHealthy: 1}}"
            _ = await kit.call("PATCH", "\(budgets)/web/status", try json(status), type: merge)
        }
        let eviction = "{kind: Eviction, metadata: {name: one}}"
        try await allow(0)
        let refused = await kit.call("POST", "\(pods)/one/eviction", eviction)
        #expect(refused.status == 429 && refused.text.contains("needs 1 healthy pods and has 1 currently"))
        try await allow(1)
        #expect(await kit.call("POST", "\(pods)/one/eviction", eviction).status == 201)
        let budget = await kit.call("GET", "\(budgets)/web").value
        #expect(budget.at("status", "disruptionsAllowed") == 0)
        #expect(budget.at("status", "disruptedPods", "one") != nil)
        let marked = await kit.call("GET", "\(pods)/one").value
        #expect(marked.at("metadata", "deletionTimestamp") != nil)
        #expect(marked["status"]?.list("conditions").contains { $0.text("type") == "DisruptionTarget" } == true)
    }
}

@Suite("The API over a socket")
struct KubernetesAPISocketTests {
    private func start() async throws -> (APIKit, HTTPServer, HTTPEndpoint) {
        let kit = try await APIKit()
        let api = kit.api
        let server = HTTPServer { await api.handle($0) }
        return (kit, server, .tcp(try await server.listen(.loopback(port: 0))))
    }

    private func open(_ endpoint: HTTPEndpoint, _ target: String) async throws -> HTTPAnswerStream {
        try await HTTPClient.open(HTTPRequest("GET", target), to: endpoint, target: target, timeout: .seconds(60))
    }

    @Test("a watch tells what happens, a line per event, until its time is over")
    func watch() async throws {
        let (kit, server, endpoint) = try await start()
        _ = await kit.call("POST", configMaps, configText("a"))
        let stream = try await open(endpoint, "\(configMaps)?watch=true&timeoutSeconds=1")
        _ = await kit.call("POST", configMaps, configText("b"))
        _ = await kit.call("DELETE", "\(configMaps)/a")
        var lines: [String] = []
        for try await line in stream.lines {
            let event = try JSON.parse(line)
            lines.append("\(event.text("type") ?? "") \(event.at("object", "metadata", "name")?.stringValue ?? "")")
        }
        #expect(lines == ["ADDED a", "ADDED b", "DELETED a"])
        await server.shutdown()
    }

    @Test("a watch with initial events is marked, as new clients want it")
    func initialEvents() async throws {
        let (kit, server, endpoint) = try await start()
        _ = await kit.call("POST", configMaps, configText("a"))
        let stream = try await open(
            endpoint,
            "\(configMaps)?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        )
        var kinds: [String] = []
        for try await line in stream.lines {
            let event = try JSON.parse(line)
            kinds.append(event.text("type") ?? "")
            guard kinds.last == "BOOKMARK" else { continue }
            #expect(
                event.at("object", "metadata", "annotations", "k8s.io/initial-events-end")?.stringValue == "true"
            )
            break
        }
        #expect(kinds == ["ADDED", "BOOKMARK"])
        stream.close()
        await server.shutdown()
    }

    @Test("a watch from a forgotten revision is refused with 410")
    func expired() async throws {
        var limits = SQLiteStore.Limits()
        limits.events = 2
        let store = try await SQLiteStore.open(path: ":memory:", limits: limits)
        let api = KubernetesAPI(store: store)
        let reply = await api.handle(HTTPRequest("GET", "/api/v1/configmaps?watch=1&resourceVersion=1"))
        #expect(reply.status == 410)
    }

    @Test("a log is streamed as text")
    func log() async throws {
        let (kit, server, endpoint) = try await start()
        let pods = "/api/v1/namespaces/default/pods"
        _ = await kit.call("POST", pods, "{metadata: {name: one}, spec: {containers: [{name: a, image: i}]}}")
        let stream = try await open(endpoint, "\(pods)/one/log?tailLines=3&follow=true&limitBytes=20")
        var text: [UInt8] = []
        while let piece = try await stream.next() { text += piece }
        #expect(stream.headers["Content-Type"]?.hasPrefix("text/plain") == true)
        #expect(String(decoding: text, as: UTF8.self) == "one/a tail=3\nfollow=")
        await server.shutdown()
    }
}

extension String {
    func replacing(_ old: String, with new: String) -> String {
        var result = ""
        var rest = self[...]
        while let index = rest.indices.first(where: { rest[$0...].hasPrefix(old) }) {
            result += rest[..<index] + new
            rest = rest[rest.index(index, offsetBy: old.count)...]
        }
        return result + rest
    }
}
