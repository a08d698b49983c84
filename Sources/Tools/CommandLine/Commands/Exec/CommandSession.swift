import CWeft
import Glibc
import Resources
import Servers
import Wire

/// Speaks with a command in a container: standard streams on this side, a WebSocket on the other.
///
/// One loop over `poll`, on the calling thread; it returns when the command has ended. Nothing else may use the terminal.
struct CommandSession {
    private static let subprotocol = "v5.channel.k8s.io"
    private static let pieceSize = 32 << 10
    /// Standard input rests while more than this waits for the daemon.
    private static let highWater = 256 << 10
    /// How long the daemon may take to start the command.
    private static let patience: Int32 = 30_000

    private let target: String
    private let passesInput: Bool
    private let isTerminal: Bool
    private let isQuiet: Bool

    // Without a command it hears what the container itself writes.
    init(_ place: CommandPlace, _ command: [String]?, _ arguments: Arguments) throws(UsageError) {
        isQuiet = arguments.isSet("quiet")
        passesInput = arguments.isSet("stdin")
        let wantsTerminal = passesInput && arguments.isSet("tty")
        isTerminal = wantsTerminal && isatty(STDIN_FILENO) == 1
        if wantsTerminal, !isTerminal, !isQuiet {
            Terminal.note("Unable to use a TTY - input is not a terminal or the right kind of file")
        }
        let path = APIPath.of(
            try Target.type(named: "pods"),
            namespace: place.namespace,
            name: place.pod,
            subresource: command == nil ? "attach" : "exec"
        )
        target =
            path
            + APIPath.query(
                [
                    ("container", place.container), ("stdin", passesInput ? "true" : nil), ("stdout", "true"),
                    ("stderr", isTerminal ? nil : "true"), ("tty", isTerminal ? "true" : nil),
                ] + (command ?? []).map { ("command", $0) }
            )
    }

    // MARK: The way in

    func run(_ path: String) throws -> ExitCode {
        let fd = cweft_connect_unix(path, Int32(SOCK_STREAM.rawValue), 1)
        guard fd >= 0 else {
            throw CommandError("cannot reach the daemon at \(path): \(String(cString: strerror(-fd)))")
        }
        defer { close(fd) }
        var link = CommandLink(fd: fd)
        try open(&link)
        if isTerminal {
            WindowChanges.begin()
            _ = cweft_terminal_raw(STDIN_FILENO, 1, nil)
            sendSize(&link)
        }
        defer { if isTerminal { cweft_terminal_restore() } }
        do {
            let status = try converse(&link)
            if isTerminal { cweft_terminal_restore() }
            return judge(status)
        } catch is ReaderGone {
            return ReaderGone.exitCode
        }
    }

    /// Asks for the command, and reads until the daemon has agreed.
    private func open(_ link: inout CommandLink) throws {
        var generator = SystemRandomNumberGenerator()
        let key = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        link.output = WebSocketHandshake.request(target: target, key: key, protocols: [Self.subprotocol])
        var input: [UInt8] = []
        while true {
            if let answer = try WebSocketHandshake.read(input) {
                guard answer.agrees(key: key, protocols: [Self.subprotocol]) else {
                    throw try refusal(answer, Array(input.dropFirst(answer.length)), &link)
                }
                link.reader.append(Array(input.dropFirst(answer.length)))
                return
            }
            input += try link.exchange(patience: Self.patience)
        }
    }

    /// What the daemon says when it does not agree.
    private func refusal(
        _ answer: WebSocketHandshake.Answer,
        _ start: [UInt8],
        _ link: inout CommandLink
    ) throws -> any Error {
        var body = start
        let length = min(answer.headers["Content-Length"].flatMap { Int($0) } ?? 0, 1 << 20)
        while body.count < length { body += try link.exchange(patience: Self.patience) }
        if let status = try? JSON.parse(body), let error = APIError(status: status) { return error }
        return CommandError("the daemon answered with status \(answer.status)")
    }

    // MARK: The conversation

    /// Passes bytes both ways until the command has ended; its status.
    private func converse(_ link: inout CommandLink) throws -> Value {
        var readsInput = passesInput
        while true {
            while let message = try link.next() {
                if let status = try take(message, &link) { return status }
            }
            var polls = [
                pollfd(fd: link.fd, events: Int16(POLLIN | (link.output.isEmpty ? 0 : POLLOUT)), revents: 0),
                pollfd(fd: WindowChanges.reading, events: Int16(POLLIN), revents: 0),
                pollfd(
                    fd: readsInput && link.output.count < Self.highWater ? STDIN_FILENO : -1,
                    events: Int16(POLLIN),
                    revents: 0
                ),
            ]
            guard poll(&polls, nfds_t(polls.count), -1) >= 0 || errno == EINTR else {
                throw CommandError("poll: \(String(cString: strerror(errno)))")
            }
            if polls[1].revents != 0 {
                WindowChanges.drain()
                sendSize(&link)
            }
            if polls[2].revents != 0 { readsInput = readInput(&link) }
            if !link.output.isEmpty { try link.flush() }
            if polls[0].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { link.reader.append(try link.receive()) }
        }
    }

