import CWeft
import Glibc
import Reactor

/// The process of a server of names: its start, its discovery, its end.
struct NameProcess {
    let pid: Int32
    /// Whoever watches the process owns it.
    let pidfd: Int32

    /// A server that was found running.
    struct Found {
        var process: NameProcess
        var channel: Int32
        var pods: [String: ServedPods.Pod]
    }

    /// Time for a server to say what it has.
    private static let talkTime: UInt64 = 1_000_000_000

    // MARK: Start

    /// Starts a server and connects to it.
    static func launch(_ settings: NameKeeper.Settings) throws(SystemError) -> (NameProcess, channel: Int32) {
        let door = try DescriptorDoor.listen(settings.socket)
        defer { close(door) }
        var keeper: Int32 = -1
        if let path = settings.listenerSocket { keeper = try DescriptorDoor.listen(path) }
        defer { if keeper >= 0 { close(keeper) } }
        let pid = try spawn(settings, door, keeper)
        let pidfd = cweft_pidfd_open(pid)
        guard pidfd >= 0 else {
            Glibc.kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw SystemError(code: -pidfd, operation: "watch the server of names")
        }
        let process = NameProcess(pid: pid, pidfd: pidfd)
        do {
            writeFile(settings.pidFile, "\(pid)\n")
            return (process, try DescriptorChannel.connect(settings.socket))
        } catch {
            process.end()
            close(pidfd)
            throw error
        }
    }

