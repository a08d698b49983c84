import Bytes
import CWeft
import Glibc
import Reactor

/// The thread that turns the workers' records into lines and writes them.
///
/// Workers never wait for it: when it is slow, their rings fill and lines are dropped and counted.
final class AccessLogThread: Sendable {
    private struct Shared {
        var rings: [AccessLogRing] = []
        var logs: [AccessLogConfiguration] = []
        var reopen = false
        var stop = false
        var isStopped = false
        var failures = 0
        var lostSpans = 0
    }
    /// Called on this thread with spans that are due. Set before it starts.
    private let onSpans = Lock<(@Sendable (SpanBatch) -> Void)?>(nil)

    func setSpans(_ handler: @escaping @Sendable (SpanBatch) -> Void) { onSpans.withLock { $0 = handler } }

    /// Spans that did not fit.
    var lostSpans: Int { shared.withLock { $0.lostSpans } }

    private let shared = Lock(Shared())
    private let bell = AccessLogBell()
    /// While lines come the thread looks again after this time; then it sleeps until it is woken.
    private static let pause: UInt32 = 50_000
    private static let bufferLimit = 1 << 16

    init() {}

    /// A ring for a worker; to be called before the worker starts.
    func makeRing() -> AccessLogRing {
        let ring = AccessLogRing(bell: bell)
        shared.withLock { $0.rings.append(ring) }
        return ring
    }

    /// The logs that records name by index. Indexes keep their meaning: the list only grows.
    func setLogs(_ logs: [AccessLogConfiguration]) {
        shared.withLock { $0.logs = logs }
    }

    /// Files are closed and opened again by name (after a rotation).
    func reopenFiles() {
        shared.withLock { $0.reopen = true }
        bell.ring()
    }

    /// Lines lost because a ring was full or a file could not be written.
    var lostLines: Int {
        shared.withLock { $0.rings.reduce($0.failures) { $0 + $1.droppedCount } }
    }

    func start() {
        SystemThread.start(name: "access-log") { self.run() }
    }

    /// Writes what is in the rings and ends the thread; waits for it, at most a second.
    func stop() {
        shared.withLock { $0.stop = true }
        for _ in 0..<200 {
            bell.ring()
            if shared.withLock({ $0.isStopped }) { return }
            usleep(5000)
        }
    }

    private func run() {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, 255)
        let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var sinks = AccessLogSinks(formatter: AccessLogFormatter(hostname: host))
        var idleRounds = 0
        while true {
            let (rings, logs, reopen, stop) = shared.withLock { state in
                defer { state.reopen = false }
                return (state.rings, state.logs, state.reopen, state.stop)
            }
            if reopen { sinks.reopen() }
            let count = drain(rings, logs, &sinks)
            sendSpans(&sinks, all: stop)
            let failures = sinks.takeFailures()
            if failures > 0 { shared.withLock { $0.failures += failures } }
            if stop, count == 0 { break }
            idleRounds = count == 0 ? idleRounds + 1 : 0
            if idleRounds < 20 || !sinks.spans.isEmpty {
                usleep(Self.pause)
            } else {
                bell.prepareToSleep()
                if drain(rings, logs, &sinks) == 0 { bell.sleep(milliseconds: 60_000) }
                idleRounds = 0
            }
        }
        shared.withLock { $0.isStopped = true }
    }

    private func sendSpans(_ sinks: inout AccessLogSinks, all: Bool) {
        guard !sinks.spans.isEmpty else { return }
        let batches = sinks.spans.take(all: all)
        let lost = sinks.spans.takeDropped()
        if lost > 0 { shared.withLock { $0.lostSpans += lost } }
        guard !batches.isEmpty, let handler = onSpans.withLock({ $0 }) else { return }
        for batch in batches { handler(batch) }
    }

    private func drain(_ rings: [AccessLogRing], _ logs: [AccessLogConfiguration], _ sinks: inout AccessLogSinks) -> Int
    {
        var count = 0
        for ring in rings {
            while let record = ring.next(shape: { logs.shape($0) }) {
                count += 1
                guard logs.indices.contains(Int(record.log)) else { continue }
                sinks.write(record, to: logs[Int(record.log)])
            }
        }
        sinks.flush()
        return count
    }
}

