import CWeft
import Glibc

/// A running pod: its namespaces, its pod init, and the containers that were started in it.
///
/// `create` makes one; `remove` ends it and leaves nothing. Between them weft may die: the pod goes on, and `Leftovers`
/// finds it by its record.
package actor PodSandbox {
    package nonisolated let spec: SandboxSpec
    /// The pod init, in the machine's numbering.
    package nonisolated let process: ProcessIdentity
    /// Exits of containers, and the end of the pod, for one reader.
    package nonisolated let events: AsyncStream<SandboxEvent>

    /// The network namespace, for whoever may enter it.
    package nonisolated var networkNamespacePath: String { "/proc/\(process.pid)/ns/net" }
    /// The socket broker, for whoever may not.
    package nonisolated var brokerPath: String { "\(spec.directory)/net.sock" }

    private let pidfd: Int32
    private let control: Int32
    private let publish: AsyncStream<SandboxEvent>.Continuation
    private var reader = RowReader()
    private var listening: Task<Void, Never>?
    private var nextToken = 1
    private var replies: [String: Waiting] = [:]
    /// Starts that were accepted and have neither succeeded nor failed.
    private var starts: [String: Waiting] = [:]
    private var hasEnded = false

    private typealias Answer = Result<RowReader.Pairs, SandboxError>

    private struct Waiting {
        let continuation: CheckedContinuation<Answer, Never>
        let patience: Task<Void, Never>
    }

    /// How long a pod init may take to answer anything.
    private static let patience: Duration = .seconds(10)

    /// How long the init of a pod without namespaces may take to end all that the pod started.
    private static let endPatience: Duration = .seconds(12)

    init(spec: SandboxSpec, process: ProcessIdentity, pidfd: Int32, control: Int32) {
        self.spec = spec
        self.process = process
        self.pidfd = pidfd
        self.control = control
        (events, publish) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(256))
    }

    deinit {
        close(control)
        close(pidfd)
    }

    func listen() {
        listening = Task { await self.readControl() }
    }

    // MARK: Containers

    /// Starts a container; returns when its program runs.
    ///
    /// - Throws: `.startFailed` with the reason as the kernel gave it (`exec /x/y: No such file or directory`).
    package func start(_ program: ProgramSpec) async throws(SandboxError) -> ContainerRun {
        var row = Self.row("start", program)
        row.add("log", program.log)
        row.add("attempt", String(program.attempt))
        if program.hasOwnLayer { row.add("layer", "own") }
        if program.hasInput { row.add("stdin", "1") }
        if program.closesInput { row.add("stdin-once", "1") }
        if program.isTerminal { row.add("tty", "1") }
        row.add("root", program.hasReadOnlyRoot ? "ro" : "rw")
        for mount in program.mounts {
            let mode = mount.isReadOnly ? "ro" : "rw"
            row.add("mount", "\(mount.volume)\n\(mount.subPath)\n\(mount.target)\n\(mode)")
        }
        program.image?.describe(to: &row, program)
        let event = try await ask(row, keepsStart: true)
        guard let run = event["container"].flatMap(ContainerRun.init) else {
            throw SandboxError(.ended, "the pod init sent a malformed state")
        }
        guard run.state != .failed else {
            throw SandboxError(.startFailed, event["error"] ?? "the program could not be started")
        }
        return run
    }

    /// Sends a signal to a container's process; SIGKILL goes to all of the container's processes.
    package func signal(_ container: String, _ number: Int32) async throws(SandboxError) {
        var row = Row()
        row.add("do", "signal")
        row.add("name", container)
        row.add("signal", String(number))
        _ = try await ask(row)
    }

    /// Runs a command inside a container and waits for its end.
    package func run(_ program: ProgramSpec, timeout: Duration) async throws(SandboxError) -> CommandResult {
        var row = Self.row("exec", program)
        row.add("timeout", String(timeout.milliseconds))
        let reply = try await ask(row, patience: timeout + Self.patience)
        return CommandResult(
            exitCode: reply["code"].flatMap { Int($0) } ?? 1,
            hasTimedOut: reply["timedout"] == "1",
            output: reply["output"] ?? "",
            failure: reply["error"]
        )
    }

    /// The containers that were started, as they are now.
    package func containers() async throws(SandboxError) -> [ContainerRun] {
        var row = Row()
        row.add("do", "status")
        let reply = try await ask(row)
        return reply.filter { $0.key == "container" }.compactMap { ContainerRun($0.value) }
    }

    /// Where processes of the pod listen; of use without isolation, where they share the machine's network.
    package func listeners() async throws(SandboxError) -> [ListeningSocket] {
        var row = Row()
        row.add("do", "listeners")
        let reply = try await ask(row)
        return reply.filter { $0.key == "listen" }.compactMap { ListeningSocket($0.value) }
    }

    // MARK: The end

    /// Asks every container to end (SIGTERM), kills what is left after `grace`, and waits until the pod is gone.
    package func stop(grace: Duration) async {
        var row = Row()
        row.add("do", "stop")
        row.add("grace", String(grace.milliseconds))
        if (try? await ask(row)) != nil {
            let outcome = await Poller.shared.wait(pidfd, .readable, until: .now + grace + .seconds(2))
            if outcome == .ready { return finish() }
        }
        await kill()
    }

    /// Ends a pod whose containers have ended, and waits until it is gone.
    ///
    /// An exit is told before the run's last output is written out, and the pod init obeys one thing after the other: asked to
    /// leave, it has written everything; killed, it might not have.
    package func end() async { await stop(grace: .zero) }

    /// Kills every process of the pod and waits until they are gone.
    package func kill() async {
        // Where no namespace ends the pod's processes its init does that first.
        let isPlain = spec.isolation == .none
        if process.isAlive { _ = cweft_pidfd_signal(pidfd, isPlain ? cweft_pod_end_signal() : SIGKILL) }
        let limit = ContinuousClock.now + Self.endPatience
        // Cancelled or not: nothing may be left behind. Killing needs no one's consent, so this ends.
        while !hasEnded {
            guard process.isAlive else { return finish() }
            if isPlain, ContinuousClock.now > limit { _ = cweft_pidfd_signal(pidfd, SIGKILL) }
            switch await Poller.shared.wait(pidfd, .readable, until: .now + .milliseconds(200)) {
            case .ready, .timedOut: continue
            // Another task waits already, or this one was cancelled.
            case .failed, .cancelled: await Self.breathe()
            }
        }
    }

    /// A short wait that no cancellation cuts short.
    private static func breathe() async {
        await Task { try? await Task.sleep(for: .milliseconds(1)) }.value
    }

    /// Ends the pod, if it has not ended, and removes its directory.
    package func remove() async throws(SandboxError) {
        await kill()
        listening?.cancel()
        try Leftovers.remove(spec.directory)
    }

    /// Reaps the pod init, which is dead, and tells everybody who waits.
    private func finish() {
        guard !hasEnded else { return }
        hasEnded = true
        var status: Int32 = 0
        _ = cweft_reap(process.pid, &status)
        let gone = SandboxError(.ended, "the pod \(spec.namespace)/\(spec.name) has ended")
        for waiting in Array(replies.values) + Array(starts.values) {
            waiting.patience.cancel()
            waiting.continuation.resume(returning: .failure(gone))
        }
        replies = [:]
        starts = [:]
        publish.yield(.ended)
        publish.finish()
    }

    // MARK: The control socket

    private static func row(_ verb: String, _ program: ProgramSpec) -> Row {
        var row = Row()
        row.add("do", verb)
        row.add("name", program.name)
        for argument in program.arguments { row.add("arg", argument) }
        for variable in program.environment { row.add("env", variable) }
        row.add("cwd", program.directory)
        row.add("uid", String(program.user))
        row.add("gid", String(program.group))
        for group in program.supplementaryGroups { row.add("group", String(group)) }
        row.add("caps", String(program.capabilities.rawValue, radix: 16))
        row.add("seccomp", program.filter.rawValue)
        return row
    }

    private func ask(
        _ request: Row,
        keepsStart: Bool = false,
        patience: Duration = PodSandbox.patience
    ) async throws(SandboxError) -> RowReader.Pairs {
        guard !hasEnded else { throw SandboxError(.ended, "the pod \(spec.namespace)/\(spec.name) has ended") }
        let token = String(nextToken)
        nextToken += 1
        var row = request
        row.add("token", token)
        let frame = row.framed
        let answer = await withCheckedContinuation { (continuation: CheckedContinuation<Answer, Never>) in
            let expiry = Task {
                try? await Task.sleep(for: patience)
                if !Task.isCancelled { self.expire(token) }
            }
            let waiting = Waiting(continuation: continuation, patience: expiry)
            if keepsStart { starts[token] = waiting } else { replies[token] = waiting }
            if let failure = send(frame) { settle(token, .failure(failure)) }
        }
        return try answer.get()
    }

    /// Requests are small and the pod init reads at once; only a large environment may need more than one turn.
    private func send(_ frame: [UInt8]) -> SandboxError? {
        var done = 0
        while done < frame.count {
            let sent = frame.withUnsafeBytes {
                Glibc.send(control, $0.baseAddress?.advanced(by: done), frame.count - done, Int32(MSG_NOSIGNAL))
            }
            if sent > 0 {
                done += sent
            } else if errno == EAGAIN {
                var there = pollfd(fd: control, events: Int16(POLLOUT), revents: 0)
                if poll(&there, 1, 1000) <= 0 { return SandboxError(.timedOut, "the pod init does not read") }
            } else if errno != EINTR {
                return SandboxError(.ended, "cannot reach the pod init: \(SandboxError.text(errno))")
            }
        }
        return nil
    }

    private func settle(_ token: String, _ answer: Answer) {
        guard let waiting = replies.removeValue(forKey: token) ?? starts.removeValue(forKey: token) else { return }
        waiting.patience.cancel()
        waiting.continuation.resume(returning: answer)
    }

    private func expire(_ token: String) {
        settle(
            token,
            .failure(SandboxError(.timedOut, "the pod init of \(spec.namespace)/\(spec.name) does not answer"))
        )
    }

    private func readControl() async {
        var bytes = [UInt8](repeating: 0, count: 16384)
        while !hasEnded, await Poller.shared.wait(control, .readable) == .ready {
            let count = recv(control, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { break }
            reader.append(bytes[..<count])
            do throws(SandboxError) {
                while let row = try reader.next() { handle(row) }
            } catch { break }
        }
        guard !Task.isCancelled else { return }
        // The socket ends with the process; whatever the reason, a pod that cannot be spoken to is ended.
        await kill()
    }

    private func handle(_ row: RowReader.Pairs) {
        if let token = row["reply"] {
            if starts[token] != nil {
                if let error = row["error"] { settle(token, .failure(SandboxError(.refused, error))) }
            } else if let error = row["error"], row["code"] == nil {
                settle(token, .failure(SandboxError(.refused, error)))
            } else {
                settle(token, .success(row))
            }
            return
        }
        switch row["event"] {
        case "started", "failed": settle(row["token"] ?? "", .success(row))
        case "exited":
            if let run = row["container"].flatMap(ContainerRun.init) { publish.yield(.exited(run)) }
        default: break
        }
    }
}

extension Duration {
    /// Whole milliseconds, rounded up.
    package var milliseconds: Int64 {
        let (whole, overflow) = components.seconds.multipliedReportingOverflow(by: 1000)
        guard !overflow else { return components.seconds < 0 ? 0 : Int64(Int32.max) }
        return whole + (components.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
