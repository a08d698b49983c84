import Controllers
import Resources
import Testing
import Wire

@Suite("StatefulSet arithmetic")
struct StatefulSetArithmeticTests {
    typealias Pod = StatefulSetArithmetic.Pod

    private func set(_ replicas: Int, _ change: (inout StatefulSetArithmetic) -> Void = { _ in })
        -> StatefulSetArithmetic
    {
        var set = StatefulSetArithmetic(replicas: replicas, currentRevision: "a", updateRevision: "a")
        change(&set)
        return set
    }

    @Test("in order one pod after the other, each when the one before is ready")
    func grows() {
        #expect(set(3).steps([]) == [.create(ordinal: 0, revision: "a")])
        #expect(set(3).steps([Pod(0, "a", isReady: false)]).isEmpty)
        #expect(set(3).steps([Pod(0, "a", isAvailable: false)]).isEmpty)
        #expect(set(3).steps([Pod(0, "a")]) == [.create(ordinal: 1, revision: "a")])
        #expect(set(2).steps([Pod(0, "a"), Pod(1, "a")]).isEmpty)
        // A gap is filled before anything else.
        #expect(set(3).steps([Pod(1, "a"), Pod(2, "a")]) == [.create(ordinal: 0, revision: "a")])
    }

    @Test("in parallel all at once, those that are too many too")
    func parallel() {
        let two = set(2) { $0.isParallel = true }
        #expect(two.steps([]) == [.create(ordinal: 0, revision: "a"), .create(ordinal: 1, revision: "a")])
        let pods = [Pod(0, "a", isReady: false), Pod(2, "a"), Pod(3, "a", isEnding: true)]
        #expect(two.steps(pods) == [.create(ordinal: 1, revision: "a"), .remove(ordinal: 2)])
    }

    @Test("shrinking takes the highest number, one at a time, and waits for the others to be ready")
    func shrinks() {
        let pods = (0..<4).map { Pod($0, "a") }
        #expect(set(2).steps(pods) == [.remove(ordinal: 3)])
        #expect(set(2).steps([pods[0], pods[1], pods[2], Pod(3, "a", isEnding: true)]).isEmpty)
        #expect(set(2).steps([pods[0], Pod(1, "a", isReady: false), pods[2]]).isEmpty)
        #expect(set(0).steps([Pod(0, "a", isReady: false)]) == [.remove(ordinal: 0)])
    }

    @Test("numbers may begin above 0")
    func start() {
        let moved = set(2) { $0.start = 5 }
        #expect(moved.steps([Pod(5, "a")]) == [.create(ordinal: 6, revision: "a")])
        #expect(moved.steps([Pod(5, "a"), Pod(6, "a"), Pod(0, "a")]) == [.remove(ordinal: 0)])
    }

    @Test("a pod that ended is made anew; one that is ending is waited for")
    func ended() {
        #expect(set(1).steps([Pod(0, "a", hasEnded: true, isReady: false)]) == [.replace(ordinal: 0)])
        #expect(set(1).steps([Pod(0, "a", isEnding: true, hasEnded: true, isReady: false)]).isEmpty)
    }

    @Test("an update goes from the highest number down, each when the one before is ready again")
    func updates() {
        let new = set(3) { $0.updateRevision = "b" }
        #expect(new.steps((0..<3).map { Pod($0, "a") }) == [.replace(ordinal: 2)])
        #expect(new.steps([Pod(0, "a"), Pod(1, "a"), Pod(2, "b", isReady: false)]).isEmpty)
        #expect(new.steps([Pod(0, "a"), Pod(1, "a"), Pod(2, "b")]) == [.replace(ordinal: 1)])
        #expect(new.steps((0..<3).map { Pod($0, "b") }).isEmpty)
        #expect(new.steps([Pod(0, "b"), Pod(1, "b")]) == [.create(ordinal: 2, revision: "b")])
    }

    @Test("below the partition pods keep their revision, also when they are made anew")
    func partition() {
        let canary = set(3) {
            $0.updateRevision = "b"
            $0.partition = 2
        }
        #expect(canary.steps((0..<3).map { Pod($0, "a") }) == [.replace(ordinal: 2)])
        #expect(canary.steps([Pod(0, "a"), Pod(1, "a"), Pod(2, "b")]).isEmpty)
        #expect(canary.steps([Pod(0, "a"), Pod(2, "b")]) == [.create(ordinal: 1, revision: "a")])
        #expect(canary.steps([Pod(0, "a"), Pod(1, "a")]) == [.create(ordinal: 2, revision: "b")])
    }

    @Test("OnDelete leaves pods alone and makes new ones of the new revision")
    func onDelete() {
        let manual = set(2) {
            $0.updateRevision = "b"
            $0.updatesOnDelete = true
        }
        #expect(manual.steps([Pod(0, "a"), Pod(1, "a")]).isEmpty)
        #expect(manual.steps([Pod(0, "a")]) == [.create(ordinal: 1, revision: "b")])
    }

