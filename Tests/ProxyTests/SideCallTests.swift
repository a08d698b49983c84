import Glibc
import HTTP
import Reactor
import Testing
import Traffic

@testable import Proxy

@Suite("Messages of gRPC on a stream")
struct CallFrameTests {
    private func take(_ frame: inout CallFrame, _ bytes: [UInt8]) throws -> [[UInt8]] {
        var found: [[UInt8]] = []
        try bytes.withUnsafeBytes { try frame.take($0) { found.append($0) } }
        return found
    }

    @Test("messages come out whole, however their bytes are cut", arguments: [1, 2, 3, 5, 6, 100])
    func pieces(size: Int) throws {
        let messages: [[UInt8]] = [[1, 2, 3], [], Array(repeating: 7, count: 300), [9]]
        let bytes = messages.flatMap { CallFrame.framed($0) }
        var frame = CallFrame(limit: 300)
        var found: [[UInt8]] = []
        var start = 0
        while start < bytes.count {
            found += try take(&frame, Array(bytes[start..<min(start + size, bytes.count)]))
            start += size
        }
        #expect(found == messages)
        #expect(!frame.isInside)
    }

    @Test("a message that is announced too large, or compressed, is refused by its head")
    func refused() {
        var frame = CallFrame(limit: 10)
        #expect(throws: CallFrame.Fault.tooLarge) { _ = try take(&frame, [0, 0, 0, 0, 11]) }
        var other = CallFrame(limit: 10)
        #expect(throws: CallFrame.Fault.compressed) { _ = try take(&other, [1, 0, 0, 0, 1, 5]) }
        var huge = CallFrame(limit: 10)
        #expect(throws: CallFrame.Fault.tooLarge) { _ = try take(&huge, [0, 0xFF, 0xFF, 0xFF, 0xFF]) }
    }

    @Test("bytes of a message that has no end are known to be missing")
    func inside() throws {
        var frame = CallFrame(limit: 10)
        #expect(try take(&frame, [0, 0, 0, 0, 4, 1, 2]).isEmpty)
        #expect(frame.isInside)
    }
}

@Suite("Heads of the proxy's own calls")
struct CallRequestTests {
    private func run(_ text: StaticString) -> ByteRun { ByteRun(start: text.utf8Start, count: text.utf8CodeUnitCount) }

    @Test("a request of HTTP is framed by its length")
    func http() {
        var request = CallRequest(.post, run("POST"), path: run("/a?b"), authority: run("auth"))
        request.add("x-one", "1")
        request.body = Array("hello".utf8)
        let text = String(decoding: request.text(isStream: false), as: UTF8.self)
        #expect(text == "POST /a?b HTTP/1.1\r\nhost: auth\r\nx-one: 1\r\ncontent-length: 5\r\n\r\nhello")
    }

    @Test("a call says its deadline, and its message is framed")
    func call() {
        var request = CallRequest(call: "/s.S/M", authority: "auth", message: [65])
        request.timeout = 20_000_000
        let text = String(decoding: request.text(isStream: false), as: UTF8.self)
        #expect(
            text.hasPrefix("POST /s.S/M HTTP/1.1\r\nhost: auth\r\ncontent-type: application/grpc\r\nte: trailers\r\n")
        )
        #expect(text.contains("grpc-timeout: 20m\r\n"))
        #expect(text.hasSuffix("\r\n\r\n\0\0\0\0\u{1}A"))
    }

    @Test(
        "what cannot stand in a head, or frames the body, is not added",
        arguments: [
            ("a b", "x"), ("", "x"), ("x", "a\r\nb: c"), ("x", "a\0"), ("Content-Length", "3"),
            ("transfer-encoding", "chunked"), ("host", "x"), ("connection", "close"), ("te", "x"),
        ]
    )
    func fields(name: String, value: String) {
        var request = CallRequest(call: "/s.S/M", authority: "auth", message: [])
        let before = request.head
        let isAdded = request.add(name, value)
        #expect(!isAdded)
        #expect(request.head == before)
    }

    @Test("a start line is not made of bytes that end it")
    func malformed() {
        #expect(CallRequest(.get, run("GET"), path: run("/a b"), authority: run("x")).isMalformed)
        #expect(CallRequest(.get, run("GET"), path: run("/a"), authority: run("x\r\ny: z")).isMalformed)
        #expect(CallRequest(.other, run("G T"), path: run("/a"), authority: run("x")).isMalformed)
        #expect(CallRequest(call: "", authority: "x", message: []).isMalformed)
    }
}

