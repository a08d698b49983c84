/// Who may open a tap.
package struct TapAccess: Sendable {
    /// The user at the other end of a Unix socket; nil over TCP.
    package var user: UInt32?
    /// Over TCP: the peer is on this machine.
    package var isLocal: Bool
    /// What the request brought: `Bearer TOKEN`.
    package var authorization: String?

    package init(user: UInt32?, isLocal: Bool, authorization: String?) {
        self.user = user
        self.isLocal = isLocal
        self.authorization = authorization
    }

    /// Why it may not, or nil. Over a Unix socket the process' own user and root may; over TCP whoever is on this machine
    /// and knows the token.
    package func refusal(own: UInt32, token: [UInt8]?) -> String? {
        if let user {
            return user == own || user == 0
                ? nil : "only the user that runs the proxy, and root, may tap; this is user \(user)"
        }
        guard isLocal else { return "over TCP only this machine may tap" }
        guard let token, !token.isEmpty else {
            return
                "over TCP a tap needs a token: start weft-proxy with --tap-token-file FILE, or let the admin listen on a Unix socket"
        }
        let words = (authorization ?? "").split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[0].lowercased() == "bearer", Self.isEqual(Array(words[1].utf8), token) else {
            return "a tap needs the token: authorization: Bearer TOKEN"
        }
        return nil
    }

    /// Takes the same time wherever the first difference is.
    private static func isEqual(_ given: [UInt8], _ wanted: [UInt8]) -> Bool {
        var difference: UInt8 = given.count == wanted.count ? 0 : 1
        for (index, byte) in wanted.enumerated() { difference |= byte ^ (index < given.count ? given[index] : 0) }
        return difference == 0
    }
}
