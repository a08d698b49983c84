import EnvoyAPI
import Traffic

/// `ext_authz`, compiled.
final class AuthorizationSettings: Sendable {
    enum Service: Sendable {
        case call(CallTarget)
        case http(HTTPService)
    }

    /// A service that is asked with a request of HTTP.
    struct HTTPService: Sendable {
        var cluster: Int32
        /// Nanoseconds.
        var timeout: UInt64
        var pathPrefix: [UInt8] = []
        var allowed: NameMatches?
        var added: [(name: String, value: String)] = []
        /// Fields of the answer that go on with the request, replaced or added to those that are there.
        var upstream: NameMatches?
        var upstreamAppended: NameMatches?
        /// Fields of a refusal for the client; nil: all.
        var client: NameMatches?
        var clientOnSuccess: NameMatches?
    }

    let service: Service
    let allowsOnFailure: Bool
    let tellsFailure: Bool
    let body: AuthorizationBody?
    let clearsRoute: Bool
    let errorStatus: UInt16
    /// Requests of a million that are asked about.
    let share: UInt32
    let refusesOthers: Bool
    let tellsCertificate: Bool
    let tellsServerName: Bool
    let allowed: NameMatches?
    let disallowed: NameMatches?
    /// 0 = no limit.
    let refusalLimit: Int
    let numbers: Numbers

    /// Places in `Worker.filterNumbers`.
    struct Numbers: Sendable {
        var ok: Int32
        var denied: Int32
        var error: Int32
        var disabled: Int32
        var failureModeAllowed: Int32
        var invalid: Int32
    }

    init(_ message: Envoy.ExtAuthz, _ context: CompileContext, statPrefix: String) {
        switch message.services {
        case .grpc(let grpc):
            service = .call(
                context.at("grpc_service") { CallTarget(grpc, timeout: 200_000_000, context) }
            )
        case .http(let http): service = .http(context.at("http_service") { Self.http(http, context) })
        case nil: service = .http(HTTPService(cluster: -1, timeout: 0))
        }
        allowsOnFailure = message.failureModeAllow
        tellsFailure = message.failureModeAllowHeaderAdd
        body = message.withRequestBody.map { body in
            context.at("with_request_body") { AuthorizationBody(body, context) }
        }
        clearsRoute = message.clearRouteCache
        errorStatus = UInt16(clamping: message.statusOnError?.code.rawValue ?? 403)
        share = message.filterEnabled.map { Self.share($0.defaultValue) } ?? 1_000_000
        refusesOthers = message.denyAtDisable?.defaultValue ?? false
        tellsCertificate = message.includePeerCertificate
        tellsServerName = message.includeTlsSession
        allowed = NameMatches("allowed_headers", message.allowedHeaders, context)
        disallowed = NameMatches("disallowed_headers", message.disallowedHeaders, context)
        refusalLimit = Int(message.maxDeniedResponseBodyBytes)
        let scope = message.statPrefix.isEmpty ? "ext_authz." : "ext_authz.\(message.statPrefix)."
        func place(_ name: String) -> Int32 { context.filterStats.place(prefix: statPrefix, scope + name) }
        numbers = Numbers(
            ok: place("ok"),
            denied: place("denied"),
            error: place("error"),
            disabled: place("disabled"),
            failureModeAllowed: place("failure_mode_allowed"),
            invalid: place("invalid")
        )
    }

    private static func http(_ message: Envoy.ExtAuthzHttpService, _ context: CompileContext) -> HTTPService {
        var service = HTTPService(
            cluster: message.serverUri.map { context.cluster($0.cluster) } ?? -1,
            timeout: nanoseconds(message.serverUri?.timeout) ?? 0
        )
        service.pathPrefix = Array(message.pathPrefix.utf8)
        let request = message.authorizationRequest
        service.allowed = NameMatches("authorization_request.allowed_headers", request?.allowedHeaders, context)
        service.added = context.each("authorization_request.headers_to_add", request?.headersToAdd ?? []) { header in
            let value = header.rawValue.isEmpty ? header.value : String(decoding: header.rawValue, as: UTF8.self)
            if value.utf8.contains(0x25) {
                context.report("value: formats are not supported here; write a plain value")
            }
            return (name: RouteCompiler.lowercased(header.key), value: value)
        }
        guard let answer = message.authorizationResponse else { return service }
        func names(_ step: String, _ list: Envoy.ListStringMatcher?) -> NameMatches? {
            context.at("authorization_response") { NameMatches(step, list, context) }
        }
        service.upstream = names("allowed_upstream_headers", answer.allowedUpstreamHeaders)
        service.upstreamAppended = names("allowed_upstream_headers_to_append", answer.allowedUpstreamHeadersToAppend)
        service.client = names("allowed_client_headers", answer.allowedClientHeaders)
        service.clientOnSuccess = names("allowed_client_headers_on_success", answer.allowedClientHeadersOnSuccess)
        return service
    }

    static func share(_ fraction: Envoy.FractionalPercent?) -> UInt32 {
        let unit: UInt64 =
            switch fraction?.denominator ?? .hundred {
            case .hundred: 10_000
            case .tenThousand: 100
            case .million: 1
            }
        return UInt32(min(1_000_000, UInt64(fraction?.numerator ?? 0) * unit))
    }
}

/// How much of a request's body the service gets.
struct AuthorizationBody: Sendable {
    var limit: Int
    var allowsPart: Bool
    var isRaw: Bool

    /// A whole body is kept in memory, and the call with it is one message.
    static let largest = 131_072

    init(_ message: Envoy.ExtAuthzBufferSettings, _ context: CompileContext) {
        limit = Int(message.maxRequestBytes)
        allowsPart = message.allowPartialMessage
        isRaw = message.packAsBytes
        if limit > Self.largest {
            context.report("max_request_bytes: \(limit) bytes; \(Self.largest) are the most that a service is told")
        }
    }
}

/// What a route says of `ext_authz`.
final class AuthorizationRoute: Sendable {
    let isDisabled: Bool
    let extensions: [String: String]
    /// Nil: as the filter says.
    let body: AuthorizationBody?
    let withoutBody: Bool

    init(_ message: Envoy.ExtAuthzPerRoute, _ context: CompileContext) {
        switch message.override {
        case .checkSettings(let settings):
            isDisabled = false
            extensions = settings.contextExtensions
            body = settings.withRequestBody.map { body in
                context.at("check_settings.with_request_body") { AuthorizationBody(body, context) }
            }
            withoutBody = settings.disableRequestBodyBuffering
        case .disabled(let isOn):
            isDisabled = isOn
            extensions = [:]
            body = nil
            withoutBody = false
        case nil:
            isDisabled = false
            extensions = [:]
            body = nil
            withoutBody = false
        }
    }
}