    /// Passes on what stands on standard input; false at its end.
    private func readInput(_ link: inout CommandLink) -> Bool {
        var bytes = [UInt8](repeating: 0, count: Self.pieceSize)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        if count < 0, errno == EINTR || errno == EAGAIN { return true }
        guard count > 0 else {
            link.send([255, 0])
            return false
        }
        link.send([0] + bytes[..<count])
        return true
    }

    private func sendSize(_ link: inout CommandLink) {
        var columns: Int32 = 0
        var rows: Int32 = 0
        guard cweft_terminal_size(STDIN_FILENO, &columns, &rows) == 0, columns > 0, rows > 0 else { return }
        link.send([4] + Array(#"{"Width":\#(columns),"Height":\#(rows)}"#.utf8))
    }

    /// The status, when this message is one.
    private func take(_ message: WebSocketMessage, _ link: inout CommandLink) throws -> Value? {
        switch message {
        case .ping(let payload): link.send(payload, as: .pong)
        case .pong: break
        case .close: throw CommandLink.lost
        case .data(let bytes, _):
            switch bytes.first {
            case 1: try Self.put(bytes.dropFirst(), on: STDOUT_FILENO)
            case 2: try Self.put(bytes.dropFirst(), on: STDERR_FILENO)
            case 3: return try JSON.parse(Array(bytes.dropFirst()))
            default: break
            }
        }
        return nil
    }

    private static func put(_ bytes: ArraySlice<UInt8>, on fd: Int32) throws {
        try bytes.withUnsafeBytes { raw in
            var rest = raw[...]
            while !rest.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: rest)
                let written = Glibc.write(fd, piece.baseAddress, piece.count)
                if written < 0, errno == EINTR { continue }
                if written < 0, errno == EAGAIN {
                    var there = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
                    poll(&there, 1, -1)
                    continue
                }
                guard written > 0 else { throw ReaderGone() }
                rest = rest.dropFirst(written)
            }
        }
    }

    /// Whoever read what the command writes has gone (`weft exec ... | head`): the command ends with us.
    private struct ReaderGone: Error {
        /// What a shell says of a program that ends so: 128 + SIGPIPE.
        static let exitCode = ExitCode(rawValue: 141)
    }

    // MARK: The end

    private func judge(_ status: Value) -> ExitCode {
        guard status["status"]?.stringValue != "Success" else { return .success }
        let causes = status.at("details", "causes")?.arrayValue ?? []
        let cause = causes.first { $0["reason"]?.stringValue == "ExitCode" }
        let code = cause?["message"]?.stringValue.flatMap { Int32($0) }
        if status["reason"]?.stringValue != "NonZeroExitCode" {
            Terminal.complain(status["message"]?.stringValue ?? "the command failed")
        } else if !isQuiet, let code {
            Terminal.note("command terminated with exit code \(code)")
        }
        return ExitCode(rawValue: code ?? 1)
    }
}

/// The socket to the daemon, with what waits to be sent and what was received of a message.
struct CommandLink {
    static let lost = CommandError("the connection to the daemon was lost; the command was ended")

    let fd: Int32
    var output: [UInt8] = []
    var reader = WebSocketReader(role: .client)

    init(fd: Int32) { self.fd = fd }

    mutating func next() throws -> WebSocketMessage? {
        do throws(WebSocketFault) {
            return try reader.next()
        } catch {
            throw CommandError("the daemon does not keep to the protocol: \(error.reason)")
        }
    }

    mutating func send(_ payload: [UInt8], as opcode: WebSocketFrame.Opcode = .binary) {
        output += WebSocketFrame.bytes(opcode, payload, mask: UInt32.random(in: 0...UInt32.max))
    }

    /// Sends what can be sent at once.
    mutating func flush() throws {
        var sent = 0
        while sent < output.count {
            let count = output.withUnsafeBytes {
                Glibc.send(fd, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { break }
            // The daemon may have said the last word before it went: that is read first.
            guard count > 0 else {
                output = []
                return
            }
            sent += count
        }
        output.removeFirst(sent)
    }

    /// What has come; nothing when nothing has.
    func receive() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(fd, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN || errno == EINTR { return [] }
        guard count > 0 else { throw Self.lost }
        return Array(bytes[..<count])
    }

    /// Sends and waits until something has come.
    mutating func exchange(patience: Int32) throws -> [UInt8] {
        while true {
            var there = pollfd(fd: fd, events: Int16(POLLIN | (output.isEmpty ? 0 : POLLOUT)), revents: 0)
            let ready = poll(&there, 1, patience)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { throw CommandError("the daemon did not start the command in time") }
            if !output.isEmpty { try flush() }
            guard there.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 else { continue }
            let bytes = try receive()
            if !bytes.isEmpty { return bytes }
        }
    }
}

/// Changes of the terminal's size (SIGWINCH), as bytes in a pipe.
enum WindowChanges {
    /// Safety: both are written once by `begin()` before the handler is installed, and only read afterwards.
    nonisolated(unsafe) private(set) static var reading: Int32 = -1
    nonisolated(unsafe) private static var writing: Int32 = -1

    /// Catches the signal from now on. May be called once in a process.
    static func begin() {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { return }
        (reading, writing) = (ends[0], ends[1])
        signal(SIGWINCH) { _ in
            var byte: UInt8 = 1
            _ = write(WindowChanges.writing, &byte, 1)
        }
    }

    static func drain() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(reading, &bytes, bytes.count) > 0 {}
    }
}
