import Glibc
import Mesh
import Reactor
import Sandbox

/// What the machine's proxy tells of requests, and to whom: chosen with `--trace-endpoint`, `--trace-sampling` and `--tap-redact`, and
/// remembered with the state.
struct TelemetryChoice: Sendable, Equatable {
    let state: StateDirectory
    /// What was asked for; nil where nothing was.
    private let endpoint: String?
    private let sampling: String?
    private let redacted: String?

    static let options = [
        Option(
            "trace-endpoint",
            value: "URL",
            help:
                "send spans of requests there as OTLP: grpc://HOST:4317 or http://HOST:4318[/v1/traces]; none (default): to nobody"
        ),
        Option("trace-sampling", value: "PERCENT", help: "of how many requests; failed ones always (default: 100)"),
        Option(
            "tap-redact",
            value: "NAMES",
            help:
                "fields whose values 'weft tap' does not show, with commas, in place of the usual ones; from the proxy's next start"
        ),
    ]

    /// - Throws: `UsageError` for a collector that cannot be called so.
    init(_ arguments: Arguments, _ state: StateDirectory) throws(UsageError) {
        self.state = state
        endpoint = arguments.value("trace-endpoint")
        sampling = arguments.value("trace-sampling")
        redacted = arguments.value("tap-redact")
        if let endpoint, endpoint != "none", Self.collector(endpoint, "100") == nil {
            throw UsageError(
                "--trace-endpoint takes grpc://HOST:PORT, http://HOST:PORT with or without a path, or none, not '\(endpoint)'"
            )
        }
        if let sampling, Self.percent(sampling) == nil {
            throw UsageError("--trace-sampling takes a number from 0 to 100, not '\(sampling)'")
        }
        if let redacted, !Self.areNames(redacted) {
            throw UsageError("--tap-redact takes names of fields with commas between them, not '\(redacted)'")
        }
    }

    /// Whom spans go to: what was asked for, else what this state had before.
    var collector: TraceCollector? { Self.collector(effective(0, endpoint), effective(1, sampling)) }

    /// The proxy's words.
    var proxyWords: [String] {
        let names = effective(2, redacted)
        return names.isEmpty ? [] : ["--tap-redact", names]
    }

    /// The words with which the daemon is started.
    var words: [String] {
        [("--trace-endpoint", endpoint), ("--trace-sampling", sampling), ("--tap-redact", redacted)].flatMap {
            name,
            value in
            value.map { [name, $0] } ?? []
        }
    }

    func remember() {
        guard !words.isEmpty else { return }
        let lines = [effective(0, endpoint), effective(1, sampling), effective(2, redacted)]
        try? replaceFile(Self.file(state), with: lines.joined(separator: "\n") + "\n")
    }

    private func effective(_ place: Int, _ wish: String?) -> String {
        if let wish { return wish }
        let lines = (readFile(Self.file(state), limit: 8192) ?? "").split(
            separator: "\n",
            omittingEmptySubsequences: false
        )
        return place < lines.count ? String(lines[place]) : ""
    }

    private static func file(_ state: StateDirectory) -> String { "\(state.path)/telemetry" }

    private static func percent(_ text: String) -> Double? {
        guard let share = Double(text), share >= 0, share <= 100 else { return nil }
        return share
    }

    private static func areNames(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 4096
            && text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { name in
                !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x3a }
            }
    }

    private static func collector(_ url: String, _ sampling: String) -> TraceCollector? {
        let isHTTP = url.hasPrefix("http://")
        guard isHTTP || url.hasPrefix("grpc://"), url.utf8.count <= 1024,
            url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else {
            return nil
        }
        let rest = url.dropFirst("http://".count)
        let place = rest.prefix { $0 != "/" }
        let path = rest.dropFirst(place.count)
        guard let colon = place.lastIndex(of: ":"), let port = UInt16(place[place.index(after: colon)...]), port > 0
        else { return nil }
        var host = place[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains("@"), isHTTP || path.isEmpty || path == "/" else { return nil }
        return TraceCollector(
            isHTTP: isHTTP,
            address: HostAddress(address: String(host), port: Int(port)),
            isName: SocketAddress(String(host), port: port) == nil,
            path: path.isEmpty || path == "/" ? "/v1/traces" : String(path),
            sampling: percent(sampling) ?? 100
        )
    }
}
