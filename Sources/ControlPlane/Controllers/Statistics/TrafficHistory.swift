package import Wire

/// The last scrapes of the proxy, and what they say about a window of time.
///
/// Pure; the collector owns it. It keeps at most `limit` scrapes, the oldest goes first.
package struct TrafficHistory: Sendable {
    /// Scrapes kept: two minutes at one per second.
    package static let limit = 120

    private var scrapes: [TrafficScrape] = []

    package init() {}

    package var latest: TrafficScrape? { scrapes.last }

    /// Whether there are two scrapes to compare.
    package var hasBaseline: Bool { scrapes.count > 1 }

    package mutating func add(_ scrape: TrafficScrape) {
        scrapes.append(scrape)
        if scrapes.count > Self.limit { scrapes.removeFirst(scrapes.count - Self.limit) }
    }

    /// What was counted per edge in the last `window` milliseconds, and the seconds it was really counted over.
    ///
    /// The window begins at the youngest scrape that is at least so old; with none so old at the oldest one.
    package func window(_ window: Int) -> (seconds: Double, edges: [TrafficEdge: TrafficCounters]) {
        guard let last = scrapes.last, scrapes.count > 1 else { return (0, [:]) }
        let earlier = scrapes.dropLast()
        let first = earlier.last { last.time - $0.time >= window } ?? earlier.first ?? last
        let seconds = Double(last.time - first.time) / 1000
        guard seconds > 0 else { return (0, [:]) }
        var edges: [TrafficEdge: TrafficCounters] = [:]
        for (edge, counters) in last.edges {
            edges[edge] = counters.since(first.edges[edge] ?? TrafficCounters())
        }
        return (seconds, edges)
    }
}

/// The golden numbers of a Service or of an edge over a window.
package struct TrafficSummary: Equatable, Sendable {
    package var requestsPerSecond: Double
    package var responses: Double
    package var failures: Double
    /// Nil without a response in the window.
    package var successRate: Double?
    /// Mean response time in milliseconds: the sum of times over their number.
    package var mean: Double?
    package var p50: Double?
    package var p95: Double?
    package var p99: Double?
    package var tcpOpenConnections: Double
    package var tcpReadBytesPerSecond: Double
    package var tcpWriteBytesPerSecond: Double

    package init(_ counters: TrafficCounters, seconds: Double) {
        let perSecond = seconds > 0 ? 1 / seconds : 0
        requestsPerSecond = counters.requests * perSecond
        responses = counters.successes + counters.failures
        failures = counters.failures
        successRate = responses > 0 ? counters.successes / responses : nil
        mean = counters.latencyCount > 0 ? counters.latencySum / counters.latencyCount : nil
        p50 = counters.latency.quantile(0.5)
        p95 = counters.latency.quantile(0.95)
        p99 = counters.latency.quantile(0.99)
        tcpOpenConnections = counters.tcpOpenConnections
        tcpReadBytesPerSecond = counters.tcpReadBytes * perSecond
        tcpWriteBytesPerSecond = counters.tcpWriteBytes * perSecond
    }

    fileprivate func write(to value: inout Value) {
        func number(_ number: Double?) -> Value {
            guard let number else { return .null }
            return .double((number * 10_000).rounded() / 10_000)
        }
        value["requestRate"] = number(requestsPerSecond)
        value["responses"] = number(responses)
        value["failures"] = number(failures)
        value["successRate"] = number(successRate)
        value["errorRate"] = number(successRate.map { 1 - $0 })
        value["latencyMeanMs"] = number(mean)
        value["latencyP50Ms"] = number(p50)
        value["latencyP95Ms"] = number(p95)
        value["latencyP99Ms"] = number(p99)
        value["tcpConnections"] = number(tcpOpenConnections)
        value["tcpReadRate"] = number(tcpReadBytesPerSecond)
        value["tcpWriteRate"] = number(tcpWriteBytesPerSecond)
    }
}

/// What `/apis/weft.dev/v1alpha1/stat` answers.
package struct TrafficReport: Sendable {
    private struct Name: Hashable, Comparable {
        var namespace: String
        var name: String

        static func < (left: Name, right: Name) -> Bool {
            (left.namespace, left.name) < (right.namespace, right.name)
        }

        var value: Value { ["namespace": .string(namespace), "service": .string(name)] }
    }

    private struct Pair: Hashable, Comparable {
        var from: Name
        var to: Name

        static func < (left: Pair, right: Pair) -> Bool {
            left.from == right.from ? left.to < right.to : left.from < right.from
        }
    }

    private let seconds: Double
    private var services: [Name: TrafficCounters] = [:]
    private var edges: [Pair: TrafficCounters] = [:]

    /// - Parameters:
    ///   - services: every Service by namespace and name, so that one without traffic is listed too.
    ///   - window: the result of `TrafficHistory.window`.
    package init(
        services: [(namespace: String, name: String)],
        window: (seconds: Double, edges: [TrafficEdge: TrafficCounters])
    ) {
        seconds = window.seconds
        for service in services {
            self.services[Name(namespace: service.namespace, name: service.name)] = TrafficCounters()
        }
        for (edge, counters) in window.edges {
            let callee = edge.calleeService.isEmpty ? edge.calleeWorkload : edge.calleeService
            let to = Name(namespace: edge.calleeNamespace, name: callee)
            let from = Name(namespace: edge.callerNamespace, name: edge.caller)
            if !edge.calleeService.isEmpty { self.services[to, default: TrafficCounters()].add(counters) }
            edges[Pair(from: from, to: to), default: TrafficCounters()].add(counters)
        }
    }

    /// The report as JSON: `services` sorted by name, and with `withEdges` also `edges`, caller to callee.
    package func value(withEdges: Bool) -> Value {
        var result: Value = [
            "apiVersion": "weft.dev/v1alpha1", "kind": "Stat", "seconds": .double((seconds * 1000).rounded() / 1000),
        ]
        result["services"] = .array(
            services.sorted { $0.key < $1.key }.map { name, counters in
                var entry = name.value
                TrafficSummary(counters, seconds: seconds).write(to: &entry)
                return entry
            }
        )
        guard withEdges else { return result }
        result["edges"] = .array(
            edges.sorted { $0.key < $1.key }.map { pair, counters in
                var entry = pair.to.value
                entry["source"] = .string(pair.from.name)
                entry["sourceNamespace"] = .string(pair.from.namespace)
                TrafficSummary(counters, seconds: seconds).write(to: &entry)
                return entry
            }
        )
        return result
    }
}
