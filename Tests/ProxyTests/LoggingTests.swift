import HTTP
import Reactor
import Testing
import Traffic

@testable import Proxy

@Suite("Access log")
struct AccessLogTests {
    private static func line(_ format: String, _ change: (inout AccessLogEntry) -> Void = { _ in }) throws -> String {
        try line(AccessLogFormat(.text(try AccessLogFormat.parse(format))), change)
    }

    private static func line(_ format: AccessLogFormat, _ change: (inout AccessLogEntry) -> Void) throws -> String {
        var entry = AccessLogEntry()
        change(&entry)
        var line: [UInt8] = []
        AccessLogFormatter(hostname: "box").write(AccessLogRecord(entry, format: format), format: format, into: &line)
        return String(decoding: line, as: UTF8.self)
    }

    private static let arena = Arena()

    /// A request's or answer's fields.
    private static func view(_ fields: [(String, String)], path: String = "") -> RequestView {
        var text: [UInt8] = []
        var places: [FieldPlace] = []
        for (name, value) in fields {
            let start = text.count
            text += Array((name + value).utf8)
            let place = FieldPlace(
                nameStart: UInt32(start),
                nameLength: .init(name.utf8.count),
                valueStart: UInt32(start + name.utf8.count),
                valueLength: .init(value.utf8.count)
            )
            places.append(place)
        }
        let base: ByteRun = arena.copy(text + [0])
        let kept: ArenaArray<FieldPlace> = arena.copy(places)
        return RequestView(
            method: arena.copy("GET"),
            authority: arena.copy("shop"),
            path: arena.copy(path),
            base: base.start,
            fields: kept.isEmpty ? nil : kept.pointer(at: 0),
            fieldCount: kept.count
        )
    }

    @Test(
        "operators",
        arguments: [
            ("%RESPONSE_CODE%", "503"), ("%DURATION%", "12"), ("%BYTES_SENT%/%BYTES_RECEIVED%", "7/5"),
            ("%RESPONSE_FLAGS%", "UH,URX"), ("%PROTOCOL%", "HTTP/1.1"), ("100%%", "100%"),
            ("%START_TIME%", "2026-11-21T04:38:46.123Z"), ("%START_TIME(%Y/%m %s.%3f)%", "2026/11 1795235926.123"),
            ("%DOWNSTREAM_REMOTE_ADDRESS%", "127.0.0.1:9"), ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
            ("%UPSTREAM_HOST%", "-"), ("%HOSTNAME%", "box"), ("%REQ(:PATH)%", "/a?b=2"), ("%REQ(:METHOD):2%", "GE"),
            ("%REQ(X-NONE)%", "-"), ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "3"), ("%REQ(x-none?X-A):3%", "one"),
            ("%RESPONSE_FLAGS_LONG%", "NoHealthyUpstream,UpstreamRetryLimitExceeded"), ("%RESPONSE_DURATION%", "-"),
            ("%START_TIME(%Y %9f %1f)%", "2026 123456789 1"), ("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "12900"),
            ("%COMMON_DURATION(US_RX_BEG:DS_TX_END)%", "-"), ("%GRPC_STATUS%", "DeadlineExceeded"),
            ("%GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%", "DEADLINE_EXCEEDED 4"), ("%TRAILER(X-T)%", "end"),
            ("%QUERY_PARAM(b)% %QUERY_PARAM(c)% %QUERY_PARAMS%", "2 - b=2"),
            ("%PATH(NQ)% %PATH(WQ:PATH)%", "/a /a?b=2"),
            ("%DYNAMIC_METADATA(x:y)% %TRACE_ID%", "- -"), ("%ACCESS_LOG_TYPE%", "DownstreamEnd"),
            ("%ENVIRONMENT(NO_SUCH_VARIABLE)%", "-"), ("%REQ(:AUTHORITY)% %REQ(:SCHEME)%", "shop http"),
            ("%RESP(:STATUS)% %RESPONSE_CODE_DETAILS%", "503 no_healthy_upstream"), ("%STREAM_ID%", "id-1"),
            ("%BYTES_RETRANSMITTED% %ROUNDTRIP_DURATION%", "0 -"), ("%UPSTREAM_HOST_NAME%", "origin"),
        ]
    )
    func operators(format: String, expected: String) throws {
        let text = try Self.line(format) { record in
            record.numbers.grpcStatus = 4
            record.trailers = Self.arena.copy("grpc-status: 4\r\nX-t:  end \r\n")
            record.details = Self.arena.copy("no_healthy_upstream")
            record.made[.upstreamHostname] = Array("origin".utf8)
            record.numbers.status = 503
            record.numbers.duration = 12_900_000
            (record.numbers.bytesSent, record.numbers.bytesReceived) = (7, 5)
            record.numbers.flags = [.noHealthyUpstream, .upstreamRetryLimit]
            record.numbers.version = 11
            record.numbers.kind = .downstreamEnd
            record.numbers.attempts = 3
            record.numbers.startTime = 1_795_235_926_123_456_789
            record.numbers.remote = SocketAddress.loopback(port: 9)
            record.request = Self.view([("X-A", "one two"), ("x-request-id", "id-1")], path: "/a?b=2")
        }
        #expect(text == expected + "\n")
    }

