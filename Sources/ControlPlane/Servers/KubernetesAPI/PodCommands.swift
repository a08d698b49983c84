package import Resources

/// Where the API starts commands inside containers.
package protocol PodCommandSource: Sendable {
    /// Starts a command in a running container.
    ///
    /// - Throws: `APIError` when the container does not run (the message says which do) or no more commands are allowed.
    func start(_ wish: PodCommandWish, in pod: Object) async throws(APIError) -> PodCommandStart

    /// What a running container writes from now on, as a command that reads nothing and ends with the container.
    ///
    /// - Throws: `APIError` when the container does not run.
    func attach(_ wish: PodCommandWish, to pod: Object) async throws(APIError) -> any RunningCommand
}

/// A command and how its caller speaks to it.
package struct PodCommandWish: Sendable, Equatable {
    package var container: String
    package var command: [String]
    package var hasInput = false
    package var hasOutput = false
    package var hasErrors = false
    /// One terminal in place of the three streams.
    package var isTerminal = false

    package init(container: String, command: [String]) {
        self.container = container
        self.command = command
    }
}

package enum PodCommandStart: Sendable {
    case running(any RunningCommand)
    /// The program could not be started; the code is a shell's: 127 not found, 126 not executable.
    case failed(message: String, exitCode: Int)
}

/// A command that runs. Released or hung up, it ends.
package protocol RunningCommand: AnyObject, Sendable {
    /// Hands bytes to its standard input; returns when they are taken, false when nobody takes them any more.
    func write(_ bytes: [UInt8]) async -> Bool
    func closeInput() async
    /// What it wrote; nil at the end. Each stream is for one task; a terminal has only `output`.
    func read(_ stream: RunningCommandStream) async -> [UInt8]?
    func resize(columns: Int, rows: Int)
    /// Waits for its end; nil when that is not known because it was hung up or its pod is gone.
    func exitCode() async -> Int?
    /// Ends it as a terminal that is closed does.
    func hangUp()
}

package enum RunningCommandStream: Sendable { case output, errors }
