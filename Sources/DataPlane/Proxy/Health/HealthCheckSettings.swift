import EnvoyAPI
import Synchronization
import TLS
import Traffic

/// How the endpoints of a cluster are checked.
struct HealthCheckSettings: Sendable {
    enum Kind: Sendable {
        case http(HTTPCheck)
        case tcp(send: [UInt8], receive: [[UInt8]])
        case grpc(GRPCCheck)
    }

    /// Bytes of a body or stream that are looked at, unless the configuration says otherwise.
    static let bodyLimit = 1024
    /// The most that a configuration may ask for.
    static let largestBody: UInt64 = 1 << 20

    var kind: Kind
    var timeout: UInt64
    var intervals: CheckIntervals
    var healthyThreshold: UInt32
    var unhealthyThreshold: UInt32
    var reusesConnection = true
    var logPaths: [String] = []
    var logsFailures = false
    var logsSuccesses = false
    /// For the checks alone; nil: in the clear.
    var tls: TLSHolder?
    /// Endpoints' own transports do not count.
    var usesOneTransport = false
    /// Whether connections begin with a PROXY header, and of which version.
    var introduction: ProxyIntroduction.Version?

    var usesHTTP2: Bool {
        switch kind {
        case .http(let check): check.isHTTP2
        case .grpc: true
        case .tcp: false
        }
    }

    var name: String {
        switch kind {
        case .http: "HTTP"
        case .tcp: "TCP"
        case .grpc: "GRPC"
        }
    }
}

struct HTTPCheck: Sendable {
    var method = "GET"
    var path = "/"
    /// Empty: the name of the cluster.
    var host = ""
    /// Lower-case names.
    var fields: [(name: String, value: String)] = []
    var expected: [Range<Int64>] = [200..<201]
    var retriable: [Range<Int64>] = []
    /// The body of the request.
    var send: [UInt8] = []
    var receive: [[UInt8]] = []
    var bodyLimit = HealthCheckSettings.bodyLimit
    var service: ServiceMatch?
    var isHTTP2 = false

    /// What an answer says. `field` gives the value of a field by its lower-case name.
    func judge(status: Int64, body: [UInt8], field: (String) -> String?) -> CheckResult {
        guard expected.contains(where: { $0.contains(status) }) else {
            return retriable.contains { $0.contains(status) } ? .retriable : .failed
        }
        if let service, !service.matches(field("x-envoy-upstream-healthchecked-cluster") ?? "") { return .failed }
        guard holdsInOrder(body, receive) else { return .failed }
        return field("x-envoy-degraded") != nil ? .degraded : .healthy
    }
}

struct GRPCCheck: Sendable {
    var service = ""
    var authority = ""
    var fields: [(name: String, value: String)] = []
}

/// A condition on a service's name. Safety: the arena, which owns what the match leads into, is held and never changed.
final class ServiceMatch: @unchecked Sendable {
    private let arena = Arena()
    private let match: TextMatch

    init(_ make: (Arena) -> TextMatch) { match = make(arena) }

    func matches(_ text: String) -> Bool {
        var copy = text
        return copy.withUTF8 { match.matches(ByteRun(start: $0.baseAddress, count: $0.count)) }
    }
}

/// Whether a cluster ever made a connection for a request: checks are rarer before.
final class TrafficMark: Sendable {
    private let seen = Atomic<Bool>(false)

    var isSet: Bool { seen.load(ordering: .relaxed) }
    func set() { if !isSet { seen.store(true, ordering: .relaxed) } }
}

/// Where an endpoint is checked.
struct CheckTarget: Sendable, Equatable {
    var address: Address
    /// Goes before the host of the check.
    var host: String?
    /// The endpoint's own name, asked for in TLS where the cluster asks for it.
    var serverName: String?
    /// How this endpoint is spoken to, where that differs from the cluster's others.
    var transport: TransportConfiguration?

    static func == (left: CheckTarget, right: CheckTarget) -> Bool {
        left.address == right.address && left.host == right.host && left.serverName == right.serverName
            && left.transport?.tls === right.transport?.tls
    }
}

/// A change of what checks say of an endpoint.
struct HealthChange: Sendable {
    var cluster: Int32
    var identity: UInt64
    var endpoint: UInt64
    var state: CheckState
    /// It succeeded after the endpoint was ejected, which ends the ejection.
    var unejects = false
}

/// The numbers of a cluster's checks.
struct HealthCounts: Sendable {
    var attempts: UInt64 = 0
    var successes: UInt64 = 0
    var failures: UInt64 = 0
    var passiveFailures: UInt64 = 0
    var networkFailures: UInt64 = 0
    var verifyFailures: UInt64 = 0
    var healthy: Int64 = 0
    var degraded: Int64 = 0
}
