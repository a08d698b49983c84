package import Resources
import Sandbox
package import Servers

/// Starts commands inside the containers of this machine's pods. Stateless: the pod init knows how each container was
/// started.
package struct PodCommands: PodCommandSource {
    private let stateDirectory: String
    private let logs: PodLogs

    /// `logs` is where attached clients read what containers write.
    package init(stateDirectory: String, logs: PodLogs) {
        self.stateDirectory = stateDirectory
        self.logs = logs
    }

    package func attach(_ wish: PodCommandWish, to pod: Object) async throws(APIError) -> any RunningCommand {
        try Self.checkRunning(wish.container, in: pod)
        var spec = CommandSpec(container: wish.container, arguments: [])
        spec.hasInput = wish.hasInput
        spec.hasOutput = wish.hasOutput || wish.isTerminal
        spec.hasErrors = wish.hasErrors
        spec.isTerminal = wish.isTerminal
        do throws(SandboxError) {
            let command = try await PodCommand.attach(spec, directory: "\(stateDirectory)/pods/\(pod.uid)")
            return PodCommandPort(command: command, tellsCode: false)
        } catch {
            // A pod init from before it could do that: its log has the lines.
            if error.message == "unknown verb", !wish.hasInput { return try await followLog(wish, of: pod) }
            throw .badRequest("container \"\(wish.container)\" of pod \"\(pod.name)\": \(error.message)")
        }
    }

    private func followLog(_ wish: PodCommandWish, of pod: Object) async throws(APIError) -> any RunningCommand {
        var options = PodLogOptions()
        options.follow = true
        options.tailLines = 0
        var followers: [RunningCommandStream: LogFollower] = [:]
        for (stream, source) in [(RunningCommandStream.output, PodLogStream.output), (.errors, .errors)] {
            guard stream == .output ? wish.hasOutput : wish.hasErrors else { continue }
            options.stream = source
            let follower = try logs.follower(of: pod, container: wish.container, options: options)
            await follower.begin()
            followers[stream] = follower
        }
        return AttachedOutput(followers)
    }

    package func start(_ wish: PodCommandWish, in pod: Object) async throws(APIError) -> PodCommandStart {
        try Self.checkRunning(wish.container, in: pod)
        var spec = CommandSpec(container: wish.container, arguments: wish.command)
        spec.hasInput = wish.hasInput
        spec.hasOutput = wish.hasOutput
        spec.hasErrors = wish.hasErrors
        spec.isTerminal = wish.isTerminal
        do throws(SandboxError) {
            let command = try await PodCommand.start(spec, directory: "\(stateDirectory)/pods/\(pod.uid)")
            return .running(PodCommandPort(command: command))
        } catch {
            let place = "container \"\(wish.container)\" of pod \"\(pod.name)\""
            switch error.code {
            case .startFailed:
                let isMissing = error.message.contains("not found") || error.message.contains("No such file")
                return .failed(
                    message: "cannot start a command in \(place): \(error.message)",
                    exitCode: isMissing ? 127 : 126
                )
            case .refused where error.message.contains("too many"):
                throw APIError(code: 429, reason: .tooManyRequests, message: "\(place): \(error.message)")
            default: throw .badRequest("\(place): \(error.message)")
            }
        }
    }

    /// The status may lag behind by a moment: the pod init has the last word.
    private static func checkRunning(_ container: String, in pod: Object) throws(APIError) {
        let status = PodStatus(pod.status)
        let all = status.initContainerStatuses + status.containerStatuses
        guard let known = all.first(where: { $0.name == container }) else {
            throw .badRequest(
                "container \"\(container)\" of pod \"\(pod.name)\" has not been started (\(status.phase))"
            )
        }
        if case .running? = known.state { return }
        var why = "is not running"
        if case .waiting(let reason, _)? = known.state { why = "is waiting: \(reason)" }
        if case .terminated(let end)? = known.state { why = "has ended: \(end.reason), exit code \(end.exitCode)" }
        let running = all.filter { if case .running? = $0.state { true } else { false } }.map(\.name)
        let others = running.isEmpty ? "none of this pod runs" : "running: \(running.joined(separator: ", "))"
        throw .badRequest("container \"\(container)\" of pod \"\(pod.name)\" \(why); \(others)")
    }
}

/// A command of the pod init as the API knows one.
private final class PodCommandPort: RunningCommand {
    private let command: PodCommand
    /// Whoever is attached to a container finds its exit code in the pod's status.
    private let tellsCode: Bool

    init(command: PodCommand, tellsCode: Bool = true) {
        self.command = command
        self.tellsCode = tellsCode
    }

    func write(_ bytes: [UInt8]) async -> Bool { await command.write(bytes) }
    func closeInput() async { await command.closeInput() }
    func read(_ stream: RunningCommandStream) async -> [UInt8]? {
        await command.read(stream == .output ? .output : .errors)
    }
    func resize(columns: Int, rows: Int) { command.resize(columns: columns, rows: rows) }
    func exitCode() async -> Int? {
        let end = await command.end()
        return tellsCode ? end?.exitCode : end.map { _ in 0 }
    }
    func hangUp() { command.hangUp() }
}

/// The output of a running container: its log from now on, stream by stream.
private final class AttachedOutput: RunningCommand {
    private let followers: [RunningCommandStream: LogFollower]
    /// One element for each stream that has ended; finished when it was hung up.
    private let ends: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init(_ followers: [RunningCommandStream: LogFollower]) {
        self.followers = followers
        (ends, end) = AsyncStream.makeStream()
    }

    func write(_ bytes: [UInt8]) async -> Bool { false }
    func closeInput() async {}
    func resize(columns: Int, rows: Int) {}

    func read(_ stream: RunningCommandStream) async -> [UInt8]? {
        guard let follower = followers[stream] else { return nil }
        if let text = await follower.next() { return text }
        end.yield()
        return nil
    }

    /// 0 at the container's end: its own exit code stands in its status.
    func exitCode() async -> Int? {
        var left = followers.count
        for await _ in ends {
            left -= 1
            if left == 0 { return 0 }
        }
        return nil
    }

    func hangUp() {
        for follower in followers.values { Task { await follower.stop() } }
        end.finish()
    }
}
