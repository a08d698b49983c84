import Servers

/// HTTP over the daemon's socket.
struct UnixTransport: Sendable {
    typealias Lines = AnswerLines

    struct Answer: Sendable {
        let status: Int
        let body: [UInt8]
        /// The texts of `Warning: 299 - "text"` fields.
        let warnings: [String]
    }

    let path: String

    /// One exchange, read whole.
    ///
    /// - Throws: `CommandError` when the daemon cannot be reached or breaks off.
    func send(
        _ method: String,
        _ target: String,
        headers: [(String, String)] = [],
        body: [UInt8] = [],
        timeout: Duration
    ) async throws -> Answer {
        do {
            let answer = try await HTTPClient.send(
                Self.request(method, target, headers, body),
                to: .unix(path),
                target: target,
                timeout: timeout
            )
            return Answer(
                status: answer.status,
                body: answer.body,
                warnings: answer.headers.all("Warning").map(Self.warning)
            )
        } catch let failure as HTTPFailure {
            throw unreachable(failure)
        }
    }

    /// One exchange, read line by line.
    func open(
        _ method: String,
        _ target: String,
        headers: [(String, String)] = [],
        body: [UInt8] = []
    ) async throws -> AnswerLines {
        do {
            let stream = try await HTTPClient.open(
                Self.request(method, target, headers, body),
                to: .unix(path),
                target: target,
                timeout: .seconds(60)
            )
            return AnswerLines(stream: stream)
        } catch let failure as HTTPFailure {
            throw unreachable(failure)
        }
    }

    private static func request(
        _ method: String,
        _ target: String,
        _ headers: [(String, String)],
        _ body: [UInt8]
    ) -> HTTPRequest {
        var fields = HTTPFields()
        for (name, value) in headers { fields.add(name, value) }
        return HTTPRequest(method, target, headers: fields, body: body)
    }

    /// `299 - "text"` without its frame.
    private static func warning(_ value: String) -> String {
        guard let start = value.firstIndex(of: "\""), let end = value.lastIndex(of: "\""), start < end else {
            return value
        }
        return String(value[value.index(after: start)..<end]).replacing("\\\"", with: "\"")
    }

    private func unreachable(_ failure: HTTPFailure) -> CommandError {
        CommandError("the daemon at \(path): \(failure.message)")
    }
}

/// The lines of an answer that goes on.
struct AnswerLines: AsyncSequence, Sendable {
    typealias Element = [UInt8]
    let stream: HTTPAnswerStream

    var status: Int { stream.status }

    func makeAsyncIterator() -> HTTPAnswerStream.Lines.Iterator { stream.lines.makeAsyncIterator() }

    /// Everything that is left, at most `limit` bytes.
    func rest(limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < limit, let piece = try await stream.next() { bytes += piece }
        return bytes
    }
}
