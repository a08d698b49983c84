import Glibc
import Resources
import Sandbox

// A pod without isolation: plain processes that share the machine's network, found by where they listen.
extension PodWorker {
    /// Looks where a container's processes listen until every declared port has its place; tells the proxies each time.
    /// A program that never listens is looked at ever less often.
    ///
    /// - Parameter isNew: nobody has looked at this run before.
    func followSockets(isNew: Bool) async {
        guard plain != nil else { return }
        if isNew { await take([]) }
        var pause = Duration.milliseconds(10)
        let start = ContinuousClock.now
        while !Task.isCancelled, !isSandboxLost, let sandbox {
            guard let found = try? await sandbox.listeners(), !Task.isCancelled else { return }
            await take(found.map { PodSockets.Place(address: $0.address, port: $0.port) })
            if plain?.sockets.isComplete != false { return }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, ContinuousClock.now - start < .seconds(60) ? .milliseconds(250) : .seconds(2))
        }
    }

    private func take(_ listeners: [PodSockets.Place]) async {
        guard plain?.sockets.listeners != listeners else { return }
        plain?.sockets.listeners = listeners
        wake()
        if let sandbox { await ports.places?.podPlaced(place(of: sandbox)) }
    }

    /// Where a port of the pod is reached: inside its own network, or at what stands for it on the machine's.
    func place(ofPort port: Int) -> PodSockets.Place? {
        guard let plain else { return PodSockets.Place(address: address, port: port) }
        return plain.sockets.place(of: port)
    }

    /// What a container of a pod without isolation is told beside the rest.
    func plainEnvironment(of container: Container) -> [(String, String)] {
        guard let plain else { return [] }
        let own = getenv("HOME").map { String(cString: $0) } ?? "/"
        let places = volumes.sources.compactMap { volume -> (name: String, path: String)? in
            guard case .path(let path) = volume.source else { return nil }
            return (volume.name, path)
        }
        return plain.environment(of: container, user: own, volumes: places)
    }

    /// Nothing can be mounted: says for each mount where the volume is instead.
    func explainMounts(of container: Container) {
        for mount in container.volumeMounts {
            let source = volumes.sources.first { $0.name == mount.name }?.source
            if case .path(mount.mountPath)? = source { continue }
            event(
                "MountIgnored",
                "containers[\(container.name)].volumeMounts[\(mount.name)]: without isolation nothing is mounted at "
                    + "\(mount.mountPath); the volume is the directory $WEFT_VOLUME_\(PlainPod.variable(mount.name))",
                isWarning: true
            )
        }
    }

    /// A program that ended before it listened may have met another one on its port: says once what to do.
    func hintAtPort(of container: Container) {
        guard let plain, !plain.hasHinted, !isStopping, !plain.sockets.isComplete, let port = container.ports.first,
            let given = plain.sockets.given[port.containerPort]
        else { return }
        self.plain?.hasHinted = true
        event(
            "PortShared",
            "Without isolation all pods share the machine's ports: if port \(port.containerPort) was taken, have the program "
                + "listen on $PORT (\(given)), or on $POD_IP (\(address)) alone",
            isWarning: true
        )
    }
}
