import Bytes
import Resources
import Store
import Wire

// `pods/x/portforward`: connections to ports of a pod, over SPDY, over SPDY inside a WebSocket, or over a WebSocket's channels.
extension APICall {
    private static let tunnel = "SPDY/3.1+portforward.k8s.io"
    private static let channels = ["v4.channel.k8s.io", "portforward.k8s.io"]

    func portForward(_ key: ObjectKey) async throws -> HTTPResponse {
        guard ["GET", "POST"].contains(request.method) else { throw KubernetesAPI.wrongMethod }
        guard let ports = api.ports else { throw APIError.unavailable("no agent runs here that reaches pods") }
        let pod = try await store.get(key)
        guard PodStatus(pod.status).phase == "Running" else {
            throw APIError.badRequest(
                "unable to forward port because pod is not running. Current status=\(PodStatus(pod.status).phase)"
            )
        }
        if WebSocketHandshake.asks(request, for: "spdy/3.1") {
            let head = try SPDYHandshake.accept(request, protocols: SPDYHandshake.ports)
            return HTTPResponse(
                status: 101,
                headers: head,
                body: .upgrade { await PortForwarding(session: SPDYSession($0), ports: ports, pod: pod).run() }
            )
        }
        guard WebSocketHandshake.asks(request, for: "websocket") else {
            throw APIError.badRequest("you must request an upgrade to websocket, or to SPDY/3.1")
        }
        let (head, subprotocol) = try WebSocketHandshake.accept(
            request,
            protocols: [Self.tunnel] + Self.channels,
            allowsNone: true
        )
        if subprotocol == Self.tunnel {
            return HTTPResponse(
                status: 101,
                headers: head,
                body: .upgrade {
                    let session = SPDYSession(WebSocketBytes(WebSocket($0)))
                    await PortForwarding(session: session, ports: ports, pod: pod).run()
                }
            )
        }
        let wanted = try wantedPorts()
        return HTTPResponse(
            status: 101,
            headers: head,
            body: .upgrade {
                await PortChannels(socket: WebSocket($0), ports: ports, pod: pod, wanted: wanted).run()
            }
        )
    }

    private func wantedPorts() throws(APIError) -> [Int] {
        let texts = request.query.filter { $0.name == "ports" }.flatMap { $0.value.split(separator: ",") }
        var wanted: [Int] = []
        for text in texts {
            guard let port = Int(text), (1...65535).contains(port), wanted.count < 64 else {
                throw .badRequest(
                    "ports: Invalid value: \"\(text.prefix(40))\": must be ports from 1 to 65535, 64 at most"
                )
            }
            wanted.append(port)
        }
        guard !wanted.isEmpty else { throw .badRequest("query parameter \"ports\" is required") }
        return wanted
    }
}

/// Bytes on their way to a pod: a bounded queue between the task that reads a client and the one that writes to the pod.
private final class PodInput: Sendable {
    private static let limit = 256 << 10

    private struct State {
        var pieces: [[UInt8]] = []
        var size = 0
        var isEnded = false
        var isGone = false
        var reader: CheckedContinuation<Void, Never>?
        var writer: CheckedContinuation<Void, Never>?
    }

    private let state = Lock(State())

    /// Adds a piece; waits while too much is not yet taken.
    func add(_ bytes: [UInt8]) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let (reader, isFull) = state.withLock { state -> (CheckedContinuation<Void, Never>?, Bool) in
                guard !state.isGone, !state.isEnded else { return (nil, false) }
                state.pieces.append(bytes)
                state.size += bytes.count
                let reader = state.reader
                state.reader = nil
                guard state.size > Self.limit else { return (reader, false) }
                state.writer = continuation
                return (reader, true)
            }
            reader?.resume()
            if !isFull { continuation.resume() }
        }
    }

    /// Nothing more will be taken or added.
    var isOver: Bool { state.withLock { $0.isGone } }

    func end() { wake { $0.isEnded = true } }

    /// Nobody takes anything any more.
    func abandon() {
        wake { state in
            state.isGone = true
            state.pieces = []
            state.size = 0
        }
    }

    private func wake(_ change: (inout State) -> Void) {
        let waiting = state.withLock { state in
            change(&state)
            defer {
                state.reader = nil
                state.writer = nil
            }
            return (state.reader, state.writer)
        }
        waiting.0?.resume()
        waiting.1?.resume()
    }

    /// The next piece; nil at the end. For one task.
    func next() async -> [UInt8]? {
        while true {
            let (piece, writer, isOver) = state.withLock {
                state -> ([UInt8]?, CheckedContinuation<Void, Never>?, Bool) in
                guard !state.pieces.isEmpty else { return (nil, nil, state.isEnded || state.isGone) }
                let piece = state.pieces.removeFirst()
                state.size -= piece.count
                guard state.size <= Self.limit else { return (piece, nil, false) }
                defer { state.writer = nil }
                return (piece, state.writer, false)
            }
            writer?.resume()
            if let piece { return piece }
            if isOver { return nil }
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let hasNews = state.withLock { state in
                    guard state.pieces.isEmpty, !state.isEnded, !state.isGone else { return true }
                    state.reader = continuation
                    return false
                }
                if hasNews { continuation.resume() }
            }
        }
    }
}

