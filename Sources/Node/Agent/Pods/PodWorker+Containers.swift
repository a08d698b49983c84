import Glibc
import Resources
import Sandbox
import Store
import Wire

// One container: start, watch, stop, start again.
extension PodWorker {
    enum Role: Sendable {
        case initializer, sidecar, ordinary
    }

    /// Kubernetes gives a container at least this long between SIGTERM and SIGKILL, however long its hook took.
    private static let leastGrace: Duration = .seconds(2)

    /// Runs a container until it has ended for good, the pod stops, or the sandbox is lost.
    func runContainer(_ container: Container, _ given: ResolvedImage?, _ role: Role) async {
        let name = container.name
        var hasStarted = false
        while !isStopping || slots[name]?.adopted != nil, !isSandboxLost, let sandbox {
            if let run = slots[name]?.adopted {
                slots[name]?.adopted = nil
                let (length, ago) = await goOn(container, given, run, sandbox, role)
                await flush()
                guard await awaitRestart(container, role, afterRunOf: length, ended: ago) else { return }
                continue
            }
            var known = given
            // `Always` means every start, as in Kubernetes.
            if known?.content != nil, container.imagePullPolicy == "Always", hasStarted { known = nil }
            hasStarted = true
            if known == nil { known = await awaitImages([container])?[name] }
            guard let image = known, let program = await awaitProgram(container, image) else { return }
            let start = ContinuousClock.now
            slots[name]?.exit = nil
            slots[name]?.restartReason = nil
            slots[name]?.memoryKills = groups.memoryKills(pod: uid, container: name)
            do throws(SandboxError) {
                let run = try await sandbox.start(program)
                entered(container, run)
                await accompany(container, program, sandbox, role)
            } catch {
                guard error.code == .startFailed || error.code == .refused else {
                    if !isSandboxLost { await sandbox.kill() }
                    return
                }
                failedToStart(container, error)
            }
            await flush()
            guard await awaitRestart(container, role, afterRunOf: .now - start) else { return }
        }
    }

    /// Waits until a container that ended may be started again; false when it has ended for good.
    private func awaitRestart(
        _ container: Container,
        _ role: Role,
        afterRunOf length: Duration,
        ended ago: Duration = .zero
    ) async -> Bool {
        let name = container.name
        let code = record(name)?.termination?.exitCode ?? 0
        guard !isStopping, !isSandboxLost, mustRestart(role, code) else {
            // What is lost with the sandbox is started again with the next one.
            if isSandboxLost, !isStopping, mustRestart(role, code) { countRestart(name) }
            return false
        }
        let delay = (slots[name]?.backOff.delay(afterRunOf: length) ?? .zero) - ago
        if delay > .zero { await backOff(container, delay) }
        if !isStopping { countRestart(name) }
        return true
    }

    private func mustRestart(_ role: Role, _ exitCode: Int) -> Bool {
        switch role {
        case .sidecar: !mainsHaveEnded
        case .initializer: exitCode != 0 && spec.restartPolicy != "Never"
        case .ordinary: RestartRule.restarts(policy: spec.restartPolicy, exitCode: exitCode)
        }
    }

    private func countRestart(_ name: String) {
        slots[name]?.attempt += 1
        change(name) { $0.restartCount += 1 }
    }

    func entered(_ container: Container, _ run: ContainerRun) {
        let started = Timestamp(nanoseconds: run.startedAt)
        change(container.name) {
            $0.enter(.running(startedAt: started))
            $0.isStarted = container.startupProbe == nil
            $0.isProbedReady = container.readinessProbe == nil
        }
        publish()
        event("Started", "Started container \(container.name)")
    }

    func failedToStart(_ container: Container, _ error: SandboxError) {
        let time = now()
        change(container.name) {
            $0.enter(
                .terminated(
                    .init(exitCode: 128, reason: "StartError", message: error.message, startedAt: nil, finishedAt: time)
                )
            )
        }
        event("Failed", "Error: \(error.message)", isWarning: true)
        publish()
    }

    private func backOff(_ container: Container, _ delay: Duration) async {
        let text =
            "back-off \(delay.components.seconds)s restarting failed container=\(container.name) "
            + "pod=\(pod.name)_\(pod.namespace)(\(uid))"
        change(container.name) { $0.enter(.waiting(reason: "CrashLoopBackOff", message: text)) }
        event("BackOff", "Back-off restarting failed container \(container.name) in pod \(pod.name)", isWarning: true)
        publish()
        let deadline = ContinuousClock.now + delay
        while !isStopping, !isSandboxLost, ContinuousClock.now < deadline { await changed(until: deadline) }
    }

