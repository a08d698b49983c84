import EnvoyAPI
import Glibc
import Traffic

/// Compiles a route configuration into a `RouteTable`.
struct RouteCompiler {
    let context: CompileContext
    var builder = RouteTableBuilder()
    let headers: HeaderCompiler
    let configuration: Envoy.RouteConfiguration
    let lease: SeriesLease

    init(_ configuration: Envoy.RouteConfiguration, _ context: CompileContext) {
        self.context = context
        self.configuration = configuration
        lease = SeriesLease(context.series)
        headers = HeaderCompiler(context: context, arena: builder.arena)
    }

    /// The table, or nil with the reasons reported to the context.
    static func compile(_ configuration: Envoy.RouteConfiguration, _ context: CompileContext) -> RouteTable? {
        var compiler = RouteCompiler(configuration, context)
        return compiler.compile()
    }

    private mutating func compile() -> RouteTable? {
        _ = builder.arena.keep(lease)
        let limit = context.runtime.number("weft.metrics.route_limit") ?? UInt64(RouteSeries.standardLimit)
        context.series.routes.setLimit(Int(min(limit, UInt64(RouteSeries.mostRoutes))))
        builder.ignoresPort = configuration.ignorePortInHostMatching
        builder.ignoresParameters = configuration.ignorePathParametersInPathMatching
        builder.internalOnly = configuration.internalOnlyHeaders
        if configuration.validateClusters == true { validateClusters() }
        var table = Level(
            request: headers.edits(
                add: configuration.requestHeadersToAdd,
                remove: configuration.requestHeadersToRemove,
                addStep: "request_headers_to_add",
                removeStep: "request_headers_to_remove"
            ),
            response: headers.edits(
                add: configuration.responseHeadersToAdd,
                remove: configuration.responseHeadersToRemove,
                addStep: "response_headers_to_add",
                removeStep: "response_headers_to_remove"
            )
        )
        let filters = FilterCompiler(context: context)
        table.filters = filters.route(configuration.typedPerFilterConfig, builder.arena)
        builder.hosts = context.each("virtual_hosts", configuration.virtualHosts) { host(host: $0, table: table) }
        do {
            let made = try builder.build(name: configuration.name)
            return context.isSound ? made : nil
        } catch {
            switch error {
            case .duplicateDomain(let domain):
                context.report("virtual_hosts: the domain \"\(domain)\" stands in two virtual hosts")
            case .badDomain(let domain):
                context.report("virtual_hosts: \"\(domain)\" is no domain: `*` stands alone, first or last")
            }
            return nil
        }
    }

    /// Header changes of one level.
    struct Level {
        var request: [HeaderEdit] = []
        var response: [HeaderEdit] = []
        var filters: [RouteFilter] = []
    }

    private func host(host: Envoy.VirtualHost, table: Level) -> VirtualHostDraft {
        var level = Level(
            request: headers.edits(
                add: host.requestHeadersToAdd,
                remove: host.requestHeadersToRemove,
                addStep: "request_headers_to_add",
                removeStep: "request_headers_to_remove"
            ),
            response: headers.edits(
                add: host.responseHeadersToAdd,
                remove: host.responseHeadersToRemove,
                addStep: "response_headers_to_add",
                removeStep: "response_headers_to_remove"
            )
        )
        level.filters = FilterCompiler(context: context).route(host.typedPerFilterConfig, builder.arena)
        level.filters += rateLimits(host.rateLimits, isHost: true)
        let routes = context.each("routes", host.routes) { route($0, host, levels: [level, table]) }
        var draft = VirtualHostDraft(name: host.name, domains: host.domains, routes: routes)
        count(host, &draft)
        switch host.requireTls {
        case .none: draft.requiresTLS = .none
        case .externalOnly: draft.requiresTLS = .externalOnly
        case .all: draft.requiresTLS = .all
        }
        return draft
    }

