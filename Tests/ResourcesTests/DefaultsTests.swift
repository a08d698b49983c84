import Resources
import Testing
import Wire

@Suite("Defaults")
struct DefaultsTests {
    @Test("a Deployment is completed as Kubernetes completes it")
    func deploymentDefaults() throws {
        let object = try stored(deployment)
        let spec = DeploymentSpec(object.spec)
        #expect(object.generation == 1)
        #expect(spec.revisionHistoryLimit == 10)
        #expect(
            object.spec["strategy"] == [
                "type": "RollingUpdate", "rollingUpdate": ["maxUnavailable": "25%", "maxSurge": "25%"],
            ]
        )
        let pod = spec.template.value["spec"]
        #expect(pod?["restartPolicy"] == "Always")
        #expect(pod?["dnsPolicy"] == "ClusterFirst")
        #expect(pod?["terminationGracePeriodSeconds"] == 30)
        let container = pod?["containers"]?[0]
        #expect(container?["imagePullPolicy"] == "IfNotPresent")
        #expect(container?["ports"]?[0]?["protocol"] == "TCP")
        let probe = container?["readinessProbe"]
        #expect(probe?["periodSeconds"] == 10)
        #expect(probe?["timeoutSeconds"] == 1)
        #expect(probe?["successThreshold"] == 1)
        #expect(probe?["failureThreshold"] == 3)
        #expect(probe?.at("httpGet", "scheme") == "HTTP")
        #expect(spec.rollingLimits == (1, 0))
    }

    @Test("completing twice changes nothing more")
    func idempotent() throws {
        for yaml in [
            deployment,
            "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, ports: [{port: 80}]}}",
            "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {a: b}}",
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {volumes: [{name: e}, {name: c, configMap: {name: x}}], containers: [{name: a, image: b}]}}",
        ] {
            let once = try stored(yaml)
            var twice = once
            Defaults.fill(&twice, of: try #require(once.type))
            #expect(twice == once)
        }
    }

    @Test(
        "the pull policy follows the tag",
        arguments: [
            ("web", "Always"), ("web:latest", "Always"), ("web:1", "IfNotPresent"), ("host:5000/web", "Always"),
            ("host:5000/web:1.2", "IfNotPresent"), ("web@sha256:abc", "IfNotPresent"),
        ]
    )
    func pullPolicy(image: String, expected: String) throws {
        let pod = try stored(
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: \"\(image)\"}]}}"
        )
        #expect(PodSpec(pod.spec).containers[0].imagePullPolicy == expected)
    }

    @Test("a Service's target port is its port, and a Secret's texts become data")
    func serviceAndSecret() throws {
        let service = try stored("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}")
        #expect(ServiceSpec(service.spec).ports[0].targetPort == .number(80))
        #expect(service.spec["type"] == "ClusterIP")
        #expect(service.spec["sessionAffinity"] == "None")
        #expect(service.spec["ipFamilies"] == ["IPv4"])
        let secret = try stored(
            "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {x: eA==}, stringData: {y: hello}}"
        )
        #expect(secret["data"] == ["x": "eA==", "y": "aGVsbG8="])
        #expect(secret["stringData"] == nil)
        #expect(secret["type"] == "Opaque")
    }

    @Test("limits without requests are requests too")
    func requests() throws {
        let pod = try stored(
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b, resources: {limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 1}}}]}}"
        )
        #expect(pod.spec["containers"]?[0]?["resources"]?["requests"] == ["cpu": "1", "memory": "1Gi"])
    }

    @Test(
        "rolling limits round surge up and unavailable down, and never both to zero",
        arguments: [
            (10, "25%", "25%", 3, 2), (1, "25%", "25%", 1, 0), (4, "0", "10%", 0, 1), (3, "1", "1", 1, 1),
            (0, "25%", "25%", 0, 1),
        ]
    )
    func rolling(replicas: Int, surge: String, unavailable: String, up: Int, down: Int) {
        let number = { (text: String) -> Value in Int(text).map { .int(Int64($0)) } ?? .string(text) }
        let spec = DeploymentSpec([
            "replicas": .int(Int64(replicas)),
            "strategy": ["rollingUpdate": ["maxSurge": number(surge), "maxUnavailable": number(unavailable)]],
        ])
        let limits = spec.rollingLimits
        #expect(limits.surge == up)
        #expect(limits.unavailable == down)
    }
}
