import CWeft
import Glibc
import Reactor

/// Watches over a proxy in a process of its own: starts it again when it dies, and puts a new one in its place when asked.
///
/// It holds copies of all listening sockets (`ListenerKeeper`), so that no connection is refused while there is no proxy, or
/// while two of them serve. It knows nothing of configurations. One thread.
final class ProxySupervisor: EventHandler {
    private let log: ProcessLog
    private let loop: HandlerLoop
    private let signals: SignalSource
    private let keeper: ListenerKeeper
    private let folder: String
    private let program: String
    private let words: [String]
    private var key: HandlerKey?

    private var serving: ChildProcess?
    /// Takes the place of `serving` as soon as it serves.
    private var coming: ChildProcess?
    /// End their work.
    private var leaving: [ChildProcess] = []
    /// The first proxy has served: from now on one that ends is started again.
    private var hasServed = false
    private var isStopping = false
    private var exitCode: Int32 = 0
    private var quickDeaths = 0
    private var restartAt: Instant?
    private var patienceEnds: Instant?

    /// A proxy that lives shorter than this after its start dies quickly, milliseconds.
    private static let quick: UInt64 = 1000
    /// Pauses before the starts after the third quick death in a row: from this, doubled each time, up to that; milliseconds.
    private static let pauses: (first: UInt64, most: UInt64) = (100, 1000)
    /// A new proxy that does not serve in this time is given up, milliseconds.
    private static let patience: UInt64 = 60_000

    /// Works until asked to end; `words`: the command line without the program's name.
    static func run(_ words: [String], level: LogLevel) -> Int32 {
        let log = ProcessLog(level: level)
        do throws(SystemError) {
            return try ProxySupervisor(words, log).run()
        } catch {
            log.error("the supervisor cannot work", ["error": "\(error)"])
            return 1
        }
    }

    private init(_ words: [String], _ log: ProcessLog) throws(SystemError) {
        self.log = log
        signals = try SignalSource([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD])
        loop = try HandlerLoop()
        program = try Self.ownPath()
        folder = try Self.makeFolder()
        let socket = "\(folder)/keeper"
        self.words = words.filter { $0 != "--supervise" } + ["--supervised", "--listener-keeper", socket]
        keeper = try ListenerKeeper(try DescriptorDoor.listen(socket), loop: loop)
    }

    /// The path of this program as it is now: a newer one at the same place is what a restart is for.
    private static func ownPath() throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { throw SystemError(code: cweft_errno(), operation: "read /proc/self/exe") }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A folder that only this user may enter.
    private static func makeFolder() throws(SystemError) -> String {
        let base = getenv("XDG_RUNTIME_DIR").map { String(cString: $0) } ?? "/tmp"
        for parent in [base, "/tmp"] {
            var template = Array("\(parent)/weft-proxy-XXXXXX".utf8CString)
            let isMade = mkdtemp(&template) != nil
            if isMade { return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) }
        }
        throw SystemError(code: cweft_errno(), operation: "make a folder in \(base)")
    }

    private func run() throws(SystemError) -> Int32 {
        defer {
            keeper.shutdown()
            unlink("\(folder)/keeper")
            rmdir(folder)
        }
        key = try loop.add(signals.fd, .read, self)
        keeper.onReady = { [unowned self] in proxyServes() }
        serving = try ChildProcess.start(program, words)
        loop.run()
        return exitCode
    }

    // MARK: Signals

    func ready(_ readiness: Readiness) {
        while let number = signals.next() {
            switch number {
            case SIGCHLD: reap()
            case SIGHUP: replace()
            case SIGUSR1: for child in children { child.signal(SIGUSR1) }
            default: stop()
            }
        }
        endIfDone()
    }

    private var children: [ChildProcess] { leaving + [serving, coming].compactMap { $0 } }

    /// Starts a new proxy beside the present one.
    private func replace() {
        guard !isStopping else { return }
        guard coming == nil else { return log.warning("a restart is under way already") }
        guard serving != nil else { return start() }
        do throws(SystemError) {
            let child = try ChildProcess.start(program, words)
            coming = child
            patienceEnds = Instant.read().advanced(byMilliseconds: Self.patience)
            setTimer()
            log.info("a new proxy starts", ["pid": "\(child.pid)"])
        } catch { log.error("no new proxy, the old one goes on", ["error": "\(error)"]) }
    }

    /// The newest proxy says that it serves.
    private func proxyServes() {
        hasServed = true
        guard let child = coming else { return }
        if let old = serving {
            log.info("a new proxy serves", ["pid": "\(child.pid)", "before": "\(old.pid)"])
            old.signal(SIGUSR2)
            leaving.append(old)
        }
        serving = child
        coming = nil
        patienceEnds = nil
        setTimer()
    }

    private func stop() {
        isStopping = true
        restartAt = nil
        for child in children { child.signal(SIGTERM) }
    }

    private func endIfDone() {
        if isStopping, children.isEmpty { loop.stop() }
    }

    // MARK: Ends and starts

    private func reap() {
        while let (pid, ending) = ChildProcess.reap() {
            if coming?.pid == pid {
                coming = nil
                patienceEnds = nil
                log.error("the new proxy ended before it served, the old one goes on", ["ending": ending.text])
            } else if let child = serving, child.pid == pid {
                serving = nil
                ended(child, ending)
            } else {
                leaving.removeAll { $0.pid == pid }
            }
        }
        setTimer()
    }

    private func ended(_ child: ChildProcess, _ ending: ChildProcess.Ending) {
        exitCode = ending.exitCode
        guard !isStopping else { return }
        if let next = coming {
            // It takes the sockets over from the keeper, whether it serves already or not.
            serving = next
            coming = nil
            patienceEnds = nil
            return log.error("the proxy ended while a new one starts", ["ending": ending.text])
        }
        guard hasServed else {
            // It has said why: a configuration or a machine that does not allow it.
            isStopping = true
            return
        }
        let lived = Instant.read().nanoseconds &- child.startedAt.nanoseconds
        quickDeaths = lived < Self.quick * 1_000_000 ? quickDeaths + 1 : 0
        log.error("the proxy ended, it is started again", ["pid": "\(child.pid)", "ending": ending.text])
        guard quickDeaths > 2 else { return start() }
        let pause = min(Self.pauses.first << UInt64(min(quickDeaths - 3, 10)), Self.pauses.most)
        restartAt = Instant.read().advanced(byMilliseconds: pause)
    }

    private func start() {
        restartAt = nil
        do throws(SystemError) {
            serving = try ChildProcess.start(program, words)
        } catch {
            log.error("the proxy cannot be started", ["error": "\(error)"])
            restartAt = Instant.read().advanced(byMilliseconds: Self.pauses.most)
        }
    }

    // MARK: Time

    private func setTimer() {
        guard let key else { return }
        loop.setTimer(key, [restartAt, patienceEnds].compactMap { $0 }.min())
    }

    func timerFired() {
        let now = Instant.read()
        if let due = restartAt, due <= now { start() }
        if let due = patienceEnds, due <= now, let child = coming {
            patienceEnds = nil
            log.error("the new proxy does not serve, the old one goes on", ["pid": "\(child.pid)"])
            child.signal(SIGKILL)
        }
        setTimer()
    }
}