    @Test(
        "bytes of a peer are made harmless",
        arguments: [("a\"b\\c", "a\\\"b\\\\c"), ("x\n\u{1b}[", "x\\x0a\\x1b["), ("é", "\\xc3\\xa9")]
    )
    func escaping(value: String, expected: String) throws {
        #expect(try Self.line("%REQ(A)%") { $0.request = Self.view([("a", value)]) } == expected + "\n")
    }

    @Test(
        "formats that cannot be used are refused",
        arguments: [
            "%", "%DURATION", "%NO_SUCH%", "%REQ()%", "%REQ%", "%REQ(a?b?c)%", "%REQ(a):x%", "%DURATION(x)%",
            "%REQ(a b)%",
            "%COMMON_DURATION(DS_RX_BEG)%", "%COMMON_DURATION(DS_RX_BEG:US_CX_END)%", "%GRPC_STATUS(x)%", "%PATH(x)%",
            "%UPSTREAM_WIRE_BYTES_SENT%", "%REQ(a):-1%", "%DYNAMIC_METADATA%", "%METADATA(ROUTE:x:y)%",
        ]
    )
    func badFormats(format: String) {
        #expect(throws: AccessLogFormatError.self) { try AccessLogFormat.parse(format) }
    }

    @Test("JSON keeps types and shape; what has no value is null, or left out")
    func json() throws {
        func text(_ format: String) throws -> AccessLogFormat.Node { .text(try AccessLogFormat.parse(format)) }
        let node = AccessLogFormat.Node.object([
            .init(name: "code", node: try text("%RESPONSE_CODE%")), .init(name: "fixed", node: .constant("true")),
            .init(
                name: "in",
                node: .object([
                    .init(name: "a", node: try text("%REQ(A)%")), .init(name: "none", node: try text("%REQ(B)%")),
                ])
            ),
            .init(name: "list", node: .array([try text("%REQ(B)%"), try text("x%RESPONSE_CODE%")])),
        ])
        func change(_ entry: inout AccessLogEntry) {
            entry.numbers.status = 204
            entry.request = Self.view([("a", "\"\n\u{e9}")])
        }
        #expect(
            try Self.line(AccessLogFormat(.json(node)), change)
                == #"{"code":204,"fixed":true,"in":{"a":"\"\né","none":null},"list":[null,"x204"]}"# + "\n"
        )
        #expect(
            try Self.line(AccessLogFormat(.json(node), omitsEmpty: true), change)
                == #"{"code":204,"fixed":true,"in":{"a":"\"\né"},"list":["x204"]}"# + "\n"
        )
    }

    @Test("empty values are left out of texts when asked for")
    func omitted() throws {
        let format = AccessLogFormat(.text(try AccessLogFormat.parse("[%REQ(B)%]")), omitsEmpty: true)
        #expect(try Self.line(format) { _ in } == "[]\n")
    }

    @Test("filters tell entries apart")
    func filters() {
        typealias Rule = AccessLogFilter.Rule
        var entry = AccessLogEntry()
        entry.numbers.status = 503
        entry.numbers.duration = 30_000_000
        entry.numbers.version = 11
        entry.numbers.kind = .downstreamEnd
        entry.numbers.flags = .noRoute
        func admits(_ rule: Rule) -> Bool {
            AccessLogFilter(rule, source: "", arena: Arena()).admits(entry, random: { 499_999 })
        }
        #expect(admits(.status(.init(relation: .greaterOrEqual, value: 500))))
        #expect(!admits(.status(.init(relation: .equal, value: 500))))
        #expect(admits(.status(.init(relation: .notEqual, value: 500))))
        #expect(admits(.duration(.init(relation: .lessOrEqual, value: 30))))
        #expect(admits(.share(500_000)))
        #expect(!admits(.share(499_999)))
        #expect(admits(.flags([])))
        #expect(admits(.flags([.noRoute, .upstreamTimeout])))
        #expect(!admits(.flags(.upstreamTimeout)))
        #expect(admits(.any([.share(0), .everything])))
        #expect(!admits(.all([.share(0), .everything])))
        #expect(admits(.kinds(1 << 6)))
        #expect(!admits(.grpcStatus([0, 14], excludes: false)))
        #expect(admits(.grpcStatus([0, 14], excludes: true)))
    }

    @Test("flags have Envoy's names, both ways")
    func flagNames() {
        for (bit, name) in ResponseFlags.names.enumerated() {
            #expect(ResponseFlags(name: name.short) == ResponseFlags(rawValue: 1 << UInt32(bit)))
        }
        #expect(ResponseFlags(name: "XX") == nil)
    }

    @Test("entries come out of the ring as they went in, over many rounds of it")
    func ring() throws {
        let format = AccessLogFormat(.text(try AccessLogFormat.parse("%REQ(:PATH)% %REQ(X-A)%")))
        let ring = AccessLogRing(capacity: 4096, bell: AccessLogBell())
        let arena = Arena()
        for round in 0..<500 {
            for number in 0..<(round % 5 + 1) {
                var entry = AccessLogEntry()
                entry.numbers.bytesSent = UInt64(round * 10 + number)
                let path = "/" + String(repeating: "x", count: (round * 7 + number) % 90)
                entry.request.path = arena.copy(path)
                ring.append(entry, to: 0, format: format)
            }
            for number in 0..<(round % 5 + 1) {
                let record = try #require(ring.next { _ in AccessLogShape(texts: 1, headers: 1) })
                #expect(record.numbers.bytesSent == UInt64(round * 10 + number))
                #expect(record.texts[0]?.count == (round * 7 + number) % 90 + 1)
                #expect(record.headers == [nil])
            }
            #expect(ring.next { _ in AccessLogShape() }?.log == nil)
        }
        #expect(ring.droppedCount == 0)
    }

    @Test("a full ring drops and counts, and works again when there is room")
    func overflow() throws {
        let format = AccessLogFormat(.text(try AccessLogFormat.parse("x")))
        let ring = AccessLogRing(capacity: 4096, bell: AccessLogBell())
        for _ in 0..<100 { ring.append(AccessLogEntry(), to: 0, format: format) }
        var taken = 0
        while ring.next(shape: { _ in AccessLogShape() }) != nil { taken += 1 }
        #expect(taken > 5)
        #expect(ring.droppedCount == 100 - taken)
        ring.append(AccessLogEntry(), to: 0, format: format)
        #expect(ring.next { _ in AccessLogShape() }?.log == 0)
    }

    @Test("a text longer than a record may be is cut, not refused")
    func longTexts() throws {
        let format = AccessLogFormat(.text(try AccessLogFormat.parse("%REQ(:PATH)%")))
        let ring = AccessLogRing(bell: AccessLogBell())
        let arena = Arena()
        var entry = AccessLogEntry()
        entry.request.path = arena.copy(String(repeating: "p", count: 60_000))
        ring.append(entry, to: 0, format: format)
        #expect(ring.next { _ in AccessLogShape(texts: 1) }?.texts[0]?.count == 4096)
    }
}

