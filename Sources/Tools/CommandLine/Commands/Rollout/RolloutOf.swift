import CWeft
import Glibc
import Resources
import Wire

/// One workload, for the verbs of `weft rollout`.
struct RolloutOf {
    private static let revision = "deployment.kubernetes.io/revision"
    private static let cause = "kubernetes.io/change-cause"
    private static let restartedAt = "kubectl.kubernetes.io/restartedAt"

    let type: ResourceType
    let name: String
    let namespace: String
    let client: APIClient

    private var path: String { APIPath.of(type, namespace: namespace, name: name) }
    /// `deployment.apps/web`.
    private var title: String { "\(type.qualifiedSingular)/\(name)" }
    /// `deployment "web"`.
    private var subject: String { "\(type.singular) \"\(name)\"" }

    /// False when the rollout failed or did not end in time, which is said.
    func run(_ verb: RolloutCommand.Verb, _ arguments: Arguments) async throws -> Bool {
        let revisions = 0...1_000_000_000
        switch verb {
        case .restart: try await restart()
        case .status: return try await status(arguments)
        case .undo: try await undo(to: try arguments.integer("to-revision", default: 0, in: revisions))
        case .history: try await history(of: try arguments.integer("revision", default: 0, in: revisions))
        case .pause: try await setPaused(true)
        case .resume: try await setPaused(false)
        }
        return true
    }

    private func restart() async throws {
        guard try await !isPaused() else { throw pausedError }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        // With its fraction, so that a second restart in the same second is one too.
        let now = Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int32(truncatingIfNeeded: time.tv_nsec))
        let text = String(now.description.prefix(19)) + ".\(String(1_000_000 + time.tv_nsec / 1000).dropFirst())Z"
        let annotations: Value = [Self.restartedAt: .string(text)]
        _ = try await client.mergePatch(path, ["spec": ["template": ["metadata": ["annotations": annotations]]]])
        Terminal.print("\(title) restarted")
    }

    // MARK: Pauses

    private var pausedError: CommandError {
        CommandError("\(subject) is paused: weft rollout resume \(type.singular)/\(name) first")
    }

    private func isPaused() async throws -> Bool { try await client.get(path).at("spec", "paused") == .bool(true) }

    private func setPaused(_ wanted: Bool) async throws {
        guard try await isPaused() != wanted else {
            throw CommandError("\(subject) is \(wanted ? "already" : "not") paused")
        }
        _ = try await client.mergePatch(path, ["spec": ["paused": wanted ? .bool(true) : .null]])
        Terminal.print("\(title) \(wanted ? "paused" : "resumed")")
    }

    // MARK: Status

    private func status(_ arguments: Arguments) async throws -> Bool {
        let limit = try arguments.integer("timeout", default: 0, in: 0...1_000_000)
        let wanted = try arguments.integer("revision", default: 0, in: 0...1_000_000_000)
        let deadline = limit > 0 ? ContinuousClock.now + .seconds(limit) : nil
        var last = ""
        while true {
            let object = try await client.get(path)
            if wanted > 0, type == ResourceTypes.deployments {
                let present = number(of: object)
                guard present == wanted else {
                    throw CommandError(
                        "desired revision (\(wanted)) is different from the running revision (\(present))"
                    )
                }
            }
            let progress = RolloutProgress(object, of: type, name: name)
            if progress.line != last { Terminal.print(progress.line) }
            last = progress.line
            switch progress.state {
            case .done: return true
            case .failed: return false
            case .underWay: if arguments.isSet("no-wait") { return true }
            }
            if let deadline, .now >= deadline {
                Terminal.complain("the rollout of \(subject) did not end within \(limit) s")
                return false
            }
            try await Task.sleep(for: .milliseconds(150))
        }
    }

    // MARK: Revisions

    private struct Revision {
        let number: Int
        let template: Value
        let cause: String
    }

    private func number(of object: Value) -> Int {
        object.at("metadata", "annotations")?.text(Self.revision).flatMap(Int.init) ?? 0
    }

    /// What the workload has had, oldest first: a Deployment's ReplicaSets, or the ControllerRevisions of others.
    private func revisions(of workload: Value) async throws -> [Revision] {
        let uid = workload.at("metadata", "uid")
        let isDeployment = type == ResourceTypes.deployments
        let kept = isDeployment ? ResourceTypes.replicaSets : ResourceTypes.controllerRevisions
        let items = try await client.get(APIPath.of(kept, namespace: namespace)).list("items")
        return items.compactMap { item -> Revision? in
            guard item["metadata"]?.list("ownerReferences").contains(where: { $0["uid"] == uid }) ?? false else {
                return nil
            }
            let template = isDeployment ? item.at("spec", "template") : item.at("data", "spec", "template")
            guard var template, let number = isDeployment ? self.number(of: item) : item.integer("revision") else {
                return nil
            }
            template.set(["metadata", "labels", "pod-template-hash"], nil)
            template["$patch"] = nil
            let cause =
                item.at("metadata", "annotations")?.text(Self.cause)
                ?? template.at("metadata", "annotations")?.text(Self.cause)
            return Revision(number: number, template: template, cause: cause ?? "<none>")
        }.sorted { $0.number < $1.number }
    }

    private func history(of wanted: Int) async throws {
        let workload = try await client.get(path)
        let known = try await revisions(of: workload)
        guard wanted > 0 else {
            var table = TextTable(["REVISION", "CHANGE-CAUSE"])
            for revision in known { table.rows.append(["\(revision.number)", revision.cause]) }
            return Terminal.print("\(title)\n" + table.text())
        }
        guard let found = known.first(where: { $0.number == wanted }) else {
            throw missing("no revision \(wanted)", known)
        }
        var text = Description()
        Describer(client: client, type: type, object: Object(workload)).template(PodTemplate(found.template), &text)
        Terminal.print("\(title) with revision #\(wanted)\n" + text.lines.joined(separator: "\n"))
    }

    private func missing(_ what: String, _ known: [Revision]) -> CommandError {
        CommandError("\(subject) has \(what); there are: \(known.map { "\($0.number)" }.joined(separator: ", "))")
    }

    private func undo(to wanted: Int) async throws {
        var workload = try await client.get(path)
        guard workload.at("spec", "paused") != .bool(true) else { throw pausedError }
        let known = try await revisions(of: workload)
        let current = type == ResourceTypes.deployments ? number(of: workload) : known.last?.number ?? 0
        let found = wanted > 0 ? known.first { $0.number == wanted } : known.last { $0.number < current }
        guard let found else {
            throw missing(wanted > 0 ? "no revision \(wanted)" : "no revision before \(current)", known)
        }
        guard found.number != current else {
            Terminal.print("\(title) skipped rollback (current template already matches revision \(current))")
            return
        }
        workload.set(["spec", "template"], found.template)
        _ = try await client.put(path, workload)
        Terminal.print("\(title) rolled back")
    }
}
