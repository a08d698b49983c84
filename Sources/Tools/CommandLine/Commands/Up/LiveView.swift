import Resources
import Wire

/// The live table of `weft up`: one line per service, the addresses to open, and what is not well.
///
/// In a terminal it is drawn again every second; otherwise plain lines are printed when something changes.
struct LiveView: Sendable {
    let client: APIClient
    /// True when this command started the daemon, and so has to stop it.
    let isOurs: Bool

    private enum Event: Sendable {
        case tick
        case interrupt
    }

    func run() async throws -> ExitCode {
        let interrupts = Interrupts.stream()
        if Terminal.isOutputTerminal { LiveScreen.open() }
        defer { if Terminal.isOutputTerminal { LiveScreen.close() } }
        let stopping = AsyncStream<Void>.makeStream()
        async let watcher: Void = watch(interrupts, stopping.continuation)
        do {
            try await show(until: stopping.stream)
        } catch {
            guard await client.isAnswering() else {
                throw CommandError("the daemon has gone: \(Messages.text(of: error)); its log is \(client.state.log)")
            }
            throw error
        }
        await watcher
        return .success
    }

    /// Draws until the first interrupt.
    private func show(until stop: AsyncStream<Void>) async throws {
        let drawing = Task {
            var screen = LiveScreen()
            var last: [String] = []
            while !Task.isCancelled {
                let frame = try await frame()
                if Terminal.isOutputTerminal {
                    screen.draw(frame.all)
                } else if frame.plain != last {
                    last = frame.plain
                    for line in frame.plain { Terminal.print(line) }
                }
                try await Task.sleep(for: frame.isReady ? .seconds(1) : .milliseconds(250))
            }
        }
        let ender = Task {
            for await _ in stop { break }
            drawing.cancel()
        }
        defer { ender.cancel() }
        do {
            try await drawing.value
        } catch is CancellationError {
            // The first interrupt ends the drawing; the stop goes on below the table.
        } catch {
            guard !drawing.isCancelled else { return }
            throw error
        }
    }

    /// The first interrupt stops everything, a second one hurries.
    private func watch(_ interrupts: AsyncStream<Int32>, _ stopping: AsyncStream<Void>.Continuation) async {
        var stop: Task<Void, any Error>?
        for await _ in interrupts {
            stopping.yield()
            guard isOurs else {
                Terminal.note("Weft goes on running: it was started before; 'weft down' stops it")
                break
            }
            if stop == nil {
                Terminal.note("stopping: open requests may end (Ctrl-C again hurries)")
                stop = Task {
                    try await Shutdown.run(client, removesState: true, hurries: false)
                    VolumeFiles(state: client.state).noteKept()
                    stopping.finish()
                }
                Task { [stop] in
                    _ = await stop?.result
                    Interrupts.finish()
                }
            } else {
                Terminal.note("hurrying")
                Task { try await Shutdown.run(client, removesState: true, hurries: true) }
            }
        }
        if let result = await stop?.result, case .failure(let error) = result {
            Terminal.complain("the stop failed: \(Messages.text(of: error)); 'weft down' tries again")
        }
    }

    private func frame() async throws -> (all: [String], plain: [String], isReady: Bool) {
        let overview = try await Overview.fetch(client)
        let report = try? await StatReport.fetch(client, seconds: 10, edges: false)
        let figures = Dictionary(
            (report?.rows ?? []).map { ("\($0.namespace)/\($0.service)", $0) },
            uniquingKeysWith: { first, _ in first }
        )
        let titles = ["SERVICE", "PODS", "RPS", "SUCCESS", "P50", "P95", "P99", "RESTARTS"]
        var table = TextTable(titles, rightAligned: Set(2..<titles.count))
        let hasNamespaces = Set(overview.lines.map(\.namespace)).count > 1
        table.rows = overview.lines.map { line in
            let row = figures["\(line.namespace)/\(line.name)"]
            return [
                hasNamespaces ? "\(line.namespace)/\(line.name)" : line.name, "\(line.ready)/\(line.desired)",
                row.map { Figures.rate($0.requestRate) } ?? "-", Figures.percent(row?.successRate),
                Figures.milliseconds(row?.p50), Figures.milliseconds(row?.p95), Figures.milliseconds(row?.p99),
                "\(line.restarts)",
            ]
        }
        let addresses = overview.addresses.map { "  \($0.name.padded(to: 14)) \(Style.cyan($0.url))" }
        let troubles = overview.troubles.prefix(8).map { "  " + Style.yellow(Self.firstLine($0)) }
        var all = table.lines().enumerated().map {
            $0 == 0 ? Style.bold($1) : Self.coloured($1, overview.lines, $0 - 1)
        }
        if !addresses.isEmpty { all += [""] + addresses }
        if !troubles.isEmpty { all += [""] + troubles }
        all += ["", Style.dim(isOurs ? "Ctrl-C stops everything" : "Ctrl-C leaves; 'weft down' stops everything")]
        let plain =
            overview.lines.map { "\($0.name): \($0.ready)/\($0.desired) pods ready, \($0.restarts) restarts" }
            + overview.addresses.map { "\($0.name): \($0.url)" } + overview.troubles.map(Self.firstLine)
        return (all, plain, overview.isReady)
    }

    private static func coloured(_ text: String, _ lines: [Overview.Line], _ index: Int) -> String {
        guard lines.indices.contains(index), lines[index].ready < lines[index].desired else { return text }
        return Style.yellow(text)
    }

    private static func firstLine(_ text: String) -> String {
        Terminal.harmless(text.split(separator: "\n").first.map(String.init) ?? "")
    }
}
