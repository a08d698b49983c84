import Agent
import Controllers
import Glibc
import Images
import Mesh
import Resources
import Sandbox
import Servers
import Wire

/// Weft's own part of the API, below `/apis/weft.dev/v1alpha1/`, and the metrics.
struct DaemonRoutes: Sendable {
    let daemon: Daemon
    let parts: Daemon.Parts

    /// `stat?window=10s&edges=true`: golden numbers per Service and per edge.
    func stat(_ request: HTTPRequest) async -> HTTPResponse {
        let text = request.queryValue("window") ?? "10s"
        guard let window = Self.seconds(text), (1...120).contains(window) else {
            return KubernetesAPI.refusal(
                .badRequest("window must be a time from 1s to 120s, such as 10s or 1m, not \"\(text)\"")
            )
        }
        let services = await parts.cluster.read { state in
            state.list(ResourceTypes.services).filter { $0.label("component") != "weft" }
                .map { (namespace: $0.namespace, name: $0.name) }
        }
        var report = await parts.collector.report(
            window: .seconds(window),
            services: services,
            withEdges: ["true", "1", ""].contains(request.queryValue("edges"))
        )
        report["window"] = .string(text)
        return .json(JSON.bytes(report))
    }

    private static func seconds(_ text: String) -> Int? {
        if let plain = Int(text) { return plain }
        guard let number = Int(text.dropLast()) else { return nil }
        switch text.last {
        case "s": return number
        case "m": return number.multipliedReportingOverflow(by: 60).partialValue
        default: return nil
        }
    }

    /// `status`: what runs, where, and what is not as it should be.
    func status() async -> HTTPResponse {
        let pid = await parts.supervisor.pid
        let refusals = await parts.publisher.refusals()
        let warnings = await parts.publisher.warnings
        var messages = await daemon.problems
        messages += refusals.sorted { $0.key < $1.key }.map { "the proxy refused \($0.key): \($0.value)" }
        messages += await parts.publisher.closedListeners.sorted { $0.key < $1.key }.map {
            "the proxy cannot open the listener \($0.key): \($0.value)"
        }
        messages += warnings.map { "\($0.kind) \($0.namespace)/\($0.name): \($0.message)" }
        if pid == nil { messages.append("weft-proxy does not run; see \(daemon.proxyDirectory)/proxy.log") }
        let now = Timestamp.systemNow()
        var value: Value = [
            "apiVersion": "weft.dev/v1alpha1", "kind": "Status", "version": .string(Version.current),
            "pid": .int(Int64(getpid())), "stateDirectory": .string(daemon.state.path),
            "startTime": .string(daemon.startTime.description),
            "uptimeSeconds": .int(Int64(now.seconds(since: daemon.startTime))),
            "ingress": ["address": "127.0.0.1", "port": .int(Int64(parts.ingressPort))],
            "pods": .int(Int64(await parts.agent.podCount)),
            "isolation": .string(daemon.isolation.rawValue), "warnings": .array(messages.map { .string($0) }),
        ]
        var proxy: Value = [
            "admin": .string(daemon.adminSocket), "restarts": .int(Int64(await parts.supervisor.restarts)),
            "log": .string("\(daemon.proxyDirectory)/proxy.log"),
        ]
        proxy["pid"] = pid.map { .int(Int64($0)) }
        value["proxy"] = proxy
        let entrance = daemon.discovery.entrance.map { "tls:\($0.address.address):\($0.address.port)" }
        value["xds"] = .array((await parts.discovery.addresses + [entrance].compactMap { $0 }).map { .string($0) })
        value["api"] = .array(await daemon.apiAddresses.map { .string($0) })
        value["metrics"] = await daemon.metricsAddress.map { .string("http://\($0)/metrics") }
        return .json(JSON.bytes(value))
    }

    /// The proxy's metrics, as Prometheus reads them, in OpenMetrics where the request accepts that.
    func metrics(_ request: HTTPRequest) async -> HTTPResponse {
        let accepted = request.headers.all("Accept").joined(separator: ",")
        guard let answer = try? await parts.admin.metrics(accept: accepted.isEmpty ? nil : accepted) else {
            return .text("weft-proxy does not answer\n", status: 503)
        }
        let type = answer.headers["Content-Type"] ?? "text/plain; version=0.0.4; charset=utf-8"
        var page = answer.body
        if answer.status == 200, let figures = await parts.images.figures() {
            let isOpenMetrics = type.contains("openmetrics")
            // One end for the whole page.
            let end = Array("# EOF\n".utf8)
            if isOpenMetrics, page.suffix(end.count) == end[...] { page.removeLast(end.count) }
            page += ImageRoute.metrics(figures, isOpenMetrics: isOpenMetrics)
        }
        return HTTPResponse(status: answer.status, headers: ["Content-Type": type], body: .bytes(page))
    }

    /// `xds`: who is served over xDS, the machine's own proxy first.
    func clients() async -> Value {
        var report = await parts.discovery.report()
        let own = await parts.feed.report()["clients"]?.arrayValue ?? []
        report["clients"] = .array(own + (report["clients"]?.arrayValue ?? []))
        return report
    }

    /// `clusters`: the proxy's clusters and endpoints as it sees them, in the shape of Envoy's admin.
    func clusters() async -> HTTPResponse {
        let target = "/clusters?format=json"
        guard let answer = try? await parts.admin.get(target, timeout: .seconds(5)), answer.status == 200 else {
            return KubernetesAPI.refusal(.unavailable("weft-proxy does not answer"))
        }
        return .json(answer.body)
    }

    /// `POST shutdown {"removeState": false, "hurry": false}`: ends the daemon; the answer is one JSON object a line,
    /// `{"message": ...}`, and ends when everything is gone.
    func shutdown(_ request: HTTPRequest) async -> HTTPResponse {
        guard request.method == "POST" else {
            return KubernetesAPI.refusal(
                APIError(code: 405, reason: .methodNotAllowed, message: "shutdown takes POST only")
            )
        }
        let body = request.body.isEmpty ? Value.object(Fields()) : (try? JSON.parse(request.body)) ?? .null
        guard body.fields != nil else {
            return KubernetesAPI.refusal(
                .badRequest("the body must be a JSON object: {\"removeState\": BOOL, \"hurry\": BOOL}")
            )
        }
        let lines = daemon.progress.lines()
        daemon.requestStop(Daemon.Stop(removesState: body.flag("removeState"), hurries: body.flag("hurry")))
        return HTTPResponse(
            status: 200,
            headers: ["Content-Type": "application/json"],
            body: .stream { writer in
                for await line in lines {
                    try await writer.write(JSON.write(["message": .string(line)]) + "\n")
                }
            }
        )
    }
}
