import Agent
import Testing

@Suite("gRPC health check")
struct GRPCHealthCheckTests {
    private func frame(_ type: UInt8, _ flags: UInt8 = 0, stream: UInt8 = 0, _ payload: [UInt8] = []) -> [UInt8] {
        [UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255), type, flags, 0, 0, 0]
            + [stream] + payload
    }

    private func message(_ bytes: [UInt8]) -> [UInt8] { [0, 0, 0, 0, UInt8(bytes.count)] + bytes }

    private func outcome(_ parts: [UInt8]..., service: String = "web") -> ProbeOutcome? {
        var check = GRPCHealthCheck(service: service)
        for part in parts { _ = check.take(part) }
        return check.outcome
    }

    @Test("the request is the preface, settings, a head without compression, and the service's name")
    func request() throws {
        let bytes = try #require(GRPCHealthCheck(service: "web").request(host: "10.244.0.9:5000"))
        #expect(bytes.starts(with: Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4)))
        #expect(bytes.suffix(19).elementsEqual(frame(0, 1, stream: 1, message([0x0a, 3] + Array("web".utf8)))))
        #expect(GRPCHealthCheck(service: "web").request(host: "a b") == nil)
        #expect(GRPCHealthCheck(service: String(repeating: "x", count: 2000)).request(host: "a") == nil)
    }

    @Test(
        "the status decides",
        arguments: [
            ([0x08, 1], ProbeOutcome.success),
            ([0x08, 2], .failure("service unhealthy (responded with \"NOT_SERVING\")")),
            ([], .failure("service unhealthy (responded with \"UNKNOWN\")")),
            ([0x08, 9], .failure("service unhealthy (responded with \"9\")")),
            ([0x12, 1, 7, 0x08, 1], .success),
            ([0x08], .failure("gRPC probe failed: malformed answer")),
            ([0x12, 200, 1], .failure("gRPC probe failed: malformed answer")),
        ] as [([UInt8], ProbeOutcome)]
    )
    func status(bytes: [UInt8], expected: ProbeOutcome) {
        #expect(outcome(frame(4), frame(1, 4, stream: 1, [0x88]), frame(0, stream: 1, message(bytes))) == expected)
    }

    @Test("an answer may come byte by byte, padded, and in several frames")
    func pieces() {
        var check = GRPCHealthCheck(service: "")
        let padded = frame(0, 8, stream: 1, [2] + message([0x08, 1]).prefix(3) + [9, 9])
        for byte in padded + frame(0, stream: 1, Array(message([0x08, 1]).dropFirst(3))) { _ = check.take([byte]) }
        #expect(check.outcome == .success)
    }

    @Test("settings and pings are answered")
    func replies() {
        var check = GRPCHealthCheck(service: "")
        #expect(
            check.take(frame(4) + frame(6, [1, 2, 3, 4, 5, 6, 7, 8])) == frame(4, 1)
                + frame(6, 1, [1, 2, 3, 4, 5, 6, 7, 8])
        )
        #expect(check.take(frame(4, 1) + frame(6, 1)).isEmpty)
    }

    private func frame(_ type: UInt8, _ payload: [UInt8]) -> [UInt8] { frame(type, 0, payload) }

    @Test("whoever speaks something else, resets, ends, or floods, fails the probe and never holds it")
    func hostile() {
        func isFailure(_ outcome: ProbeOutcome?) -> Bool { outcome.map { !$0.isSuccess } ?? false }
        #expect(isFailure(outcome(Array("HTTP/1.1 400 Bad Request\r\n".utf8))))
        #expect(isFailure(outcome(frame(3, stream: 1, [0, 0, 0, 7]))))
        #expect(isFailure(outcome(frame(7, [0, 0, 0, 0, 0, 0, 0, 0]))))
        #expect(isFailure(outcome(frame(1, 5, stream: 1, [0x88]))))
        #expect(isFailure(outcome(frame(0, 8, stream: 1, [200, 1]))))
        #expect(isFailure(outcome(frame(0, 8, stream: 1, []))))
        #expect(isFailure(outcome(frame(0, stream: 1, [1, 0, 0, 0, 0]))))
        #expect(isFailure(outcome(frame(0, stream: 1, [0, 255, 255, 255, 255]))))
        var flooded = GRPCHealthCheck(service: "")
        for _ in 0..<10 { _ = flooded.take(frame(0, stream: 3, [UInt8](repeating: 0, count: 16384))) }
        #expect(isFailure(flooded.outcome))
        var closed = GRPCHealthCheck(service: "")
        closed.end()
        #expect(isFailure(closed.outcome))
    }

    @Test("no bytes whatever make it trap")
    func anything() {
        var seed: UInt64 = 42
        for _ in 0..<2000 {
            var check = GRPCHealthCheck(service: "x")
            for _ in 0..<4 {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1
                let kind = UInt8(truncatingIfNeeded: seed >> 40) % 10
                let body = (0..<Int(seed >> 60)).map { UInt8(truncatingIfNeeded: seed >> UInt64($0 * 3)) }
                _ = check.take(frame(kind, UInt8(truncatingIfNeeded: seed >> 20), stream: 1, body))
            }
        }
    }
}