    @Test("maxUnavailable bounds an update, with those that are away already")
    func maxUnavailable() {
        let fast = set(4) {
            $0.updateRevision = "b"
            $0.maxUnavailable = 2
            $0.isParallel = true
        }
        #expect(fast.steps((0..<4).map { Pod($0, "a") }) == [.replace(ordinal: 3), .replace(ordinal: 2)])
        #expect(
            fast.steps([Pod(0, "a"), Pod(1, "a"), Pod(2, "a"), Pod(3, "b", isReady: false)]) == [.replace(ordinal: 2)]
        )
        #expect(
            fast.steps([Pod(0, "a"), Pod(1, "a"), Pod(2, "b", isReady: false), Pod(3, "a", isEnding: true)]).isEmpty
        )
    }

    @Test("an old pod that does not get ready does not hold up the update that may cure it")
    func cure() {
        let fixed = set(2) { $0.updateRevision = "b" }
        #expect(fixed.steps([Pod(0, "a", isReady: false)]) == [.replace(ordinal: 0)])
        #expect(fixed.steps([Pod(0, "b", isReady: false)]).isEmpty)
        let kept = set(2) {
            $0.updateRevision = "b"
            $0.partition = 1
        }
        #expect(kept.steps([Pod(0, "a", isReady: false)]).isEmpty)
    }
}

@Suite("DaemonSet arithmetic")
struct DaemonArithmeticTests {
    typealias Pod = DaemonArithmetic.Pod
    typealias Step = DaemonArithmetic.Step

    @Test("one pod where it belongs, none elsewhere")
    func one() {
        #expect(DaemonArithmetic().step([]) == Step(creates: true))
        #expect(DaemonArithmetic().step([Pod("a", isNew: true)]) == Step())
        #expect(DaemonArithmetic(belongsHere: false).step([]) == Step())
        let two = [Pod("a", isNew: true), Pod("b", isNew: false), Pod("c", isNew: true, isEnding: true)]
        #expect(DaemonArithmetic(belongsHere: false).step(two) == Step(deletes: ["a", "b"]))
        // The one that is ending still has the machine.
        #expect(DaemonArithmetic().step([Pod("a", isNew: false, isEnding: true)]) == Step())
    }

    @Test("of several equals the oldest that is available stays")
    func several() {
        let pods = [
            Pod("a", isNew: true, created: "2"), Pod("b", isNew: true, created: "1"),
            Pod("c", isNew: true, isAvailable: false, created: "0"),
        ]
        #expect(DaemonArithmetic().step(pods) == Step(deletes: ["a", "c"]))
    }

    @Test("an update ends the old pod first, or with a surge last")
    func updates() {
        let old = Pod("old", isNew: false)
        let young = Pod("new", isNew: true, isAvailable: false)
        #expect(DaemonArithmetic().step([old]) == Step(deletes: ["old"]))
        #expect(DaemonArithmetic(updatesOnDelete: true).step([old]) == Step())
        let surge = DaemonArithmetic(surges: true)
        #expect(surge.step([old]) == Step(creates: true))
        #expect(surge.step([old, young]) == Step())
        #expect(surge.step([old, Pod("new", isNew: true)]) == Step(deletes: ["old"]))
        #expect(surge.step([Pod("old", isNew: false, isAvailable: false), young]) == Step(deletes: ["old"]))
    }

    @Test("a pod that failed goes before another is made")
    func failed() {
        #expect(DaemonArithmetic().step([Pod("a", isNew: true, hasFailed: true)]) == Step(deletes: ["a"]))
    }

    @Test("labels, affinity and taints of the machine decide")
    func fit() {
        var node = Object(ResourceTypes.nodes, name: "weft")
        node.labels = ["os": "linux", "cores": "4"]
        func affinity(_ expression: Value) -> Value {
            [
                "affinity": [
                    "nodeAffinity": [
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            "nodeSelectorTerms": [["matchExpressions": [expression]]]
                        ]
                    ]
                ]
            ]
        }
        let good: [Value] = [
            [:], ["nodeSelector": ["os": "linux"]], affinity(["key": "os", "operator": "In", "values": ["linux"]]),
            affinity(["key": "cores", "operator": "Gt", "values": ["3"]]),
            affinity(["key": "gpu", "operator": "DoesNotExist"]),
        ]
        for spec in good { #expect(NodeFit.problem(spec, on: node) == nil) }
        let bad: [Value] = [
            ["nodeSelector": ["os": "linux", "disk": "fast"]],
            affinity(["key": "os", "operator": "NotIn", "values": ["linux"]]),
            affinity(["key": "cores", "operator": "Lt", "values": ["4"]]), affinity(["key": "os", "operator": "odd"]),
        ]
        for spec in bad { #expect(NodeFit.problem(spec, on: node) != nil) }
        node.spec = ["taints": [["key": "dedicated", "value": "db", "effect": "NoSchedule"]]]
        #expect(NodeFit.problem([:], on: node) == "node(s) had untolerated taint {dedicated: db}")
        let tolerations: [Value] = [
            ["operator": "Exists"], ["key": "dedicated", "operator": "Exists"], ["key": "dedicated", "value": "db"],
        ]
        for toleration in tolerations { #expect(NodeFit.problem(["tolerations": [toleration]], on: node) == nil) }
        let others: [Value] = [
            ["key": "dedicated", "value": "web"], ["key": "dedicated", "operator": "Exists", "effect": "NoExecute"],
        ]
        for toleration in others { #expect(NodeFit.problem(["tolerations": [toleration]], on: node) != nil) }
    }
}
