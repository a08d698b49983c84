import CWeft
import Glibc

/// Reads how much of a resource is used. Owned by the main thread.
struct ResourceReader {
    /// Ticks of all processors at the last look: those with work, and all.
    private var processors: (busy: UInt64, all: UInt64)?
    private var utilization = 0.0
    /// `/proc/self/statm`, held open: it is read again and again, by little code.
    private let memoryFile = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    private let pageSize = UInt64(max(4096, sysconf(Int32(_SC_PAGESIZE))))

    /// Bytes that this process may use: the smallest limit of its control groups, else the machine's memory; 0 = not known.
    static func memoryBudget() -> UInt64 {
        let machine = number(after: "MemTotal:", in: text("/proc/meminfo")).map { $0 * 1024 } ?? 0
        let group = controlGroupFiles("memory.max", "memory.limit_in_bytes").compactMap { UInt64(line($0)) }.min()
        return min(machine > 0 ? machine : .max, group ?? .max) == .max
            ? 0 : min(machine > 0 ? machine : .max, group ?? .max)
    }

    /// Resident bytes of this process; nil when the system does not say.
    ///
    /// Plain loops over plain bytes: what runs twice a second keeps its code in memory.
    func residentBytes() -> UInt64? {
        var buffer: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
        return withUnsafeMutableBytes(of: &buffer) { raw -> UInt64? in
            guard memoryFile >= 0, let base = raw.baseAddress else { return nil }
            let count = pread(memoryFile, base, raw.count, 0)
            var position = 0
            while position < count, raw[position] != 0x20 { position += 1 }
            position += 1
            var pages: UInt64 = 0
            while position < count, raw[position] >= 0x30, raw[position] <= 0x39 {
                pages = pages &* 10 &+ UInt64(raw[position] &- 0x30)
                position += 1
            }
            return pages > 0 ? pages &* pageSize : nil
        }
    }

    /// 1 = used up; nil when it cannot be read.
    mutating func pressure(_ resource: OverloadSetup.Resource, lag: UInt64) -> Double? {
        switch resource {
        case .heap(let most): residentBytes().map { Double($0) / Double(max(1, most)) }
        case .controlGroup(let most): Self.controlGroupPressure(most)
        case .processors: processorPressure()
        case .file(let path):
            Double(Self.line(path)).flatMap { $0.isFinite && (0...1).contains($0) ? $0 : nil }
        case .loopLag(let most): Double(lag) / Double(max(1, most))
        }
    }

    // MARK: Control groups

    /// The paths of a file of this process's control group and of those above it, in version 2 or 1.
    private static func controlGroupFiles(_ new: String, _ old: String) -> [String] {
        var paths: [String] = []
        for entry in text("/proc/self/cgroup").split(separator: "\n") {
            let parts = entry.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[0] == "0" {
                var group = String(parts[2])
                while true {
                    paths.append("/sys/fs/cgroup" + (group == "/" ? "" : group) + "/" + new)
                    guard let slash = group.lastIndex(of: "/"), group != "/", slash != group.startIndex else { break }
                    group = String(group[..<slash])
                }
                paths.append("/sys/fs/cgroup/" + new)
            } else if parts[1].split(separator: ",").contains("memory") {
                paths.append("/sys/fs/cgroup/memory\(parts[2])/" + old)
                paths.append("/sys/fs/cgroup/memory/" + old)
            }
        }
        return paths
    }

    private static func controlGroupPressure(_ most: UInt64) -> Double? {
        let used = controlGroupFiles("memory.current", "memory.usage_in_bytes").lazy.compactMap { UInt64(line($0)) }
            .first
        let limits = controlGroupFiles("memory.max", "memory.limit_in_bytes").compactMap { UInt64(line($0)) }
        guard let used, let limit = (limits + (most > 0 ? [most] : [])).min(), limit > 0 else { return nil }
        return Double(used) / Double(limit)
    }

    // MARK: Processors

    /// As Envoy smooths it: each look counts for a twentieth.
    private mutating func processorPressure() -> Double? {
        guard let first = Self.text("/proc/stat").split(separator: "\n").first else { return nil }
        let ticks = first.split(separator: " ").dropFirst().compactMap { UInt64($0) }
        guard ticks.count >= 5 else { return nil }
        let all = ticks.prefix(8).reduce(0, &+)
        let busy = all &- ticks[3] &- ticks[4]
        defer { processors = (busy, all) }
        guard let before = processors, all > before.all, busy >= before.busy else { return utilization }
        utilization += (Double(busy - before.busy) / Double(all - before.all) - utilization) * 0.05
        return utilization
    }

    // MARK: Files

    private static func text(_ path: String) -> String {
        guard case .success(let bytes) = FileBytes.read(path, limit: 1 << 16) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func line(_ path: String) -> String {
        String(text(path).prefix { $0 != "\n" && $0 != " " })
    }

    private static func number(after name: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            return UInt64(line.dropFirst(name.count).filter(\.isNumber))
        }
        return nil
    }
}
