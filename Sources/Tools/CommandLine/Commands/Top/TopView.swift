import CWeft
import Glibc
import Resources
import Wire

/// One line of `weft top`: a service, or a deployment without one.
struct TopRow: Sendable {
    let namespace: String
    let name: String
    let ready: Int
    let desired: Int
    let restarts: Int
    var use = Use()
    var figures: StatReport.Row?

    var value: Value {
        var value: Value = [
            "namespace": .string(namespace), "service": .string(name), "podsReady": .int(Int64(ready)),
            "podsDesired": .int(Int64(desired)), "restarts": .int(Int64(restarts)),
            "cpu": .string("\(use.nanocores)n"), "memoryBytes": .int(Int64(use.bytes)),
        ]
        for name in ["requestRate", "successRate", "latencyP50Ms", "latencyP95Ms", "latencyP99Ms", "tcpConnections"] {
            value[name] = figures?.value[name] ?? .null
        }
        return value
    }
}

/// What the lines are sorted by; the letter is the key that chooses it.
enum TopOrder: Character, CaseIterable, Sendable {
    case name = "n"
    case requests = "r"
    case success = "s"
    case latency = "l"
    case cpu = "c"
    case memory = "m"
    case restarts = "t"

    init?(word: String) {
        guard let found = Self.allCases.first(where: { "\($0)" == word }) else { return nil }
        self = found
    }

    /// Most first, but for names and success, of which the least is what one looks for.
    func sort(_ rows: [TopRow], isReversed: Bool) -> [TopRow] {
        let named = rows.sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
        let sorted: [TopRow]
        if self == .name {
            sorted = named
        } else {
            // Equal ones stay in the order of their names, so that lines do not jump about.
            sorted = named.enumerated().sorted { left, right in
                let (a, b) = (weight(left.element), weight(right.element))
                return a == b ? left.offset < right.offset : a > b
            }.map(\.element)
        }
        return isReversed ? sorted.reversed() : sorted
    }

    private func weight(_ row: TopRow) -> Double {
        switch self {
        case .name: 0
        case .requests: row.figures?.requestRate ?? 0
        case .success: -(row.figures?.successRate ?? 2)
        case .latency: row.figures?.p99 ?? -1
        case .cpu: Double(row.use.nanocores)
        case .memory: Double(row.use.bytes)
        case .restarts: Double(row.restarts)
        }
    }
}

/// The live table of `weft top`.
struct TopView: Sendable {
    let client: APIClient
    let arguments: Arguments

    /// Everything at one moment.
    struct Frame: Sendable {
        var rows: [TopRow]
        var node: Use
        var machine: Use
        var troubles: [String]
        var pods: Int
    }

    func run(_ format: OutputFormat) async throws -> ExitCode {
        var order = TopOrder.name
        if let word = arguments.value("sort-by") {
            guard let chosen = TopOrder(word: word) else {
                let words = TopOrder.allCases.map { "\($0)" }.joined(separator: ", ")
                throw UsageError("--sort-by takes \(words), not '\(word)'")
            }
            order = chosen
        }
        let isLive =
            Terminal.isOutputTerminal && isatty(STDIN_FILENO) == 1 && !arguments.isSet("once") && format == .table
        guard !isLive else { return try await live(order) }
        let frame = try await frame()
        let rows = order.sort(frame.rows, isReversed: false)
        let value: Value = [
            "apiVersion": "weft.dev/v1alpha1", "kind": "Top",
            "node": ["cpu": .string("\(frame.node.nanocores)n"), "memoryBytes": .int(Int64(frame.node.bytes))],
            "services": .array(rows.map(\.value)),
        ]
        switch format {
        case .json: Terminal.print(JSON.write(value, pretty: true))
        case .yaml: Terminal.print(YAML.write(value), terminator: "")
        default: Terminal.print(table(rows).text(hasHeader: !arguments.isSet("no-headers")))
        }
        return .success
    }

    // MARK: Live

    private func live(_ first: TopOrder) async throws -> ExitCode {
        var order = first
        var isReversed = false
        // The other screen, without a cursor; both come back however this ends.
        Terminal.write("\u{1b}[?1049h\u{1b}[?25l", to: STDOUT_FILENO)
        cweft_terminal_raw(STDIN_FILENO, 1, Self.farewell)
        defer { cweft_terminal_restore() }
        while true {
            let start = ContinuousClock.now
            let frame: Frame
            do {
                frame = try await self.frame()
            } catch {
                guard await client.isAnswering() else {
                    throw CommandError("the daemon has gone; its log is \(client.state.log)")
                }
                throw error
            }
            draw(frame, order, isReversed)
            while true {
                let left = Duration.seconds(1) - (ContinuousClock.now - start)
                guard left > .zero, let key = Self.key(within: left) else { break }
                if key == "q" || key == "\u{3}" || key == "\u{4}" || key == "\u{1b}" { return .success }
                guard let chosen = TopOrder(rawValue: key) else { continue }
                isReversed = chosen == order ? !isReversed : false
                order = chosen
                draw(frame, order, isReversed)
            }
        }
    }

