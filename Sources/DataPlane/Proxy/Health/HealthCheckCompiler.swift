import EnvoyAPI
import Traffic
import Wire

extension ClusterCompiler {
    /// The check of a cluster's endpoints; nil: none, or problems.
    func check(_ cluster: Envoy.Cluster, introduction: ProxyIntroduction.Version?) -> HealthCheckSettings? {
        guard let message = cluster.healthChecks.first else { return nil }
        guard cluster.healthChecks.count == 1 else {
            context.report("health_checks: a cluster takes one")
            return nil
        }
        guard cluster.type != .originalDst else {
            context.report("health_checks: the endpoints of type ORIGINAL_DST are not known, so they cannot be checked")
            return nil
        }
        return context.at("health_checks[0]") { check(message, cluster, introduction) }
    }

    private func check(
        _ message: Envoy.HealthCheck,
        _ cluster: Envoy.Cluster,
        _ introduction: ProxyIntroduction.Version?
    ) -> HealthCheckSettings? {
        guard let kind = kind(message.healthChecker) else { return nil }
        var settings = HealthCheckSettings(
            kind: kind,
            timeout: nanoseconds(message.timeout) ?? 0,
            intervals: intervals(message),
            healthyThreshold: message.healthyThreshold ?? 1,
            unhealthyThreshold: message.unhealthyThreshold ?? 1
        )
        settings.reusesConnection = message.reuseConnection ?? true
        if !message.eventLogPath.isEmpty { settings.logPaths.append(message.eventLogPath) }
        for logger in message.eventLogger {
            if case .file(let sink) = logger.typedConfig { settings.logPaths.append(sink.eventLogPath) }
        }
        settings.logsFailures = message.alwaysLogHealthCheckFailures
        settings.logsSuccesses = message.alwaysLogHealthCheckSuccess
        var protocols = message.tlsOptions?.alpnProtocols ?? []
        if protocols.isEmpty, settings.usesHTTP2 { protocols = ["h2"] }
        var socket = cluster.transportSocket
        if let criteria = message.transportSocketMatchCriteria?.fields {
            let match = cluster.transportSocketMatches.first { match in
                (match.match?.fields ?? Fields()).allSatisfy { name, value in criteria[name] == value }
            }
            if let match { socket = match.transportSocket }
            settings.usesOneTransport = true
        }
        settings.tls = TLSCompiler(context: context).checks(
            socket,
            owner: "health checks of cluster \(cluster.name)",
            protocols: protocols
        )
        settings.introduction = introduction
        return settings
    }

    private func intervals(_ message: Envoy.HealthCheck) -> CheckIntervals {
        var intervals = CheckIntervals(nanoseconds(message.interval) ?? 0)
        intervals.healthyEdge = nanoseconds(message.healthyEdgeInterval) ?? intervals.healthy
        intervals.unhealthy = nanoseconds(message.unhealthyInterval) ?? intervals.healthy
        intervals.unhealthyEdge = nanoseconds(message.unhealthyEdgeInterval) ?? intervals.unhealthy
        intervals.noTraffic = nanoseconds(message.noTrafficInterval) ?? intervals.noTraffic
        intervals.noTrafficHealthy = nanoseconds(message.noTrafficHealthyInterval) ?? intervals.noTraffic
        intervals.jitter = nanoseconds(message.intervalJitter) ?? 0
        intervals.jitterPercent = message.intervalJitterPercent
        intervals.initialJitter = nanoseconds(message.initialJitter) ?? 0
        return intervals
    }

    private func kind(_ checker: Envoy.HealthCheck.HealthChecker?) -> HealthCheckSettings.Kind? {
        switch checker {
        case .httpHealthCheck(let message): return context.at("http_health_check") { .http(http(message)) }
        case .tcpHealthCheck(let message):
            return context.at("tcp_health_check") {
                .tcp(
                    send: message.send.map { send in context.at("send") { payload(send) } } ?? [],
                    receive: context.each("receive", message.receive) { payload($0) }
                )
            }
        case .grpcHealthCheck(let message):
            return context.at("grpc_health_check") {
                var check = GRPCCheck()
                check.service = message.serviceName
                check.authority = message.authority
                check.fields = fields("initial_metadata", message.initialMetadata)
                return .grpc(check)
            }
        case nil: return nil
        }
    }