    private func route(_ message: Envoy.Route, _ host: Envoy.VirtualHost, levels: [Level]) -> Route {
        var route = Route()
        route.name = builder.arena.copy(message.name)
        if let decorator = message.decorator { route.operation = builder.arena.copy(decorator.operation) }
        if let match = message.match { context.at("match") { self.match(match, &route) } }
        var own = Level(
            request: headers.edits(
                add: message.requestHeadersToAdd,
                remove: message.requestHeadersToRemove,
                addStep: "request_headers_to_add",
                removeStep: "request_headers_to_remove"
            ),
            response: headers.edits(
                add: message.responseHeadersToAdd,
                remove: message.responseHeadersToRemove,
                addStep: "response_headers_to_add",
                removeStep: "response_headers_to_remove"
            )
        )
        if !message.statPrefix.isEmpty {
            route.numbers = counter("vhost.\(host.name).route.\(message.statPrefix)")
        }
        route.series = series(message, host)
        own.filters = FilterCompiler(context: context).route(message.typedPerFilterConfig, builder.arena)
        if case .route(let action) = message.action {
            own.filters += context.at("route") {
                rateLimits(action.rateLimits, isHost: false, includesHost: action.includeVhRateLimits ?? false)
            }
        }
        let levels = [own] + levels
        route.filters = builder.arena.copy(levels.flatMap(\.filters))
        route.requestEdits = edits(levels.map(\.request))
        route.responseEdits = edits(levels.map(\.response))
        route.remembersRequest =
            Self.remembersRequest(route.responseEdits) || FilterCompiler.readsRequest(levels.flatMap(\.filters))
        if case .route(let action) = message.action, action.internalRedirectPolicy != nil {
            route.remembersRequest = true
        }
        switch message.action {
        case .route(let action):
            let made = context.at("route") { forward(action, message, host, levels, &route) }
            route.action = .forward(builder.arena.place(made))
        case .redirect(let action): route.action = .redirect(builder.arena.place(redirect(action)))
        case .directResponse(let action):
            let made = context.at("direct_response") { direct(action) }
            route.action = .direct(builder.arena.place(made))
        case .nonForwardingAction: route.action = .notFound
        case nil: context.report("an action is required: route, redirect, direct_response or non_forwarding_action")
        }
        return route
    }

    // MARK: Matching

    private func match(_ message: Envoy.RouteMatch, _ route: inout Route) {
        route.path.isCaseSensitive = message.caseSensitive ?? true
        switch message.pathSpecifier {
        case .prefix(let text): (route.path.kind, route.path.bytes) = (.prefix, builder.arena.copy(text))
        case .path(let text): (route.path.kind, route.path.bytes) = (.exact, builder.arena.copy(text))
        case .pathSeparatedPrefix(let text):
            (route.path.kind, route.path.bytes) = (.separatedPrefix, builder.arena.copy(text))
        case .safeRegex(let regex):
            (route.path.kind, route.path.pattern) = (.pattern, context.at("safe_regex") { pattern(regex) })
        case .connectMatcher: route.path.kind = .connect
        case .pathMatchPolicy(let policy):
            (route.path.kind, route.path.pattern) = (
                .pattern, template(policy).flatMap { compile($0.expression, "path_match_policy") }
            )
        case nil: break
        }
        if let fraction = message.runtimeFraction { route.fractionPerMillion = share(fraction) }
        if message.grpc != nil { route.demands.insert(.grpc) }
        demandTLS(message.tlsContext, &route)
        let headers = context.each("headers", message.headers) { header($0) }
        let cookies = context.each("cookies", message.cookies) { cookie($0) }
        route.headers = builder.arena.copy(headers + cookies)
        route.query = builder.arena.copy(context.each("query_parameters", message.queryParameters) { query($0) })
    }

