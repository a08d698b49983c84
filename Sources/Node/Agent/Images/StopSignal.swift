import Glibc

/// The signal that asks a container's program to end, as images and manifests write it: `SIGQUIT`, `QUIT`, `3`,
/// `SIGRTMIN+3`. Pure.
package enum StopSignal {
    private static let numbers: [String: Int32] = [
        "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ILL": SIGILL, "TRAP": SIGTRAP, "ABRT": SIGABRT, "BUS": SIGBUS,
        "FPE": SIGFPE, "KILL": SIGKILL, "USR1": SIGUSR1, "SEGV": SIGSEGV, "USR2": SIGUSR2, "PIPE": SIGPIPE,
        "ALRM": SIGALRM, "TERM": SIGTERM, "STKFLT": 16, "CHLD": SIGCHLD, "CONT": SIGCONT, "STOP": SIGSTOP,
        "TSTP": SIGTSTP, "TTIN": SIGTTIN, "TTOU": SIGTTOU, "URG": SIGURG, "XCPU": SIGXCPU, "XFSZ": SIGXFSZ,
        "VTALRM": SIGVTALRM, "PROF": SIGPROF, "WINCH": SIGWINCH, "IO": SIGIO, "POLL": SIGIO, "PWR": SIGPWR,
        "SYS": SIGSYS, "RTMIN": 34, "RTMAX": 64,
    ]

    /// nil for words that name no signal; empty words are SIGTERM.
    package static func number(_ words: String) -> Int32? {
        guard !words.isEmpty else { return SIGTERM }
        if let number = Int32(words) { return (1...64).contains(number) ? number : nil }
        let upper = words.uppercased()
        let name = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        if let number = numbers[name] { return number }
        for (base, sign) in [("RTMIN+", Int32(1)), ("RTMAX-", -1)] where name.hasPrefix(base) {
            guard let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) else { return nil }
            return (sign > 0 ? 34 : 64) + sign * offset
        }
        return nil
    }
}
