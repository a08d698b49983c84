import Controllers
import Resources
import Store
import Synchronization
import Testing
import Wire

/// Metrics that a test sets.
private final class PretendMetrics: AutoscalerMetrics {
    /// Processors that every pod uses, and requests per second of the Service `web`.
    let cores = Mutex(0.0)
    let rate = Mutex(0.0)
    private let store = Mutex<(any ObjectStore)?>(nil)

    func use(_ store: any ObjectStore) { self.store.withLock { $0 = store } }

    func podUse() async -> [String: [ContainerUse]] {
        let store = store.withLock { $0 }
        let pods = (try? await store?.list(ResourceTypes.pods)) ?? []
        let cores = cores.withLock { $0 }
        return Dictionary(
            pods.map { ($0.uid, [ContainerUse(name: "main", cores: cores, memoryBytes: 1)]) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    func serviceLoad() async -> [String: ServiceLoad]? {
        var load = ServiceLoad()
        load.requestsPerSecond = rate.withLock { $0 }
        return ["default/web": load]
    }
}

@Suite("Scaling on a real store", .timeLimit(.minutes(1)))
struct ScalingLoopTests {
    private func scaler(_ extra: Value) -> Object {
        var scaler = Object(ResourceTypes.autoscalers, namespace: "default", name: "web")
        scaler.annotations = ["weft.dev/autoscaler-period": "1s"]
        var spec = extra
        spec["scaleTargetRef"] = ["apiVersion": "apps/v1", "kind": "Deployment", "name": "web"]
        spec["behavior"] = ["scaleDown": ["stabilizationWindowSeconds": 0]]
        scaler.spec = spec
        return scaler
    }

    private func size(_ kit: LoopKit, _ wanted: Int) async throws {
        try await kit.wait(ResourceTypes.deployments) { ReplicaSetSpec($0.first?.spec ?? .null).replicas == wanted }
    }

    private func conditions(_ object: Object?) -> [String: String] {
        let all = ScaleStatus(object?.status ?? .null).conditions
        return Dictionary(all.map { ($0.type, $0.reason) }, uniquingKeysWith: { first, _ in first })
    }

    @Test("a Deployment grows and shrinks with the requests of its Service, within its bounds")
    func mesh() async throws {
        let metrics = PretendMetrics()
        try await LoopKit.run(metrics: metrics) { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 1))
            try await kit.store.create(LoopKit.service("web"))
            try await kit.waitRolledOut("web", replicas: 1)
            metrics.rate.withLock { $0 = 100 }
            let target: Value = [
                "metric": ["name": "requests-per-second"], "target": ["type": "AverageValue", "averageValue": "10"],
            ]
            try await kit.store.create(scaler(["maxReplicas": 4, "metrics": [["type": "Pods", "pods": target]]]))
            try await size(kit, 4)
            let all = try await kit.wait(ResourceTypes.autoscalers) {
                conditions($0.first)["ScalingLimited"] == "TooManyReplicas"
            }
            #expect(conditions(all[0])["ScalingActive"] == "ValidMetricFound")
            #expect(all[0].status["lastScaleTime"] != nil)
            metrics.rate.withLock { $0 = 0 }
            try await size(kit, 1)
        }
    }

    @Test("by processors, a share of what the pods ask for; without a request it says so")
    func processors() async throws {
        let metrics = PretendMetrics()
        try await LoopKit.run(metrics: metrics) { kit in
            metrics.use(kit.store)
            var web = LoopKit.deployment("web", replicas: 1)
            try await kit.store.create(web)
            try await kit.store.create(scaler(["maxReplicas": 3]))
            try await kit.wait(ResourceTypes.autoscalers) {
                conditions($0.first)["ScalingActive"] == "FailedGetResourceMetric"
            }
            metrics.cores.withLock { $0 = 0.4 }
            let container: Value = ["name": "main", "image": "one", "resources": ["requests": ["cpu": "250m"]]]
            web.value.set(["spec", "template", "spec", "containers"], [container])
            let spec = web.spec
            try await kit.store.modify(kit.key(ResourceTypes.deployments, "web")) { $0.spec = spec }
            let all = try await kit.wait(ResourceTypes.autoscalers) { $0.first?.status.integer("currentReplicas") == 3 }
            let shown = all[0].status.list("currentMetrics").first?.at("resource", "current")
            #expect(shown?["averageUtilization"] == 160 && shown?["averageValue"] == "400m")
        }
    }

    @Test("a target that is not there, and one of size 0")
    func disabled() async throws {
        try await LoopKit.run(metrics: PretendMetrics()) { kit in
            try await kit.store.create(scaler(["maxReplicas": 3]))
            try await kit.wait(ResourceTypes.autoscalers) { conditions($0.first)["AbleToScale"] == "FailedGetScale" }
            try await kit.store.create(LoopKit.deployment("web", replicas: 0))
            try await kit.wait(ResourceTypes.autoscalers) { conditions($0.first)["ScalingActive"] == "ScalingDisabled" }
        }
    }

    @Test("a budget follows its pods and their Deployment's size")
    func budget() async throws {
        try await LoopKit.run { kit in
            var budget = Object(ResourceTypes.disruptionBudgets, namespace: "default", name: "web")
            budget.spec = ["minAvailable": "50%", "selector": ["matchLabels": ["app": "web"]]]
            try await kit.store.create(budget)
            try await kit.store.create(LoopKit.deployment("web", replicas: 4))
            func wait(_ allowed: Int, _ desired: Int) async throws -> Object {
                let all = try await kit.wait(ResourceTypes.disruptionBudgets) { all in
                    let status = all.first?.status ?? .null
                    return status.integer("disruptionsAllowed") == allowed
                        && status.integer("desiredHealthy") == desired
                }
                return all[0]
            }
            let four = try await wait(2, 2)
            #expect(conditions(four)["DisruptionAllowed"] == "SufficientPods")
            // An eviction is remembered until its pod is gone.
            let pod = try #require(try await kit.store.list(ResourceTypes.pods).first)
            guard case .allow(let written?) = Eviction(pod, budgets: [four], now: .systemNow()) else {
                Issue.record("not allowed")
                return
            }
            try await kit.store.updateStatus(written)
            let three = try await wait(1, 2)
            #expect(three.status["disruptedPods"]?[pod.name] != nil)
            _ = try await kit.store.delete(kit.key(ResourceTypes.pods, pod.name))
            let again = try await wait(2, 2)
            #expect(again.status["disruptedPods"]?[pod.name] == nil)
            try await kit.store.modify(kit.key(ResourceTypes.deployments, "web")) { (web) throws(APIError) in
                web.value.set(["spec", "replicas"], 1)
            }
            _ = try await wait(0, 1)
        }
    }

    @Test("settings that change replace the pods of workloads that ask for it, and of no others")
    func settings() async throws {
        try await LoopKit.run { kit in
            var map = Object(ResourceTypes.configMaps, namespace: "default", name: "settings")
            map["data"] = ["a": "1"]
            try await kit.store.create(map)
            for name in ["asks", "not"] {
                var web = LoopKit.deployment(name, replicas: 1)
                if name == "asks" { web.annotations = [ConfigRestarter.annotation: "true"] }
                let volume: Value = ["name": "v", "projected": ["sources": [["configMap": ["name": "settings"]]]]]
                web.value.set(["spec", "template", "spec", "volumes"], [volume])
                try await kit.store.create(web)
                try await kit.waitRolledOut(name, replicas: 1)
            }
            func hash(_ all: [Object]) -> String? {
                all.first { $0.name == "asks" }?.annotation("weft.dev/config-hash")
            }
            try await kit.wait(ResourceTypes.deployments) { hash($0) != nil }
            #expect(try await kit.store.list(ResourceTypes.replicaSets).count == 2)
            try await kit.store.modify(kit.key(ResourceTypes.configMaps, "settings")) { $0["data"] = ["a": "2"] }
            let sets = try await kit.wait(ResourceTypes.replicaSets) { $0.count == 3 }
            #expect(sets.map(\.name).filter { $0.hasPrefix("asks-") }.count == 2)
            try await kit.waitRolledOut("asks", replicas: 1)
        }
    }
}
