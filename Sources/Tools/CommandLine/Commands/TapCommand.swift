import Glibc
import Wire

/// `weft tap`: live requests as they pass.
enum TapCommand {
    static let command = Command(
        "tap",
        operands: "[SERVICE | KIND/NAME]",
        summary: "print live requests to a service, a deployment or a pod as they pass",
        details: """
            One line when a request goes to its endpoint (req), one when the answer comes (rsp), one when it is over (end). Without a
            name all requests are shown. Values of fields and parameters that hold secrets are left out, bodies are never shown.
            What passes beyond --max-rps, or faster than it can be printed, is left out: traffic never waits.
            """,
        options: [
            Option("to", value: "KIND/NAME", help: "only requests to this service, deployment or pod, as the operand"),
            Option("from", value: "KIND/NAME", help: "only requests from this pod or deployment"),
            Option("method", value: "METHOD", help: "only requests with this method"),
            Option("path", value: "PREFIX", help: "only requests whose path begins so"),
            Option("authority", value: "HOST", help: "only requests for this host"),
            Option("status", value: "STATUS", help: "only requests answered so: 404, 5xx, 400-499"),
            Option("max-rps", value: "N", help: "at most so many requests a second, 1 to 10000 (default: 100)"),
            Option(
                "redact",
                value: "NAMES",
                help: "further fields whose values are left out, with commas between them"
            ),
            .namespace, .jsonOutput, .stateDirectory,
        ],
        examples: [
            "weft tap web", "weft tap web --status 5xx", "weft tap orders --from deployment/web --path /cart",
            "weft tap pod/web-6d4f-x2k9p -o json",
        ],
        operandCount: 0...1
    ) { arguments in
        let format = try OutputFormat(arguments.value("output"), allowed: [.json])
        let rate = try arguments.integer("max-rps", default: 100, in: 1...10_000)
        let operand = arguments.operands.first
        guard operand == nil || arguments.value("to") == nil else {
            throw UsageError("give either a name or --to, not both")
        }
        if let status = arguments.value("status") {
            do { _ = try TapWish.range(of: status) } catch {
                throw UsageError("--status takes 404, 5xx or 400-499, not '\(status)'")
            }
        }
        let client = try await APIClient.connected(arguments)
        var items: [(String, String?)] = [("to", operand ?? arguments.value("to")), ("max_rps", "\(rate)")]
        for name in ["namespace", "from", "method", "path", "authority", "status", "redact"] {
            items.append((name, arguments.value(name)))
        }
        let lines = try await client.lines("/apis/weft.dev/v1alpha1/tap" + APIPath.query(items))
        for try await line in lines {
            let text = format == .json ? line : Array(TapLine.text(try JSON.parse(line)).utf8)
            guard Terminal.write(text + [0x0A], to: STDOUT_FILENO) else { return .success }
        }
        Terminal.complain("the proxy ended the tap; it was replaced, or it ends")
        return .failure
    }
}

/// A line of `weft tap`.
enum TapLine {
    static func text(_ event: Value) -> String {
        let kind = event["event"]?.stringValue ?? ""
        let names = ["request": "req", "response": "rsp", "end": "end"]
        var words = [
            names[kind] ?? kind, "id=\(event["id"]?.stringValue?.prefix(8) ?? "")", "src=\(side(event["source"]))",
            "dst=\(side(event["destination"]))", "tls=\(event["tls"]?.boolValue ?? false)",
        ]
        func add(_ name: String, _ value: Value?, _ unit: String = "") {
            if let text = value?.stringValue {
                words.append("\(name)=\(printable(text))\(unit)")
            } else if let number = value?.intValue {
                words.append("\(name)=\(number)\(unit)")
            }
        }
        switch kind {
        case "request":
            for name in ["method", "authority", "path"] { add(":\(name)", event[name]) }
            add("protocol", event["protocol"])
        case "response":
            add(":status", event["status"])
            add("latency", event["latency_us"], "µs")
        default:
            if event["status"]?.intValue == 0 { words.append("reset") }
            add("grpc-status", event["grpc_status"])
            add("duration", event["duration_us"], "µs")
            add("response-length", event["response_bytes"], "B")
            if (event["attempts"]?.intValue ?? 1) > 1 { add("attempts", event["attempts"]) }
            add("flags", event["flags"])
            if event["details"]?.stringValue != "via_upstream" { add("details", event["details"]) }
        }
        return words.joined(separator: " ")
    }

    /// `web-6d4f-x2k9p(10.244.0.7:8080)`, or what else is known of it.
    private static func side(_ side: Value?) -> String {
        let address = side?["address"]?.stringValue ?? ""
        let labels = side?["labels"]
        let name =
            side?["pod"]?.stringValue.map { String($0.drop { $0 != "/" }.dropFirst()) }
            ?? ["deployment", "workload", "dst_deployment", "dst_workload", "dst_service"]
            .compactMap { labels?[$0]?.stringValue }.first
        guard let name else { return address.isEmpty ? "-" : address }
        return address.isEmpty ? name : "\(name)(\(address))"
    }

    /// What a client sent must not steer the terminal.
    private static func printable(_ text: String) -> String {
        String(text.unicodeScalars.map { $0.value < 0x21 || (0x7F...0x9F).contains($0.value) ? "?" : Character($0) })
    }
}
