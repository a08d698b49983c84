import Agent
import CWeft
import Glibc
import Resources
import Sandbox
import Store
import Synchronization
import Testing
import Wire

/// An agent over a real store in memory, with its own state directory, and a recorder of what it told.
final class Stage: Sendable {
    let path: String
    let store: SQLiteStore
    let agent: Agent
    let told = Told()
    private let running: Task<Void, Never>

    init(
        gate: (any TrafficGate)? = nil,
        dns: (any PodDNS)? = nil,
        images: (any ContainerImages)? = nil,
        runtimes: [OCIRuntime.Kind] = []
    ) async throws {
        var template = Array("/tmp/weft-agent-XXXXXX\0".utf8CString)
        path = String(cString: mkdtemp(&template))
        store = try await SQLiteStore.open(path: ":memory:")
        var ports = AgentPorts(gate: gate, dns: dns, places: told, events: told)
        if gate == nil { ports.gate = told }
        ports.images = images
        var settings = AgentSettings(stateDirectory: path)
        settings.runtimes = runtimes
        settings.path = "/usr/local/bin:/usr/bin:/bin"
        let agent = Agent(store: store, settings: settings, ports: ports, now: { SQLiteStore.now() })
        self.agent = agent
        running = Task { await agent.run() }
    }

    func close() async {
        await agent.hurry()
        running.cancel()
        await store.shutdown()
        await running.value
        cweft_remove_tree(path)
    }

    /// Applies documents.
    func apply(_ yaml: String) async throws {
        for document in try YAML.parse(yaml) {
            var object = Object(document.value)
            if object.type?.isNamespaced == true, object.namespace.isEmpty { object.namespace = "default" }
            if try await store.find(#require(object.key)) == nil {
                try await store.create(object)
            } else {
                try await store.replace(object)
            }
        }
    }

    /// An image that runs its containers' own commands in a directory with these files.
    func image(_ name: String = "base", files: [String: String] = [:]) async throws {
        let directory = "\(path)/images/\(name)"
        try makeDirectory(directory, mode: 0o755)
        for (file, text) in files { try replaceFile("\(directory)/\(file)", with: text, mode: 0o755) }
        try await apply(
            """
            apiVersion: weft.dev/v1alpha1
            kind: Image
            metadata: {name: \(name)}
            spec: {directory: \(directory), command: [sh]}
            """
        )
    }

    static func key(_ name: String) -> ObjectKey {
        ObjectKey(ResourceTypes.pods, namespace: "default", name: name)
    }

    /// Waits until the pod is as wanted; nil means gone. Fails the test after 20 s.
    @discardableResult
    func until(
        _ name: String,
        _ what: String,
        _ isWanted: @Sendable @escaping (PodStatus?) -> Bool
    ) async throws -> Object? {
        let store = store
        let pod = try await withThrowingTaskGroup(of: Object??.self) { group in
            group.addTask {
                for try await event in try await store.watch(ResourceTypes.pods) {
                    guard event.object.name == name || event.kind == .bookmark else { continue }
                    let pod = try await store.find(Stage.key(name))
                    if isWanted(pod.map { PodStatus($0.status) }) { return .some(pod) }
                }
                return .none
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(20))
                return .none
            }
            let first = try await group.next() ?? .none
            group.cancelAll()
            return first
        }
        guard let pod else {
            let now = try await store.find(Stage.key(name))
            Issue.record("pod \(name) did not come to: \(what); it is \(now.map { "\($0.status)" } ?? "gone")")
            return nil
        }
        return pod
    }

    /// Looks again and again until it is so. Fails the test after 20 s.
    func eventually(_ what: String, _ isSo: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while try await !isSo() {
            guard ContinuousClock.now < deadline else {
                Issue.record("\(what) did not come; told: \(told.events)")
                return
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    func log(_ name: String, container: String = "c", attempt: Int = 0) async throws -> String {
        let pod = try await store.get(Self.key(name))
        return readFile("\(path)/pods/\(pod.uid)/logs/\(container)/\(attempt).log") ?? ""
    }
}

/// What an agent told its surroundings.
final class Told: PodEventSink, PodPlaceListener, TrafficGate {
    private struct State {
        var events: [String] = []
        var places: [String: PodPlace] = [:]
        var left: [String] = []
    }

    private let state = Mutex(State())

    func record(_ pod: Object, isWarning: Bool, reason: String, message: String) {
        state.withLock { $0.events.append("\(pod.name) \(reason): \(message)") }
    }

    func podPlaced(_ place: PodPlace) async { state.withLock { $0.places[place.name] = place } }

    func podGone(uid: String) async {
        state.withLock { state in state.places = state.places.filter { $0.value.uid != uid } }
    }

    func podLeavesTraffic(uid: String) async { state.withLock { $0.left.append(uid) } }

    var events: [String] { state.withLock { $0.events } }
    var places: [String: PodPlace] { state.withLock { $0.places } }
    var left: [String] { state.withLock { $0.left } }
}

/// Whether this machine allows pods to this user: tried once, in a process of its own.
enum Allowed {
    static let pods: Bool = {
        let ends = UnsafeMutablePointer<Int32>.allocate(capacity: 2)
        defer { ends.deallocate() }
        guard pipe(ends) == 0 else { return false }
        let (reading, writing) = (ends[0], ends[1])
        Task.detached {
            let findings = await MachineCheck.run(directory: "/tmp/weft-agent-check-\(getpid())")
            rmdir("/tmp/weft-agent-check-\(getpid())")
            var answer: UInt8 = findings.contains { $0.verdict == .missing } ? 0 : 1
            _ = write(writing, &answer, 1)
        }
        var answer: UInt8 = 0
        _ = read(reading, &answer, 1)
        close(reading)
        close(writing)
        return answer == 1
    }()
}

extension PodStatus? {
    var isRunningReady: Bool { self.map { $0.phase == "Running" && $0.isReady } ?? false }

    func container(_ name: String = "c") -> ContainerStatus? {
        self.flatMap { ($0.containerStatuses + $0.initContainerStatuses).first { $0.name == name } }
    }

    func waits(_ reason: String, _ name: String = "c") -> Bool {
        if case .waiting(reason, _)? = container(name)?.state { return true }
        return false
    }
}
