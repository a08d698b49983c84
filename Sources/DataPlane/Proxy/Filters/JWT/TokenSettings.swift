import EnvoyAPI
import Tokens
import Traffic

/// `jwt_authn`, compiled.
final class TokenSettings: Sendable {
    let providers: [TokenProvider]
    /// Where the keys of each provider are.
    let sources: [KeySource]
    /// What requests are of which rule: its routes are named by the rule's number.
    let rules: RouteTable?
    /// By rule; nil: nothing is required.
    let requirements: [TokenRequirement?]
    let named: [String: TokenRequirement]
    let bypassesPreflight: Bool
    let hidesReason: Bool
    /// Fields that endpoints hear from this proxy only.
    let ownFields: [[UInt8]]
    let numbers: TokenNumbers

    init(_ message: Envoy.JwtAuthentication, _ context: CompileContext, prefix: String) {
        let compiler = TokenCompiler(message, context, prefix: prefix)
        providers = compiler.providers
        sources = compiler.sources
        rules = compiler.rules()
        requirements = compiler.requirements()
        named = compiler.named
        bypassesPreflight = message.bypassCorsPreflight
        hidesReason = message.stripFailureResponse
        ownFields = providers.flatMap(\.ownFields)
        numbers = compiler.numbers
    }
}

/// What a route says of tokens.
final class TokenRoute: Sendable {
    /// nil: nothing is required.
    let requirement: String?

    init(_ message: Envoy.JwtPerRoute) { requirement = message.disabled ? nil : message.requirementName }
}

/// Where keys are.
enum KeySource: Sendable {
    case here(KeySet)
    case remote(RemoteKeySource)
    /// The configuration is refused anyhow.
    case none
}

/// Keys that a cluster serves. Each worker fetches them for itself.
struct RemoteKeySource: Sendable, Hashable {
    var cluster: String
    var authority: String
    var path: String
    /// Nanoseconds, all three.
    var timeout: UInt64
    var lifetime: UInt64
    /// After a fetch that failed.
    var pause: UInt64
    /// Fetched before they are wanted, and anew while the old ones still serve.
    var isEager: Bool
    var succeeded: Int32
    var failed: Int32
}

/// What the filter counts.
struct TokenNumbers: Sendable {
    let allowed, denied, bypassed, fetched, fetchFailed: Int32

    init(_ book: FilterStatBook, _ prefix: String, _ own: String) {
        let place = { (text: String) in book.place(prefix: prefix, "jwt_authn." + (own.isEmpty ? "" : own + ".") + text)
        }
        allowed = place("allowed")
        denied = place("denied")
        bypassed = place("cors_preflight_bypassed")
        fetched = place("jwks_fetch_success")
        fetchFailed = place("jwks_fetch_failed")
    }
}

/// Reads the filter's configuration.
struct TokenCompiler {
    let providers: [TokenProvider]
    let sources: [KeySource]
    let named: [String: TokenRequirement]
    let numbers: TokenNumbers
    private let message: Envoy.JwtAuthentication
    private let context: CompileContext
    private let places: [String: Int]

