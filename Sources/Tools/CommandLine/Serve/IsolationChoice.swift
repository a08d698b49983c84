import Glibc
import Sandbox
import Wire

/// How the pods of a Weft are kept apart: chosen with `--isolation` or `$WEFT_ISOLATION`, and remembered with its state.
struct IsolationChoice: Sendable {
    let state: StateDirectory
    /// What was asked for; nil when nothing was.
    let wish: Isolation?

    static let option = Option(
        "isolation",
        value: "MODE",
        help: "namespaces (default), or none: plain processes on this machine's network"
    )

    /// - Throws: `UsageError` for a mode that does not exist.
    init(_ arguments: Arguments, _ state: StateDirectory) throws(UsageError) {
        self.state = state
        let variable = getenv("WEFT_ISOLATION").map { String(cString: $0) } ?? ""
        guard let text = arguments.value("isolation") ?? (variable.isEmpty ? nil : variable) else {
            wish = nil
            return
        }
        guard let mode = Isolation(rawValue: text) else {
            throw UsageError("--isolation takes namespaces or none, not '\(text)'")
        }
        wish = mode
    }

    /// The mode to start with: what was asked for, else what this state had before, else namespaces.
    var mode: Isolation { wish ?? Self.remembered(state) ?? .namespaces }

    private static func file(_ state: StateDirectory) -> String { "\(state.path)/isolation" }

    static func remembered(_ state: StateDirectory) -> Isolation? {
        readFile(file(state), limit: 64).flatMap { Isolation(rawValue: String($0.prefix { !$0.isWhitespace })) }
    }

    static func remember(_ mode: Isolation, in state: StateDirectory) {
        try? replaceFile(file(state), with: "\(mode.rawValue)\n")
    }

    /// Finds out before anything is started whether pods can be made at all.
    ///
    /// - Throws: `CommandError` with the reason and what to do.
    static func ensurePossible(_ mode: Isolation) async throws(CommandError) {
        guard mode == .namespaces, let obstacle = await Isolation.obstacle() else { return }
        throw CommandError(
            """
            pods cannot be isolated here: \(obstacle.detail)
              what to do: \(obstacle.remedy)
              'weft check' tells more
            """
        )
    }

    /// A daemon that runs keeps its mode.
    ///
    /// - Throws: `CommandError` when another one was asked for.
    func ensureMatches(_ client: APIClient) async throws {
        guard let wish else { return }
        let status = try await client.get("/apis/weft.dev/v1alpha1/status")
        guard let present = status["isolation"]?.stringValue, present != wish.rawValue else { return }
        throw CommandError(
            "the Weft that runs with \(state.path) has --isolation=\(present); stop it with 'weft down' to start one with "
                + "--isolation=\(wish.rawValue)"
        )
    }
}