    /// Safety: made once, never freed, and only read.
    nonisolated(unsafe) private static let farewell = strdup("\u{1b}[?25h\u{1b}[?1049l")

    /// The key that is pressed within a time.
    private static func key(within time: Duration) -> Character? {
        var there = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        let milliseconds = time.components.seconds * 1000 + time.components.attoseconds / 1_000_000_000_000_000
        guard poll(&there, 1, Int32(clamping: milliseconds + 1)) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        // A terminal that is gone ends it as q does.
        guard count > 0 else { return "q" }
        // Arrows and their like begin with an escape and mean nothing here.
        return count > 1 && bytes[0] == 0x1b ? " " : Character(Unicode.Scalar(bytes[0]))
    }

    private func draw(_ frame: Frame, _ order: TopOrder, _ isReversed: Bool) {
        let size = Terminal.size
        let rows = order.sort(frame.rows, isReversed: isReversed)
        var lines = [
            Style.bold("weft top") + "  \(frame.rows.count) services, \(frame.pods) pods   machine: CPU "
                + "\(frame.node.cores) (\(frame.node.coreShare(of: frame.machine))), memory \(frame.node.memory) "
                + "(\(frame.node.memoryShare(of: frame.machine)))",
            "",
        ]
        lines += table(rows).lines().enumerated().map { index, line in
            guard index > 0 else { return Style.bold(line) }
            let row = rows[index - 1]
            if let success = row.figures?.successRate, success < 0.99 { return Style.red(line) }
            return row.ready < row.desired ? Style.yellow(line) : line
        }
        if !frame.troubles.isEmpty {
            lines += [""] + frame.troubles.prefix(5).map { Style.yellow(Terminal.harmless($0)) }
        }
        let foot = Style.dim(
            "q quit   sort: n name  r requests  s success  l latency  c CPU  m memory  t restarts   (\(order)"
                + (isReversed ? ", reversed)" : ")")
        )
        lines = Array(lines.prefix(max(size.rows - 2, 1)))
        let text = (lines + ["", foot]).map { LiveScreen.cut($0, to: size.columns) + "\u{1b}[K" }
        Terminal.write("\u{1b}[H" + text.joined(separator: "\r\n") + "\u{1b}[J", to: STDOUT_FILENO)
    }

    private func table(_ rows: [TopRow]) -> TextTable {
        let hasNamespaces = Set(rows.map(\.namespace)).count > 1
        let titles = ["SERVICE", "PODS", "RPS", "SUCCESS", "P50", "P95", "P99", "CPU", "MEMORY", "RESTARTS"]
        var table = TextTable(titles, rightAligned: Set(2..<titles.count))
        table.rows = rows.map { row in
            [
                hasNamespaces ? "\(row.namespace)/\(row.name)" : row.name, "\(row.ready)/\(row.desired)",
                row.figures.map { Figures.rate($0.requestRate) } ?? "-", Figures.percent(row.figures?.successRate),
                Figures.milliseconds(row.figures?.p50), Figures.milliseconds(row.figures?.p95),
                Figures.milliseconds(row.figures?.p99), row.use.cores, row.use.memory, "\(row.restarts)",
            ]
        }
        return table
    }

    // MARK: Fetching

    private func frame() async throws -> Frame {
        let (pods, nodes) = (try Target.type(named: "pods"), try Target.type(named: "nodes"))
        async let overview = Overview.fetch(client)
        async let figures = StatReport.fetch(client, seconds: 10, edges: false)
        async let use = client.get(APIPath.metrics(pods, namespace: nil))
        async let node = client.get(APIPath.metrics(nodes, namespace: nil))
        async let machines = client.get(APIPath.of(nodes, namespace: nil))
        let namespace = arguments.value("namespace")
        var uses: [String: Use] = [:]
        for item in try await use["items"]?.arrayValue ?? [] {
            let key = "\(item.at("metadata", "namespace")?.stringValue ?? "")/\(Overview.name(of: item))"
            uses[key] = (item["containers"]?.arrayValue ?? []).reduce(Use()) { $0 + Use($1["usage"]) }
        }
        let stats = Dictionary(
            try await figures.rows.map { ("\($0.namespace)/\($0.service)", $0) },
            uniquingKeysWith: { first, _ in first }
        )
        let shown = try await overview
        let rows = shown.lines.filter { namespace == nil || $0.namespace == namespace }.map { line in
            var row = TopRow(
                namespace: line.namespace,
                name: line.name,
                ready: line.ready,
                desired: line.desired,
                restarts: line.restarts
            )
            row.use = line.pods.reduce(Use()) { $0 + (uses["\(line.namespace)/\($1)"] ?? Use()) }
            row.figures = stats["\(line.namespace)/\(line.name)"]
            return row
        }
        return Frame(
            rows: rows,
            node: Use(try await node["items"]?[0]?["usage"]),
            machine: Use(try await machines["items"]?[0]?.at("status", "allocatable")),
            troubles: shown.troubles,
            pods: uses.count
        )
    }
}
