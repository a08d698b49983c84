import Resources
import Sandbox
import Store

// The life of a pod: images, volumes, sandbox, containers, the end.
extension PodWorker {
    /// Waits between attempts to make a sandbox.
    private static let sandboxPauses: [Duration] = [.seconds(1), .seconds(2), .seconds(5), .seconds(10)]

    /// Runs the pod until it has finished or was ended, and clears everything away but its logs.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.writeStatus() }
            if !limitedPlaces.isEmpty { group.addTask { await self.watchVolumeSizes() } }
            if let limit = spec.activeDeadlineSeconds { group.addTask { await self.keepDeadline(.seconds(limit)) } }
            await live()
            await clearSandbox()
            publish()
            await flush()
            hasFinishedLife = true
            wake()
        }
    }

    private func live() async {
        if !isAdopted { publish() }
        while !isStopping || isAdopted, !status.isFinished {
            if let adopted = takeAdopted() {
                await resume(adopted)
            } else {
                guard let images = await awaitImages(spec.initContainers + spec.containers), await awaitVolumes(),
                    await awaitSandbox(images)
                else { return }
                await runContainers(images)
            }
            // The sandbox of a pod that has finished is gone as it should be.
            guard isSandboxLost, !isStopping, !status.isFinished else { return }
            await clearSandbox()
            event("SandboxChanged", "The pod's init ended: the pod is made again", isWarning: true)
        }
    }

    /// A pod that runs longer than it may fails.
    private func keepDeadline(_ limit: Duration) async {
        let deadline = ContinuousClock.now + limit
        while !hasFinishedLife, ContinuousClock.now < deadline { await changed(until: deadline) }
        guard !hasFinishedLife, !isStopping else { return }
        failWhole("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
    }

    /// Ends the pod as failed, for a reason that is none of its containers'.
    func failWhole(_ reason: String, _ message: String) {
        status.failure = (reason, message)
        event(reason, message, isWarning: true)
        killDeadline = .now + .seconds(spec.terminationGracePeriodSeconds)
        isStopping = true
        hasLeftTraffic = true
        publish()
        wake()
    }

    // MARK: The sandbox

    private func awaitSandbox(_ images: [String: ResolvedImage]) async -> Bool {
        var attempt = 0
        while !isStopping {
            do throws(SandboxError) {
                let made = try await PodSandbox.create(sandboxSpec(images))
                sandbox = made
                isSandboxLost = false
                try fillMemory()
                try await introduce(made)
                return true
            } catch {
                await clearSandbox()
                event("FailedCreatePodSandBox", error.message, isWarning: true)
                for container in spec.containers {
                    change(container.name) { $0.enter(.waiting(reason: "ContainerCreating", message: error.message)) }
                }
                publish()
                let pause = Self.sandboxPauses[min(attempt, Self.sandboxPauses.count - 1)]
                attempt += 1
                let deadline = ContinuousClock.now + pause
                while !isStopping, ContinuousClock.now < deadline { await changed(until: deadline) }
            }
        }
        return false
    }

    /// Makes the new pod known: its name server, its place, its address.
    private func introduce(_ made: PodSandbox) async throws(SandboxError) {
        let initPID = made.process.pid
        if let dns = ports.dns, plain == nil, await !dns.isServing(uid: uid, initPID: initPID) {
            let sockets = try made.bindDNS()
            await dns.podStarted(uid: uid, initPID: initPID, udp: sockets.udp, tcp: sockets.tcp)
        }
        await ports.places?.podPlaced(place(of: made))
        status.hasSandbox = true
        status.address = address
        publish()
    }

    func place(of sandbox: PodSandbox) -> PodPlace {
        PodPlace(
            uid: uid,
            namespace: pod.namespace,
            name: pod.name,
            address: address,
            initPID: sandbox.process.pid,
            networkNamespacePath: sandbox.networkNamespacePath,
            brokerPath: sandbox.brokerPath,
            sockets: plain?.sockets
        )
    }

    private func sandboxSpec(_ images: [String: ResolvedImage]) -> SandboxSpec {
        var wanted = SandboxSpec(
            namespace: pod.namespace,
            name: pod.name,
            uid: uid,
            directory: directory,
            hiddenDirectory: settings.stateDirectory,
            address: address
        )
        wanted.isolation = settings.isolation
        wanted.hostname = PodFiles.hostname(of: pod, spec, settings)
        wanted.dnsAddress = settings.dnsAddress
        wanted.proxyPort = settings.proxyPort
        wanted.trees = Set(images.values.filter { $0.content == nil }.map(\.directory)).sorted()
        if plain == nil, let layers = ports.images?.layersDirectory {
            wanted.layersDirectory = layers
            wanted.writesDirectory = "\(directory)/writes"
        }
        wanted.volumes = volumes.sources
        for container in spec.initContainers + spec.containers {
            wanted.groups[container.name] = groups.make(pod: uid, container: container.name, Self.limits(container))
        }
        wanted.files = PodFiles.files(pod: pod, spec: spec, address: address, settings: settings)
        return wanted
    }

    private static func limits(_ container: Container) -> ContainerLimits {
        var limits = ContainerLimits()
        let needs = container.resources
        limits.memoryBytes = needs.limit("memory")?.rounded
        limits.processorLimit = needs.limit("cpu")?.milli
        limits.processorShare = (needs.request("cpu") ?? needs.limit("cpu"))?.milli
        return limits
    }

    /// Ends the sandbox, if there is one, and makes it unknown again.
    func clearSandbox() async {
        guard let old = sandbox else { return }
        await old.kill()
        sandbox = nil
        await ports.dns?.podStopped(uid: uid)
        await ports.places?.podGone(uid: uid)
        status.hasSandbox = false
    }

    // MARK: Containers

    /// Runs init containers one after the other, then all others at once, until they have ended for good.
    /// An image that is missing in `images` is looked for when its container has to start.
    func runContainers(_ images: [String: ResolvedImage]) async {
        guard let sandbox else { return }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.follow(sandbox) }
            let sidecars = spec.initContainers.filter { $0.restartPolicy == "Always" }
            for container in spec.initContainers where (!isStopping || isAdopted) && !isSandboxLost {
                let image = images[container.name]
                if container.restartPolicy == "Always" {
                    group.addTask { await self.runContainer(container, image, .sidecar) }
                    await awaitStarted(container.name)
                } else if record(container.name)?.termination?.exitCode != 0 || !status.isInitialized {
                    await runContainer(container, image, .initializer)
                    if record(container.name)?.termination?.exitCode != 0 { break }
                }
            }
            let ordinary = spec.initContainers.filter { $0.restartPolicy != "Always" }
            if ordinary.allSatisfy({ record($0.name)?.termination?.exitCode == 0 }), !isStopping || isAdopted,
                !isSandboxLost
            {
                status.isInitialized = true
                publish()
                await withDiscardingTaskGroup { mains in
                    for container in spec.containers {
                        let image = images[container.name]
                        mains.addTask { await self.runContainer(container, image, .ordinary) }
                    }
                }
            }
            // Sidecars end after the others: nothing is left for them to serve.
            if !isSandboxLost, !sidecars.isEmpty { await endSidecars() }
            await sandbox.end()
        }
    }

    private func endSidecars() async {
        if !isStopping { killDeadline = .now + .seconds(spec.terminationGracePeriodSeconds) }
        mainsHaveEnded = true
        wake()
        let names = Set(spec.initContainers.filter { $0.restartPolicy == "Always" }.map(\.name))
        while !isSandboxLost, status.initContainers.contains(where: { names.contains($0.name) && $0.isRunning }) {
            await changed(until: .now + .seconds(1))
        }
    }

    private func awaitStarted(_ name: String) async {
        while !isStopping, !isSandboxLost, !(record(name).map { $0.isRunning && $0.isStarted } ?? true) {
            await changed()
        }
    }

    /// Takes in what the pod init tells, until the pod has ended.
    private func follow(_ sandbox: PodSandbox) async {
        for await event in sandbox.events {
            switch event {
            case .exited(let run):
                if slots[run.name]?.attempt == run.attempt { slots[run.name]?.exit = run }
            case .ended: isSandboxLost = true
            }
            wake()
        }
        isSandboxLost = true
        wake()
    }
}
