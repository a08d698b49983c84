import EnvoyAPI
import Glibc
import Traffic
import Wire

/// Where the spans of a tracer go. Immutable; equal ones share one.
final class TracerTarget: Sendable {
    enum Way: Equatable, Sendable {
        case call(cluster: String, authority: String, metadata: [String: String])
        case http(cluster: String, authority: String, path: String, fields: [String: String])
    }

    struct Settings: Equatable, Sendable {
        var way: Way
        /// Nanoseconds; 0 = no limit.
        var timeout: UInt64
        var service: String
        /// Spans that are sent together at the latest, and the longest wait for more.
        var batch: Int
        var interval: UInt64
        /// Spans that wait; further ones are dropped.
        var limit: Int
    }

    let number: Int
    let settings: Settings

    init(number: Int, settings: Settings) {
        self.number = number
        self.settings = settings
    }
}

/// The tracers of the configuration by number. Numbers are never taken back.
final class TracerBook {
    private(set) var targets: [TracerTarget] = []

    func target(_ settings: TracerTarget.Settings) -> TracerTarget {
        if let known = targets.first(where: { $0.settings == settings }) { return known }
        let made = TracerTarget(number: targets.count, settings: settings)
        targets.append(made)
        return made
    }
}

/// How a span is put together from a record: its name and its attributes.
struct SpanShape: Sendable, Equatable {
    struct Attribute: Sendable, Equatable {
        var key: String
        var parts: [AccessLogFormat.Operator]
        /// Where there is no value; nil: the attribute is left out.
        var standard: String?
        /// For calls of gRPC alone.
        var isForCalls = false
    }

    let tracer: TracerTarget
    var name: [AccessLogFormat.Operator]
    var attributes: [Attribute]

    static func == (left: SpanShape, right: SpanShape) -> Bool {
        left.tracer === right.tracer && left.name == right.name && left.attributes == right.attributes
    }

    /// The format by which workers know what to copy into their rings.
    var format: AccessLogFormat {
        var members = attributes.map { AccessLogFormat.Member(name: $0.key, node: .text($0.parts)) }
        members.append(AccessLogFormat.Member(name: "", node: .text(name + [.span])))
        return AccessLogFormat(.json(.object(members)))
    }
}

/// `tracing` of a connection manager, compiled.
struct TracingSettings: Sendable {
    var server: AccessLogIndex
    /// nil: tries have no spans of their own.
    var client: AccessLogIndex?
    var rule = SamplingRule()
    /// Requests that fail are told even where nothing else speaks for it.
    var keepsErrors = false
    var readsB3 = false
    var isOutbound = false
    var numbers: Numbers

    /// Places in `Worker.filterNumbers`.
    struct Numbers: Sendable {
        var drawn: Int32
        var service: Int32
        var client: Int32
        var notTraced: Int32
    }

    var logs: [AccessLogIndex] { [server] + (client.map { [$0] } ?? []) }
}

/// Compiles `tracing`.
extension ListenerCompiler {
    func tracing(_ message: Envoy.HttpConnectionManager.Tracing, statPrefix: String) -> TracingSettings? {
        guard case .openTelemetry(let config)? = message.provider?.typedConfig,
            let target = context.at("provider.typed_config", { target(config) })
        else { return nil }
        let tracer = context.tracers.target(target)
        let custom = context.each("custom_tags", message.customTags) { tag($0) }.compactMap { $0 }
        let isOutbound = context.isOutbound
        var server = SpanShape(
            tracer: tracer,
            name: isOutbound ? [.literal("egress "), Self.header(":authority")] : [.literal("ingress")],
            attributes: Self.server(Int(message.maxPathTagLength ?? 256)) + Self.common + custom
        )
        var client = SpanShape(
            tracer: tracer,
            name: [.literal("router "), .field(.upstreamCluster), .literal(" egress")],
            attributes: Self.client + Self.common
        )
        if let name = operation("operation", message.operation) { server.name = name }
        if let name = operation("upstream_operation", message.upstreamOperation) { client.name = name }
        func place(_ name: String) -> Int32 { context.filterStats.place(prefix: statPrefix, "tracing.\(name)") }
        var settings = TracingSettings(
            server: context.accessLogs.number(server),
            client: message.spawnUpstreamSpan ?? false ? context.accessLogs.number(client) : nil,
            numbers: TracingSettings.Numbers(
                drawn: place("random_sampling"),
                service: place("service_forced"),
                client: place("client_enabled"),
                notTraced: place("not_traceable")
            )
        )
        settings.rule.client = share("client_sampling", message.clientSampling)
        settings.rule.random = share("random_sampling", message.randomSampling)
        settings.rule.overall = share("overall_sampling", message.overallSampling)
        settings.isOutbound = isOutbound
        own(&settings)
        return settings
    }

