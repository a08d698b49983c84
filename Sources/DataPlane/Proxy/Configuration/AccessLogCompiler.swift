import EnvoyAPI
import Traffic
import Wire

/// Compiles access logs and the formats of bodies.
extension ListenerCompiler {
    func accessLogs(_ step: String, _ messages: [Envoy.AccessLog]) -> [AccessLogIndex] {
        AccessLogCompiler(context: context).logs(step, messages)
    }
}

struct AccessLogCompiler {
    let context: CompileContext

    func logs(_ step: String, _ messages: [Envoy.AccessLog]) -> [AccessLogIndex] {
        context.each(step, messages) { message in
            let filter = message.filter.map { message in context.at("filter") { self.filter(message) } }
            return context.at("typed_config") {
                switch message.typedConfig {
                case .file(let file):
                    let sink: AccessLogConfiguration.Sink
                    switch file.path {
                    case "/dev/stdout": sink = .standardOutput
                    case "/dev/stderr": sink = .standardError
                    default: sink = .file(file.path)
                    }
                    return log(sink, format(file.accessLogFormat), filter)
                case .stdout(let log): return self.log(.standardOutput, format("log_format", log.logFormat), filter)
                case .stderr(let log): return self.log(.standardError, format("log_format", log.logFormat), filter)
                case nil:
                    context.report("is required")
                    return nil
                }
            }
        }.compactMap { $0 }
    }

    private func log(
        _ sink: AccessLogConfiguration.Sink,
        _ format: AccessLogFormat?,
        _ filter: AccessLogFilter?
    ) -> AccessLogIndex? {
        format.map { context.accessLogs.number(sink, $0, filter) }
    }

    // MARK: Formats

    private func format(_ message: Envoy.FileAccessLog.AccessLogFormat?) -> AccessLogFormat? {
        switch message {
        case nil: text(AccessLogFormat.standardText, "format")
        case .format(let format): text(format.isEmpty ? AccessLogFormat.standardText : format, "format")
        case .jsonFormat(let value): json(value, omitsEmpty: false)
        case .logFormat(let format): self.format("log_format", format)
        }
    }

    /// The format, or Envoy's default one; nil with the reasons reported.
    func format(_ step: String, _ message: Envoy.SubstitutionFormatString?) -> AccessLogFormat? {
        context.at(step) {
            let omitsEmpty = message?.omitEmptyValues ?? false
            switch message?.format {
            case nil: return text(AccessLogFormat.standardText, "text_format")
            case .textFormat(let format): return text(format, "text_format", omitsEmpty: omitsEmpty)
            case .jsonFormat(let value): return json(value, omitsEmpty: omitsEmpty)
            case .textFormatSource(let source):
                return context.at("text_format_source") {
                    switch source.specifier {
                    case .inlineString(let format): return text(format, "inline_string", omitsEmpty: omitsEmpty)
                    case .inlineBytes(let bytes):
                        return text(String(decoding: bytes, as: UTF8.self), "inline_bytes", omitsEmpty: omitsEmpty)
                    default:
                        context.report("only inline_string and inline_bytes are supported")
                        return nil
                    }
                }
            }
        }
    }

    private func text(_ text: String, _ step: String, omitsEmpty: Bool = false) -> AccessLogFormat? {
        parts(text, step).map { AccessLogFormat(.text($0), omitsEmpty: omitsEmpty) }
    }

    private func parts(_ text: String, _ step: String) -> [AccessLogFormat.Operator]? {
        context.at(step) {
            do throws(AccessLogFormatError) {
                return try AccessLogFormat.parse(text)
            } catch {
                context.report(error.message)
                return nil
            }
        }
    }

    private func json(_ value: Value, omitsEmpty: Bool) -> AccessLogFormat? {
        node(value, "json_format", depth: 0).map { AccessLogFormat(.json($0), omitsEmpty: omitsEmpty) }
    }

