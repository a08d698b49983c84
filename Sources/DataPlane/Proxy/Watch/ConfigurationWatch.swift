import Glibc
import Reactor

/// Watches the directories of configuration files and has changed files read, many changes at a time.
///
/// Belongs to the main thread's loop.
final class ConfigurationWatch: EventHandler {
    /// Changes are gathered for this long, so that files written together go into one snapshot.
    private static let gathering: UInt64 = 2_000_000
    /// Between two batches lies at least this much: under a storm of changes the latest contents count.
    private static let pause: UInt64 = 20_000_000
    /// A directory that does not exist yet is looked for again after this time.
    private static let retry: UInt64 = 500_000_000

    private let watch: FileWatch
    private let loop: HandlerLoop
    private var key: HandlerKey?
    private var numbers: [String: Int32] = [:]
    private var missing: Set<String> = []
    private var directories: [Int32: String] = [:]
    private var paths: [String: Names] = [:]
    private var dirty: Set<String> = []
    private var lastBatch = Instant(nanoseconds: 0)
    private var isScheduled = false

    /// The files that a directory tells of.
    private struct Names {
        /// By the name in the directory.
        var own: [Substring: Set<String>] = [:]
        /// Files elsewhere: the whole directory is swapped (`watched_directory`), so any change counts.
        var elsewhere: Set<String> = []

        var all: Set<String> { own.values.reduce(elsewhere) { $0.union($1) } }
    }

    /// Called with the paths whose files may have changed.
    var onChange: (Set<String>) -> Void = { _ in }

    init(loop: HandlerLoop) throws(SystemError) {
        self.loop = loop
        watch = try FileWatch()
        key = try loop.add(watch.fd, .read, self)
    }

    /// Makes these the files to be watched, each with the directory in which changes tell of it.
    func setFiles(_ files: [(path: String, directory: String)]) {
        var wanted: [String: Names] = [:]
        for file in files {
            if ConfigurationStore.directory(of: file.path) == file.directory {
                let slash = file.path.lastIndex(of: "/")
                let name = slash.map { file.path[file.path.index(after: $0)...] } ?? file.path[...]
                wanted[file.directory, default: Names()].own[name, default: []].insert(file.path)
            } else {
                wanted[file.directory, default: Names()].elsewhere.insert(file.path)
            }
        }
        for (directory, number) in numbers where wanted[directory] == nil {
            watch.remove(number)
            numbers[directory] = nil
            directories[number] = nil
        }
        paths = wanted
        missing = Set(wanted.keys.filter { numbers[$0] == nil })
        addMissing()
    }

    private func addMissing() {
        for directory in missing {
            guard let number = try? watch.add(directory: directory) else { continue }
            numbers[directory] = number
            directories[number] = directory
            missing.remove(directory)
            // What was written before the watch began is found by reading once more.
            dirty.formUnion(paths[directory]?.all ?? [])
        }
        if !dirty.isEmpty || !missing.isEmpty { schedule() }
    }

    func ready(_ readiness: Readiness) {
        for change in watch.changes() {
            guard let directory = directories[change.directory], let names = paths[directory] else {
                // The kernel's queue ran over: everything may have changed.
                if change.directory < 0 { for names in paths.values { dirty.formUnion(names.all) } }
                continue
            }
            if let own = names.own[change.name[...]] { dirty.formUnion(own) }
            dirty.formUnion(names.elsewhere)
        }
        if !dirty.isEmpty { schedule() }
    }

    private func schedule() {
        guard !isScheduled, let key else { return }
        isScheduled = true
        let now = Instant.read()
        if dirty.isEmpty {
            loop.setTimer(key, now.advanced(byNanoseconds: Self.retry))
        } else {
            loop.setTimer(
                key,
                max(now.advanced(byNanoseconds: Self.gathering), lastBatch.advanced(byNanoseconds: Self.pause))
            )
        }
    }

    func timerFired() {
        isScheduled = false
        if !missing.isEmpty { addMissing() }
        guard !dirty.isEmpty else { return }
        let batch = dirty
        dirty = []
        onChange(batch)
        lastBatch = Instant.read()
        isScheduled = false
        if !dirty.isEmpty || !missing.isEmpty { schedule() }
    }
}
