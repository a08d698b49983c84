import Resources
import Wire

/// `weft get`: prints objects as kubectl does.
enum GetCommand {
    static let command = Command(
        "get",
        operands: "KIND[,KIND...] [NAME...] | KIND/NAME...",
        summary: "print objects: pods, services, deployments, endpoints, events and all other kinds",
        options: [
            .namespace, .allNamespaces, .selector, .output,
            Option("watch", short: "w", help: "go on printing changes until interrupted"),
            Option("no-headers", help: "leave the header line out"),
            .stateDirectory,
        ],
        examples: [
            "weft get pods", "weft get pods,services -l part-of=shop", "weft get deployment web -o yaml",
            "weft get pods -w",
        ],
        operandCount: 1...Int.max
    ) { arguments in
        let client = try await APIClient.connected(arguments)
        let format = try OutputFormat(arguments.value("output"), allowed: OutputFormat.allCases)
        let targets = try await Target.read(arguments.operands, asking: client)
        if arguments.isSet("watch") {
            guard targets.count == 1, let target = targets.first else {
                throw UsageError("--watch takes one kind, or one object")
            }
            return try await Getter(client: client, arguments: arguments, format: format).watch(target)
        }
        return try await Getter(client: client, arguments: arguments, format: format).printAll(targets)
    }
}

/// What one of the user's words means: all objects of a kind, or some by name.
struct Target: Sendable {
    let type: ResourceType
    var names: [String]

    /// Reads words as below; the daemon, if it answers, is asked for kinds that this program does not know.
    static func read(_ words: [String], asking client: APIClient) async throws -> [Target] {
        do {
            let targets = try read(words)
            // A category may have custom kinds, too.
            guard words.first?.split(separator: ",").contains("all") == true else { return targets }
        } catch {
            guard await client.isAnswering() else { throw error }
        }
        return try read(words, of: try await Kinds.served(by: client))
    }

    /// Reads `pods`, `pods,services`, `pods web-1 web-2`, and `pod/web-1 service/web`.
    ///
    /// - Throws: `UsageError` for an unknown kind or mixed forms.
    static func read(_ words: [String], of known: Kinds = Kinds()) throws(UsageError) -> [Target] {
        if words.contains(where: { $0.contains("/") }) {
            var targets: [Target] = []
            for word in words {
                let parts = word.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
                guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                    throw UsageError("'\(word)' is not of the form KIND/NAME; all words must be when one is")
                }
                targets.append(Target(type: try type(named: parts[0], of: known), names: [parts[1]]))
            }
            return targets
        }
        guard let kinds = words.first else { throw UsageError("a kind is needed, such as pods") }
        let names = Array(words.dropFirst())
        var types: [ResourceType] = []
        for kind in kinds.split(separator: ",") {
            let category = known.find(named: String(kind)) == nil ? known.category(String(kind)) : []
            if category.isEmpty { types.append(try type(named: String(kind), of: known)) }
            types += category
        }
        return types.map { Target(type: $0, names: names) }
    }

    static func type(named word: String, of known: Kinds = Kinds()) throws(UsageError) -> ResourceType {
        if let found = known.find(named: word) { return found }
        let guess = Spelling.nearest(to: word, among: known.words).map { " (did you mean \($0)?)" } ?? ""
        throw UsageError("'\(word)' is no kind that Weft knows\(guess)")
    }
}

/// How data is printed.
enum OutputFormat: String, CaseIterable, Sendable {
    case table
    case wide
    case json
    case yaml
    case name

    /// - Throws: `UsageError` for a format that the command does not have.
    init(_ text: String?, allowed: [OutputFormat]) throws(UsageError) {
        guard let text else {
            self = .table
            return
        }
        guard let format = OutputFormat(rawValue: text), allowed.contains(format), format != .table else {
            let names = allowed.filter { $0 != .table }.map(\.rawValue).joined(separator: ", ")
            throw UsageError("--output takes \(names), not '\(text)'")
        }
        self = format
    }
}

/// Fetches and prints the objects of `weft get`.
struct Getter: Sendable {
    let client: APIClient
    let arguments: Arguments
    let format: OutputFormat

    private var namespace: String? {
        arguments.isSet("all-namespaces") ? nil : arguments.value("namespace") ?? "default"
    }

    private var selector: String? { arguments.value("selector") }

    func printAll(_ targets: [Target]) async throws -> ExitCode {
        var code = ExitCode.success
        var objects: [Value] = []
        var isFirst = true
        for target in targets {
            do {
                switch format {
                case .table, .wide:
                    isFirst =
                        try await printTable(target, isFirst: isFirst, isOneOfSeveral: targets.count > 1) && isFirst
                case .json, .yaml, .name:
                    objects += try await fetch(target)
                }
            } catch let error as APIError where error.code == 404 && !target.names.isEmpty {
                Terminal.complain(error.message)
                code = .failure
            }
        }
        try printObjects(objects, isSingle: targets.count == 1 && targets.first?.names.count == 1)
        return code
    }

