import CWeft
import Glibc
import Reactor
import Sandbox

/// Where the API is served beside the socket in the state directory: chosen with options, and remembered with the state.
struct APIChoice: Sendable, Equatable {
    let state: StateDirectory
    /// What was asked for; nil when nothing was.
    let port: String?
    let tls: String?
    let audit: String?

    static let options = [
        Option(
            "api-port",
            value: "PORT",
            help:
                "serve the API to this user's programs on localhost, as kubectl expects it (default: 8080, or another when taken); none: only the socket"
        ),
        Option(
            "api-tls",
            value: "ADDRESS",
            help: "serve the API with TLS, for tokens and client certificates: 127.0.0.1:6443; none (default)"
        ),
        Option("audit-log", value: "FILE", help: "write who did what with the API to this file; none (default)"),
    ]

    /// What kubectl dials when it is told nothing.
    static let usualPort: UInt16 = 8080

    /// - Throws: `UsageError` for what is no port or address.
    init(_ arguments: Arguments, _ state: StateDirectory) throws(UsageError) {
        self.state = state
        port = arguments.value("api-port")
        tls = arguments.value("api-tls")
        audit = arguments.value("audit-log").map { $0 == "none" ? $0 : FileReader.absolute($0) }
        if let port, port != "none", UInt16(port) == nil {
            throw UsageError("--api-port takes a port from 0 (any free one) to 65535, or none, not '\(port)'")
        }
        if let tls, tls != "none", Self.address(tls) == nil {
            throw UsageError("--api-tls takes an address and port such as 127.0.0.1:6443, or none, not '\(tls)'")
        }
    }

    /// The options for a daemon that is started with the same wishes.
    var words: [String] {
        [("--api-port", port), ("--api-tls", tls), ("--audit-log", audit)].flatMap { name, value in
            value.map { [name, $0] } ?? []
        }
    }

    // MARK: What holds

    /// The port for plain HTTP; nil for none.
    func plainPort(isolation: Isolation) -> UInt16? {
        let text = port ?? Self.remembered(state, "api-port")
        if text == "none" { return nil }
        if let text, let port = UInt16(text) { return port }
        // Without isolation pods share the machine's ports: the usual one is left to them.
        return isolation == .none ? 0 : Self.usualPort
    }

    var tlsAddress: SocketAddress? { Self.address(tls ?? Self.remembered(state, "api-tls") ?? "none") }

    var auditPath: String? {
        guard let path = audit ?? Self.remembered(state, "audit-log"), path != "none" else { return nil }
        return path
    }

    func remember() {
        for (name, value) in [("api-port", port), ("api-tls", tls), ("audit-log", audit)] {
            if let value { try? replaceFile("\(state.path)/\(name)", with: "\(value)\n") }
        }
    }

    private static func remembered(_ state: StateDirectory, _ name: String) -> String? {
        readFile("\(state.path)/\(name)", limit: 4096).map { String($0.prefix { $0 != "\n" }) }
    }

    private static func address(_ text: String) -> SocketAddress? {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return SocketAddress(host == "localhost" ? "127.0.0.1" : String(host), port: port)
    }
}
