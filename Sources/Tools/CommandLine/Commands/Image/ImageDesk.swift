import Glibc
import Images
import Wire

/// Where `weft image` has its work done: by the daemon, or on the store itself while no daemon runs.
struct ImageDesk: Sendable {
    private enum Place: Sendable {
        case daemon(APIClient)
        case here(ImageWork)
    }

    private static let path = "/apis/weft.dev/v1alpha1/imagestore"

    let state: StateDirectory
    private let place: Place

    /// Runs `body` with a desk, and closes it.
    static func with(
        _ arguments: Arguments,
        _ body: (ImageDesk) async throws -> ExitCode
    ) async throws -> ExitCode {
        let state = try StateDirectory(arguments)
        let client = APIClient(state)
        if await DeadDaemon.isAlive(state, client) {
            return try await body(ImageDesk(state: state, place: .daemon(client)))
        }
        try state.make()
        let choice = ImageChoice(state: state)
        let store = try await ImageStore.open(choice.settings)
        do {
            let code = try await body(ImageDesk(state: state, place: .here(ImageWork(store: store))))
            await store.shutdown()
            choice.removeEmpty()
            rmdir(state.path)
            return code
        } catch {
            await store.shutdown()
            choice.removeEmpty()
            rmdir(state.path)
            throw error
        }
    }

    func list() async throws -> Value {
        switch place {
        case .daemon(let client): try await client.get(Self.path)
        case .here(let work): await work.list()
        }
    }

    func inspect(_ word: String) async throws -> Value {
        switch place {
        case .daemon(let client): try await client.get("\(Self.path)/inspect" + APIPath.query([("image", word)]))
        case .here(let work): try await work.inspect(word)
        }
    }

    func remove(_ word: String) async throws -> Value {
        switch place {
        case .daemon(let client): try await client.post("\(Self.path)/remove", ["image": .string(word)])
        case .here(let work): try await work.remove(word)
        }
    }

    func prune(isAll: Bool) async throws -> Value {
        switch place {
        case .daemon(let client): try await client.post("\(Self.path)/prune", ["all": .bool(isAll)])
        case .here(let work): try await work.prune(isAll: isAll)
        }
    }

    func load(_ request: Value, _ progress: @escaping ImageWork.Progress) async throws -> Value {
        switch place {
        case .daemon(let client): try await Self.follow(client, "load", request, progress)
        case .here(let work): try await work.load(request, progress)
        }
    }

    func pull(_ request: Value, _ progress: @escaping ImageWork.Progress) async throws -> Value {
        switch place {
        case .daemon(let client): try await Self.follow(client, "pull", request, progress)
        case .here(let work): try await work.pull(request, progress)
        }
    }

    private static func follow(
        _ client: APIClient,
        _ verb: String,
        _ request: Value,
        _ progress: ImageWork.Progress
    ) async throws -> Value {
        let lines = try await client.transport.open(
            "POST",
            "\(path)/\(verb)",
            headers: [("Content-Type", "application/json")],
            body: JSON.bytes(request)
        )
        guard lines.status == 200 else { throw APIClient.failure(try await lines.rest(limit: 1 << 20), lines.status) }
        for try await line in lines {
            guard let value = try? JSON.parse(line) else { continue }
            if let step = value["progress"] { progress(step) }
            if let result = value["result"] { return result }
            if let error = value["error"] { throw CommandError(error["message"]?.stringValue ?? "\(verb) failed") }
        }
        throw CommandError("the daemon ended before the image was there")
    }
}
