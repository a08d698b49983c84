package import Resources
import Sandbox
import Store
import Wire

/// What an agent takes over from the one before it.
package struct Inheritance: Sendable {
    /// The pods that run on.
    package var places: [PodPlace] = []
    /// What could not be cleared away, each with its reason.
    package var problems: [String] = []
}

extension Agent {
    /// What of a dead pod's directory stays while its object is there: its logs, and volumes that live as long as the pod.
    private static let lasting: Set<String> = ["logs", "volumes"]

    /// Takes over the pods that an earlier agent left running, and clears away the others. Call once, before `run`.
    ///
    /// Pods that have to run and do not get a status that says so: nobody may take the old one for true.
    package func adopt() async throws(APIError) -> Inheritance {
        var inheritance = Inheritance()
        var pods: [String: Object] = [:]
        for pod in try await store.list(ResourceTypes.pods) where PodSpec(pod.spec).nodeName == settings.nodeName {
            pods[pod.uid] = pod
        }
        let directory = settings.stateDirectory
        let found = await withTaskGroup(of: (String, AdoptedPod?).self, returning: [(String, AdoptedPod?)].self) {
            group in
            for uid in listDirectory("\(directory)/pods") {
                group.addTask {
                    (uid, await PodSandbox.adopt("\(directory)/pods/\(uid)", hiddenDirectory: directory))
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for (uid, adopted) in found {
            let pod = pods[uid]
            if let pod, let adopted, !Self.isOver(pod), adopted.sandbox.spec.isolation == settings.isolation,
                addresses.claim(adopted.sandbox.spec.address)
            {
                adoptions[uid] = adopted
                var plain = makePlain(pod, adopted.sandbox.spec.address)
                let listeners = plain == nil ? [] : (try? await adopted.sandbox.listeners()) ?? []
                plain?.sockets.listeners = listeners.map { PodSockets.Place(address: $0.address, port: $0.port) }
                inheritance.places.append(PodPlace(adopted.sandbox, plain))
                continue
            }
            let kept: Set<String> = pod == nil ? [] : pod.map(Self.isOver) == true ? ["logs"] : Self.lasting
            do throws(SandboxError) {
                try await Leftovers.clear(uid, stateDirectory: directory, keeping: kept)
            } catch { inheritance.problems.append(error.message) }
        }
        for pod in pods.values where adoptions[pod.uid] == nil && !Self.isOver(pod) {
            do throws(APIError) { try await interrupt(pod) } catch {
                // The disk is full. The pod's worker writes its status until there is room.
                guard error.reason == .insufficientStorage else { throw error }
                inheritance.problems.append("pod \(pod.namespace)/\(pod.name): \(error.message)")
            }
        }
        return inheritance
    }

    static func isOver(_ pod: Object) -> Bool { ["Succeeded", "Failed"].contains(PodStatus(pod.status).phase) }

    /// Says of a pod that ran when weft or the machine went down that it does not run any more.
    private func interrupt(_ pod: Object) async throws(APIError) {
        let status = InterruptedStatus.status(from: pod.status, now: now())
        guard status != pod.status else { return }
        let key = ObjectKey(ResourceTypes.pods, namespace: pod.namespace, name: pod.name)
        do throws(APIError) {
            try await store.modifyStatus(key) { (object) throws(APIError) in
                guard object.uid == pod.uid else { throw .notFound(ResourceTypes.pods, object.name) }
                object.status = status
            }
        } catch { guard error.reason == .notFound else { throw error } }
    }

    /// Ends pods that were taken over and have no object any more.
    func dropAdoptions() async {
        let rest = adoptions
        adoptions = [:]
        for (uid, adopted) in rest {
            await adopted.sandbox.kill()
            try? await Leftovers.clear(uid, stateDirectory: settings.stateDirectory)
            addresses.give(back: adopted.sandbox.spec.address)
        }
    }
}

/// The status of a pod whose processes are gone without anybody having seen their end. Pure.
enum InterruptedStatus {
    static func status(from old: Value, now: Timestamp) -> Value {
        guard !old.isNull, old["containerStatuses"] != nil else { return ["phase": "Pending"] }
        var status = old
        status["phase"] = "Pending"
        status["podIP"] = nil
        status["podIPs"] = nil
        for field in ["initContainerStatuses", "containerStatuses"] {
            guard let containers = old[field]?.arrayValue else { continue }
            status[field] = .array(containers.map { container($0, now) })
        }
        var conditions: [Condition] = old.views("conditions")
        for type in ["Ready", "ContainersReady", "PodReadyToStartContainers"] {
            let text = "the pod did not survive the end of weft or of the machine"
            conditions.set(
                Condition(type: type, status: false, reason: "Interrupted", message: text, lastTransitionTime: now)
            )
        }
        status["conditions"] = .array(conditions.map(\.value))
        return status
    }

    /// A container that ran has ended in a way that nobody saw: code 255, reason Unknown, as a kubelet has it.
    private static func container(_ old: Value, _ now: Timestamp) -> Value {
        var container = old
        container["ready"] = false
        container["started"] = false
        if let running = old["state"]?["running"] {
            var ended: Value = ["exitCode": 255, "reason": "Unknown", "finishedAt": .string(now.description)]
            ended["startedAt"] = running["startedAt"]
            container["lastState"] = ["terminated": ended]
            container["state"] = ["waiting": ["reason": "ContainerCreating"]]
        } else if old["state"]?["waiting"] != nil {
            container["state"] = ["waiting": ["reason": "ContainerCreating"]]
        }
        return container
    }
}
