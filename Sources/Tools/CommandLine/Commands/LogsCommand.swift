import Resources
import Wire

/// `weft logs`: prints what pods write.
enum LogsCommand {
    static let command = Command(
        "logs",
        operands: "POD | KIND/NAME",
        summary: "print the output of a pod, or of all pods of a deployment or service",
        options: [
            Option("follow", short: "f", help: "go on printing until interrupted"),
            Option("container", short: "c", value: "NAME", help: "the container (default: the first one)"),
            Option("tail", value: "N", help: "only the last N lines"),
            Option("since", value: "DURATION", help: "only lines younger than this (90s, 5m, 1h)"),
            Option("timestamps", help: "begin each line with its time"),
            Option("previous", short: "p", help: "the container's run before its last restart"),
            Option("prefix", help: "begin each line with the pod's name (default for several pods)"),
            .namespace, .selector, .stateDirectory,
        ],
        examples: ["weft logs -f deployment/web", "weft logs web-6d4f-x2k9p --tail 20", "weft logs -l app=web"],
        operandCount: 0...1
    ) { arguments in
        let client = try await APIClient.connected(arguments)
        let reader = LogReader(client: client, arguments: arguments)
        let pods = try await reader.pods()
        guard !pods.isEmpty else { throw CommandError("no pods match; 'weft get pods' shows those that exist") }
        return try await reader.print(pods)
    }
}

/// Finds the pods of `weft logs` and prints their output.
struct LogReader: Sendable {
    /// A reader of many pods keeps a connection to each (kubectl's limit is 5; pods here are local and cheap).
    static let mostPods = 50

    let client: APIClient
    let arguments: Arguments

    private var namespace: String { arguments.value("namespace") ?? "default" }

    func pods() async throws -> [String] {
        if let selector = arguments.value("selector") {
            guard arguments.operands.isEmpty else { throw UsageError("give either a name or -l LABELS, not both") }
            return try await names(matching: selector)
        }
        guard let word = arguments.operands.first else { throw UsageError("which pod? Give its name, or -l LABELS") }
        guard word.contains("/") else { return [word] }
        guard let target = try Target.read([word]).first, let name = target.names.first else { return [] }
        if target.type.plural == "pods" { return [name] }
        let owner = try await client.get(APIPath.of(target.type, namespace: namespace, name: name))
        let selector = owner.at("spec", "selector")
        let labels = (selector?["matchLabels"] ?? selector)?.fields
        guard let labels, !labels.isEmpty else {
            throw CommandError("\(word) selects no pods; give a pod, a deployment or a service with a selector")
        }
        return try await names(
            matching: labels.compactMap { label in label.value.stringValue.map { "\(label.name)=\($0)" } }
                .joined(separator: ",")
        )
    }

    private func names(matching selector: String) async throws -> [String] {
        let path = APIPath.of(try Target.type(named: "pods"), namespace: namespace)
        let list = try await client.get(path + APIPath.query([("labelSelector", selector)]))
        let names = (list["items"]?.arrayValue ?? []).compactMap { $0.at("metadata", "name")?.stringValue }
        guard names.count <= Self.mostPods else {
            throw CommandError("\(names.count) pods match, more than \(Self.mostPods); give narrower labels")
        }
        return names.sorted()
    }

    func print(_ pods: [String]) async throws -> ExitCode {
        let hasPrefix = arguments.isSet("prefix") || pods.count > 1
        let query = try query()
        guard pods.count > 1, arguments.isSet("follow") else {
            for pod in pods { try await print(pod, query, hasPrefix: hasPrefix) }
            return .success
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pod in pods {
                group.addTask { try await print(pod, query, hasPrefix: true) }
            }
            try await group.waitForAll()
        }
        return .success
    }

    private func print(_ pod: String, _ query: String, hasPrefix: Bool) async throws {
        let path = APIPath.of(try Target.type(named: "pods"), namespace: namespace, name: pod, subresource: "log")
        let prefix = hasPrefix ? "[\(pod)] " : ""
        for try await line in try await client.lines(path + query) {
            Terminal.print(prefix + String(decoding: line, as: UTF8.self))
        }
    }

    private func query() throws -> String {
        var items: [(String, String?)] = [("container", arguments.value("container"))]
        for name in ["follow", "timestamps", "previous"] where arguments.isSet(name) { items.append((name, "true")) }
        if arguments.isSet("tail") {
            items.append(("tailLines", "\(try arguments.integer("tail", default: 0, in: 0...Int.max))"))
        }
        if let since = arguments.value("since") {
            guard let seconds = Self.seconds(since) else {
                throw UsageError("--since takes a time such as 90s, 5m or 1h30m, not '\(since)'")
            }
            items.append(("sinceSeconds", "\(seconds)"))
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