    /// What Envoy has not: `weft.dev/tracing: {keep_errors: true, b3: true}` in the listener's metadata.
    private func own(_ settings: inout TracingSettings) {
        guard let wanted = context.listenerMetadata?.filterMetadata["weft.dev/tracing"] else { return }
        for (name, value) in wanted.fields ?? Fields() {
            switch (name, value) {
            case ("keep_errors", .bool(let isOn)): settings.keepsErrors = isOn
            case ("b3", .bool(let isOn)): settings.readsB3 = isOn
            default: context.report("metadata weft.dev/tracing has keep_errors and b3, both true or false; not \(name)")
            }
        }
    }

    private func share(_ step: String, _ percent: Envoy.Percent?) -> UInt32 {
        guard let value = percent?.value else { return 1_000_000 }
        guard (0...100).contains(value) else {
            context.report("\(step).value: \(value) is not in 0...100")
            return 0
        }
        return UInt32(value * 10_000)
    }

    private func operation(_ step: String, _ text: String) -> [AccessLogFormat.Operator]? {
        guard !text.isEmpty else { return nil }
        return parts(text, step)
    }

    private func parts(_ text: String, _ step: String) -> [AccessLogFormat.Operator]? {
        do throws(AccessLogFormatError) {
            return try AccessLogFormat.parse(text)
        } catch {
            context.report("\(step): \(error.message)")
            return nil
        }
    }

    private func target(_ config: Envoy.OpenTelemetryConfig) -> TracerTarget.Settings? {
        let way: TracerTarget.Way
        var timeout: UInt64 = 10_000_000_000
        if let grpc = config.grpcService {
            guard let envoy = grpc.envoyGrpc else {
                context.report("grpc_service.envoy_grpc: is required")
                return nil
            }
            _ = context.cluster(envoy.clusterName)
            let metadata = grpc.initialMetadata.map { ($0.key, $0.value) }
            way = .call(
                cluster: envoy.clusterName,
                authority: envoy.authority.isEmpty ? envoy.clusterName : envoy.authority,
                metadata: Dictionary(metadata) { $1 }
            )
            timeout = nanoseconds(grpc.timeout) ?? timeout
        } else if let http = config.httpService, let uri = http.httpUri {
            _ = context.cluster(uri.cluster)
            let (authority, path) = Self.split(uri.uri)
            let fields = http.requestHeadersToAdd.compactMap { option in option.header.map { ($0.key, $0.value) } }
            if fields.contains(where: { $0.1.contains("%") }) {
                context.report("http_service.request_headers_to_add: formats are not supported; write plain values")
            }
            way = .http(
                cluster: uri.cluster,
                authority: authority,
                path: path,
                fields: Dictionary(fields) { $1 }
            )
            timeout = nanoseconds(uri.timeout) ?? timeout
        } else {
            return nil
        }
        let runtime = context.runtime
        return TracerTarget.Settings(
            way: way,
            timeout: timeout,
            service: config.serviceName.isEmpty ? "unknown_service:weft" : config.serviceName,
            batch: Int(clamping: max(1, min(runtime.number("tracing.opentelemetry.min_flush_spans") ?? 64, 256))),
            interval: max(50, runtime.number("tracing.opentelemetry.flush_interval_ms") ?? 1000) * 1_000_000,
            limit: Int(clamping: min(config.maxCacheSize ?? 1024, 65_536))
        )
    }

    /// Host and path of a URI.
    private static func split(_ uri: String) -> (authority: String, path: String) {
        var rest = Substring(uri)
        if let scheme = rest.firstRange(of: "://") { rest = rest[scheme.upperBound...] }
        guard let slash = rest.firstIndex(of: "/") else { return (String(rest), "/") }
        return (String(rest[..<slash]), String(rest[slash...]))
    }

