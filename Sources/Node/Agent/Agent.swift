package import Resources
import Sandbox
package import Store

/// Runs the pods of this machine: one `PodWorker` for each pod whose `spec.nodeName` is ours.
///
/// `run` follows the store until its task is cancelled; `shutdown` ends every pod first. After a pod's end the agent takes
/// the object out of the store.
package actor Agent {
    let store: any ObjectStore
    let settings: AgentSettings
    private let ports: AgentPorts
    let now: @Sendable () -> Timestamp
    private let groups = ControlGroups.ofThisMachine
    private let runtimes: RuntimeChooser
    var addresses: AddressPool
    private var hostPorts: PortPool
    /// Pods taken over that have no worker yet, by uid.
    var adoptions: [String: AdoptedPod] = [:]
    private var workers: [String: Entry] = [:]
    private var isShuttingDown = false
    /// Pods that have ended, whose objects the store does not let go of for the moment, and who tries again.
    private var unremoved: [String: Object] = [:]
    private var removal: Task<Void, Never>?

    private struct Entry {
        let worker: PodWorker
        let address: String
        let life: Task<Void, Never>
        /// The ends under way, by the call that asked for them.
        var ending: Task<Void, Never>?
    }

    package init(
        store: any ObjectStore,
        settings: AgentSettings,
        ports: AgentPorts = AgentPorts(),
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.store = store
        self.settings = settings
        self.ports = ports
        self.now = now
        runtimes = RuntimeChooser(
            directory: settings.stateDirectory,
            order: settings.runtimes,
            listener: ports.runtimes
        )
        addresses = settings.isolation == .none ? AddressPool(settings.loopback.pods) : AddressPool()
        hostPorts = PortPool(seed: settings.loopback.block)
    }

    /// The logs of this machine's containers.
    package nonisolated var logs: PodLogs { PodLogs(stateDirectory: settings.stateDirectory, store: store) }

    /// Follows the store until the task is cancelled. What an earlier weft left is taken over by `adopt`, which comes first.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.followPods() }
            for type in [
                ResourceTypes.images, ResourceTypes.configMaps, ResourceTypes.secrets, ResourceTypes.volumeClaims,
            ] {
                group.addTask { await self.followReferences(type) }
            }
        }
    }

    /// Ends all pods, each with its own grace, and leaves their objects in the store.
    package func shutdown() async {
        isShuttingDown = true
        removal?.cancel()
        await withDiscardingTaskGroup { group in
            for (uid, entry) in workers {
                let grace = Duration.seconds(entry.worker.spec.terminationGracePeriodSeconds)
                group.addTask {
                    await entry.worker.end(grace: grace, isForced: false, isLast: true)
                    await self.forget(uid)
                }
            }
        }
    }

    /// Kills all pods at once; a `shutdown` under way ends by it.
    package func hurry() async {
        isShuttingDown = true
        removal?.cancel()
        await withDiscardingTaskGroup { group in
            for (uid, entry) in workers {
                group.addTask {
                    await entry.worker.end(grace: .zero, isForced: true, isLast: true)
                    await self.forget(uid)
                }
            }
        }
    }

    /// How many pods have a worker.
    package var podCount: Int { workers.count }

    func worker(of uid: String) -> PodWorker? { workers[uid]?.worker }

    // MARK: The store

    private func followPods() async {
        var options = WatchOptions()
        options.marksInitialEnd = true
        while !Task.isCancelled {
            do {
                var seen: Set<String>? = []
                for try await event in try await store.watch(ResourceTypes.pods, namespace: nil, options) {
                    seen?.insert(event.object.uid)
                    if event.kind == .bookmark {
                        if let all = seen { endPods(except: all) }
                        seen = nil
                        await dropAdoptions()
                    } else {
                        await take(event)
                    }
                }
            } catch {}
            // The watch fell behind or the store is closing: from the start, after a breath.
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func followReferences(_ type: ResourceType) async {
        while !Task.isCancelled {
            if let events = try? await store.watch(type) {
                do { for try await _ in events { await pokeAll() } } catch {}
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func pokeAll() async {
        for entry in workers.values { await entry.worker.poke() }
    }

    private func take(_ event: WatchEvent) async {
        let pod = event.object
        guard PodSpec(pod.spec).nodeName == settings.nodeName else { return }
        guard event.kind != .deleted else { return end(pod.uid, grace: .zero, isForced: true) }
        if let entry = workers[pod.uid] {
            await entry.worker.update(pod)
            if pod.isDeleting { end(pod.uid, grace: grace(of: pod), isForced: pod.deletionGracePeriodSeconds == 0) }
        } else if pod.isDeleting, adoptions[pod.uid] == nil {
            // Nothing of it runs here: it only has to go.
            await remove(pod)
        } else if !Self.isOver(pod), !isShuttingDown {
            start(pod)
            if pod.isDeleting { end(pod.uid, grace: grace(of: pod), isForced: pod.deletionGracePeriodSeconds == 0) }
        }
    }

    private func grace(of pod: Object) -> Duration {
        .seconds(pod.deletionGracePeriodSeconds ?? PodSpec(pod.spec).terminationGracePeriodSeconds)
    }

    private func endPods(except present: Set<String>) {
        for uid in workers.keys where !present.contains(uid) { end(uid, grace: .zero, isForced: true) }
    }

    // MARK: Workers

    private func start(_ pod: Object) {
        let adopted = adoptions.removeValue(forKey: pod.uid)
        guard let address = adopted?.sandbox.spec.address ?? addresses.take() else {
            ports.events?.record(pod, isWarning: true, reason: "OutOfAddresses", message: "no pod address is free")
            return
        }
        let worker = PodWorker(
            pod: pod,
            address: address,
            adopted: adopted,
            store: store,
            settings: settings,
            ports: ports,
            groups: groups,
            runtimes: runtimes,
            plain: makePlain(pod, address),
            now: now
        )
        workers[pod.uid] = Entry(worker: worker, address: address, life: Task { await worker.run() })
    }

    func makePlain(_ pod: Object, _ address: String) -> PlainPod? {
        guard settings.isolation == .none else { return nil }
        let directory = PodWorker.directory(of: pod.uid, settings)
        return PlainPod(PodSpec(pod.spec), address: address, directory: directory) { hostPorts.take() }
    }

    /// Ends a pod and takes it out of the store; while that goes on, a further call may only shorten the grace.
    private func end(_ uid: String, grace: Duration, isForced: Bool) {
        guard let entry = workers[uid] else { return }
        let before = entry.ending
        workers[uid]?.ending = Task {
            await entry.worker.end(grace: grace, isForced: isForced)
            await before?.value
            await self.finish(uid)
        }
    }

    private func finish(_ uid: String) async {
        guard let entry = workers[uid] else { return }
        await forget(uid)
        if !isShuttingDown { await remove(await entry.worker.pod) }
    }

    /// Lets go of a pod that has ended: its directory, its address, its worker.
    private func forget(_ uid: String) async {
        guard let entry = workers.removeValue(forKey: uid) else { return }
        await entry.life.value
        await groups.remove(pod: uid)
        await ports.images?.release(pod: uid)
        try? Leftovers.remove(entry.worker.directory)
        addresses.give(back: entry.address)
        hostPorts.give(back: await entry.worker.plain?.ports ?? [])
    }

    /// Takes the object of a pod that has ended out of the store, now or as soon as the store can (its disk may be full).
    private func remove(_ pod: Object) async {
        guard let error = await tryRemoval(pod) else { return }
        ports.events?.record(pod, isWarning: true, reason: "FailedDelete", message: error.message)
        unremoved[pod.uid] = pod
        if removal == nil { removal = Task { await self.removeRest() } }
    }

    private func removeRest() async {
        while !unremoved.isEmpty, !isShuttingDown {
            try? await Task.sleep(for: Self.removalPause)
            for (uid, pod) in unremoved where await tryRemoval(pod) == nil { unremoved[uid] = nil }
        }
        removal = nil
    }

    private static let removalPause = Duration.seconds(1)

    /// - Returns: why the object is still there; nil when it is gone.
    private func tryRemoval(_ pod: Object) async -> APIError? {
        let key = ObjectKey(ResourceTypes.pods, namespace: pod.namespace, name: pod.name)
        do throws(APIError) {
            _ = try await store.delete(key, DeleteOptions(gracePeriodSeconds: 0, uid: pod.uid))
            return nil
        } catch { return error.reason == .notFound || error.reason == .conflict ? nil : error }
    }
}
