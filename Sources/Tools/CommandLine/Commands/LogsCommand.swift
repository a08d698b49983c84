import Glibc
import Resources
import Servers
import Wire

/// `weft logs`: prints what pods write.
enum LogsCommand {
    static let command = Command(
        "logs",
        operands: "POD | KIND/NAME",
        summary: "print the output of a pod, or of all pods of a deployment or service",
        details: """
            With -f it goes on through restarts of a container, and ends when the pod has ended. Lines of several pods or
            containers begin with where they come from.
            """,
        options: [
            Option("follow", short: "f", help: "go on printing until interrupted"),
            Option("container", short: "c", value: "NAME", help: "the container (default: the first one)"),
            Option("all-containers", help: "every container of each pod, init containers too"),
            Option("tail", value: "N", help: "only the last N lines"),
            Option("since", value: "DURATION", help: "only lines younger than this (90s, 5m, 1h)"),
            Option("since-time", value: "TIME", help: "only lines since a time such as 2026-01-31T12:00:00Z"),
            Option("limit-bytes", value: "N", help: "at most so many bytes of each log"),
            Option("timestamps", help: "begin each line with its time"),
            Option("previous", short: "p", help: "the container's run before its last restart"),
            Option("prefix", help: "begin each line with the pod's name (default for several logs)"),
            .namespace, .selector, .stateDirectory,
        ],
        examples: [
            "weft logs -f deployment/web", "weft logs web-6d4f-x2k9p --tail 20", "weft logs -l app=web",
            "weft logs db-0 --all-containers --since 5m", "weft logs web-6d4f-x2k9p --previous",
        ],
        operandCount: 0...1
    ) { arguments in
        let client = try await APIClient.connected(arguments)
        let reader = LogReader(client: client, arguments: arguments)
        let logs = try await reader.logs()
        guard !logs.isEmpty else { throw CommandError("no pods match; 'weft get pods' shows those that exist") }
        return try await reader.print(logs)
    }
}

/// Finds the pods of `weft logs` and prints their output.
struct LogReader: Sendable {
    /// A reader of many pods keeps a connection to each (kubectl's limit is 5; pods here are local and cheap).
    static let mostPods = 50

    let client: APIClient
    let arguments: Arguments

    private var namespace: String { arguments.value("namespace") ?? "default" }

    /// One log to print; `container` nil leaves the choice to the daemon.
    struct Source: Sendable {
        let pod: String
        var container: String?
        var label: String { container.map { "[\(pod)/\($0)] " } ?? "[\(pod)] " }
    }

    func logs() async throws -> [Source] {
        let pods = try await pods()
        guard arguments.isSet("all-containers") else {
            // One whose pod has several is asked for its default as kubectl does.
            let chosen = arguments.value("container")
            return pods.map { pod in
                var source = Source(pod: Overview.name(of: pod))
                let names = Self.containers(of: pod, "containers")
                if chosen == nil, names.count > 1 { source.container = defaultContainer(of: pod, names) }
                return source
            }
        }
        guard arguments.value("container") == nil else {
            throw UsageError("give either --container or --all-containers, not both")
        }
        return pods.flatMap { pod in
            (Self.containers(of: pod, "initContainers") + Self.containers(of: pod, "containers")).map {
                Source(pod: Overview.name(of: pod), container: $0)
            }
        }
    }

