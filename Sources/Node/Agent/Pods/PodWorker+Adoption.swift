import Resources
import Sandbox
import Store
import Wire

// A pod that an earlier weft made: its containers run on, and what happened meanwhile is taken as if it were seen now.
extension PodWorker {
    /// Goes on with a pod that was taken over, until its containers have ended for good or the pod init is gone.
    func resume(_ adopted: AdoptedPod) async {
        // Volumes made from objects get a version that none of the earlier ones had.
        volumes.serial = max(volumes.serial, Int(now().seconds))
        status.hasSandbox = true
        status.address = address
        let process = adopted.sandbox.process.pid
        if let dns = ports.dns, plain == nil, await !dns.isServing(uid: uid, initPID: process),
            let sockets = try? adopted.sandbox.bindDNS()
        {
            await dns.podStarted(uid: uid, initPID: process, udp: sockets.udp, tcp: sockets.tcp)
        }
        publish()
        await runContainers([:])
        isAdopted = false
    }

    /// A run that began under an earlier weft: stays with it, or records its end.
    ///
    /// - Returns: how long the container ran, and how long ago that ended.
    func goOn(
        _ container: Container,
        _ image: ResolvedImage?,
        _ run: ContainerRun,
        _ sandbox: PodSandbox,
        _ role: Role
    ) async -> (length: Duration, ago: Duration) {
        let name = container.name
        switch run.state {
        case .starting, .running:
            slots[name]?.memoryKills = groups.memoryKills(pod: uid, container: name)
            if record(name)?.isRunning != true { entered(container, run) }
            let program = await adoptedProgram(container, image, run)
            await accompany(container, program, sandbox, role, isNew: false)
        case .exited:
            slots[name]?.exit = run
            if record(name)?.isRunning != true {
                change(name) { $0.enter(.running(startedAt: Timestamp(nanoseconds: run.startedAt))) }
            }
            await recordExit(container, sandbox)
        case .failed:
            if record(name)?.termination == nil {
                failedToStart(container, SandboxError(.startFailed, "the program could not be started"))
            }
        }
        let time = now()
        let wall = Int64(time.seconds) * 1_000_000_000 + Int64(time.nanoseconds)
        let end = slots[name]?.exit?.finishedAt ?? (run.finishedAt > 0 ? run.finishedAt : wall)
        let start = run.startedAt > 0 ? run.startedAt : end
        return (.nanoseconds(max(0, end - start)), .nanoseconds(max(0, wall - end)))
    }

    /// Exec probes and hooks need the container's environment; when it cannot be made any more they get an empty one.
    private func adoptedProgram(_ container: Container, _ image: ResolvedImage?, _ run: ContainerRun) async
        -> ProgramSpec
    {
        var known = image
        if known == nil { known = await knownImage(container) }
        if let known, let program = try? await makeProgram(container, known) { return program }
        var program = ProgramSpec(
            name: container.name,
            attempt: run.attempt,
            arguments: [],
            environment: [],
            directory: container.workingDir ?? "/"
        )
        // Never more than the container itself may do.
        (try? ContainerPrivileges(container, in: spec))?.apply(to: &program)
        return program
    }

    private func knownImage(_ container: Container) async -> ResolvedImage? {
        let known = (try? await store.list(ResourceTypes.images)) ?? []
        if let image = try? ImageResolution.resolve(container.image, among: known) { return image }
        guard let images = ports.images, plain == nil else { return nil }
        // The very image that runs; its name may mean another one by now.
        for name in [record(container.name)?.imageID ?? "", container.image] where !name.isEmpty {
            if let image = try? await images.find(name) {
                await images.retain(image, pod: uid)
                return ResolvedImage(container.image, image)
            }
        }
        return nil
    }
}

extension PodStatusBuilder {
    /// A pod that runs on: the records as the stored status has them, corrected by what the pod init knows.
    ///
    /// - Returns: what the worker keeps of each container.
    mutating func restore(_ old: PodStatus, _ runs: [ContainerRun]) -> [String: ContainerSlot] {
        // Else the pod would be unready for a moment, and its traffic refused.
        isInitialized = old.conditions.first(ofType: "Initialized")?.isTrue == true
        Self.restore(&initContainers, old.initContainerStatuses, runs)
        Self.restore(&containers, old.containerStatuses, runs)
        var slots: [String: ContainerSlot] = [:]
        for record in initContainers + containers {
            let run = runs.first { $0.name == record.name }
            var slot = ContainerSlot(attempt: run?.attempt ?? record.restartCount)
            slot.backOff = RestartBackOff(restarts: record.restartCount)
            slot.adopted = run
            slots[record.name] = slot
        }
        return slots
    }

    private static func restore(_ records: inout [ContainerRecord], _ old: [ContainerStatus], _ runs: [ContainerRun]) {
        for index in records.indices {
            let name = records[index].name
            if let status = old.first(where: { $0.name == name }) { records[index].restore(status) }
            if let run = runs.first(where: { $0.name == name }) { records[index].restartCount = run.attempt }
        }
    }

    /// A pod that begins. One that ran under an earlier weft begins again: that is a restart of each of its containers.
    mutating func begin(after old: PodStatus) -> [String: ContainerSlot] {
        var slots: [String: ContainerSlot] = [:]
        for record in initContainers { slots[record.name] = ContainerSlot() }
        for index in containers.indices {
            var restarts = 0
            if let before = old.containerStatuses.first(where: { $0.name == containers[index].name }) {
                if case .terminated(let ended)? = before.lastState {
                    containers[index].lastTermination = ContainerRecord.Termination(ended)
                }
                let hasRun = before.restartCount > 0 || before.lastState != nil
                if case .waiting? = before.state, !hasRun { restarts = 0 } else { restarts = before.restartCount + 1 }
            }
            containers[index].restartCount = restarts
            slots[containers[index].name] = ContainerSlot(attempt: restarts)
        }
        return slots
    }
}

extension ContainerRecord {
    /// Takes over what a stored status says.
    mutating func restore(_ status: ContainerStatus) {
        restartCount = status.restartCount
        imageID = status.value.text("imageID") ?? ""
        if case .terminated(let ended)? = status.lastState { lastTermination = Termination(ended) }
        switch status.state {
        case .running(let startedAt):
            guard let startedAt else { return }
            enter(.running(startedAt: startedAt))
            isStarted = status.started
            isProbedReady = status.ready
        case .terminated(let ended): state = .terminated(Termination(ended))
        case .waiting(let reason, let message): state = .waiting(reason: reason, message: message)
        case nil: return
        }
    }
}

extension ContainerRecord.Termination {
    init(_ stored: ContainerStatus.Termination) {
        self.init(
            exitCode: stored.exitCode,
            signal: stored.signal,
            reason: stored.reason,
            message: stored.message,
            startedAt: stored.startedAt,
            finishedAt: stored.finishedAt ?? stored.startedAt ?? Timestamp(seconds: 0, nanoseconds: 0)
        )
    }
}
