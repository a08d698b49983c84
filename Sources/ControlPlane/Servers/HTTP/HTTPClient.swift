import CWeft
import Glibc
import HTTP
package import Reactor

/// Where a client connects to.
package enum HTTPEndpoint: Sendable {
    case unix(String)
    case tcp(SocketAddress)
    /// A socket that is connected, or connecting; the client owns it from now on. For sockets made inside a pod.
    case descriptor(Int32)
}

/// An HTTP/1.1 client for the control plane: one connection per exchange. Stateless; safe from every task.
package enum HTTPClient {
    /// Bytes of an answer that is read whole.
    package static let largestAnswer = 64 << 20

    /// One exchange, with the answer's body read whole.
    ///
    /// `timeout` is for all of it; more body bytes than `limit` fail the exchange.
    ///
    /// - Throws: `HTTPFailure`; `CancellationError` when the task is cancelled.
    package static func send(
        _ request: HTTPRequest,
        to endpoint: HTTPEndpoint,
        target: String,
        timeout: Duration,
        limit: Int = largestAnswer
    ) async throws -> HTTPAnswer {
        let stream = try await begin(request, to: endpoint, target: target, timeout: timeout, coversBody: true)
        var body: [UInt8] = []
        while let piece = try await stream.next() {
            body += piece
            guard body.count <= limit else {
                stream.close()
                throw HTTPFailure(.tooLarge, "the answer is larger than \(limit) bytes")
            }
        }
        return HTTPAnswer(status: stream.status, headers: stream.headers, body: body)
    }

    /// One exchange whose answer is read piece by piece.
    ///
    /// `timeout` runs until the answer's head is there; afterwards the stream may rest.
    ///
    /// - Throws: `HTTPFailure`; `CancellationError` when the task is cancelled.
    package static func open(
        _ request: HTTPRequest,
        to endpoint: HTTPEndpoint,
        target: String,
        timeout: Duration
    ) async throws -> HTTPAnswerStream {
        try await begin(request, to: endpoint, target: target, timeout: timeout, coversBody: false)
    }

    private static func begin(
        _ request: HTTPRequest,
        to endpoint: HTTPEndpoint,
        target: String,
        timeout: Duration,
        coversBody: Bool
    ) async throws -> HTTPAnswerStream {
        guard MessageReading.isSafe(target: target), MessageReading.isSafe(method: request.method) else {
            if case .descriptor(let unused) = endpoint { Socket.close(unused) }
            throw HTTPFailure(.malformed, "the method or target of the request holds spaces or control characters")
        }
        let deadline = Instant.read().advanced(byNanoseconds: timeout.nanoseconds)
        let connection = ClientConnection(deadline: deadline, coversBody: coversBody)
        let bytes = requestBytes(request, target)
        let head = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation {
                (continuation: CheckedContinuation<ClientConnection.Head, any Error>) in
                LoopThread.shared.post { loop in
                    connection.start(endpoint, bytes, isHead: request.method == "HEAD", loop, continuation)
                }
            }
        } onCancel: {
            LoopThread.shared.post { _ in connection.fail(CancellationError()) }
        }
        return HTTPAnswerStream(connection: connection, head: head)
    }

    private static func requestBytes(_ request: HTTPRequest, _ target: String) -> [UInt8] {
        var text = "\(request.method) \(target) HTTP/1.1\r\n"
        if request.headers["Host"] == nil { text += "Host: localhost\r\n" }
        for entry in request.headers.entries where MessageReading.isSafe(entry) {
            text += "\(entry.name): \(entry.value)\r\n"
        }
        if !request.body.isEmpty || ["POST", "PUT", "PATCH"].contains(request.method) {
            text += "Content-Length: \(request.body.count)\r\n"
        }
        return Array((text + "Connection: close\r\n\r\n").utf8) + request.body
    }
}

extension Duration {
    /// Whole nanoseconds, 0 for negative durations, saturating.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, isOver) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return isOver ? .max : product &+ UInt64(attoseconds) / 1_000_000_000
    }
}

/// An answer, whole.
package struct HTTPAnswer: Sendable {
    package let status: Int
    package let headers: HTTPFields
    package let body: [UInt8]
}

/// An answer whose body is read piece by piece. Used by one task; closed when it is released or cancelled.
package final class HTTPAnswerStream: Sendable {
    package let status: Int
    package let headers: HTTPFields
    private let connection: ClientConnection

    init(connection: ClientConnection, head: ClientConnection.Head) {
        self.connection = connection
        status = head.status
        headers = head.headers
    }

    deinit { close() }

    /// The next piece of the body, or nil at its end.
    ///
    /// - Throws: `HTTPFailure` when the answer breaks off.
    package func next() async throws -> [UInt8]? {
        try Task.checkCancellation()
        let connection = connection
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                LoopThread.shared.post { _ in connection.next(continuation) }
            }
        } onCancel: {
            LoopThread.shared.post { _ in connection.fail(CancellationError()) }
        }
    }

    package func close() {
        let connection = connection
        LoopThread.shared.post { _ in connection.fail(HTTPFailure(.closed, "the stream was closed")) }
    }

    /// The body's lines, without their ends.
    package var lines: Lines { Lines(stream: self) }

    /// The lines of a body as they come.
    package struct Lines: AsyncSequence, Sendable {
        package typealias Element = [UInt8]
        let stream: HTTPAnswerStream

        package func makeAsyncIterator() -> Iterator { Iterator(stream: stream) }

        package struct Iterator: AsyncIteratorProtocol {
            /// A longer line than this is no line of an API.
            private static let longestLine = 64 << 20
            let stream: HTTPAnswerStream
            private var rest: [UInt8] = []
            private var start = 0
            private var searched = 0

            init(stream: HTTPAnswerStream) { self.stream = stream }

            package mutating func next() async throws -> [UInt8]? {
                while true {
                    if let end = rest[searched...].firstIndex(of: 0x0A) {
                        let line = Array(rest[start..<end])
                        start = end + 1
                        searched = start
                        return line
                    }
                    rest.removeFirst(start)
                    start = 0
                    searched = rest.count
                    guard rest.count <= Self.longestLine else {
                        throw HTTPFailure(.tooLarge, "a line of the answer has no end")
                    }
                    guard let piece = try await stream.next() else {
                        guard !rest.isEmpty else { return nil }
                        defer {
                            rest = []
                            searched = 0
                        }
                        return rest
                    }
                    rest += piece
                }
            }
        }
    }
}