@Suite("Process log")
struct ProcessLogTests {
    @Test(
        "values that need it are quoted",
        arguments: [
            ("plain", "plain"), ("", "\"\""), ("a b", "\"a b\""), ("a\"b\n", "\"a\\\"b\\n\""),
            ("\u{1b}x", "\"\\u{1b}x\""),
        ]
    )
    func quoting(value: String, expected: String) {
        #expect(ProcessLog.quoted(value) == expected)
    }

    @Test(
        "levels have Envoy's names",
        arguments: [("warn", LogLevel.warning), ("warning", .warning), ("off", .off), ("trace", .trace)]
    )
    func levels(name: String, level: LogLevel) {
        #expect(LogLevel(name: name) == level)
    }
}

@Suite("Command line of the proxy")
struct ProxyOptionsTests {
    @Test("options in both spellings")
    func options() throws {
        let options = try ProxyOptions.parse([
            "--config-path=x", "--concurrency", "3", "-l", "debug", "--drain-time-s=7",
        ])
        #expect(options.configPath == "x")
        #expect(options.concurrency == 3)
        #expect(options.logLevel == .debug)
        #expect(options.drainSeconds == 7)
    }

    @Test("nonsense is refused", arguments: [["-c"], ["--concurrency", "x"], ["--mode", "x"], ["y"]])
    func nonsense(words: [String]) {
        #expect(throws: UsageError.self) { try ProxyOptions.parse(words) }
    }
}
