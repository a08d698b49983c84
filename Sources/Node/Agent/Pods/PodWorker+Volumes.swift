import CWeft
import Glibc
import Resources
import Sandbox
import Store
import Wire

/// The pod's volumes as they were prepared.
struct VolumeState {
    /// What the sandbox binds.
    var sources: [SandboxVolume] = []
    /// What was written last to each volume that is made from objects.
    var contents: [String: VolumeContent] = [:]
    var serial = 1
    /// What the pod asks for and does not get was told.
    var hasToldNotes = false
}

// Volumes, and the objects that a pod refers to.
extension PodWorker {
    /// The builder with every object that these containers and the pod's volumes name.
    func environment(for containers: [Container]) async -> EnvironmentBuilder {
        var configMaps: Set<String> = []
        var secrets: Set<String> = []
        for container in containers {
            for source in container.envFrom {
                if let name = source.configMapName { configMaps.insert(name) }
                if let name = source.secretName { secrets.insert(name) }
            }
            for variable in container.env {
                switch variable.source {
                case .configMapKey(let name, _, _): configMaps.insert(name)
                case .secretKey(let name, _, _): secrets.insert(name)
                default: break
                }
            }
        }
        var services = (try? await store.list(ResourceTypes.services, namespace: pod.namespace)) ?? []
        if pod.namespace != "default", let api = await find(ResourceTypes.services, "kubernetes", "default") {
            services.append(api)
        }
        return EnvironmentBuilder(
            pod: pod,
            podAddress: address,
            hostAddress: settings.hostAddress,
            nodeName: settings.nodeName,
            configMaps: await find(ResourceTypes.configMaps, configMaps),
            secrets: await find(ResourceTypes.secrets, secrets),
            services: services.map(settings.viewOfService)
        )
    }

    private func find(_ type: ResourceType, _ name: String, _ namespace: String? = nil) async -> Object? {
        try? await store.find(ObjectKey(type, namespace: namespace ?? pod.namespace, name: name))
    }

    private func find(_ type: ResourceType, _ names: Set<String>) async -> [String: Object] {
        var found: [String: Object] = [:]
        for name in names { found[name] = await find(type, name) }
        return found
    }

    /// Prepares all volumes; waits for objects that are missing. False when the pod ends, or can never have its volumes.
    func awaitVolumes() async -> Bool {
        tellNotes()
        while !isStopping {
            do {
                volumes.sources = [messages]
                for volume in spec.volumes { volumes.sources.append(try await prepare(volume)) }
                return true
            } catch let problem as UnsupportedVolume {
                status.failure = ("UnsupportedVolume", problem.message)
                event("FailedMount", problem.message, isWarning: true)
                publish()
                return false
            } catch {
                event("FailedMount", "\(error)", isWarning: true)
                for container in spec.containers {
                    change(container.name) { $0.enter(.waiting(reason: "ContainerCreating", message: "\(error)")) }
                }
                publish()
                await awaitPoke(until: .now + .seconds(10))
            }
        }
        return false
    }

    private func tellNotes() {
        guard !volumes.hasToldNotes else { return }
        volumes.hasToldNotes = true
        let controllers = Set(groups.controllers.keys)
        for note in PodNotes.of(spec, controllers: controllers, mapsAllUsers: geteuid() == 0) {
            event(note.reason, note.message, isWarning: true)
        }
    }

    /// The group that volumes are given to; an ordinary user has no other than its own to give.
    private var sharedGroup: Int? { geteuid() == 0 ? spec.securityContext.fsGroup : nil }

    private func giveToGroup(_ path: String) throws {
        guard let group = sharedGroup else { return }
        let onlyTop: Int32 = spec.securityContext.fsGroupChangePolicy == "OnRootMismatch" ? 1 : 0
        let error = cweft_give_group(path, gid_t(clamping: group), onlyTop)
        guard error != 0 else { return }
        throw EnvironmentBuilder.Missing(
            message: "fsGroup \(group): cannot change \(path): \(String(cString: strerror(error)))"
        )
    }

    private struct UnsupportedVolume: Error {
        let message: String
    }

