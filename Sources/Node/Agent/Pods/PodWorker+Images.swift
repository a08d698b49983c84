import Glibc
import Resources
import Sandbox
import Store
import Wire

// What the names of images mean: a directory and a command (`Image`), or layers, which may have to be pulled.
extension PodWorker {
    private static let shownAsError: Duration = .seconds(2)
    /// How often an image that is waited for is looked for in the store, without asking anybody else.
    private static let glance: Duration = .seconds(1)

    /// Waits until every container's image means something here; nil when the pod ends before.
    func awaitImages(_ containers: [Container]) async -> [String: ResolvedImage]? {
        let known = (try? await store.list(ResourceTypes.images)) ?? []
        var resolved: [String: ResolvedImage] = [:]
        for container in containers {
            guard let image = try? Self.machineImage(container, known) else { continue }
            resolved[container.name] = image
            change(container.name) { $0.imageID = image.statusID }
        }
        let rest = containers.filter { resolved[$0.name] == nil }
        guard !rest.isEmpty else { return resolved }
        // Each pulls and waits for itself: the event of one does not hold up another.
        await withTaskGroup(of: (String, ResolvedImage?).self) { group in
            for container in rest { group.addTask { (container.name, await self.awaitImage(container)) } }
            for await (name, image) in group { resolved[name] = image }
        }
        return resolved.count == containers.count ? resolved : nil
    }

    private static func machineImage(
        _ container: Container,
        _ known: [Object]
    ) throws(ImageResolution.Unresolved) -> ResolvedImage {
        let image = try ImageResolution.resolve(container.image, among: known)
        try MissingPackages.check(image)
        return image
    }

    private func awaitImage(_ container: Container) async -> ResolvedImage? {
        var backOff = ImageBackOff()
        while !isStopping {
            let known = (try? await store.list(ResourceTypes.images)) ?? []
            do throws(ContainerImageProblem) {
                let image = try await resolve(container, known)
                change(container.name) { $0.imageID = image.statusID }
                return image
            } catch {
                let deadline = ContinuousClock.now + backOff.delay()
                await report(error, container)
                await awaitImageChange(container, known, error, until: deadline)
            }
        }
        return nil
    }

    /// An `Image` object that fits comes first: whoever wrote one means it.
    private func resolve(
        _ container: Container,
        _ known: [Object]
    ) async throws(ContainerImageProblem) -> ResolvedImage {
        let advice: String
        if ImageSpec.resolve(container.image, among: known) != nil || ports.images == nil || plain != nil {
            do throws(ImageResolution.Unresolved) { return try Self.machineImage(container, known) } catch {
                advice = error.message
            }
            let isPlain = plain != nil && ports.images != nil
            let note = isPlain ? "\nImages of layers need isolation: weft up --isolation=namespaces" : ""
            throw ContainerImageProblem(.pull, advice + note)
        }
        guard let images = ports.images else { throw ContainerImageProblem(.pull, "no images") }
        let content = try await fetch(container, images)
        await images.retain(content, pod: uid)
        return ResolvedImage(container.image, content)
    }

    /// Kubernetes' rules for `imagePullPolicy`, and its events.
    private func fetch(
        _ container: Container,
        _ images: any ContainerImages
    ) async throws(ContainerImageProblem) -> ContainerImage {
        let name = container.image
        let present = try await images.find(name)
        if let present, container.imagePullPolicy != "Always" {
            event("Pulled", "Container image \"\(name)\" already present on machine")
            return present
        }
        guard container.imagePullPolicy != "Never" else {
            throw ContainerImageProblem(
                .neverPull,
                "Container image \"\(name)\" is not present with pull policy of Never"
            )
        }
        event("Pulling", "Pulling image \"\(name)\"")
        let start = ContinuousClock.now
        do throws(ContainerImageProblem) {
            let isForced = container.imagePullPolicy == "Always"
            let image = try await images.pull(name, isForced: isForced, secrets: await pullSecrets())
            let length = Self.text(.now - start)
            let message = "Successfully pulled image \"\(name)\" in \(length) (\(length) including waiting)"
            event("Pulled", "\(message). Image size: \(image.size) bytes.")
            return image
        } catch {
            guard error.reason == .pull || error.reason == .unavailable else { throw error }
            throw ContainerImageProblem(error.reason, "\(error.message)\(Self.hint(name))")
        }
    }

