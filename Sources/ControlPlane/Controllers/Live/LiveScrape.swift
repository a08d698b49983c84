package import Wire

/// What the proxy says of routes and clusters at one moment.
package struct LiveScrape: Sendable {
    /// A route as its series names it: the virtual host, and the route's name or what it matches.
    package struct Route: Hashable, Sendable {
        package var host: String
        package var route: String

        package init(host: String, route: String) {
            self.host = host
            self.route = route
        }
    }

    /// What a route carried since the proxy began.
    package struct Counts: Sendable {
        package var traffic = TrafficCounters()
        /// Requests as endpoints saw them, with retries.
        package var tries = 0.0
    }

    /// A cluster's endpoint.
    package struct Endpoint: Sendable {
        package var requests = 0.0
        package var successes = 0.0
        package var errors = 0.0
        package var inFlight = 0
        package var connections = 0
        package var isEjected = false
        package var ejectedMilliseconds = 0
        package var cause: String?
        package var ejections = 0
        package var consecutiveErrors = 0
    }

    package struct Cluster: Sendable {
        /// By host name: the pod's, or the address of one that was written by hand.
        package var endpoints: [String: Endpoint] = [:]
        package var limits: [(resource: String, inUse: Int, limit: Int)] = []
        package var isInPanic = false

        /// A limit is reached: more is refused.
        package var isOpen: Bool { limits.contains { $0.limit > 0 && $0.inUse >= $0.limit } }
        package var inFlight: Int { endpoints.values.reduce(0) { $0 + $1.inFlight } }
        package var connections: Int { endpoints.values.reduce(0) { $0 + $1.connections } }
    }

    /// Milliseconds of a steady clock.
    package var time: Int
    package private(set) var routes: [Route: Counts] = [:]
    package private(set) var clusters: [String: Cluster] = [:]

    /// Reads the proxy's `/stats/prometheus?only=routes` and, of its `/clusters?format=json`, those of Services.
    package init(time: Int, page: [UInt8], clusters: Value) {
        self.time = time
        for sample in PrometheusText(page, where: { $0.hasPrefix("route_") }).samples where sample.value.isFinite {
            let route = Route(host: sample.labels["dst"] ?? "", route: sample.labels["rt_route"] ?? "")
            routes[route, default: Counts()].take(sample)
        }
        for status in clusters["cluster_statuses"]?.arrayValue ?? [] {
            guard let name = status["name"]?.stringValue, name.hasPrefix("service/") else { continue }
            self.clusters[name] = Cluster(status)
        }
    }
}

extension LiveScrape.Counts {
    fileprivate mutating func take(_ sample: MetricSample) {
        switch sample.name {
        case "route_request_total": traffic.requests += sample.value
        case "route_actual_request_total": tries += sample.value
        case "route_response_total":
            if sample.labels["classification"] == "failure" {
                traffic.failures += sample.value
            } else {
                traffic.successes += sample.value
            }
        case "route_response_latency_ms_bucket":
            let bound = sample.labels["le"].flatMap { $0 == "+Inf" ? Double.infinity : Double($0) }
            if let bound { traffic.latency.add(bound: bound, count: sample.value) }
        case "route_response_latency_ms_sum": traffic.latencySum += sample.value
        case "route_response_latency_ms_count": traffic.latencyCount += sample.value
        default: break
        }
    }
}

extension LiveScrape.Cluster {
    fileprivate init(_ status: Value) {
        isInPanic = status["is_in_panic"]?.boolValue ?? false
        let thresholds = status["circuit_breakers"]?["thresholds"]?.arrayValue ?? []
        for threshold in thresholds where threshold["priority"]?.stringValue == "DEFAULT" {
            for (name, value) in threshold.fields ?? Fields() where name.hasPrefix("max_") {
                let resource = String(name.dropFirst("max_".count))
                limits.append((resource, threshold["\(resource)_in_use"]?.intValue ?? 0, value.intValue ?? 0))
            }
        }
        for host in status["host_statuses"]?.arrayValue ?? [] {
            let address = host["address"]?["socket_address"]?["address"]?.stringValue
            guard let name = host["hostname"]?.stringValue ?? address else { continue }
            endpoints[name] = LiveScrape.Endpoint(host)
        }
    }
}