    // MARK: A run

    /// Stays with a running container: probes, hooks, stopping; returns when it has ended and that is published.
    func accompany(
        _ container: Container,
        _ program: ProgramSpec,
        _ sandbox: PodSandbox,
        _ role: Role,
        isNew: Bool = true
    ) async {
        let runner = ProbeRunner(
            sandbox: sandbox,
            podAddress: address,
            ports: container.ports,
            program: program,
            locate: { await self.place(ofPort: $0) }
        )
        await withDiscardingTaskGroup { group in
            group.addTask { await self.followSockets(isNew: isNew) }
            if isNew, let hook = container.postStart?.action {
                group.addTask { await self.runPostStart(container, hook, runner) }
            }
            for (kind, probe) in [
                (ProbeStateMachine.Kind.startup, container.startupProbe), (.liveness, container.livenessProbe),
                (.readiness, container.readinessProbe),
            ] {
                guard let probe, role != .initializer else { continue }
                group.addTask { await self.probe(kind, probe, container, runner) }
            }
            await awaitExit(container, sandbox, runner, role)
            hintAtPort(of: container)
            await recordExit(container, sandbox)
            group.cancelAll()
            wake()
        }
    }

    private func hasEnded(_ name: String) -> Bool { slots[name]?.exit != nil || isSandboxLost }

    private func awaitExit(
        _ container: Container,
        _ sandbox: PodSandbox,
        _ runner: ProbeRunner,
        _ role: Role
    ) async {
        let name = container.name
        var deadline: ContinuousClock.Instant?
        while !hasEnded(name) {
            if deadline == nil, let wanted = stopDeadline(name, role) {
                deadline = await askToEnd(container, sandbox, runner, by: wanted)
                continue
            }
            guard var limit = deadline else {
                await changed()
                continue
            }
            if isStopping, let killDeadline { limit = min(limit, max(killDeadline, .now)) }
            if ContinuousClock.now >= limit {
                try? await sandbox.signal(name, SIGKILL)
                deadline = .now + .seconds(1)
            }
            if !hasEnded(name) { await changed(until: limit) }
        }
    }

    /// By when a container that has to stop must have stopped; nil while it may run.
    private func stopDeadline(_ name: String, _ role: Role) -> ContinuousClock.Instant? {
        if isStopping || (role == .sidecar && mainsHaveEnded) {
            if role == .sidecar, !mainsHaveEnded, status.containers.contains(where: \.isRunning) { return nil }
            // The last one that began is the first to go: others may have been needed for it.
            if role == .sidecar, sidecars(after: name).contains(where: { record($0)?.isRunning ?? false }) {
                return nil
            }
            guard hasLeftTraffic || !isStopping else { return nil }
            return killDeadline ?? .now
        }
        guard let slot = slots[name], slot.restartReason != nil else { return nil }
        return .now + (slot.restartGrace ?? .seconds(spec.terminationGracePeriodSeconds))
    }

    private func sidecars(after name: String) -> [String] {
        spec.initContainers.drop { $0.name != name }.dropFirst().filter { $0.restartPolicy == "Always" }.map(\.name)
    }

    /// Hook and SIGTERM. Returns when SIGKILL is due.
    private func askToEnd(
        _ container: Container,
        _ sandbox: PodSandbox,
        _ runner: ProbeRunner,
        by deadline: ContinuousClock.Instant
    ) async -> ContinuousClock.Instant {
        let name = container.name
        let own = isStopping ? nil : slots[name]?.restartReason
        let reason = own ?? "Stopping container \(name)"
        event("Killing", reason)
        var limit = deadline
        if let hook = container.preStop?.action, deadline > .now {
            let outcome = await runner.run(hook, timeout: deadline - .now)
            if case .failure(let why) = outcome, !hasEnded(name) {
                event("FailedPreStopHook", "PreStopHook failed: \(why)", isWarning: true)
            }
            limit = max(limit, .now + Self.leastGrace)
        }
        if !hasEnded(name) { try? await sandbox.signal(name, slots[name]?.stopSignal ?? SIGTERM) }
        return limit
    }

    private func runPostStart(_ container: Container, _ hook: ProbeHandler.Action, _ runner: ProbeRunner) async {
        let outcome = await runner.run(hook, timeout: .seconds(3600))
        guard case .failure(let why) = outcome, !Task.isCancelled, !hasEnded(container.name) else { return }
        event("FailedPostStartHook", "PostStartHook failed: \(why)", isWarning: true)
        slots[container.name]?.restartReason = "FailedPostStartHook"
        wake()
    }

