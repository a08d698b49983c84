import Reactor
import Telemetry
import Wire

/// Answers the admin's requests from what the process knows and from the workers' reports.
final class AdminRouter {
    private struct Endpoint {
        var path: String
        var help: String
        var isMutation = false
        var handle: (AdminRouter, AdminRequest, @escaping (AdminResponse) -> Void) -> Void
    }

    private unowned let process: ProxyProcess

    init(process: ProxyProcess) { self.process = process }

    func answer(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) {
        guard let endpoint = Self.endpoints.first(where: { $0.path == request.path }) else {
            reply(AdminResponse(status: 404, text: "no such page; see / for those there are\n"))
            return
        }
        let allowed = endpoint.isMutation ? ["POST"] : ["GET", "HEAD"]
        guard allowed.contains(request.method) else {
            var response = AdminResponse(status: 405, text: "use \(allowed[0]) for \(endpoint.path)\n")
            response.headers.append(("allow", allowed.joined(separator: ", ")))
            reply(response)
            return
        }
        endpoint.handle(self, request, reply)
    }

    private static var endpoints: [Endpoint] {
        [
            Endpoint(path: "/", help: "this list") { _, _, reply in reply(AdminResponse(text: help)) },
            Endpoint(path: "/help", help: "this list") { _, _, reply in reply(AdminResponse(text: help)) },
            Endpoint(path: "/ready", help: "200 LIVE, or 503 and the reason") { $2($0.ready()) },
            Endpoint(path: "/stats", help: "numbers; filter=TEXT, format=json or prometheus") { $0.stats($1, $2) },
            Endpoint(path: "/stats/prometheus", help: "numbers as Prometheus reads them") { $0.prometheus($2) },
            Endpoint(path: "/clusters", help: "clusters and endpoints; format=json") { $0.clusters($1, $2) },
            Endpoint(path: "/config_dump", help: "the configuration in force") { router, _, reply in
                reply(json(ConfigurationDump.make(router.process.store, bootstrap: router.process.bootstrap)))
            },
            Endpoint(path: "/config_versions", help: "the watched files: version, whether in force, error") {
                router,
                _,
                reply in
                reply(json(router.configVersions()))
            },
            Endpoint(path: "/certs", help: "certificates in use, when they expire, and what was refused") {
                router,
                _,
                reply in
                reply(json(CertificatePage.make(router.process.store.context.tls.holders)))
            },
            Endpoint(path: "/draining", help: "removed endpoints that still answer requests, and how many") {
                $0.draining($2)
            },
            Endpoint(path: "/listeners", help: "listeners and their addresses; format=json") { $0.listeners($1, $2) },
            Endpoint(path: "/server_info", help: "version, state, options") { $2(json($0.process.serverInfo())) },
            Endpoint(path: "/drain_listeners", help: "stop accepting; graceful: end connections", isMutation: true) {
                $0.drain($1, $2)
            },
            Endpoint(path: "/quitquitquit", help: "end the process now", isMutation: true) { router, _, reply in
                reply(AdminResponse(text: "OK\n"))
                router.process.quit()
            },
            Endpoint(path: "/logging", help: "level=LEVEL sets the log level", isMutation: true) { $2($0.logging($1)) },
            Endpoint(path: "/reopen_logs", help: "open the access logs again", isMutation: true) { router, _, reply in
                router.process.accessLogs.reopenFiles()
                reply(AdminResponse(text: "OK\n"))
            },
        ]
    }

    private static var help: String {
        var text = "weft-proxy admin\n"
        for endpoint in endpoints where endpoint.path != "/help" {
            let name = endpoint.path + String(repeating: " ", count: max(1, 20 - endpoint.path.count))
            text += "  \(endpoint.isMutation ? "POST" : "GET ") \(name)\(endpoint.help)\n"
        }
        return text
    }

    private static func json(_ value: Value) -> AdminResponse {
        AdminResponse(contentType: "application/json", body: JSON.bytes(value, pretty: true) + [0x0A])
    }

    // MARK: Pages

    private func ready() -> AdminResponse {
        let state = process.state
        if state.isDraining { return AdminResponse(status: 503, text: "DRAINING: the proxy is about to end\n") }
        if state.isReady { return AdminResponse(text: "LIVE\n") }
        return AdminResponse(status: 503, text: "\(state.reason)\n")
    }

    private func configVersions() -> Value {
        let applied = process.workers.appliedGeneration
        var rows: [(String, Value)] = []
        for (path, file) in process.store.files.sorted(by: { $0.key < $1.key }) {
            let state = file.state
            let isApplied = state.generation > 0 && state.generation <= applied
            var row: Value = ["version": .string(state.version), "applied": .bool(isApplied)]
            if let error = state.error { row["error"] = .string(error) }
            rows.append((path, row))
        }
        return .object(Fields(rows))
    }

