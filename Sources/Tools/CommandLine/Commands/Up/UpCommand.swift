import Resources
import Wire

/// `weft up`: starts everything in some manifests and shows it live until interrupted.
enum UpCommand {
    static let command = Command(
        "up",
        operands: "[PATH...]",
        summary: "start everything in manifests, or what ran before, and show it live",
        details: """
            PATH is a file, a folder or - for standard input: Kubernetes manifests in YAML or JSON, several documents to a
            file. In a terminal a live table is shown; Ctrl-C drains and stops everything, a second Ctrl-C hurries. With
            --detach it goes on running in the background until 'weft down'. Without PATH what ran before goes on: after a
            crash of the daemon its pods are taken over, after a restart of the machine they are started again.
            """,
        options: [
            Option("detach", short: "d", help: "return when the services are ready, and leave them running"),
            Option("timeout", value: "SECONDS", help: "how long --detach waits for them to be ready (default: 60)"),
            IsolationChoice.option, DiscoveryChoice.option, DiscoveryChoice.tlsOption, .recursive, .namespace,
            .stateDirectory,
        ] + TelemetryChoice.options + APIChoice.options,
        examples: [
            "weft up examples/shop", "weft up --detach web.yaml db.yaml", "cat all.yaml | weft up -",
            "weft up --detach",
        ],
        operandCount: 0...Int.max
    ) { arguments in
        let timeout = try arguments.integer("timeout", default: 60, in: 1...86_400)
        let state = try StateDirectory(arguments)
        guard state.holdsObjects || !arguments.operands.isEmpty else {
            throw UsageError(
                "'weft up' needs PATH... ('weft up examples/shop'): nothing ran before with the state directory \(state.path)"
            )
        }
        let loader = ManifestLoader(isRecursive: arguments.isSet("recursive"))
        let draft = arguments.operands.isEmpty ? nil : try loader.read(arguments.operands)
        let client = APIClient(state)
        let isNew = !state.holdsObjects
        let isolation = try IsolationChoice(arguments, state)
        let launcher = DaemonLauncher(
            state: state,
            isolation: isolation,
            discovery: try DiscoveryChoice(arguments, state),
            telemetry: try TelemetryChoice(arguments, state),
            api: try APIChoice(arguments, state)
        )
        // What was defined before, only a daemon that has started knows; else nothing is started before all is checked.
        let isEarly = isNew || draft?.needsDaemon != true ? false : try await launcher.ensureRunning(client)
        var manifests: [Manifest] = []
        do {
            if let draft { manifests = try await loader.check(draft, asking: client) }
        } catch {
            // It may have taken over pods of a daemon that died: these are not ended for a mistake in a file.
            if isEarly { Terminal.note("Weft was started, and goes on with what ran before; 'weft down' stops it") }
            throw error
        }
        let isStarted = try await launcher.ensureRunning(client)
        let isOurs = isEarly || isStarted
        if !arguments.operands.isEmpty { try await apply(manifests, arguments, client, undoing: isOurs && isNew) }
        guard arguments.isSet("detach") else {
            return try await LiveView(client: client, isOurs: isOurs).run()
        }
        return try await Readiness(client: client).wait(seconds: timeout)
    }

    /// Applies everything. A failed start leaves nothing behind that was not there before: `undoing` says that nothing was.
    private static func apply(
        _ manifests: [Manifest],
        _ arguments: Arguments,
        _ client: APIClient,
        undoing: Bool
    ) async throws {
        do {
            let applier = Applier(client: client, namespace: arguments.value("namespace") ?? "default")
            let results = try await applier.apply(manifests)
            let changed = results.count { $0.outcome != .unchanged }
            Terminal.note("\(results.count) objects applied, \(changed) of them new or changed")
        } catch {
            if undoing { try? await Shutdown.run(client, removesState: true, hurries: true) }
            throw error
        }
    }
}
