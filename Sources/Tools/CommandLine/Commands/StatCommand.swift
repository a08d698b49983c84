import Wire

/// `weft stat`: the golden figures of every service, or of every edge between two of them.
enum StatCommand {
    static let command = Command(
        "stat",
        operands: "[SERVICE...]",
        summary: "print requests per second, success rate and latencies of services",
        details: """
            Figures are taken at the proxy, over the last 10 seconds unless --window says otherwise: requests per second
            (N/T), the share of requests that succeeded, mean response time (sum of times / N) and its 50th, 95th and 99th
            percentile. A request fails when its status is 500 or above, or when no answer came. TCP is the number of open
            connections that are passed on as plain TCP.
            """,
        options: [
            Option("edges", help: "one line per caller and callee"),
            Option("window", value: "DURATION", help: "the time looked back on: 1s to 2m (default: 10s)"),
            Option("watch", short: "w", help: "print again every two seconds until interrupted"),
            .namespace, .allNamespaces, .jsonOutput, .stateDirectory,
        ],
        examples: ["weft stat", "weft stat --edges", "weft stat web -o json"],
        operandCount: 0...Int.max
    ) { arguments in
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml])
        let window = arguments.value("window") ?? "10s"
        guard let seconds = LogReader.seconds(window), (1...120).contains(seconds) else {
            throw UsageError("--window takes a time from 1s to 2m, not '\(window)'")
        }
        let client = try await APIClient.connected(arguments)
        var screen = LiveScreen()
        repeat {
            let report = try await StatReport.fetch(client, seconds: seconds, edges: arguments.isSet("edges"))
                .filtered(
                    namespace: arguments.isSet("all-namespaces") ? nil : arguments.value("namespace") ?? "default",
                    services: Set(arguments.operands)
                )
            switch format {
            case .json: Terminal.print(JSON.write(report.value, pretty: true))
            case .yaml: Terminal.print(YAML.write(report.value), terminator: "")
            default:
                let lines = report.table(hasNamespace: arguments.isSet("all-namespaces")).lines()
                if Terminal.isOutputTerminal, arguments.isSet("watch") {
                    screen.draw(lines)
                } else {
                    Terminal.print(lines.joined(separator: "\n"))
                }
            }
            if arguments.isSet("watch") { try await Task.sleep(for: .seconds(2)) }
        } while arguments.isSet("watch")
        return .success
    }
}
