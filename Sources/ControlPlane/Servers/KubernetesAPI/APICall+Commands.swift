import Resources
import Store
import Wire

// `pods/x/exec` and `attach`: a command inside a container, and a container's own output, over a WebSocket.
extension APICall {
    func attach(_ key: ObjectKey) async throws -> HTTPResponse {
        try await channels(key, command: []) { commands, wish, pod in .running(try await commands.attach(wish, to: pod))
        }
    }

    func exec(_ key: ObjectKey) async throws -> HTTPResponse {
        try await channels(key, command: try commandWords()) { try await $0.start($1, in: $2) }
    }

    private func channels(
        _ key: ObjectKey,
        command: [String],
        _ begin: (any PodCommandSource, PodCommandWish, Object) async throws -> PodCommandStart
    ) async throws -> HTTPResponse {
        guard ["GET", "POST"].contains(request.method) else { throw KubernetesAPI.wrongMethod }
        guard let commands = api.commands else { throw APIError.unavailable("no agent runs here that starts commands") }
        let pod = try await store.get(key)
        let wish = try commandWish(PodCommandWish(container: try container(of: pod), command: command))
        if WebSocketHandshake.asks(request, for: "spdy/3.1") {
            let head = try SPDYHandshake.accept(request, protocols: SPDYHandshake.commands)
            let start = try await begin(commands, wish, pod)
            return HTTPResponse(
                status: 101,
                headers: head,
                body: .upgrade { connection in
                    let session = SPDYSession(connection)
                    guard let streams = await SPDYCommandStreams.open(session, wish) else { return }
                    await CommandChannels(transport: streams, wish: wish).run(start)
                }
            )
        }
        guard WebSocketHandshake.asks(request, for: "websocket") else {
            throw APIError.badRequest(
                "you must request an upgrade to websocket with the subprotocol "
                    + "\(CommandChannels.subprotocols[0]), or to SPDY/3.1"
            )
        }
        let (head, subprotocol) = try WebSocketHandshake.accept(request, protocols: CommandChannels.subprotocols)
        let start = try await begin(commands, wish, pod)
        return HTTPResponse(
            status: 101,
            headers: head,
            body: .upgrade { connection in
                let transport = WebSocketCommandChannels(
                    WebSocket(connection),
                    closesInput: subprotocol == CommandChannels.subprotocols[0]
                )
                await CommandChannels(transport: transport, wish: wish).run(start)
            }
        )
    }

    private func commandWords() throws(APIError) -> [String] {
        guard request.query.count < PercentCoding.mostItems else {
            throw .badRequest("the command has too many words: \(PercentCoding.mostItems) are the most")
        }
        let words = request.query.filter { $0.name == "command" }.map(\.value)
        guard let program = words.first, !program.isEmpty else {
            throw .badRequest("you must specify at least one command for the container")
        }
        guard !words.contains(where: { $0.utf8.contains(0) }) else {
            throw .badRequest("a word of the command holds a NUL, which no program can be given")
        }
        return words
    }

    private func commandWish(_ plain: PodCommandWish) throws(APIError) -> PodCommandWish {
        var wish = plain
        wish.isTerminal = Self.isTrue(request.queryValue("tty"))
        wish.hasInput = Self.isTrue(request.queryValue("stdin"))
        wish.hasOutput = Self.isTrue(request.queryValue("stdout"))
        // A terminal has one stream for both.
        wish.hasErrors = Self.isTrue(request.queryValue("stderr")) && !wish.isTerminal
        guard wish.hasInput || wish.hasOutput || wish.hasErrors else {
            throw .badRequest("you must specify at least one of stdin, stdout, stderr")
        }
        return wish
    }
}

/// The channels of a remote command. The numbers are those of the WebSocket's messages.
enum CommandChannel: UInt8, Sendable {
    case input = 0
    case output = 1
    case errors = 2
    case status = 3
    case resize = 4
    /// Closes the channel named by the next byte (v5).
    case close = 255
}

/// What the client of a remote command does.
enum CommandEvent: Sendable {
    case input([UInt8])
    case endOfInput
    case resize([UInt8])
}

/// How a remote command's channels reach its client.
protocol CommandTransport: Sendable {
    /// Sends a piece; returns when there is room for more, throws when the client has gone.
    func send(_ channel: CommandChannel, _ bytes: [UInt8]) async throws
    /// What the client does next; nil when it has gone. For one task.
    func next() async -> CommandEvent?
    /// Says goodbye.
    func close() async
}