    private static func containers(of pod: Value, _ field: String) -> [String] {
        (pod.at("spec", field)?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    }

    private func defaultContainer(of pod: Value, _ names: [String]) -> String? {
        let annotation = pod.at("metadata", "annotations")?["kubectl.kubernetes.io/default-container"]?.stringValue
        if let annotation, names.contains(annotation) { return annotation }
        Terminal.note("Defaulted container \"\(names[0])\" out of: \(names.joined(separator: ", "))")
        return names[0]
    }

    private func pods() async throws -> [Value] {
        if let selector = arguments.value("selector") {
            guard arguments.operands.isEmpty else { throw UsageError("give either a name or -l LABELS, not both") }
            return try await pods(matching: selector)
        }
        guard let word = arguments.operands.first else { throw UsageError("which pod? Give its name, or -l LABELS") }
        guard let target = try Target.read([word.contains("/") ? word : "pods/\(word)"]).first,
            let name = target.names.first
        else { return [] }
        let owner = try await client.get(APIPath.of(target.type, namespace: namespace, name: name))
        if target.type.plural == "pods" { return [owner] }
        let selector = owner.at("spec", "selector")
        let labels = (selector?["matchLabels"] ?? selector)?.fields
        guard let labels, !labels.isEmpty else {
            throw CommandError("\(word) selects no pods; give a pod, a deployment or a service with a selector")
        }
        return try await pods(
            matching: labels.compactMap { label in label.value.stringValue.map { "\(label.name)=\($0)" } }
                .joined(separator: ",")
        )
    }

    private func pods(matching selector: String) async throws -> [Value] {
        let path = APIPath.of(try Target.type(named: "pods"), namespace: namespace)
        let list = try await client.get(path + APIPath.query([("labelSelector", selector)]))
        let pods = list["items"]?.arrayValue ?? []
        guard pods.count <= Self.mostPods else {
            throw CommandError("\(pods.count) pods match, more than \(Self.mostPods); give narrower labels")
        }
        return pods.sorted { Overview.name(of: $0) < Overview.name(of: $1) }
    }

    func print(_ sources: [Source]) async throws -> ExitCode {
        let hasPrefix = arguments.isSet("prefix") || sources.count > 1
        guard sources.count > 1 else {
            try await print(sources[0], hasPrefix: hasPrefix)
            return .success
        }
        let failures = Failures()
        if arguments.isSet("follow") {
            await withTaskGroup(of: Void.self) { group in
                for source in sources {
                    group.addTask { await attempt(source, failures) }
                }
            }
        } else {
            for source in sources { await attempt(source, failures) }
        }
        return await failures.count == 0 ? .success : .failure
    }

    private actor Failures {
        var count = 0
        func add() { count += 1 }
    }

    /// Of several logs one that cannot be read does not hide the others.
    private func attempt(_ source: Source, _ failures: Failures) async {
        do {
            try await print(source, hasPrefix: true)
        } catch {
            Terminal.complain(source.label + Messages.text(of: error))
            await failures.add()
        }
    }

    private func print(_ source: Source, hasPrefix: Bool) async throws {
        let pods = try Target.type(named: "pods")
        let path = APIPath.of(pods, namespace: namespace, name: source.pod, subresource: "log")
        let lines = try await client.lines(path + (try query(source)))
        guard hasPrefix else {
            while let piece = try await lines.stream.next(), Terminal.write(piece, to: STDOUT_FILENO) {}
            return
        }
        let prefix = Array(source.label.utf8)
        for try await line in lines where !Terminal.write(prefix + line + [0x0A], to: STDOUT_FILENO) { return }
    }

    private func query(_ source: Source) throws -> String {
        var items: [(String, String?)] = [("container", source.container ?? arguments.value("container"))]
        for name in ["follow", "timestamps", "previous"] where arguments.isSet(name) { items.append((name, "true")) }
        if arguments.isSet("follow") { items.append(("followRestarts", "true")) }
        for (option, item) in [("tail", "tailLines"), ("limit-bytes", "limitBytes")] where arguments.isSet(option) {
            items.append((item, "\(try arguments.integer(option, default: 0, in: 0...Int.max))"))
        }
        if let since = arguments.value("since") {
            guard arguments.value("since-time") == nil else {
                throw UsageError("give either --since or --since-time, not both")
            }
            guard let seconds = Self.seconds(since) else {
                throw UsageError("--since takes a time such as 90s, 5m or 1h30m, not '\(since)'")
            }
            items.append(("sinceSeconds", "\(seconds)"))
        }
        if let time = arguments.value("since-time") {
            guard Timestamp(time) != nil else {
                throw UsageError("--since-time takes a time such as 2026-01-31T12:00:00Z, not '\(time)'")
            }
            items.append(("sinceTime", time))
        }
        return APIPath.query(items)
    }

    /// The seconds in `90s`, `5m`, `1h30m`, `2d`; at least 1, nil for anything else.
    static func seconds(_ text: String) -> Int? {
        var total = 0
        var number = ""
        for character in text {
            if character.isASCII, character.isNumber {
                number.append(character)
                continue
            }
            let unit: Int? = ["s": 1, "m": 60, "h": 3600, "d": 86_400][character]
            guard let unit, let value = Int(number), value < 1_000_000 else { return nil }
            total += value * unit
            number = ""
        }
        return number.isEmpty && total > 0 ? total : nil
    }
}