    /// A name without a registry may have been meant for a program of this machine.
    private static func hint(_ name: String) -> String {
        let first = name.split(separator: "/").first ?? ""
        let isHost = name.contains("/") && (first.contains(".") || first.contains(":") || first == "localhost")
        guard !isHost, !name.contains("@"), !name.hasPrefix("/") else { return "" }
        return "\nFor a program of this machine: \(ImageResolution.advice(name))"
    }

    static func text(_ duration: Duration) -> String {
        let milliseconds = duration.milliseconds
        guard milliseconds >= 1000 else { return "\(milliseconds)ms" }
        let rest = String(milliseconds % 1000 + 1000).dropFirst()
        return "\(milliseconds / 1000).\(rest)s"
    }

    /// The contents of the pod's pull Secrets; one that is missing is passed over, as in Kubernetes.
    private func pullSecrets() async -> [[UInt8]] {
        var names = spec.value.list("imagePullSecrets").compactMap { $0.text("name") }
        let key = ObjectKey(ResourceTypes.serviceAccounts, namespace: pod.namespace, name: spec.serviceAccountName)
        if names.isEmpty, let account = try? await store.find(key) {
            names = (account["imagePullSecrets"]?.arrayValue ?? []).compactMap { $0.text("name") }
        }
        var found: [[UInt8]] = []
        for name in names.prefix(32) {
            let key = ObjectKey(ResourceTypes.secrets, namespace: pod.namespace, name: name)
            guard let secret = try? await store.find(key) else {
                event(
                    "FailedToRetrieveImagePullSecret",
                    "Unable to retrieve some image pull secrets (\(name)); attempting to pull the image may not succeed.",
                    isWarning: true
                )
                continue
            }
            for field in [".dockerconfigjson", ".dockercfg"] {
                if let bytes = KeyedData.bytes(of: field, in: secret) { found.append(bytes) }
            }
        }
        return found
    }

    // MARK: Failure

    /// Shows `ErrImagePull` first, then `ImagePullBackOff`, as Kubernetes does.
    private func report(_ problem: ContainerImageProblem, _ container: Container) async {
        let name = container.name
        let reason = problem.reason.rawValue
        switch problem.reason {
        case .invalidName: event("InspectFailed", problem.message, isWarning: true)
        case .neverPull: event(reason, problem.message, isWarning: true)
        default: event("Failed", "Failed to pull image \"\(container.image)\": \(problem.message)", isWarning: true)
        }
        event("Failed", "Error: \(reason)", isWarning: true)
        change(name) { $0.enter(.waiting(reason: reason, message: problem.message)) }
        publish()
        await flush()
        guard problem.waitingReason != reason else { return }
        await awaitPoke(until: .now + Self.shownAsError)
        guard !isStopping else { return }
        event("BackOff", "Back-off pulling image \"\(container.image)\"")
        event("Failed", "Error: \(problem.waitingReason)", isWarning: true)
        let text = "Back-off pulling image \"\(container.image)\": \(reason): \(problem.message)"
        change(name) { $0.enter(.waiting(reason: problem.waitingReason, message: text)) }
        publish()
    }

    /// Waits for the next attempt; what an `Image` object or the store has meanwhile ends the wait.
    private func awaitImageChange(
        _ container: Container,
        _ known: [Object],
        _ problem: ContainerImageProblem,
        until deadline: ContinuousClock.Instant
    ) async {
        let mayAppear = ports.images != nil && plain == nil && container.imagePullPolicy != "Always"
        while !isStopping, ContinuousClock.now < deadline {
            await changed(until: mayAppear ? min(deadline, .now + Self.glance) : deadline)
            let present = (try? await store.list(ResourceTypes.images)) ?? known
            if present != known { return }
            guard mayAppear, problem.reason != .invalidName else { continue }
            if (try? await ports.images?.find(container.image)) != nil { return }
        }
    }

    // MARK: The program

