import Dispatch
import Glibc
import Reactor
import Servers
import Testing

@Suite("HTTP server and client")
struct HTTPServerTests {
    /// A server that echoes, streams or waits, on a port of its own.
    static func start(limits: HTTPServer.Limits = .init()) async throws -> (HTTPServer, HTTPEndpoint) {
        let server = HTTPServer(limits: limits) { request in
            switch request.path {
            case "/echo":
                let text = "\(request.method) \(request.queryValue("q") ?? "-") \(request.headers["X-Test"] ?? "-")"
                return HTTPResponse(status: 200, body: .bytes(Array(text.utf8) + request.body))
            case "/stream":
                return HTTPResponse(
                    status: 200,
                    body: .stream { writer in
                        for index in 0..<1000 { try await writer.write("line \(index)\n") }
                    }
                )
            default: return HTTPResponse(status: 404, body: .bytes(Array("no".utf8)))
            }
        }
        let address = try await server.listen(.loopback(port: 0))
        return (server, .tcp(address))
    }

    static func call(
        _ endpoint: HTTPEndpoint,
        _ method: String,
        _ target: String,
        headers: HTTPFields = HTTPFields(),
        body: [UInt8] = []
    ) async throws -> HTTPAnswer {
        let request = HTTPRequest(method, target, headers: headers, body: body)
        return try await HTTPClient.send(request, to: endpoint, target: target, timeout: .seconds(60))
    }

    @Test("method, query, fields and body arrive, and the answer comes back")
    func echo() async throws {
        let (server, endpoint) = try await Self.start()
        let body = [UInt8](repeating: 120, count: 200_000)
        let answer = try await Self.call(endpoint, "PUT", "/echo?q=a%20b", headers: ["x-test": "yes"], body: body)
        #expect(answer.status == 200)
        #expect(answer.body == Array("PUT a b yes".utf8) + body)
        #expect(try await Self.call(endpoint, "GET", "/other").status == 404)
        await server.shutdown()
    }

    @Test("a stream arrives line by line")
    func stream() async throws {
        let (server, endpoint) = try await Self.start()
        let stream = try await HTTPClient.open(
            HTTPRequest("GET", "/stream"),
            to: endpoint,
            target: "/stream",
            timeout: .seconds(60)
        )
        var count = 0
        for try await line in stream.lines {
            #expect(line == Array("line \(count)".utf8))
            count += 1
        }
        #expect(count == 1000)
        await server.shutdown()
    }

    @Test("a handler is cancelled when its client goes away")
    func cancellation() async throws {
        let (started, startedSignal) = AsyncStream<Void>.makeStream()
        let (ended, endedSignal) = AsyncStream<Bool>.makeStream()
        let server = HTTPServer { _ in
            HTTPResponse(
                status: 200,
                body: .stream { writer in
                    startedSignal.yield()
                    do {
                        while true {
                            try await writer.write("tick\n")
                            try await Task.sleep(for: .milliseconds(1))
                        }
                    } catch {
                        endedSignal.yield(true)
                        throw error
                    }
                }
            )
        }
        let address = try await server.listen(.loopback(port: 0))
        let stream = try await HTTPClient.open(
            HTTPRequest("GET", "/"),
            to: .tcp(address),
            target: "/",
            timeout: .seconds(60)
        )
        for await _ in started { break }
        _ = try await stream.next()
        stream.close()
        for await value in ended {
            #expect(value)
            break
        }
        await server.shutdown()
    }

    @Test("a body over the limit is refused with 413")
    func limit() async throws {
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 1000
        let (server, endpoint) = try await Self.start(limits: limits)
        let answer = try await Self.call(endpoint, "POST", "/echo", body: [UInt8](repeating: 1, count: 1001))
        #expect(answer.status == 413)
        #expect(try await Self.call(endpoint, "POST", "/echo", body: [UInt8](repeating: 1, count: 1000)).status == 200)
        await server.shutdown()
    }

    @Test("a Unix socket is private, tells who calls, and replaces a dead one only")
    func unixSocket() async throws {
        let path = "/tmp/weft-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
        defer { unlink(path) }
        let server = HTTPServer { request in .text("\(request.origin.uid ?? 0)") }
        try await server.listen(unix: path)
        let answer = try await Self.call(.unix(path), "GET", "/")
        #expect(answer.body == Array("\(geteuid())".utf8))
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        let second = HTTPServer { _ in .text("second") }
        await #expect(throws: SystemError.self) { try await second.listen(unix: path) }
        await server.shutdown()
        try await second.listen(unix: path)
        #expect(try await Self.call(.unix(path), "GET", "/").body == Array("second".utf8))
        await second.shutdown()
    }

