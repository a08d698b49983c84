import Resources
import Wire

/// The figures of services or edges, as the daemon reports them.
struct StatReport: Sendable {
    struct Row: Sendable {
        let value: Value
        var namespace: String { value["namespace"]?.stringValue ?? "" }
        var service: String { value["service"]?.stringValue ?? "" }
        var source: String { value["source"]?.stringValue ?? "" }
        var requestRate: Double { value["requestRate"]?.doubleValue ?? 0 }
        var successRate: Double? { value["successRate"]?.doubleValue }
        var mean: Double? { value["latencyMeanMs"]?.doubleValue }
        var p50: Double? { value["latencyP50Ms"]?.doubleValue }
        var p95: Double? { value["latencyP95Ms"]?.doubleValue }
        var p99: Double? { value["latencyP99Ms"]?.doubleValue }
        var connections: Int { value["tcpConnections"]?.intValue ?? 0 }
    }

    var value: Value
    let isEdges: Bool

    var rows: [Row] { (value[isEdges ? "edges" : "services"]?.arrayValue ?? []).map(Row.init) }

    static func fetch(_ client: APIClient, seconds: Int, edges: Bool) async throws -> StatReport {
        let query = APIPath.query([("window", "\(seconds)s"), ("edges", edges ? "true" : nil)])
        return StatReport(value: try await client.get("/apis/weft.dev/v1alpha1/stat" + query), isEdges: edges)
    }

    /// Only the rows of one namespace (nil: all) and of these services (empty: all).
    func filtered(namespace: String?, services: Set<String>) -> StatReport {
        var report = self
        let kept = rows.filter { row in
            (namespace == nil || row.namespace == namespace) && (services.isEmpty || services.contains(row.service))
        }
        report.value[isEdges ? "edges" : "services"] = .array(kept.map(\.value))
        return report
    }

    func table(hasNamespace: Bool) -> TextTable {
        var titles = isEdges ? ["CALLER", "SERVICE"] : ["SERVICE"]
        if hasNamespace { titles.insert("NAMESPACE", at: 0) }
        let labels = titles.count
        titles += ["RPS", "SUCCESS", "MEAN", "P50", "P95", "P99", "TCP"]
        var table = TextTable(titles, rightAligned: Set(labels..<titles.count))
        table.rows = rows.map { row in
            var cells = isEdges ? [row.source, row.service] : [row.service]
            if hasNamespace { cells.insert(row.namespace, at: 0) }
            return cells + [
                Figures.rate(row.requestRate), Figures.percent(row.successRate), Figures.milliseconds(row.mean),
                Figures.milliseconds(row.p50), Figures.milliseconds(row.p95), Figures.milliseconds(row.p99),
                "\(row.connections)",
            ]
        }
        return table
    }
}
