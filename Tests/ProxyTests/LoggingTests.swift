import Reactor
import Testing
import Traffic

@testable import Proxy

@Suite("Access log")
struct AccessLogTests {
    private static func line(_ format: String, _ change: (inout AccessLogRecord) -> Void = { _ in }) throws -> String {
        let compiled = AccessLogFormat(.text(try AccessLogFormat.parse(format)))
        var record = AccessLogRecord(log: 0, numbers: AccessLogNumbers())
        record.headers = [[UInt8]?](
            repeating: nil,
            count: compiled.requestHeaders.count + compiled.responseHeaders.count
        )
        change(&record)
        var line: [UInt8] = []
        AccessLogFormatter(hostname: "box").write(record, format: compiled, into: &line)
        return String(decoding: line, as: UTF8.self)
    }

    @Test(
        "operators",
        arguments: [
            ("%RESPONSE_CODE%", "503"), ("%DURATION%", "12"), ("%BYTES_SENT%/%BYTES_RECEIVED%", "7/5"),
            ("%RESPONSE_FLAGS%", "UH,URX"), ("%PROTOCOL%", "HTTP/1.1"), ("100%%", "100%"),
            ("%START_TIME%", "2026-11-21T04:38:46.123Z"), ("%START_TIME(%Y/%m %s.%3f)%", "2026/11 1795235926.123"),
            ("%DOWNSTREAM_REMOTE_ADDRESS%", "127.0.0.1:9"), ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
            ("%UPSTREAM_HOST%", "-"), ("%HOSTNAME%", "box"), ("%REQ(:PATH)%", "/a"), ("%REQ(:METHOD):2%", "GE"),
            ("%REQ(X-NONE)%", "-"), ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "3"),
        ]
    )
    func operators(format: String, expected: String) throws {
        let text = try Self.line(format) { record in
            record.numbers.status = 503
            record.numbers.duration = 12_900_000
            (record.numbers.bytesSent, record.numbers.bytesReceived) = (7, 5)
            record.numbers.flags = [.noHealthyUpstream, .upstreamRetryLimit]
            record.numbers.version = 11
            record.numbers.attempts = 3
            record.numbers.startTime = 1_795_235_926_123_456_789
            record.numbers.remote = SocketAddress.loopback(port: 9)
            record.method = Array("GET".utf8)
            record.path = Array("/a".utf8)
        }
        #expect(text == expected + "\n")
    }

    @Test(
        "bytes of a peer are made harmless",
        arguments: [("a\"b\\c", "a\\\"b\\\\c"), ("x\n\u{1b}[", "x\\x0a\\x1b["), ("é", "\\xc3\\xa9")]
    )
    func escaping(value: String, expected: String) throws {
        #expect(try Self.line("%REQ(A)%") { $0.headers[0] = Array(value.utf8) } == expected + "\n")
    }

    @Test("formats that cannot be used are refused", arguments: ["%", "%DURATION", "%NO_SUCH%", "%REQ()%", "%REQ%"])
    func badFormats(format: String) {
        #expect(throws: AccessLogFormatError.self) { try AccessLogFormat.parse(format) }
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
                let record = try #require(ring.next { _ in 1 })
                #expect(record.numbers.bytesSent == UInt64(round * 10 + number))
                #expect(record.path.count == (round * 7 + number) % 90 + 1)
                #expect(record.headers == [nil])
            }
            #expect(ring.next { _ in 1 }?.log == nil)
        }
        #expect(ring.droppedCount == 0)
    }

    @Test("a full ring drops and counts, and works again when there is room")
    func overflow() throws {
        let format = AccessLogFormat(.text(try AccessLogFormat.parse("x")))
        let ring = AccessLogRing(capacity: 4096, bell: AccessLogBell())
        for _ in 0..<100 { ring.append(AccessLogEntry(), to: 0, format: format) }
        var taken = 0
        while ring.next(headerCount: { _ in 0 }) != nil { taken += 1 }
        #expect(taken > 5)
        #expect(ring.droppedCount == 100 - taken)
        ring.append(AccessLogEntry(), to: 0, format: format)
        #expect(ring.next { _ in 0 }?.log == 0)
    }

    @Test("a text longer than a record may be is cut, not refused")
    func longTexts() throws {
        let format = AccessLogFormat(.text(try AccessLogFormat.parse("x")))
        let ring = AccessLogRing(bell: AccessLogBell())
        let arena = Arena()
        var entry = AccessLogEntry()
        entry.request.path = arena.copy(String(repeating: "p", count: 60_000))
        ring.append(entry, to: 0, format: format)
        #expect(ring.next { _ in 0 }?.path.count == 4096)
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
