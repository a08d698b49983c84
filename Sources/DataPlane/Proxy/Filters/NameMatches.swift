import EnvoyAPI
import Traffic

/// Names of header fields by patterns, of which any may match.
/// Safety: what the patterns point to is owned by `arena` and never changes.
final class NameMatches: @unchecked Sendable {
    private let patterns: [TextMatch]
    private let arena: Arena

    /// Nil where there is no list: what that means is for the owner to say.
    init?(_ step: String, _ message: Envoy.ListStringMatcher?, _ context: CompileContext) {
        guard let message else { return nil }
        let compiler = RouteCompiler(Envoy.RouteConfiguration(), context)
        patterns = context.at(step) { context.each("patterns", message.patterns) { compiler.text($0) } }
        arena = compiler.builder.arena
    }

    /// Whether a name, in lower case, is one of these.
    func matches(_ name: [UInt8]) -> Bool {
        name.withUnsafeBytes { raw in patterns.contains { $0.matches(ByteRun(raw)) } }
    }
}

extension ByteRun {
    /// ASCII in lower case.
    var lowercased: [UInt8] { buffer.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 } }
}
