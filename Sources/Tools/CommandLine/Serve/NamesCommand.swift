import Servers

/// `weft serve-names`: the process that answers the pods' questions for names and keeps the proxy's listening sockets. The daemon starts it; nobody else does.
enum NamesCommand {
    static let name = "serve-names"

    /// How the daemon of a state directory starts it, and knows it again.
    static func settings(_ state: StateDirectory) -> NameKeeper.Settings {
        NameKeeper.Settings(
            directory: "\(state.path)/names",
            arguments: ["weft", name, "--state-dir", state.path],
            listenerSocket: "\(state.path)/proxy/listeners.sock"
        )
    }

    static func run() -> Int32 {
        let code = NameService.run()
        if code == ExitCode.usage.rawValue { Terminal.complain("'weft \(name)' is started by 'weft serve' alone") }
        return code
    }
}
