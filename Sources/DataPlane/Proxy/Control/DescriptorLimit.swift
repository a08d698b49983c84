import CWeft
import Glibc

/// How many descriptors the process may have open.
enum DescriptorLimit {
    /// Raises the soft limit to the hard one and returns it; 0 when it cannot be read.
    ///
    /// Half of it is for downstream connections: each may need an upstream one, and a proxy without descriptors cannot even
    /// say so.
    static func raise() -> Int {
        var limit = rlimit()
        guard getrlimit(RLIMIT_NOFILE, &limit) == 0 else { return 0 }
        if limit.rlim_cur < min(limit.rlim_max, 1 << 20) {
            limit.rlim_cur = min(limit.rlim_max, 1 << 20)
            setrlimit(RLIMIT_NOFILE, &limit)
            getrlimit(RLIMIT_NOFILE, &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}
