/// When a request is made to wait or to fail, and how. Plain values: names of headers are those of Envoy.
package struct FaultRules: BitwiseCopyable, Sendable {
    /// So many of a million requests; where a header asks, it may lower the number of `unit`s.
    package struct Share: BitwiseCopyable, Sendable {
        package var numerator: UInt32
        /// Of a million, per 1 of the numerator.
        package var unit: UInt32

        package init(numerator: UInt32, unit: UInt32) {
            self.numerator = numerator
            self.unit = unit
        }

        package func isHit(_ random: UInt64, asked: Int64? = nil) -> Bool {
            var count = UInt64(numerator)
            if let asked { count = min(count, UInt64(max(0, asked))) }
            return random % 1_000_000 < count * UInt64(unit)
        }
    }

    package enum Delay: BitwiseCopyable, Sendable {
        /// Nanoseconds.
        case fixed(UInt64)
        case header
    }

    package enum Abort: BitwiseCopyable, Sendable {
        case http(UInt16)
        case call(UInt8)
        case header
    }

    package enum Rate: BitwiseCopyable, Sendable {
        /// KiB per second.
        case fixed(UInt64)
        case header
    }

    /// What a request fails with. `call` is for clients of gRPC; the others get 200 with it, as from Envoy.
    package struct Failure: BitwiseCopyable, Sendable, Equatable {
        package var status: UInt16
        package var call: UInt8?

        package init(status: UInt16, call: UInt8? = nil) {
            self.status = status
            self.call = call
        }
    }

    package var delay: Delay?
    package var delayShare = Share(numerator: 0, unit: 0)
    package var abort: Abort?
    package var abortShare = Share(numerator: 0, unit: 0)

    package var rate: Rate?
    package var rateShare = Share(numerator: 0, unit: 0)

    package init() {}

    private static let rateName = StaticRun("x-envoy-fault-throughput-response")
    private static let rateShareName = StaticRun("x-envoy-fault-throughput-response-percentage")
    private static let delayName = StaticRun("x-envoy-fault-delay-request")
    private static let delayShareName = StaticRun("x-envoy-fault-delay-request-percentage")
    private static let abortName = StaticRun("x-envoy-fault-abort-request")
    private static let callName = StaticRun("x-envoy-fault-abort-grpc-request")
    private static let abortShareName = StaticRun("x-envoy-fault-abort-request-percentage")

    /// How long the request waits, nanoseconds; 0 = not at all.
    package func delay(of request: RequestView, random: UInt64) -> UInt64 {
        switch delay {
        case nil: return 0
        case .fixed(let time): return delayShare.isHit(random) ? time : 0
        case .header:
            guard let asked = request.value(of: Self.delayName.run)?.decimal, asked > 0, asked <= 86_400_000,
                delayShare.isHit(random, asked: request.value(of: Self.delayShareName.run)?.decimal)
            else { return 0 }
            return UInt64(asked) * 1_000_000
        }
    }

    /// Bytes per second in which the body of the answer comes; nil: as fast as it can.
    package func rate(of request: RequestView, random: UInt64) -> UInt64? {
        switch rate {
        case nil: return nil
        case .fixed(let kilobytes): return rateShare.isHit(random) ? min(kilobytes, 1 << 32) * 1024 : nil
        case .header:
            guard let asked = request.value(of: Self.rateName.run)?.decimal, asked > 0, asked <= 1 << 32,
                rateShare.isHit(random, asked: request.value(of: Self.rateShareName.run)?.decimal)
            else { return nil }
            return UInt64(asked) * 1024
        }
    }

    /// What the request fails with; nil: it goes on.
    package func failure(of request: RequestView, random: UInt64) -> Failure? {
        switch abort {
        case nil: return nil
        case .http(let status): return abortShare.isHit(random) ? Failure(status: status) : nil
        case .call(let status):
            return abortShare.isHit(random) ? Failure(status: 200, call: status) : nil
        case .header:
            guard abortShare.isHit(random, asked: request.value(of: Self.abortShareName.run)?.decimal) else {
                return nil
            }
            if let status = request.value(of: Self.abortName.run)?.decimal, (200..<600).contains(status) {
                return Failure(status: UInt16(status))
            }
            guard let call = request.value(of: Self.callName.run)?.decimal, (0...16).contains(call) else { return nil }
            return Failure(status: 200, call: UInt8(call))
        }
    }
}
