/// What a proxy that has too much to do gives up, in the order of how much it hurts.
///
/// Names: `envoy.overload_actions.*` of Envoy's overload manager.
package enum OverloadAction: Int, CaseIterable, Sendable {
    /// Memory that waits for its next use goes back to the system.
    case shrinkHeap
    /// HTTP/1 connections end with their next answer, HTTP/2 ones are told to go away; idle ones are closed.
    case disableKeepAlive
    /// New connections wait in the kernel's queue.
    case stopAcceptingConnections
    /// New connections are closed at once.
    case rejectIncomingConnections
    /// Requests are answered with 503.
    case stopAcceptingRequests

    /// The name in a configuration, and in statistics.
    package var name: String {
        switch self {
        case .shrinkHeap: "envoy.overload_actions.shrink_heap"
        case .disableKeepAlive: "envoy.overload_actions.disable_http_keepalive"
        case .stopAcceptingConnections: "envoy.overload_actions.stop_accepting_connections"
        case .rejectIncomingConnections: "envoy.overload_actions.reject_incoming_connections"
        case .stopAcceptingRequests: "envoy.overload_actions.stop_accepting_requests"
        }
    }

    package init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }
}

/// How strongly each action is taken: from 0 (not at all) to `OverloadLevels.whole`. A plain value that workers keep.
package struct OverloadLevels: BitwiseCopyable, Sendable, Equatable {
    package static let whole: UInt16 = 1000

    private var shrink: UInt16 = 0
    private var keepAlive: UInt16 = 0
    private var accept: UInt16 = 0
    private var reject: UInt16 = 0
    private var requests: UInt16 = 0

    package init() {}

    package subscript(_ action: OverloadAction) -> UInt16 {
        get {
            switch action {
            case .shrinkHeap: shrink
            case .disableKeepAlive: keepAlive
            case .stopAcceptingConnections: accept
            case .rejectIncomingConnections: reject
            case .stopAcceptingRequests: requests
            }
        }
        set {
            switch action {
            case .shrinkHeap: shrink = newValue
            case .disableKeepAlive: keepAlive = newValue
            case .stopAcceptingConnections: accept = newValue
            case .rejectIncomingConnections: reject = newValue
            case .stopAcceptingRequests: requests = newValue
            }
        }
    }

    /// Nothing is given up.
    package var isCalm: Bool { self == OverloadLevels() }

    package func isWhole(_ action: OverloadAction) -> Bool { self[action] >= Self.whole }

    /// Whether an action is taken this time, by a random number.
    package func takes(_ action: OverloadAction, random: UInt64) -> Bool {
        let level = self[action]
        return level >= Self.whole || level > 0 && random % UInt64(Self.whole) < UInt64(level)
    }

    /// Whether a request is refused. One of high priority only where more than half of the others are.
    package func refuses(isHighPriority: Bool, random: UInt64) -> Bool {
        guard isHighPriority else { return takes(.stopAcceptingRequests, random: random) }
        let level = self[.stopAcceptingRequests]
        if level >= Self.whole { return true }
        let excess = level > Self.whole / 2 ? (level - Self.whole / 2) * 2 : 0
        return random % UInt64(Self.whole) < UInt64(excess)
    }
}