/// The channels as messages of a WebSocket: the first byte of each names the channel.
actor WebSocketCommandChannels: CommandTransport {
    private let socket: WebSocket
    private var messages: WebSocket.Messages
    /// Whether the client may end the command's input without going away.
    private let closesInput: Bool

    init(_ socket: WebSocket, closesInput: Bool) {
        self.socket = socket
        self.closesInput = closesInput
        messages = socket.messages()
    }

    nonisolated func send(_ channel: CommandChannel, _ bytes: [UInt8]) async throws {
        try await socket.send([channel.rawValue] + bytes)
    }

    nonisolated func close() async { await socket.close(1000) }

    func next() async -> CommandEvent? {
        while true {
            var rest = messages
            let message = await rest.next()
            messages = rest
            guard let message else { return nil }
            switch message.first.flatMap(CommandChannel.init) {
            case .input: return .input(Array(message.dropFirst()))
            case .resize: return .resize(Array(message.dropFirst()))
            case .close where closesInput && message.count == 2 && message[1] == CommandChannel.input.rawValue:
                return .endOfInput
            default: continue
            }
        }
    }
}

/// A command and its client, joined by their channels.
struct CommandChannels: Sendable {
    static let subprotocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
    /// How long a client may take to say goodbye after the end.
    private static let farewell: Duration = .seconds(1)

    let transport: any CommandTransport
    let wish: PodCommandWish

    func run(_ start: PodCommandStart) async {
        switch start {
        case .failed(let message, let exitCode):
            try? await transport.send(.status, JSON.bytes(Self.failure(message, exitCode)))
            await transport.close()
        case .running(let command):
            // Kubernetes greets on the lowest channel that it writes, and clients of WebSockets wait for it.
            if transport is WebSocketCommandChannels {
                if wish.hasOutput {
                    try? await transport.send(.output, [])
                } else if wish.hasErrors {
                    try? await transport.send(.errors, [])
                }
            }
            await accompany(command)
        }
    }

    private func accompany(_ command: any RunningCommand) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await takeInput(command)
                command.hangUp()
            }
            async let output: Void = wish.hasOutput || wish.isTerminal ? pass(.output, .output, of: command) : ()
            async let errors: Void = wish.hasErrors ? pass(.errors, .errors, of: command) : ()
            let code = await command.exitCode()
            _ = await (output, errors)
            try? await transport.send(.status, JSON.bytes(Self.status(code, wish.command)))
            await transport.close()
            group.addTask { try? await Task.sleep(for: Self.farewell) }
            await group.next()
            group.cancelAll()
        }
    }

    private func pass(
        _ stream: RunningCommandStream,
        _ channel: CommandChannel,
        of command: any RunningCommand
    ) async {
        while let bytes = await command.read(stream) {
            guard (try? await transport.send(channel, bytes)) != nil else { return command.hangUp() }
        }
    }

    /// Takes what the client sends until it goes away.
    private func takeInput(_ command: any RunningCommand) async {
        while let event = await transport.next() {
            switch event {
            case .input(let bytes):
                if wish.hasInput, !bytes.isEmpty { _ = await command.write(bytes) }
            case .endOfInput: await command.closeInput()
            case .resize(let bytes):
                guard wish.isTerminal, let size = try? JSON.parse(bytes),
                    let columns = size.integer("Width"), let rows = size.integer("Height"),
                    (1...0xffff).contains(columns), (1...0xffff).contains(rows)
                else { continue }
                command.resize(columns: columns, rows: rows)
            }
        }
    }

    // MARK: The status

    static func status(_ code: Int?, _ command: [String]) -> Value {
        guard let code else {
            return failure("the command's end is not known: the container or its pod has ended", nil)
        }
        guard code != 0 else { return ["metadata": [:], "status": "Success"] }
        var status = failure("command terminated with non-zero exit code: exit status \(code)", code)
        status["reason"] = "NonZeroExitCode"
        status["code"] = nil
        return status
    }

    static func failure(_ message: String, _ exitCode: Int?) -> Value {
        var status: Value = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
            "reason": "InternalError", "code": 500,
        ]
        if let exitCode {
            status["details"] = ["causes": [["reason": "ExitCode", "message": .string(String(exitCode))]]]
        }
        return status
    }
}
