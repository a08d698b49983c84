import Resources
import Wire

/// `weft scale`: sets how many pods a Deployment, ReplicaSet or StatefulSet wants.
enum ScaleCommand {
    static let command = Command(
        "scale",
        operands: "KIND NAME... | KIND/NAME...",
        summary: "set the number of pods of a deployment, statefulset, replicaset or custom object",
        options: [
            Option("replicas", value: "N", help: "how many pods are wanted (required)"),
            Option("current-replicas", value: "N", help: "only when as many are wanted now"),
            .namespace, .jsonOutput, .stateDirectory,
        ],
        examples: ["weft scale deployment catalogue --replicas=5"],
        operandCount: 1...Int.max
    ) { arguments in
        guard arguments.isSet("replicas") else { throw UsageError("--replicas is needed: how many pods are wanted") }
        let replicas = try arguments.integer("replicas", default: 0, in: 0...10_000)
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml, .name])
        let targets = try await Target.read(arguments.operands, asking: APIClient(try StateDirectory(arguments)))
        let client = try await APIClient.connected(arguments)
        for target in targets {
            guard target.type.hasScale else {
                let able = ResourceTypes.all.filter(\.hasScale).map(\.plural).joined(separator: ", ")
                throw UsageError("a \(target.type.singular) cannot be scaled; these can: \(able)")
            }
            guard !target.names.isEmpty else {
                throw UsageError(
                    "which \(target.type.singular)? Give its name: weft scale \(target.type.singular) NAME"
                )
            }
            for name in target.names {
                try await scale(target.type, name, to: replicas, arguments, client, format)
            }
        }
        return .success
    }

    private static func scale(
        _ type: ResourceType,
        _ name: String,
        to replicas: Int,
        _ arguments: Arguments,
        _ client: APIClient,
        _ format: OutputFormat
    ) async throws {
        let path = APIPath.of(
            type,
            namespace: arguments.value("namespace") ?? "default",
            name: name,
            // Where a custom kind has its number is for its definition to say.
            subresource: type.isOfTheHouse ? nil : "scale"
        )
        if arguments.isSet("current-replicas") {
            let expected = try arguments.integer("current-replicas", default: 0, in: 0...10_000)
            let current = try await client.get(path).at("spec", "replicas")?.intValue ?? 1
            guard current == expected else {
                throw CommandError(
                    "\(type.singular) \"\(name)\" wants \(current) pods now, not \(expected); nothing was changed"
                )
            }
        }
        let object = try await client.mergePatch(path, ["spec": ["replicas": .int(Int64(replicas))]])
        switch format {
        case .json: Terminal.print(JSON.write(object, pretty: true))
        case .yaml: Terminal.print(YAML.write(object), terminator: "")
        case .name: Terminal.print("\(type.qualifiedSingular)/\(name)")
        default: Terminal.print("\(type.qualifiedSingular)/\(name) scaled")
        }
    }
}