    private func http(_ message: Envoy.HealthCheck.HttpHealthCheck) -> HTTPCheck {
        var check = HTTPCheck()
        if message.method != .methodUnspecified { check.method = "\(message.method)".uppercased() }
        check.path = message.path
        if !message.path.hasPrefix("/") || message.path.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
            context.report("path: a path begins with / and has no spaces, controls or bytes beyond ASCII")
        }
        check.host = message.host
        let removed = Set(message.requestHeadersToRemove.map { RouteCompiler.lowercased($0) })
        var all: [(name: String, value: String)] = [("user-agent", "Envoy/HC")]
        for field in fields("request_headers_to_add", message.requestHeadersToAdd) {
            if field.name == "user-agent" { all.removeAll { $0.name == field.name } }
            all.append(field)
        }
        check.fields = all.filter { !removed.contains($0.name) }
        if !message.expectedStatuses.isEmpty {
            check.expected = statuses("expected_statuses", message.expectedStatuses)
        }
        check.retriable = statuses("retriable_statuses", message.retriableStatuses)
        check.receive = context.each("receive", message.receive) { payload($0) }
        if let send = message.send {
            check.send = context.at("send") { payload(send) }
            if ["GET", "HEAD", "DELETE", "TRACE"].contains(check.method) {
                context.report(
                    "send: a request with the method \(check.method) has no body; use POST, PUT, PATCH or OPTIONS"
                )
            }
        }
        if let size = message.responseBufferSize {
            if size > HealthCheckSettings.largestBody {
                context.report("response_buffer_size: at most \(HealthCheckSettings.largestBody) bytes")
            }
            // 0 is "all of it" in Envoy; here the bound stays.
            check.bodyLimit = Int(
                size == 0 ? HealthCheckSettings.largestBody : min(size, HealthCheckSettings.largestBody)
            )
        }
        check.isHTTP2 = message.codecClientType == .http2
        check.service = message.serviceNameMatcher.flatMap { matcher in
            context.at("service_name_matcher") { service(matcher) }
        }
        return check
    }

    private func service(_ matcher: Envoy.StringMatcher) -> ServiceMatch? {
        ServiceMatch { arena in
            var match = TextMatch()
            match.ignoresCase = matcher.ignoreCase
            func text(_ kind: TextMatch.Kind, _ value: String) {
                match.kind = kind
                match.bytes = arena.copy(value)
            }
            switch matcher.matchPattern {
            case .exact(let value): text(.exact, value)
            case .prefix(let value): text(.prefix, value)
            case .suffix(let value): text(.suffix, value)
            case .contains(let value): text(.contains, value)
            case .safeRegex(let regex):
                match.kind = .pattern
                do throws(PatternError) {
                    match.pattern = try arena.compile(regex.regex, programLimit: PatternLimits.program)
                } catch { context.report("safe_regex.regex: \(error.message)") }
            case nil: context.report("a string matcher needs a pattern")
            }
            return match
        }
    }

    /// Fields of a check's request: fixed texts, for there is no request whose facts could be put in.
    private func fields(_ step: String, _ options: [Envoy.HeaderValueOption]) -> [(name: String, value: String)] {
        let fixed = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"]
        return context.each(step, options) { option -> (name: String, value: String)? in
            guard let header = option.header else { return nil }
            let name = RouteCompiler.lowercased(header.key)
            guard !name.hasPrefix(":"), !fixed.contains(name), name.utf8.allSatisfy(Self.isToken) else {
                context.report("the header \(header.key) cannot be set here")
                return nil
            }
            let value = header.rawValue.isEmpty ? header.value : String(decoding: header.rawValue, as: UTF8.self)
            guard !value.utf8.contains(0x25) else {
                context.report("header.value: command operators (%) are not supported in health checks")
                return nil
            }
            return (name, value)
        }.compactMap { $0 }
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private func statuses(_ step: String, _ ranges: [Envoy.Int64Range]) -> [Range<Int64>] {
        context.each(step, ranges) { range -> Range<Int64>? in
            guard range.start >= 100, range.end <= 600, range.start < range.end else {
                context.report("a range of statuses has a start before its end, both from 100 to 600")
                return nil
            }
            return range.start..<range.end
        }.compactMap { $0 }
    }

    /// Text is hexadecimal.
    private func payload(_ message: Envoy.HealthCheck.Payload) -> [UInt8] {
        switch message.payload {
        case .binary(let bytes): return bytes
        case .text(let text):
            let digits = text.utf8.map { byte -> UInt8? in
                switch byte {
                case 0x30...0x39: byte - 0x30
                case 0x41...0x46: byte - 0x37
                case 0x61...0x66: byte - 0x57
                default: nil
                }
            }
            let known = digits.compactMap { $0 }
            guard known.count == digits.count, known.count.isMultiple(of: 2) else {
                context.report("text: pairs of hexadecimal digits are expected, such as 000000FF")
                return []
            }
            return stride(from: 0, to: known.count, by: 2).map { known[$0] << 4 | known[$0 + 1] }
        case nil: return []
        }
    }

    /// Where an endpoint is checked; nil: not at all.
    func target(_ message: Envoy.Endpoint?, _ address: Address) -> CheckTarget? {
        var target = CheckTarget(address: address)
        guard let config = message?.healthCheckConfig else { return target }
        guard !config.disableActiveHealthCheck else { return nil }
        if let other = config.address {
            context.at("endpoint.health_check_config.address") {
                if let literal = context.address(other) { target.address = literal }
            }
        }
        if config.portValue != 0, let port = UInt16(exactly: config.portValue) { target.address.port = port }
        if !config.hostname.isEmpty { target.host = config.hostname }
        return target
    }
}
