import Controllers
import Resources
import Store
import Testing
import Wire

@Suite("Jobs on a real store", .timeLimit(.minutes(1)))
struct JobLoopTests {
    static func job(_ name: String, _ extra: Value = [:], restart: String = "Never") -> Object {
        var job = Object(ResourceTypes.jobs, namespace: "default", name: name)
        var spec = extra
        spec["template"] = [
            "spec": ["restartPolicy": .string(restart), "containers": [["name": "main", "image": "one"]]]
        ]
        job.spec = spec
        return job
    }

    /// Waits for the end of a Job; gives it and its condition.
    private func ended(_ kit: LoopKit, _ name: String) async throws -> (Object, Condition) {
        let all = try await kit.wait(ResourceTypes.jobs) { all in
            all.contains { $0.name == name && JobStatus($0.status).finish != nil }
        }
        let job = try #require(all.first { $0.name == name })
        return (job, try #require(JobStatus(job.status).finish))
    }

    private func index(_ pod: Object) -> Int { Int(pod.annotation(JobLabels.index) ?? "") ?? -1 }

    @Test("so many successes complete a Job, each is counted once, and its pods are free to go")
    func completes() async throws {
        try await LoopKit.run(fate: { _ in .ends(0) }) { kit in
            try await kit.store.create(Self.job("sum", ["completions": 5, "parallelism": 2]))
            let (job, finish) = try await ended(kit, "sum")
            #expect(finish.type == "Complete" && finish.reason == "CompletionsReached")
            #expect(JobStatus(job.status).succeeded == 5)
            #expect(JobStatus(job.status).completionTime != nil)
            #expect(JobStatus(job.status).conditions.map(\.type) == ["SuccessCriteriaMet", "Complete"])
            let pods = try await kit.store.list(ResourceTypes.pods)
            #expect(pods.count == 5)
            #expect(pods.allSatisfy { $0.finalizers.isEmpty && $0.label(JobLabels.name) == "sum" })
            #expect(pods.allSatisfy { $0.label(JobLabels.controller) == job.uid })
            try await kit.store.delete(kit.key(ResourceTypes.jobs, "sum"))
            try await kit.wait(ResourceTypes.pods) { $0.isEmpty }
        }
    }

    @Test("a failure beyond the limit ends a Job, which says why")
    func fails() async throws {
        try await LoopKit.run(fate: { _ in .ends(3) }) { kit in
            try await kit.store.create(Self.job("bad", ["backoffLimit": 0]))
            let (job, finish) = try await ended(kit, "bad")
            #expect(finish.type == "Failed" && finish.reason == "BackoffLimitExceeded")
            #expect(JobStatus(job.status).failed == 1)
            #expect(job.status["completionTime"] == nil)
        }
    }

    @Test("an Indexed Job runs every index once, with its number as label, annotation, host name and variable")
    func indexed() async throws {
        try await LoopKit.run(fate: { _ in .ends(0) }) { kit in
            let extra: Value = ["completions": 4, "parallelism": 3, "completionMode": "Indexed"]
            try await kit.store.create(Self.job("parts", extra))
            let (job, finish) = try await ended(kit, "parts")
            #expect(finish.type == "Complete")
            #expect(job.status["completedIndexes"] == "0-3")
            let pods = try await kit.store.list(ResourceTypes.pods)
            #expect(pods.map(index).sorted() == [0, 1, 2, 3])
            for pod in pods {
                #expect(PodSpec(pod.spec).hostname == "parts-\(index(pod))")
                #expect(PodSpec(pod.spec).containers[0].env.map(\.name) == ["JOB_COMPLETION_INDEX"])
            }
        }
    }

    @Test("a limit for each index lets the others run to their end")
    func perIndex() async throws {
        let fate: @Sendable (Object) -> LoopKit.Fate = { $0.annotation(JobLabels.index) == "1" ? .ends(1) : .ends(0) }
        try await LoopKit.run(fate: fate) { kit in
            let extra: Value = [
                "completions": 3, "parallelism": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
            ]
            try await kit.store.create(Self.job("parts", extra))
            let (job, finish) = try await ended(kit, "parts")
            #expect(finish.type == "Failed" && finish.reason == "FailedIndexes")
            #expect(job.status["completedIndexes"] == "0,2")
            #expect(job.status["failedIndexes"] == "1")
            #expect(JobStatus(job.status).failed == 1)
        }
    }

    @Test("rules by exit code: fail at once, or do not count")
    func policy() async throws {
        try await LoopKit.run(fate: { _ in .ends(42) }) { kit in
            let rule: Value = ["action": "FailJob", "onExitCodes": ["operator": "In", "values": [42]]]
            try await kit.store.create(Self.job("rules", ["podFailurePolicy": ["rules": [rule]]]))
            let (job, finish) = try await ended(kit, "rules")
            #expect(finish.reason == "PodFailurePolicy")
            #expect(finish.message.contains("failed with exit code 42 matching FailJob rule at index 0"))
            #expect(JobStatus(job.status).failed == 1)
        }
    }

    @Test("enough indexes by the success policy end the rest")
    func successPolicy() async throws {
        let fate: @Sendable (Object) -> LoopKit.Fate = { $0.annotation(JobLabels.index) == "0" ? .ends(0) : .ready }
        try await LoopKit.run(fate: fate) { kit in
            let extra: Value = [
                "completions": 3, "parallelism": 3, "completionMode": "Indexed",
                "successPolicy": ["rules": [["succeededIndexes": "0"]]],
            ]
            try await kit.store.create(Self.job("leader", extra))
            let (job, finish) = try await ended(kit, "leader")
            #expect(finish.type == "Complete" && finish.reason == "SuccessPolicy")
            #expect(job.status["completedIndexes"] == "0")
            try await kit.wait(ResourceTypes.pods) { $0.count == 1 }
        }
    }

    @Test("suspending ends the pods without counting them, resuming begins again")
    func suspend() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(Self.job("pause", ["completions": 2, "parallelism": 2, "suspend": true]))
            try await kit.wait(ResourceTypes.jobs) {
                JobStatus($0.first?.status ?? .null).conditions.first(ofType: "Suspended")?.isTrue == true
            }
            #expect(try await kit.store.list(ResourceTypes.pods).isEmpty)
            func set(suspended: Bool) async throws {
                try await kit.store.modify(kit.key(ResourceTypes.jobs, "pause")) { (job) throws(APIError) in
                    job.value.set(["spec", "suspend"], .bool(suspended))
                }
            }
            try await set(suspended: false)
            try await kit.wait(ResourceTypes.jobs) { JobStatus($0.first?.status ?? .null).active == 2 }
            try await set(suspended: true)
            try await kit.wait(ResourceTypes.pods) { $0.isEmpty }
            let all = try await kit.wait(ResourceTypes.jobs) {
                let status = JobStatus($0.first?.status ?? .null)
                return status.active == 0 && status.conditions.first(ofType: "Suspended")?.isTrue == true
            }
            #expect(JobStatus(all[0].status).failed == 0)
        }
    }

    @Test("a Job that is over is deleted when its time is")
    func expires() async throws {
        try await LoopKit.run(fate: { _ in .ends(0) }) { kit in
            try await kit.store.create(Self.job("short", ["ttlSecondsAfterFinished": 0]))
            try await kit.wait(ResourceTypes.pods) { !$0.isEmpty }
            try await kit.wait(ResourceTypes.jobs) { $0.isEmpty }
            try await kit.wait(ResourceTypes.pods) { $0.isEmpty }
        }
    }

    @Test("a pod that is deleted under its Job counts as failed and is made up for after the wait")
    func deletedPod() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(Self.job("lone", ["backoffLimit": 0]))
            let pods = try await kit.wait(ResourceTypes.pods) { $0.count == 1 && PodStatus($0[0].status).isReady }
            _ = try await kit.store.delete(
                kit.key(ResourceTypes.pods, pods[0].name),
                DeleteOptions(gracePeriodSeconds: 0)
            )
            let (job, finish) = try await ended(kit, "lone")
            #expect(finish.reason == "BackoffLimitExceeded")
            #expect(JobStatus(job.status).failed == 1)
        }
    }

    @Test("a Job's deadline ends it while its pods run")
    func deadline() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(Self.job("long", ["activeDeadlineSeconds": 1]))
            let (_, finish) = try await ended(kit, "long")
            #expect(finish.reason == "DeadlineExceeded")
            try await kit.wait(ResourceTypes.pods) { $0.isEmpty }
        }
    }

    @Test("a CronJob makes Jobs by the clock, keeps the last of them, and says what it did")
    func cronJob() async throws {
        try await LoopKit.run(fate: { _ in .ends(0) }) { kit in
            var cron = Object(ResourceTypes.cronJobs, namespace: "default", name: "tick")
            cron.spec = [
                "schedule": "@every 1s", "successfulJobsHistoryLimit": 1,
                "jobTemplate": ["metadata": ["labels": ["a": "b"]], "spec": Self.job("x").spec],
            ]
            try await kit.store.create(cron)
            var seen: Set<String> = []
            try await kit.wait(ResourceTypes.jobs) { jobs in
                seen.formUnion(jobs.map(\.name))
                return seen.count >= 3 && jobs.count <= 2
            }
            let job = try #require(try await kit.store.list(ResourceTypes.jobs).first)
            #expect(job.label("a") == "b" && job.annotation(JobLabels.scheduled) != nil)
            #expect(job.controller?.name == "tick")
            let all = try await kit.wait(ResourceTypes.cronJobs) { $0.first?.status["lastSuccessfulTime"] != nil }
            #expect(all[0].status["lastScheduleTime"] != nil)
        }
    }

    @Test("Forbid waits for the Job that runs, Replace ends it")
    func concurrency() async throws {
        try await LoopKit.run { kit in
            for (name, policy) in [("wait", "Forbid"), ("swap", "Replace")] {
                var cron = Object(ResourceTypes.cronJobs, namespace: "default", name: name)
                cron.spec = [
                    "schedule": "@every 1s", "concurrencyPolicy": .string(policy),
                    "jobTemplate": ["spec": Self.job("x").spec],
                ]
                try await kit.store.create(cron)
            }
            var swapped: Set<String> = []
            var waiting: Set<String> = []
            try await kit.wait(ResourceTypes.jobs) { jobs in
                swapped.formUnion(jobs.map(\.name).filter { $0.hasPrefix("swap") })
                waiting.formUnion(jobs.map(\.name).filter { $0.hasPrefix("wait") })
                return swapped.count >= 3
            }
            #expect(waiting.count == 1)
            try await kit.wait(ResourceTypes.events) { events in
                events.contains { $0.value.text("reason") == "JobAlreadyActive" }
            }
        }
    }
}