/// One forwarded connection: what the client sends goes in, what the pod answers goes out by `send`.
private struct ForwardedConnection: Sendable {
    let input = PodInput()

    /// Joins the two until both have ended; the error that a client is told, if there is one.
    func run(
        to port: Int,
        of pod: Object,
        _ ports: any PodPortSource,
        send: @escaping @Sendable ([UInt8]) async throws -> Void
    ) async -> String? {
        let connection: any PodConnection
        do throws(APIError) { connection = try await ports.connect(to: port, of: pod) } catch {
            input.abandon()
            return error.message
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [input] in
                while let piece = await input.next() {
                    guard await connection.write(piece) else { break }
                }
                connection.endInput()
            }
            group.addTask { [input] in
                while let bytes = await connection.read() {
                    guard (try? await send(bytes)) != nil else { break }
                }
                input.abandon()
            }
            await withTaskCancellationHandler {
                await group.waitForAll()
            } onCancel: {
                input.abandon()
                connection.close()
            }
        }
        connection.close()
        return nil
    }
}

/// The streams of a port-forward over SPDY: for each connection one for its bytes and one for what went wrong.
private struct PortForwarding: Sendable {
    let session: SPDYSession
    let ports: any PodPortSource
    let pod: Object

    /// Connections that one session may have open.
    private static let most = 256

    func run() async {
        await withTaskGroup(of: UInt32.self) { group in
            var errors: [String: UInt32] = [:]
            var open: [UInt32: PodInput] = [:]
            while let event = await session.next() {
                switch event {
                case .opened(let id, let headers):
                    let request = headers["requestid"] ?? ""
                    guard (try? await session.accept(id)) != nil else { break }
                    if headers["streamtype"] == "error" {
                        if errors.count < Self.most { errors[request] = id }
                        continue
                    }
                    guard headers["streamtype"] == "data", let port = headers["port"].flatMap({ Int($0) }),
                        (1...65535).contains(port), let error = errors.removeValue(forKey: request),
                        open.count < Self.most
                    else {
                        await session.reset(id)
                        continue
                    }
                    let connection = ForwardedConnection()
                    open[id] = connection.input
                    group.addTask {
                        await forward(connection, port, id, error)
                        return id
                    }
                case .data(let id, let bytes): await open[id]?.add(bytes)
                case .ended(let id, let isReset):
                    if isReset { open[id]?.abandon() } else { open[id]?.end() }
                }
                open = open.filter { !$0.value.isOver }
            }
            for input in open.values { input.abandon() }
            group.cancelAll()
        }
    }

    private func forward(_ connection: ForwardedConnection, _ port: Int, _ data: UInt32, _ error: UInt32) async {
        let session = session
        let failure = await connection.run(to: port, of: pod, ports) { try await session.send(data, $0) }
        if let failure {
            try? await session.send(error, Array("error forwarding port \(port) to pod \(pod.name): \(failure)".utf8))
        }
        await session.end(data)
        await session.end(error)
    }
}

/// A port-forward over a WebSocket's messages: two channels for each port, named by the first byte; each begins with its port.
private struct PortChannels: Sendable {
    let socket: WebSocket
    let ports: any PodPortSource
    let pod: Object
    let wanted: [Int]

    func run() async {
        let connections = wanted.map { _ in ForwardedConnection() }
        await withTaskGroup(of: Void.self) { group in
            for (index, port) in wanted.enumerated() {
                let number = [UInt8(port & 0xff), UInt8(port >> 8)]
                let data = UInt8(2 * index)
                try? await socket.send([data] + number)
                try? await socket.send([data + 1] + number)
                let connection = connections[index]
                group.addTask {
                    let failure = await connection.run(to: port, of: pod, ports) { try await socket.send([data] + $0) }
                    if let failure { try? await socket.send([data + 1] + Array(failure.utf8)) }
                }
            }
            let count = wanted.count
            group.addTask {
                var messages = socket.messages()
                while let message = await messages.next() {
                    guard let channel = message.first, channel % 2 == 0, Int(channel) / 2 < count else { continue }
                    await connections[Int(channel) / 2].input.add(Array(message.dropFirst()))
                }
                for connection in connections { connection.input.abandon() }
            }
            // A program that has ended its connection, or a client that has gone, ends it all.
            for _ in 0..<count { await group.next() }
            await socket.close(1000)
            group.cancelAll()
        }
    }
}