    private func printObjects(_ objects: [Value], isSingle: Bool) throws {
        let list: Value = ["apiVersion": "v1", "kind": "List", "items": .array(objects)]
        let whole = isSingle ? objects.first ?? .null : list
        guard !(isSingle && objects.isEmpty) else { return }
        switch format {
        case .json: Terminal.print(JSON.write(whole, pretty: true))
        case .yaml: Terminal.print(YAML.write(whole), terminator: "")
        case .name: for object in objects { Terminal.print(Self.name(of: object)) }
        case .table, .wide: break
        }
    }

    static func name(of object: Value) -> String {
        let apiVersion = object["apiVersion"]?.stringValue ?? ""
        var kind = object["kind"]?.stringValue ?? "object"
        if ResourceTypes.find(apiVersion: apiVersion, kind: kind) == nil,
            let group = apiVersion.split(separator: "/").dropLast().first
        {
            kind += ".\(group)"
        }
        kind = kind.lowercased()
        return "\(kind)/\(object.at("metadata", "name")?.stringValue ?? "")"
    }

    private func fetch(_ target: Target) async throws -> [Value] {
        guard target.names.isEmpty else {
            var found: [Value] = []
            for name in target.names { found.append(try await client.get(path(target.type, name: name))) }
            return found
        }
        let list = try await client.get(path(target.type) + query())
        let apiVersion = target.type.apiVersion
        return (list["items"]?.arrayValue ?? []).map { item in
            var item = item
            if item["kind"] == nil { item["kind"] = .string(target.type.kind) }
            if item["apiVersion"] == nil { item["apiVersion"] = .string(apiVersion) }
            return item
        }
    }

    /// Prints one kind's table; false when there was nothing to print.
    private func printTable(_ target: Target, isFirst: Bool, isOneOfSeveral: Bool) async throws -> Bool {
        var table: Value = .null
        if target.names.isEmpty {
            table = try await fetchTable(path(target.type) + query())
        } else {
            for name in target.names {
                let one = try await fetchTable(path(target.type, name: name))
                let rows = (table["rows"]?.arrayValue ?? []) + (one["rows"]?.arrayValue ?? [])
                table = one
                table["rows"] = .array(rows)
            }
        }
        let shown = ServerTable(
            table,
            isWide: format == .wide,
            hasNamespace: namespace == nil && target.type.isNamespaced
        )
        guard !shown.rows.isEmpty else {
            if !isOneOfSeveral { Terminal.note(nothingFound(target.type)) }
            return true
        }
        if !isFirst { Terminal.print("") }
        let prefix = isOneOfSeveral ? target.type.word + "/" : ""
        Terminal.print(shown.text(hasHeader: !arguments.isSet("no-headers"), namePrefix: prefix))
        return false
    }

    private func nothingFound(_ type: ResourceType) -> String {
        guard type.isNamespaced, let namespace else { return "No resources found." }
        return "No resources found in \(namespace) namespace."
    }

    private func fetchTable(_ path: String) async throws -> Value {
        try await client.call("GET", path, accept: ServerTable.mediaType)
    }

    private func path(_ type: ResourceType, name: String? = nil) -> String {
        APIPath.of(type, namespace: name == nil ? namespace : namespace ?? "default", name: name)
    }

    private func query(_ more: [(String, String?)] = []) -> String {
        APIPath.query([("labelSelector", selector)] + more)
    }

    /// Prints a table and then a row for every change, until interrupted.
    func watch(_ target: Target) async throws -> ExitCode {
        let field = target.names.first.map { "metadata.name=\($0)" }
        let list = try await client.call(
            "GET",
            path(target.type) + query([("fieldSelector", field)]),
            accept: ServerTable.mediaType
        )
        let hasNamespace = namespace == nil && target.type.isNamespaced
        var printer = ServerTable(list, isWide: format == .wide, hasNamespace: hasNamespace)
        Terminal.print(printer.text(hasHeader: !arguments.isSet("no-headers")))
        let revision = list.at("metadata", "resourceVersion")?.stringValue ?? "0"
        let path =
            path(target.type)
            + query([
                ("fieldSelector", field), ("watch", "true"), ("resourceVersion", revision),
            ])
        let stream = try await client.transport.open("GET", path, headers: [("Accept", ServerTable.mediaType)])
        for try await line in stream {
            let event = try JSON.parse(line)
            guard let table = event["object"], event["type"]?.stringValue != "BOOKMARK" else { continue }
            if event["type"]?.stringValue == "ERROR" {
                throw CommandError("the watch ended: \(table["message"]?.stringValue ?? "no reason given")")
            }
            printer.replaceRows(table)
            Terminal.print(printer.text(hasHeader: false))
        }
        return .success
    }
}
