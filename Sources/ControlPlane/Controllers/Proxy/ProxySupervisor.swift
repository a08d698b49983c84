import CWeft
import Dispatch
import Glibc
import Mesh

/// Starts the proxy, starts it again when it dies, and ends it. One that an earlier weft left running is taken over; one that
/// was started otherwise than this weft would (with files for its configuration) serves until a new one does.
package actor ProxySupervisor {
    /// How to start it.
    package struct Settings: Sendable {
        package var program: String
        package var arguments: [String]
        /// Its standard output and error are appended here.
        package var logFile: String
        /// Holds `pid start-time` while it runs, so that a later weft can end one that was left over.
        package var pidFile: String
        /// A descriptor that the proxy holds as its third, without knowing what for; negative: none.
        package var inherited: @Sendable () -> Int32 = { -1 }
        /// Whether the proxy that was started last serves: then the one before it may end.
        package var isReady: @Sendable () async -> Bool = { true }
        /// The last proxy of an earlier kind has ended.
        package var replaced: @Sendable () -> Void = {}
        package var firstBackOff: Duration = .milliseconds(100)
        package var longestBackOff: Duration = .seconds(10)
        /// One that ran this long was well: its death is answered at once, as is the first of all.
        package var wellAfter: Duration = .seconds(1)

        package init(program: String, arguments: [String], logFile: String, pidFile: String) {
            self.program = program
            self.arguments = arguments
            self.logFile = logFile
            self.pidFile = pidFile
        }
    }

    /// What happens to it.
    package enum Event: Sendable, Equatable {
        case started(pid: Int32)
        /// It ran already.
        case adopted(pid: Int32)
        /// The one before it, which was started otherwise, is told to end.
        case replaced(pid: Int32)
        /// `status` as people say it: `exit code 1`, `signal 9`.
        case ended(pid: Int32, status: String)
        case failed(String)
    }

    private let settings: Settings
    private let tell: @Sendable (Event) -> Void
    private let clock = ContinuousClock()
    private var task: Task<Void, Never>?
    private var isStopping = false
    /// Of an earlier kind: serves until the new one does.
    private var predecessor: Int32?
    package private(set) var pid: Int32?
    /// How often it was started again.
    package private(set) var restarts = 0

    package init(_ settings: Settings, tell: @escaping @Sendable (Event) -> Void) {
        self.settings = settings
        self.tell = tell
    }

    /// Starts it and watches over it until `shutdown`.
    package func start() {
        guard task == nil else { return }
        task = Task { await self.supervise() }
    }

    /// Ends it: SIGTERM, so that it drains; SIGKILL when it is still there after `grace`.
    package func shutdown(grace: Duration) async {
        isStopping = true
        task?.cancel()
        if let predecessor { kill(predecessor, SIGTERM) }
        if let pid {
            kill(pid, SIGTERM)
            let killer = Task {
                try? await Task.sleep(for: grace)
                guard !Task.isCancelled else { return }
                self.killNow(pid)
            }
            await task?.value
            killer.cancel()
            await killer.value
        } else {
            await task?.value
        }
        task = nil
    }

    private func killNow(_ victim: Int32) {
        if pid == victim { kill(victim, SIGKILL) }
    }

    private func supervise() async {
        var backOff = Duration.zero
        async let retiring: Void = retirePredecessor()
        while !isStopping {
            let begun = clock.now
            let running = Self.running(pidFile: settings.pidFile).flatMap { isOfOurKind($0) ? $0 : nil }
            if let pid = running ?? launch() {
                self.pid = pid
                tell(running == nil ? .started(pid: pid) : .adopted(pid: pid))
                let status = await (running == nil ? Self.wait(pid) : Self.waitForStranger(pid))
                self.pid = nil
                unlink(settings.pidFile)
                tell(.ended(pid: pid, status: status))
            }
            guard !isStopping else { break }
            restarts += 1
            if begun.duration(to: clock.now) >= settings.wellAfter {
                backOff = .zero
                continue
            }
            if backOff > .zero { try? await Task.sleep(for: backOff) }
            backOff = min(max(backOff * 2, settings.firstBackOff), settings.longestBackOff)
        }
        await retiring
    }

    /// Whether a proxy was started with the file that this weft starts it with.
    private func isOfOurKind(_ pid: Int32) -> Bool {
        let words = Self.read("/proc/\(pid)/cmdline", limit: 4096).split(separator: 0)
        let wished = settings.arguments.filter { $0.hasSuffix("/\(ProxyBootstrap.file)") }
        return wished.allSatisfy { wish in words.contains { $0.elementsEqual(wish.utf8) } }
    }

    /// Lets a proxy of an earlier kind serve until the new one does, and ends it then: it drains.
    private func retirePredecessor() async {
        guard let old = Self.search("\(Self.folder(of: settings.pidFile))/\(Self.oldBootstrap)") else {
            return settings.replaced()
        }
        predecessor = old
        while !isStopping, kill(old, 0) == 0 {
            if pid != nil, await settings.isReady() {
                kill(old, SIGTERM)
                tell(.replaced(pid: old))
                break
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
        // It drains as long as its connections last; nobody has to wait for that.
        guard !isStopping else { return }
        _ = await Self.waitForStranger(old)
        predecessor = nil
        settings.replaced()
    }

    private func launch() -> Int32? {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        guard posix_spawn_file_actions_init(&actions) == 0, posix_spawnattr_init(&attributes) == 0 else { return nil }
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, settings.logFile, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let inherited = settings.inherited()
        if inherited >= 0 { posix_spawn_file_actions_adddup2(&actions, inherited, 3) }
        // Its own process group: a Ctrl-C in the terminal is for weft, which ends the proxy in its turn. All signals are
        // at their default and let through.
        var everything = sigset_t()
        var nothing = sigset_t()
        sigfillset(&everything)
        sigemptyset(&nothing)
        posix_spawnattr_setsigdefault(&attributes, &everything)
        posix_spawnattr_setsigmask(&attributes, &nothing)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setflags(&attributes, Int16(truncatingIfNeeded: flags))
        var arguments: [UnsafeMutablePointer<CChar>?] = ([settings.program] + settings.arguments).map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        let error = posix_spawn(&child, settings.program, &actions, &attributes, arguments, Glibc.environ)
        guard error == 0 else {
            tell(.failed("cannot start \(settings.program): \(String(cString: strerror(error)))"))
            return nil
        }
        let text = "\(child) \(Self.startTime(of: child) ?? 0)\n"
        try? ProxyDirectory.replace(settings.pidFile, with: Array(text.utf8))
        return child
    }

    /// Waits for a child on a thread of its own; gives its end in words.
    private static func wait(_ pid: Int32) async -> String {
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "weft.proxy.wait").async {
                var status: Int32 = 0
                while waitpid(pid, &status, 0) < 0, errno == EINTR {}
                let signal = status & 0x7f
                continuation.resume(returning: signal == 0 ? "exit code \(status >> 8 & 0xff)" : "signal \(signal)")
            }
        }
    }

    /// Waits for a process that is no child of ours: how it ended is told to its parent only.
    private static func waitForStranger(_ pid: Int32) async -> String {
        let pidfd = cweft_pidfd_open(pid)
        guard pidfd >= 0 else { return "unseen" }
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "weft.proxy.wait").async {
                var event = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
                while poll(&event, 1, -1) < 0, errno == EINTR {}
                close(pidfd)
                continuation.resume()
            }
        }
        return "unseen"
    }

    /// The start time of a process in clock ticks since boot: with the pid it names a process for good.
    package static func startTime(of pid: Int32) -> UInt64? {
        guard let file = fopen("/proc/\(pid)/stat", "r") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = fread(&buffer, 1, buffer.count, file)
        // The name may hold spaces and parentheses: fields are counted after the last one.
        guard let end = buffer[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = buffer[(end + 1)..<count].split(separator: 0x20)
        guard fields.count > 19 else { return nil }
        return UInt64(String(decoding: fields[19], as: UTF8.self))
    }

    /// The proxy that a pid file names, if it still runs: by number, start time and name. Where the file leads to none,
    /// the one that was started with the files beside it.
    package static func running(pidFile: String) -> Int32? {
        let words = read(pidFile).split { $0 == 0x20 || $0 == 0x0a }.map { String(decoding: $0, as: UTF8.self) }
        if words.count == 2, let pid = Int32(words[0]), pid > 1, let start = UInt64(words[1]), start > 0,
            startTime(of: pid) == start, isProxy(pid)
        {
            return pid
        }
        let found = [ProxyBootstrap.file, oldBootstrap].lazy.compactMap { search("\(folder(of: pidFile))/\($0)") }.first
        guard let pid = found, let start = startTime(of: pid) else { return nil }
        try? ProxyDirectory.replace(pidFile, with: Array("\(pid) \(start)\n".utf8))
        return pid
    }

    /// What proxies that were fed by files were started with.
    private static let oldBootstrap = "bootstrap.json"

    private static func folder(of pidFile: String) -> String {
        pidFile.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
    }

    private static func isProxy(_ pid: Int32) -> Bool { read("/proc/\(pid)/comm") == Array("weft-proxy\n".utf8) }

    /// The proxy that runs with a bootstrap file. Only processes of this user beside us count: what runs in a pod can call
    /// itself anything, but is in another PID namespace.
    private static func search(_ bootstrap: String) -> Int32? {
        guard let ours = link("/proc/self/ns/pid"), let entries = opendir("/proc") else { return nil }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            var facts = stat()
            guard let pid = Int32(name), pid > 1, stat("/proc/\(pid)", &facts) == 0, facts.st_uid == geteuid(),
                isProxy(pid), link("/proc/\(pid)/ns/pid") == ours
            else { continue }
            let words = read("/proc/\(pid)/cmdline", limit: 4096).split(separator: 0)
            if words.contains(where: { $0.elementsEqual(bootstrap.utf8) }) { return pid }
        }
        return nil
    }

    private static func link(_ path: String) -> [CChar]? {
        var target = [CChar](repeating: 0, count: 64)
        let count = readlink(path, &target, target.count)
        return count > 0 ? Array(target[..<count]) : nil
    }

    private static func read(_ path: String, limit: Int = 64) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: limit)
        return Array(buffer[..<fread(&buffer, 1, buffer.count, file)])
    }

    /// Ends a proxy that a killed weft left behind, named by its pid file.
    package static func sweep(pidFile: String) {
        let pid = running(pidFile: pidFile)
        unlink(pidFile)
        if let pid { kill(pid, SIGKILL) }
    }
}
