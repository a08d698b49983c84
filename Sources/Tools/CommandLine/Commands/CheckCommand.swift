import Sandbox
import Wire

/// `weft check`: what of this machine works, and what to do about the rest.
enum CheckCommand {
    static let command = Command(
        "check",
        summary: "test what this machine allows: namespaces, nftables, cgroups, versions",
        details: "Each check really does the thing once. The exit code is 1 when something fails that pods need.",
        options: [IsolationChoice.option, .jsonOutput, .stateDirectory]
    ) { arguments in
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml])
        let state = try StateDirectory(arguments)
        let isolation = try IsolationChoice(arguments, state).mode
        var checks = await MachineCheck.run(directory: state.path, isolation: isolation)
        if isolation == .namespaces, !checks.contains(where: { $0.verdict == .missing }) {
            let choice = await RuntimeSearch.find(directory: state.path, order: try RuntimeOrder.read())
            checks.append(MachineFinding("OCI runtime", .ok, "containers of images are run by \(choice.description)"))
        }
        checks += await daemonChecks(state)
        switch format {
        case .json: Terminal.print(JSON.write(value(of: checks), pretty: true))
        case .yaml: Terminal.print(YAML.write(value(of: checks)), terminator: "")
        default: for check in checks { print(check) }
        }
        return checks.contains { $0.verdict == .missing } ? .failure : .success
    }

    /// What the daemon says of itself, and everything that is not as it should be there.
    private static func daemonChecks(_ state: StateDirectory) async -> [MachineFinding] {
        let client = APIClient(state)
        guard await client.isAnswering() else {
            if let pid = DaemonLock.holder(of: state) {
                return [
                    MachineFinding(
                        "daemon",
                        .limited,
                        "pid \(pid) has \(state.path), but does not answer",
                        remedy: "wait until it has started, or end it with 'kill -9 \(pid)' and run 'weft up' again"
                    )
                ]
            }
            return [MachineFinding("daemon", .ok, "none is running with \(state.path)")]
        }
        let version = try? await client.get("/version", timeout: .seconds(2))
        let running = version?["gitVersion"]?.stringValue ?? "unknown"
        let status = try? await client.get("/apis/weft.dev/v1alpha1/status", timeout: .seconds(5))
        let warnings = status?["warnings"]?.arrayValue ?? []
        let isolation = status?["isolation"]?.stringValue ?? "unknown"
        let xds = (status?["xds"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ", ")
        return [
            MachineFinding("daemon", .ok, "running, version \(running), isolation \(isolation)"),
            MachineFinding("xds", .ok, xds.isEmpty ? "not served" : "served on \(xds)"),
        ]
            + warnings.compactMap { $0.stringValue.map { MachineFinding("daemon", .limited, $0) } }
    }

    private static func print(_ check: MachineFinding) {
        let mark =
            switch check.verdict {
            case .ok: Style.green("ok  ")
            case .limited: Style.yellow("note")
            case .missing: Style.red("FAIL")
            }
        Terminal.print("\(mark)  \(check.name.padded(to: 20))  \(Terminal.harmless(check.detail))")
        if !check.remedy.isEmpty { Terminal.print("      \("".padded(to: 20))  \(check.remedy)") }
    }

    private static func value(of checks: [MachineFinding]) -> Value {
        [
            "checks": .array(
                checks.map { check in
                    [
                        "name": .string(check.name), "state": .string(check.verdict.rawValue),
                        "detail": .string(check.detail), "remedy": check.remedy.isEmpty ? .null : .string(check.remedy),
                    ]
                }
            )
        ]
    }
}
