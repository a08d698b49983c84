import Resources
import Wire

/// `weft set image`: gives containers of a workload other images, which begins a rollout.
enum SetCommand {
    static let command = Command(
        "set",
        operands: "image KIND/NAME CONTAINER=IMAGE...",
        summary: "give the containers of a deployment, statefulset or daemonset other images",
        details: "A container named * stands for all. The change begins a rollout: see 'weft rollout status'.",
        options: [.namespace, .stateDirectory],
        examples: ["weft set image deployment/web web=shop-web:2"],
        operandCount: 3...Int.max
    ) { arguments in
        var words = arguments.operands
        guard words.removeFirst() == "image" else {
            throw UsageError("only images can be set: weft set image deployment/NAME CONTAINER=IMAGE")
        }
        let changes = words.filter { $0.contains("=") }.map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
        let targets = try Target.read(words.filter { !$0.contains("=") })
        guard !changes.isEmpty, changes.allSatisfy({ $0.count == 2 && !$0[0].isEmpty }) else {
            throw UsageError("which image? Say CONTAINER=IMAGE, such as web=shop-web:2")
        }
        let client = try await APIClient.connected(arguments)
        for target in targets {
            guard types.contains(target.type), !target.names.isEmpty else {
                throw UsageError("images are set on deployments, statefulsets and daemonsets, by name: deployment/NAME")
            }
            for name in target.names {
                let namespace = arguments.value("namespace") ?? "default"
                let path = APIPath.of(target.type, namespace: namespace, name: name)
                try await set(changes.map { ($0[0], $0[1]) }, "\(target.type.qualifiedSingular)/\(name)", path, client)
            }
        }
        return .success
    }

    private static let types = [ResourceTypes.deployments, ResourceTypes.statefulSets, ResourceTypes.daemonSets]

    private static func set(_ changes: [(String, String)], _ name: String, _ path: String, _ client: APIClient)
        async throws
    {
        var workload = try await client.get(path)
        var unknown = Set(changes.map(\.0))
        for field in ["containers", "initContainers"] {
            guard var containers = workload.at("spec", "template", "spec", field)?.arrayValue else { continue }
            for index in containers.indices {
                for (container, image) in changes where container == "*" || containers[index].text("name") == container
                {
                    unknown.remove(container)
                    containers[index]["image"] = .string(image)
                }
            }
            workload.set(["spec", "template", "spec", field], .array(containers))
        }
        guard unknown.isEmpty else {
            throw CommandError(
                "\(name) has no container \(unknown.sorted().map { "\"\($0)\"" }.joined(separator: ", ")); "
                    + "nothing was changed"
            )
        }
        _ = try await client.put(path, workload)
        Terminal.print("\(name) image updated")
    }
}