    private func logging(_ request: AdminRequest) -> AdminResponse {
        guard let name = request.parameter("level") else {
            return AdminResponse(text: "active log level: \(process.log.level.name)\n")
        }
        guard let level = LogLevel(name: name) else {
            let names = LogLevel.allCases.map(\.name).joined(separator: ", ")
            return AdminResponse(status: 400, text: "level must be one of \(names)\n")
        }
        process.log.level = level
        return AdminResponse(text: "active log level: \(level.name)\n")
    }

    private func drain(_ request: AdminRequest, _ reply: (AdminResponse) -> Void) {
        process.drainListeners(isGraceful: request.parameter("graceful") != nil)
        reply(AdminResponse(text: "OK\n"))
    }

    private func summaries(_ reports: [WorkerReport]) -> [ClusterSummary] {
        let byCluster = Dictionary(grouping: reports.flatMap(\.clusters), by: \.identity)
        return process.store.snapshot.clusters.compactMap { $0 }.sorted { $0.name < $1.name }
            .map { ClusterSummary($0, reports: byCluster[$0.identity] ?? []) }
    }

    private func listenerSummaries(_ reports: [WorkerReport]) -> [ListenerSummary] {
        process.store.snapshot.listeners.compactMap { $0 }.sorted { $0.name < $1.name }
            .map { ListenerSummary($0, reports: reports) }
    }

    private func clusters(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) {
        process.workers.collect { reports in
            let clusters = self.summaries(reports)
            if request.parameter("format") == "json" {
                reply(Self.json(ClusterPages.json(clusters)))
            } else {
                reply(AdminResponse(text: ClusterPages.text(clusters)))
            }
        }
    }

    /// `ADDRESS:PORT REQUESTS` by line, added up over clusters and workers.
    private func draining(_ reply: @escaping (AdminResponse) -> Void) {
        process.workers.collect { reports in
            var counts: [String: Int] = [:]
            for cluster in reports.flatMap(\.clusters) {
                for endpoint in cluster.leaving {
                    counts[endpoint.address.description, default: 0] += endpoint.requests
                }
            }
            let lines = counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }
            reply(AdminResponse(text: lines.joined()))
        }
    }

    private func listeners(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) {
        process.workers.collect { reports in
            let listeners = self.listenerSummaries(reports)
            let errors = self.process.workers.listenerErrors
            if request.parameter("format") == "json" {
                let rows = listeners.map { listener -> Value in
                    var row: Value = [
                        "name": .string(listener.configuration.name),
                        "addresses": .array(listener.addresses.map { .string($0) }),
                        "bind_to_port": .bool(listener.configuration.socket.bindsToPort),
                        "connections": .int(Int64(listener.connections)),
                    ]
                    if let error = errors[listener.configuration.name] { row["error"] = .string(error) }
                    return row
                }
                reply(Self.json(["listener_statuses": .array(rows)]))
                return
            }
            var text = ""
            for listener in listeners {
                text += "\(listener.configuration.name)::\(listener.addresses.joined(separator: ","))"
                if let error = errors[listener.configuration.name] { text += "::error \(error)" }
                text += "\n"
            }
            reply(AdminResponse(text: text))
        }
    }

    private func stats(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) {
        if request.parameter("format") == "prometheus" {
            prometheus(reply)
            return
        }
        process.workers.collect { reports in
            let page = StatsPage(
                summary: self.summary(reports),
                clusters: self.summaries(reports),
                listeners: self.listenerSummaries(reports),
                server: self.process.state,
                more: self.process.endpointStats
            )
            if request.parameter("format") == "json" {
                reply(Self.json(page.json(filter: request.parameter("filter"))))
            } else {
                reply(AdminResponse(text: page.text(filter: request.parameter("filter"))))
            }
        }
    }

    private func prometheus(_ reply: @escaping (AdminResponse) -> Void) {
        process.workers.collect { reports in
            var page = PrometheusPage(summary: self.summary(reports), labels: self.process.store.snapshot.labels)
            page.writeEdges()
            page.writeProxy()
            let process = self.process
            page.writeState(
                self.summaries(reports),
                files: process.store.files.values.map(\.state).sorted { $0.path < $1.path },
                process: ProcessNumbers(startNanoseconds: process.state.startNanoseconds)
            )
            reply(AdminResponse(contentType: PrometheusText.contentType, body: page.text.bytes))
        }
    }

    private func summary(_ reports: [WorkerReport]) -> MetricsSummary {
        var summary = MetricsSummary(reports.map(\.metrics))
        summary.add(.accessLogDropped, UInt64(process.accessLogs.lostLines))
        return summary
    }
}
