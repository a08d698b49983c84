import EnvoyAPI
import Traffic

/// Compiles header changes and texts with command operators into the arena of a route table.
struct HeaderCompiler {
    let context: CompileContext
    let arena: Arena

    /// One level's changes: names to remove come first, as in Envoy.
    func edits(
        add: [Envoy.HeaderValueOption],
        remove: [String],
        addStep: String,
        removeStep: String
    ) -> [HeaderEdit] {
        let removed = context.each(removeStep, remove) { name -> HeaderEdit? in
            guard isAllowed(name) else { return nil }
            return HeaderEdit(kind: .remove, name: arena.copy(RouteCompiler.lowercased(name)), value: ArenaArray())
        }
        let added = context.each(addStep, add) { edit($0) }
        return removed.compactMap { $0 } + added.compactMap { $0 }
    }

    private func edit(_ option: Envoy.HeaderValueOption) -> HeaderEdit? {
        guard let header = option.header, isAllowed(header.key) else { return nil }
        let value = header.rawValue.isEmpty ? header.value : String(decoding: header.rawValue, as: UTF8.self)
        return HeaderEdit(
            kind: kind(option),
            name: arena.copy(RouteCompiler.lowercased(header.key)),
            value: context.at("header.value") { parts(value) },
            keepsEmptyValue: option.keepEmptyValue
        )
    }

    /// One change of the filter `header_mutation`.
    func edit(_ mutation: Envoy.HeaderMutation) -> HeaderEdit? {
        switch mutation.action {
        case .append(let option): return context.at("append") { edit(option) }
        case .remove(let name):
            guard isAllowed(name) else { return nil }
            return HeaderEdit(kind: .remove, name: arena.copy(RouteCompiler.lowercased(name)), value: ArenaArray())
        case .removeOnMatch, nil: return nil
        }
    }

    /// What makes up the message's frame or its routing is not for header rules to change.
    private func isAllowed(_ name: String) -> Bool {
        let lower = RouteCompiler.lowercased(name)
        let fixed = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"]
        guard !lower.hasPrefix(":"), !fixed.contains(lower) else {
            context.report("the header \(name) cannot be changed here")
            return false
        }
        return true
    }

    private func kind(_ option: Envoy.HeaderValueOption) -> HeaderEdit.Kind {
        if let append = option.append { return append ? .append : .overwrite }
        switch option.appendAction {
        case .appendIfExistsOrAdd: return .append
        case .addIfAbsent: return .addIfAbsent
        case .overwriteIfExistsOrAdd: return .overwrite
        case .overwriteIfExists: return .overwriteIfPresent
        }
    }

    func parts(_ text: String) -> ArenaArray<ValuePart> {
        do {
            var parts: [ValuePart] = []
            for part in try AccessLogFormat.parse(text) {
                guard let made = valuePart(part) else {
                    context.report("a command operator in \"\(text)\" is not supported in headers")
                    return ArenaArray()
                }
                parts.append(made)
            }
            return arena.copy(parts)
        } catch {
            context.report(error.message)
            return ArenaArray()
        }
    }

    private func valuePart(_ part: AccessLogFormat.Operator) -> ValuePart? {
        func plain(_ kind: ValuePart.Kind) -> ValuePart { ValuePart(kind: kind, bytes: .empty) }
        switch part {
        case .literal(let text): return ValuePart(kind: .literal, bytes: arena.copy(text))
        case .field(.downstreamRemoteAddress): return plain(.downstreamRemoteAddress)
        case .field(.downstreamRemoteAddressWithoutPort): return plain(.downstreamRemoteAddressWithoutPort)
        case .field(.downstreamDirectRemoteAddress): return plain(.directRemoteAddress)
        case .field(.downstreamDirectRemoteAddressWithoutPort): return plain(.directRemoteAddressWithoutPort)
        case .field(.downstreamLocalAddress): return plain(.downstreamLocalAddress)
        case .field(.downstreamLocalAddressWithoutPort): return plain(.downstreamLocalAddressWithoutPort)
        case .field(.downstreamLocalPort): return plain(.downstreamLocalPort)
        case .field(.upstreamHost), .field(.upstreamRemoteAddress): return plain(.upstreamHost)
        case .field(.upstreamRemoteAddressWithoutPort): return plain(.upstreamHostWithoutPort)
        case .field(.upstreamCluster): return plain(.upstreamCluster)
        case .field(.upstreamRequestAttemptCount): return plain(.attempts)
        case .field(.routeName): return plain(.routeName)
        case .field(.responseCode): return plain(.responseCode)
        case .field(.responseFlags): return plain(.responseFlags)
        case .field(.connectionID): return plain(.connectionID)
        case .field(.hostname): return plain(.hostname)
        case .time(let pattern, isLocal: false, isEnd: false):
            return ValuePart(kind: .startTime, bytes: arena.copy(pattern ?? ""))
        case .header(.request, let pick): return field(.requestHeader, pick.name, pick.alternative, pick.limit)
        case .header(.response, let pick): return field(.responseHeader, pick.name, pick.alternative, pick.limit)
        default:
            let value = FormattedValue(AccessLogFormat(.text([part]), omitsEmpty: true))
            let kind: ValuePart.Kind = value.format.needs.contains(.request) ? .formattedWithRequest : .formatted
            return ValuePart(kind: kind, bytes: arena.keep(value))
        }
    }

    private func field(_ kind: ValuePart.Kind, _ name: String, _ alternative: String?, _ limit: Int?) -> ValuePart {
        ValuePart(
            kind: kind,
            bytes: arena.copy(RouteCompiler.lowercased(name)),
            alternative: arena.copy(RouteCompiler.lowercased(alternative ?? "")),
            limit: limit ?? .max
        )
    }
}

/// One command operator of a header's value, for the worker's slow way.
final class FormattedValue: Sendable {
    let format: AccessLogFormat

    init(_ format: AccessLogFormat) { self.format = format }
}
