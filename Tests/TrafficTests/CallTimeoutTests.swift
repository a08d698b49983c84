import Testing
import Traffic

@Suite("Deadlines and statuses of gRPC's calls")
struct CallTimeoutTests {
    private func parse(_ text: String) -> UInt64? {
        var bytes = Array(text.utf8)
        return bytes.withUnsafeMutableBytes { CallTimeout.parse(ByteRun(UnsafeRawBufferPointer($0))) }
    }

    @Test(
        "a grpc-timeout is up to eight digits and a unit",
        arguments: [
            ("1S", 1_000_000_000), ("250m", 250_000_000), ("7u", 7000), ("9n", 9), ("2M", 120_000_000_000),
            ("1H", 3_600_000_000_000), ("0m", 0), ("99999999n", 99_999_999),
        ] as [(String, UInt64)]
    )
    func readable(text: String, time: UInt64) { #expect(parse(text) == time) }

    @Test("nothing else is one", arguments: ["", "S", "1", "123456789S", "-1S", "1s", "1 S", "1.5S", "+1S", "-0S"])
    func unreadable(text: String) { #expect(parse(text) == nil) }

    @Test("the rule bounds what the client says and takes its offset off")
    func bounds() {
        let rule = CallTimeout(maximum: 1000, offset: 100, isRouteTimeout: false)
        #expect(rule.time(500) == 400)
        #expect(rule.time(5000) == 1000)
        #expect(rule.time(nil) == nil)
        #expect(CallTimeout(maximum: 0, offset: 0, isRouteTimeout: false).time(0) == 1)
        #expect(CallTimeout(maximum: 1000, offset: 0, isRouteTimeout: true).time(nil) == 1000)
        #expect(CallTimeout(maximum: 0, offset: 0, isRouteTimeout: true).time(nil) == 0)
    }

    @Test(
        "names of conditions cover their status alone",
        arguments: [
            ("cancelled", 1), ("deadline-exceeded", 4), ("internal", 13), ("resource-exhausted", 8),
            ("unavailable", 14),
        ]
    )
    func conditions(name: String, status: Int) throws {
        let conditions = try #require(RetryPolicy.Conditions(name: name))
        #expect((0...16).filter { conditions.covers(call: $0) } == [status])
    }

    @Test("a refused stream is tried once more, whatever the request is")
    func refused() {
        let policy = RetryPolicy()
        func verdict(_ done: Int, _ isReplayable: Bool = true) -> RetryVerdict {
            policy.verdict(
                after: .refusedStream,
                status: 0,
                retriesDone: 0,
                silentDone: done,
                isIdempotent: false,
                isReplayable: isReplayable
            )
        }
        #expect(verdict(0) == .retryAtOnce)
        #expect(verdict(1) == .notRetriable)
        #expect(verdict(0, false) == .notReplayable)
    }
}