/// A worker with its thread, and the main thread's side of its calls.
private final class CallBench {
    private let loop: HandlerLoop
    private let workers: WorkerGroup

    init(_ yaml: String) throws {
        let store = try makeStore(yaml)
        loop = try HandlerLoop()
        workers = try WorkerGroup(loop: loop)
        let setup = WorkerSetup(
            index: 0,
            count: 1,
            inbox: workers.inbox,
            accessLog: AccessLogThread().makeRing(),
            processor: nil,
            vault: nil
        )
        workers.add(try #require(WorkerThreads.start(setup)))
        workers.send(.apply(try #require(store.commit())))
    }

    var calls: CallDesk { workers.calls }

    /// Hands events on until `isDone`; false when nothing comes any more.
    func wait(_ isDone: () -> Bool) -> Bool {
        while !isDone() {
            var entry = pollfd(fd: workers.inbox.fd, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 60_000) > 0 else { return false }
            workers.ready(.read)
        }
        return true
    }

    func end() {
        workers.send(.stop)
        #expect(wait { workers.hasStopped })
    }
}

/// A server of gRPC in a process of its own; the one of the end-to-end tests.
private final class CallServer {
    private var pid: pid_t = 0
    let port: Int

    static let python = "/usr/bin/python3"
    static let script = String(#filePath).replacingLast("ProxyTests/SideCallTests.swift", by: "EndToEnd/grpckit.py")

    init() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        defer { posix_spawn_file_actions_destroy(&actions) }
        var arguments: [UnsafeMutablePointer<CChar>?] = [
            strdup(Self.python), strdup(Self.script), strdup("0"), nil,
        ]
        defer { for argument in arguments { free(argument) } }
        try #require(posix_spawn(&pid, Self.python, &actions, nil, &arguments, environ) == 0)
        close(ends[1])
        defer { close(ends[0]) }
        var text = ""
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != 0x0A { text.unicodeScalars.append(Unicode.Scalar(byte)) }
        port = try #require(Int(text), "the server does not start")
    }

    deinit {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }
}

extension String {
    fileprivate func replacingLast(_ ending: String, by other: String) -> String {
        hasSuffix(ending) ? String(dropLast(ending.count)) + other : self
    }
}

@Suite("Calls of the proxy's own")
struct SideCallTests {
    private static let http2 =
        "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": "
        + "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
        + "explicit_http_config: {http2_protocol_options: {}}}}"

    private func bench(_ port: Int, _ more: String = "") throws -> CallBench {
        let address = endpoints(["127.0.0.1:\(port)"])
        return try CallBench(
            bootstrap(clusters: [
                cluster("calls", "\(address), \(Self.http2)\(more)"), cluster("plain", address),
                cluster("nobody", "\(endpoints(["127.0.0.1:1"])), \(Self.http2)"),
            ])
        )
    }

    @Test("calls and streams of gRPC end once, with what the endpoint says")
    func calls() throws {
        let server = try CallServer()
        let bench = try bench(server.port)
        var answers: [String: CallAnswer] = [:]
        func call(
            _ name: String,
            _ cluster: String,
            _ path: String,
            _ message: String,
            limit: Int = 65_536,
            _ time: UInt64 = 0
        ) {
            var request = CallRequest(call: path, authority: "x", message: Array(message.utf8))
            request.answerLimit = limit
            request.timeout = time
            bench.calls.call(cluster, request) { answers[name] = $0 }
        }
        call("good", "calls", "/test/unary", "hello")
        call("empty", "calls", "/test/unary", "")
        call("fails", "calls", "/test/fail", "a 7 1")
        call("unknown", "calls", "/test/nothing", "")
        call("large", "calls", "/test/unary", String(repeating: "x", count: 1000), limit: 100)
        call("absent", "absent", "/test/unary", "")
        call("unreachable", "nobody", "/test/unary", "")
        call("malformed", "calls", "/test/un ary", "")
        #expect(bench.wait { answers.count == 8 })
        #expect(answers["good"]?.message == Array("hello".utf8))
        #expect(answers["empty"]?.message == [])
        #expect(answers["fails"]?.callStatus == 7)
        #expect(answers["fails"]?.callMessage == "on purpose")
        #expect(answers["fails"]?.failure == nil)
        #expect(answers["unknown"]?.callStatus == 12)
        #expect(answers["large"]?.reason == "the answer is larger than allowed")
        #expect(answers["absent"]?.reason == "the cluster is not configured")
        #expect(answers["unreachable"]?.flags.contains(.upstreamConnectionFailure) ?? false)
        #expect(answers["malformed"]?.reason == "the request is malformed")
        bench.end()
    }

    @Test("a stream carries messages both ways, many and large, in order, and ends with a status")
    func streams() throws {
        let server = try CallServer()
        let bench = try bench(server.port)
        let messages = (0..<300).map { [UInt8](repeating: UInt8($0 & 255), count: $0 == 7 ? 3_000_000 : $0 * 40) }
        var received: [[UInt8]] = []
        var begun = 0
        var end: CallAnswer?
        var request = CallRequest(stream: "/test/chat", authority: "x")
        request.answerLimit = 4_000_000
        let id = bench.calls.openStream("calls", request) { event in
            switch event {
            case .begun: begun += 1
            case .message(let message): received.append(message)
            case .ended(let answer): end = answer
            }
        }
        for message in messages { bench.calls.send(message, on: id) }
        #expect(bench.wait { received.count == messages.count })
        #expect(received == messages)
        #expect(begun == 1 && end == nil)
        bench.calls.finish(id)
        #expect(bench.wait { end != nil })
        #expect(end?.callStatus == 0 && end?.failure == nil)
        bench.end()
    }

    @Test(
        "a stream is told when its endpoint cannot be reached, is no HTTP/2 server, or sends too much; cancelled it is silent"
    )
    func broken() throws {
        let server = try CallServer()
        let bench = try bench(server.port)
        var ends: [String: CallAnswer] = [:]
        var ids: [String: UInt64] = [:]
        func open(_ name: String, _ cluster: String, _ path: String = "/test/chat", limit: Int = 10) {
            var request = CallRequest(stream: path, authority: "x")
            request.answerLimit = limit
            ids[name] = bench.calls.openStream(cluster, request) { event in
                if case .ended(let answer) = event { ends[name] = answer }
            }
        }
        open("unreachable", "nobody")
        open("plain", "plain")
        open("absent", "absent")
        open("unknown", "calls", "/test/nothing")
        open("large", "calls")
        open("cancelled", "calls")
        bench.calls.send([UInt8](repeating: 1, count: 11), on: try #require(ids["large"]))
        bench.calls.cancel(try #require(ids["cancelled"]))
        #expect(bench.wait { ends.count == 5 })
        #expect(ends["unreachable"]?.flags.contains(.upstreamConnectionFailure) ?? false)
        #expect(ends["plain"]?.reason == "the cluster does not speak HTTP/2 (http2_protocol_options)")
        #expect(ends["absent"]?.reason == "the cluster is not configured")
        #expect(ends["unknown"]?.callStatus == 12)
        #expect(ends["large"]?.reason == "a message is larger than allowed")
        #expect(ends["cancelled"] == nil)
        bench.end()
    }
}