    func recordExit(_ container: Container, _ sandbox: PodSandbox) async {
        let run = slots[container.name]?.exit
        let reason = slots[container.name]?.restartReason
        var started: Timestamp?
        if case .running(let time)? = record(container.name)?.state { started = time }
        let time = now()
        let kills = groups.memoryKills(pod: uid, container: container.name)
        let isOutOfMemory = run?.exitCode == 137 && kills > slots[container.name]?.memoryKills ?? 0
        let said = await message(of: container, run, sandbox)
        change(container.name) {
            $0.enter(
                .terminated(
                    .init(
                        exitCode: run?.exitCode ?? 137,
                        signal: run?.signal ?? Int(SIGKILL),
                        reason: isOutOfMemory ? "OOMKilled" : nil,
                        message: run == nil ? "The pod ended around the container" : said ?? reason ?? "",
                        startedAt: started,
                        finishedAt: run.map { Timestamp(nanoseconds: $0.finishedAt) } ?? time
                    )
                )
            )
        }
        publish()
    }

    // MARK: The program

    /// Waits until the container's environment and mounts can be made; nil when the pod stops before.
    private func awaitProgram(_ container: Container, _ image: ResolvedImage) async -> ProgramSpec? {
        while !isStopping, !isSandboxLost {
            do throws(EnvironmentBuilder.Missing) {
                let program = try await makeProgram(container, image)
                dropOldLogs(container.name)
                clearMessage(of: container.name)
                if image.content == nil {
                    event("Pulled", "Container image \"\(container.image)\" is \(image.directory) on this machine")
                }
                dropOldWrites(container.name)
                event("Created", "Created container \(container.name)")
                return program
            } catch {
                change(container.name) {
                    $0.enter(.waiting(reason: "CreateContainerConfigError", message: error.message))
                }
                event("Failed", "Error: \(error.message)", isWarning: true)
                publish()
                // Whatever is missing may be applied any moment: the agent pokes.
                await awaitPoke(until: .now + .seconds(10))
            }
        }
        return nil
    }

    func makeProgram(
        _ container: Container,
        _ image: ResolvedImage
    ) async throws(EnvironmentBuilder.Missing) -> ProgramSpec {
        slots[container.name]?.stopSignal = stopSignal(of: container, image)
        if let content = image.content { return try await makeImageProgram(container, content) }
        let builder = await environment(for: [container])
        let own = plain == nil ? (user: 0, group: 0) : (user: Int(geteuid()), group: Int(getegid()))
        let privileges = try ContainerPrivileges(container, in: spec, usual: own)
        let base =
            [
                ("PATH", settings.path), ("HOSTNAME", PodFiles.hostname(of: pod, spec, settings)),
                ("HOME", privileges.user == 0 ? "/root" : "/"),
            ] + plainEnvironment(of: container)
        let variables = try builder.variables(of: container, image: image.env, base: base)
        var program = ProgramSpec(
            name: container.name,
            attempt: slots[container.name]?.attempt ?? 0,
            arguments: ImageResolution.arguments(container, image, variables),
            environment: variables.pairs,
            directory: container.workingDir ?? image.directory
        )
        privileges.apply(to: &program)
        program.hasInput = container.stdin
        program.closesInput = container.stdin && container.value.flag("stdinOnce")
        program.isTerminal = container.tty
        if container.tty, !program.environment.contains(where: { $0.hasPrefix("TERM=") }) {
            program.environment.append("TERM=xterm")
        }
        program.hasOwnLayer = spec.containers.count + spec.initContainers.count > 1
        let mounts = try mounts(of: container, variables)
        if plain == nil { program.mounts = mounts } else { explainMounts(of: container) }
        return program
    }

    private func stopSignal(of container: Container, _ image: ResolvedImage) -> Int32 {
        let words = container.value["lifecycle"]?.text("stopSignal") ?? image.content?.stopSignal ?? ""
        return StopSignal.number(words) ?? SIGTERM
    }

    /// Keeps the log of the run before (`logs --previous`) and drops older ones.
    private func dropOldLogs(_ name: String) {
        let attempt = slots[name]?.attempt ?? 0
        let logs = "\(directory)/logs/\(name)"
        for file in listDirectory(logs) {
            guard let number = Int(file.prefix { $0.isNumber }), number < attempt - 1 else { continue }
            unlink("\(logs)/\(file)")
        }
    }
}

extension Timestamp {
    init(nanoseconds: Int64) {
        self.init(seconds: nanoseconds / 1_000_000_000, nanoseconds: Int32(nanoseconds % 1_000_000_000))
    }
}
