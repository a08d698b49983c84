/// A number that filters count under Envoy's name.
struct FilterStat {
    var scope: EnvoyStats.Scope
    var name: String
    var isGauge = false
}

/// The numbers of filters by their places in `Worker.filterNumbers`. Used by the main thread alone; places are never taken
/// back, so that numbers only grow.
final class FilterStatBook {
    private var stats: [FilterStat] = []
    private var places: [String: Int32] = [:]

    /// Names come from configurations: more than this is no naming but a leak.
    private static let limit = 20_000

    /// The place of `http.PREFIX.name`; the same name has the same place.
    func place(prefix: String, _ name: String, isGauge: Bool = false) -> Int32 {
        let scope = EnvoyStats.Scope(
            prefix: "http.\(prefix).",
            family: "http",
            labels: [("envoy_http_conn_manager_prefix", prefix)]
        )
        return place(scope, name, isGauge: isGauge)
    }

    func place(_ scope: EnvoyStats.Scope, _ name: String, isGauge: Bool = false) -> Int32 {
        let whole = scope.prefix + name
        if let known = places[whole] { return known }
        guard stats.count < Self.limit else { return -1 }
        let place = Int32(stats.count)
        places[whole] = place
        stats.append(FilterStat(scope: scope, name: name, isGauge: isGauge))
        return place
    }

    /// The sums over all workers.
    func sums(of reports: [[Int64]]) -> [(stat: FilterStat, value: Int64)] {
        stats.enumerated().map { index, stat in
            (stat, reports.reduce(0) { $0 &+ (index < $1.count ? $1[index] : 0) })
        }
    }
}

extension Worker {
    /// Adds to a number of `FilterStatBook`.
    func countFilter(_ place: Int32, _ value: Int64 = 1) {
        guard place >= 0 else { return }
        while filterNumbers.count <= Int(place) { filterNumbers.append(0) }
        filterNumbers[Int(place)] &+= value
    }
}
