import Controllers
import Resources
import Testing
import Wire

@Suite("Job arithmetic")
struct JobArithmeticTests {
    @Test(
        "pods to make or to delete",
        arguments: [
            // completions, parallelism, succeeded, active, ending, failed indexes -> missing
            (1, 1, 0, 0, 0, 0, 1), (1, 1, 0, 1, 0, 0, 0), (5, 2, 0, 0, 0, 0, 2), (5, 2, 4, 0, 0, 0, 1),
            (5, 2, 4, 1, 0, 0, 0), (5, 2, 5, 0, 0, 0, 0), (5, 2, 4, 2, 0, 0, -1), (5, 0, 0, 3, 0, 0, -3),
            (5, 3, 0, 1, 2, 0, 0), (5, 3, 0, 1, 1, 0, 1), (5, 5, 2, 0, 0, 2, 1), (3, 10, 0, 0, 0, 0, 3),
            (0, 1, 0, 0, 0, 0, 0),
        ]
    )
    func missing(_ c: Int, _ p: Int, _ s: Int, _ a: Int, _ e: Int, _ f: Int, _ wanted: Int) {
        let job = JobArithmetic(parallelism: p, completions: c, succeeded: s, active: a, ending: e, failedIndexes: f)
        #expect(job.missing == wanted)
    }

    @Test("without a number of completions one success ends the making of pods, not those that run")
    func queue() {
        #expect(JobArithmetic(parallelism: 3, completions: nil).missing == 3)
        let job = JobArithmetic(parallelism: 3, completions: nil, succeeded: 1, active: 2)
        #expect(job.missing == 0)
        #expect(!job.isComplete)
        #expect(JobArithmetic(parallelism: 3, completions: nil, succeeded: 1).isComplete)
        #expect(!JobArithmetic(parallelism: 0, completions: nil).isComplete)
    }

    @Test("complete when enough succeeded and nothing runs on")
    func complete() {
        #expect(JobArithmetic(parallelism: 1, completions: 2, succeeded: 2).isComplete)
        #expect(!JobArithmetic(parallelism: 1, completions: 2, succeeded: 2, active: 1).isComplete)
        #expect(JobArithmetic(parallelism: 1, completions: 0).isComplete)
    }

    @Test("the lowest free indexes come next")
    func indexes() {
        let next = JobArithmetic.nextIndexes(
            count: 3,
            completions: 8,
            done: IndexRanges([0, 1]),
            failed: IndexRanges([3]),
            active: [2, 5]
        )
        #expect(next == [4, 6, 7])
    }

    @Test("the wait after failures doubles from 10 s to 10 minutes, and a success forgets it")
    func backOff() throws {
        #expect((0...9).map { JobBackOff.delay(failures: $0) } == [0, 10, 20, 40, 80, 160, 320, 600, 600, 600])
        #expect(JobBackOff.delay(failures: .max) == 600)
        let now = try #require(Timestamp("2026-01-01T00:01:00Z"))
        let failures = [now.adding(seconds: -30), now.adding(seconds: -5)]
        #expect(JobBackOff.remaining(failures: failures, successes: [], now: now) == 15)
        let success = now.adding(seconds: -10)
        #expect(JobBackOff.remaining(failures: failures, successes: [success], now: now) == 5)
        #expect(JobBackOff.remaining(failures: failures, successes: [now], now: now) == 0)
        // The clock was set back: never longer than the wait itself.
        #expect(JobBackOff.remaining(failures: [now.adding(seconds: 900)], successes: [], now: now) == 10)
    }

    @Test(
        "indexes as text",
        arguments: [("0", [0]), ("0,1", [0, 1]), ("0-2", [0, 1, 2]), ("0,2-4,7", [0, 2, 3, 4, 7])]
    )
    func ranges(_ text: String, _ numbers: [Int]) {
        #expect(IndexRanges(numbers).description == text)
        #expect(IndexRanges(text: text, below: 8) == IndexRanges(numbers))
        #expect(numbers.allSatisfy(IndexRanges(numbers).contains))
        #expect(IndexRanges(numbers).count == numbers.count)
    }

    @Test(
        "texts that are no indexes",
        arguments: ["-", "1-", "2-1", "1,1", "3,1", "a", "1,,2", "9", "0-9", "+1", " 1"]
    )
    func noRanges(_ text: String) { #expect(IndexRanges(text: text, below: 9) == nil) }

    @Test("sets of indexes join and overlap")
    func sets() {
        let set = IndexRanges([1, 2, 5, 9])
        #expect(set.union([3, 4]).description == "1-5,9")
        #expect(set.union([]) == set)
        #expect(set.commonCount(IndexRanges([0, 2, 5, 6, 7, 8, 9])) == 3)
        #expect(!set.contains(0) && !set.contains(4) && !set.contains(10))
    }
}

@Suite("Job rules")
struct JobRuleTests {
    private func pod(exit code: Int, container: String = "main", condition: String? = nil) -> Object {
        var pod = Object(ResourceTypes.pods, namespace: "default", name: "p")
        pod.status = [
            "phase": "Failed",
            "containerStatuses": [
                ["name": .string(container), "state": ["terminated": ["exitCode": .int(Int64(code))]]]
            ],
        ]
        if let condition {
            pod.value.set(["status", "conditions"], [["type": .string(condition), "status": "True"]])
        }
        return pod
    }

    private let rules: [Value] = [
        ["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]],
        [
            "action": "FailJob",
            "onExitCodes": ["containerName": "main", "operator": "In", "values": [3, 42]],
        ],
        ["action": "Count", "onExitCodes": ["operator": "In", "values": [5]]],
        ["action": "FailIndex", "onExitCodes": ["operator": "NotIn", "values": [7]]],
    ]

    @Test("the first rule that matches decides")
    func failures() {
        #expect(PodFailureVerdict(rules, pod: pod(exit: 42, condition: "DisruptionTarget")).action == .ignore)
        let verdict = PodFailureVerdict(rules, pod: pod(exit: 42))
        #expect(verdict.action == .failJob)
        #expect(
            verdict.message
                == "Container main for pod default/p failed with exit code 42 matching FailJob rule at index 1"
        )
        #expect(PodFailureVerdict(rules, pod: pod(exit: 42, container: "other")).action == .failIndex)
        #expect(PodFailureVerdict(rules, pod: pod(exit: 5)).action == .count)
        #expect(PodFailureVerdict(rules, pod: pod(exit: 7)).action == .count)
        // Code 0 is no failure, whatever a rule leaves out.
        #expect(PodFailureVerdict(rules, pod: pod(exit: 0)).action == .count)
    }

    @Test("success by indexes, by number, by both")
    func success() {
        let done = IndexRanges([0, 2, 3])
        func rule(_ rules: [Value]) -> Int? { JobSuccess.rule(rules, succeeded: done, completions: 5) }
        #expect(rule([["succeededIndexes": "0,2"]]) == 0)
        #expect(rule([["succeededIndexes": "0-2"]]) == nil)
        #expect(rule([["succeededIndexes": "0-2", "succeededCount": 2]]) == 0)
        #expect(rule([["succeededIndexes": "0-1"], ["succeededCount": 3]]) == 1)
        #expect(rule([["succeededCount": 4]]) == nil)
        #expect(rule([]) == nil)
    }
}
