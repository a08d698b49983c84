import EnvoyAPI
import Glibc
import Traffic

/// How the proxy's own answers are changed (`local_reply_config`).
final class LocalReplyRules: Sendable {
    /// The first whose filter admits an answer changes it.
    let mappers: [Mapper]
    /// For bodies whose mapper has no format of its own.
    let format: BodyFormat?
    /// A filter or a format looks at the request.
    let needsRequest: Bool
    /// Owns what the mappers' changes of headers point to.
    private let arena: Arena

    struct Mapper: Sendable {
        var filter: AccessLogFilter
        var status: UInt16?
        var body: [UInt8]?
        var format: BodyFormat?
        var edits: ArenaArray<HeaderEdit>
    }

    struct BodyFormat: Sendable {
        var format: AccessLogFormat
        var contentType: [UInt8]
        /// What ends the body: a line end behind JSON.
        var ending: [UInt8]
    }

    init(mappers: [Mapper], format: BodyFormat?, arena: Arena) {
        self.mappers = mappers
        self.format = format
        self.arena = arena
        let formats = mappers.compactMap(\.format) + [format].compactMap { $0 }
        needsRequest =
            formats.contains { $0.format.needs.contains(.request) }
            || mappers.contains { $0.filter.needs.contains(.request) || Self.readsRequest($0.edits) }
    }

    private static func readsRequest(_ edits: ArenaArray<HeaderEdit>) -> Bool {
        (0..<edits.count).contains { index in
            (0..<edits[index].value.count).contains { edits[index].value[$0].kind != .literal }
        }
    }
}

extension AccessLogCompiler {
    /// The rules, with what is wrong with them reported.
    func localReplies(_ message: Envoy.HttpConnectionManager.LocalReplyConfig) -> LocalReplyRules {
        let arena = Arena()
        let headers = HeaderCompiler(context: context, arena: arena)
        let mappers = context.each("mappers", message.mappers) { mapper -> LocalReplyRules.Mapper? in
            guard let wanted = mapper.filter else { return nil }
            var made = LocalReplyRules.Mapper(
                filter: context.at("filter") { filter(wanted) },
                status: mapper.statusCode.map { UInt16(clamping: $0) },
                edits: ArenaArray()
            )
            made.body = mapper.body.map { source in context.at("body") { bytes(source) } }
            made.format = mapper.bodyFormatOverride.flatMap { bodyFormat("body_format_override", $0) }
            made.edits = arena.copy(
                HeaderEdit.settled(
                    headers.edits(add: mapper.headersToAdd, remove: [], addStep: "headers_to_add", removeStep: "")
                )
            )
            return made
        }
        return LocalReplyRules(
            mappers: mappers.compactMap { $0 },
            format: message.bodyFormat.flatMap { bodyFormat("body_format", $0) },
            arena: arena
        )
    }

    private func bodyFormat(_ step: String, _ message: Envoy.SubstitutionFormatString) -> LocalReplyRules.BodyFormat? {
        guard let format = format(step, message) else { return nil }
        var type = "text/plain"
        var ending = ""
        if case .jsonFormat = message.format { (type, ending) = ("application/json", "\n") }
        if !message.contentType.isEmpty { type = message.contentType }
        if type.utf8.contains(where: { $0 < 0x20 || $0 >= 0x7F }) {
            context.at(step) { context.report("content_type: has bytes that no header may have") }
        }
        return LocalReplyRules.BodyFormat(format: format, contentType: Array(type.utf8), ending: Array(ending.utf8))
    }

    private func bytes(_ source: Envoy.DataSource) -> [UInt8] {
        switch source.specifier {
        case .inlineString(let text): return Array(text.utf8)
        case .inlineBytes(let bytes): return bytes
        case .filename(let path):
            switch FileBytes.read(path, limit: Self.bodyLimit) {
            case .success(let bytes): return bytes
            case .failure(let failure):
                context.report("filename: \(failure.message)")
                return []
            }
        case .environmentVariable(let name):
            guard let value = getenv(name) else {
                context.report("environment_variable: there is no \(name) in the environment")
                return []
            }
            return Array(String(cString: value).utf8)
        case nil: return []
        }
    }

    /// Bytes of a body: what fits beside a head.
    private static var bodyLimit: Int { 32_768 }
}
