import Resources
import Sandbox
import Store
import Wire

/// The life of one pod, from its first sight to its removal.
///
/// One actor per pod. `run` is its life; `update`, `poke` and `end` come from the agent. Everything that may change wakes
/// whoever waits (`changed`), who then looks again: no state is carried in a message.
actor PodWorker {
    let key: ObjectKey
    let uid: String
    let store: any ObjectStore
    let settings: AgentSettings
    let ports: AgentPorts
    let now: @Sendable () -> Timestamp
    let groups: ControlGroups
    let runtimes: RuntimeChooser

    var pod: Object
    let spec: PodSpec
    var status: PodStatusBuilder
    var slots: [String: ContainerSlot] = [:]
    /// What each probe found last.
    var probeReports: [ProbeReport.Place: ProbeReport] = [:]
    var sandbox: PodSandbox?
    var isSandboxLost = false
    let address: String
    var volumes = VolumeState()
    /// Without isolation: what stands for a network of its own.
    var plain: PlainPod?

    /// Containers that ran under an earlier weft are gone on with, even when the pod has to end.
    var isAdopted: Bool
    private var adopted: AdoptedPod?

    /// The pod has to end, for whatever reason.
    var isStopping = false
    /// The proxies have let go of the pod: containers may be told to end.
    var hasLeftTraffic = false
    /// When a stopping pod's containers are killed.
    var killDeadline: ContinuousClock.Instant?
    var hasFinishedLife = false
    /// Nothing but sidecars runs any more.
    var mainsHaveEnded = false

    var wantedStatus = 1
    var writtenStatus = 0
    var isGoneFromStore = false
    /// A status that the store refuses is offered again until it is taken.
    var insistsOnStatus = true

    /// Counts the agent's hints that something referred to may have changed.
    private var pokes = 0
    private var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    private var nextWaiter = 0

    init(
        pod: Object,
        address: String,
        adopted: AdoptedPod? = nil,
        store: any ObjectStore,
        settings: AgentSettings,
        ports: AgentPorts,
        groups: ControlGroups,
        runtimes: RuntimeChooser,
        plain: PlainPod? = nil,
        now: @escaping @Sendable () -> Timestamp
    ) {
        key = ObjectKey(ResourceTypes.pods, namespace: pod.namespace, name: pod.name)
        uid = pod.uid
        self.pod = pod
        self.address = address
        self.adopted = adopted
        isAdopted = adopted != nil
        sandbox = adopted?.sandbox
        self.store = store
        self.settings = settings
        self.ports = ports
        self.groups = groups
        self.runtimes = runtimes
        self.plain = plain
        self.now = now
        spec = PodSpec(pod.spec)
        let old = PodStatus(pod.status)
        var builder = PodStatusBuilder(
            spec: spec,
            initContainers: spec.initContainers.map(ContainerRecord.init),
            containers: spec.containers.map(ContainerRecord.init)
        )
        builder.hostAddress = settings.hostAddress
        builder.startTime = old.startTime ?? now()
        slots = adopted.map { builder.restore(old, $0.runs) } ?? builder.begin(after: old)
        status = builder
    }

    /// What has to be gone on with, once.
    func takeAdopted() -> AdoptedPod? {
        defer { adopted = nil }
        return adopted
    }

    nonisolated var directory: String { Self.directory(of: uid, settings) }

    static func directory(of uid: String, _ settings: AgentSettings) -> String {
        "\(settings.stateDirectory)/pods/\(uid)"
    }

    // MARK: From the agent

    /// The pod as it is stored now.
    func update(_ object: Object) {
        pod = object
        wake()
    }

    /// Something that the pod refers to may have changed.
    func poke() async {
        pokes += 1
        await refreshVolumes()
        wake()
    }

    /// Ends the pod: out of traffic, hooks, SIGTERM, SIGKILL after `grace`, nothing left. A second call may only shorten
    /// the grace. When it `isLast`, the store closes after it: a status that the store does not take then is let go.
    func end(grace: Duration, isForced: Bool, isLast: Bool = false) async {
        if isLast { insistsOnStatus = false }
        let deadline = ContinuousClock.now + grace
        killDeadline = min(killDeadline ?? deadline, deadline)
        let isFirst = !isStopping
        isStopping = true
        if isForced {
            hasLeftTraffic = true
            await sandbox?.kill()
        }
        wake()
        if isFirst, !isForced { await leaveTraffic() }
        while !hasFinishedLife { await changed() }
    }

    private func leaveTraffic() async {
        if let gate = ports.gate, status.containers.contains(where: \.isRunning), !hasLeftTraffic {
            let (uid, patience) = (uid, settings.trafficPatience)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await gate.podLeavesTraffic(uid: uid) }
                group.addTask { try? await Task.sleep(for: patience) }
                await group.next()
                group.cancelAll()
            }
        }
        hasLeftTraffic = true
        wake()
    }

    // MARK: Waiting

    /// Returns when anything of the pod may have changed, or at the deadline; the caller looks again.
    func changed(until deadline: ContinuousClock.Instant? = nil) async {
        let id = nextWaiter
        nextWaiter += 1
        let timer = deadline.map { deadline in
            Task {
                try? await Task.sleep(until: deadline)
                self.wake(id)
            }
        }
        await withCheckedContinuation { waiters[id] = $0 }
        timer?.cancel()
    }

    /// Waits until something that the pod refers to may have changed, the pod has to end, or the deadline.
    func awaitPoke(until deadline: ContinuousClock.Instant) async {
        let before = pokes
        while pokes == before, !isStopping, !isSandboxLost, ContinuousClock.now < deadline {
            await changed(until: deadline)
        }
    }

    private func wake(_ id: Int) { waiters.removeValue(forKey: id)?.resume() }

    func wake() {
        let all = waiters
        waiters = [:]
        for waiter in all.values { waiter.resume() }
    }

    // MARK: Records

    func record(_ name: String) -> ContainerRecord? {
        (status.containers + status.initContainers).first { $0.name == name }
    }

    func change(_ name: String, _ change: (inout ContainerRecord) -> Void) {
        if let index = status.containers.firstIndex(where: { $0.name == name }) {
            change(&status.containers[index])
        } else if let index = status.initContainers.firstIndex(where: { $0.name == name }) {
            change(&status.initContainers[index])
        }
    }

    func event(_ reason: String, _ message: String, isWarning: Bool = false) {
        ports.events?.record(pod, isWarning: isWarning, reason: reason, message: message)
    }
}

/// What the worker keeps of one container beside its record.
struct ContainerSlot {
    /// Counts the starts: the log's number, and the restart count.
    var attempt = 0
    var backOff = RestartBackOff()
    /// A run that began under an earlier weft and was not gone on with yet.
    var adopted: ContainerRun?
    /// The end of the run at hand, once the pod init has told it.
    var exit: ContainerRun?
    /// Processes that the kernel had killed for want of memory before this run.
    var memoryKills = 0
    /// Set when a probe or a hook wants the container restarted.
    var restartReason: String?
    var restartGrace: Duration?
    /// What asks its program to end.
    var stopSignal: Int32 = 15
}