    private func tag(_ message: Envoy.CustomTag) -> SpanShape.Attribute? {
        func attribute(_ parts: [AccessLogFormat.Operator], _ standard: String = "") -> SpanShape.Attribute {
            SpanShape.Attribute(key: message.tag, parts: parts, standard: standard.isEmpty ? nil : standard)
        }
        switch message.type {
        case .literal(let literal): return attribute([.literal(literal.value)])
        case .environment(let source):
            // Read once, when the configuration is: the environment of a process does not change.
            let value = getenv(source.name).map { String(cString: $0) } ?? source.defaultValue
            return value.isEmpty ? nil : attribute([.literal(value)])
        case .requestHeader(let header):
            return attribute([Self.header(RouteCompiler.lowercased(header.name))], header.defaultValue)
        case .value(let text): return parts(text, "value").map { attribute($0) }
        case nil: return nil
        }
    }

    // MARK: Attributes, as Envoy has them

    private static func header(_ name: String) -> AccessLogFormat.Operator {
        .header(.request, AccessLogFormat.HeaderPick(name: name, alternative: nil, limit: nil))
    }

    private static func server(_ limit: Int) -> [SpanShape.Attribute] {
        [
            SpanShape.Attribute(key: "guid:x-request-id", parts: [header("x-request-id")]),
            SpanShape.Attribute(
                key: "http.url",
                parts: [
                    header(":scheme"), .literal("://"), header(":authority"),
                    .path(withQuery: true, original: true, limit: limit),
                ]
            ),
            SpanShape.Attribute(key: "http.method", parts: [header(":method")]),
            SpanShape.Attribute(
                key: "downstream_cluster",
                parts: [header("x-envoy-downstream-service-cluster")],
                standard: "-"
            ),
            SpanShape.Attribute(key: "user_agent", parts: [header("user-agent")], standard: "-"),
            SpanShape.Attribute(key: "http.protocol", parts: [.field(.protocol)]),
            SpanShape.Attribute(key: "peer.address", parts: [.field(.downstreamDirectRemoteAddressWithoutPort)]),
            SpanShape.Attribute(key: "guid:x-client-trace-id", parts: [header("x-client-trace-id")]),
            SpanShape.Attribute(key: "request_size", parts: [.field(.bytesReceived)], standard: "0"),
            SpanShape.Attribute(key: "response_size", parts: [.field(.bytesSent)], standard: "0"),
        ]
    }

    private static var client: [SpanShape.Attribute] {
        [
            SpanShape.Attribute(key: "http.protocol", parts: [.field(.upstreamProtocol)]),
            SpanShape.Attribute(key: "upstream_address", parts: [.field(.upstreamHost)]),
            SpanShape.Attribute(key: "peer.address", parts: [.field(.upstreamHost)]),
        ]
    }

    private static var common: [SpanShape.Attribute] {
        [
            SpanShape.Attribute(key: "component", parts: [.literal("proxy")]),
            SpanShape.Attribute(key: "upstream_cluster", parts: [.field(.upstreamCluster)]),
            SpanShape.Attribute(key: "upstream_cluster.name", parts: [.field(.upstreamCluster)]),
            SpanShape.Attribute(key: "http.status_code", parts: [.field(.responseCode)]),
            SpanShape.Attribute(key: "response_flags", parts: [.field(.responseFlags)], standard: "-"),
            SpanShape.Attribute(key: "grpc.path", parts: [header(":path")], isForCalls: true),
            SpanShape.Attribute(key: "grpc.authority", parts: [header(":authority")], isForCalls: true),
            SpanShape.Attribute(key: "grpc.content_type", parts: [header("content-type")], isForCalls: true),
            SpanShape.Attribute(key: "grpc.timeout", parts: [header("grpc-timeout")], isForCalls: true),
            SpanShape.Attribute(key: "grpc.status_code", parts: [.grpcStatus(.number)], isForCalls: true),
        ]
    }
}

extension AccessLogBook {
    /// The log by whose records spans come.
    func number(_ shape: SpanShape) -> AccessLogIndex {
        number(.spans(shape.tracer.number), shape.format, nil, span: shape)
    }
}
