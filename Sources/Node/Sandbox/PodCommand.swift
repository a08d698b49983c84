import Bytes
import CWeft
import Glibc

/// What to run inside a container for somebody who speaks to it. Environment, user and all else are the container's own.
package struct CommandSpec: Sendable {
    package var container: String
    package var arguments: [String]
    package var hasInput = false
    package var hasOutput = false
    package var hasErrors = false
    package var isTerminal = false

    package init(container: String, arguments: [String]) {
        self.container = container
        self.arguments = arguments
    }

    fileprivate func row(_ verb: String) -> Row {
        var row = Row()
        row.add("do", verb)
        row.add("token", "command")
        row.add("name", container)
        for argument in arguments { row.add("arg", argument) }
        if isTerminal { row.add("tty", "1") }
        if hasInput { row.add("stdin", "1") }
        if hasOutput { row.add("stdout", "1") }
        if hasErrors { row.add("stderr", "1") }
        return row
    }
}

/// A command that runs inside a container, started by the pod init over a control connection of its own: when that closes
/// (this object is released, or the process dies) the pod init ends the command.
///
/// Its streams are the command's own pipes or terminal: nothing stands between. Input, output and errors are for one task
/// each.
package final class PodCommand: Sendable {
    package enum Stream: Int, Sendable { case input, output, errors }

    package struct End: Sendable, Equatable {
        /// 128 + signal after a signal.
        package let exitCode: Int
        package let signal: Int
    }

    private struct State {
        var reader = RowReader()
        /// -1: there is none, or it was closed.
        var descriptors: [Int32] = [-1, -1, -1]
        /// Nothing that comes later is the command's own.
        var isOver = false
        var waits: [Int: Task<Void, Never>] = [:]
        var nextWait = 0
    }

    private static let patience: Duration = .seconds(10)
    private static let readSize = 32 << 10

    private let control: Int32
    private let isTerminal: Bool
    private let state = Lock(State())

    private init(control: Int32, isTerminal: Bool) {
        self.control = control
        self.isTerminal = isTerminal
    }

    deinit {
        close(control)
        let open = state.withLock { $0.descriptors.filter { $0 >= 0 } }
        for descriptor in open { close(descriptor) }
    }

    /// Starts a command in a running container of the pod whose directory is given; returns when its program runs.
    ///
    /// - Throws: `.startFailed` with the kernel's reason; `.refused` when the container does not run or the pod has too many
    ///   commands; `.ended` when the pod cannot be reached.
    package static func start(_ spec: CommandSpec, directory: String) async throws(SandboxError) -> PodCommand {
        try await begin(spec, "command", directory)
    }

    /// Attaches to a running container: its input, where it has one, and what it writes from now on. Ends with the container;
    /// hung up, it leaves the container alone (but for an input that ends with who wrote it).
    ///
    /// - Throws: `.refused` when the container does not run, or too many are attached; `.ended` when the pod cannot be reached.
    package static func attach(_ spec: CommandSpec, directory: String) async throws(SandboxError) -> PodCommand {
        try await begin(spec, "attach", directory)
    }

    private static func begin(
        _ spec: CommandSpec,
        _ verb: String,
        _ directory: String
    ) async throws(SandboxError) -> PodCommand {
        let control = cweft_pod_connect("\(directory)/control.sock", Int32(SOCK_STREAM.rawValue))
        guard control >= 0 else {
            throw SandboxError(.ended, "cannot reach the pod's init: \(SandboxError.text(-control))")
        }
        let command = PodCommand(control: control, isTerminal: spec.isTerminal)
        try await command.send(spec.row(verb).framed)
        let deadline = ContinuousClock.now + patience
        while true {
            guard let row = try await command.nextRow(until: deadline) else {
                throw SandboxError(.ended, "the pod's init went away")
            }
            if row["reply"] != nil {
                if let error = row["error"] { throw SandboxError(.refused, error) }
            } else if row["event"] == "command" {
                guard row["state"] != "failed" else {
                    throw SandboxError(.startFailed, row["error"] ?? "the program could not be started")
                }
                return command
            }
        }
    }

    private func send(_ frame: [UInt8]) async throws(SandboxError) {
        var done = 0
        while done < frame.count {
            let sent = frame.withUnsafeBytes {
                Glibc.send(control, $0.baseAddress?.advanced(by: done), frame.count - done, Int32(MSG_NOSIGNAL))
            }
            if sent > 0 {
                done += sent
            } else if errno == EAGAIN {
                guard await Poller.shared.wait(control, .writable, until: .now + Self.patience) == .ready else {
                    throw SandboxError(.timedOut, "the pod's init does not read")
                }
            } else if errno != EINTR {
                throw SandboxError(.ended, "cannot reach the pod's init: \(SandboxError.text(errno))")
            }
        }
    }

    // MARK: What the pod init says

    /// The next row; nil when the connection has ended.
    private func nextRow(until deadline: ContinuousClock.Instant?) async throws(SandboxError) -> RowReader.Pairs? {
        while true {
            let row = try state.withLock { (state) throws(SandboxError) in try state.reader.next() }
            if let row {
                if row["reply"] != nil { arrange(row) }
                return row
            }
            switch await Poller.shared.wait(control, .readable, until: deadline) {
            case .ready: break
            case .timedOut: throw SandboxError(.timedOut, "the pod's init does not answer")
            case .cancelled, .failed: return nil
            }
            guard receive() else { return nil }
        }
    }

    /// Takes in bytes and descriptors; false at the end of the connection.
    private func receive() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 4096)
        var came: [Int32] = [-1, -1, -1]
        var count = Int32(came.count)
        let length = cweft_receive_descriptors(control, &bytes, bytes.count, &came, &count)
        if length == -Int(EAGAIN) || length == -Int(EINTR) { return true }
        guard length > 0 else { return false }
        state.withLock { state in
            state.reader.append(bytes[..<length])
            if count > 0 { state.descriptors = came }
        }
        return true
    }

    /// Puts the descriptors that came into their places, as the row says.
    private func arrange(_ row: RowReader.Pairs) {
        let places = row.filter { $0.key == "descriptor" }.compactMap { Int($0.value) }
        state.withLock { state in
            let came = state.descriptors
            state.descriptors = [-1, -1, -1]
            for (place, descriptor) in zip(places, came) where state.descriptors.indices.contains(place) {
                state.descriptors[place] = descriptor
            }
            // A terminal is read and written by two tasks, and each waits on a descriptor of its own.
            if isTerminal, state.descriptors[0] >= 0, state.descriptors[1] < 0 {
                state.descriptors[1] = fcntl(state.descriptors[0], F_DUPFD_CLOEXEC, 3)
            }
        }
    }

    /// Waits for the command's end; nil when it was hung up or the pod has ended.
    package func end() async -> End? {
        var end: End?
        while end == nil, let row = try? await nextRow(until: nil) {
            guard row["event"] == "command", row["state"] == "ended" else { continue }
            end = End(exitCode: row["code"].flatMap { Int($0) } ?? 1, signal: row["signal"].flatMap { Int($0) } ?? 0)
        }
        finish()
        return end
    }

    /// Ends the command: SIGHUP, and SIGKILL soon after.
    package func hangUp() {
        shutdown(control, Int32(SHUT_RDWR))
        finish()
    }

    private func finish() {
        let waits = state.withLock { state in
            state.isOver = true
            return Array(state.waits.values)
        }
        for wait in waits { wait.cancel() }
    }

    // MARK: Streams

    private func descriptor(_ stream: Stream) -> (Int32, isOver: Bool) {
        state.withLock { ($0.descriptors[stream.rawValue], $0.isOver) }
    }

    /// What the command wrote; nil when it has closed the stream, or has ended and all that it wrote was read.
    package func read(_ stream: Stream) async -> [UInt8]? {
        while true {
            // Asked first: what was written before the end is read after it was seen.
            let (fd, isOver) = descriptor(stream)
            guard fd >= 0 else { return nil }
            var failure: Int32 = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: Self.readSize) { buffer, count in
                let got = Glibc.read(fd, buffer.baseAddress, Self.readSize)
                if got < 0 { failure = errno }
                count = max(got, 0)
            }
            if !bytes.isEmpty { return bytes }
            // A terminal that nobody holds any more answers EIO.
            guard await mayGoOn(failure, fd, isOver, .readable) else { return nil }
        }
    }

    /// Hands bytes to the command's input; false when nobody takes them any more.
    package func write(_ bytes: [UInt8]) async -> Bool {
        var done = 0
        while done < bytes.count {
            let (fd, isOver) = descriptor(.input)
            guard fd >= 0 else { return false }
            var failure: Int32 = 0
            let written = bytes.withUnsafeBytes { raw in
                let put = Glibc.write(fd, raw.baseAddress?.advanced(by: done), raw.count - done)
                if put < 0 { failure = errno }
                return put
            }
            if written > 0 { done += written } else if await !mayGoOn(failure, fd, isOver, .writable) { return false }
        }
        return true
    }

    /// Ends the command's input. To a terminal it says ^D, which programs that read lines take for the end.
    package func closeInput() async {
        guard !isTerminal else {
            _ = await write([4])
            return
        }
        let fd = state.withLock { state in
            let fd = state.descriptors[0]
            state.descriptors[0] = -1
            return fd
        }
        if fd >= 0 { close(fd) }
    }

    /// Sets the size of the terminal, of which its programs are told (SIGWINCH).
    package func resize(columns: Int, rows: Int) {
        let (fd, _) = descriptor(.input)
        guard isTerminal, fd >= 0 else { return }
        _ = cweft_set_terminal_size(fd, Int32(clamping: columns), Int32(clamping: rows))
    }

    /// After a call that moved nothing: whether to try again, once the descriptor is ready.
    private func mayGoOn(_ failure: Int32, _ fd: Int32, _ isOver: Bool, _ interest: Poller.Interest) async -> Bool {
        if failure == EINTR { return true }
        guard failure == EAGAIN, !isOver else { return false }
        let wait = Task { _ = await Poller.shared.wait(fd, interest) }
        let id = state.withLock { state -> Int in
            state.nextWait += 1
            state.waits[state.nextWait] = wait
            if state.isOver { wait.cancel() }
            return state.nextWait
        }
        await withTaskCancellationHandler {
            await wait.value
        } onCancel: {
            wait.cancel()
        }
        state.withLock { _ = $0.waits.removeValue(forKey: id) }
        return !Task.isCancelled
    }
}
