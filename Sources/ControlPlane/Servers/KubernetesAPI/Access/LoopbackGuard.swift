import Glibc
package import Resources

/// Keeps other users and web pages away from a port of this machine that asks for no password.
///
/// Other users: the kernel says who owns the socket at the other end; only the daemon's own user and root are let in. Web pages: a
/// page in the user's own browser is of that user, but its requests carry an `Origin`, and after DNS rebinding a foreign `Host`.
package enum LoopbackGuard {
    private static let hosts: Set<String> = ["localhost", "127.0.0.1", "[::1]"]

    /// Why a request is refused; nil for one that may pass.
    package static func objection(to request: HTTPRequest, user: UInt32) -> APIError? {
        if request.origin.transport == .tcp {
            guard let uid = request.origin.uid else {
                return refusal("the kernel does not tell who is at the other end of this connection")
            }
            guard uid == user || uid == 0 else {
                return refusal(
                    "this port belongs to user \(user) of this machine, and you are user \(uid): start a Weft of your own, or "
                        + "ask for an account with 'weft kubeconfig --user NAME' of a Weft with --api-tls"
                )
            }
            guard hasLocalHost(request) else {
                return refusal("the Host of a request to this port must be localhost, 127.0.0.1 or [::1]")
            }
        }
        return isFromPage(request) ? refusal("web pages may not use this API") : nil
    }

    private static func refusal(_ why: String) -> APIError {
        APIError(code: 403, reason: .forbidden, message: why)
    }

    private static func hasLocalHost(_ request: HTTPRequest) -> Bool {
        let values = request.headers.all("Host")
        guard values.count == 1, let value = values.first?.lowercased() else { return false }
        return hosts.contains(hosts.contains(value) ? value : String(value.prefix(upTo: portStart(value))))
    }

    private static func portStart(_ host: String) -> String.Index {
        guard let colon = host.lastIndex(of: ":") else { return host.endIndex }
        let port = host[host.index(after: colon)...]
        return !port.isEmpty && port.allSatisfy(\.isASCIIDigit) ? colon : host.endIndex
    }

    /// Programs that send an `Origin` at all name this very server.
    private static func isFromPage(_ request: HTTPRequest) -> Bool {
        let sites = request.headers.all("Sec-Fetch-Site")
        if !sites.allSatisfy({ $0 == "none" || $0 == "same-origin" }) { return true }
        let own = request.headers.all("Host").map { $0.lowercased() }
        return !request.headers.all("Origin").allSatisfy { origin in
            let lowered = origin.lowercased()
            return own.contains { lowered == "http://\($0)" || lowered == "https://\($0)" }
        }
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { isASCII && isNumber }
}