    private static func spawn(
        _ settings: NameKeeper.Settings,
        _ socket: Int32,
        _ keeper: Int32
    ) throws(SystemError) -> Int32 {
        // Above the descriptors that the new process gets, so that no copy meets its own target.
        let high = fcntl(socket, F_DUPFD_CLOEXEC, 10)
        let highKeeper = keeper < 0 ? -1 : fcntl(keeper, F_DUPFD_CLOEXEC, 10)
        defer { for fd in [high, highKeeper] where fd >= 0 { close(fd) } }
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        // On a full disk its words are lost, but it serves.
        let log = openLog(settings)
        defer { if log >= 0 { close(log) } }
        if log >= 0 {
            posix_spawn_file_actions_adddup2(&actions, log, 1)
        } else {
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawn_file_actions_adddup2(&actions, high, NameService.door)
        if highKeeper >= 0 { posix_spawn_file_actions_adddup2(&actions, highKeeper, NameService.keeperDoor) }
        var everything = sigset_t()
        var nothing = sigset_t()
        sigfillset(&everything)
        sigemptyset(&nothing)
        posix_spawnattr_setsigdefault(&attributes, &everything)
        posix_spawnattr_setsigmask(&attributes, &nothing)
        // A session of its own: what ends the daemon's terminal is not meant for it.
        let flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | Int32(POSIX_SPAWN_SETSID)
        posix_spawnattr_setflags(&attributes, Int16(truncatingIfNeeded: flags))
        var arguments: [UnsafeMutablePointer<CChar>?] = settings.arguments.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        let error = posix_spawn(&child, settings.program, &actions, &attributes, arguments, Glibc.environ)
        guard error == 0 else { throw SystemError(code: error, operation: "start the server of names") }
        return child
    }

    /// Its words, of the present process only; above the descriptors that the new process gets.
    private static func openLog(_ settings: NameKeeper.Settings) -> Int32 {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC
        let log = open("\(settings.directory)/log", flags, 0o600)
        guard log >= 0 else { return -1 }
        defer { close(log) }
        return fcntl(log, F_DUPFD_CLOEXEC, 10)
    }

    private static func writeFile(_ path: String, _ text: String) {
        let fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { return }
        _ = write(fd, text, text.utf8.count)
        close(fd)
    }

    // MARK: Discovery

    /// The server that a daemon before has started, with the sockets of all pods; nil when there is none that answers.
    static func find(_ settings: NameKeeper.Settings) -> Found? {
        guard let channel = try? DescriptorChannel.connect(settings.socket) else { return nil }
        for message in [NameMessage.hello, .list] {
            guard cweft_send_fd(channel, message.bytes, message.bytes.count, -1) > 0 else {
                close(channel)
                return nil
            }
        }
        var pid: Int32?
        var pods: [String: ServedPods.Pod] = [:]
        let isWhole = listen(channel) { message, fd in
            switch message {
            case .welcome(let number): pid = number
            case .pod(let id, let piece): return fd >= 0 && pods[id, default: ServedPods.Pod()].set(piece, fd)
            default: break
            }
            return false
        }
        for (id, pod) in pods where !pod.isComplete {
            pod.close()
            pods[id] = nil
        }
        if isWhole, let pid, isServer(pid, settings) {
            let pidfd = cweft_pidfd_open(pid)
            if pidfd >= 0 { return Found(process: NameProcess(pid: pid, pidfd: pidfd), channel: channel, pods: pods) }
        }
        for pod in pods.values { pod.close() }
        close(channel)
        return nil
    }

    /// Hears messages until `end`; false when it does not come in time.
    private static func listen(_ channel: Int32, _ take: (NameMessage, Int32) -> Bool) -> Bool {
        let deadline = Instant.read().advanced(byNanoseconds: talkTime)
        while true {
            switch DescriptorChannel.receive(channel) {
            case .message(let bytes, let fd):
                let message = NameMessage(bytes)
                if message == .end { return true }
                if !(message.map { take($0, fd) } ?? false), fd >= 0 { close(fd) }
            case .end: return false
            case .nothing:
                let now = Instant.read()
                guard now < deadline else { return false }
                var wanted = pollfd(fd: channel, events: Int16(POLLIN), revents: 0)
                poll(&wanted, 1, Int32(clamping: (deadline.nanoseconds - now.nanoseconds) / 1_000_000 + 1))
            }
        }
    }

    /// Whether a process is a server with this command line.
    private static func isServer(_ pid: Int32, _ settings: NameKeeper.Settings) -> Bool {
        var wanted: [UInt8] = []
        for argument in settings.arguments { wanted += Array(argument.utf8) + [0] }
        return pid > 1 && contents("/proc/\(pid)/cmdline", wanted.count + 1) == wanted
    }

    private static func contents(_ path: String, _ limit: Int) -> [UInt8]? {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = read(fd, &bytes, limit)
        return count >= 0 ? Array(bytes[..<count]) : nil
    }

    /// Whether it runs the same file as this process: another may speak in another way.
    var isOfThisProgram: Bool {
        var own = stat()
        var other = stat()
        return stat("/proc/self/exe", &own) == 0 && stat("/proc/\(pid)/exe", &other) == 0 && own.st_dev == other.st_dev
            && own.st_ino == other.st_ino
    }

    // MARK: End

    func kill() { _ = cweft_pidfd_signal(pidfd, SIGKILL) }

    /// Kills it and waits until it is gone.
    func end() {
        kill()
        var wanted = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        poll(&wanted, 1, 2000)
        _ = reap()
    }

    /// Takes the end of a child, in words.
    func reap() -> String {
        var status: Int32 = 0
        guard cweft_reap(pid, &status) == 1 else { return "ended" }
        let signal = status & 0x7f
        return signal == 0 ? "exit code \(status >> 8 & 0xff)" : "signal \(signal)"
    }

    /// Ends the server that the pid file names.
    static func sweep(_ settings: NameKeeper.Settings) {
        defer {
            unlink(settings.pidFile)
            unlink(settings.socket)
            if let path = settings.listenerSocket { unlink(path) }
        }
        guard let text = contents(settings.pidFile, 32),
            let pid = Int32(String(decoding: text.prefix { $0 != 0x0a }, as: UTF8.self)), pid > 1
        else { return }
        let pidfd = cweft_pidfd_open(pid)
        guard pidfd >= 0 else { return }
        defer { close(pidfd) }
        // The descriptor holds whatever has the number now; the command line tells whether that is the one.
        if isServer(pid, settings) { NameProcess(pid: pid, pidfd: pidfd).end() }
    }
}
