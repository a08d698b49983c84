import Agent
import Resources
import Testing
import Wire

@Suite("Restart back-off")
struct RestartBackOffTests {
    @Test("the first restart comes at once, then 10 s doubling to 300 s")
    func doubles() {
        var backOff = RestartBackOff()
        let delays = (0..<8).map { _ in backOff.delay(afterRunOf: .seconds(1)).components.seconds }
        #expect(delays == [0, 10, 20, 40, 80, 160, 300, 300])
    }

    @Test("a run of ten minutes forgets earlier crashes")
    func forgets() {
        var backOff = RestartBackOff()
        for _ in 0..<5 { _ = backOff.delay(afterRunOf: .seconds(1)) }
        #expect(backOff.delay(afterRunOf: .seconds(600)) == .zero)
        #expect(backOff.delay(afterRunOf: .seconds(599)) == .seconds(10))
    }

    @Test(
        "the restart policy decides by exit code",
        arguments: [("Always", 0, true), ("OnFailure", 0, false), ("OnFailure", 1, true), ("Never", 1, false)]
    )
    func policy(policy: String, code: Int, restarts: Bool) {
        #expect(RestartRule.restarts(policy: policy, exitCode: code) == restarts)
    }
}

@Suite("Probe state machine")
struct ProbeStateMachineTests {
    private func probe(success: Int = 1, failure: Int = 3, period: Int = 10) -> Probe {
        Probe([
            "successThreshold": .int(Int64(success)), "failureThreshold": .int(Int64(failure)),
            "periodSeconds": .int(Int64(period)),
        ])
    }

    @Test("readiness begins failed and follows its thresholds both ways")
    func readiness() {
        var machine = ProbeStateMachine(.readiness, probe(success: 2, failure: 2))
        #expect(machine.verdict == .failed)
        let outcomes = [true, false, true, true, false, true, false, false]
        let actions = outcomes.map { machine.observe(isSuccess: $0) }
        #expect(
            actions == [
                .nothing, .nothing, .nothing, .becomes(.passed), .nothing, .nothing, .nothing, .becomes(.failed),
            ]
        )
        #expect(!machine.isFinished)
    }

    @Test("liveness begins passed and restarts after as many failures in a row as allowed")
    func liveness() {
        var machine = ProbeStateMachine(.liveness, probe())
        let actions = [false, false, true, false, false, false].map { machine.observe(isSuccess: $0) }
        #expect(actions == [.nothing, .nothing, .nothing, .nothing, .nothing, .restart])
        #expect(machine.isFinished)
    }

    @Test("startup is undecided until its first success, and is over then")
    func startup() {
        var machine = ProbeStateMachine(.startup, probe(failure: 2))
        #expect(machine.verdict == .undecided)
        #expect(machine.observe(isSuccess: false) == .nothing)
        #expect(machine.observe(isSuccess: true) == .becomes(.passed))
        #expect(machine.isFinished)
        var failing = ProbeStateMachine(.startup, probe(failure: 2))
        #expect([false, false].map { failing.observe(isSuccess: $0) } == [.nothing, .restart])
    }

    @Test("early turns come fast, do not count, and end with the first success or the first period")
    func schedule() {
        var schedule = ProbeSchedule(probe(period: 1))
        var waits: [Int64] = []
        while schedule.isEarly { waits.append(schedule.next(afterSuccess: false).milliseconds) }
        #expect(waits == [25, 50, 100, 200, 400, 225])
        #expect(schedule.next(afterSuccess: false) == .seconds(1))
        var quick = ProbeSchedule(probe(period: 1))
        #expect(quick.next(afterSuccess: true) == .seconds(1) && !quick.isEarly)
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

@Suite("HTTP of probes")
struct ProbeHTTPTests {
    @Test(
        "the status decides",
        arguments: [
            ("HTTP/1.1 200 OK\r\n", ProbeOutcome.success), ("HTTP/1.0 399 X\r\n", .success),
            ("HTTP/1.1 404 Not Found\r\n", .failure("HTTP probe failed with statuscode: 404")),
            ("HTTP/1.1 abc\r\n\r\n", .failure("HTTP probe failed: malformed answer")),
            ("SSH-2.0-OpenSSH", .failure("HTTP probe failed: malformed answer")),
            ("", .failure("HTTP probe failed: no answer")),
        ]
    )
    func outcome(answer: String, outcome: ProbeOutcome) {
        #expect(ProbeHTTP.outcome(Array(answer.utf8)) == outcome)
    }

    @Test("a request carries the probe's headers once, and Kubernetes' own otherwise")
    func request() throws {
        let bytes = try #require(
            ProbeHTTP.request(host: "10.0.0.1:80", path: "ready", headers: [("Host", "shop"), ("X-A", "b")])
        )
        let expected =
            "GET /ready HTTP/1.1\r\nHost: shop\r\nUser-Agent: kube-probe/1.32\r\nAccept: */*\r\n"
            + "Connection: close\r\nX-A: b\r\n\r\n"
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
    }

    @Test("a path or header that would break out of its line is refused", arguments: ["/a b", "/a\r\nX: y", "/\u{0}"])
    func refusesBreakOut(path: String) {
        #expect(ProbeHTTP.request(host: "h", path: path, headers: []) == nil)
        #expect(ProbeHTTP.request(host: "h", path: "/", headers: [("A", "b\nC: d")]) == nil)
    }
}

