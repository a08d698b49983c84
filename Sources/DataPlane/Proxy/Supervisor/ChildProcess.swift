import CWeft
import Glibc
import Reactor

/// A proxy that the supervisor has started.
struct ChildProcess {
    enum Ending: Equatable {
        case code(Int32)
        case signal(Int32)

        var text: String {
            switch self {
            case .code(let code): "code \(code)"
            case .signal(let signal): "signal \(signal)"
            }
        }

        /// As a shell tells it.
        var exitCode: Int32 {
            switch self {
            case .code(let code): code
            case .signal(let signal): 128 + signal
            }
        }
    }

    let pid: pid_t
    let startedAt: Instant

    /// Starts a program with these words, and with signals as a fresh process has them.
    static func start(_ program: String, _ words: [String]) throws(SystemError) -> ChildProcess {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments = ([program] + words).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, nil, &attributes, &arguments, Glibc.environ)
        guard code == 0 else { throw SystemError(code: code, operation: "start \(program)") }
        return ChildProcess(pid: pid, startedAt: .read())
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// A child that has ended, if there is one.
    static func reap() -> (pid: pid_t, ending: Ending)? {
        var status: Int32 = 0
        let pid = waitpid(-1, &status, WNOHANG)
        guard pid > 0 else { return nil }
        let signal = status & 0x7F
        return (pid, signal == 0 ? .code(status >> 8 & 0xFF) : .signal(signal))
    }
}
