import Wire

/// `weft version`: which Weft this is, and which one runs.
enum VersionCommand {
    static let command = Command(
        "version",
        summary: "print the version of this program and of the running Weft",
        options: [.jsonOutput, .stateDirectory]
    ) { arguments in
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml])
        let client = APIClient(try StateDirectory(arguments))
        let running = try? await client.get("/version", timeout: .seconds(2))
        let status = try? await client.get("/apis/weft.dev/v1alpha1/status", timeout: .seconds(2))
        let isolation = status?["isolation"]?.stringValue
        let version: Value = ["weft": .string(Version.current), "kubernetesAPI": .string(Version.kubernetes)]
        switch format {
        case .json, .yaml:
            var whole: Value = ["client": version, "server": running ?? .null]
            whole["isolation"] = isolation.map { .string($0) }
            Terminal.print(format == .json ? JSON.write(whole, pretty: true) : YAML.write(whole))
        default:
            Terminal.print("weft \(Version.current) (Kubernetes API \(Version.kubernetes))")
            if let running {
                Terminal.print(
                    "running: \(running["gitVersion"]?.stringValue ?? "unknown"), isolation \(isolation ?? "unknown")"
                )
            }
        }
        return .success
    }
}