extension LiveScrape.Endpoint {
    fileprivate init(_ host: Value) {
        for stat in host["stats"]?.arrayValue ?? [] {
            let value = stat["value"]?.stringValue.flatMap { Double($0) } ?? 0
            switch stat["name"]?.stringValue {
            case "rq_total": requests = value
            case "rq_success": successes = value
            case "rq_error": errors = value
            case "rq_active": inFlight = Int(value)
            case "cx_active": connections = Int(value)
            default: break
            }
        }
        isEjected = host["health_status"]?["failed_outlier_check"]?.boolValue ?? false
        let outlier = host["outlier"] ?? .null
        ejectedMilliseconds = outlier["ejected_milliseconds"]?.intValue ?? 0
        cause = outlier["cause"]?.stringValue
        ejections = outlier["ejections"]?.intValue ?? 0
        consecutiveErrors = outlier["consecutive_errors"]?.intValue ?? 0
    }
}

/// Two scrapes and what was counted between them.
package struct LiveSample: Sendable {
    private let first: LiveScrape?
    private let last: LiveScrape
    /// 0 while there is nothing to compare with: no rates then.
    package let seconds: Double

    package init(from first: LiveScrape?, to last: LiveScrape) {
        self.first = first
        self.last = last
        seconds = first.map { Double(last.time - $0.time) / 1000 } ?? 0
    }

    /// The figures of a route over the window; nil when the proxy counts nothing of it, or there is no window.
    package func figures(_ routes: [LiveScrape.Route]) -> (summary: TrafficSummary, retriesPerSecond: Double)? {
        guard seconds > 0 else { return nil }
        var traffic = TrafficCounters()
        var retries = 0.0
        for route in routes {
            guard let now = last.routes[route] else { continue }
            let before = first?.routes[route] ?? LiveScrape.Counts()
            let since = now.traffic.since(before.traffic)
            traffic.add(since)
            let tries = now.tries >= before.tries ? now.tries - before.tries : now.tries
            retries += max(0, tries - since.requests)
        }
        return (TrafficSummary(traffic, seconds: seconds), retries / seconds)
    }

    package func cluster(_ name: String) -> LiveScrape.Cluster? { last.clusters[name] }

    /// Rates of some endpoints together: of a pod at all ports of a Service, or of all pods at one.
    package func rates(_ places: [(cluster: String, endpoint: String)]) -> (perSecond: Double, successRate: Double?)? {
        guard seconds > 0 else { return nil }
        var (requests, successes, errors) = (0.0, 0.0, 0.0)
        for place in places {
            guard let now = last.clusters[place.cluster]?.endpoints[place.endpoint] else { continue }
            var before = first?.clusters[place.cluster]?.endpoints[place.endpoint] ?? LiveScrape.Endpoint()
            if before.requests > now.requests { before = LiveScrape.Endpoint() }
            requests += now.requests - before.requests
            successes += max(0, now.successes - before.successes)
            errors += max(0, now.errors - before.errors)
        }
        let answers = successes + errors
        return (requests / seconds, answers > 0 ? successes / answers : nil)
    }
}

/// Scrapes routes and clusters when somebody asks, and not otherwise.
package actor LiveTraffic {
    /// Over which rates are measured.
    private static let window = 10_000
    /// What is older is no baseline for somebody who asks now.
    private static let oldest = 13_000
    private static let limit = 16

    private let admin: any ProxyAdmin
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var scrapes: [LiveScrape] = []

    package init(admin: any ProxyAdmin) {
        self.admin = admin
        start = clock.now
    }

    /// What is now, and what was carried in the last ten seconds or since somebody asked first; nil when the proxy does not answer.
    package func sample() async -> LiveSample? {
        await scrape()
        if scrapes.count < 2 {
            // Rates need two looks.
            try? await Task.sleep(for: .seconds(1))
            await scrape()
        }
        guard let last = scrapes.last, elapsed - last.time < Self.oldest else { return nil }
        let earlier = scrapes.dropLast()
        let first = earlier.last { last.time - $0.time >= Self.window } ?? earlier.first
        return LiveSample(from: first, to: last)
    }

    private var elapsed: Int {
        let parts = start.duration(to: clock.now).components
        return Int(parts.seconds) * 1000 + Int(parts.attoseconds / 1_000_000_000_000_000)
    }

    private func scrape() async {
        // Two kinds of views look at once: one scrape serves both.
        if let last = scrapes.last, elapsed - last.time < 500 { return }
        guard let page = try? await admin.get("/stats/prometheus?only=routes", timeout: .seconds(2)),
            page.status == 200,
            let answer = try? await admin.get("/clusters?format=json", timeout: .seconds(2)), answer.status == 200,
            let clusters = try? JSON.parse(answer.body)
        else { return }
        let scrape = LiveScrape(time: elapsed, page: page.body, clusters: clusters)
        scrapes.removeAll { scrape.time - $0.time > Self.oldest }
        scrapes.append(scrape)
        if scrapes.count > Self.limit { scrapes.removeFirst() }
    }
}