@Suite("Environment of a container")
struct EnvironmentTests {
    private func builder(_ pod: Value = ["metadata": ["name": "web-1", "namespace": "shop"]]) -> EnvironmentBuilder {
        var builder = EnvironmentBuilder(pod: Object(pod), podAddress: "10.244.0.9")
        builder.configMaps["settings"] = Object(["kind": "ConfigMap", "data": ["colour": "red", "bad name": "x"]])
        builder.secrets["keys"] = Object(["kind": "Secret", "data": ["token": "aGlkZGVu"]])
        return builder
    }

    private func variables(
        _ container: Value,
        _ builder: EnvironmentBuilder? = nil,
        image: [EnvVar] = []
    ) throws -> Variables {
        try (builder ?? self.builder()).variables(of: Container(container), image: image, base: [("PATH", "/bin")])
    }

    @Test("values, references and fields become variables, in order, and $(NAME) is what stands before")
    func builds() throws {
        let variables = try variables([
            "envFrom": [["configMapRef": ["name": "settings"], "prefix": "C_"]],
            "env": [
                ["name": "A", "value": "1"], ["name": "B", "value": "$(A)-$(C_colour)-$(LATER)-$$(A)-$"],
                ["name": "LATER", "value": "x"],
                ["name": "IP", "valueFrom": ["fieldRef": ["fieldPath": "status.podIP"]]],
                ["name": "NS", "valueFrom": ["fieldRef": ["fieldPath": "metadata.namespace"]]],
                ["name": "TOKEN", "valueFrom": ["secretKeyRef": ["name": "keys", "key": "token"]]],
                [
                    "name": "NONE",
                    "valueFrom": ["configMapKeyRef": ["name": "absent", "key": "k", "optional": true]],
                ],
            ],
        ])
        #expect(
            variables.pairs == [
                "PATH=/bin", "C_colour=red", "A=1", "B=1-red-$(LATER)-$(A)-$", "LATER=x", "IP=10.244.0.9", "NS=shop",
                "TOKEN=hidden",
            ]
        )
    }

    @Test("later sources win over earlier ones: env over envFrom over image over base")
    func precedence() throws {
        let image = [EnvVar(["name": "colour", "value": "blue"]), EnvVar(["name": "PATH", "value": "$(PATH):/opt"])]
        let first = try variables(["envFrom": [["configMapRef": ["name": "settings"]]]], image: image)
        #expect(first["colour"] == "red" && first["PATH"] == "/bin:/opt")
        let second = try variables(["env": [["name": "colour", "value": "green"]]], image: image)
        #expect(second["colour"] == "green")
    }

    @Test(
        "what is missing is named",
        arguments: [
            (
                ["configMapKeyRef": ["name": "settings", "key": "size"]],
                "couldn't find key size in configmap shop/settings"
            ),
            (["configMapKeyRef": ["name": "absent", "key": "size"]], "configmap \"absent\" not found"),
            (["secretKeyRef": ["name": "absent", "key": "size"]], "secret \"absent\" not found"),
            (["fieldRef": ["fieldPath": "status.weather"]], "env X: fieldRef status.weather is not supported"),
        ] as [(Value, String)]
    )
    func missing(source: Value, message: String) {
        #expect(throws: EnvironmentBuilder.Missing(message: message)) {
            try variables(["env": [["name": "X", "valueFrom": source]]])
        }
    }

    @Test("Services of the namespace are linked, headless ones are not")
    func serviceLinks() throws {
        var builder = builder()
        builder.services = [
            Object([
                "metadata": ["name": "user-api"],
                "spec": [
                    "clusterIP": "10.96.1.2", "ports": [["name": "http", "port": 80], ["name": "x-y", "port": 81]],
                ],
            ]),
            Object(["metadata": ["name": "headless"], "spec": ["clusterIP": "None", "ports": [["port": 80]]]]),
        ]
        let variables = try variables([:], builder)
        #expect(variables["USER_API_SERVICE_HOST"] == "10.96.1.2")
        #expect(variables["USER_API_SERVICE_PORT"] == "80")
        #expect(variables["USER_API_SERVICE_PORT_X_Y"] == "81")
        #expect(variables["USER_API_PORT_81_TCP_ADDR"] == "10.96.1.2")
        #expect(variables["HEADLESS_SERVICE_HOST"] == nil)
        builder.pod["spec"] = ["enableServiceLinks": false]
        #expect(try self.variables([:], builder)["USER_API_SERVICE_HOST"] == nil)
    }

    @Test("resources come in units of their divisor, rounded up")
    func resources() throws {
        let builder = builder([
            "spec": [
                "containers": [
                    ["name": "c", "resources": ["limits": ["memory": "100Mi", "cpu": "1500m"]]]
                ]
            ]
        ])
        #expect(builder.resource("c", "limits.memory", "1Mi") == "100")
        #expect(builder.resource("c", "limits.cpu", nil) == "2")
        #expect(builder.resource("c", "limits.cpu", "1m") == "1500")
        #expect(builder.resource("c", "requests.cpu", nil) == nil)
    }
}

