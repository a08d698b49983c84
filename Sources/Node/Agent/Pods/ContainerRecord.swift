package import Resources
package import Wire

/// What the agent knows of one container of a pod, and what of it stands in the pod's status.
///
/// Pure.
package struct ContainerRecord: Sendable {
    package enum State: Sendable, Equatable {
        case waiting(reason: String, message: String)
        case running(startedAt: Timestamp)
        case terminated(Termination)
    }

    package struct Termination: Sendable, Equatable {
        package var exitCode: Int
        package var signal: Int
        package var reason: String
        package var message: String
        package var startedAt: Timestamp?
        package var finishedAt: Timestamp

        package init(
            exitCode: Int,
            signal: Int = 0,
            reason: String? = nil,
            message: String = "",
            startedAt: Timestamp?,
            finishedAt: Timestamp
        ) {
            self.exitCode = exitCode
            self.signal = signal
            self.reason = reason ?? (exitCode == 0 ? "Completed" : "Error")
            self.message = message
            self.startedAt = startedAt
            self.finishedAt = finishedAt
        }
    }

    package let name: String
    package let image: String
    package var state: State = .waiting(reason: "ContainerCreating", message: "")
    package var lastTermination: Termination?
    package var restartCount = 0
    /// Its startup probe has passed, or it has none.
    package var isStarted = false
    /// Its readiness probe has passed, or it has none.
    package var isProbedReady = false
    /// Which image it is, exactly.
    package var imageID = ""

    package init(_ container: Container) {
        name = container.name
        image = container.image
    }

    package var isRunning: Bool {
        if case .running = state { return true }
        return false
    }

    package var isReady: Bool { isRunning && isStarted && isProbedReady }

    package var termination: Termination? {
        guard case .terminated(let termination) = state else { return nil }
        return termination
    }

    /// Moves on; a termination that is left behind is remembered as the last state.
    package mutating func enter(_ new: State) {
        if case .terminated(let termination) = state { lastTermination = termination }
        state = new
        if !isRunning {
            isStarted = false
            isProbedReady = false
        }
    }

    /// The entry of `containerStatuses`.
    package var value: Value {
        var value: Value = ["name": .string(name), "image": .string(image)]
        value["state"] = stateValue
        value["lastState"] = lastTermination.map { ["terminated": Self.value($0)] } ?? [:]
        value["ready"] = .bool(isReady)
        value["started"] = .bool(isRunning && isStarted)
        value["restartCount"] = .int(Int64(restartCount))
        value["imageID"] = .string(imageID)
        return value
    }

    private var stateValue: Value {
        switch state {
        case .waiting(let reason, let message):
            var waiting: Value = ["reason": .string(reason)]
            if !message.isEmpty { waiting["message"] = .string(message) }
            return ["waiting": waiting]
        case .running(let start): return ["running": ["startedAt": .string(start.description)]]
        case .terminated(let termination): return ["terminated": Self.value(termination)]
        }
    }

    private static func value(_ termination: Termination) -> Value {
        var value: Value = [
            "exitCode": .int(Int64(termination.exitCode)), "reason": .string(termination.reason),
            "finishedAt": .string(termination.finishedAt.description),
        ]
        if termination.signal != 0 { value["signal"] = .int(Int64(termination.signal)) }
        if !termination.message.isEmpty { value["message"] = .string(termination.message) }
        if let start = termination.startedAt { value["startedAt"] = .string(start.description) }
        return value
    }
}
