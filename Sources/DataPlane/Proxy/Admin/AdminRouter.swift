import CWeft
import EnvoyAPI
import Reactor
import Telemetry
import Traffic
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

    /// What the counters had when they were set back.
    private var baseline: [String: Int64] = [:]
    private var ledger = EndpointLedger()

    init(process: ProxyProcess) { self.process = process }

    func answer(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) {
        guard let endpoint = Self.endpoints.first(where: { $0.path == request.path }) else {
            if let why = Self.absent[request.path] {
                reply(AdminResponse(status: 501, text: "not here: \(why)\n"))
                return
            }
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

    /// Pages of Envoy's that weft-proxy has not.
    private static let absent: [String: String] = {
        var reasons: [String: String] = [:]
        for path in ["/cpuprofiler", "/heapprofiler", "/allocprofiler", "/heap_dump", "/peak_heap_dump"] {
            reasons[path] = "use perf or heaptrack on the process"
        }
        reasons["/contention"] = "workers share no locks"
        reasons["/memory/tcmalloc"] = "see /memory"
        reasons["/hot_restart_version"] = "there is no hot restart; see --listener-keeper"
        reasons["/init_dump"] = "see /ready and /config_versions"
        for path in ["", "/clear", "/disable", "/enable"] {
            reasons["/stats/recentlookups" + path] = "names of numbers are not looked up"
        }
        return reasons
    }()

    private static var endpoints: [Endpoint] {
        [
            Endpoint(path: "/", help: "this list") { _, _, reply in reply(AdminResponse(text: help)) },
            Endpoint(path: "/help", help: "this list") { _, _, reply in reply(AdminResponse(text: help)) },
            Endpoint(path: "/ready", help: "200 LIVE, or 503 and the reason") { $2($0.ready()) },
            Endpoint(path: "/stats", help: "numbers; filter=REGEX, usedonly, type=, format=") { $0.stats($1, $2) },
            Endpoint(path: "/stats/prometheus", help: "numbers as Prometheus reads them; only=edges or routes") {
                $0.prometheus($1, $2)
            },
            Endpoint(path: "/clusters", help: "clusters and endpoints; format=json") { $0.clusters($1, $2) },
            Endpoint(path: "/config_dump", help: "what is in force; resource, mask, name_regex, include_eds") {
                $0.configDump($1, $2)
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
            Endpoint(path: "/reset_counters", help: "counters begin at zero again", isMutation: true) {
                $0.resetCounters($2)
            },
            Endpoint(path: "/healthcheck/fail", help: "be not ready, so that balancers leave", isMutation: true) {
                router,
                _,
                reply in
                router.process.failHealthCheck(true)
                reply(AdminResponse(text: "OK\n"))
            },
            Endpoint(path: "/healthcheck/ok", help: "be ready again", isMutation: true) { router, _, reply in
                router.process.failHealthCheck(false)
                reply(AdminResponse(text: "OK\n"))
            },
            Endpoint(path: "/memory", help: "memory in use") { router, _, reply in
                let numbers = ProcessNumbers(startNanoseconds: router.process.state.startNanoseconds)
                reply(
                    json([
                        "allocated": .string("\(numbers.residentBytes)"),
                        "heap_size": .string("\(numbers.virtualBytes)"),
                        "total_physical_bytes": .string("\(numbers.residentBytes)"),
                    ])
                )
            },
            Endpoint(path: "/runtime", help: "values of runtime keys") { router, _, reply in
                reply(json(router.runtime()))
            },
            Endpoint(
                path: "/runtime_modify",
                help: "KEY=VALUE changes runtime keys; no value: not any more",
                isMutation: true
            ) {
                $2($0.modifyRuntime($1))
            },
            Endpoint(path: "/tap", help: "live requests as they pass; the body says which", isMutation: true) {
                $0.process.taps.open($1, $2)
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

    private func configDump(_ request: AdminRequest, _ reply: (AdminResponse) -> Void) {
        let arena = Arena()
        var choice = ConfigurationDump.Choice()
        choice.resource = request.parameter("resource")
        choice.mask = (request.parameter("mask") ?? "").split(separator: ",").map(String.init)
        choice.includesEndpoints = request.parameter("include_eds") != nil
        if let text = request.parameter("name_regex"), !text.isEmpty {
            do throws(PatternError) {
                choice.name = try arena.compile(text)
            } catch {
                reply(AdminResponse(status: 400, text: "name_regex: \(error.message)\n"))
                return
            }
        }
        let dump = withExtendedLifetime(arena) {
            ConfigurationDump.make(process.store, bootstrap: process.bootstrap, choice)
        }
        if let resource = choice.resource, dump["configs"]?.arrayValue?.isEmpty ?? true {
            reply(AdminResponse(status: 404, text: "\(resource) not found in config dump\n"))
            return
        }
        reply(Self.json(dump))
    }

    private func ready() -> AdminResponse {
        let state = process.state
        if state.failsHealthCheck {
            return AdminResponse(status: 503, text: "DRAINING: /healthcheck/fail was asked for\n")
        }
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

    /// There is one logger: it is named `all`, or `weft`.
    private func logging(_ request: AdminRequest) -> AdminResponse {
        var wanted = request.parameter("level")
        if let paths = request.parameter("paths") {
            wanted = wanted ?? paths.split(separator: ":").last.map(String.init)
        }
        for (name, value) in request.query where !["level", "paths"].contains(name) {
            guard ["all", "weft"].contains(name) else {
                return AdminResponse(status: 400, text: "unknown logger name: \(name); there is one, \"weft\"\n")
            }
            wanted = value
        }
        guard let name = wanted else {
            return AdminResponse(text: "active loggers:\n  weft: \(process.log.level.name)\n")
        }
        guard let level = LogLevel(name: name) else {
            let names = LogLevel.allCases.map(\.name).joined(separator: ", ")
            return AdminResponse(status: 400, text: "level must be one of \(names)\n")
        }
        process.log.level = level
        return AdminResponse(text: "active loggers:\n  weft: \(level.name)\n")
    }

    private func modifyRuntime(_ request: AdminRequest) -> AdminResponse {
        guard !request.query.isEmpty else {
            return AdminResponse(
                status: 400,
                text: "usage: /runtime_modify?key1=value1&key2=value2; an empty value removes\n"
            )
        }
        if let problem = process.changeRuntime(request.query) {
            return AdminResponse(status: 503, text: "\(problem)\n")
        }
        return AdminResponse(text: "OK\n")
    }

    /// The layers and the values that are in force, as Envoy shows them.
    private func runtime() -> Value {
        let layers = process.bootstrap.layeredRuntime?.layers ?? []
        var entries: [String: [(Int, String)]] = [:]
        for (index, layer) in layers.enumerated() {
            guard let values = process.store.values(of: layer) else { continue }
            for (key, value) in values.leaves(under: "") { entries[key, default: []].append((index, value)) }
        }
        let rows = entries.sorted { $0.key < $1.key }.map { key, values -> (String, Value) in
            var all = [String](repeating: "", count: layers.count)
            for (index, value) in values { all[index] = value }
            return (
                key,
                [
                    "layer_values": .array(all.map { .string($0) }),
                    "final_value": .string(values.last?.1 ?? ""),
                ]
            )
        }
        return [
            "layers": .array(layers.map { .string($0.name) }), "entries": .object(Fields(rows)),
        ]
    }

    private func drain(_ request: AdminRequest, _ reply: (AdminResponse) -> Void) {
        guard request.parameter("inboundonly") == nil else {
            reply(AdminResponse(status: 501, text: "not here: inboundonly; all listeners drain together\n"))
            return
        }
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
                reply(Self.json(ClusterPages.json(clusters, now: cweft_monotonic())))
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
        let format = request.parameter("format") ?? ""
        if format == "prometheus" {
            prometheus(request, reply)
            return
        }
        guard ["", "text", "json"].contains(format) else {
            reply(AdminResponse(status: 400, text: "format must be text, json or prometheus\n"))
            return
        }
        // Owns the compiled expression.
        let arena = Arena()
        guard let choice = choice(request, arena, reply) else { return }
        process.workers.collect { reports in
            withExtendedLifetime(arena) {
                var page = self.page(reports)
                page.addOwn(self.summary(reports), self.process.endpointStats)
                page.subtract(self.baseline)
                reply(format == "json" ? Self.json(page.json(choice)) : AdminResponse(text: page.text(choice)))
            }
        }
    }

    private func choice(
        _ request: AdminRequest,
        _ arena: Arena,
        _ reply: (AdminResponse) -> Void
    ) -> StatsPage.Choice? {
        var choice = StatsPage.Choice()
        choice.isUsedOnly = request.parameter("usedonly") != nil
        choice.type = request.parameter("type") ?? ""
        guard ["", "All", "Counters", "Gauges", "Histograms", "TextReadouts"].contains(choice.type) else {
            reply(
                AdminResponse(status: 400, text: "type must be All, Counters, Gauges, Histograms or TextReadouts\n")
            )
            return nil
        }
        guard let text = request.parameter("filter"), !text.isEmpty else { return choice }
        do throws(PatternError) {
            choice.pattern = try arena.compile("(?s:.*)(?:\(text))(?s:.*)")
            return choice
        } catch {
            reply(AdminResponse(status: 400, text: "filter: \(error.message)\n"))
            return nil
        }
    }

    private func page(_ reports: [WorkerReport]) -> StatsPage {
        var state = process.state
        state.overload = process.overload.report
        var page = StatsPage(
            summary: summary(reports),
            clusters: summaries(reports),
            listeners: listenerSummaries(reports),
            counts: ReportedCounts(reports, process.store.context.series.counted),
            changes: process.store.counts,
            server: state,
            filters: process.store.context.filterStats.sums(of: reports.map(\.filters))
        )
        let limit = process.store.context.runtime.number("weft.metrics.endpoint_limit")
        ledger.limit = Int(min(limit ?? UInt64(EndpointLedger.standardLimit), UInt64(EndpointLedger.mostEndpoints)))
        let clusters = summaries(reports)
        page.addEndpoints(clusters, ledger.update(clusters))
        page.addDiscovery(process.discovery, process.store, process.applyTimes)
        if !process.store.context.tracers.targets.isEmpty {
            let spans = process.workers.spans
            page.addSpans(sent: spans.sent, dropped: spans.dropped &+ UInt64(process.accessLogs.lostSpans))
        }
        page.addTaps(process.taps)
        return page
    }

    /// Counters begin at zero again, on the pages under Envoy's names.
    private func resetCounters(_ reply: @escaping (AdminResponse) -> Void) {
        process.workers.collect { reports in
            var page = self.page(reports)
            page.addOwn(self.summary(reports), self.process.endpointStats)
            self.baseline = page.counters
            reply(AdminResponse(text: "OK\n"))
        }
    }

    private func prometheus(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) {
        let format = ExpositionFormat(accept: request.accept)
        // Of who called whom, or of routes, alone: a part of the page's cost, for those who ask often.
        let part = request.parameter("only")
        process.workers.collect { reports in
            var page = PrometheusPage(
                summary: self.summary(reports),
                labels: self.process.store.snapshot.labels,
                format: format
            )
            if part == "routes" {
                page.writeRoutes(reports, self.process.store.context.series.routes, self.ledger)
                return reply(AdminResponse(contentType: format.contentType, body: page.text.bytes))
            }
            page.writeEdges()
            guard part != "edges" else {
                return reply(AdminResponse(contentType: format.contentType, body: page.text.bytes))
            }
            page.writeProxy()
            let process = self.process
            page.writeState(
                self.summaries(reports),
                files: process.store.files.values.map(\.state).sorted { $0.path < $1.path },
                process: ProcessNumbers(startNanoseconds: process.state.startNanoseconds)
            )
            var envoy = self.page(reports)
            envoy.subtract(self.baseline)
            page.write(envoy.stats)
            page.writeRoutes(reports, self.process.store.context.series.routes, self.ledger)
            page.writeCertificates(process.store.context.tls.holders, now: WallClock.now())
            reply(AdminResponse(contentType: format.contentType, body: page.text.bytes))
        }
    }

    private func summary(_ reports: [WorkerReport]) -> MetricsSummary {
        var summary = MetricsSummary(reports.map(\.metrics))
        summary.add(.accessLogDropped, UInt64(process.accessLogs.lostLines))
        return summary
    }
}

extension Value {
    /// The values inside, by their names joined with dots.
    fileprivate func leaves(under name: String) -> [(String, String)] {
        guard let fields else {
            return [(name, stringValue ?? String(decoding: JSON.bytes(self, pretty: false), as: UTF8.self))]
        }
        return fields.flatMap { field, value in value.leaves(under: name.isEmpty ? field : "\(name).\(field)") }
    }
}