@Suite("Images")
struct ImageResolutionTests {
    private let image = Object([
        "metadata": ["name": "user-service"], "spec": ["directory": "/srv/users", "command": ["./run", "--fast"]],
    ])

    @Test("tag, registry and digest do not matter", arguments: ["user-service", "registry/shop/user-service:1.2"])
    func resolves(reference: String) throws {
        let found = try ImageResolution.resolve(reference, among: [image])
        #expect(found.directory == "/srv/users" && found.name == "user-service")
    }

    @Test("an unknown image says how to make it known")
    func advises() {
        do {
            _ = try ImageResolution.resolve("shop/payment:2", among: [image])
            Issue.record("resolved")
        } catch {
            for part in ["shop/payment:2", "kind: Image", "name: payment", "directory: ", "command: "] {
                #expect(error.message.contains(part))
            }
        }
    }

    @Test("a relative directory is refused")
    func refusesRelative() {
        let relative = Object(["metadata": ["name": "x"], "spec": ["directory": "here"]])
        #expect(throws: ImageResolution.Unresolved.self) { try ImageResolution.resolve("x", among: [relative]) }
    }

    @Test("command replaces the image's, args follow either, variables are filled in")
    func arguments() throws {
        let image = try ImageResolution.resolve("user-service", among: [image])
        var variables = Variables()
        variables["N"] = "7"
        func arguments(_ container: Value) -> [String] {
            ImageResolution.arguments(Container(container), image, variables)
        }
        #expect(arguments([:]) == ["./run", "--fast"])
        #expect(arguments(["args": ["--n=$(N)"]]) == ["./run", "--fast", "--n=7"])
        #expect(arguments(["command": ["sh", "$(N)"], "args": ["x"]]) == ["sh", "7", "x"])
    }
}

@Suite("Pod status")
struct PodStatusTests {
    private func builder(_ policy: String = "Always", names: [String] = ["a", "b"]) -> PodStatusBuilder {
        let containers = names.map { Container(["name": .string($0), "image": "i"]) }
        var builder = PodStatusBuilder(
            spec: PodSpec(["restartPolicy": .string(policy)]),
            initContainers: [],
            containers: containers.map(ContainerRecord.init)
        )
        builder.isInitialized = true
        return builder
    }

    private let time = Timestamp(seconds: 1000)

    private func end(_ record: inout ContainerRecord, _ code: Int) {
        record.enter(.terminated(.init(exitCode: code, startedAt: nil, finishedAt: time)))
    }

    private func run(_ record: inout ContainerRecord) {
        record.enter(.running(startedAt: time))
        record.isStarted = true
        record.isProbedReady = true
    }

    @Test("a pod is Pending until every container ran, Running then, and ready when all are")
    func phases() {
        var builder = builder()
        #expect(builder.phase == "Pending")
        run(&builder.containers[0])
        #expect(builder.phase == "Pending" && !builder.isReady)
        run(&builder.containers[1])
        #expect(builder.phase == "Running" && builder.isReady)
        end(&builder.containers[0], 1)
        #expect(builder.phase == "Running" && !builder.isReady)
        builder.containers[0].enter(.waiting(reason: "CrashLoopBackOff", message: ""))
        #expect(builder.phase == "Running")
        #expect(builder.containers[0].value.at("lastState", "terminated", "exitCode") == 1)
    }