    /// Properties stand in the order of their names: of a `Struct` no other order is known.
    private func node(_ value: Value, _ step: String, depth: Int) -> AccessLogFormat.Node? {
        guard depth < 32 else {
            context.at(step) { context.report("is nested too deeply: 32 levels are the most") }
            return nil
        }
        switch value {
        case .object(let fields):
            return context.at(step) {
                var members: [AccessLogFormat.Member] = []
                for (name, field) in fields {
                    guard let node = node(field, name, depth: depth + 1) else { return nil }
                    members.append(AccessLogFormat.Member(name: name, node: node))
                }
                return .object(members.sorted { $0.name < $1.name })
            }
        case .array(let elements):
            var nodes: [AccessLogFormat.Node] = []
            for (index, element) in elements.enumerated() {
                guard let node = node(element, "\(step)[\(index)]", depth: depth + 1) else { return nil }
                nodes.append(node)
            }
            return .array(nodes)
        case .string(let format): return parts(format, step).map { .text($0) }
        default: return .constant(String(decoding: JSON.bytes(value, pretty: false), as: UTF8.self))
        }
    }

    // MARK: Filters

    func filter(_ message: Envoy.AccessLogFilter) -> AccessLogFilter {
        let headers = RouteCompiler(Envoy.RouteConfiguration(), context)
        let rule = rule(message, headers)
        let source = String(decoding: JSON.bytes(message.jsonValue, pretty: false), as: UTF8.self)
        return AccessLogFilter(rule, source: source, arena: headers.builder.arena)
    }

    private func rule(_ message: Envoy.AccessLogFilter, _ headers: RouteCompiler) -> AccessLogFilter.Rule {
        switch message.filterSpecifier {
        case .statusCode(let filter): return .status(comparison(filter.comparison))
        case .duration(let filter): return .duration(comparison(filter.comparison))
        case .notHealthCheck: return .notHealthCheck
        case nil: return .everything
        case .runtime(let filter):
            if let known = context.runtime.share(filter.runtimeKey) { return .share(known) }
            let fraction = filter.percentSampled
            let unit: UInt64 =
                switch fraction?.denominator ?? .hundred {
                case .hundred: 10_000
                case .tenThousand: 100
                case .million: 1
                }
            return .share(UInt32(min(1_000_000, UInt64(fraction?.numerator ?? 0) * unit)))
        case .and(let filter): return .all(context.each("and_filter.filters", filter.filters) { rule($0, headers) })
        case .or(let filter): return .any(context.each("or_filter.filters", filter.filters) { rule($0, headers) })
        case .header(let filter):
            guard let header = filter.header else { return .everything }
            return .header(context.at("header_filter.header") { headers.header(header) })
        case .responseFlag(let filter): return .flags(flags(filter.flags))
        case .grpcStatus(let filter):
            return .grpcStatus(Set(filter.statuses.map(\.rawValue)), excludes: filter.exclude)
        case .logType(let filter):
            func isWanted(_ type: Envoy.AccessLogType) -> Bool { filter.types.contains(type) != filter.exclude }
            return .kinds(
                AccessLogKind.allCases.reduce(0) { mask, kind in
                    let type = Envoy.AccessLogType(rawValue: Int32(kind.rawValue)) ?? .notSet
                    return isWanted(type) ? mask | 1 << UInt32(kind.rawValue) : mask
                }
            )
        }
    }

    /// The runtime key counts before the default.
    private func number(_ value: Envoy.RuntimeUInt32?) -> UInt64 {
        value.flatMap { $0.runtimeKey.isEmpty ? nil : context.runtime.number($0.runtimeKey) }
            ?? UInt64(value?.defaultValue ?? 0)
    }

    private func comparison(_ message: Envoy.ComparisonFilter?) -> AccessLogFilter.Comparison {
        let relation: AccessLogFilter.Comparison.Operator =
            switch message?.op ?? .equal {
            case .equal: .equal
            case .greaterOrEqual: .greaterOrEqual
            case .lessOrEqual: .lessOrEqual
            case .notEqual: .notEqual
            }
        return AccessLogFilter.Comparison(relation: relation, value: number(message?.value))
    }

    private func flags(_ names: [String]) -> ResponseFlags {
        var flags: ResponseFlags = []
        for (index, name) in names.enumerated() {
            if let flag = ResponseFlags(name: name) {
                flags.insert(flag)
            } else if !ResponseFlags.foreignNames.contains(name) {
                context.at("response_flag_filter.flags[\(index)]") {
                    context.report("\"\(name)\" is no response flag")
                }
            }
        }
        // Flags of features that are not here never stand anywhere; an empty set would mean any flag.
        if flags.isEmpty, !names.isEmpty { flags = ResponseFlags(rawValue: 1 << 31) }
        return flags
    }
}
