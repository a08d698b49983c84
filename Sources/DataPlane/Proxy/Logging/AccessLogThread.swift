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
    }
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
            let failures = sinks.takeFailures()
            if failures > 0 { shared.withLock { $0.failures += failures } }
            if stop, count == 0 { break }
            idleRounds = count == 0 ? idleRounds + 1 : 0
            if idleRounds < 20 {
                usleep(Self.pause)
            } else {
                bell.prepareToSleep()
                if drain(rings, logs, &sinks) == 0 { bell.sleep(milliseconds: 60_000) }
                idleRounds = 0
            }
        }
        shared.withLock { $0.isStopped = true }
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
        var bytes: [UInt8] = []
        var lines = 0
    }
    private let formatter: AccessLogFormatter
    private var outputs: [AccessLogConfiguration.Sink: Output] = [:]
    private var failures = 0

    init(formatter: AccessLogFormatter) { self.formatter = formatter }

    mutating func write(_ record: AccessLogRecord, to log: AccessLogConfiguration) {
        var output = outputs.removeValue(forKey: log.sink) ?? Output(fd: Self.open(log.sink))
        formatter.write(record, format: log.format, into: &output.bytes)
        output.lines += 1
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

    private mutating func flush(_ output: inout Output) {
        var done = 0
        while done < output.bytes.count, output.fd >= 0 {
            let count = output.bytes.withUnsafeBytes { raw in
                raw.baseAddress.map { Glibc.write(output.fd, $0 + done, raw.count - done) } ?? 0
            }
            if count < 0 && cweft_errno() == EINTR { continue }
            guard count > 0 else { break }
            done += count
        }
        if done < output.bytes.count { failures += output.lines }
        output.bytes.removeAll(keepingCapacity: output.bytes.capacity <= 1 << 17)
        output.lines = 0
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

    private static func open(_ sink: AccessLogConfiguration.Sink) -> Int32 {
        switch sink {
        case .standardOutput: return 1
        case .standardError: return 2
        case .file(let path): return Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        }
    }
}
