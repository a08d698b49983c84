/// What one turn of a probe found.
package enum ProbeOutcome: Sendable, Equatable {
    case success
    /// With the words for people: `HTTP probe failed with statuscode: 503`.
    case failure(String)

    package var isSuccess: Bool { self == .success }
}

/// The part of HTTP that a probe needs: one request, and the status of the answer.
package enum ProbeHTTP {
    /// The bytes of a request; nil when a part of it would break out of its line.
    package static func request(
        host: String,
        path: String,
        headers: [(name: String, value: String)]
    ) -> [UInt8]? {
        let target = path.hasPrefix("/") ? path : "/" + path
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else { return nil }
        var text = "GET \(target) HTTP/1.1\r\n"
        let hosts = headers.filter { $0.name.lowercased() == "host" }
        text += "Host: \(hosts.first?.value ?? host)\r\n"
        for (name, value) in [("User-Agent", "kube-probe/1.32"), ("Accept", "*/*"), ("Connection", "close")]
        where !headers.contains(where: { $0.name.lowercased() == name.lowercased() }) {
            text += "\(name): \(value)\r\n"
        }
        for header in headers where header.name.lowercased() != "host" { text += "\(header.name): \(header.value)\r\n" }
        let lines = text.components
        guard lines.allSatisfy({ line in line.utf8.allSatisfy { $0 >= 0x20 || $0 == 9 } }) else { return nil }
        return Array((text + "\r\n").utf8)
    }

    /// The status in the first line of an answer; nil while it is incomplete or when it is no HTTP.
    package static func status(_ answer: [UInt8]) -> Int? {
        guard answer.count >= 12, answer.starts(with: Array("HTTP/1.".utf8)), answer[8] == 0x20 else { return nil }
        let digits = answer[9..<12]
        guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    /// Kubernetes' verdict: 200...399 is success.
    package static func outcome(_ answer: [UInt8]) -> ProbeOutcome {
        guard let status = status(answer) else {
            return .failure(answer.isEmpty ? "HTTP probe failed: no answer" : "HTTP probe failed: malformed answer")
        }
        return (200..<400).contains(status) ? .success : .failure("HTTP probe failed with statuscode: \(status)")
    }
}

extension String {
    /// The lines of text whose lines end with CR LF.
    fileprivate var components: [Substring] { split(separator: "\r\n") }
}
