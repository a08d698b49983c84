import Glibc
import Resources
import Store
import Testing

@Suite("Copies of the store")
struct CopyTests {
    private func names(_ path: String) async throws -> Set<String> {
        let store = try await SQLiteStore.open(path: path)
        let names = Set(try await store.list(ResourceTypes.configMaps).map(\.name))
        await store.shutdown()
        return names
    }

    @Test("a copy of a store that is written to is whole, and as it was at one moment")
    func copyWhileWriting() async throws {
        let directory = TemporaryDirectory()
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        let filler = String(repeating: "x", count: 30_000)
        for index in 0..<300 { try await store.create(configMap("before-\(index)", ["filler": filler])) }
        let writer = Task {
            var index = 0
            while !Task.isCancelled {
                // Both or neither: the second is only written once the first is there.
                try await store.create(configMap("a-\(index)"))
                try await store.create(configMap("b-\(index)"))
                index += 1
            }
        }
        let copy = "\(directory.path)/copy"
        try await store.copy(to: copy)
        writer.cancel()
        _ = try? await writer.value
        #expect(access("\(copy)-wal", F_OK) != 0)
        let content = try StoreFile.verify(copy)
        #expect(content.revision <= (await store.currentRevision()))
        await store.shutdown()
        let copied = try await names(copy)
        unlink(copy)
        #expect(copied.filter { $0.hasPrefix("before") }.count == 300)
        for name in copied where name.hasPrefix("b-") { #expect(copied.contains("a-" + name.dropFirst(2))) }
    }

    @Test("a restore brings everything back, behind every revision that was given out, and keeps the old store")
    func restore() async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        var store = try await SQLiteStore.open(path: path)
        let first = try await store.create(configMap("first"))
        await store.shutdown()
        try StoreFile.copy(path, to: "\(directory.path)/copy")
        store = try await SQLiteStore.open(path: path)
        try await store.delete(key(ResourceTypes.configMaps, "first"))
        let second = try await store.create(configMap("second"))
        await store.shutdown()
        let kept = "\(directory.path)/kept"
        let content = try StoreFile.restore("\(directory.path)/copy", to: path, keepingOldIn: kept)
        #expect(content.revision > Revision(second.resourceVersion) ?? .max)
        store = try await SQLiteStore.open(path: path)
        #expect(try await store.get(key(ResourceTypes.configMaps, "first")) == first)
        #expect(try await store.find(key(ResourceTypes.configMaps, "second")) == nil)
        // Whoever watched goes back to a list: its revision is of another time.
        let error = await refusal {
            var options = WatchOptions()
            options.revision = Revision(second.resourceVersion)
            _ = try await store.watch(ResourceTypes.configMaps, namespace: nil, options)
        }
        #expect(error?.code == 410)
        await store.shutdown()
        #expect(try await names("\(kept)/store.db") == ["second"])
        for name in ["copy", "kept/store.db"] { unlink("\(directory.path)/\(name)") }
        rmdir(kept)
    }

    @Test("the files of a daemon that was killed are restored with what stands in their log")
    func restoreWithLog() async throws {
        let directory = TemporaryDirectory()
        let live = TemporaryDirectory()
        let store = try await SQLiteStore.open(path: "\(live.path)/store.db")
        for index in 0..<20 { try await store.create(configMap("c\(index)")) }
        for name in ["store.db", "store.db-wal"] {
            try writeFile("\(directory.path)/old-\(name)", try readFile("\(live.path)/\(name)"))
        }
        await store.shutdown()
        let before = try readFile("\(directory.path)/old-store.db-wal")
        let kept = "\(directory.path)/kept"
        _ = try StoreFile.restore(
            "\(directory.path)/old-store.db",
            to: "\(directory.path)/store.db",
            keepingOldIn: kept
        )
        #expect(try await names("\(directory.path)/store.db").count == 20)
        #expect(try readFile("\(directory.path)/old-store.db-wal") == before)
        #expect(access(kept, F_OK) != 0)
        for name in ["old-store.db", "old-store.db-wal"] { unlink("\(directory.path)/\(name)") }
    }

    @Test("what is no whole copy is refused, and nothing is changed", arguments: ["text", "half", "bit", "empty"])
    func badCopies(kind: String) async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        let store = try await SQLiteStore.open(path: path)
        for index in 0..<50 { try await store.create(configMap("c\(index)", ["text": "some words \(index)"])) }
        await store.shutdown()
        let copy = "\(directory.path)/copy"
        try StoreFile.copy(path, to: copy)
        var bytes = try readFile(copy)
        switch kind {
        case "text": bytes = Array(String(repeating: "not a copy\n", count: 1000).utf8)
        case "empty": bytes = []
        case "half": bytes.removeLast(bytes.count / 2)
        default:
            let wanted = Array("some words 17".utf8)
            let place = try #require(bytes.indices.first { bytes[$0...].starts(with: wanted) })
            bytes[place] ^= 2
        }
        try writeFile(copy, bytes)
        let before = try readFile(path)
        let kept = "\(directory.path)/kept"
        let error = await refusal { _ = try StoreFile.restore(copy, to: path, keepingOldIn: kept) }
        #expect(error?.message.contains("\(copy) is no whole copy of a store") == true)
        #expect(error?.message.contains("nothing was changed") == true)
        #expect(try readFile(path) == before)
        #expect(access(kept, F_OK) != 0)
        #expect(access(StoreFile.unfinished(path), F_OK) != 0)
        unlink(copy)
    }

    @Test("a copy never overwrites a file")
    func existing() async throws {
        let directory = TemporaryDirectory()
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        let copy = "\(directory.path)/copy"
        try writeFile(copy, [1, 2, 3])
        let error = await refusal { try await store.copy(to: copy) }
        #expect(error?.message.contains("File exists") == true)
        #expect(try readFile(copy) == [1, 2, 3])
        unlink(copy)
        await store.shutdown()
        #expect(await refusal { try await store.copy(to: copy) }?.code == 503)
    }
}
