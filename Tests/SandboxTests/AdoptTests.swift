import Glibc
import Sandbox
import Testing

@Suite("A pod that an earlier weft made", .enabled(if: Allowed.pods, "this machine allows no pods to this user"))
struct AdoptTests {
    @Test("is taken over with everything that ended meanwhile, and goes on under the new owner")
    func takesOver() async throws {
        let place = Place()
        defer { place.remove() }
        let first = try await PodSandbox.create(place.spec())
        _ = try await first.start(program("short", "exit 7"))
        _ = try await first.start(program("long", "exec sleep 4344"))
        #expect(await first.exit(of: "short")?.exitCode == 7)
        let adopted = try #require(await PodSandbox.adopt(first.spec.directory, hiddenDirectory: place.path))
        let second = adopted.sandbox
        #expect(second.process == first.process && second.spec.address == first.spec.address)
        let runs = Dictionary(uniqueKeysWithValues: adopted.runs.map { ($0.name, $0) })
        #expect(runs["short"]?.state == .exited && runs["short"]?.exitCode == 7)
        #expect(runs["short"].map { $0.finishedAt >= $0.startedAt && $0.startedAt > 0 } == true)
        #expect(runs["long"]?.state == .running, "\(runs)")
        _ = try await second.start(program("short", "exit 8", attempt: 1))
        #expect(await second.exit(of: "short")?.exitCode == 8)
        try await second.remove()
        #expect(processes(holding: "sleep\u{0}4344").isEmpty)
        await first.kill()
    }

    @Test(
        "is not taken for another process that has its number, or for one of an earlier run of the machine",
        arguments: [("\"startTime\":", "\"startTime\":9"), ("\"boot\":\"", "\"boot\":\"x")]
    )
    func tellsApart(text: String, replacement: String) async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        let path = "\(pod.spec.directory)/pod.json"
        let record = try #require(readFile(path))
        try replaceFile(path, with: record.replacing(text, with: replacement, maxReplacements: 1))
        #expect(await PodSandbox.adopt(pod.spec.directory, hiddenDirectory: place.path) == nil)
        try replaceFile(path, with: "\u{0}garbage")
        #expect(await PodSandbox.adopt(pod.spec.directory, hiddenDirectory: place.path) == nil)
        #expect(pod.process.isAlive, "only what is known for sure is touched")
        // Who listens on its socket is known for sure.
        #expect(await Leftovers.sweep(stateDirectory: place.path) == [])
        #expect(!pod.process.isAlive)
        await pod.kill()
    }
}