    init(_ message: Envoy.JwtAuthentication, _ context: CompileContext, prefix: String) {
        self.message = message
        self.context = context
        let numbers = TokenNumbers(context.filterStats, prefix, message.statPrefix)
        self.numbers = numbers
        let entries = message.providers.sorted { $0.key < $1.key }
        providers = entries.map { name, entry in
            context.at("providers[\"\(name)\"]") { Self.provider(name, entry, context) }
        }
        sources = entries.map { name, entry in
            context.at("providers[\"\(name)\"]") { Self.source(entry, context, numbers) }
        }
        let places = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.key, $0) })
        self.places = places
        var named: [String: TokenRequirement] = [:]
        for (name, entry) in message.requirementMap.sorted(by: { $0.key < $1.key }) {
            named[name] = context.at("requirement_map[\"\(name)\"]") {
                Self.requirement(entry, places, context) ?? .all([])
            }
        }
        self.named = named
    }

    // MARK: Rules

    func rules() -> RouteTable? {
        guard !message.rules.isEmpty else { return nil }
        var configuration = Envoy.RouteConfiguration()
        var host = Envoy.VirtualHost(name: "rules", domains: ["*"])
        host.routes = message.rules.enumerated().map { number, rule in
            var route = Envoy.Route(name: "\(number)", match: rule.match)
            route.action = .nonForwardingAction(Envoy.NonForwardingAction())
            return route
        }
        configuration.virtualHosts = [host]
        return context.at("rules") { RouteCompiler.compile(configuration, context) }
    }

    func requirements() -> [TokenRequirement?] {
        context.each("rules", message.rules) { rule in
            if let requires = rule.requires {
                if rule.requirementName != nil { context.report("requires and requirement_name stand side by side") }
                return context.at("requires") { Self.requirement(requires, places, context) }
            }
            guard let name = rule.requirementName else { return nil }
            if named[name] == nil { context.report("requirement_name: \"\(name)\" is not in requirement_map") }
            return named[name] ?? .never
        }
    }

    private static func requirement(
        _ message: Envoy.JwtRequirement,
        _ places: [String: Int],
        _ context: CompileContext
    ) -> TokenRequirement? {
        func provider(_ name: String) -> Int? {
            if places[name] == nil { context.report("provider_name: there is no provider \"\(name)\"") }
            return places[name]
        }
        func list(_ step: String, _ entries: [Envoy.JwtRequirement]) -> [TokenRequirement] {
            context.at(step) {
                context.each("requirements", entries) { entry in
                    guard let made = requirement(entry, places, context) else {
                        if entry.requires == nil { context.report("says nothing: name what is required") }
                        return .never
                    }
                    return made
                }
            }
        }
        switch message.requires {
        case .providerName(let name): return provider(name).map { .provider($0, audiences: nil) } ?? .never
        case .providerAndAudiences(let both):
            return context.at("provider_and_audiences") {
                provider(both.providerName).map { .provider($0, audiences: both.audiences) } ?? .never
            }
        case .any(let entries): return .any(list("requires_any", entries.requirements))
        case .all(let entries): return .all(list("requires_all", entries.requirements))
        case .allowMissing: return .allowMissing
        case .allowMissingOrFailed: return .allowMissingOrFailed
        case nil: return nil
        }
    }

    // MARK: Providers

    private static func provider(_ name: String, _ message: Envoy.JwtProvider, _ context: CompileContext)
        -> TokenProvider
    {
        var provider = TokenProvider(name: name)
        provider.issuer = message.issuer
        provider.audiences = message.audiences
        provider.subjects = subjects(message.subjects, context)
        provider.subjectsIgnoreCase = message.subjects?.ignoreCase ?? false
        provider.requiresExpiry = message.requireExpiration
        provider.longestLife = message.maxLifetime.map { UInt64(clamping: $0.components.seconds) }
        if message.clockSkewSeconds > 0 { provider.skew = UInt64(message.clockSkewSeconds) }
        provider.forwards = message.forward
        provider.payloadField = lower(message.forwardPayloadHeader)
        provider.padsPayload = message.padForwardPayloadHeader
        provider.clearsRoute = message.clearRouteCache
        provider.claimFields = message.claimToHeaders.map { entry in
            let path =
                entry.claimPath.isEmpty
                ? entry.claimName.split(separator: ".").map(String.init) : entry.claimPath.map(\.key)
            return TokenProvider.ClaimField(name: lower(entry.headerName), path: path)
        }
        let places =
            message.fromHeaders.map { TokenPlace.header(name: lower($0.name), prefix: Array($0.valuePrefix.utf8)) }
            + message.fromParams.map { TokenPlace.parameter(name: Array($0.utf8)) }
            + message.fromCookies.map { TokenPlace.cookie(name: Array($0.utf8)) }
        if !places.isEmpty { provider.places = places }
        return provider
    }

    private static func lower(_ text: String) -> [UInt8] { Array(RouteCompiler.lowercased(text).utf8) }

    private static func subjects(_ matcher: Envoy.StringMatcher?, _ context: CompileContext) -> TokenProvider
        .SubjectRule?
    {
        switch matcher?.matchPattern {
        case .exact(let text): return .exact(text)
        case .prefix(let text): return .prefix(text)
        case .suffix(let text): return .suffix(text)
        case .contains(let text): return .contains(text)
        case .safeRegex:
            context.report(
                "subjects.safe_regex: is not supported by weft-proxy here: use exact, prefix, suffix or contains"
            )
            return nil
        case nil: return nil
        }
    }

    private static func source(
        _ message: Envoy.JwtProvider,
        _ context: CompileContext,
        _ numbers: TokenNumbers
    ) -> KeySource {
        if let local = message.localJwks { return context.at("local_jwks") { here(local, context) } }
        guard let remote = message.remoteJwks, let uri = remote.httpUri else { return .none }
        let (authority, path) = parts(uri.uri)
        if authority.isEmpty { context.report("remote_jwks.http_uri.uri: \"\(uri.uri)\" names no host") }
        return .remote(
            RemoteKeySource(
                cluster: uri.cluster,
                authority: authority,
                path: path,
                timeout: nanoseconds(uri.timeout) ?? 0,
                lifetime: nanoseconds(remote.cacheDuration) ?? 600_000_000_000,
                pause: nanoseconds(remote.asyncFetch?.failedRefetchDuration) ?? 1_000_000_000,
                isEager: remote.asyncFetch != nil,
                succeeded: numbers.fetched,
                failed: numbers.fetchFailed
            )
        )
    }

    private static func here(_ source: Envoy.DataSource, _ context: CompileContext) -> KeySource {
        switch TLSSource.read(source, "local_jwks") {
        case .success(let bytes):
            do throws(TokenFault) { return .here(try KeySet(json: bytes)) } catch {
                context.report("\(error.message): keys in the form of a JWKS are required (RFC 7517)")
            }
        case .failure(let error): context.report("\(error)")
        }
        return .none
    }

    /// Host and path of `https://host/path`; the scheme is the cluster's affair.
    private static func parts(_ uri: String) -> (authority: String, path: String) {
        var rest = Substring(uri)
        if let range = rest.range(of: "://") { rest = rest[range.upperBound...] }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        return (String(rest[..<slash]), slash == rest.endIndex ? "/" : String(rest[slash...]))
    }
}

extension Substring {
    /// Where a text stands in it.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
