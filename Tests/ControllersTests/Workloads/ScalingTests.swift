import Controllers
import Resources
import Testing
import Wire

@Suite("Autoscaler arithmetic")
struct AutoscalerArithmeticTests {
    typealias Pod = AutoscalerArithmetic.Pod
    typealias Proposal = AutoscalerArithmetic.Proposal

    private func pods(_ usages: [Double?], request: Double = 1, _ state: Pod.State = .ready) -> [Pod] {
        usages.map { Pod(state, usage: $0, request: request) }
    }

    @Test(
        "by utilization: the ratio over the pods, rounded up, nothing within a tenth",
        arguments: [
            ([0.8, 0.8], 80.0, 2, 80.0), ([1.6, 1.6], 80, 4, 160), ([0.2, 0.2, 0.2, 0.2], 80, 1, 20),
            ([0.88, 0.88], 80, 2, 88), ([0.9, 0.9], 80, 3, 90), ([0.72, 0.72], 80, 2, 72),
            ([0.3, 0.5, 0.7], 50, 3, 50),
        ] as [([Double], Double, Int, Double)]
    )
    func utilization(_ usages: [Double], _ target: Double, _ wanted: Int, _ current: Double) {
        let proposal = AutoscalerArithmetic(replicas: usages.count).byUse(pods(usages), target: .utilization(target))
        #expect(proposal == Proposal(replicas: wanted, current: current))
    }

    @Test("by use per pod")
    func average() {
        let scaler = AutoscalerArithmetic(replicas: 3)
        #expect(scaler.byUse(pods([20, 40, 30]), target: .average(20)) == Proposal(replicas: 5, current: 30))
        #expect(scaler.byUse([], target: .average(20)) == nil)
        #expect(scaler.byUse(pods([nil, nil]), target: .average(20)) == nil)
        #expect(scaler.byUse(pods([1, 2], request: 0), target: .utilization(50)) == nil)
    }

    @Test("pods without a measure count nothing on the way up and all on the way down")
    func missing() {
        let scaler = AutoscalerArithmetic(replicas: 4)
        // Two at 200 % of the target: with two at nothing it is 100 %.
        #expect(scaler.byUse(pods([1, 1, nil, nil]), target: .utilization(50))?.replicas == 4)
        #expect(scaler.byUse(pods([1.5, 1.5, 1.5, nil]), target: .utilization(50))?.replicas == 9)
        // Three at 40 % of the target: with one at 100 % of its request it would be 80 %, which rises no further.
        #expect(scaler.byUse(pods([0.2, 0.2, 0.2, nil]), target: .utilization(50))?.replicas == 4)
        #expect(scaler.byUse(pods([0.1, 0.1, 0.1, nil]), target: .utilization(80))?.replicas == 2)
    }

    @Test("pods that are not ready count nothing on the way up, and are left out on the way down")
    func unready() {
        let scaler = AutoscalerArithmetic(replicas: 3)
        let starting = pods([nil], .unready)
        #expect(scaler.byUse(pods([1, 1]) + starting, target: .utilization(50))?.replicas == 4)
        #expect(scaler.byUse(pods([0.6, 0.6]) + starting, target: .utilization(50))?.replicas == 3)
        #expect(scaler.byUse(pods([0.2, 0.2]) + starting, target: .utilization(50))?.replicas == 1)
    }

    @Test("by one value, and by a sum")
    func values() {
        let scaler = AutoscalerArithmetic(replicas: 3)
        #expect(scaler.byValue(300, target: 100, readyPods: 3).replicas == 9)
        #expect(scaler.byValue(105, target: 100, readyPods: 3).replicas == 3)
        #expect(scaler.byValue(0, target: 100, readyPods: 3).replicas == 0)
        #expect(scaler.bySum(450, perPod: 100) == Proposal(replicas: 5, current: 150))
        #expect(scaler.bySum(310, perPod: 100).replicas == 3)
        #expect(scaler.bySum(1e30, perPod: 1).replicas == 1_000_000)
    }

    @Test("tolerances of each direction")
    func tolerance() {
        let scaler = AutoscalerArithmetic(replicas: 10, toleranceUp: 0, toleranceDown: 0.5)
        #expect(scaler.byValue(101, target: 100, readyPods: 10).replicas == 11)
        #expect(scaler.byValue(51, target: 100, readyPods: 10).replicas == 10)
    }

    @Test("of several metrics the largest counts; one without an answer keeps the number from falling")
    func several() throws {
        let two = Proposal(replicas: 2, current: 0)
        let five = Proposal(replicas: 5, current: 0)
        let found = try #require(AutoscalerArithmetic.choose([two, five], replicas: 3))
        #expect(found.replicas == 5 && found.index == 1)
        #expect(AutoscalerArithmetic.choose([nil, five], replicas: 3)?.replicas == 5)
        #expect(AutoscalerArithmetic.choose([nil, two], replicas: 3) == nil)
        #expect(AutoscalerArithmetic.choose([nil], replicas: 3) == nil)
    }
}

