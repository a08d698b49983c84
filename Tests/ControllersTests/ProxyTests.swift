import Controllers
import Glibc
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
    for entry in ["eds/a.json", "eds/b.json", "cds.json", "lds.json", "eds", "rds", "log", "pid", "program"] {
        remove("\(path)/\(entry)")
    }
}

func text(of path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&buffer, 1, buffer.count, file)
    return String(decoding: buffer[..<count], as: UTF8.self)
}

@Suite("Configuration files")
struct ConfigurationFilesTests {
    @Test("only what changed is written again, under a new revision")
    func writesChanges() async throws {
        try await withTemporaryDirectory { directory in
            var files = ConfigurationFiles(directory: directory)
            let a = ConfigurationFile(path: "eds/a.json", resources: [["name": "a"]])
            var b = ConfigurationFile(path: "eds/b.json", resources: [["name": "b"]])
            #expect(try files.publish([b, a]) == ["eds/a.json", "eds/b.json"])
            #expect(try files.publish([a, b]) == [])
            #expect(files.revision == 1)
            b.resources.append(["name": "c"])
            #expect(try files.publish([a, b]) == ["eds/b.json"])
            #expect(files.versions == ["eds/a.json": 1, "eds/b.json": 2])
            let value = try JSON.parse(try #require(text(of: "\(directory)/eds/b.json")))
            #expect(value == ["version_info": "2", "resources": [["name": "b"], ["name": "c"]]])
            #expect(try files.publish([a]) == [])
            #expect(text(of: "\(directory)/eds/b.json") == nil)
            #expect(files.revision == 3)
        }
    }

    @Test("what is pointed at is written before what points at it")
    func order() async throws {
        try await withTemporaryDirectory { directory in
            var files = ConfigurationFiles(directory: directory)
            let paths = ["lds.json", "cds.json", "eds/a.json"]
            let written = try files.publish(paths.map { ConfigurationFile(path: $0, resources: []) })
            #expect(written == ["eds/a.json", "cds.json", "lds.json"])
        }
    }

    @Test("a file that cannot be written is named, and tried again")
    func failure() {
        var files = ConfigurationFiles(directory: "/nonexistent")
        let file = ConfigurationFile(path: "cds.json", resources: [])
        for _ in 0..<2 {
            do {
                try files.publish([file])
                Issue.record("written into nothing")
            } catch {
                #expect(error.description.contains("/nonexistent/cds.json"))
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

/// A proxy that applies what it is told to.
final class FakeAdmin: ProxyAdmin {
    let versions = Mutex<Value>([:])
    let asked = Mutex(0)
    let directory: String

    init(directory: String) { self.directory = directory }

    func get(_ path: String, timeout: Duration) async throws -> (status: Int, body: [UInt8]) {
        asked.withLock { $0 += 1 }
        return (200, JSON.bytes(versions.withLock { $0 }))
    }

    func apply(_ path: String, version: Int) {
        versions.withLock {
            $0["\(directory)/\(path)"] = ["version": .string(String(version)), "applied": true, "error": ""]
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
            let publisher = MeshPublisher(cluster: cluster, directory: directory, admin: admin, log: { _ in }) {
                _,
                around in
                [
                    ConfigurationFile(
                        path: "eds/a.json",
                        resources: around.networks.keys.filter { !around.leaving.contains($0) }.sorted()
                            .map { .string($0) }
                    )
                ]
            }
            admin.apply("eds/a.json", version: 1)
            await publisher.podPlaced(
                PodNetwork(uid: "u1", namespace: "default", name: "web", address: "10.244.0.1", namespacePath: "/x")
            )
            let isGone = Mutex(false)
            async let leaving: Void = {
                await publisher.podLeaves(uid: "u1")
                isGone.withLock { $0 = true }
            }()
            let before = admin.asked.withLock { $0 }
            while admin.asked.withLock({ $0 }) < before + 3 { await Task.yield() }
            #expect(isGone.withLock { $0 } == false)
            #expect(text(of: "\(directory)/eds/a.json")?.contains("u1") == false)
            admin.apply("eds/a.json", version: 2)
            await leaving
            #expect(isGone.withLock { $0 })
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
