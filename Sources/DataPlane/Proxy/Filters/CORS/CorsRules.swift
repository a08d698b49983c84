import EnvoyAPI
import Traffic

/// `cors` of a chain: what it says stands with the routes.
final class CorsFilter: Sendable {
    let valid: Int32
    let invalid: Int32

    init(prefix: String, _ context: CompileContext) {
        valid = context.filterStats.place(prefix: prefix, "cors.origin_valid")
        invalid = context.filterStats.place(prefix: prefix, "cors.origin_invalid")
    }
}

/// A policy of a route or a virtual host. What it leaves out, the next level says.
final class CorsRules: Sendable {
    let origins: ArenaArray<TextMatch>
    let methods: String
    let headers: String
    let exposed: String
    let maxAge: String
    let allowsCredentials: Bool?
    let allowsPrivateNetwork: Bool?
    let passesForeign: Bool?
    /// Of a million requests.
    let enforced: UInt32
    let watched: UInt32
    /// Owns what the matchers point to.
    private let arena: Arena

    init(_ message: Envoy.CorsPolicy, _ context: CompileContext) {
        let compiler = RouteCompiler(Envoy.RouteConfiguration(), context)
        arena = compiler.builder.arena
        origins = arena.copy(
            context.each("allow_origin_string_match", message.allowOriginStringMatch) { compiler.text($0) }
        )
        methods = message.allowMethods
        headers = message.allowHeaders
        exposed = message.exposeHeaders
        maxAge = message.maxAge
        allowsCredentials = message.allowCredentials
        allowsPrivateNetwork = message.allowPrivateNetworkAccess
        passesForeign = message.forwardNotMatchingPreflights
        enforced = message.filterEnabled.map { compiler.share($0) } ?? 1_000_000
        watched = message.shadowEnabled.map { compiler.share($0) } ?? 0
    }
}

/// What the filter keeps of a request whose answer names its origin.
struct CorsState {
    var origin: [UInt8]
    var allowsCredentials: Bool
    var exposed: String
}
