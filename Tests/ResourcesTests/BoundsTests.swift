import Resources
import Testing
import Wire

@Suite("LimitRanges and ResourceQuotas")
struct BoundsTests {
    private func range(_ limits: String) throws -> LimitRules {
        LimitRules([try object("{apiVersion: v1, kind: LimitRange, metadata: {name: r}, spec: {limits: [\(limits)]}}")])
    }

    private func podSpec(_ resources: String) throws -> Value {
        try object("{apiVersion: v1, kind: Pod, spec: {containers: [{name: c, image: i, resources: \(resources)}]}}")
            .spec
    }

    @Test("what a container leaves out is filled in, its own limit first")
    func defaults() throws {
        let rules = try range("{type: Container, default: {cpu: 1, memory: 64Mi}, defaultRequest: {cpu: 100m}}")
        var bare = try podSpec("{}")
        let words = rules.fill(&bare)
        #expect(
            words == "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"
        )
        let resources = bare.list("containers")[0]["resources"]
        #expect(resources?.at("requests", "cpu") == "100m")
        #expect(resources?.at("requests", "memory") == "64Mi", "what is allowed is what is asked for")
        #expect(Quantity(resources?.at("limits", "cpu")) == Quantity(1))
        var own = try podSpec("{limits: {cpu: 2, memory: 1Gi}}")
        _ = rules.fill(&own)
        #expect(Quantity(own.list("containers")[0].at("resources", "requests", "cpu")) == Quantity(2))
        var full = try podSpec("{limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 1, memory: 1Gi}}")
        #expect(rules.fill(&full).isEmpty)
        var least = try podSpec("{}")
        _ = try range("{type: Container, min: {cpu: 50m}, max: {memory: 2Gi}}").fill(&least)
        #expect(least.list("containers")[0].at("resources", "requests", "cpu") == "50m")
        #expect(least.list("containers")[0].at("resources", "limits", "memory") == "2Gi")
    }

    @Test(
        "what is beyond the bounds is said in Kubernetes' words",
        arguments: [
            (
                "{type: Container, max: {cpu: '1'}}", "{limits: {cpu: '2'}, requests: {cpu: '1'}}",
                "maximum cpu usage per Container is 1, but limit is 2"
            ),
            (
                "{type: Container, max: {cpu: '1'}}", "{}",
                "maximum cpu usage per Container is 1.  No limit is specified"
            ),
            (
                "{type: Container, min: {memory: 64Mi}}", "{requests: {memory: 32Mi}}",
                "minimum memory usage per Container is 64Mi, but request is 32Mi"
            ),
            (
                "{type: Container, maxLimitRequestRatio: {cpu: '2'}}", "{limits: {cpu: 900m}, requests: {cpu: 300m}}",
                "cpu max limit to request ratio per Container is 2, but provided ratio is 3.0"
            ),
            (
                "{type: Pod, max: {memory: 1Gi}}", "{limits: {memory: 2Gi}}",
                "maximum memory usage per Pod is 1Gi, but limit is 2Gi"
            ),
        ]
    )
    func bounds(limits: String, resources: String, expected: String) throws {
        #expect(try range(limits).problems(ofPod: podSpec(resources)) == [expected])
    }

    @Test("a claim is held to its bounds")
    func claims() throws {
        let rules = try range("{type: PersistentVolumeClaim, max: {storage: 1Gi}, min: {storage: 1Mi}}")
        let claim: Value = ["resources": ["requests": ["storage": "2Gi"]]]
        #expect(
            rules.problems(ofClaim: claim)
                == ["maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"]
        )
        #expect(rules.problems(ofClaim: ["resources": ["requests": ["storage": "1Gi"]]]).isEmpty)
    }

    private func quota(_ spec: String) throws -> QuotaRules {
        QuotaRules(try object("{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: \(spec)}"))
    }

    private func pod(_ resources: String, _ more: String = "") throws -> Object {
        try object(
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {\(more)containers: [{name: c, image: i, resources: \(resources)}]}}"
        )
    }

    @Test("a pod counts once, with what it asks for, and no more when it has ended")
    func counts() throws {
        let rules = try quota("{hard: {pods: 3, requests.cpu: 2, limits.memory: 1Gi, count/pods: 9, services: 1}}")
        var one = try pod("{requests: {cpu: 500m}, limits: {memory: 64Mi}}")
        let used = rules.usage(of: [(ResourceTypes.pods, [one, one])])
        let texts = Dictionary(uniqueKeysWithValues: used.map { ($0.key, rules.text($0.value, $0.key)) })
        #expect(
            texts == ["pods": "2", "requests.cpu": "1", "limits.memory": "128Mi", "count/pods": "2", "services": "0"]
        )
        one.status = ["phase": "Failed"]
        #expect(rules.usage(of: one, ResourceTypes.pods) == ["count/pods": Quantity(1)])
    }

    @Test("beyond the quota, and without what it counts, nothing is made")
    func refusals() throws {
        let rules = try quota("{hard: {pods: 2, requests.cpu: 1}}")
        let two = ["pods": Quantity(2), "requests.cpu": Quantity("600m") ?? .zero]
        #expect(
            rules.refusal("q", try pod("{requests: {cpu: 500m}}"), replacing: nil, ResourceTypes.pods) { two }
                == "exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=2,requests.cpu=600m, "
                + "limited: pods=2,requests.cpu=1"
        )
        #expect(
            rules.refusal("q", try pod("{}"), replacing: nil, ResourceTypes.pods) { [:] }
                == "failed quota: q: must specify requests.cpu for: c"
        )
        let present = try pod("{requests: {cpu: 500m}}")
        #expect(rules.refusal("q", present, replacing: present, ResourceTypes.pods) { two } == nil)
    }

    @Test("scopes choose the pods that count")
    func scopes() throws {
        let best = try quota("{hard: {pods: 1}, scopes: [BestEffort]}")
        #expect(best.usage(of: try pod("{}"), ResourceTypes.pods) == ["pods": Quantity(1)])
        #expect(best.usage(of: try pod("{requests: {cpu: 1}}"), ResourceTypes.pods).isEmpty)
        let high = try quota(
            "{hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}}"
        )
        #expect(high.usage(of: try pod("{}", "priorityClassName: high, "), ResourceTypes.pods).count == 1)
        #expect(high.usage(of: try pod("{}", "priorityClassName: low, "), ResourceTypes.pods).isEmpty)
        let ends = try quota("{hard: {pods: 1}, scopes: [Terminating]}")
        #expect(ends.usage(of: try pod("{}", "activeDeadlineSeconds: 5, "), ResourceTypes.pods).count == 1)
        #expect(ends.usage(of: try pod("{}"), ResourceTypes.pods).isEmpty)
    }

    @Test("claims and Services count by class and kind")
    func others() throws {
        let rules = try quota(
            "{hard: {requests.storage: 1Gi, fast.storageclass.storage.k8s.io/requests.storage: 1Gi, services.nodeports: 2}}"
        )
        let claim = try object(
            "{apiVersion: v1, kind: PersistentVolumeClaim, spec: {storageClassName: slow, resources: {requests: {storage: 5Mi}}}}"
        )
        #expect(rules.usage(of: claim, ResourceTypes.volumeClaims) == ["requests.storage": Quantity("5Mi") ?? .zero])
        let service = try object(
            "{apiVersion: v1, kind: Service, spec: {type: NodePort, ports: [{port: 1, nodePort: 30001}, {port: 2, nodePort: 30002}]}}"
        )
        #expect(rules.usage(of: service, ResourceTypes.services) == ["services.nodeports": Quantity(2)])
    }
}