    private func prepare(_ volume: Volume) async throws -> SandboxVolume {
        let place = "\(directory)/volumes/\(volume.name)"
        switch volume.source {
        case .emptyDir(let isMemory, let limit):
            if isMemory, plain == nil {
                let bytes = limit.flatMap { Quantity($0)?.rounded } ?? memoryOfContainers
                let group = sharedGroup ?? 0
                return SandboxVolume(
                    name: volume.name,
                    source: .memory(byteLimit: bytes, mode: group == 0 ? 0o777 : 0o2777, group: group)
                )
            }
            if access(place, F_OK) != 0 {
                try makeDirectory(place)
                chmod(place, 0o777)
                try giveToGroup(place)
            }
            return SandboxVolume(name: volume.name, source: .path(place))
        case .hostPath(let path, let type):
            try prepareHostPath(path, type, volume.name)
            return SandboxVolume(name: volume.name, source: .path(path))
        case .claim(let name, _):
            let place = try await directory(ofClaim: name, volume.name)
            try giveToGroup(place)
            return SandboxVolume(name: volume.name, source: .path(place))
        case .other(let source):
            throw UnsupportedVolume(
                message:
                    "volume \"\(volume.name)\": \(source) is not supported; use emptyDir, hostPath, "
                    + "persistentVolumeClaim, configMap, secret, downwardAPI or projected"
            )
        case .configMap, .secret, .downwardAPI, .projected:
            return try await prepareFiles(volume, place)
        }
    }

    /// A volume made from objects. What holds Secrets lies in the pod's own memory, which is there with the sandbox.
    private func prepareFiles(_ volume: Volume, _ place: String) async throws -> SandboxVolume {
        let content = try await self.content(of: volume)
        let isNew = volumes.contents[volume.name] != content
        volumes.contents[volume.name] = content
        guard volume.holdsSecrets, plain == nil else {
            if isNew { try write(content, to: place) }
            return SandboxVolume(name: volume.name, source: .path(place))
        }
        if isNew, sandbox != nil { try write(content, to: memory(of: volume.name)) }
        return SandboxVolume(name: volume.name, source: .memory(byteLimit: 64 << 20, mode: 0o755, group: 0))
    }

    private func write(_ content: VolumeContent, to place: String) throws(SandboxError) {
        volumes.serial += 1
        try VolumeWriter.write(content, to: place, serial: volumes.serial, group: sharedGroup)
    }

    /// Where the pod's memory can be reached from outside: through its init, which sees every volume.
    func memory(of volume: String) -> String { "/proc/\(sandbox?.process.pid ?? 0)/root/.weft/\(volume)" }

    /// Fills the memory of a pod that has just been made: Secrets, and room for last words. Without isolation it has none.
    func fillMemory() throws(SandboxError) {
        guard plain == nil else { return }
        try makeMessageFiles()
        for volume in spec.volumes where volume.holdsSecrets {
            if let content = volumes.contents[volume.name] { try write(content, to: memory(of: volume.name)) }
        }
    }

    /// What all containers together may have, when each has a limit: memory volumes count towards it.
    private var memoryOfContainers: Int? {
        let limits = spec.containers.map { $0.resources.limit("memory")?.rounded }
        guard limits.allSatisfy({ $0 != nil }) else { return nil }
        return limits.reduce(0) { $0 + ($1 ?? 0) }
    }

    /// The directory of a claim that is bound.
    private func directory(ofClaim name: String, _ volume: String) async throws -> String {
        guard let object = await find(ResourceTypes.volumeClaims, name) else {
            throw EnvironmentBuilder.Missing(message: "persistentvolumeclaim \"\(name)\" not found")
        }
        guard !object.isDeleting else {
            throw EnvironmentBuilder.Missing(message: "persistentvolumeclaim \"\(name)\" is being deleted")
        }
        let claim = VolumeClaim(object)
        guard claim.isBound else {
            throw EnvironmentBuilder.Missing(
                message: "persistentvolumeclaim \"\(name)\" is \(claim.phase), not Bound: its events say why"
            )
        }
        guard !claim.volumeName.isEmpty else { return "\(settings.stateDirectory)/volumes/\(pod.namespace)/\(name)" }
        let key = ObjectKey(ResourceTypes.volumes, name: claim.volumeName)
        guard let found = try? await store.find(key), let place = PersistentVolume(found).directory else {
            throw EnvironmentBuilder.Missing(message: "PersistentVolume \"\(claim.volumeName)\" has no directory here")
        }
        try prepareHostPath(place.path, place.type, volume)
        return place.path
    }

