import Resources
import Wire

/// The opening of SPDY/3.1 on a connection of HTTP/1.1, as Kubernetes' older clients ask for it.
enum SPDYHandshake {
    static let commands = ["v4.channel.k8s.io"]
    static let ports = ["portforward.k8s.io"]

    /// The head that accepts a request.
    ///
    /// - Throws: `APIError` 400 for a request that offers none of `protocols`.
    static func accept(_ request: HTTPRequest, protocols: [String]) throws(APIError) -> HTTPFields {
        guard request.body.isEmpty else { throw .badRequest("unable to upgrade: the request has a body") }
        let offered = request.headers.all("X-Stream-Protocol-Version")
            .flatMap { $0.split(separator: ",") }.map { String($0.filter { !$0.isWhitespace }) }
        guard let chosen = offered.first(where: { protocols.contains($0) }) else {
            throw .badRequest(
                "unable to upgrade: none of the stream protocols offered is spoken here; \(protocols[0]) is"
            )
        }
        return ["Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": chosen]
    }
}

/// A remote command's channels as streams of a SPDY session, opened by the client.
actor SPDYCommandStreams: CommandTransport {
    /// How long a client may take to open its streams.
    private static let patience: Duration = .seconds(30)

    private let session: SPDYSession
    private var streams: [String: UInt32] = [:]
    /// What came while streams were still opened.
    private var early: [SPDYEvent] = []

    private init(_ session: SPDYSession) { self.session = session }

    /// Waits until the client has opened every stream that it wished for; nil when it did not.
    static func open(_ session: SPDYSession, _ wish: PodCommandWish) async -> SPDYCommandStreams? {
        var wanted: Set<String> = ["error"]
        if wish.hasInput { wanted.insert("stdin") }
        if wish.hasOutput { wanted.insert("stdout") }
        if wish.hasErrors { wanted.insert("stderr") }
        if wish.isTerminal { wanted.insert("resize") }
        let made = SPDYCommandStreams(session)
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask { [wanted] in await made.takeStreams(wanted) }
            group.addTask {
                try? await Task.sleep(for: patience)
                return false
            }
            let isOpen = await group.next() ?? false
            group.cancelAll()
            return isOpen ? made : nil
        }
    }

    private func takeStreams(_ wanted: Set<String>) async -> Bool {
        while !wanted.isSubset(of: Set(streams.keys)) {
            guard let event = await session.next() else { return false }
            guard case .opened(let id, let headers) = event else {
                if early.count < 64 { early.append(event) }
                continue
            }
            guard let type = headers["streamtype"], streams[type] == nil else {
                await session.reset(id)
                continue
            }
            streams[type] = id
            guard (try? await session.accept(id)) != nil else { return false }
        }
        return true
    }

    func send(_ channel: CommandChannel, _ bytes: [UInt8]) async throws {
        let name =
            switch channel {
            case .output: "stdout"
            case .errors: "stderr"
            case .status: "error"
            case .input, .resize, .close: ""
            }
        guard let stream = streams[name] else { return }
        try await session.send(stream, bytes)
    }

    func next() async -> CommandEvent? {
        while true {
            guard let event = early.isEmpty ? await session.next() : early.removeFirst() else { return nil }
            switch event {
            case .opened(let id, _): await session.reset(id)
            case .data(let id, let bytes):
                if id == streams["stdin"] { return .input(bytes) }
                if id == streams["resize"] { return .resize(bytes) }
            case .ended(let id, _):
                if id == streams["stdin"] { return .endOfInput }
            }
        }
    }

    func close() async {
        for name in ["stdout", "stderr", "error", "resize", "stdin"] {
            if let stream = streams[name] { await session.end(stream) }
        }
    }
}
