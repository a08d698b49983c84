/// What the workers count by names of the configuration, added up.
struct ReportedCounts {
    private(set) var answers: [String: AnswerNumbers] = [:]
    private(set) var clients: [String: ClientTally] = [:]
    private(set) var relays: [String: RelayTally] = [:]
    private(set) var routes: [String: RouteTally] = [:]
    /// The numbers of the names of routes.
    private(set) var routeNumbers: [String: Int32] = [:]

    /// With the names of the numbers under which routes are counted.
    init(_ reports: [WorkerReport], names: [String]) {
        for name in names.dropFirst() { routes[name] = RouteTally() }
        for (number, name) in names.enumerated() { routeNumbers[name] = Int32(number) }
        for report in reports {
            for (prefix, numbers) in report.answers { answers[prefix, default: AnswerNumbers()].add(numbers) }
            for (prefix, tally) in report.clients { clients[prefix, default: ClientTally()].add(tally) }
            for (prefix, tally) in report.relays { relays[prefix, default: RelayTally()].add(tally) }
            for (number, tally) in report.routes.enumerated() where names.indices.contains(number) {
                if let tally { routes[names[number], default: RouteTally()].add(tally) }
            }
        }
    }
}