    private func prepareHostPath(_ path: String, _ type: String, _ name: String) throws {
        guard path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
            throw UnsupportedVolume(message: "volume \"\(name)\": hostPath \"\(path)\" is not an absolute path")
        }
        if type == "DirectoryOrCreate" { try makeDirectory(path, mode: 0o755) }
        if type == "FileOrCreate", access(path, F_OK) != 0 { try replaceFile(path, with: "", mode: 0o644) }
        var facts = stat()
        guard stat(path, &facts) == 0 else {
            throw EnvironmentBuilder.Missing(
                message: "volume \"\(name)\": hostPath \(path) does not exist on this machine"
            )
        }
        let kinds: [String: mode_t] = [
            "Directory": S_IFDIR, "DirectoryOrCreate": S_IFDIR, "File": S_IFREG, "FileOrCreate": S_IFREG,
            "Socket": S_IFSOCK, "CharDevice": S_IFCHR, "BlockDevice": S_IFBLK,
        ]
        guard !type.isEmpty, facts.st_mode & S_IFMT != kinds[type] else { return }
        throw EnvironmentBuilder.Missing(
            message: kinds[type] == nil
                ? "volume \"\(name)\": hostPath type \"\(type)\" does not exist"
                : "volume \"\(name)\": hostPath type check failed: \(path) is not a \(type)"
        )
    }

    private func content(of volume: Volume) async throws(EnvironmentBuilder.Missing) -> VolumeContent {
        var content = VolumeContent()
        switch volume.source {
        case .configMap(let name, let items, let mode, let isOptional):
            let object = await find(ResourceTypes.configMaps, name)
            try content.add(
                object,
                kind: "configmap",
                name: name,
                items: items,
                defaultMode: mode,
                isOptional: isOptional
            )
        case .secret(let name, let items, let mode, let isOptional):
            let object = await find(ResourceTypes.secrets, name)
            try content.add(object, kind: "secret", name: name, items: items, defaultMode: mode, isOptional: isOptional)
        case .downwardAPI(let items, let mode):
            try content.addFields(items.arrayValue ?? [], defaultMode: mode, from: await environment(for: []))
        case .projected(let sources, let mode):
            for source in sources { try await add(source, mode, to: &content) }
        case .emptyDir, .hostPath, .claim, .other: break
        }
        return content
    }

    private func add(
        _ source: Value,
        _ mode: Int,
        to content: inout VolumeContent
    ) async throws(EnvironmentBuilder.Missing) {
        for (field, type) in [("configMap", ResourceTypes.configMaps), ("secret", ResourceTypes.secrets)] {
            guard let from = source[field], let name = from.text("name") else { continue }
            let items = Self.items(of: from)
            let object = await find(type, name)
            try content.add(
                object,
                kind: field.lowercased(),
                name: name,
                items: items,
                defaultMode: mode,
                isOptional: from.flag("optional")
            )
        }
        if let fields = source["downwardAPI"] {
            try content.addFields(fields.list("items"), defaultMode: mode, from: await environment(for: []))
        }
    }

    private static func items(of source: Value) -> [Volume.Item] {
        guard case .configMap(_, let items, _, _) = Volume(["configMap": source]).source else { return [] }
        return items
    }

    /// Brings volumes that are made from objects up to date; what cannot be made stays as it was.
    func refreshVolumes() async {
        guard sandbox != nil, !isStopping else { return }
        for volume in spec.volumes {
            switch volume.source {
            case .configMap, .secret, .downwardAPI, .projected: _ = try? await prepare(volume)
            default: break
            }
        }
    }

    /// A container's mounts. What is made from objects is always read-only.
    func mounts(
        of container: Container,
        _ variables: Variables
    ) throws(EnvironmentBuilder.Missing) -> [ProgramSpec.Mount] {
        var mounts = [messageMount(of: container)].compactMap { $0 }
        for mount in container.volumeMounts {
            guard let volume = spec.volumes.first(where: { $0.name == mount.name }) else {
                throw EnvironmentBuilder.Missing(message: "volumeMount \"\(mount.name)\": the pod has no such volume")
            }
            let subPath = mount.subPathExpr.map(variables.expand) ?? mount.subPath ?? ""
            guard mount.mountPath.hasPrefix("/"), !mount.mountPath.contains("\n"), !subPath.hasPrefix("/"),
                !subPath.contains("\n"), !subPath.split(separator: "/").contains("..")
            else {
                throw EnvironmentBuilder.Missing(
                    message:
                        "volumeMount \"\(mount.name)\": mountPath must be absolute, subPath must stay in the volume"
                )
            }
            var isReadOnly = mount.readOnly
            switch volume.source {
            case .configMap, .secret, .downwardAPI, .projected: isReadOnly = true
            case .claim(_, let onlyReads): isReadOnly = isReadOnly || onlyReads
            default: break
            }
            mounts.append(
                .init(volume: mount.name, subPath: subPath, target: mount.mountPath, isReadOnly: isReadOnly)
            )
        }
        // A mount inside another one has to come after it.
        return mounts.sorted { $0.target.count < $1.target.count }
    }
}
