import CFaultyDisk
import Glibc
import Resources
import Store
import Testing
import Wire

/// What writers were told, by name.
private actor Notes {
    private(set) var written: [String: String] = [:]
    private(set) var refused: [String] = []

    func note(_ name: String, _ version: String) { written[name] = version }
    func refuse(_ name: String) { refused.append(name) }
}

@Suite("Failing disks")
struct DiskTests {
    init() { faulty_disk_install() }

    /// Writes as fast as it can from several tasks until told to end; every name is written once and changed once.
    private static func write(_ store: SQLiteStore, _ notes: Notes, workers: Int, steps: Int) async {
        let filler = String(repeating: "x", count: 1500)
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<workers {
                group.addTask {
                    for step in 0..<steps {
                        let name = "w\(worker)-\(step)"
                        do {
                            var object = try await store.create(configMap(name, ["name": name, "filler": filler]))
                            await notes.note(name, object.resourceVersion)
                            object["data"] = ["name": .string(name), "filler": .string(filler), "changed": "yes"]
                            await notes.note(name, try await store.replace(object).resourceVersion)
                        } catch { await notes.refuse(name) }
                    }
                }
            }
        }
    }

    /// Opens what is in a folder and holds it against what was answered before.
    private static func check(_ folder: String, _ answered: [String: String]) async throws {
        let store = try await SQLiteStore.open(path: "\(folder)/store.db")
        var versions: [String: Revision] = [:]
        for object in try await store.list(ResourceTypes.configMaps) {
            versions[object.name] = Revision(object.resourceVersion)
            // An object is there whole or not at all.
            #expect(object["data"]?.text("name") == object.name)
            #expect(object["data"]?.text("filler")?.count == 1500)
        }
        for (name, version) in answered {
            #expect(versions[name] ?? 0 >= Revision(version) ?? .max, "\(name) was answered with revision \(version)")
        }
        let newest = answered.values.compactMap { Revision($0) }.max() ?? 0
        #expect(await store.currentRevision() >= newest)
        let next = try await store.create(configMap("afterwards"))
        #expect(Revision(next.resourceVersion) ?? 0 > newest)
        await store.shutdown()
    }

    /// The power fails again and again while writers run; each time only what was synced is left for sure, and what was not
    /// is there in torn pieces.
    @Test("every answered write survives a power cut", arguments: 0..<3)
    func powerCut(round: Int) async throws {
        let directory = TemporaryDirectory()
        faulty_disk_plan(directory.path, FAULTY_DISK_NONE, 1, 1)
        defer { faulty_disk_forget(directory.path) }
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        let notes = Notes()
        let writers = Task { await Self.write(store, notes, workers: 6, steps: 150) }
        for cut in 0..<8 {
            let wanted = (cut + 1) * 90
            while await notes.written.count < wanted { await Task.yield() }
            let answered = await notes.written
            let after = TemporaryDirectory()
            let seed = UInt32.random(in: 1...1_000_000)
            #expect(faulty_disk_power_cut(directory.path, after.path, seed) == 0)
            try await Self.check(after.path, answered)
        }
        await writers.value
        await store.shutdown()
    }

    /// Writes and syncs fail by chance; the store refuses those writes, goes on, and has exactly what it answered.
    @Test(
        "a disk that fails now and then loses nothing that was answered",
        arguments: [FAULTY_DISK_EIO, FAULTY_DISK_ENOSPC, FAULTY_DISK_SHORT].map(\.rawValue)
    )
    func faults(kind: UInt32) async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        faulty_disk_plan(directory.path, FAULTY_DISK_NONE, 1, 1)
        defer { faulty_disk_forget(directory.path) }
        let store = try await SQLiteStore.open(path: path)
        let notes = Notes()
        faulty_disk_plan(directory.path, faulty_disk_fault(kind), 30, UInt32.random(in: 1...1_000_000))
        await Self.write(store, notes, workers: 4, steps: 100)
        #expect(faulty_disk_count(directory.path) > 5)
        #expect(await !notes.refused.isEmpty)
        let answered = await notes.written
        let live = try await store.list(ResourceTypes.configMaps)
        #expect(Dictionary(uniqueKeysWithValues: live.map { ($0.name, $0.resourceVersion) }) == answered)
        // The power fails while the disk does: still nothing answered is lost.
        let after = TemporaryDirectory()
        #expect(faulty_disk_power_cut(directory.path, after.path, 7) == 0)
        try await Self.check(after.path, answered)
        // A disk that works again is written to again, and what was refused has left no trace.
        faulty_disk_plan(directory.path, FAULTY_DISK_NONE, 1, 1)
        try await store.create(configMap("later", ["name": "later", "filler": String(repeating: "x", count: 1500)]))
        await store.shutdown()
        let again = try await SQLiteStore.open(path: path)
        let names = Set(try await again.list(ResourceTypes.configMaps).map(\.name))
        #expect(names == Set(answered.keys).union(["later"]))
        await again.shutdown()
    }

    /// A store with some writes in its log, and none of them in its file yet.
    private static func makeFiles(_ directory: TemporaryDirectory, writes: Int = 60) async throws {
        let live = TemporaryDirectory()
        let store = try await SQLiteStore.open(path: "\(live.path)/store.db")
        for index in 0..<writes { try await store.create(configMap("c\(index)", ["n": "\(index)"])) }
        for name in ["store.db", "store.db-wal"] {
            try writeFile("\(directory.path)/\(name)", try readFile("\(live.path)/\(name)"))
        }
        await store.shutdown()
    }

    @Test("a log whose end is torn off loses what was in it, and no more", arguments: [1, 700, 4119])
    func tornTail(missing: Int) async throws {
        let directory = TemporaryDirectory()
        try await Self.makeFiles(directory)
        let log = try readFile("\(directory.path)/store.db-wal")
        try writeFile("\(directory.path)/store.db-wal", Array(log.dropLast(missing)))
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        let names = Set(try await store.list(ResourceTypes.configMaps).map(\.name))
        #expect(names == Set((0..<59).map { "c\($0)" }))
        await store.shutdown()
    }

    @Test("noise behind a log's end is no damage")
    func noiseBehind() async throws {
        let directory = TemporaryDirectory()
        try await Self.makeFiles(directory)
        let log = try readFile("\(directory.path)/store.db-wal")
        try writeFile("\(directory.path)/store.db-wal", log + [UInt8](repeating: 0xA5, count: 9000))
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        #expect(try await store.list(ResourceTypes.configMaps).count == 60)
        await store.shutdown()
    }

    /// SQLite itself would take the log up to the damage, and forget the rest.
    @Test(
        "a log damaged in its middle is refused and left as it is",
        arguments: [20, 40 + 4120 * 3, 32 + 4120 * 40 + 2000]
    )
    func damagedLog(place: Int) async throws {
        let directory = TemporaryDirectory()
        try await Self.makeFiles(directory)
        let path = "\(directory.path)/store.db"
        var log = try readFile("\(path)-wal")
        log[place] ^= 0x40
        try writeFile("\(path)-wal", log)
        let file = try readFile(path)
        let error = await refusal { _ = try await SQLiteStore.open(path: path) }
        #expect(error?.message.contains("the store \(path) is damaged") == true)
        #expect(error?.message.contains("restore FILE --force") == true)
        #expect(try readFile("\(path)-wal") == log)
        #expect(try readFile(path) == file)
    }

    @Test("a log without its file is refused")
    func logAlone() async throws {
        let directory = TemporaryDirectory()
        try await Self.makeFiles(directory)
        let path = "\(directory.path)/store.db"
        unlink(path)
        let error = await refusal { _ = try await SQLiteStore.open(path: path) }
        #expect(error?.message.contains("missing or empty") == true)
        #expect(access(path, F_OK) != 0)
    }

    /// Structure alone does not show it: a letter of an object is another one.
    @Test("one changed bit in an object is refused by its name")
    func changedBit() async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        let store = try await SQLiteStore.open(path: path)
        try await store.create(configMap("settings", ["text": "the quick brown fox"]))
        await store.shutdown()
        var bytes = try readFile(path)
        let wanted = Array("quick brown".utf8)
        let place = try #require(bytes.indices.first { bytes[$0...].starts(with: wanted) })
        bytes[place] ^= 1
        try writeFile(path, bytes)
        let error = await refusal { _ = try await SQLiteStore.open(path: path) }
        #expect(error?.message.contains("ConfigMap default/settings is not as it was written") == true)
        #expect(try readFile(path) == bytes)
    }

    @Test("a file that ends early is refused")
    func shortened() async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        let store = try await SQLiteStore.open(path: path)
        for index in 0..<100 { try await store.create(configMap("c\(index)")) }
        await store.shutdown()
        let bytes = try readFile(path)
        try writeFile(path, Array(bytes.prefix(bytes.count / 2)))
        let error = await refusal { _ = try await SQLiteStore.open(path: path) }
        #expect(error?.message.contains("damaged") == true)
    }

    @Test("ten thousand updates of one object leave a small file")
    func compaction() async throws {
        let directory = TemporaryDirectory()
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        try await store.create(configMap("one"))
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    for step in 0..<1250 {
                        var object = configMap("one", ["n": "\(worker)-\(step)"])
                        object.resourceVersion = ""
                        _ = try? await store.replace(object)
                    }
                }
            }
        }
        #expect(await store.currentRevision() > 10_000)
        #expect(size(of: "\(directory.path)/store.db") + size(of: "\(directory.path)/store.db-wal") < 5_000_000)
        await store.shutdown()
        #expect(size(of: "\(directory.path)/store.db") < 200_000)
    }

    @Test("what many objects took is given back when they are gone")
    func shrinking() async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        var store = try await SQLiteStore.open(path: path)
        let filler = String(repeating: "x", count: 20_000)
        for index in 0..<200 { try await store.create(configMap("c\(index)", ["filler": filler])) }
        for index in 0..<200 { try await store.delete(key(ResourceTypes.configMaps, "c\(index)")) }
        await store.shutdown()
        store = try await SQLiteStore.open(path: path)
        await store.shutdown()
        #expect(size(of: path) < 200_000)
    }
}
