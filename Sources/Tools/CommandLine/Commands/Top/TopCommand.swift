import CWeft
import Glibc
import Resources
import Wire

/// `weft top`: what services do and use, live; and what pods and the machine use.
enum TopCommand {
    static let command = Command(
        "top",
        operands: "[pods [NAME...] | nodes]",
        summary: "show what every service does and uses, live; 'top pods' as a table",
        details: """
            Requests, success and latencies are those of the last 10 seconds, taken at the proxy; CPU is measured over
            about a second, memory now, without what only caches files. In a terminal the table is drawn again each
            second: q ends it, n r s l c m t sort by name, requests, success, latency, CPU, memory, restarts (again:
            the other way round).
            """,
        options: [
            Option("once", help: "print one table and end (as without a terminal)"),
            Option("containers", help: "with pods: a line for each container"),
            Option("sort-by", value: "KEY", help: "name, requests, success, latency, cpu, memory or restarts"),
            Option("no-headers", help: "leave the header line out"),
            .namespace, .allNamespaces, .selector, .jsonOutput, .stateDirectory,
        ],
        examples: ["weft top", "weft top --once --sort-by cpu", "weft top pods --containers", "weft top -o json"],
        operandCount: 0...Int.max
    ) { arguments in
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml])
        let client = try await APIClient.connected(arguments)
        guard let word = arguments.operands.first else {
            return try await TopView(client: client, arguments: arguments).run(format)
        }
        let type = try Target.type(named: word)
        guard ["pods", "nodes"].contains(type.plural) else {
            throw UsageError("'weft top' shows pods or nodes, not \(type.plural); without a word it shows services")
        }
        return try await UsageTable(client: client, arguments: arguments).print(type, format)
    }
}

/// `weft top pods` and `weft top nodes`.
struct UsageTable: Sendable {
    let client: APIClient
    let arguments: Arguments

    func print(_ type: ResourceType, _ format: OutputFormat) async throws -> ExitCode {
        let namespace = arguments.isSet("all-namespaces") ? nil : arguments.value("namespace") ?? "default"
        let names = Array(arguments.operands.dropFirst())
        let path = APIPath.metrics(type, namespace: namespace)
        let query = APIPath.query([("labelSelector", arguments.value("selector"))])
        var list = try await client.get(path + query)
        var items = list["items"]?.arrayValue ?? []
        if !names.isEmpty { items = items.filter { names.contains(Overview.name(of: $0)) } }
        let missing = names.filter { name in !items.contains { Overview.name(of: $0) == name } }
        list["items"] = .array(items)
        switch format {
        case .json: Terminal.print(JSON.write(list, pretty: true))
        case .yaml: Terminal.print(YAML.write(list), terminator: "")
        default:
            let table = type.plural == "nodes" ? try await nodes(items) : pods(items, hasNamespace: namespace == nil)
            if items.isEmpty, missing.isEmpty { Terminal.note("No running pods found.") }
            if !items.isEmpty { Terminal.print(table.text(hasHeader: !arguments.isSet("no-headers"))) }
        }
        for name in missing { Terminal.complain("\(type.singular) \"\(name)\" does not run, or does not exist") }
        return missing.isEmpty ? .success : .failure
    }

    private func pods(_ items: [Value], hasNamespace: Bool) -> TextTable {
        let hasContainers = arguments.isSet("containers")
        let titles = (hasNamespace ? ["NAMESPACE"] : []) + (hasContainers ? ["POD", "NAME"] : ["NAME"])
        var table = TextTable(titles + ["CPU(cores)", "MEMORY(bytes)"])
        var rows: [(cells: [String], use: Use)] = []
        for item in items {
            let lead = hasNamespace ? [item.at("metadata", "namespace")?.stringValue ?? ""] : []
            let containers = item["containers"]?.arrayValue ?? []
            if hasContainers {
                rows += containers.map { container in
                    (lead + [Overview.name(of: item), container["name"]?.stringValue ?? ""], Use(container["usage"]))
                }
            } else {
                rows.append((lead + [Overview.name(of: item)], containers.reduce(Use()) { $0 + Use($1["usage"]) }))
            }
        }
        switch arguments.value("sort-by") {
        case "cpu": rows.sort { $0.use.nanocores > $1.use.nanocores }
        case "memory": rows.sort { $0.use.bytes > $1.use.bytes }
        default: break
        }
        table.rows = rows.map { $0.cells + [$0.use.cores, $0.use.memory] }
        return table
    }

    private func nodes(_ items: [Value]) async throws -> TextTable {
        var table = TextTable(["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"])
        for item in items {
            let name = Overview.name(of: item)
            let node = try await client.find(APIPath.of(try Target.type(named: "nodes"), namespace: nil, name: name))
            let use = Use(item["usage"])
            let has = Use(node?.at("status", "allocatable"))
            table.rows.append([name, use.cores, use.coreShare(of: has), use.memory, use.memoryShare(of: has)])
        }
        return table
    }
}

/// Processors and memory.
struct Use: Sendable, Equatable {
    var nanocores = 0
    var bytes = 0

    init() {}

    /// From `{cpu: 12n, memory: 34Ki}`.
    init(_ value: Value?) {
        nanocores = value?["cpu"]?.stringValue.flatMap(Self.nanocores) ?? 0
        bytes = Quantity(value?["memory"])?.rounded ?? 0
    }

    /// `Quantity` counts in billionths, but gives whole numbers and thousandths only.
    private static func nanocores(_ text: String) -> Int? {
        if text.hasSuffix("n") { return Int(text.dropLast()) }
        return Quantity(text).map { $0.milli * 1_000_000 }
    }

    static func + (left: Use, right: Use) -> Use {
        var sum = left
        sum.nanocores += right.nanocores
        sum.bytes += right.bytes
        return sum
    }

    /// `12m`: thousandths of a processor, rounded up so that something is never nothing.
    var cores: String { "\((nanocores + 999_999) / 1_000_000)m" }
    var memory: String { "\(bytes >> 20)Mi" }

    func coreShare(of whole: Use) -> String { Self.share(nanocores, whole.nanocores) }
    func memoryShare(of whole: Use) -> String { Self.share(bytes, whole.bytes) }

    private static func share(_ part: Int, _ whole: Int) -> String {
        whole > 0 ? "\(Int((Double(part) / Double(whole) * 100).rounded()))%" : "<unknown>"
    }
}

extension APIPath {
    /// The figures of pods or nodes.
    static func metrics(_ type: ResourceType, namespace: String?) -> String {
        let place = type.isNamespaced ? namespace.map { "/namespaces/\(escape($0))" } ?? "" : ""
        return "/apis/metrics.k8s.io/v1beta1\(place)/\(type.plural)"
    }
}
