import CWeft
import Glibc
package import Resources
import Sandbox
package import Servers
import Store

/// Reads the logs that the pod inits write: `pods/UID/logs/CONTAINER/ATTEMPT.log`, and its rotated forms.
package struct PodLogs: PodLogSource {
    private let stateDirectory: String
    private let store: any ObjectStore

    init(stateDirectory: String, store: any ObjectStore) {
        self.stateDirectory = stateDirectory
        self.store = store
    }

    package func logs(
        of pod: Object,
        container: String,
        options: PodLogOptions
    ) async throws(APIError) -> AsyncThrowingStream<[UInt8], any Error> {
        let directory = "\(stateDirectory)/pods/\(pod.uid)/logs/\(container)"
        let attempts = Self.attempts(in: directory)
        guard let attempt = options.previous ? attempts.dropLast().last : attempts.last else {
            throw .badRequest(missing(pod, container, options.previous))
        }
        let follower = LogFollower(
            directory: directory,
            attempt: attempt,
            options: options,
            key: ObjectKey(ResourceTypes.pods, namespace: pod.namespace, name: pod.name),
            uid: pod.uid,
            container: container,
            store: store
        )
        let (stream, output) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
        let work = Task { await follower.run(output) }
        output.onTermination = { _ in work.cancel() }
        return stream
    }

    private func missing(_ pod: Object, _ container: String, _ isPrevious: Bool) -> String {
        if isPrevious { return "previous terminated container \"\(container)\" in pod \"\(pod.name)\" not found" }
        let status = PodStatus(pod.status)
        let known = (status.containerStatuses + status.initContainerStatuses).first { $0.name == container }
        if case .waiting(let reason, let message)? = known?.state {
            let first = message.split(separator: "\n").first.map { ": \($0)" } ?? ""
            return "container \"\(container)\" in pod \"\(pod.name)\" is waiting to start: \(reason)\(first)"
        }
        return "container \"\(container)\" in pod \"\(pod.name)\" has no log"
    }

    /// The runs that have a log, oldest first.
    static func attempts(in directory: String) -> [Int] {
        listDirectory(directory).compactMap { $0.hasSuffix(".log") ? Int($0.dropLast(4)) : nil }.sorted()
    }
}

/// Reads one run's log from its oldest file to its end, and on.
private struct LogFollower: Sendable {
    let directory: String
    let attempt: Int
    let options: PodLogOptions
    let key: ObjectKey
    let uid: String
    let container: String
    let store: any ObjectStore

    private static let chunk = 64 << 10
    /// Without notice of the kernel a follower looks this often.
    private static let pause: Duration = .milliseconds(500)

    func run(_ output: AsyncThrowingStream<[UInt8], any Error>.Continuation) async {
        defer { output.finish() }
        var filter = LogFilter(options)
        if let tail = options.tailLines {
            filter.skip = LogTail.linesToSkip(files, keeping: max(tail, 0), options.since)
        }
        for file in files.dropLast() {
            var position = 0
            if !read(file, from: &position, &filter, output) { return }
        }
        guard let live = files.last else { return }
        await follow(live, &filter, output)
    }

    /// The run's files, oldest first; the last one is being written.
    private var files: [String] {
        let base = "\(directory)/\(attempt).log"
        let rotated: [String] = (1...9).map { "\(base).\($0)" }.filter { access($0, F_OK) == 0 }
        return rotated.reversed() + [base]
    }

    private func follow(
        _ path: String,
        _ filter: inout LogFilter,
        _ output: AsyncThrowingStream<[UInt8], any Error>.Continuation
    ) async {
        let notice = options.follow ? inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)) : -1
        defer { if notice >= 0 { close(notice) } }
        if notice >= 0 { inotify_add_watch(notice, path, UInt32(IN_MODIFY | IN_MOVE_SELF)) }
        var position = 0
        while !Task.isCancelled {
            // Asked first: what is written before the end is read after it was seen.
            let isOver = options.follow ? await hasEnded() : true
            let inode = Self.inode(path)
            guard read(path, from: &position, &filter, output), !isOver else { return }
            await wait(notice)
            guard Self.inode(path) != inode else { continue }
            // Rotated: the rest of the old file, then the new one from its start.
            if !read("\(path).1", from: &position, &filter, output) { return }
            position = 0
            inotify_add_watch(notice, path, UInt32(IN_MODIFY | IN_MOVE_SELF))
        }
    }

    private func wait(_ notice: Int32) async {
        guard notice >= 0 else {
            try? await Task.sleep(for: Self.pause)
            return
        }
        _ = await Poller.shared.wait(notice, .readable, until: .now + Self.pause)
        var events = [UInt8](repeating: 0, count: 4096)
        _ = Glibc.read(notice, &events, events.count)
    }

    private static func inode(_ path: String) -> UInt {
        var facts = stat()
        return stat(path, &facts) == 0 ? UInt(facts.st_ino) : 0
    }

    private func hasEnded() async -> Bool {
        guard let pod = try? await store.find(key), pod.uid == uid else { return true }
        let status = PodStatus(pod.status)
        let known = (status.containerStatuses + status.initContainerStatuses).first { $0.name == container }
        guard let known, known.restartCount <= attempt else { return true }
        if case .terminated? = known.state { return true }
        return false
    }

    /// Gives out what the file holds from `position` on. False when the reader has had enough.
    private func read(
        _ path: String,
        from position: inout Int,
        _ filter: inout LogFilter,
        _ output: AsyncThrowingStream<[UInt8], any Error>.Continuation
    ) -> Bool {
        let fd = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return true }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: Self.chunk)
        while !Task.isCancelled {
            let count = pread(fd, &bytes, bytes.count, off_t(position))
            guard count > 0 else { return !filter.isFull }
            position += count
            let text = filter.take(bytes[..<count])
            if !text.isEmpty, case .terminated = output.yield(text) { return false }
            if filter.isFull { return false }
        }
        return false
    }
}
