import EnvoyAPI
import Synchronization
import Traffic

/// `fault`, compiled: of a chain or of a route.
final class FaultFilter: Sendable {
    let rules: FaultRules
    let headers: ArenaArray<HeaderMatch>
    /// Only requests for this cluster; empty = all.
    let cluster: [UInt8]
    let nodes: [[UInt8]]
    let limit: Int
    /// Requests that wait or failed and are not over yet, of all workers.
    let active = Atomic<Int>(0)
    let numbers: Numbers
    /// Owns what the matchers point to.
    private let arena: Arena

    struct Numbers: Sendable {
        var aborts: Int32 = -1
        var delays: Int32 = -1
        var overflow: Int32 = -1
        var active: Int32 = -1
        var rates: Int32 = -1
    }

    /// `prefix` is the connection manager's; nil for routes, whose numbers are the chain's.
    init(_ message: Envoy.HTTPFault, prefix: String?, _ context: CompileContext) {
        let compiler = RouteCompiler(Envoy.RouteConfiguration(), context)
        arena = compiler.builder.arena
        headers = arena.copy(context.each("headers", message.headers) { compiler.header($0) })
        cluster = Array(message.upstreamCluster.utf8)
        nodes = message.downstreamNodes.map { Array($0.utf8) }
        let most = Self.number(message.maxActiveFaultsRuntime, "fault.http.max_active_faults", context)
        limit = (most ?? message.maxActiveFaults.map { UInt64($0) }).map { Int(clamping: $0) } ?? .max
        rules = Self.rules(message, context)
        var numbers = Numbers()
        if let prefix {
            numbers.aborts = context.filterStats.place(prefix: prefix, "fault.aborts_injected")
            numbers.delays = context.filterStats.place(prefix: prefix, "fault.delays_injected")
            numbers.overflow = context.filterStats.place(prefix: prefix, "fault.faults_overflow")
            numbers.rates = context.filterStats.place(prefix: prefix, "fault.response_rl_injected")
            numbers.active = context.filterStats.place(prefix: prefix, "fault.active_faults", isGauge: true)
        }
        self.numbers = numbers
    }

    private static func number(_ key: String, _ usual: String, _ context: CompileContext) -> UInt64? {
        context.runtime.number(key.isEmpty ? usual : key)
    }

    private static func share(
        _ message: Envoy.FractionalPercent?,
        _ key: String,
        _ usual: String,
        _ context: CompileContext
    )
        -> FaultRules.Share
    {
        if let known = context.runtime.share(key.isEmpty ? usual : key) {
            return FaultRules.Share(numerator: known, unit: 1)
        }
        switch message?.denominator {
        case nil: return FaultRules.Share(numerator: 0, unit: 0)
        case .hundred: return FaultRules.Share(numerator: message?.numerator ?? 0, unit: 10_000)
        case .tenThousand: return FaultRules.Share(numerator: message?.numerator ?? 0, unit: 100)
        case .million: return FaultRules.Share(numerator: message?.numerator ?? 0, unit: 1)
        }
    }

    private static func rules(_ message: Envoy.HTTPFault, _ context: CompileContext) -> FaultRules {
        var rules = FaultRules()
        if let delay = message.delay {
            switch delay.faultDelaySecifier {
            case .fixedDelay(let time):
                let known = number(message.delayDurationRuntime, "fault.http.delay.fixed_duration_ms", context)
                rules.delay = .fixed(known.map { min($0, 86_400_000) * 1_000_000 } ?? nanoseconds(time))
            case .headerDelay: rules.delay = .header
            case nil: break
            }
            rules.delayShare = share(
                delay.percentage,
                message.delayPercentRuntime,
                "fault.http.delay.fixed_delay_percent",
                context
            )
        }
        if let limit = message.responseRateLimit {
            switch limit.limitType {
            case .fixedLimit(let fixed): rules.rate = .fixed(fixed.limitKbps)
            case .headerLimit: rules.rate = .header
            case nil: break
            }
            rules.rateShare = share(
                limit.percentage,
                message.responseRateLimitPercentRuntime,
                "fault.http.rate_limit.response_percent",
                context
            )
        }
        guard let abort = message.abort else { return rules }
        switch abort.errorType {
        case .httpStatus(let status):
            let known = number(message.abortHttpStatusRuntime, "fault.http.abort.http_status", context)
            rules.abort = .http(
                known.flatMap { (200..<600).contains($0) ? UInt16($0) : nil } ?? UInt16(clamping: status)
            )
        case .grpcStatus(let status):
            let known = number(message.abortGrpcStatusRuntime, "fault.http.abort.grpc_status", context)
            rules.abort = .call(UInt8(clamping: known ?? UInt64(status)))
        case .headerAbort: rules.abort = .header
        case nil: break
        }
        rules.abortShare = share(
            abort.percentage,
            message.abortPercentRuntime,
            "fault.http.abort.abort_percent",
            context
        )
        return rules
    }
}

/// What the filter keeps of a request that it did something to.
struct FaultState {
    /// The chain's filter, which counts what is active.
    let filter: Unmanaged<FaultFilter>
    /// It has waited.
    var isDelayed: Bool
}