@Suite("Scaling behavior")
struct ScalingBehaviorTests {
    typealias Rules = ScalingBehavior.Rules
    private let start = Timestamp(seconds: 1_000_000)

    private func run(
        _ behavior: inout ScalingBehavior,
        _ wish: Int,
        from current: Int,
        at second: Int,
        bounds: ClosedRange<Int> = 1...100,
        up: Rules = .up,
        down: Rules = .down
    ) -> Int {
        let now = start.adding(seconds: second)
        let outcome = behavior.limit(wish, current: current, bounds: bounds, up: up, down: down, now: now)
        behavior.scaled(from: current, to: outcome.replicas, at: now)
        return outcome.replicas
    }

    @Test("upwards 4 pods or the double in 15 s, whichever is more")
    func up() {
        var behavior = ScalingBehavior()
        #expect(run(&behavior, 100, from: 1, at: 0) == 5)
        #expect(run(&behavior, 100, from: 5, at: 5) == 5)
        #expect(run(&behavior, 100, from: 5, at: 15) == 10)
        #expect(run(&behavior, 100, from: 10, at: 30) == 20)
        #expect(run(&behavior, 100, from: 20, at: 45) == 40)
    }

    @Test("downwards to the most that was wanted within five minutes")
    func down() {
        var behavior = ScalingBehavior()
        #expect(run(&behavior, 10, from: 10, at: 0) == 10)
        #expect(run(&behavior, 2, from: 10, at: 60) == 10)
        #expect(run(&behavior, 4, from: 10, at: 200) == 10)
        #expect(run(&behavior, 2, from: 10, at: 301) == 4)
        #expect(run(&behavior, 2, from: 4, at: 501) == 2)
    }

    @Test("policies downwards, and none")
    func policies() {
        let slow = Rules(window: 0, policies: [.init(pods: 2, period: 60), .init(percent: 10, period: 60)])
        var behavior = ScalingBehavior()
        #expect(run(&behavior, 1, from: 50, at: 0, down: slow) == 45)
        #expect(run(&behavior, 1, from: 45, at: 30, down: slow) == 45)
        #expect(run(&behavior, 1, from: 45, at: 60, down: slow) == 40)
        let least = Rules(window: 0, selection: .min, policies: slow.policies)
        var other = ScalingBehavior()
        #expect(run(&other, 1, from: 50, at: 0, down: least) == 48)
        var fixed = ScalingBehavior()
        #expect(run(&fixed, 1, from: 50, at: 0, down: Rules(window: 0, selection: .disabled, policies: [])) == 50)
        #expect(run(&fixed, 90, from: 50, at: 1, up: Rules(window: 0, selection: .disabled, policies: [])) == 50)
    }

    @Test("a window upwards waits for the least that was wanted")
    func windowUp() {
        let careful = Rules(window: 60, policies: [.init(percent: 900, period: 15)])
        var behavior = ScalingBehavior()
        #expect(run(&behavior, 3, from: 3, at: 0, up: careful) == 3)
        #expect(run(&behavior, 9, from: 3, at: 30, up: careful) == 3)
        #expect(run(&behavior, 6, from: 3, at: 61, up: careful) == 6)
    }

    @Test("bounds hold, and say so")
    func bounds() {
        var behavior = ScalingBehavior()
        let none = Rules(window: 0, policies: [.init(percent: 100, period: 15)])
        func limit(_ wish: Int, from current: Int) -> ScalingBehavior.Outcome {
            behavior.limit(wish, current: current, bounds: 2...5, up: .up, down: none, now: start)
        }
        let many = limit(50, from: 4)
        #expect(many.replicas == 5 && many.limit?.reason == "TooManyReplicas")
        behavior = ScalingBehavior()
        let few = limit(0, from: 4)
        #expect(few.replicas == 2 && few.limit?.reason == "TooFewReplicas")
        behavior = ScalingBehavior()
        #expect(limit(3, from: 3).limit == nil)
        // A clock that was set back forgets what lies ahead.
        behavior = ScalingBehavior()
        _ = behavior.limit(50, current: 5, bounds: 1...50, up: .up, down: .down, now: start.adding(seconds: 1000))
        #expect(behavior.limit(3, current: 5, bounds: 1...50, up: .up, down: .down, now: start).replicas == 3)
    }

    @Test("rules are read as they stand, the rest is usual")
    func reading() {
        #expect(Rules(nil, usual: .down) == .down)
        let read = Rules(
            ["selectPolicy": "Min", "policies": [["type": "Pods", "value": 1, "periodSeconds": 60]]],
            usual: .down
        )
        #expect(read == Rules(window: 300, selection: .min, policies: [.init(pods: 1, period: 60)]))
    }
}

