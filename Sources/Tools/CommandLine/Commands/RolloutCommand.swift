import CWeft
import Glibc
import Resources
import Wire

/// `weft rollout`: begins, watches, takes back and lists the versions of a Deployment.
enum RolloutCommand {
    static let command = Command(
        "rollout",
        operands: "restart|status|undo|history|pause|resume deployment/NAME...",
        summary: "restart a deployment's pods, wait for a new version, or take it back",
        details: "Pods are replaced by the deployment's strategy; a pod leaves the traffic before it is told to end.",
        options: [
            Option("to-revision", value: "N", help: "undo: this revision instead of the one before"),
            Option(
                "timeout",
                value: "SECONDS",
                help: "status: how long to wait (default: until the rollout ends or fails)"
            ),
            Option("no-wait", help: "status: say how far it got and return"),
            .namespace, .stateDirectory,
        ],
        examples: [
            "weft rollout restart deployment/web", "weft rollout status deployment/web",
            "weft rollout undo deployment/web --to-revision=2",
        ],
        operandCount: 2...Int.max
    ) { arguments in
        let words = Array(arguments.operands.dropFirst())
        guard let verb = Verb(rawValue: arguments.operands[0]) else {
            let known = Verb.allCases.map(\.rawValue)
            let guess = Spelling.nearest(to: arguments.operands[0], among: known).map { "; did you mean \($0)?" } ?? ""
            throw UsageError("'\(arguments.operands[0])' is none of \(known.joined(separator: ", "))\(guess)")
        }
        let targets = try Target.read(words)
        let client = try await APIClient.connected(arguments)
        for target in targets {
            guard target.type == ResourceTypes.deployments else {
                throw UsageError("only deployments are rolled out, a \(target.type.singular) is not")
            }
            guard !target.names.isEmpty else { throw UsageError("which deployment? Give its name: deployment/NAME") }
            for name in target.names {
                let rollout = RolloutOf(
                    name: name,
                    namespace: arguments.value("namespace") ?? "default",
                    client: client
                )
                guard try await rollout.run(verb, arguments) else { return .failure }
            }
        }
        return .success
    }

    enum Verb: String, CaseIterable {
        case restart, status, undo, history, pause, resume
    }
}

/// One Deployment, for the verbs of `weft rollout`.
private struct RolloutOf {
    static let revision = "deployment.kubernetes.io/revision"
    static let cause = "kubernetes.io/change-cause"
    static let restartedAt = "kubectl.kubernetes.io/restartedAt"

    let name: String
    let namespace: String
    let client: APIClient

    private var path: String { APIPath.of(ResourceTypes.deployments, namespace: namespace, name: name) }

    /// False when the rollout failed or did not end in time, which is said.
    func run(_ verb: RolloutCommand.Verb, _ arguments: Arguments) async throws -> Bool {
        switch verb {
        case .restart: try await restart()
        case .status: return try await status(arguments)
        case .undo: try await undo(to: try arguments.integer("to-revision", default: 0, in: 0...1_000_000_000))
        case .history: try await history()
        case .pause: try await setPaused(true)
        case .resume: try await setPaused(false)
        }
        return true
    }

