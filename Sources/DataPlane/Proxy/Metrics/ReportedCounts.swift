/// What the workers count by names of the configuration, added up.
struct ReportedCounts {
    private(set) var answers: [String: AnswerNumbers] = [:]
    private(set) var clients: [String: ClientTally] = [:]
    private(set) var relays: [String: RelayTally] = [:]
    private(set) var routes: [String: RouteTally] = [:]
    /// The numbers of the names of routes.
    private(set) var routeNumbers: [String: Int32] = [:]

    /// With the names of the numbers under which routes are counted.
    init(_ reports: [WorkerReport], _ book: SeriesBook<String>) {
        let (names, stamps) = (book.names, book.stamps)
        for case let name? in names.dropFirst() { routes[name] = RouteTally() }
        for (number, name) in names.enumerated() {
            if let name { routeNumbers[name] = Int32(number) }
        }
        for report in reports {
            for (prefix, numbers) in report.answers { answers[prefix, default: AnswerNumbers()].add(numbers) }
            for (prefix, tally) in report.clients { clients[prefix, default: ClientTally()].add(tally) }
            for (prefix, tally) in report.relays { relays[prefix, default: RelayTally()].add(tally) }
            // A worker that has not yet heard of a number's new name counts for the one before.
            for (number, tally) in report.routes.enumerated()
            where number == 0 || stamps.agrees(with: report.countedStamps, on: number) {
                guard let tally, names.indices.contains(number), let name = names[number] else { continue }
                routes[name, default: RouteTally()].add(tally)
            }
        }
    }
}
