import Controllers
import Resources
import Testing
import Wire

@Suite("Where pods may stand")
struct PlacementTests {
    private let node: Object = {
        var node = Object(ResourceTypes.nodes, name: "weft")
        node.labels = ["kubernetes.io/hostname": "weft"]
        node.status = ["allocatable": ["cpu": "2", "memory": "1Gi", "pods": "5"]]
        return node
    }()

    private func pod(_ name: String, _ spec: Value = [:], cpu: String? = nil, priority: Int = 0) -> Object {
        var pod = Object(ResourceTypes.pods, namespace: "default", name: name)
        pod.labels = ["app": name]
        pod.value.set(["metadata", "creationTimestamp"], "2026-01-01T00:00:00Z")
        var spec = spec
        if spec["containers"] == nil { spec["containers"] = [["name": "main", "image": "a"]] }
        if let cpu { spec["containers"] = [["name": "main", "resources": ["requests": ["cpu": .string(cpu)]]]] }
        spec["priority"] = .int(Int64(priority))
        pod.spec = spec
        return pod
    }

    private func ledger(_ pods: [Object]) -> NodeLedger {
        var ledger = NodeLedger()
        for var pod in pods {
            pod.value.set(["spec", "nodeName"], "weft")
            _ = ledger.observe(ObjectKey(ResourceTypes.pods, namespace: "default", name: pod.name), pod)
        }
        return ledger
    }

    private func place(_ pod: Object, beside others: [Object], on node: Object? = nil) -> Placement {
        let key = ObjectKey(ResourceTypes.pods, namespace: "default", name: pod.name)
        let holding = NodeLedger.Holding(pod, key)
        return Placement(pod, holding, on: node ?? self.node, ledger(others), namespaces: { ["name": $0] })
    }

    @Test("a pod's demand is its containers' sum or its largest init step, with sidecars and overhead")
    func demand() {
        func container(_ cpu: String, _ policy: String? = nil) -> Value {
            var value: Value = ["name": "c", "resources": ["requests": ["cpu": .string(cpu)], "limits": ["cpu": "4"]]]
            if let policy { value["restartPolicy"] = .string(policy) }
            return value
        }
        let cases: [(Value, String)] = [
            (["containers": [container("100m"), container("200m")]], "300m"),
            (["containers": [container("100m")], "initContainers": [container("1")]], "1"),
            (["containers": [container("1")], "initContainers": [container("300m", "Always")]], "1300m"),
            (
                ["containers": [container("100m")], "initContainers": [container("1", "Always"), container("2")]], "3"
            ),
            (["containers": [container("100m")], "initContainers": [container("2"), container("1", "Always")]], "2"),
            (["containers": [container("1")], "overhead": ["cpu": "250m"]], "1250m"),
            (["containers": [container("1")], "resources": ["requests": ["cpu": "3"]]], "3"),
        ]
        for (spec, expected) in cases {
            #expect(PodDemand(spec)["cpu"] == Quantity(expected), "\(spec)")
        }
        #expect(PodDemand(["containers": [container("1")]], "limits")["cpu"] == Quantity("4"))
    }

