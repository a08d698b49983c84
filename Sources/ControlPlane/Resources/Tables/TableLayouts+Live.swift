import Wire

// Live views: an object is a Service, a row is one of its routes or endpoints.
extension TableLayouts {
    private static let none: Value = "-"

    private static func figure(_ value: Value?, _ text: (Double) -> String) -> Value {
        guard let number = value?.doubleValue else { return none }
        return .string(text(number))
    }

    // MARK: Routes

    static let serviceRoutes = Layout(
        columns: columns(
            "Name",
            "Route",
            "Backends",
            "State",
            "RPS",
            "Success",
            "P50",
            "P95",
            "P99",
            "In-Flight",
            "Retries",
            "Revisions*",
            "Policy*",
            "Message*"
        ),
        cells: { object, _ in [.string(object.name)] },
        rows: { object, _ in
            let routes = object.status.list("routes")
            guard !routes.isEmpty else {
                let cells = [.string(object.name), "<none>", "<none>"] + [Value](repeating: none, count: 11)
                return [(cells, cells)]
            }
            return routes.map { route in
                let cells = cells(of: route, named: object.name)
                return (cells, cells)
            }
        }
    )

    private static func cells(of route: Value, named name: String) -> [Value] {
        let latency = route["latencyMilliseconds"] ?? .null
        let backends = route.list("backends")
        return [
            .string(name), .string(route.text("name") ?? ""), orNone(backends.map(backend).joined(separator: ",")),
            .string(route.text("state") ?? ""), figure(route["requestsPerSecond"], Figures.rate),
            figure(route["successRate"]) { Figures.percent($0) }, figure(latency["p50"]) { Figures.milliseconds($0) },
            figure(latency["p95"]) { Figures.milliseconds($0) }, figure(latency["p99"]) { Figures.milliseconds($0) },
            figure(route["inFlight"]) { "\(Int($0))" }, figure(route["retriesPerSecond"], Figures.rate),
            orNone(backends.flatMap { $0.list("revisions") }.map(revision).joined(separator: ",")),
            policy(route), orNone(route.text("message") ?? ""),
        ]
    }

    /// `web:80(2/2)`, in a split `web-v2:80=10%(1/1)`.
    private static func backend(_ backend: Value) -> String {
        let port = backend.integer("port").map { ":\($0)" } ?? ""
        let weight = backend.integer("weight").map { "=\($0)" } ?? ""
        let ready = backend.integer("endpoints").map { "(\(backend.integer("ready") ?? 0)/\($0))" } ?? ""
        return "\(backend.text("service") ?? "")\(port)\(weight)\(ready)"
    }

    /// `web@3(2/2)`.
    private static func revision(_ revision: Value) -> String {
        let number = revision.text("revision").map { "@\($0)" } ?? ""
        return "\(revision.text("workload") ?? "")\(number)"
            + "(\(revision.integer("ready") ?? 0)/\(revision.integer("pods") ?? 0))"
    }

    private static func policy(_ route: Value) -> Value {
        var words: [String] = []
        if let retries = route.integer("retriesAllowed") { words.append("retries=\(retries)") }
        if let seconds = route["timeoutSeconds"]?.doubleValue {
            words.append("timeout=\(Figures.milliseconds(seconds * 1000))")
        }
        return orNone(words.joined(separator: ","))
    }

    // MARK: Health

    static let serviceHealth = Layout(
        columns: columns(
            "Name",
            "Endpoint",
            "Ready",
            "Probe",
            "Last Probe",
            "Failures",
            "Outlier",
            "Circuit",
            "RPS",
            "Success",
            "Address*",
            "Zone*",
            "Version*",
            "Revision*",
            "Restarts*",
            "In-Flight*",
            "Message*"
        ),
        cells: { object, _ in [.string(object.name)] },
        rows: { object, now in
            let circuits = object.status.list("circuits")
            let circuit = circuits.contains { $0.flag("open") } ? "open" : circuits.isEmpty ? "-" : "closed"
            let panic = circuits.contains { $0.flag("panic") } ? ",panic" : ""
            let endpoints = object.status.list("endpoints")
            guard !endpoints.isEmpty else {
                let cells: [Value] =
                    [.string(object.name), "<none>", "0/0", none, none, none, none, .string(circuit + panic)]
                    + [Value](repeating: none, count: 9)
                return [(cells, cells)]
            }
            return endpoints.map { row(of: $0, named: object.name, circuit + panic, now) }
        }
    )

    private static func row(of endpoint: Value, named name: String, _ circuit: String, _ now: Timestamp)
        -> (cells: [Value], gist: [Value])
    {
        let probes = endpoint.list("probes")
        // The one that tells most: one that fails, else the one that decides of traffic, else any.
        let probe =
            probes.first { !$0.flag("passed") } ?? probes.first { $0.text("kind") == "Readiness" } ?? probes.first
        let failures = probes.map { $0.integer("consecutiveFailures") ?? 0 }.max() ?? 0
        let outlier = endpoint["outlier"] ?? .null
        let last = probes.compactMap { $0.text("lastTime").flatMap(Timestamp.init) }.max { $0.seconds < $1.seconds }
        let revision = endpoint.text("revision").map { "\(endpoint.text("workload") ?? "")@\($0)" }
        var cells: [Value] = [
            .string(name), .string(endpoint.text("pod") ?? endpoint.text("address") ?? ""),
            .string(endpoint.flag("ready") ? "yes" : "no"), orNone(probe.map(word) ?? ""),
            last.map { .string(HumanDuration.text(seconds: max(0, now.seconds(since: $0))) + " ago") } ?? none,
            count(failures), .string(word(outlier, now)), .string(circuit),
            figure(endpoint["requestsPerSecond"], Figures.rate),
            figure(endpoint["successRate"]) { Figures.percent($0) },
            orNone(endpoint.text("address") ?? ""), orNone(endpoint.text("zone") ?? ""),
            orNone(endpoint.text("version") ?? ""), orNone(revision ?? endpoint.text("workload") ?? ""),
            count(endpoint.integer("restarts") ?? 0), figure(endpoint["inFlight"]) { "\(Int($0))" },
            orNone(probes.first { !$0.flag("passed") }?.text("message") ?? endpoint.text("phase") ?? ""),
        ]
        let shown = cells
        cells[4] = none
        cells[6] = .string(outlier.text("until") ?? outlier.integer("ejections").map { "\($0)" } ?? "")
        return (shown, cells)
    }

    private static func word(_ probe: Value) -> String {
        let kind = (probe.text("kind") ?? "").lowercased()
        return "\(kind) \(probe.flag("passed") ? "ok" : "failing")"
    }

    /// `ejected 27s (consecutive_5xx)`, `in`, or `in, 2 before`.
    private static func word(_ outlier: Value, _ now: Timestamp) -> String {
        guard outlier.flag("ejected") else {
            let before = outlier.integer("ejections") ?? 0
            return before > 0 ? "in, ejected \(before)x" : "in"
        }
        let left = outlier.text("until").flatMap(Timestamp.init).map { max(0, $0.seconds(since: now)) }
        let time = left.map { " \(HumanDuration.text(seconds: $0))" } ?? ""
        return "ejected\(time)" + (outlier.text("cause").map { " (\($0))" } ?? "")
    }
}
