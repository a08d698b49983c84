/// `weft serve`: the daemon that `weft up` starts in the background.
enum ServeEntry {
    static let command = Command(
        "serve",
        summary: "run the daemon in the foreground ('weft up' starts one by itself)",
        details: "Serves the API on a Unix socket in the state directory. SIGTERM stops it and keeps its objects.",
        options: [.stateDirectory]
    ) { arguments in
        let state = try StateDirectory(arguments)
        let code = try await ServeCommand.run(["--state-dir", state.path])
        return ExitCode(rawValue: code)
    }
}