    @Test(
        "what is no HTTP is refused",
        arguments: [
            ("GARBAGE\r\n\r\n", "400"), ("GET / HTTP/1.1\r\n\r\n", "400"), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 200_000))\r\n\r\n", "431"),
        ]
    )
    func garbage(text: String, status: String) async throws {
        let (server, endpoint) = try await Self.start()
        guard case .tcp(let address) = endpoint else { return }
        let answer = try await Curl.raw(address, text)
        #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer.prefix(80))")
        await server.shutdown()
    }

    @Test("curl is served: kept connections, chunked uploads, HEAD")
    func curl() async throws {
        let (server, endpoint) = try await Self.start()
        guard case .tcp(let address) = endpoint else { return }
        let url = "http://127.0.0.1:\(address.port)/echo?q=1"
        #expect(try await Curl.run(["-s", url, url]) == "GET 1 -GET 1 -")
        let chunked = ["-s", "-H", "Transfer-Encoding: chunked", "-d", "hello", url]
        #expect(try await Curl.run(chunked) == "POST 1 -hello")
        #expect(try await Curl.run(["-sI", url]).contains("Content-Length: 8"))
        #expect(try await Curl.run(["-s", "-0", url]) == "GET 1 -")
        await server.shutdown()
    }

    @Test("a target in which another request could hide is not sent", arguments: ["/a b", "/\r\nX: y", "/\u{e9}", ""])
    func unsafeTarget(target: String) async {
        await #expect { _ = try await Self.call(.unix("/nowhere.sock"), "GET", target) } throws: {
            ($0 as? HTTPFailure)?.cause == .malformed
        }
    }

    @Test("a file that is no socket is not replaced by one")
    func plainFile() async throws {
        let path = "/tmp/weft-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).txt"
        defer { unlink(path) }
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        let server = HTTPServer { _ in .text("no") }
        await #expect(throws: SystemError.self) { try await server.listen(unix: path) }
        #expect(access(path, F_OK) == 0)
    }

    @Test("a server that is not there, or says nothing, is told apart")
    func failures() async throws {
        await #expect(throws: HTTPFailure.self) { try await Self.call(.unix("/nowhere.sock"), "GET", "/") }
        let silent = try Socket.listen(.loopback(port: 0))
        defer { close(silent) }
        let address = try #require(Socket.localAddress(silent))
        await #expect {
            _ = try await HTTPClient.send(
                HTTPRequest("GET", "/"),
                to: .tcp(address),
                target: "/",
                timeout: .milliseconds(50)
            )
        } throws: {
            ($0 as? HTTPFailure)?.cause == .timedOut
        }
    }
}

/// Clients that nobody here wrote.
enum Curl {
    static func run(_ words: [String]) async throws -> String {
        let line = "curl -m 10 " + words.map { "'\($0)'" }.joined(separator: " ")
        return try await blocking { try shell(line) }
    }

    /// Runs what waits outside the few threads that tasks have: the server that is asked needs one of them.
    private static func blocking(_ body: @escaping @Sendable () throws -> String) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "weft.tests.blocking").async { continuation.resume(with: Result(catching: body)) }
        }
    }

    /// Sends bytes and returns what comes until the end.
    static func raw(_ address: SocketAddress, _ text: String) async throws -> String {
        try await blocking { try talk(address, text) }
    }

    private static func talk(_ address: SocketAddress, _ text: String) throws -> String {
        let fd = Socket.connect(address)
        defer { close(fd) }
        try #require(fd >= 0)
        var poller = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
        poll(&poller, 1, 5000)
        var rest = Array(text.utf8)[...]
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            poller = pollfd(fd: fd, events: Int16(rest.isEmpty ? POLLIN : POLLIN | POLLOUT), revents: 0)
            guard poll(&poller, 1, 5000) == 1 else { break }
            if !rest.isEmpty, poller.revents & Int16(POLLOUT) != 0 {
                let sent = rest.withUnsafeBytes { Glibc.send(fd, $0.baseAddress, $0.count, Int32(0x4000)) }
                rest = sent > 0 ? rest.dropFirst(sent) : []
            }
            guard poller.revents & Int16(POLLIN | POLLHUP) != 0 else { continue }
            let count = recv(fd, &chunk, chunk.count, 0)
            guard count > 0 else { break }
            answer += chunk[..<count]
        }
        return String(decoding: answer, as: UTF8.self)
    }

    private static func shell(_ line: String) throws -> String {
        let pipe = try #require(popen(line, "r"))
        var output = ""
        var buffer = [CChar](repeating: 0, count: 4096)
        while fgets(&buffer, Int32(buffer.count), pipe) != nil {
            output += String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        pclose(pipe)
        return output
    }
}
