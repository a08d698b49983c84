import Resources
import Wire

/// `weft apply`: brings objects to the state that manifests describe.
enum ApplyCommand {
    static let command = Command(
        "apply",
        operands: "-f PATH",
        summary: "create or change objects so that they are as in manifests",
        options: [
            .files, .recursive, .namespace,
            Option("dry-run", value: "server", help: "say what would change, and change nothing"),
            Option("output", short: "o", value: "FORMAT", help: "json, yaml or name instead of a line per object"),
            .stateDirectory,
        ],
        examples: ["weft apply -f shop/", "weft apply -f web.yaml --dry-run=server", "cat web.yaml | weft apply -f -"],
        operandCount: 0...Int.max
    ) { arguments in
        let paths = arguments.all("filename") + arguments.operands
        guard !paths.isEmpty else { throw UsageError("which manifests? Give -f PATH") }
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml, .name])
        if let mode = arguments.value("dry-run"), mode != "server" {
            throw UsageError("--dry-run takes server, not '\(mode)'")
        }
        let manifests = try await ManifestLoader(isRecursive: arguments.isSet("recursive"))
            .load(paths, asking: APIClient(try StateDirectory(arguments)))
        let client = try await APIClient.connected(arguments)
        let applier = Applier(
            client: client,
            namespace: arguments.value("namespace") ?? "default",
            isDryRun: arguments.isSet("dry-run")
        )
        let suffix = applier.isDryRun ? " (server dry run)" : ""
        let results = try await applier.apply(manifests) { result in
            switch format {
            case .table, .wide: Terminal.print(result.text + suffix)
            case .name: Terminal.print("\(result.type.qualifiedSingular)/\(result.name)")
            case .json, .yaml: break
            }
        }
        let list: Value = ["apiVersion": "v1", "kind": "List", "items": .array(results.map(\.object))]
        if format == .json { Terminal.print(JSON.write(list, pretty: true)) }
        if format == .yaml { Terminal.print(YAML.write(list), terminator: "") }
        return .success
    }
}
