import CWeft
import Glibc

/// What a running container has used, at one moment.
package struct ContainerUsage: Sendable, Equatable {
    package let name: String
    /// Of the present run, or of all runs where a control group counts.
    package let processorNanoseconds: UInt64
    /// Without what only caches files.
    package let memoryBytes: Int
    package let startedAt: Int64
}

/// Measures pods: by control groups where the kernel counts in them, else by the sum over their processes.
package struct PodUsage: Sendable {
    private let roots: [String]

    package init(_ groups: ControlGroups) { roots = Set(groups.controllers.values).sorted() }

    /// The running containers of pods, given by uid and directory; pods that do not answer are left out.
    package func measure(_ pods: [(uid: String, directory: String)]) async -> [String: [ContainerUsage]] {
        var answers: [String: PodInquiry.Answer] = [:]
        for pod in pods { answers[pod.uid] = await PodInquiry.ask(directory: pod.directory) }
        let spaces = Set(answers.values.compactMap { ProcessCosts.space("pid", of: $0.process) })
        let costs = spaces.isEmpty ? [:] : ProcessCosts.read(in: spaces)
        var measured: [String: [ContainerUsage]] = [:]
        for (uid, answer) in answers {
            let mine = ProcessCosts.space("pid", of: answer.process).flatMap { costs[$0] } ?? []
            // Without a PID namespace of its own a pod's processes are known by their parents.
            let isPlain = ProcessCosts.space("pid", of: answer.process) == ProcessCosts.space("pid", of: getpid())
            measured[uid] = answer.containers.filter { $0.state == .running }.map { run in
                let family =
                    isPlain ? ProcessCosts.family(of: run.pid, in: mine) : ProcessCosts.company(of: run.pid, in: mine)
                return usage(uid, run, family)
            }
        }
        return measured
    }

    private func usage(_ uid: String, _ run: ContainerRun, _ mine: [ProcessCosts]) -> ContainerUsage {
        let summed = (mine.reduce(0) { $0 &+ $1.processorNanoseconds }, mine.reduce(0) { $0 + $1.memoryBytes })
        let places = roots.map { "\($0)/weft/\(uid)/\(run.name)" }
        return ContainerUsage(
            name: run.name,
            processorNanoseconds: places.lazy.compactMap(Self.groupProcessor).first ?? summed.0,
            memoryBytes: places.lazy.compactMap(Self.groupMemory).first ?? summed.1,
            startedAt: run.startedAt
        )
    }

    private static func groupProcessor(_ place: String) -> UInt64? {
        if let text = readFile("\(place)/cpu.stat", limit: 4096), let micro = field("usage_usec", of: text) {
            return micro &* 1000
        }
        return readFile("\(place)/cpuacct.usage", limit: 64).flatMap { UInt64($0.filter(\.isNumber)) }
    }

    /// As Kubernetes counts: what is charged, less the file pages that nobody has used of late.
    private static func groupMemory(_ place: String) -> Int? {
        let used =
            readFile("\(place)/memory.current", limit: 64) ?? readFile("\(place)/memory.usage_in_bytes", limit: 64)
        guard let used = used.flatMap({ Int($0.filter(\.isNumber)) }) else { return nil }
        let facts = readFile("\(place)/memory.stat", limit: 16384) ?? ""
        let idle = field("total_inactive_file", of: facts) ?? field("inactive_file", of: facts) ?? 0
        return max(used - Int(clamping: idle), 0)
    }

    private static func field(_ name: String, of text: String) -> UInt64? {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, parts[0] == name { return UInt64(parts[1]) }
        }
        return nil
    }
}

/// What one process has used, and where it belongs.
struct ProcessCosts: Sendable {
    let pid: Int
    let parent: Int
    /// Its number inside its own PID namespace.
    let innerPID: Int
    let mountSpace: String?
    /// Its own time and that of its children that have ended.
    let processorNanoseconds: UInt64
    /// Resident and shared with nobody.
    let memoryBytes: Int

    /// The processes of some PID namespaces, by namespace.
    static func read(in spaces: Set<String>) -> [String: [ProcessCosts]] {
        var found: [String: [ProcessCosts]] = [:]
        for entry in listDirectory("/proc") {
            guard let pid = Int32(entry), let space = space("pid", of: pid), spaces.contains(space),
                let costs = ProcessCosts(pid)
            else { continue }
            found[space, default: []].append(costs)
        }
        return found
    }

    /// A process and all that it and its children have started.
    static func family(of pid: Int, in processes: [ProcessCosts]) -> [ProcessCosts] {
        let children = Dictionary(grouping: processes, by: \.parent)
        var family = processes.filter { $0.pid == pid }
        var next = 0
        while next < family.count, family.count <= processes.count {
            family += children[family[next].pid] ?? []
            next += 1
        }
        return family
    }

    /// All processes that share the mount namespace of the one with this inner number: a container's.
    static func company(of innerPID: Int, in processes: [ProcessCosts]) -> [ProcessCosts] {
        guard let space = processes.first(where: { $0.innerPID == innerPID })?.mountSpace else { return [] }
        return processes.filter { $0.mountSpace == space }
    }

    private init?(_ pid: Int32) {
        guard let stat = readFile("/proc/\(pid)/stat", limit: 4096), let end = stat.lastIndex(of: ")"),
            let status = readFile("/proc/\(pid)/status", limit: 8192)
        else { return nil }
        // From the state, field 3, on: utime, stime, cutime and cstime are fields 14 to 17.
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 14 else { return nil }
        self.pid = Int(pid)
        parent = Int(fields[1]) ?? 0
        let ticks = fields[11...14].reduce(UInt64(0)) { $0 &+ (UInt64($1) ?? 0) }
        processorNanoseconds = ticks &* (1_000_000_000 / UInt64(max(sysconf(Int32(_SC_CLK_TCK)), 1)))
        let inner = status.split(separator: "\n").first { $0.hasPrefix("NSpid:") }
        innerPID = inner?.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) } ?? 0
        mountSpace = Self.space("mnt", of: pid)
        let pages = (readFile("/proc/\(pid)/statm", limit: 256) ?? "").split(separator: " ").compactMap { Int($0) }
        memoryBytes = pages.count > 2 ? max(pages[1] - pages[2], 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }

    /// The namespace of a process, as the kernel names it (`pid:[4026531836]`).
    static func space(_ kind: String, of pid: Int32) -> String? {
        var buffer = [CChar](repeating: 0, count: 64)
        let length = readlink("/proc/\(pid)/ns/\(kind)", &buffer, buffer.count)
        guard length > 0 else { return nil }
        return String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
