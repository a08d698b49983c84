import CWeft
import Glibc
import Resources
import Wire

/// `weft exec`: runs a command inside a container.
enum ExecCommand {
    static let command = Command(
        "exec",
        operands: "POD | KIND/NAME -- COMMAND [ARGUMENT...]",
        summary: "run a command in a container, with a terminal when -it is given",
        details: """
            The command runs beside the container's program: same files, user, environment, limits and network. Its exit
            code becomes that of weft: 127 when there is no such program, 126 when it cannot be executed. Without -t its
            output and its errors stay apart, and bytes pass unchanged. When weft ends before the command does, the
            command gets SIGHUP, and SIGKILL 2 seconds later.
            """,
        options: [
            Option("stdin", short: "i", help: "pass standard input to the command"),
            Option("tty", short: "t", help: "give the command a terminal (with -i, when this is one)"),
            Option("container", short: "c", value: "NAME", help: "the container (default: the first one)"),
            Option("quiet", short: "q", help: "print nothing but what the command prints"),
            .namespace, .stateDirectory,
        ],
        examples: [
            "weft exec -it web-6d4f-x2k9p -- sh", "weft exec deployment/web -- cat /etc/hosts",
            "weft exec -i db-0 -- psql -U app < schema.sql",
        ],
        operandCount: 1...Int.max
    ) { arguments in
        guard arguments.operands.count > 1 else {
            throw UsageError("which command? Give it after --: weft exec \(arguments.operands[0]) -- COMMAND")
        }
        let client = try await APIClient.connected(arguments)
        let place = try await CommandPlace.find(client, arguments)
        let session = try CommandSession(place, Array(arguments.operands.dropFirst()), arguments)
        return try session.run(client.state.socket)
    }
}

/// `weft attach`: prints what a container writes from now on.
enum AttachCommand {
    static let command = Command(
        "attach",
        operands: "POD | KIND/NAME",
        summary: "print what a container writes from now on, output and errors apart",
        details: """
            Ends when the container ends, or with Ctrl-C, which leaves the container alone.
            What was written before is in 'weft logs'.
            """,
        options: [
            Option("container", short: "c", value: "NAME", help: "the container (default: the first one)"),
            Option("quiet", short: "q", help: "print nothing but what the container writes"),
            .namespace, .stateDirectory,
        ],
        examples: ["weft attach web-6d4f-x2k9p", "weft attach deployment/web 2>errors.txt"],
        operandCount: 1...1
    ) { arguments in
        let client = try await APIClient.connected(arguments)
        let place = try await CommandPlace.find(client, arguments)
        return try CommandSession(place, nil, arguments).run(client.state.socket)
    }
}

/// The container in which a command is to run.
struct CommandPlace: Sendable {
    let namespace: String
    let pod: String
    let container: String

    static func find(_ client: APIClient, _ arguments: Arguments) async throws -> CommandPlace {
        let namespace = arguments.value("namespace") ?? "default"
        let pod = try await pod(client, arguments.operands[0], namespace)
        let name = pod.at("metadata", "name")?.stringValue ?? ""
        if let wanted = arguments.value("container") {
            return CommandPlace(namespace: namespace, pod: name, container: wanted)
        }
        let names = (pod.at("spec", "containers")?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
        let annotation = pod.at("metadata", "annotations")?["kubectl.kubernetes.io/default-container"]?.stringValue
        let chosen = annotation.flatMap { names.contains($0) ? $0 : nil } ?? names.first ?? ""
        if names.count > 1, annotation == nil, !arguments.isSet("quiet") {
            Terminal.note("Defaulted container \"\(chosen)\" out of: \(names.joined(separator: ", "))")
        }
        return CommandPlace(namespace: namespace, pod: name, container: chosen)
    }

    /// The pod itself, or of KIND/NAME the first one that is ready, else the first one that runs.
    private static func pod(_ client: APIClient, _ word: String, _ namespace: String) async throws -> Value {
        let pods = try Target.type(named: "pods")
        let target = try Target.read([word.contains("/") ? word : "pods/\(word)"])[0]
        let path = APIPath.of(target.type, namespace: namespace, name: target.names[0])
        let object = try await client.get(path)
        if target.type == pods { return object }
        let selector = object.at("spec", "selector")
        guard let labels = (selector?["matchLabels"] ?? selector)?.fields, !labels.isEmpty else {
            throw CommandError("\(word) selects no pods; give a pod, a deployment or a service with a selector")
        }
        let text = labels.compactMap { label in label.value.stringValue.map { "\(label.name)=\($0)" } }
        let query = APIPath.query([("labelSelector", text.joined(separator: ","))])
        let found = try await client.get(APIPath.of(pods, namespace: namespace) + query)["items"]?.arrayValue ?? []
        let living = found.filter { $0.at("metadata", "deletionTimestamp") == nil }
        let running = living.filter { $0.at("status", "phase")?.stringValue == "Running" }
        guard let chosen = running.first(where: Overview.isReady(pod:)) ?? running.first else {
            throw CommandError(
                found.isEmpty ? "\(word) has no pods" : "no pod of \(word) runs; 'weft get pods' shows why"
            )
        }
        return chosen
    }
}