    func header(_ message: Envoy.HeaderMatcher) -> HeaderMatch {
        var match = HeaderMatch()
        let name = Self.lowercased(message.name)
        match.name = builder.arena.copy(name)
        switch name {
        case ":method": match.target = .method
        case ":path": match.target = .path
        case ":authority", "host": match.target = .authority
        case ":scheme": match.target = .scheme
        default: break
        }
        match.isInverted = message.invertMatch
        match.treatsMissingAsEmpty = message.treatMissingHeaderAsEmpty
        switch message.headerMatchSpecifier {
        case .exactMatch(let value): match.rule = .text(text(.exact, value))
        case .prefixMatch(let value): match.rule = .text(text(.prefix, value))
        case .suffixMatch(let value): match.rule = .text(text(.suffix, value))
        case .containsMatch(let value): match.rule = .text(text(.contains, value))
        case .rangeMatch(let range): match.rule = .range(start: range.start, end: range.end)
        case .presentMatch(let wanted): match.rule = .present(wanted)
        case .stringMatch(let matcher): match.rule = .text(context.at("string_match") { text(matcher) })
        case .safeRegexMatch(let regex): match.rule = .text(context.at("safe_regex_match") { text(regex) })
        case nil: match.rule = .present(true)
        }
        return match
    }

    private func cookie(_ message: Envoy.CookieMatcher) -> HeaderMatch {
        var match = HeaderMatch()
        match.target = .cookie
        match.name = builder.arena.copy(message.name)
        match.isInverted = message.invertMatch
        if let matcher = message.stringMatch { match.rule = .text(context.at("string_match") { text(matcher) }) }
        return match
    }

    func query(_ message: Envoy.QueryParameterMatcher) -> QueryMatch {
        var match = QueryMatch()
        match.name = builder.arena.copy(message.name)
        switch message.queryParameterMatchSpecifier {
        case .stringMatch(let matcher): match.text = context.at("string_match") { text(matcher) }
        case .presentMatch(let wanted): match.mustBePresent = wanted
        case nil: break
        }
        return match
    }

    private func text(_ kind: TextMatch.Kind, _ value: String, ignoringCase: Bool = false) -> TextMatch {
        var match = TextMatch()
        match.kind = kind
        match.ignoresCase = ignoringCase
        match.bytes = builder.arena.copy(value)
        return match
    }

    func text(_ matcher: Envoy.StringMatcher) -> TextMatch {
        switch matcher.matchPattern {
        case .exact(let value): return text(.exact, value, ignoringCase: matcher.ignoreCase)
        case .prefix(let value): return text(.prefix, value, ignoringCase: matcher.ignoreCase)
        case .suffix(let value): return text(.suffix, value, ignoringCase: matcher.ignoreCase)
        case .contains(let value): return text(.contains, value, ignoringCase: matcher.ignoreCase)
        case .safeRegex(let regex): return context.at("safe_regex") { text(regex) }
        case nil:
            context.report("a string matcher needs a pattern")
            return TextMatch()
        }
    }

    // MARK: Actions

    private func forward(
        _ message: Envoy.RouteAction,
        _ owner: Envoy.Route,
        _ host: Envoy.VirtualHost,
        _ levels: [Level],
        _ route: inout Route
    ) -> Forward {
        var forward = Forward()
        switch message.clusterSpecifier {
        case .cluster(let name): forward.choice = .cluster(context.cluster(name))
        case .clusterHeader(let name): forward.choice = .header(builder.arena.copy(Self.lowercased(name)))
        case .weightedClusters(let weighted):
            forward.choice = context.at("weighted_clusters") { self.weighted(weighted, message, levels, &route) }
        case nil: context.report("cluster, cluster_header or weighted_clusters is required")
        }
        if let timeout = nanoseconds(message.timeout) { forward.timeout = timeout }
        // As in Envoy, a route that bounds its streams has no other time.
        if message.maxStreamDuration != nil { forward.timeout = 0 }
        forward.idleTimeout = nanoseconds(message.idleTimeout)
        if let policy = message.retryPolicy ?? host.retryPolicy {
            forward.retry = context.at("retry_policy") { retry(policy) }
        }
        forward.priority = message.priority == .high ? .high : .normal
        if !message.prefixRewrite.isEmpty { forward.prefixRewrite = builder.arena.copy(message.prefixRewrite) }
        forward.extras = extras(message, owner, host)
        forward.expectedTimeout = expectedTimeout(forward)
        forward.maxStreamDuration = nanoseconds(message.maxStreamDuration?.maxStreamDuration)
        switch message.hostRewriteSpecifier {
        case .hostRewriteLiteral(let name): forward.hostRewrite = builder.arena.copy(name)
        case .autoHostRewrite(let isOn): forward.autoHostRewrite = isOn
        case .hostRewriteHeader, .hostRewritePathRegex, nil: break
        }
        forward.appendsForwardedHost = message.appendXForwardedHost
        forward.addsAttemptCount = host.includeRequestAttemptCount
        forward.addsAttemptCountToResponse = host.includeAttemptCountInResponse
        for upgrade in message.upgradeConfigs where Self.lowercased(upgrade.upgradeType) == "websocket" {
            forward.allowsWebSocket = upgrade.enabled ?? true
        }
        switch message.clusterNotFoundResponseCode {
        case .serviceUnavailable: forward.clusterNotFoundStatus = 503
        case .notFound: forward.clusterNotFoundStatus = 404
        case .internalServerError: forward.clusterNotFoundStatus = 500
        }
        return forward
    }

