import HTTP
import Traffic

/// A request in memory that lives as long as the test.
final class TestRequest {
    private let arena = Arena()
    private let fields: ArenaArray<FieldPlace>
    private let bytes: ByteRun
    private let parts: (method: ByteRun, authority: ByteRun, path: ByteRun, query: ByteRun)
    var isTLS = false

    init(
        _ method: String = "GET",
        _ authority: String = "a",
        _ target: String = "/",
        _ headers: [(String, String)] = []
    ) {
        let pieces = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let line = arena.copy(target)
        parts = (
            arena.copy(method), arena.copy(authority), line.first(pieces[0].utf8.count),
            line.dropping(pieces[0].utf8.count + 1)
        )
        var text = ""
        var places: [FieldPlace] = []
        for (name, value) in headers {
            let start = UInt32(text.utf8.count)
            text += name + value
            let valueStart = start + UInt32(name.utf8.count)
            places.append(
                FieldPlace(
                    nameStart: start,
                    nameLength: UInt32(name.utf8.count),
                    valueStart: valueStart,
                    valueLength: UInt32(value.utf8.count)
                )
            )
        }
        bytes = arena.copy(text)
        fields = arena.copy(places)
    }

    var view: RequestView {
        RequestView(
            method: parts.method,
            authority: parts.authority,
            path: parts.path,
            query: parts.query,
            isTLS: isTLS,
            base: bytes.start,
            fields: fields.count > 0 ? fields.pointer(at: 0) : nil,
            fieldCount: fields.count
        )
    }
}

/// Makes route tables from a few words.
struct TableKit {
    var builder = RouteTableBuilder()

    func route(_ name: String, prefix: String = "/", _ change: (inout Route, Arena) -> Void = { _, _ in }) -> Route {
        var route = Route()
        route.name = builder.arena.copy(name)
        route.path.bytes = builder.arena.copy(prefix)
        change(&route, builder.arena)
        return route
    }

    mutating func host(_ name: String, _ domains: [String], _ routes: [Route]) {
        builder.hosts.append(VirtualHostDraft(name: name, domains: domains, routes: routes))
    }
}

extension RouteTable {
    /// The name of the route that takes a request; nil for none.
    func routeName(_ request: TestRequest, random: UInt64 = 0) -> String? {
        guard case .route(let route, _) = view.match(request.view, random: random) else { return nil }
        return route.pointee.name.text
    }
}

/// Random numbers that are the same in every run.
struct FixedRandom {
    private var state: UInt64

    init(_ seed: UInt64 = 1) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state ^ (state >> 29)) &* 0xBF58_476D_1CE4_E5B9
    }
}

let second: UInt64 = 1_000_000_000
let millisecond: UInt64 = 1_000_000