extension [AccessLogConfiguration] {
    fileprivate func shape(_ log: AccessLogIndex) -> AccessLogShape {
        guard indices.contains(Int(log)) else { return AccessLogShape() }
        let format = self[Int(log)].format
        return AccessLogShape(texts: format.texts.count, headers: format.headerCount)
    }
}

/// The open files of the log thread and what is to be written to them.
private struct AccessLogSinks {
    private struct Output {
        var fd: Int32
        /// A file on a disk: written at once, or not at all.
        var isRegular: Bool
        var bytes: [UInt8] = []
        /// The beginning of the first line of `bytes` is written already.
        var isMidLine = false

        init(_ sink: AccessLogConfiguration.Sink) {
            fd = AccessLogSinks.open(sink)
            var facts = stat()
            isRegular = fd >= 0 && fstat(fd, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
        }
    }
    private let formatter: AccessLogFormatter
    private var outputs: [AccessLogConfiguration.Sink: Output] = [:]
    private var failures = 0

    var spans: SpanCollector

    init(formatter: AccessLogFormatter) {
        self.formatter = formatter
        spans = SpanCollector(hostname: formatter.hostname)
    }

    mutating func write(_ record: AccessLogRecord, to log: AccessLogConfiguration) {
        if let shape = log.span {
            spans.add(record, log.format, shape)
            return
        }
        var output = outputs.removeValue(forKey: log.sink) ?? Output(log.sink)
        if output.fd == -2 { output = Output(log.sink) }
        formatter.write(record, format: log.format, into: &output.bytes)
        if output.bytes.count > 1 << 16 { flush(&output) }
        outputs[log.sink] = output
    }

    mutating func flush() {
        for sink in outputs.keys {
            guard var output = outputs[sink], !output.bytes.isEmpty else { continue }
            outputs[sink] = nil
            flush(&output)
            outputs[sink] = output
        }
    }

    /// Writes what the file takes now. A pipe that nobody reads must hold up no other log: what it does not take is kept, up to
    /// a bound, and then dropped line by line.
    private mutating func flush(_ output: inout Output) {
        var done = 0
        var isBroken = output.fd < 0
        while done < output.bytes.count, output.fd >= 0 {
            var room = output.bytes.count - done
            if !output.isRegular {
                var asked = pollfd(fd: output.fd, events: Int16(POLLOUT), revents: 0)
                guard poll(&asked, 1, 0) == 1, asked.revents & Int16(POLLOUT) != 0 else { break }
                // So much a pipe takes without blocking once it says that it takes something.
                room = min(room, Int(PIPE_BUF))
            }
            let count = output.bytes.withUnsafeBytes { raw in
                raw.baseAddress.map { Glibc.write(output.fd, $0 + done, room) } ?? 0
            }
            if count < 0 && cweft_errno() == EINTR { continue }
            guard count > 0 else {
                isBroken = output.isRegular || cweft_errno() != EAGAIN
                break
            }
            done += count
        }
        if done > 0 {
            output.isMidLine = output.bytes[done - 1] != 0x0A
            output.bytes.removeFirst(done)
        }
        if isBroken || output.bytes.count > Self.heldLimit { drop(&output) }
        if output.bytes.isEmpty, output.bytes.capacity > 1 << 17 { output.bytes = [] }
    }

    /// More is not held for a file that takes nothing.
    private static let heldLimit = 1 << 20

    /// Gives up what was not written: whole lines. The rest of a line that was begun goes on, so that lines stay lines.
    private mutating func drop(_ output: inout Output) {
        let keep = output.isMidLine && output.fd >= 0 ? output.bytes.prefix { $0 != 0x0A }.count + 1 : 0
        failures += output.bytes.dropFirst(keep).count { $0 == 0x0A }
        output.bytes.removeLast(max(0, output.bytes.count - keep))
        // A file that cannot be opened is tried again with the next lines.
        if output.fd < 0 { output.fd = -2 }
    }

    mutating func reopen() {
        flush()
        for (sink, output) in outputs {
            if case .file = sink, output.fd >= 0 { close(output.fd) }
        }
        outputs.removeAll()
    }

    mutating func takeFailures() -> Int {
        defer { failures = 0 }
        return failures
    }

    fileprivate static func open(_ sink: AccessLogConfiguration.Sink) -> Int32 {
        switch sink {
        case .standardOutput: return 1
        case .standardError: return 2
        case .spans: return -1
        case .file(let path): return Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o640)
        }
    }
}
