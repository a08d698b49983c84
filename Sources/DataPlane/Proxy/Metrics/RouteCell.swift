import HTTP
import Telemetry
import Traffic

/// What a worker counts of one route's requests, whoever answered them.
struct RouteCell: BitwiseCopyable, Sendable {
    var requests: UInt64 = 0
    /// With retries.
    var tries: UInt64 = 0
    /// The last place is of all further statuses together (`StatusCell.status` 1).
    private(set) var statuses: InlineArray<8, StatusCell> = .init(repeating: StatusCell())
    var latency = LatencyHistogram()

    static let otherStatus: UInt16 = 1

    mutating func count(status: UInt16, isFailure: Bool, tries: UInt16, time: UInt64) {
        requests &+= 1
        self.tries &+= UInt64(max(1, tries))
        latency.observe(nanoseconds: time)
        add(status == 0 ? 499 : status, isFailure, 1)
    }

    private mutating func add(_ status: UInt16, _ isFailure: Bool, _ count: UInt64) {
        for place in 0..<7 {
            if statuses[place].status == status, statuses[place].isFailure == isFailure {
                statuses[place].count &+= count
                return
            }
            if statuses[place].status == 0, status != Self.otherStatus {
                statuses[place] = StatusCell(status: status, isFailure: isFailure, count: count)
                return
            }
        }
        // Their outcomes differ: as failures, so that none is hidden.
        statuses[7].status = Self.otherStatus
        statuses[7].isFailure = true
        statuses[7].count &+= count
    }

    mutating func add(_ other: RouteCell) {
        requests &+= other.requests
        tries &+= other.tries
        latency.add(other.latency)
        for place in 0..<8 where other.statuses[place].status != 0 {
            let cell = other.statuses[place]
            add(cell.status, cell.isFailure, cell.count)
        }
    }

    /// By status; `other` where they were too many to be told apart.
    var responses: [(status: String, isFailure: Bool, count: UInt64)] {
        (0..<8).map { statuses[$0] }.filter { $0.status != 0 }.sorted {
            ($0.status, $0.isFailure ? 1 : 0) < ($1.status, $1.isFailure ? 1 : 0)
        }.map { ($0.status == Self.otherStatus ? "other" : String($0.status), $0.isFailure, $0.count) }
    }
}

/// What a worker counts of one endpoint beside its state.
struct EndpointTally: BitwiseCopyable, Sendable {
    /// By hundreds of the status, 1 to 5; tries without an answer are none.
    var classes: InlineArray<5, UInt64> = .init(repeating: 0)
    var times = LatencyHistogram()

    mutating func add(_ other: EndpointTally) {
        for index in 0..<5 { classes[index] &+= other.classes[index] }
        times.add(other.times)
    }
}

extension Worker {
    /// Endpoints of one worker with numbers of their own; further ones have none.
    static var mostEndpointTallies: Int { 20_000 }

    /// A try at an endpoint of a cluster that counts each is over.
    func countEndpoint(_ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32, _ time: UInt64) {
        guard slot >= 0, Int(slot) < cluster.pointee.poolCount else { return }
        let pool = cluster.pointee.pools + Int(slot)
        if pool.pointee.tally == nil {
            guard endpointTallies < Self.mostEndpointTallies else { return }
            endpointTallies += 1
            let made = UnsafeMutablePointer<EndpointTally>.allocate(capacity: 1)
            made.initialize(to: EndpointTally())
            pool.pointee.tally = made
        }
        guard let tally = pool.pointee.tally, exchange.pointee.respondedAt > 0 else { return }
        let status = exchange.pointee.status == 0 ? responseHead.status : exchange.pointee.status
        guard status >= 100, status < 600 else { return }
        tally.pointee.classes[Int(status) / 100 - 1] &+= 1
        tally.pointee.times.observe(nanoseconds: time)
    }

    /// An endpoint's slot goes to another one, or its cluster goes.
    func dropTally(_ pool: UnsafeMutablePointer<EndpointPool>) {
        guard let tally = pool.pointee.tally else { return }
        pool.pointee.tally = nil
        tally.deallocate()
        endpointTallies -= 1
    }

    /// Counts a request of a route that has a series.
    func countSeries(_ exchange: ExchangePlace, _ number: Int32) {
        guard !exchange.pointee.flags.contains(.isShadow) else { return }
        while routeCells.count <= Int(number) { routeCells.append(nil) }
        let cell: UnsafeMutablePointer<RouteCell>
        if let known = routeCells[Int(number)] {
            cell = known
        } else {
            cell = .allocate(capacity: 1)
            cell.initialize(to: RouteCell())
            routeCells[Int(number)] = cell
        }
        let status = exchange.pointee.status
        let flags = exchange.pointee.responseFlags
        let isCut = flags.contains(.upstreamConnectionTermination) || flags.contains(.streamIdleTimeout)
        cell.pointee.count(
            status: status,
            isFailure: status >= 500 || status == 0 || isCut || CallStatus.isFailure(Int(exchange.pointee.callStatus)),
            tries: exchange.pointee.attempts,
            time: now > exchange.pointee.startedAt ? now &- exchange.pointee.startedAt : 0
        )
    }

    /// Numbers that go to other names begin at nothing.
    func settleSeries(_ snapshot: Snapshot) {
        if snapshot.routeStamps.version != routeStamps.version {
            for number in routeCells.indices where !routeStamps.agrees(with: snapshot.routeStamps, on: number) {
                routeCells[number]?.deallocate()
                routeCells[number] = nil
            }
            routeStamps = snapshot.routeStamps
        }
        guard snapshot.countedStamps.version != countedStamps.version else { return }
        for number in routeTallies.indices where !countedStamps.agrees(with: snapshot.countedStamps, on: number) {
            routeTallies[number] = nil
        }
        countedStamps = snapshot.countedStamps
    }
}
