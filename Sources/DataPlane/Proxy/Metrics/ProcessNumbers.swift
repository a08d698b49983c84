import CWeft
import Glibc
import Telemetry

/// What the kernel says of this process, under the names that Prometheus' client libraries use.
struct ProcessNumbers {
    var cpuSeconds = 0.0
    var residentBytes: UInt64 = 0
    var virtualBytes: UInt64 = 0
    var openDescriptors: UInt64 = 0
    var descriptorLimit: UInt64 = 0
    var startSeconds = 0.0
    var threads: UInt64 = 0

    /// - Parameter startNanoseconds: the wall clock when the process started.
    init(startNanoseconds: UInt64) {
        startSeconds = Double(startNanoseconds) / 1_000_000_000
        var usage = rusage()
        if getrusage(RUSAGE_SELF, &usage) == 0 {
            cpuSeconds = Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
        }
        let pages = Self.read("/proc/self/statm").split(separator: " ").compactMap { UInt64($0) }
        let pageSize = UInt64(max(4096, sysconf(Int32(_SC_PAGESIZE))))
        if pages.count > 1 {
            virtualBytes = pages[0] * pageSize
            residentBytes = pages[1] * pageSize
        }
        var limit = rlimit()
        if getrlimit(RLIMIT_NOFILE, &limit) == 0 { descriptorLimit = UInt64(limit.rlim_cur) }
        if let folder = opendir("/proc/self/fd") {
            var count: UInt64 = 0
            while Glibc.readdir(folder) != nil { count += 1 }
            closedir(folder)
            // Without `.`, `..` and the descriptor of the folder itself.
            openDescriptors = count > 3 ? count - 3 : 0
        }
        for line in Self.read("/proc/self/status").split(separator: "\n") where line.hasPrefix("Threads:") {
            threads = UInt64(line.dropFirst(8).filter { $0.isNumber }) ?? 0
        }
    }

    func write(_ text: inout PrometheusText) {
        text.family("process_cpu_seconds_total", .counter, help: "User and system CPU time.")
        text.sample("process_cpu_seconds_total", .empty, cpuSeconds)
        text.family("process_resident_memory_bytes", .gauge, help: "Resident memory.")
        text.sample("process_resident_memory_bytes", .empty, residentBytes)
        text.family("process_virtual_memory_bytes", .gauge, help: "Virtual memory.")
        text.sample("process_virtual_memory_bytes", .empty, virtualBytes)
        text.family("process_open_fds", .gauge, help: "Open descriptors.")
        text.sample("process_open_fds", .empty, openDescriptors)
        text.family("process_max_fds", .gauge, help: "Limit of open descriptors.")
        text.sample("process_max_fds", .empty, descriptorLimit)
        text.family("process_threads", .gauge, help: "Threads.")
        text.sample("process_threads", .empty, threads)
        text.family("process_start_time_seconds", .gauge, help: "Start of the process since 1970.")
        text.sample("process_start_time_seconds", .empty, startSeconds)
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000 }

    private static func read(_ path: String) -> String {
        guard case .success(let bytes) = FileBytes.read(path, limit: 1 << 16) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }
}
