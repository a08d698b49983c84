import EnvoyAPI
import Reactor
import Traffic

/// `stateful_session`, compiled: of the chain or of a route.
final class SessionSettings: Sendable {
    enum Kind: Sendable {
        case cookie(name: [UInt8], path: [UInt8], seconds: UInt64)
        case header(name: [UInt8])
        /// Sessions are not known.
        case none
    }

    let kind: Kind
    let isStrict: Bool
    let isDisabled: Bool
    let routed, failedOpen, failedClosed, noSession: Int32

    init(_ message: Envoy.StatefulSession?, _ context: CompileContext, prefix: String) {
        isDisabled = message == nil
        isStrict = message?.strict ?? false
        switch message?.sessionState?.typedConfig {
        case .cookie(let cookie):
            let entry = cookie.cookie
            if !Self.isToken(entry?.name ?? "") || !Self.isPath(entry?.path ?? "") {
                context.report("session_state.typed_config.cookie: name or path hold bytes that no cookie has")
            }
            kind = .cookie(
                name: Array((entry?.name ?? "").utf8),
                path: Array((entry?.path ?? "").utf8),
                seconds: (nanoseconds(entry?.ttl) ?? 0) / 1_000_000_000
            )
        case .header(let header): kind = .header(name: Array(RouteCompiler.lowercased(header.name).utf8))
        case nil: kind = .none
        }
        let own = message?.statPrefix ?? ""
        let place = { (text: String) -> Int32 in
            own.isEmpty || prefix.isEmpty
                ? -1 : context.filterStats.place(prefix: prefix, "stateful_session.\(own).\(text)")
        }
        routed = place("routed")
        failedOpen = place("failed_open")
        failedClosed = place("failed_closed")
        noSession = place("no_session")
    }

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"()<>@,;:\\\"/[]?={}".utf8.contains($0) }
    }

    private static func isPath(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3B }
    }
}

/// The endpoint that a request's session wants.
struct SessionWish {
    var address: SocketAddress
    /// It or none.
    var isStrict: Bool
}

/// What the filter keeps of a request.
struct SessionState {
    /// As the client named it; nil: it did not.
    var address: SocketAddress?
    var settings: Unmanaged<SessionSettings>
    /// The request's path is one that the session knows.
    var isKnown: Bool
}
