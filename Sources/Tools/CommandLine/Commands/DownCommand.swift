import Glibc
import Sandbox
import Wire

/// `weft down`: stops everything that runs and removes its state.
enum DownCommand {
    static let command = Command(
        "down",
        summary: "stop all pods, the proxy and the daemon, and remove their state",
        details: """
            Open requests are given time to end. Nothing is left: no process, namespace, mount or file, but for the
            volumes of PersistentVolumeClaims that hold data, which --volumes removes too, and for images (weft image prune --all).
            """,
        options: [
            Option("now", help: "do not wait for open requests and grace periods"),
            Option("keep-state", help: "stop everything, but keep the objects for the next 'weft up'"),
            Option("volumes", help: "remove the data of PersistentVolumeClaims too"),
            .stateDirectory,
        ]
    ) { arguments in
        let state = try StateDirectory(arguments)
        let client = APIClient(state)
        let keepsObjects = arguments.isSet("keep-state")
        guard !keepsObjects || !arguments.isSet("volumes") else {
            throw CommandError("--keep-state and --volumes do not go together")
        }
        if await DeadDaemon.isAlive(state, client) {
            try await Shutdown.run(client, removesState: !keepsObjects, hurries: arguments.isSet("now"))
            // A daemon that died on the way, or could not remove something, has left the rest.
            if !keepsObjects, StateFiles(state: state).areThere, DaemonLock.holder(of: state) == nil {
                let code = try await DeadDaemon.clean(state, keepsObjects: false)
                guard code == .success else { return code }
            }
        } else {
            let code = try await DeadDaemon.clean(state, keepsObjects: keepsObjects)
            guard code == .success else { return code }
        }
        if arguments.isSet("volumes") { try VolumeFiles(state: state).removeAll() }
        if !keepsObjects {
            VolumeFiles(state: state).noteKept()
            ImageChoice(state: state).noteKept()
        }
        return .success
    }
}

/// The end of a daemon, as its client sees it.
enum Shutdown {
    /// Asks the daemon to stop, shows what it says, and returns when it is gone.
    static func run(_ client: APIClient, removesState: Bool, hurries: Bool) async throws {
        let status = try? await client.get("/apis/weft.dev/v1alpha1/status", timeout: .seconds(5))
        let body: Value = ["removeState": .bool(removesState), "hurry": .bool(hurries)]
        let stream = try await client.transport.open(
            "POST",
            "/apis/weft.dev/v1alpha1/shutdown",
            headers: [("Content-Type", "application/json")],
            body: Array(JSON.write(body).utf8)
        )
        do {
            for try await line in stream {
                guard let event = try? JSON.parse(line) else { continue }
                if let message = event["message"]?.stringValue { Terminal.note(message) }
            }
        } catch {
            // The daemon closes the socket when it is done; what matters is that it is gone.
        }
        while await client.isAnswering() { try await Task.sleep(for: .milliseconds(50)) }
        guard let pid = status?["pid"]?.intValue.flatMap(pid_t.init(exactly:)), pid > 1 else { return }
        // The files are gone before the process is, by a few milliseconds; a caller who looks then must find neither.
        let end = ContinuousClock.now + .seconds(5)
        while isRunning(pid), ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(2)) }
    }

    private static func isRunning(_ pid: pid_t) -> Bool {
        // `weft up` is the daemon's parent: without this the ended daemon would stay as a zombie.
        waitpid(pid, nil, WNOHANG)
        // Where somebody else is its parent, who reaps late, the zombie is as good as gone.
        return ProcessIdentity.current(pid) != nil
    }
}
