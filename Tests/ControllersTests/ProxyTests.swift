import Controllers
import Glibc
import Mesh
import Resources
import Store
import Synchronization
import Testing
import Wire

/// A directory of its own, removed with all it holds.
func withTemporaryDirectory(_ body: (String) async throws -> Void) async throws {
    var template = Array("/tmp/weft-controllers-XXXXXX".utf8CString)
    let path = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { _ = remove(path) }
    for name in ["eds", "rds"] { mkdir("\(path)/\(name)", 0o700) }
    try await body(path)
    for folder in ["eds", "rds", ""] {
        guard let handle = opendir("\(path)/\(folder)") else { continue }
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            remove("\(path)/\(folder)/\(name)")
        }
        closedir(handle)
    }
}

func text(of path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&buffer, 1, buffer.count, file)
    return String(decoding: buffer[..<count], as: UTF8.self)
}

@Suite("Proxy directory")
struct ProxyDirectoryTests {
    @Test("what fed proxies of earlier versions is taken away, and nothing else")
    func oldFiles() async throws {
        try await withTemporaryDirectory { path in
            let old = ["bootstrap.json", "lds.json", "cds.json", "eds/a.json", "rds/b.json"]
            for name in old + ["proxy.json"] { try ProxyDirectory.replace("\(path)/\(name)", with: [0x7b]) }
            ProxyDirectory.removeOldFiles(path)
            for name in old { #expect(text(of: "\(path)/\(name)") == nil, "\(name)") }
            #expect(text(of: "\(path)/proxy.json") == "{")
        }
    }

    @Test("a directory that cannot be written is named")
    func failure() {
        do throws(FileFailure) {
            try ProxyDirectory.prepare(MeshState(directory: "/nonexistent/proxy", admin: .pipe(path: "/a")))
            Issue.record("written into nothing")
        } catch {
            #expect(error.description.contains("/nonexistent/proxy"))
        }
    }
}

/// A proxy that confirms when it may.
actor FakeFeed: ProxyFeed {
    private var mayConfirm = true
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var asking: [CheckedContinuation<Void, Never>] = []

    func hold() { mayConfirm = false }

    func release() {
        mayConfirm = true
        for waiter in waiting { waiter.resume() }
        waiting = []
    }

    /// Suspends until somebody waits for the proxy.
    func asked() async {
        if waiting.isEmpty { await withCheckedContinuation { asking.append($0) } }
    }

    func confirm(silence: Duration, limit: Duration) async -> ProxyConfirmation {
        guard !mayConfirm else { return .confirmed }
        for one in asking { one.resume() }
        asking = []
        await withCheckedContinuation { waiting.append($0) }
        return .confirmed
    }

    func refusals() -> [String: String] { [:] }

    func stop() {}
}

/// The page of requests that are still open is empty.
struct QuietAdmin: ProxyAdmin {
    func get(_ path: String, timeout: Duration) -> (status: Int, body: [UInt8]) { (200, []) }
}

@Suite("Mesh publisher", .timeLimit(.minutes(1)))
struct MeshPublisherTests {
    @Test("a pod leaves only when the proxy confirmed the endpoints without it")
    func leaving() async throws {
        try await withTemporaryDirectory { directory in
            let store = try await SQLiteStore.open(path: ":memory:")
            let cluster = Cluster(store: store, now: { .systemNow() })
            let base = MeshState(directory: directory, admin: .pipe(path: "\(directory)/admin.sock"))
            let publisher = MeshPublisher(cluster: cluster, base: base, admin: QuietAdmin()) { _ in }
            let feed = FakeFeed()
            let endpoints = Mutex("")
            await publisher.prepare()
            await publisher.follow(feed)
            _ = await publisher.open(.machine) { updates in
                for resource in updates.filter({ $0.type == .endpoints }).flatMap(\.changed) {
                    endpoints.withLock { $0 = String(decoding: resource.bytes, as: UTF8.self) }
                }
            }
            await publisher.attach()
            let loops = Task { await cluster.cache.run() }
            await cluster.cache.synced()
            try await cluster.create(LoopKit.service("web"))
            var pod = Object(ResourceTypes.pods, namespace: "default", name: "web")
            pod.labels = ["app": "web"]
            pod.spec = [
                "containers": [
                    ["name": "main", "image": "x", "ports": [["name": "http", "containerPort": 8080]]]
                ]
            ]
            pod = try await cluster.create(pod)
            let old = pod
            pod.status = [
                "phase": "Running", "podIP": "10.244.0.1", "conditions": [["type": "Ready", "status": "True"]],
            ]
            try await cluster.updateStatus(pod, from: old)
            let uid = pod.uid
            await publisher.podPlaced(
                PodNetwork(uid: uid, namespace: "default", name: "web", address: "10.244.0.1", namespacePath: "/x")
            )
            #expect(endpoints.withLock { $0 }.contains("10.244.0.1"))
            await feed.hold()
            let isGone = Mutex(false)
            async let leaving: Void = {
                await publisher.podLeaves(uid: uid)
                isGone.withLock { $0 = true }
            }()
            await feed.asked()
            #expect(isGone.withLock { $0 } == false)
            #expect(!endpoints.withLock { $0 }.contains("10.244.0.1"))
            await feed.release()
            await leaving
            #expect(isGone.withLock { $0 })
            loops.cancel()
            await loops.value
            await store.shutdown()
        }
    }
}

@Suite("Proxy supervisor", .timeLimit(.minutes(1)))
struct ProxySupervisorTests {
    func script(_ directory: String, _ text: String) -> ProxySupervisor.Settings {
        let path = "\(directory)/program"
        try? ProxyDirectory.replace(path, with: Array("#!/bin/sh\n\(text)\n".utf8))
        chmod(path, 0o700)
        var settings = ProxySupervisor.Settings(
            program: path,
            arguments: ["one"],
            logFile: "\(directory)/log",
            pidFile: "\(directory)/pid"
        )
        settings.firstBackOff = .milliseconds(1)
        return settings
    }

