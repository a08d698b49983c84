import Bytes
import Synchronization
import Telemetry

/// The numbers of names that have series of their own, within a budget: a name has its number as long as anybody holds it, then the
/// number goes to another one. 0 is of all that find no place.
///
/// Used by the main thread; names are given back by whichever thread lets go of them last.
final class SeriesBook<Name: Hashable & Sendable>: Sendable {
    private struct State {
        var limit: Int
        var places: [Name: (number: Int32, holders: Int)] = [:]
        /// By number; nil = free.
        var names: [Name?]
        /// By number: grows when a number goes to another name.
        var stamps: [UInt32] = [0]
        var free: [Int32] = []
        /// Grows with every stamp.
        var version: UInt64 = 0
    }
    private let state: Lock<State>

    /// A book for so many names; `other` is the name of number 0.
    init(limit: Int, other: Name) { state = Lock(State(limit: limit, names: [other])) }

    /// Names that may have a number; those that have one keep it.
    func setLimit(_ limit: Int) { state.withLock { $0.limit = limit } }
    var limit: Int { state.withLock { $0.limit } }
    /// Names that have a number.
    var count: Int { state.withLock { $0.places.count } }
    var names: [Name?] { state.withLock { $0.names } }
    var stamps: SeriesStamps { state.withLock { SeriesStamps(version: $0.version, stamps: $0.stamps) } }

    /// The number of a name, held until `release`; 0 when there is no place for it.
    func acquire(_ name: Name) -> Int32 {
        state.withLock { state in
            if let known = state.places[name] {
                state.places[name] = (known.number, known.holders + 1)
                return known.number
            }
            guard state.places.count < state.limit else { return 0 }
            let number: Int32
            if let free = state.free.popLast() {
                number = free
                state.names[Int(number)] = name
                state.stamps[Int(number)] &+= 1
            } else {
                number = Int32(state.names.count)
                state.names.append(name)
                state.stamps.append(1)
            }
            state.version += 1
            state.places[name] = (number, 1)
            return number
        }
    }

    func release(_ name: Name) {
        state.withLock { state in
            guard let known = state.places[name] else { return }
            guard known.holders == 1 else {
                state.places[name] = (known.number, known.holders - 1)
                return
            }
            state.places[name] = nil
            state.names[Int(known.number)] = nil
            state.free.append(known.number)
        }
    }
}

/// Which names the numbers of a book stood for at one moment: equal stamps, equal names.
struct SeriesStamps: Sendable {
    var version: UInt64 = 0
    var stamps: [UInt32] = []

    /// Whether a number means the same in both.
    func agrees(with other: SeriesStamps, on number: Int) -> Bool {
        stamps.indices.contains(number) && other.stamps.indices.contains(number)
            && stamps[number] == other.stamps[number]
    }
}

/// A route as its series names it.
struct RouteName: Hashable, Sendable {
    var host: String
    var route: String

    static let other = RouteName(host: "__other__", route: "__other__")
}

/// The numbers of series that routes have, of one process.
final class RouteSeries: Sendable {
    /// Of those with a `stat_prefix`, and of virtual clusters, under Envoy's names.
    let counted = SeriesBook<String>(limit: 10_000, other: "others")
    /// Of every route, where that is wanted, under Linkerd's names.
    let routes = SeriesBook<RouteName>(limit: standardLimit, other: .other)

    static let standardLimit = 1000
    static let mostRoutes = 20_000
}

/// What one route table holds of `RouteSeries`: given back when the table goes.
final class SeriesLease: Sendable {
    private let series: RouteSeries
    private let counted = Lock<[String]>([])
    private let routes = Lock<[RouteName]>([])

    init(_ series: RouteSeries) { self.series = series }

    deinit {
        for name in counted.withLock({ $0 }) { series.counted.release(name) }
        for name in routes.withLock({ $0 }) { series.routes.release(name) }
    }

    func counted(_ name: String) -> Int32 {
        let number = series.counted.acquire(name)
        if number > 0 { counted.withLock { $0.append(name) } }
        return number
    }

    func route(_ name: RouteName) -> Int32 {
        let number = series.routes.acquire(name)
        if number > 0 { routes.withLock { $0.append(name) } }
        return number
    }
}
