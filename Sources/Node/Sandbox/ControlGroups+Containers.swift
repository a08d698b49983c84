import Glibc

/// What a container may use; nil means no limit.
package struct ContainerLimits: Sendable, Equatable {
    package var memoryBytes: Int?
    /// Thousandths of a processor that it may use at most.
    package var processorLimit: Int?
    /// Thousandths of a processor that it gets when others want more than there is.
    package var processorShare: Int?
    /// Enough for any server; a fork bomb ends here.
    package var processes = 4096

    package init() {}
}

// Groups of containers: `weft/POD/CONTAINER` in each hierarchy.
extension ControlGroups {
    /// What the machine offers to this process.
    package static var ofThisMachine: ControlGroups {
        find(readFile("/proc/self/mountinfo") ?? "", own: readFile("/proc/self/cgroup") ?? "")
    }

    private func directory(_ root: String, _ pod: String, _ container: String) -> String {
        "\(root)/weft/\(pod)/\(container)"
    }

    /// Makes a container's groups and sets its limits. Returns the `cgroup.procs` files to join; a controller that refuses
    /// is left out.
    package func make(pod: String, container: String, _ limits: ContainerLimits) -> [String] {
        guard !pod.contains("/"), !container.contains("/"), !container.hasPrefix(".") else { return [] }
        var files: [String] = []
        // Without wishes a container competes for processors like any process: a group of its own would share one weight
        // with all other pods.
        let wantsProcessor = limits.processorLimit != nil || limits.processorShare != nil
        let wanted = controllers.filter { $0.key != "cpu" || wantsProcessor }
        for root in Set(wanted.values).sorted() {
            let names = wanted.filter { $0.value == root }.map(\.key)
            let isUnified = access("\(root)/cgroup.controllers", F_OK) == 0
            if isUnified { delegate(names, root, pod) }
            let place = directory(root, pod, container)
            defer { if names.contains("cpu") { weighAll(root, isUnified) } }
            guard (try? makeDirectory(place, mode: 0o755)) != nil else { continue }
            for name in names {
                for (file, value) in Self.settings(name, limits, isUnified: isUnified) {
                    _ = Self.put(value, into: "\(place)/\(file)")
                }
            }
            files.append("\(place)/cgroup.procs")
        }
        return files
    }

    /// Version 2 hands controllers down level by level.
    private func delegate(_ names: [String], _ root: String, _ pod: String) {
        let wish = names.map { "+\($0)" }.joined(separator: " ")
        _ = Self.put(wish, into: "\(root)/cgroup.subtree_control")
        for place in ["\(root)/weft", "\(root)/weft/\(pod)"] {
            mkdir(place, 0o755)
            _ = Self.put(wish, into: "\(place)/cgroup.subtree_control")
        }
    }

    /// All pods together weigh as much as the machine's processors do, as in Kubernetes.
    private func weighAll(_ root: String, _ isUnified: Bool) {
        let processors = max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1)
        let (file, value) =
            isUnified ? ("cpu.weight", min(processors * 100, 10000)) : ("cpu.shares", min(processors * 1024, 262_144))
        _ = Self.put(String(value), into: "\(root)/weft/\(file)")
    }

    /// The files of a controller and what to write: Kubernetes' arithmetic.
    package static func settings(
        _ controller: String,
        _ limits: ContainerLimits,
        isUnified: Bool
    ) -> [(file: String, value: String)] {
        switch controller {
        case "memory":
            let limit = number(limits.memoryBytes, isUnified ? "max" : "-1")
            // What does not fit is not swapped out: the container ends, as it would on a cluster.
            guard isUnified else { return [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", limit)] }
            return [
                ("memory.max", limit), ("memory.swap.max", limits.memoryBytes == nil ? "max" : "0"),
                ("memory.oom.group", limits.memoryBytes == nil ? "0" : "1"),
            ]
        case "pids": return [("pids.max", String(limits.processes))]
        case "cpu":
            let shares = min(max((limits.processorShare ?? 0) * 1024 / 1000, 2), 262_144)
            let quota = limits.processorLimit.map { max($0 * 100, 1000) }
            guard isUnified else {
                return [
                    ("cpu.shares", String(shares)), ("cpu.cfs_period_us", "100000"),
                    ("cpu.cfs_quota_us", number(quota, "-1")),
                ]
            }
            return [
                ("cpu.weight", String(1 + (shares - 2) * 9999 / 262_142)),
                ("cpu.max", "\(number(quota, "max")) 100000"),
            ]
        default: return []
        }
    }

    private static func number(_ value: Int?, _ none: String) -> String { value.map { String($0) } ?? none }

    private static func put(_ value: String, into path: String) -> Bool {
        let fd = open(path, O_WRONLY | O_CLOEXEC)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        return write(fd, value, value.utf8.count) == value.utf8.count
    }

    /// How many processes of a container the kernel has killed for want of memory.
    package func memoryKills(pod: String, container: String) -> Int {
        guard let root = controllers["memory"] else { return 0 }
        let place = directory(root, pod, container)
        let text =
            readFile("\(place)/memory.events", limit: 4096) ?? readFile("\(place)/memory.oom_control", limit: 4096)
        for line in (text ?? "").split(separator: "\n") where line.hasPrefix("oom_kill ") {
            return Int(line.dropFirst(9)) ?? 0
        }
        return 0
    }

    /// Removes a pod's groups, which must be empty of processes.
    package func remove(pod: String) async {
        guard !pod.isEmpty, !pod.contains("/") else { return }
        for root in Set(controllers.values) {
            let place = "\(root)/weft/\(pod)"
            guard access(place, F_OK) == 0 else { continue }
            // The kernel lets go of dead processes a moment after their end.
            for _ in 0..<100 {
                for name in listDirectory(place) where access("\(place)/\(name)/cgroup.procs", F_OK) == 0 {
                    rmdir("\(place)/\(name)")
                }
                if rmdir(place) == 0 || errno == ENOENT { break }
                await Task { try? await Task.sleep(for: .milliseconds(2)) }.value
            }
            rmdir("\(root)/weft")
        }
    }
}
