import Sandbox
import Wire

/// `weft check`: what of this machine works, and what to do about the rest.
enum CheckCommand {
    static let command = Command(
        "check",
        summary: "test what this machine allows: namespaces, nftables, cgroups, versions",
        details: "Each check really does the thing once. The exit code is 1 when something fails that pods need.",
        options: [.jsonOutput, .stateDirectory]
    ) { arguments in
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml])
        let state = try StateDirectory(arguments)
        var checks = await MachineCheck.run(directory: state.path)
        checks.append(await daemonCheck(state))
        switch format {
        case .json: Terminal.print(JSON.write(value(of: checks), pretty: true))
        case .yaml: Terminal.print(YAML.write(value(of: checks)), terminator: "")
        default: for check in checks { print(check) }
        }
        return checks.contains { $0.verdict == .missing } ? .failure : .success
    }

    private static func daemonCheck(_ state: StateDirectory) async -> MachineFinding {
        let client = APIClient(state)
        guard await client.isAnswering() else {
            return MachineFinding("daemon", .ok, "none is running with \(state.path)")
        }
        let version = try? await client.get("/version", timeout: .seconds(2))
        let running = version?["gitVersion"]?.stringValue ?? "unknown"
        return MachineFinding("daemon", .ok, "running, version \(running)")
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
