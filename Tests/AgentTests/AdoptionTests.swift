import Resources
import Sandbox
import Testing
import Wire

@testable import Agent

@Suite("Taking over what an earlier weft left")
struct AdoptionTests {
    static let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 0)

    @Test("a claimed address is not given again until it is given back, and new ones lie behind it")
    func claims() {
        var pool = AddressPool()
        let isFirst = pool.claim("10.244.0.9")
        let isSecond = pool.claim("10.244.0.9")
        #expect(isFirst && !isSecond)
        for strange in [
            "10.245.0.9", "10.244.0.1", "10.244.255.255", "10.244.0", "10.244.0.9.1", "a.b.c.d", "10.244.0.999",
        ] {
            let isTaken = pool.claim(strange)
            #expect(!isTaken, "\(strange)")
        }
        let next = pool.take()
        #expect(next == "10.244.0.10")
        pool.give(back: "10.244.0.9")
        let isFree = pool.claim("10.244.0.9")
        #expect(isFree)
    }

    static let running: Value = [
        "phase": "Running", "podIP": "10.244.0.2", "podIPs": [["ip": "10.244.0.2"]],
        "conditions": [["type": "Ready", "status": "True", "lastTransitionTime": "2023-01-01T00:00:00Z"]],
        "containerStatuses": [
            [
                "name": "a", "ready": true, "started": true, "restartCount": 2,
                "state": ["running": ["startedAt": "2023-01-01T00:00:00Z"]],
            ],
            ["name": "b", "restartCount": 0, "state": ["waiting": ["reason": "CrashLoopBackOff"]]],
        ],
    ]

    @Test("a pod that ran and does not any more is not taken for ready, and its containers ended unseen")
    func interrupts() {
        let status = PodStatus(InterruptedStatus.status(from: Self.running, now: Self.time))
        #expect(!status.isReady && status.podIP.isEmpty && status.phase == "Pending")
        let first = status.containerStatuses[0]
        #expect(!first.ready && first.restartCount == 2)
        guard case .terminated(let ended)? = first.lastState else {
            Issue.record("\(first.value)")
            return
        }
        #expect(ended.exitCode == 255 && ended.reason == "Unknown" && ended.finishedAt == Self.time)
        #expect(InterruptedStatus.status(from: nil, now: Self.time) == ["phase": "Pending"])
    }

    private func builder() -> PodStatusBuilder {
        let spec = PodSpec(["containers": [["name": "a", "image": "i"], ["name": "b", "image": "i"]]])
        return PodStatusBuilder(spec: spec, initContainers: [], containers: spec.containers.map(ContainerRecord.init))
    }

    @Test("a pod that begins again counts a restart for what ran, none for what never did")
    func begins() {
        let interrupted = InterruptedStatus.status(from: Self.running, now: Self.time)
        var again = builder()
        let slots = again.begin(after: PodStatus(interrupted))
        #expect(slots["a"]?.attempt == 3 && slots["b"]?.attempt == 0)
        #expect(again.containers.map(\.restartCount) == [3, 0])
        #expect(again.containers[0].lastTermination?.exitCode == 255)
    }

    @Test("a pod that runs on keeps its readiness, and what its init knows counts more than the stored number")
    func restores() {
        var kept = builder()
        let run = ContainerRun("a\n4\nrunning\n7\n1700000000000000000\n0\n0\n0\n0")
        let slots = kept.restore(PodStatus(Self.running), run.map { [$0] } ?? [])
        #expect(kept.containers[0].isReady && kept.containers[0].restartCount == 4)
        #expect(slots["a"]?.adopted?.pid == 7 && slots["a"]?.attempt == 4 && slots["b"]?.adopted == nil)
        #expect(kept.containers[1].state == .waiting(reason: "CrashLoopBackOff", message: ""))
    }

    @Test("the back-off goes on where it was")
    func backsOff() {
        var fresh = RestartBackOff()
        for restarts in 0..<12 {
            var again = RestartBackOff(restarts: restarts)
            let (after, before) = (again.delay(afterRunOf: .zero), fresh.delay(afterRunOf: .zero))
            #expect(after == before, "after \(restarts) restarts")
        }
    }
}