@Suite("Disruption budgets")
struct DisruptionTests {
    @Test(
        "how many may go",
        arguments: [
            // minAvailable, maxUnavailable, pods, scale, healthy -> desired, allowed
            ("2", nil, 3, 3, 3, 2, 1), ("50%", nil, 3, 3, 3, 2, 1), ("100%", nil, 3, 3, 3, 3, 0),
            (nil, "1", 3, 3, 3, 2, 1), (nil, "1", 3, 3, 2, 2, 0), (nil, "30%", 4, 4, 4, 2, 2),
            (nil, "100%", 3, 3, 3, 0, 3),
            ("5", nil, 3, 3, 3, 5, 0), (nil, "0", 3, 3, 3, 3, 0), ("0", nil, 3, 3, 3, 0, 3), (nil, "1", 2, 4, 2, 3, 0),
            ("1", nil, 0, 0, 0, 1, 0),
        ] as [(String?, String?, Int, Int, Int, Int, Int)]
    )
    func arithmetic(
        _ low: String?,
        _ high: String?,
        _ pods: Int,
        _ scale: Int,
        _ healthy: Int,
        _ desired: Int,
        _ allowed: Int
    ) {
        func limit(_ text: String?) -> IntOrString? {
            text.map { text in Int(text).map(IntOrString.number) ?? .text(text) }
        }
        let budget = DisruptionArithmetic(
            minAvailable: limit(low),
            maxUnavailable: limit(high),
            pods: pods,
            scale: scale,
            healthy: healthy
        )
        #expect(budget.desired == desired && budget.allowed == allowed)
    }

    private let now = Timestamp(seconds: 1_000_000)

    private func pod(_ phase: String = "Running", ready: Bool = true) -> Object {
        var pod = Object(ResourceTypes.pods, namespace: "default", name: "web-1")
        pod.labels = ["app": "web"]
        pod.status = [
            "phase": .string(phase), "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
        ]
        return pod
    }

    private func budget(allowed: Int, healthy: Int = 2, desired: Int = 2, policy: String? = nil) -> Object {
        var budget = Object(ResourceTypes.disruptionBudgets, namespace: "default", name: "web")
        budget.generation = 3
        budget.spec = ["selector": ["matchLabels": ["app": "web"]]]
        if let policy { budget.value.set(["spec", "unhealthyPodEvictionPolicy"], .string(policy)) }
        budget.status = [
            "observedGeneration": 3, "disruptionsAllowed": .int(Int64(allowed)), "currentHealthy": .int(Int64(healthy)),
            "desiredHealthy": .int(Int64(desired)),
        ]
        return budget
    }

    private func refusal(_ eviction: Eviction) -> APIError? {
        guard case .deny(let error) = eviction else { return nil }
        return error
    }

    @Test("a budget that allows one remembers the pod and allows one less")
    func allowed() {
        guard case .allow(let written?) = Eviction(pod(), budgets: [budget(allowed: 1)], now: now) else {
            Issue.record("not allowed")
            return
        }
        #expect(written.status["disruptionsAllowed"] == 0)
        #expect(written.status["disruptedPods"]?.text("web-1") == now.description)
    }

    @Test("a budget that allows none refuses, and says why")
    func denied() {
        let error = refusal(Eviction(pod(), budgets: [budget(allowed: 0)], now: now))
        #expect(error?.code == 429)
        #expect(error?.message.contains("needs 2 healthy pods and has 2 currently") == true)
        var young = budget(allowed: 1)
        young.generation = 4
        let early = refusal(Eviction(pod(), budgets: [young], now: now))
        #expect(early?.details?.retryAfterSeconds == 10)
        #expect(refusal(Eviction(pod(), budgets: [budget(allowed: 1), budget(allowed: 1)], now: now))?.code == 500)
    }

    @Test("no budget stands before a pod that serves nobody")
    func free() {
        func isFree(_ pod: Object, _ budgets: [Object]) -> Bool {
            guard case .allow(nil) = Eviction(pod, budgets: budgets, now: now) else { return false }
            return true
        }
        #expect(isFree(pod(), []))
        for phase in ["Pending", "Succeeded", "Failed"] { #expect(isFree(pod(phase), [budget(allowed: 0)])) }
        #expect(isFree(pod(ready: false), [budget(allowed: 0)]))
        #expect(!isFree(pod(ready: false), [budget(allowed: 0, healthy: 1)]))
        #expect(isFree(pod(ready: false), [budget(allowed: 0, healthy: 1, policy: "AlwaysAllow")]))
        var other = budget(allowed: 0)
        other.spec = ["selector": ["matchLabels": ["app": "other"]]]
        #expect(isFree(pod(), [other]))
        // An empty selector chooses all pods, none at all chooses none.
        other.spec = ["selector": [:]]
        #expect(!isFree(pod(), [other]))
        other.spec = [:]
        #expect(isFree(pod(), [other]))
    }
}
