import Glibc
import Mesh
import Reactor
import Sandbox

/// Where xDS is served beside the socket in the state directory: chosen with `--xds-address` and `--xds-tls`, and remembered with the
/// state.
struct DiscoveryChoice: Sendable, Equatable {
    let state: StateDirectory
    /// What was asked for; nil when nothing was.
    let wish: String?
    /// The folder of certificates that goes with it; nil: without TLS.
    let folder: String?

    static let option = Option(
        "xds-address",
        value: "ADDRESS",
        help: "serve xDS there, too: 127.0.0.1:18000, with --xds-tls any address; none (default): only xds/xds.sock"
    )
    static let tlsOption = Option(
        "xds-tls",
        value: "FOLDER",
        help: "with TLS: FOLDER has tls.crt, tls.key, and in ca.crt who signs the certificates of clients"
    )
    private static let files = ["tls.crt", "tls.key", "ca.crt"]

    /// - Throws: `UsageError` for an address that cannot be served so, and for a folder without certificates.
    init(_ arguments: Arguments, _ state: StateDirectory) throws(UsageError) {
        self.state = state
        wish = arguments.value("xds-address")
        folder = arguments.value("xds-tls").map { FileReader.absolute($0) }
        if let folder {
            guard let wish, wish != "none" else {
                throw UsageError("--xds-tls says how --xds-address is served: give both")
            }
            guard Self.address(wish) != nil else {
                throw UsageError("--xds-address takes an IP address and port such as 10.0.0.1:18000, not '\(wish)'")
            }
            for name in Self.files where access("\(folder)/\(name)", R_OK) != 0 {
                throw UsageError("--xds-tls: cannot read \(folder)/\(name): \(String(cString: strerror(errno)))")
            }
        } else if let wish, wish != "none", Self.loopback(wish) == nil {
            throw UsageError(
                "--xds-address takes a loopback address and port such as 127.0.0.1:18000, or none, not '\(wish)'; with "
                    + "--xds-tls any IP address"
            )
        }
    }

    /// A folder of its own, so that it can be mounted into a pod: the socket is another one with each daemon.
    static func folder(_ state: StateDirectory) -> String { "\(state.path)/xds" }

    static func socket(_ state: StateDirectory) -> String { "\(folder(state))/xds.sock" }

    /// Where it is served without TLS: what was asked for, else what this state had before.
    var plain: SocketAddress? { effective.folder == nil ? Self.loopback(effective.address) : nil }

    /// Where it is served with TLS, by weft-proxy.
    var entrance: DiscoveryEntrance? {
        guard let folder = effective.folder, let address = Self.address(effective.address) else { return nil }
        let text = "\(address)"
        let host = text[..<(text.lastIndex(of: ":") ?? text.endIndex)]
        return DiscoveryEntrance(
            address: HostAddress(
                address: String(host.drop { $0 == "[" }.prefix { $0 != "]" }),
                port: Int(address.port)
            ),
            folder: folder,
            socket: Self.socket(state)
        )
    }

    private var effective: (address: String, folder: String?) {
        if let wish { return (wish, folder) }
        let lines = (readFile(Self.file(state), limit: 8192) ?? "").split(separator: "\n").map(String.init)
        return (lines.first ?? "", lines.count > 1 ? lines[1] : nil)
    }

    /// The words with which the daemon is started.
    var words: [String] {
        (wish.map { ["--xds-address", $0] } ?? []) + (folder.map { ["--xds-tls", $0] } ?? [])
    }

    func remember() {
        guard let wish else { return }
        try? replaceFile(Self.file(state), with: "\(wish)\n\(folder.map { "\($0)\n" } ?? "")")
    }

    private static func file(_ state: StateDirectory) -> String { "\(state.path)/xds-address" }

    private static func address(_ text: String) -> SocketAddress? {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return SocketAddress(host == "localhost" ? "127.0.0.1" : String(host), port: port)
    }

    private static func loopback(_ text: String) -> SocketAddress? {
        guard let address = address(text) else { return nil }
        if address.isIPv6 { return address == SocketAddress("::1", port: address.port) ? address : nil }
        return address.bytes.first == 127 ? address : nil
    }
}
