import Glibc
import Reactor
import Sandbox

/// Where xDS is served beside the socket in the state directory: chosen with `--xds-address`, and remembered with the state.
struct DiscoveryChoice: Sendable, Equatable {
    let state: StateDirectory
    /// What was asked for; nil when nothing was.
    let wish: String?

    static let option = Option(
        "xds-address",
        value: "ADDRESS",
        help: "serve xDS on a loopback address, too: 127.0.0.1:18000; none (default): only the socket xds/xds.sock"
    )

    /// - Throws: `UsageError` for what is no loopback address.
    init(_ arguments: Arguments, _ state: StateDirectory) throws(UsageError) {
        self.state = state
        wish = arguments.value("xds-address")
        guard let wish, wish != "none", Self.address(wish) == nil else { return }
        throw UsageError(
            "--xds-address takes a loopback address and port such as 127.0.0.1:18000, or none, not '\(wish)'"
        )
    }

    /// A folder of its own, so that it can be mounted into a pod: the socket is another one with each daemon.
    static func folder(_ state: StateDirectory) -> String { "\(state.path)/xds" }

    static func socket(_ state: StateDirectory) -> String { "\(folder(state))/xds.sock" }

    /// What was asked for, else what this state had before.
    var address: SocketAddress? {
        Self.address(wish ?? readFile(Self.file(state), limit: 64).map { String($0.prefix { !$0.isWhitespace }) } ?? "")
    }

    func remember() {
        if let wish { try? replaceFile(Self.file(state), with: "\(wish)\n") }
    }

    private static func file(_ state: StateDirectory) -> String { "\(state.path)/xds-address" }

    private static func address(_ text: String) -> SocketAddress? {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard let address = SocketAddress(host == "localhost" ? "127.0.0.1" : String(host), port: port) else {
            return nil
        }
        return address.isIPv6 ? (host == "::1" ? address : nil) : (address.bytes.first == 127 ? address : nil)
    }
}
