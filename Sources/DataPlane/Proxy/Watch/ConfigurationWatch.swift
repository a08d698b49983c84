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
    private var paths: [String: Set<String>] = [:]
    private var dirty: Set<String> = []
    private var lastBatch = Instant(nanoseconds: 0)
    private var isScheduled = false

    /// Called with the paths whose files may have changed.
    var onChange: (Set<String>) -> Void = { _ in }

    init(loop: HandlerLoop) throws(SystemError) {
        self.loop = loop
        watch = try FileWatch()
        key = try loop.add(watch.fd, .read, self)
    }

    /// Makes these the files to be watched, each with the directory in which changes tell of it.
    func setFiles(_ files: [(path: String, directory: String)]) {
        var wanted: [String: Set<String>] = [:]
        for file in files { wanted[file.directory, default: []].insert(file.path) }
        for (directory, number) in numbers where wanted[directory] == nil {
            watch.remove(number)
            numbers[directory] = nil
        }
        paths = wanted
        missing = Set(wanted.keys.filter { numbers[$0] == nil })
        addMissing()
    }

    private func addMissing() {
        for directory in missing {
            guard let number = try? watch.add(directory: directory) else { continue }
            numbers[directory] = number
            missing.remove(directory)
            // What was written before the watch began is found by reading once more.
            dirty.formUnion(paths[directory] ?? [])
        }
        if !dirty.isEmpty || !missing.isEmpty { schedule() }
    }

    func ready(_ readiness: Readiness) {
        for change in watch.changes() {
            guard let directory = numbers.first(where: { $0.value == change.directory })?.key else {
                // The kernel's queue ran over, or the directory is gone: everything may have changed.
                if change.directory < 0 { dirty.formUnion(paths.values.joined()) }
                continue
            }
            for path in paths[directory] ?? [] where Self.concerns(change.name, path, directory) { dirty.insert(path) }
        }
        if !dirty.isEmpty { schedule() }
    }

    /// Whether a change of a name in a directory may be one of the file: its own name, or any when the directory is another
    /// one than the file's (`watched_directory`: the whole directory is swapped).
    private static func concerns(_ name: String, _ path: String, _ directory: String) -> Bool {
        guard ConfigurationStore.directory(of: path) == directory else { return true }
        let own = path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path[...]
        return own == name
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
