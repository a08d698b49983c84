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

/// A Service `name` with one pod behind it.
func meshState(_ directory: String, ports: [String: Int]) -> MeshState {
    MeshState(
        directory: directory,
        admin: .pipe(path: "\(directory)/admin.sock"),
        services: ports.keys.map { name in
            MeshService(
                namespace: "default",
                name: name,
                clusterIP: "10.96.0.\(name.utf8.first ?? 0)",
                selector: ["app": name],
                ports: [MeshService.Port(name: "http", port: 80, target: .number(ports[name] ?? 0))]
            )
        },
        pods: ports.keys.map { name in
            MeshPod(
                namespace: "default",
                name: name,
                ip: "10.244.0.\(name.utf8.first ?? 0)",
                networkNamespace: "/proc/1/ns/net",
                labels: ["app": name]
            )
        }
    )
}

@Suite("Proxy directory")
struct ProxyDirectoryTests {
    func files(_ directory: String, _ ports: [String: Int]) -> ConfigurationFiles {
        ConfigurationFiles(ProxyConfiguration(meshState(directory, ports: ports)))
    }

    @Test("only what changed is written again, under a new revision")
    func writesChanges() async throws {
        try await withTemporaryDirectory { path in
            var directory = ProxyDirectory(path: path)
            try directory.prepare()
            let first = try directory.publish(files(path, ["a": 8080, "b": 8080]))
            #expect(first.contains("lds.json") && first.contains("cds.json"))
            #expect(try directory.publish(files(path, ["b": 8080, "a": 8080])) == [])
            #expect(directory.revision == 1)
            let changed = try directory.publish(files(path, ["a": 8080, "b": 9090]))
            #expect(changed.count == 1 && changed[0].hasPrefix("eds/"))
            let value = try JSON.parse(try #require(text(of: "\(path)/\(changed[0])")))
            #expect(value["version_info"]?.stringValue == "2")
            #expect(directory.versions[changed[0]] == 2 && directory.versions["lds.json"] == 1)
            try directory.publish(files(path, ["a": 8080]))
            #expect(text(of: "\(path)/\(changed[0])") == nil)
            #expect(directory.versions[changed[0]] == nil)
        }
    }

    @Test("files of an earlier run are taken away")
    func prepares() async throws {
        try await withTemporaryDirectory { path in
            try ProxyDirectory.replace("\(path)/eds/old.json", with: [0x7b])
            var directory = ProxyDirectory(path: path)
            try directory.prepare()
            #expect(text(of: "\(path)/eds/old.json") == nil)
        }
    }

    @Test("beside a proxy that runs, files stay until others take their place, and revisions go on")
    func goesOn() async throws {
        try await withTemporaryDirectory { path in
            var before = ProxyDirectory(path: path)
            try before.prepare()
            let old = try before.publish(files(path, ["a": 8080, "b": 9090]))
            try before.publish(files(path, ["a": 8081, "b": 9090]))
            var directory = ProxyDirectory(path: path)
            try directory.prepare(goesOn: true)
            #expect(directory.revision == before.revision)
            for file in old { #expect(text(of: "\(path)/\(file)") != nil, "\(file) is gone") }
            let written = try directory.publish(files(path, ["a": 8081]))
            #expect(written.allSatisfy { directory.versions[$0] == before.revision + 1 })
            let rest = old.filter { text(of: "\(path)/\($0)") != nil }
            #expect(Set(rest) == Set(written).intersection(old), "files of what is no more are removed")
        }
    }

    @Test("a directory that cannot be written is named, and tried again")
    func failure() {
        var directory = ProxyDirectory(path: "/nonexistent")
        for _ in 0..<2 {
            do throws(FileFailure) {
                try directory.publish(files("/nonexistent", ["a": 1]))
                Issue.record("written into nothing")
            } catch {
                #expect(error.description.contains("/nonexistent/"))
            }
        }
    }
}

@Suite("Proxy versions")
struct ProxyVersionsTests {
    @Test("a file has settled when its revision or a later one is applied, or was refused")
    func settles() {
        let versions = ProxyVersions([
            "/p/a": ["version": "7", "applied": true, "error": ""],
            "/p/b": ["version": "7", "applied": false, "error": ""],
            "/p/c": ["version": "6", "applied": true, "error": "clusters[0]: unknown field"],
        ])
        #expect(versions.hasSettled("/p/a", at: 7))
        #expect(versions.hasSettled("/p/a", at: 6))
        #expect(!versions.hasSettled("/p/a", at: 8))
        #expect(!versions.hasSettled("/p/b", at: 7))
        #expect(versions.hasSettled("/p/c", at: 8))
        #expect(!versions.hasSettled("/p/d", at: 1))
    }
}

/// A proxy that reads its files when it is asked, up to a revision.
final class FakeAdmin: ProxyAdmin {
    private let highest = Mutex(0)
    let asked = Mutex(0)
    let directory: String

    init(directory: String) { self.directory = directory }

    func applyEverything() { highest.withLock { $0 = .max } }

    /// What is written from now on is not applied.
    func applyNothingNew() {
        let current = files().compactMap { Int($0.1["version_info"]?.stringValue ?? "") }.max() ?? 0
        highest.withLock { $0 = current }
    }

    func get(_ path: String, timeout: Duration) async throws -> (status: Int, body: [UInt8]) {
        asked.withLock { $0 += 1 }
        let limit = highest.withLock { $0 }
        var answer: Value = [:]
        for (path, value) in files() {
            let version = Int(value["version_info"]?.stringValue ?? "") ?? 0
            answer[path] = [
                "version": .string(String(min(version, limit))), "applied": .bool(version <= limit), "error": "",
            ]
        }
        return (200, JSON.bytes(answer))
    }

    /// The text of all endpoint files.
    func endpoints() -> String { files().filter { $0.0.contains("/eds/") }.map { JSON.write($0.1) }.joined() }

    private func files() -> [(String, Value)] {
        ["", "/eds", "/rds"].flatMap { folder -> [(String, Value)] in
            guard let handle = opendir("\(directory)\(folder)") else { return [] }
            defer { closedir(handle) }
            var found: [(String, Value)] = []
            while let entry = readdir(handle) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                let path = "\(directory)\(folder)/\(name)"
                guard name.hasSuffix(".json"), name != "bootstrap.json", let content = text(of: path),
                    let value = try? JSON.parse(content)
                else { continue }
                found.append((path, value))
            }
            return found
        }
    }
}

@Suite("Mesh publisher", .timeLimit(.minutes(1)))
struct MeshPublisherTests {
    @Test("a pod leaves only when the proxy confirmed the endpoints without it")
    func leaving() async throws {
        try await withTemporaryDirectory { directory in
            let store = try await SQLiteStore.open(path: ":memory:")
            let cluster = Cluster(store: store, now: { .systemNow() })
            let admin = FakeAdmin(directory: directory)
            let base = MeshState(directory: directory, admin: .pipe(path: "\(directory)/admin.sock"))
            let publisher = MeshPublisher(cluster: cluster, base: base, admin: admin) { _ in }
            try await publisher.prepare()
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
            admin.applyEverything()
            let uid = pod.uid
            await publisher.podPlaced(
                PodNetwork(uid: uid, namespace: "default", name: "web", address: "10.244.0.1", namespacePath: "/x")
            )
            func endpoints() -> String { admin.endpoints() }
            #expect(endpoints().contains("10.244.0.1"))
            admin.applyNothingNew()
            let isGone = Mutex(false)
            async let leaving: Void = {
                await publisher.podLeaves(uid: uid)
                isGone.withLock { $0 = true }
            }()
            let before = admin.asked.withLock { $0 }
            while admin.asked.withLock({ $0 }) < before + 3 { await Task.yield() }
            #expect(isGone.withLock { $0 } == false)
            #expect(!endpoints().contains("10.244.0.1"))
            admin.applyEverything()
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