    @Test("it is started again when it dies, and its words are in the log")
    func restarts() async throws {
        try await withTemporaryDirectory { directory in
            let (events, input) = AsyncStream.makeStream(of: ProxySupervisor.Event.self)
            let supervisor = ProxySupervisor(script(directory, "echo hello $1; exit 3")) { input.yield($0) }
            await supervisor.start()
            var starts = 0
            for await event in events {
                if case .started = event { starts += 1 }
                if case .ended(_, let status) = event { #expect(status == "exit code 3") }
                if starts == 3 { break }
            }
            await supervisor.shutdown(grace: .seconds(5))
            #expect(text(of: "\(directory)/log")?.hasPrefix("hello one\nhello one\n") == true)
            #expect(await supervisor.restarts >= 2)
        }
    }

    @Test("it ends by SIGTERM, and by SIGKILL when it does not care", arguments: [true, false])
    func stops(isPolite: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let (events, input) = AsyncStream.makeStream(of: ProxySupervisor.Event.self)
            let ready = "\(directory)/eds/a.json"
            let trap = isPolite ? "trap 'exit 0' TERM" : "trap '' TERM"
            let settings = script(directory, "\(trap); : > \(ready); while :; do sleep 0.01; done")
            let supervisor = ProxySupervisor(settings) { input.yield($0) }
            await supervisor.start()
            while text(of: ready) == nil { try await Task.sleep(for: .milliseconds(5)) }
            await supervisor.shutdown(grace: isPolite ? .seconds(30) : .milliseconds(50))
            input.finish()
            var ends: [String] = []
            for await event in events {
                if case .ended(_, let status) = event { ends.append(status) }
            }
            #expect(ends == [isPolite ? "exit code 0" : "signal 9"])
            #expect(text(of: "\(directory)/pid") == nil)
        }
    }

    @Test("a program that is not there is told, not tried without end")
    func missing() async throws {
        try await withTemporaryDirectory { directory in
            let (events, input) = AsyncStream.makeStream(of: ProxySupervisor.Event.self)
            var settings = script(directory, "exit 0")
            settings.program = "\(directory)/nothing"
            let supervisor = ProxySupervisor(settings) { input.yield($0) }
            await supervisor.start()
            var first: ProxySupervisor.Event?
            for await event in events {
                first = event
                break
            }
            await supervisor.shutdown(grace: .seconds(1))
            guard case .failed(let why) = first else {
                Issue.record("\(String(describing: first))")
                return
            }
            #expect(why.contains("No such file"))
        }
    }
}
