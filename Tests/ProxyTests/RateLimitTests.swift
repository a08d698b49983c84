import Testing
import Traffic
import Wire

@testable import Proxy

@Suite("What a service of rate limits says")
struct RateLimitVerdictTests {
    private func called(_ write: (inout ProtobufWriter) -> Void, status: Int = 0) -> CallAnswer {
        var writer = ProtobufWriter()
        write(&writer)
        var answer = CallAnswer()
        answer.callStatus = status
        answer.body = CallFrame.framed(writer.bytes)
        return answer
    }

    private func status(_ requests: UInt64, unit: UInt64, remaining: UInt64, reset: UInt64) -> [UInt8] {
        var limit = ProtobufWriter()
        limit.varint(1, requests)
        limit.varint(2, unit)
        var duration = ProtobufWriter()
        duration.varint(1, reset)
        var writer = ProtobufWriter()
        writer.run(2, limit.bytes)
        writer.varint(3, remaining)
        writer.run(4, duration.bytes)
        return writer.bytes
    }

    @Test("the tightest of several limits is told, with the windows of all")
    func limits() {
        let verdict = RateLimitVerdict(
            called {
                $0.varint(1, 1)
                $0.run(2, status(100, unit: 3, remaining: 9, reset: 5))
                $0.run(2, [])
                $0.run(2, status(10, unit: 1, remaining: 4, reset: 1))
            }
        )
        #expect(verdict.outcome == .ok)
        #expect(verdict.limits?.limit == "10, 100;w=3600, 10;w=1")
        #expect(verdict.limits?.remaining == "4" && verdict.limits?.reset == "1")
    }

    @Test("neither an unknown code nor a failed call nor garbage is a verdict")
    func errors() {
        #expect(RateLimitVerdict(called { _ in }).outcome == .error)
        #expect(RateLimitVerdict(called { $0.varint(1, 7) }).outcome == .error)
        #expect(RateLimitVerdict(called({ $0.varint(1, 1) }, status: 14)).outcome == .error)
        #expect(RateLimitVerdict(called { $0.run(2, [0xFF]) }).outcome == .error)
        #expect(RateLimitVerdict(.failed("no answer came")).outcome == .error)
        #expect(RateLimitVerdict(called { $0.varint(1, 2) }).outcome == .overLimit)
    }

    @Test("what is asked has the domain, the descriptors and how much they count")
    func request() throws {
        let descriptor = RateLimitDescriptor([.init([1], [2])], hits: 3)
        var reader = ProtobufReader(RateLimitMessage.request(domain: "d", [descriptor]))
        #expect(try reader.next()?.content == .bytes([100]))
        guard case .bytes(let inner)? = try reader.next()?.content else {
            Issue.record("no descriptor")
            return
        }
        var fields = ProtobufReader(inner)
        #expect(try fields.next() == Protobuf.Field(number: 1, content: .bytes([10, 1, 1, 18, 1, 2])))
        #expect(try fields.next() == Protobuf.Field(number: 3, content: .bytes([8, 3])))
    }
}
