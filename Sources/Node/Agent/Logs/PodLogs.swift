import CWeft
import Glibc
package import Resources
import Sandbox
package import Servers
package import Store

/// Reads the logs that the pod inits write: `pods/UID/logs/CONTAINER/ATTEMPT.log`, and its rotated forms.
package struct PodLogs: PodLogSource {
    private let stateDirectory: String
    private let store: any ObjectStore

    package init(stateDirectory: String, store: any ObjectStore) {
        self.stateDirectory = stateDirectory
        self.store = store
    }

    package func logs(
        of pod: Object,
        container: String,
        options: PodLogOptions
    ) async throws(APIError) -> AsyncThrowingStream<[UInt8], any Error> {
        let follower = try follower(of: pod, container: container, options: options)
        // The reader sets the pace: nothing is read ahead of it.
        return AsyncThrowingStream { await follower.next() }
    }

    func follower(of pod: Object, container: String, options: PodLogOptions) throws(APIError) -> LogFollower {
        let directory = "\(stateDirectory)/pods/\(pod.uid)/logs/\(container)"
        let attempts = Self.attempts(in: directory)
        guard let attempt = options.previous ? attempts.dropLast().last : attempts.last else {
            throw .badRequest(missing(pod, container, options.previous))
        }
        return LogFollower(
            directory: directory,
            attempt: attempt,
            options: options,
            key: ObjectKey(ResourceTypes.pods, namespace: pod.namespace, name: pod.name),
            uid: pod.uid,
            container: container,
            store: store
        )
    }

    private func missing(_ pod: Object, _ container: String, _ isPrevious: Bool) -> String {
        if isPrevious { return "previous terminated container \"\(container)\" in pod \"\(pod.name)\" not found" }
        let status = PodStatus(pod.status)
        let known = (status.containerStatuses + status.initContainerStatuses).first { $0.name == container }
        if case .waiting(let reason, let message)? = known?.state {
            let first = message.split(separator: "\n").first.map { ": \($0)" } ?? ""
            return "container \"\(container)\" in pod \"\(pod.name)\" is waiting to start: \(reason)\(first)"
        }
        return "container \"\(container)\" in pod \"\(pod.name)\" has no log"
    }

    /// The runs that have a log, oldest first.
    static func attempts(in directory: String) -> [Int] {
        listDirectory(directory).compactMap { $0.hasSuffix(".log") ? Int($0.dropLast(4)) : nil }.sorted()
    }
}