    @Test(
        "containers that end for good end the pod",
        arguments: [
            ("Never", [0, 0], "Succeeded"), ("Never", [0, 3], "Failed"), ("OnFailure", [0, 0], "Succeeded"),
            ("OnFailure", [0, 3], "Running"), ("Always", [0, 0], "Running"),
        ]
    )
    func finishes(policy: String, codes: [Int], phase: String) {
        var builder = builder(policy)
        for index in 0...1 { end(&builder.containers[index], codes[index]) }
        #expect(builder.phase == phase)
    }

    @Test("conditions keep their transition time while their status stays, and others' conditions stay")
    func conditions() {
        var builder = builder(names: ["a"])
        let old: Value = ["conditions": [["type": "example.com/gate", "status": "True"]]]
        let first = builder.status(over: old, now: time)
        run(&builder.containers[0])
        let second = builder.status(over: first, now: time.adding(seconds: 5))
        let third = builder.status(over: second, now: time.adding(seconds: 9))
        let conditions: [Condition] = third.views("conditions")
        #expect(conditions.first(ofType: "Ready")?.isTrue == true)
        #expect(conditions.first(ofType: "Ready")?.lastTransitionTime == time.adding(seconds: 5))
        #expect(conditions.first(ofType: "Initialized")?.lastTransitionTime == time)
        #expect(conditions.first(ofType: "example.com/gate")?.isTrue == true)
        #expect(second == third)
    }

    @Test("a readiness gate holds the pod back until it is True")
    func gates() {
        var builder = builder(names: ["a"])
        builder.spec = PodSpec(["readinessGates": [["conditionType": "g"]]])
        run(&builder.containers[0])
        let closed: [Condition] = builder.status(over: .null, now: time).views("conditions")
        #expect(closed.first(ofType: "Ready")?.isTrue == false)
        #expect(closed.first(ofType: "ContainersReady")?.isTrue == true)
        let open: [Condition] = builder.status(
            over: ["conditions": [["type": "g", "status": "True"]]],
            now: time
        ).views("conditions")
        #expect(open.first(ofType: "Ready")?.isTrue == true)
    }

    @Test(
        "quality of service follows requests and limits",
        arguments: [
            ([:], "BestEffort"), (["requests": ["cpu": "1"]], "Burstable"),
            (["limits": ["cpu": "1", "memory": "1Gi"]], "Guaranteed"),
            (["limits": ["cpu": "1", "memory": "1Gi"], "requests": ["cpu": "500m"]], "Burstable"),
        ] as [(Value, String)]
    )
    func quality(resources: Value, expected: String) {
        #expect(PodStatusBuilder.qualityOfService(PodSpec(["containers": [["resources": resources]]])) == expected)
    }
}

@Suite("Addresses of pods")
struct AddressPoolTests {
    @Test("no address is given twice, and one that came back waits its turn")
    func unique() {
        var pool = AddressPool()
        let first = pool.take() ?? ""
        #expect(first == "10.244.0.2")
        var taken: Set<String> = [first]
        for _ in 0..<1000 { taken.insert(pool.take() ?? "") }
        #expect(taken.count == 1001)
        pool.give(back: first)
        let next = pool.take()
        #expect(next != first)
        pool.give(back: "no address")
    }

    @Test("a full pool says so, and goes on when an address comes back")
    func full() {
        var pool = AddressPool()
        var last = ""
        while let address = pool.take() { last = address }
        #expect(last == "10.244.254.255")
        pool.give(back: "10.244.7.7")
        let (again, none) = (pool.take(), pool.take())
        #expect(again == "10.244.7.7" && none == nil)
    }
}

@Suite("Volumes from objects")
struct VolumeContentTests {
    private let map = Object(["kind": "ConfigMap", "data": ["a.conf": "A", "b": "B"]])

    @Test("all keys become files, or the named items only")
    func files() throws {
        var all = VolumeContent()
        try all.add(map, kind: "configmap", name: "m", items: [], defaultMode: 0o640, isOptional: false)
        #expect(all.files.map(\.path) == ["a.conf", "b"] && all.files.allSatisfy { $0.mode == 0o640 })
    }

    @Test(
        "keys and paths that would leave the volume are refused",
        arguments: ["../up", "a/../../b", "/abs", "..data", ""]
    )
    func refuses(path: String) {
        let hostile = Object(["kind": "ConfigMap", "data": .object(Fields([(path, Value.string("x"))]))])
        var content = VolumeContent()
        #expect(throws: EnvironmentBuilder.Missing.self) {
            try content.add(hostile, kind: "configmap", name: "m", items: [], defaultMode: 0, isOptional: false)
        }
    }
}