    /// A container of an image made of layers, as its image and its pod want it.
    func makeImageProgram(
        _ container: Container,
        _ image: ContainerImage
    ) async throws(EnvironmentBuilder.Missing) -> ProgramSpec {
        let builder = await environment(for: [container])
        let accounts = ImageAccounts(layers: image.layers)
        let (privileges, identity) = try self.privileges(of: container, image, accounts)
        var base = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOSTNAME", PodFiles.hostname(of: pod, spec, settings)), ("HOME", identity.home),
        ]
        for pair in image.env {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            base.append((parts[0], parts.count > 1 ? parts[1] : ""))
        }
        let variables = try builder.variables(of: container, image: [], base: base)
        let attempt = slots[container.name]?.attempt ?? 0
        var program = ProgramSpec(
            name: container.name,
            attempt: attempt,
            arguments: image.arguments(
                command: container.command.map(variables.expand),
                args: container.args.map(variables.expand)
            ),
            environment: variables.pairs,
            directory: container.workingDir ?? image.directory
        )
        guard !program.arguments.isEmpty else { throw .init(message: "no command specified") }
        privileges.apply(to: &program)
        program.hasInput = container.stdin
        program.closesInput = container.stdin && container.value.flag("stdinOnce")
        program.isTerminal = container.tty
        program.mounts = try mounts(of: container, variables)
        program.image = try await root(of: container, image, program)
        return program
    }

    private func privileges(
        of container: Container,
        _ image: ContainerImage,
        _ accounts: ImageAccounts
    ) throws(EnvironmentBuilder.Missing) -> (ContainerPrivileges, ImageAccounts.Identity) {
        let wanted = container.securityContext.runAsUser ?? spec.securityContext.runAsUser
        let identity: ImageAccounts.Identity
        if let wanted { identity = accounts.identity(wanted) } else { identity = try accounts.identity(image.user) }
        let mustNotBeRoot = container.securityContext.runAsNonRoot ?? spec.securityContext.runAsNonRoot ?? false
        guard !mustNotBeRoot || wanted != nil || identity.isNumeric else {
            throw .init(
                message:
                    "container has runAsNonRoot and image has non-numeric user (\(image.user)), cannot verify user is "
                    + "non-root"
            )
        }
        var privileges = try ContainerPrivileges(container, in: spec, usual: (identity.user, identity.group))
        if spec.value["securityContext"]?.text("supplementalGroupsPolicy") != "Strict" {
            privileges.supplementaryGroups += identity.groups
        }
        return (privileges, identity)
    }

    private func root(
        of container: Container,
        _ image: ContainerImage,
        _ program: ProgramSpec
    ) async throws(EnvironmentBuilder.Missing) -> ImageRoot {
        let store = (ports.images?.layersDirectory ?? "") + "/"
        let layers = image.layers.filter { $0.hasPrefix(store) }.map { String($0.dropFirst(store.count)) }
        guard layers.count == image.layers.count, !layers.isEmpty else {
            throw .init(message: "image \"\(container.image)\" has layers that are not in the store, or none")
        }
        var root = ImageRoot(layers: layers)
        root.writes = "\(container.name)-\(program.attempt)"
        root.memoryLimit = container.resources.limit("ephemeral-storage")?.rounded
        root.outOfMemoryScore = Self.outOfMemoryScore(container, spec)
        // Where a pod has one user id, another one needs a user namespace that no runtime is asked to make.
        if geteuid() == 0 || (program.user == 0 && program.group == 0) {
            root.runtime = await runtimes.choice().runtime
        }
        return root
    }

    /// Kubernetes' order in which the kernel ends containers when the machine has no memory left; nil: as everything else.
    static func outOfMemoryScore(_ container: Container, _ spec: PodSpec) -> Int? {
        switch PodStatusBuilder.qualityOfService(spec) {
        case "BestEffort": return 1000
        case "Guaranteed": return nil
        default:
            let capacity = max(sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)), 1)
            let part = 1000 * min(container.resources.request("memory")?.rounded ?? 0, capacity) / capacity
            return min(max(1000 - part, 2), 999)
        }
    }

    /// Removes what former runs of a container have written.
    func dropOldWrites(_ name: String) {
        let attempt = slots[name]?.attempt ?? 0
        for entry in listDirectory("\(directory)/writes") where entry.hasPrefix("\(name)-") {
            guard let number = Int(entry.dropFirst(name.utf8.count + 1)), number <= attempt else { continue }
            try? Leftovers.remove("\(directory)/writes/\(entry)")
        }
    }
}

extension ResolvedImage {
    init(_ reference: String, _ content: ContainerImage) {
        self.init(reference: reference, name: "", directory: content.directory, command: [], env: [])
        self.content = content
    }

    /// What the container's status shows.
    var statusID: String { content?.statusID ?? "weft://images/\(name)" }
}
