import Glibc
import Resources
import Sandbox
import Servers
import Store

/// Reads a container's log from its oldest file to its end, and on: through rotations, and if wished through restarts.
///
/// Every file is held open from before its turn until it is read to its end, so a line is lost only when it is rotated away
/// before a reader that lags behind by all files that the pod init keeps.
actor LogFollower {
    private let directory: String
    private let options: PodLogOptions
    private let key: ObjectKey
    private let uid: String
    private let container: String
    private let store: any ObjectStore

    private var attempt: Int
    private var filter: LogFilter
    /// What is left to read; the last one may be written still.
    private var files: [OpenLog] = []
    private var position = 0
    private var hasBegun = false
    private var isStopped = false
    /// Since when the run is known to have ended, while its log is not marked as complete.
    private var endSeen: ContinuousClock.Instant?
    private let notice: LogNotice?

    private static let chunk = 64 << 10
    /// Without notice of the kernel a reader looks this often.
    private static let pause: Duration = .milliseconds(500)
    /// A pod init that was killed marks nothing: after this time its log counts as complete.
    private static let patience: Duration = .seconds(1)
    /// How long the last lines of a run that has just ended are waited for.
    private static let lastLines: Duration = .seconds(5)

    init(
        directory: String,
        attempt: Int,
        options: PodLogOptions,
        key: ObjectKey,
        uid: String,
        container: String,
        store: any ObjectStore
    ) {
        self.directory = directory
        self.attempt = attempt
        self.options = options
        self.key = key
        self.uid = uid
        self.container = container
        self.store = store
        filter = LogFilter(options)
        notice = LogNotice(directory)
    }

    private var run: LogFiles { LogFiles(directory: directory, attempt: attempt) }

    /// The next piece of text; nil at the end.
    func next() async -> [UInt8]? {
        await settle()
        begin()
        while !Task.isCancelled, !isStopped, !filter.isFull {
            guard let file = files.first else {
                guard options.followsRestarts, await awaitNextRun() else { return nil }
                continue
            }
            // Asked first: what is said to be finished is finished once nothing more is read from it.
            let isFinished = files.count > 1 || !options.follow || file.isComplete || !run.isCurrent(file)
            if let text = read(file) {
                if !text.isEmpty { return text }
            } else if isFinished || isLongOver {
                await leave(file)
            } else {
                await wait()
            }
        }
        return nil
    }

    /// Makes `next` end soon.
    func stop() { isStopped = true }

    /// The end of a run is told before its last lines are written out: who reads no further than to the end waits for them.
    private func settle() async {
        guard !hasBegun, !options.follow else { return }
        let deadline = ContinuousClock.now + Self.lastLines
        while !Task.isCancelled, ContinuousClock.now < deadline, let file = OpenLog(run.path),
            file.isBeingWritten(within: Self.lastLines), await hasEnded()
        {
            await notice?.wait(until: .now + Self.pause)
        }
    }

    /// Finds the place to begin at, so that what is written from now on comes after it.
    func begin() {
        guard !hasBegun else { return }
        hasBegun = true
        files = run.open()
        if let tail = options.tailLines {
            filter.skip = LogTail.linesToSkip(files, keeping: max(tail, 0), of: options.stream)
        }
    }

    /// A file was read to its end: on to the next.
    private func leave(_ file: OpenLog) async {
        // Whatever is known of the run's end: what came after a rotation is there to be read, or will be in a moment, for the
        // file before is renamed first.
        let isRotated = files.count == 1 && options.follow && !file.isComplete && !run.isCurrent(file)
        let newer = isRotated ? run.newer(than: file) : Array(files.dropFirst())
        if isRotated, newer.isEmpty, !isLongOver {
            await wait()
            return
        }
        files = newer
        position = 0
        endSeen = nil
    }

    /// What stands at the position, filtered; nil at the end of the file.
    private func read(_ file: OpenLog) -> [UInt8]? {
        let offset = off_t(position)
        let bytes = [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, count in
            count = max(pread(file.fd, buffer.baseAddress, Self.chunk, offset), 0)
        }
        guard !bytes.isEmpty else { return nil }
        position += bytes.count
        endSeen = nil
        return filter.take(bytes[...])
    }

    // MARK: Waiting

    private var isLongOver: Bool { endSeen.map { ContinuousClock.now - $0 > Self.patience } ?? false }

    private func wait() async {
        if await !hasEnded() {
            endSeen = nil
        } else if endSeen == nil {
            endSeen = .now
        }
        await notice?.wait(until: .now + Self.pause)
    }

    private enum Standing { case gone, ended, running }

    private func standing() async -> (standing: Standing, restartCount: Int, isFinal: Bool) {
        guard let pod = try? await store.find(key), pod.uid == uid else { return (.gone, 0, true) }
        let status = PodStatus(pod.status)
        let known = (status.containerStatuses + status.initContainerStatuses).first { $0.name == container }
        guard let known else { return (.gone, 0, true) }
        var standing = Standing.running
        if case .terminated? = known.state { standing = .ended }
        let isOver = ["Succeeded", "Failed"].contains(status.phase) || pod.isDeleting
        return (standing, known.restartCount, isOver && standing != .running)
    }

    private func hasEnded() async -> Bool {
        let now = await standing()
        return now.standing != .running || now.restartCount > attempt
    }

    /// Waits for the container's next run; false when there will be none.
    private func awaitNextRun() async -> Bool {
        while !Task.isCancelled, !isStopped {
            let isFinal = await standing().isFinal
            if let next = PodLogs.attempts(in: directory).first(where: { $0 > attempt }) {
                attempt = next
                position = 0
                endSeen = nil
                files = run.open()
                if !files.isEmpty { return true }
            }
            if isFinal { return false }
            await notice?.wait(until: .now + Self.pause)
        }
        return false
    }
}

/// The kernel's notice that something in a directory of logs has changed.
private final class LogNotice: Sendable {
    private let fd: Int32

    init?(_ directory: String) {
        fd = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        guard fd >= 0 else { return nil }
        inotify_add_watch(fd, directory, UInt32(IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_ATTRIB))
    }

    deinit { if fd >= 0 { close(fd) } }

    func wait(until deadline: ContinuousClock.Instant) async {
        _ = await Poller.shared.wait(fd, .readable, until: deadline)
        var events = [UInt8](repeating: 0, count: 4096)
        while Glibc.read(fd, &events, events.count) > 0 {}
    }
}