    @Test("requests are held against what the machine has, with the scheduler's words")
    func resources() {
        #expect(place(pod("a", cpu: "1500m"), beside: [pod("b", cpu: "500m")]) == .fits)
        #expect(place(pod("a", cpu: "1501m"), beside: [pod("b", cpu: "500m")]) == .crowded(["Insufficient cpu"]))
        #expect(place(pod("a", cpu: "2001m"), beside: []) == .unfit(["Insufficient cpu"]))
        let greedy: Value = [
            "containers": [["name": "m", "resources": ["requests": ["cpu": "3", "memory": "2Gi", "x/gpu": "1"]]]]
        ]
        #expect(
            place(pod("a", greedy), beside: [])
                == .unfit(["Insufficient cpu", "Insufficient memory", "Insufficient x/gpu"])
        )
        let five = (0..<5).map { pod("p\($0)") }
        #expect(place(pod("a"), beside: five) == .crowded(["Too many pods"]))
        var ended = pod("e", cpu: "2")
        ended.status = ["phase": "Succeeded"]
        #expect(place(pod("a", cpu: "2"), beside: [ended]) == .fits)
        let text = Placement.sentence(["Insufficient memory", "Insufficient cpu"], preemption: nil)
        #expect(text == "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.")
    }

    @Test(
        "a port of the machine belongs to one pod",
        arguments: [
            ("", "TCP", "", "TCP", false), ("127.0.0.1", "TCP", "127.0.0.2", "TCP", true),
            ("127.0.0.1", "TCP", "0.0.0.0", "TCP", false), ("", "TCP", "", "UDP", true),
        ] as [(String, String, String, String, Bool)]
    )
    func ports(one: String, oneName: String, two: String, twoName: String, fits: Bool) {
        func spec(_ address: String, _ name: String) -> Value {
            let port: Value = [
                "containerPort": 80, "hostPort": 8080, "hostIP": .string(address), "protocol": .string(name),
            ]
            return ["containers": [["name": "m", "ports": [port]]]]
        }
        let found = place(pod("a", spec(one, oneName)), beside: [pod("b", spec(two, twoName))])
        #expect(
            found == (fits ? .fits : .crowded(["node(s) didn't have free ports for the requested pod ports"]))
        )
    }

    @Test("a cordoned machine takes only who tolerates it")
    func cordon() {
        var node = node
        node.spec = ["unschedulable": true]
        #expect(place(pod("a"), beside: [], on: node) == .unfit(["node(s) were unschedulable"]))
        let tolerant: Value = [
            "tolerations": [["key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"]]
        ]
        #expect(place(pod("a", tolerant), beside: [], on: node) == .fits)
    }

    @Test("how long a pod may stay under a taint that ends pods")
    func evictions() {
        let taints: [Value] = [["key": "down", "effect": "NoExecute"]]
        #expect(NodeFit.secondsLeft([:], under: taints) == 0)
        #expect(NodeFit.secondsLeft([:], under: []) == nil)
        let forever: Value = ["tolerations": [["key": "down", "operator": "Exists"]]]
        #expect(NodeFit.secondsLeft(forever, under: taints) == nil)
        let some: Value = ["tolerations": [["key": "down", "operator": "Exists", "tolerationSeconds": 7]]]
        #expect(NodeFit.secondsLeft(some, under: taints) == 7)
    }

    private func term(_ app: String, _ more: Value = [:], key: String = "kubernetes.io/hostname") -> Value {
        var term = more
        term["topologyKey"] = .string(key)
        term["labelSelector"] = ["matchLabels": ["app": .string(app)]]
        return term
    }

    private func affinity(_ kind: String, _ terms: [Value]) -> Value {
        var value: Value = [:]
        value.set(["affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution"], .array(terms))
        return value
    }

    @Test("pods stand beside those that they ask for, and not beside those that they or the others reject")
    func neighbours() {
        let likes = pod("a", affinity("podAffinity", [term("b")]))
        let unmet = Placement.unfit(["node(s) didn't match pod affinity rules"])
        #expect(place(likes, beside: []) == unmet)
        #expect(place(likes, beside: [pod("b")]) == .fits)
        #expect(place(pod("a", affinity("podAffinity", [term("a")])), beside: []) == .fits, "the first of its kind")
        #expect(place(pod("a", affinity("podAffinity", [term("b", key: "zone")])), beside: [pod("b")]) == unmet)
        let elsewhere = affinity("podAffinity", [term("b", ["namespaces": ["other"]])])
        #expect(place(pod("a", elsewhere), beside: [pod("b")]) == unmet)
        let selected = affinity("podAffinity", [term("b", ["namespaceSelector": ["matchLabels": ["name": "default"]]])])
        #expect(place(pod("a", selected), beside: [pod("b")]) == .fits)

        let hates = pod("a", affinity("podAntiAffinity", [term("b")]))
        #expect(place(hates, beside: [pod("c")]) == .fits)
        #expect(place(hates, beside: [pod("b")]) == .crowded(["node(s) didn't match pod anti-affinity rules"]))
        let wary = pod("b", affinity("podAntiAffinity", [term("a")]))
        let mutual = Placement.crowded(["node(s) didn't satisfy existing pods anti-affinity rules"])
        #expect(place(pod("a"), beside: [wary]) == mutual)
        #expect(place(hates, beside: [], on: Object(node.value)) == .fits)
    }

    @Test("one machine is one place: only a wish for more places, or for a place without a name, is refused")
    func spreading() {
        func spec(_ key: String, _ least: Int, _ mode: String = "DoNotSchedule") -> Value {
            let constraint: Value = [
                "maxSkew": 1, "topologyKey": .string(key), "whenUnsatisfiable": .string(mode),
                "minDomains": .int(Int64(least)), "labelSelector": ["matchLabels": ["app": "a"]],
            ]
            return ["topologySpreadConstraints": [constraint]]
        }
        let others = [pod("a")]
        #expect(place(pod("a", spec("kubernetes.io/hostname", 1)), beside: others) == .fits)
        let skewed = Placement.unfit(["node(s) didn't match pod topology spread constraints"])
        #expect(place(pod("a", spec("kubernetes.io/hostname", 2)), beside: []) == .fits)
        var second = pod("a", spec("kubernetes.io/hostname", 2))
        second.name = "a2"
        #expect(place(second, beside: others) == skewed)
        let nameless = Placement.unfit([
            "node(s) didn't match pod topology spread constraints (missing required label)"
        ])
        #expect(place(second, beside: []) == .fits)
        #expect(place(pod("a", spec("zone", 1)), beside: []) == nameless)
        #expect(place(pod("a", spec("zone", 1, "ScheduleAnyway")), beside: []) == .fits)
    }

    @Test("as few and as unimportant pods as possible go for an important one")
    func victims() {
        func victims(_ cpu: String, _ priority: Int, _ others: [Object], kept: Set<String> = []) -> [String]? {
            let pod = pod("new", cpu: cpu, priority: priority)
            let key = ObjectKey(ResourceTypes.pods, namespace: "default", name: "new")
            let holding = NodeLedger.Holding(pod, key)
            let found = Placement.victims(for: holding, in: ledger(others), isProtected: { kept.contains($0.key.name) })
            {
                Placement(pod, holding, on: node, $0, namespaces: { _ in [:] }) == .fits
            }
            return found?.map(\.name).sorted()
        }
        let low = pod("low", cpu: "1", priority: 1)
        let high = pod("high", cpu: "1", priority: 9)
        let others = [low, high, pod("tiny", cpu: "0", priority: 0)]
        #expect(victims("1", 5, others) == ["low"])
        #expect(victims("2", 5, others) == nil, "the important one stays")
        #expect(victims("2", 10, others) == ["high", "low"])
        #expect(victims("1", 1, others) == nil, "equals stay")
        let equals = [pod("b", cpu: "1"), pod("c", cpu: "1")]
        #expect(victims("1", 5, equals) == ["c"])
        #expect(victims("1", 5, equals, kept: ["c"]) == ["b"], "a budget's pods go last")
    }

    @Test("a ledger kept change by change has the sum of what stands in it")
    func sums() {
        var ledger = NodeLedger()
        func observe(_ pod: Object?, _ name: String, bound: Bool = true) -> Bool {
            var pod = pod
            if bound { pod?.value.set(["spec", "nodeName"], "weft") }
            return ledger.observe(ObjectKey(ResourceTypes.pods, namespace: "default", name: name), pod)
        }
        #expect(!observe(pod("a", cpu: "1"), "a", bound: false))
        #expect(ledger.waiting.count == 1)
        _ = observe(pod("a", cpu: "1"), "a")
        _ = observe(pod("b", cpu: "500m"), "b")
        #expect(ledger.waiting.isEmpty)
        #expect(ledger.sum["cpu"] == Quantity("1500m"))
        #expect(!observe(pod("b", cpu: "500m"), "b"), "nothing changed")
        var ended = pod("a", cpu: "1")
        ended.status = ["phase": "Failed"]
        #expect(observe(ended, "a"), "room came free")
        #expect(!observe(nil, "a"))
        #expect(observe(nil, "b"))
        #expect(ledger.sum == PodDemand())
    }
}
