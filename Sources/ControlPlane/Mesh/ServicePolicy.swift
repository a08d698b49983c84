import EnvoyAPI
import Resources

/// What a Service's annotations say about its traffic; `nil` and absent mean the safe default.
package struct ServicePolicy: Sendable, Equatable {
    package enum LoadBalancer: String, Sendable, CaseIterable {
        case peakEwma = "peak_ewma"
        case roundRobin = "round_robin"
        case leastRequest = "least_request"
        case random
    }

    package var loadBalancer = LoadBalancer.peakEwma
    /// The whole answer; zero is no limit.
    package var requestTimeout = Duration.zero
    package var connectTimeout = Duration.seconds(1)
    /// Silence after which a TCP connection ends; zero is never.
    package var idleTimeout = Duration.seconds(3600)
    package var retries = 1
    /// How long requests wait for a pod when there is none; zero is not at all.
    package var endpointWait = Duration.seconds(3)
    package var maxConnections = 4096
    package var maxPendingRequests = 4096
    package var maxRequests = 16384
    package var detectsOutliers = true
    /// Requests in work are bounded by what their latency says that the pods can do. Not of itself: where latencies vary for other
    /// reasons, it refuses requests that could be served.
    package var limitsAdaptively = false
    /// Services of the same namespace that share the requests by weight, at the same port; empty: the Service's own pods.
    package var split: [Share] = []

    /// A client stays with its pod (`sessionAffinity: ClientIP`) until it stays away for so many seconds; nil: it does not.
    package var clientTimeout: Int?
    /// Whether clients stay with their pods.
    package var bindsClients: Bool { clientTimeout != nil }

    /// One part of a split.
    package struct Share: Sendable, Equatable {
        package var service: String
        package var weight: Int
    }

    /// The annotations that are known, with the domain `weft.dev/`.
    static let names = [
        "adaptive-limit", "connect-timeout", "endpoint-wait", "idle-timeout", "load-balancer", "max-connections",
        "max-pending-requests",
        "max-requests",
        "outlier-detection", "request-timeout", "retries", "traffic-split",
    ]

    package init() {}

    /// The policy of a Service by its annotations and its affinity.
    package init(_ service: MeshService, problems: inout [String]) {
        self.init(service.annotations, problems: &problems)
        clientTimeout = service.affinitySeconds
    }

    /// The policy of annotations; a value that cannot be used is left out, with a message.
    package init(_ annotations: [String: String], problems: inout [String]) {
        for (key, text) in annotations.sorted(by: { $0.key < $1.key }) where key.hasPrefix("weft.dev/") {
            let name = String(key.dropFirst("weft.dev/".count))
            guard Self.names.contains(name) else {
                problems.append("\(key) is no annotation of Services: known are \(Self.names.joined(separator: ", "))")
                continue
            }
            if let expected = set(name, text) {
                problems.append("\(key): expected \(expected), got \"\(text.prefix(80))\"; the default is used")
            }
        }
    }

    /// Sets one value; gives what was expected when the text is none.
    private mutating func set(_ name: String, _ text: String) -> String? {
        switch name {
        case "load-balancer":
            guard let policy = LoadBalancer(rawValue: text) else {
                return "one of \(LoadBalancer.allCases.map(\.rawValue).joined(separator: ", "))"
            }
            loadBalancer = policy
        case "outlier-detection":
            guard text == "on" || text == "off" else { return "on or off" }
            detectsOutliers = text == "on"
        case "adaptive-limit":
            guard text == "on" || text == "off" else { return "on or off" }
            limitsAdaptively = text == "on"
        case "traffic-split":
            guard let shares = Self.shares(text) else {
                return "SERVICE=WEIGHT, up to 16 of them, such as web-v1=90,web-v2=10"
            }
            split = shares
        case "retries":
            guard let count = Int(text), (0...10).contains(count) else { return "a number from 0 to 10" }
            retries = count
        case "connect-timeout":
            guard let duration = Self.duration(text), duration > .zero else { return "a duration such as 500ms" }
            connectTimeout = duration
        case "request-timeout":
            guard let duration = Self.duration(text) else { return "a duration such as 15s, or 0s for none" }
            requestTimeout = duration
        case "endpoint-wait":
            guard let duration = Self.duration(text), duration <= .seconds(60) else {
                return "a duration up to 60s, or 0s to fail at once"
            }
            endpointWait = duration
        case "idle-timeout":
            guard let duration = Self.duration(text) else { return "a duration such as 30m, or 0s for none" }
            idleTimeout = duration
        default:
            guard let limit = Int(text), (1...1_000_000).contains(limit) else { return "a number from 1 to 1000000" }
            switch name {
            case "max-connections": maxConnections = limit
            case "max-pending-requests": maxPendingRequests = limit
            default: maxRequests = limit
            }
        }
        return nil
    }

    /// `web-v1=90,web-v2=10`: every Service once, and not all weights 0.
    private static func shares(_ text: String) -> [Share]? {
        var shares: [Share] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let weight = Int(sides[1].trimmed), (0...1_000_000).contains(weight) else {
                return nil
            }
            let name = sides[0].trimmed
            let isName = name.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D
            }
            guard isName, (1...63).contains(name.utf8.count), !shares.contains(where: { $0.service == name }) else {
                return nil
            }
            shares.append(Share(service: name, weight: weight))
        }
        return shares.count <= 16 && shares.contains { $0.weight > 0 } ? shares : nil
    }

    /// `1h`, `1m30s`, `1.5s`, `200ms`: up to a week.
    static func duration(_ text: String) -> Duration? {
        guard text.utf8.count <= 24 else { return nil }
        if text == "0" { return .zero }
        var total = 0.0
        var rest = text[...]
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(unit.count)
            let scale: Double? = ["ms": 0.001, "s": 1, "m": 60, "h": 3600][String(unit)]
            guard let scale, let value = Double(number), value >= 0 else { return nil }
            total += value * scale
        }
        guard total <= 604_800 else { return nil }
        return .milliseconds(Int64((total * 1000).rounded()))
    }
}

extension Substring {
    /// Without spaces at its ends.
    fileprivate var trimmed: String {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