    private func redirect(_ message: Envoy.RedirectAction) -> Redirect {
        var redirect = Redirect()
        switch message.schemeRewriteSpecifier {
        case .httpsRedirect(let isOn): redirect.usesHTTPS = isOn
        case .schemeRedirect(let scheme): redirect.scheme = builder.arena.copy(scheme)
        case nil: break
        }
        if !message.hostRedirect.isEmpty { redirect.host = builder.arena.copy(message.hostRedirect) }
        if message.portRedirect > 0 { redirect.port = UInt16(clamping: message.portRedirect) }
        switch message.pathRewriteSpecifier {
        case .pathRedirect(let path): redirect.path = builder.arena.copy(path)
        case .prefixRewrite(let prefix): redirect.prefixRewrite = builder.arena.copy(prefix)
        case .regexRewrite(let rewrite):
            redirect.pathRewrite = context.at("redirect.regex_rewrite") { patternRewrite(rewrite) }
        case nil: break
        }
        switch message.responseCode {
        case .movedPermanently: redirect.status = 301
        case .found: redirect.status = 302
        case .seeOther: redirect.status = 303
        case .temporaryRedirect: redirect.status = 307
        case .permanentRedirect: redirect.status = 308
        }
        redirect.stripsQuery = message.stripQuery
        return redirect
    }

    /// Larger bodies belong into a service, not into a configuration.
    private static let bodyLimit = 1 << 20

    private func direct(_ message: Envoy.DirectResponseAction) -> DirectResponse {
        if !(200...599).contains(message.status) { context.report("status: \(message.status) is not in 200...599") }
        let body: [UInt8]
        switch message.body?.specifier {
        case .inlineString(let text): body = Array(text.utf8)
        case .inlineBytes(let bytes): body = bytes
        case .filename(let path):
            switch FileBytes.read(path, limit: Self.bodyLimit) {
            case .success(let bytes): body = bytes
            case .failure(let failure):
                context.report("body.filename: \(failure.message)")
                body = []
            }
        case .environmentVariable(let name):
            body = environment(name, "body.environment_variable")
        case nil: body = []
        }
        let limit = configuration.maxDirectResponseBodySizeBytes.map { Int($0) } ?? Self.bodyLimit
        if body.count > limit {
            context.report("body: has \(body.count) bytes, \(limit) are allowed (max_direct_response_body_size_bytes)")
        }
        return DirectResponse(status: UInt16(clamping: message.status), body: builder.arena.copy(body))
    }

    /// The value of a variable of the environment.
    private func environment(_ name: String, _ field: String) -> [UInt8] {
        guard let value = getenv(name) else {
            context.report("\(field): there is no \(name) in the environment")
            return []
        }
        return Array(String(cString: value).utf8)
    }

    /// ASCII lower case.
    static func lowercased(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}
