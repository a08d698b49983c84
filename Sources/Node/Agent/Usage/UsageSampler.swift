import Glibc
package import Resources
import Sandbox
package import Servers
package import Store

/// Measures this machine's pods when somebody asks: nobody asks, nothing is measured.
///
/// A rate needs two measurements. Of those that were made for earlier questions one at least a second old serves as the
/// first; without one the question waits for a moment.
package actor UsageSampler: UsageSource {
    /// A measurement so young answers as it is; one so old begins no rate.
    private static let fresh: Duration = .milliseconds(900)
    private static let oldest: Duration = .seconds(60)
    private static let firstPause: Duration = .milliseconds(500)
    private static let kept = 16

    private struct Sample: Sendable {
        let time: ContinuousClock.Instant
        let wall: Timestamp
        let pods: [String: [ContainerUsage]]
        let machine: MachineUsage
    }

    private let store: any ObjectStore
    private let stateDirectory: String
    private let usage: PodUsage
    private let now: @Sendable () -> Timestamp
    private var samples: [Sample] = []
    private var underWay: Task<Sample, Never>?

    package init(store: any ObjectStore, stateDirectory: String, now: @escaping @Sendable () -> Timestamp) {
        self.store = store
        self.stateDirectory = stateDirectory
        self.now = now
        usage = PodUsage(ControlGroups.ofThisMachine)
    }

    package func report() async -> UsageReport {
        var last = await latest()
        var first = base(of: last)
        if first == nil {
            try? await Task.sleep(for: Self.firstPause)
            first = last
            last = await measure()
        }
        return Self.compare(first ?? last, last)
    }

    private func latest() async -> Sample {
        if let last = samples.last, ContinuousClock.now - last.time < Self.fresh { return last }
        return await measure()
    }

    private func base(of sample: Sample) -> Sample? {
        samples.last { (Self.fresh...Self.oldest).contains(sample.time - $0.time) }
    }

    /// One measurement at a time serves all who wait.
    private func measure() async -> Sample {
        if let underWay { return await underWay.value }
        let task = Task { await self.take() }
        underWay = task
        let sample = await task.value
        underWay = nil
        samples.append(sample)
        samples.removeAll { sample.time - $0.time > Self.oldest }
        if samples.count > Self.kept { samples.removeFirst(samples.count - Self.kept) }
        return sample
    }

    private func take() async -> Sample {
        let pods = (try? await store.list(ResourceTypes.pods)) ?? []
        let running = pods.filter { PodStatus($0.status).phase == "Running" }
        let measured = await usage.measure(running.map { ($0.uid, "\(stateDirectory)/pods/\($0.uid)") })
        return Sample(time: .now, wall: now(), pods: measured, machine: MachineUsage.read())
    }

    private static func compare(_ first: Sample, _ last: Sample) -> UsageReport {
        let parts = (last.time - first.time).components
        let seconds = max(Double(parts.seconds) + Double(parts.attoseconds) / 1e18, 0.001)
        var report = UsageReport(time: last.wall, seconds: seconds)
        for (uid, containers) in last.pods {
            report.pods[uid] = containers.map { container in
                let before = first.pods[uid]?.first { $0.name == container.name }
                // A container that began between the two began at 0, and so did one that was started again.
                let start = before.map {
                    $0.processorNanoseconds <= container.processorNanoseconds ? $0.processorNanoseconds : 0
                }
                let isNew = Timestamp(nanoseconds: container.startedAt) >= first.wall
                let used = container.processorNanoseconds - (start ?? (isNew ? 0 : container.processorNanoseconds))
                return UsageReport.Usage(
                    name: container.name,
                    nanocores: Int(Double(used) / seconds),
                    memoryBytes: container.memoryBytes
                )
            }
        }
        let busy = last.machine.busyNanoseconds &- first.machine.busyNanoseconds
        report.node = UsageReport.Usage(
            name: "",
            nanocores: Int(Double(busy) / seconds),
            memoryBytes: last.machine.memoryBytes
        )
        return report
    }
}

/// What the whole machine has used.
private struct MachineUsage: Sendable {
    var busyNanoseconds: UInt64 = 0
    var memoryBytes = 0

    static func read() -> MachineUsage {
        var usage = MachineUsage()
        // `cpu  user nice system idle iowait irq softirq steal`, in clock ticks.
        let first = (readFile("/proc/stat", limit: 4096) ?? "").split(separator: "\n").first ?? ""
        let ticks = first.split(separator: " ").dropFirst().prefix(8).map { UInt64($0) ?? 0 }
        if ticks.count == 8 {
            let busy = ticks.reduce(0, &+) &- ticks[3] &- ticks[4]
            usage.busyNanoseconds = busy &* (1_000_000_000 / UInt64(max(sysconf(Int32(_SC_CLK_TCK)), 1)))
        }
        var sizes: [Substring: Int] = [:]
        for line in (readFile("/proc/meminfo", limit: 4096) ?? "").split(separator: "\n") {
            let parts = line.split(whereSeparator: { $0 == " " || $0 == ":" })
            if parts.count > 1 { sizes[parts[0]] = Int(parts[1]) }
        }
        usage.memoryBytes = ((sizes["MemTotal"] ?? 0) - (sizes["MemAvailable"] ?? 0)) * 1024
        return usage
    }
}
