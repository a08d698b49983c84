import Glibc
import Resources
import Store
import Testing

@Suite("Being killed")
struct CrashTests {
    /// The child writes as fast as it can and notes every answered write; after a moment that chance decides it is killed
    /// like a process that loses its machine's patience. Whatever was answered must be there, whole.
    @Test("every answered write is there after kill -9", arguments: 0..<6)
    func killed(round: Int) async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        let notes = "\(directory.path)/notes"
        let microseconds = UInt32(20_000 + round * 37_000 + Int.random(in: 0..<30_000))
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, notes = notes as String, microseconds = microseconds as UInt32] in
            try await Self.writeUntilKilled(path: path, notes: notes, microseconds: microseconds)
        }
        let answered = Self.lines(of: notes)
        unlink(notes)
        let store = try await SQLiteStore.open(path: path)
        var names: Set<String> = []
        for object in try await store.list(ResourceTypes.configMaps) {
            names.insert(object.name)
            // An object is there whole or not at all.
            #expect(object["data"]?.text("name") == object.name)
            #expect(object["data"]?.text("filler")?.count == 3000)
        }
        let missing = answered.filter { !names.contains($0) }
        #expect(missing.isEmpty, "answered, but lost: \(missing)")
        let last = try await store.list(ResourceTypes.configMaps).compactMap { Revision($0.resourceVersion) }.max() ?? 0
        #expect(await store.currentRevision() >= last)
        // And it goes on from there.
        let next = try await store.create(configMap("afterwards"))
        #expect(Revision(next.resourceVersion) ?? 0 > last)
        await store.shutdown()
    }

    private static func writeUntilKilled(path: String, notes: String, microseconds: UInt32) async throws {
        let store = try await SQLiteStore.open(path: path)
        let fd = open(notes, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var thread = pthread_t()
        let wait = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        wait.pointee = microseconds
        pthread_create(
            &thread,
            nil,
            { raw in
                usleep(raw?.load(as: UInt32.self) ?? 0)
                kill(getpid(), SIGKILL)
                return nil
            },
            wait
        )
        let filler = String(repeating: "x", count: 3000)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    for index in 0..<100_000 {
                        let name = "w\(worker)-\(index)"
                        try await store.create(configMap(name, ["name": name, "filler": filler]))
                        let line = Array("\(name)\n".utf8)
                        write(fd, line, line.count)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func lines(of path: String) -> [String] {
        let fd = open(path, O_RDONLY)
        guard fd >= 0 else { return [] }
        defer { close(fd) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(fd, &buffer, buffer.count)
            guard count > 0 else { break }
            text += buffer.prefix(count)
        }
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