    private func restart() async throws {
        guard try await !isPaused() else {
            throw CommandError("deployment \"\(name)\" is paused: weft rollout resume deployment/\(name) first")
        }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        // With its fraction, so that a second restart in the same second is one too.
        let now = Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int32(truncatingIfNeeded: time.tv_nsec))
        let text = String(now.description.prefix(19)) + ".\(String(1_000_000 + time.tv_nsec / 1000).dropFirst())Z"
        let annotations: Value = [Self.restartedAt: .string(text)]
        _ = try await client.mergePatch(path, ["spec": ["template": ["metadata": ["annotations": annotations]]]])
        Terminal.print("deployment/\(name) restarted")
    }

    private func isPaused() async throws -> Bool { try await client.get(path).at("spec", "paused") == .bool(true) }

    private func setPaused(_ wanted: Bool) async throws {
        guard try await isPaused() != wanted else {
            throw CommandError("deployment \"\(name)\" is \(wanted ? "already" : "not") paused")
        }
        _ = try await client.mergePatch(path, ["spec": ["paused": wanted ? .bool(true) : .null]])
        Terminal.print("deployment/\(name) \(wanted ? "paused" : "resumed")")
    }

    // MARK: Status

    private func status(_ arguments: Arguments) async throws -> Bool {
        let limit = try arguments.integer("timeout", default: 0, in: 0...1_000_000)
        let deadline = limit > 0 ? ContinuousClock.now + .seconds(limit) : nil
        var last = ""
        while true {
            let progress = RolloutProgress(try await client.get(path), name: name)
            if progress.line != last { Terminal.print(progress.line) }
            last = progress.line
            switch progress.state {
            case .done: return true
            case .failed: return false
            case .underWay: if arguments.isSet("no-wait") { return true }
            }
            if let deadline, .now >= deadline {
                Terminal.complain("the rollout of deployment \"\(name)\" did not end within \(limit) s")
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

    /// The ReplicaSets that the Deployment owns, oldest first.
    private func revisions(of deployment: Value) async throws -> [Revision] {
        let uid = deployment.at("metadata", "uid")
        let sets = try await client.get(APIPath.of(ResourceTypes.replicaSets, namespace: namespace)).list("items")
        return sets.compactMap { set -> Revision? in
            let owners = set["metadata"]?.list("ownerReferences") ?? []
            let notes = set.at("metadata", "annotations")
            guard owners.contains(where: { $0["uid"] == uid }),
                let number = notes?.text(Self.revision).flatMap(Int.init),
                var template = set.at("spec", "template")
            else { return nil }
            template.set(["metadata", "labels", "pod-template-hash"], nil)
            return Revision(number: number, template: template, cause: notes?.text(Self.cause) ?? "<none>")
        }.sorted { $0.number < $1.number }
    }

    private func history() async throws {
        var table = TextTable(["REVISION", "CHANGE-CAUSE"])
        for revision in try await revisions(of: try await client.get(path)) {
            table.rows.append(["\(revision.number)", revision.cause])
        }
        Terminal.print("deployment/\(name)\n" + table.text())
    }

    private func undo(to wanted: Int) async throws {
        var deployment = try await client.get(path)
        guard deployment.at("spec", "paused") != .bool(true) else {
            throw CommandError("deployment \"\(name)\" is paused: weft rollout resume deployment/\(name) first")
        }
        let known = try await revisions(of: deployment)
        let current = deployment.at("metadata", "annotations")?.text(Self.revision).flatMap(Int.init) ?? 0
        let found = wanted > 0 ? known.first { $0.number == wanted } : known.last { $0.number < current }
        guard let found else {
            let what = wanted > 0 ? "no revision \(wanted)" : "no revision before \(current)"
            let there = known.map { "\($0.number)" }.joined(separator: ", ")
            throw CommandError("deployment \"\(name)\" has \(what); there are: \(there)")
        }
        guard found.number != current else {
            Terminal.print("deployment/\(name) skipped: it has revision \(current) already")
            return
        }
        deployment.set(["spec", "template"], found.template)
        _ = try await client.put(path, deployment)
        Terminal.print("deployment/\(name) rolled back to revision \(found.number)")
    }
}

/// How far a Deployment's rollout got, in kubectl's words.
struct RolloutProgress: Equatable {
    enum State: Equatable { case underWay, done, failed }

    let state: State
    let line: String

    init(_ deployment: Value, name: String) {
        let status = deployment["status"] ?? .null
        let wanted = deployment.at("spec", "replicas")?.intValue ?? 1
        func count(_ field: String) -> Int { status[field]?.intValue ?? 0 }
        func waiting(_ text: String) -> (State, String) {
            (.underWay, "Waiting for deployment \"\(name)\" rollout to finish: \(text)...")
        }
        let hasTimedOut = status.list("conditions").contains {
            $0.text("type") == "Progressing" && $0.text("reason") == "ProgressDeadlineExceeded"
        }
        let (updated, all, available) = (count("updatedReplicas"), count("replicas"), count("availableReplicas"))
        let isSeen = count("observedGeneration") >= deployment.at("metadata", "generation")?.intValue ?? 0
        (state, line) =
            if !isSeen {
                (.underWay, "Waiting for deployment spec update to be observed...")
            } else if hasTimedOut {
                (.failed, "deployment \"\(name)\" exceeded its progress deadline; see weft get events")
            } else if updated < wanted {
                waiting("\(updated) out of \(wanted) new replicas have been updated")
            } else if all > updated {
                waiting("\(all - updated) old replicas are pending termination")
            } else if available < updated {
                waiting("\(available) of \(updated) updated replicas are available")
            } else {
                (.done, "deployment \"\(name)\" successfully rolled out")
            }
    }
}
