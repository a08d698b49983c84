/// The cluster of one request, drawn from a route's choice.
public enum ClusterDraw: BitwiseCopyable {
    case cluster(Int32)
    case weighted(UnsafePointer<WeightedCluster>)
    /// The name stands in this request header value; nil when the header is missing.
    case named(ByteRun?)
}

extension ClusterChoice {
    /// Draws the cluster: once per request, so that all its retries go to the same one.
    package func draw(_ request: RequestView, random: UInt64) -> ClusterDraw {
        switch self {
        case .cluster(let index): return .cluster(index)
        case .header(let name): return .named(request.value(of: name))
        case .weighted(let clusters, let total):
            guard clusters.count > 0 else { return .cluster(-1) }
            var point = random % max(1, total)
            for index in 0..<clusters.count {
                let weight = UInt64(clusters[index].weight)
                if point < weight { return .weighted(clusters.pointer(at: index)) }
                point -= weight
            }
            return .weighted(clusters.pointer(at: clusters.count - 1))
        }
    }
}
