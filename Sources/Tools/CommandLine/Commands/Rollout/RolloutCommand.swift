import Resources
import Wire

/// `weft rollout`: begins, watches, takes back and lists the versions of a workload.
enum RolloutCommand {
    static let command = Command(
        "rollout",
        operands: "restart|status|undo|history|pause|resume KIND/NAME...",
        summary: "restart a workload's pods, wait for a new version, or take it back",
        details: """
            Deployments, StatefulSets and DaemonSets; only a Deployment can be paused. Pods are replaced by the workload's
            strategy; a pod leaves the traffic before it is told to end.
            """,
        options: [
            Option("to-revision", value: "N", help: "undo: this revision instead of the one before"),
            Option("revision", value: "N", help: "history: show the pods of this revision; status: wait for it only"),
            Option(
                "timeout",
                value: "SECONDS",
                help: "status: how long to wait (default: until the rollout ends or fails)"
            ),
            Option("no-wait", help: "status: say how far it got and return"),
            .namespace, .stateDirectory,
        ],
        examples: [
            "weft rollout restart deployment/web", "weft rollout status statefulset/db",
            "weft rollout undo deployment/web --to-revision=2",
        ],
        operandCount: 2...Int.max
    ) { arguments in
        let words = Array(arguments.operands.dropFirst())
        guard let verb = Verb(rawValue: arguments.operands[0]) else {
            let known = Verb.allCases.map(\.rawValue)
            let guess = Spelling.nearest(to: arguments.operands[0], among: known).map { "; did you mean \($0)?" } ?? ""
            throw UsageError("'\(arguments.operands[0])' is none of \(known.joined(separator: ", "))\(guess)")
        }
        let targets = try Target.read(words)
        let client = try await APIClient.connected(arguments)
        for target in targets {
            let kind = target.type.singular
            guard types.contains(target.type) else {
                throw UsageError("only deployments, statefulsets and daemonsets are rolled out, a \(kind) is not")
            }
            guard target.type == ResourceTypes.deployments || ![.pause, .resume].contains(verb) else {
                throw UsageError("only a deployment can be paused and resumed, a \(kind) cannot")
            }
            guard !target.names.isEmpty else { throw UsageError("which \(kind)? Give its name: \(kind)/NAME") }
            for name in target.names {
                let rollout = RolloutOf(
                    type: target.type,
                    name: name,
                    namespace: arguments.value("namespace") ?? "default",
                    client: client
                )
                guard try await rollout.run(verb, arguments) else { return .failure }
            }
        }
        return .success
    }

    private static let types = [ResourceTypes.deployments, ResourceTypes.statefulSets, ResourceTypes.daemonSets]

    enum Verb: String, CaseIterable {
        case restart, status, undo, history, pause, resume
    }
}
