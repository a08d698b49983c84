import Glibc

/// `weft serve`: the daemon that `weft up` starts in the background.
enum ServeEntry {
    static let command = Command(
        "serve",
        summary: "run the daemon in the foreground ('weft up' starts one by itself)",
        details: """
            Serves the API on a Unix socket in the state directory and on localhost. SIGTERM stops it with its pods and keeps its objects; with
            --keep-pods it ends the daemon alone, and the next one takes over what runs: for service managers and upgrades.
            'weft down' ends everything in either case.
            """,
        options: [
            Option("keep-pods", help: "a signal ends the daemon only; pods and proxy run on for the next one"),
            Option("report", value: "FD", help: "write to this open descriptor why the daemon cannot start"),
            IsolationChoice.option, DiscoveryChoice.option, DiscoveryChoice.tlsOption, .stateDirectory,
        ] + TelemetryChoice.options + APIChoice.options
    ) { arguments in
        let state = try StateDirectory(arguments)
        let isolation = try IsolationChoice(arguments, state).mode
        _ = try RuntimeOrder.read()
        let discovery = try DiscoveryChoice(arguments, state)
        let telemetry = try TelemetryChoice(arguments, state)
        let api = try APIChoice(arguments, state)
        let report = try arguments.integer("report", default: -1, in: 3...1_000_000)
        if report > 0 { _ = fcntl(Int32(report), F_SETFD, FD_CLOEXEC) }
        do {
            let code = try await ServeCommand.run(
                state,
                isolation,
                discovery,
                telemetry,
                api,
                leavesPods: arguments.isSet("keep-pods")
            ) {
                if report > 0 { close(Int32(report)) }
            }
            return ExitCode(rawValue: code)
        } catch {
            let text = Array(Messages.text(of: error).utf8)
            if report > 0 { _ = write(Int32(report), text, text.count) }
            throw error
        }
    }
}
