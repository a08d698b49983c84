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
        guard WebSocketHandshake.asks(request, for: "websocket") else {
            throw APIError.badRequest(
                "you must request an upgrade to websocket with the subprotocol "
                    + "\(CommandChannels.subprotocols[0]); SPDY is not spoken here (kubectl 1.30 and later need none)"
            )
        }
        let (head, subprotocol) = try WebSocketHandshake.accept(request, protocols: CommandChannels.subprotocols)
        let start = try await begin(commands, wish, pod)
        return HTTPResponse(
            status: 101,
            headers: head,
            body: .upgrade { connection in
                let channels = CommandChannels(
                    socket: WebSocket(connection),
                    wish: wish,
                    closesInput: subprotocol == CommandChannels.subprotocols[0]
                )
                await channels.run(start)
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

/// The channels of Kubernetes' remote commands over a WebSocket: the first byte of each message names the channel.
struct CommandChannels: Sendable {
    static let subprotocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
    /// How long a client may take to say goodbye after the end.
    private static let farewell: Duration = .seconds(1)

    private enum Channel: UInt8 {
        case input = 0
        case output = 1
        case errors = 2
        case status = 3
        case resize = 4
        /// Closes the channel named by the next byte (v5).
        case close = 255
    }

    let socket: WebSocket
    let wish: PodCommandWish
    /// Whether the client may end the command's input without going away.
    let closesInput: Bool

    func run(_ start: PodCommandStart) async {
        switch start {
        case .failed(let message, let exitCode):
            try? await socket.send([Channel.status.rawValue] + JSON.bytes(Self.failure(message, exitCode)))
            await socket.close(1000)
        case .running(let command):
            // Kubernetes greets on the lowest channel that it writes, and clients wait for it.
            let greeting: Channel = wish.hasOutput ? .output : wish.hasErrors ? .errors : .status
            if greeting != .status { try? await socket.send([greeting.rawValue]) }
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
            try? await socket.send([Channel.status.rawValue] + JSON.bytes(Self.status(code, wish.command)))
            await socket.close(1000)
            group.addTask { try? await Task.sleep(for: Self.farewell) }
            await group.next()
            group.cancelAll()
        }
    }

    private func pass(_ stream: RunningCommandStream, _ channel: Channel, of command: any RunningCommand) async {
        while let bytes = await command.read(stream) {
            guard (try? await socket.send([channel.rawValue] + bytes)) != nil else { return command.hangUp() }
        }
    }

    /// Takes what the client sends until it goes away.
    private func takeInput(_ command: any RunningCommand) async {
        var messages = socket.messages()
        while let message = await messages.next() {
            guard let channel = message.first.flatMap(Channel.init) else { continue }
            switch channel {
            case .input:
                if wish.hasInput, message.count > 1 { _ = await command.write(Array(message.dropFirst())) }
            case .resize:
                guard wish.isTerminal, let size = try? JSON.parse(Array(message.dropFirst())),
                    let columns = size.integer("Width"), let rows = size.integer("Height"),
                    (1...0xffff).contains(columns), (1...0xffff).contains(rows)
                else { continue }
                command.resize(columns: columns, rows: rows)
            case .close:
                if closesInput, message.count == 2, message[1] == Channel.input.rawValue { await command.closeInput() }
            case .output, .errors, .status: continue
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
