import Agent
import CWeft
import Glibc
import Resources
import Sandbox
import Servers
import Store
import Testing
import Wire

@Suite("Life of pods", .enabled(if: Allowed.pods, "this machine allows no pods to this user"))
struct PodLifeTests {
    private func pod(_ name: String, _ spec: String) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: \(name), labels: {app: \(name)}}
        spec:
          nodeName: weft
        \(spec.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(separator: "\n"))
        """
    }

    private func simple(_ name: String, _ script: String, more: String = "", policy: String = "Always") -> String {
        pod(
            name,
            """
            restartPolicy: \(policy)
            terminationGracePeriodSeconds: 5
            containers:
            - name: c
              image: base:1
              command: [sh, -c, '\(script)']
            \(more)
            """
        )
    }

    @Test("a pod runs, becomes ready, and leaves nothing when it is deleted: traffic first, then SIGTERM")
    func runsAndLeaves() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(simple("web", #"trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.02; done"#))
        let pod = try #require(await stage.until("web", "ready") { $0.isRunningReady })
        let status = PodStatus(pod.status)
        #expect(status.podIP.hasPrefix("10.244.") && status.hostIP == "127.0.0.1" && status.startTime != nil)
        #expect(pod.status.text("qosClass") == "BestEffort")
        let place = try #require(stage.told.places["web"])
        #expect(place.address == status.podIP && access(place.networkNamespacePath, F_OK) == 0)
        try await stage.eventually("log up") { try await stage.log("web").contains("up") }
        _ = try await stage.store.delete(Stage.key("web"), DeleteOptions())
        try await stage.until("web", "gone") { $0 == nil }
        #expect(stage.told.left == [pod.uid])
        #expect(stage.told.places.isEmpty)
        #expect(ProcessIdentity.current(place.initPID) == nil)
        #expect(listDirectory("\(stage.path)/pods").isEmpty)
        #expect(await stage.agent.podCount == 0)
        #expect(stage.told.events.contains("web Started: Started container c"))
        #expect(stage.told.events.contains("web Killing: Stopping container c"))
        await stage.close()
    }

    @Test("an image that means nothing leaves the pod waiting with advice, and runs it when it comes to mean something")
    func waitsForImage() async throws {
        let stage = try await Stage()
        try await stage.apply(simple("web", "sleep 60"))
        let waiting = try await stage.until("web", "ErrImagePull") { $0.waits("ErrImagePull") }
        #expect(waiting.map { "\($0.status)" }?.contains("kind: Image") == true)
        try await stage.image()
        try await stage.until("web", "ready") { $0.isRunningReady }
        await stage.close()
    }

    @Test("a container that ends is started again at once, then after a back-off, and its former log is kept")
    func restarts() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(simple("crash", "echo run; exit 3"))
        let pod = try await stage.until("crash", "CrashLoopBackOff") { $0.waits("CrashLoopBackOff") }
        let status = try #require(pod.map { PodStatus($0.status) }).containerStatuses[0]
        #expect(status.restartCount == 1 && !status.ready)
        guard case .terminated(let last)? = status.lastState else {
            Issue.record("no last state")
            return
        }
        #expect(last.exitCode == 3 && last.reason == "Error" && last.startedAt != nil)
        #expect(try await stage.log("crash", attempt: 0).contains("F run"))
        #expect(try await stage.log("crash", attempt: 1).contains("F run"))
        await stage.close()
    }

    @Test("a killed process makes its pod unready at once")
    func killed() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(
            simple("web", "exec sleep 5151", more: "  readinessProbe: {exec: {command: [\"true\"]}, periodSeconds: 1}")
        )
        try await stage.until("web", "ready") { $0.isRunningReady }
        let pid = try #require(
            listDirectory("/proc").compactMap(Int32.init).first {
                readFile("/proc/\($0)/cmdline") == "sleep\u{0}5151\u{0}"
            }
        )
        kill(pid, SIGKILL)
        // Its probe would never say so.
        try await stage.until("web", "unready") { $0?.isReady == false }
        try await stage.until("web", "ready again") { $0.isRunningReady && $0.container()?.restartCount == 1 }
        await stage.close()
    }

    @Test("HTTP readiness over the pod's own network makes it ready, and takes it back")
    func httpReadiness() async throws {
        let stage = try await Stage()
        let server = """
            import http.server, os
            class H(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    ok = self.path != "/ready" or not os.path.exists("/shared/closed")
                    self.send_response(200 if ok else 503); self.end_headers()
                def log_message(self, *a): pass
            http.server.HTTPServer(("0.0.0.0", 8080), H).serve_forever()
            """
        try await stage.image("py", files: ["server.py": server])
        try await stage.apply(
            pod(
                "web",
                """
                terminationGracePeriodSeconds: 1
                volumes: [{name: shared, emptyDir: {}}]
                containers:
                - name: c
                  image: py
                  volumeMounts: [{name: shared, mountPath: /shared}]
                  command: [/usr/bin/python3, server.py]
                  ports: [{name: http, containerPort: 8080}]
                  readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1, failureThreshold: 1}
                  livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 30}
                  startupProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
                """
            )
        )
        let ready = try #require(try await stage.until("web", "ready") { $0.isRunningReady })
        try replaceFile("\(stage.path)/pods/\(ready.uid)/volumes/shared/closed", with: "")
        try await stage.until("web", "unready") { $0?.isReady == false }
        #expect(
            stage.told.events.contains("web Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503")
        )
        await stage.close()
    }

    @Test("a failing liveness probe restarts the container")
    func livenessRestarts() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(
            simple(
                "web",
                "sleep 60",
                more: "  livenessProbe: {exec: {command: [\"false\"]}, periodSeconds: 1, failureThreshold: 1}"
            )
        )
        try await stage.until("web", "restarted") { ($0.container()?.restartCount ?? 0) >= 1 }
        let reason = "web Killing: Container c failed liveness probe, will be restarted"
        #expect(stage.told.events.contains(reason))
        await stage.close()
    }

    @Test("init containers run first and in order; a pod that never restarts ends as its containers do")
    func initContainers() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(
            pod(
                "job",
                """
                restartPolicy: Never
                volumes: [{name: shared, emptyDir: {}}]
                initContainers:
                - {name: one, image: base, command: [sh, -c, 'echo 1 >> /s/order'], volumeMounts: [{name: shared, mountPath: /s}]}
                - {name: two, image: base, command: [sh, -c, 'echo 2 >> /s/order'], volumeMounts: [{name: shared, mountPath: /s}]}
                containers:
                - {name: c, image: base, command: [sh, -c, 'cat /s/order'], volumeMounts: [{name: shared, mountPath: /s}]}
                """
            )
        )
        let pod = try await stage.until("job", "Succeeded") { $0?.phase == "Succeeded" }
        let lines = try await stage.log("job").split(separator: "\n").map { $0.suffix(1) }
        #expect(lines == ["1", "2"])
        #expect(pod.map { PodStatus($0.status) }?.conditions.first(ofType: "Initialized")?.isTrue == true)
        await stage.close()
    }

    @Test("configuration comes as variables and files; what is missing is waited for")
    func configuration() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(
            pod(
                "web",
                """
                volumes: [{name: v, configMap: {name: settings}}]
                containers:
                - name: c
                  image: base
                  command: [sh, -c, 'echo $COLOUR $(COLOUR) $POD $TOKEN; cat /etc/settings/colour; echo; ls /etc/settings; sleep 60']
                  volumeMounts: [{name: v, mountPath: /etc/settings}]
                  env:
                  - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
                  - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
                  - {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}
                """
            )
        )
        try await stage.eventually("FailedMount") {
            stage.told.events.contains("web FailedMount: configmap \"settings\" not found")
        }
        try await stage.apply(
            """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: settings}
            data: {colour: red}
            """
        )
        try await stage.until("web", "config error") { $0.waits("CreateContainerConfigError") }
        try await stage.apply(
            """
            apiVersion: v1
            kind: Secret
            metadata: {name: keys}
            stringData: {token: hidden}
            """
        )
        try await stage.until("web", "ready") { $0.isRunningReady }
        #expect(stage.told.events.filter { $0.contains("FailedMount") }.count < 4)
        try await stage.eventually("log F colour") { try await stage.log("web").contains("F colour") }
        let log = try await stage.log("web")
        #expect(log.contains("F red red web hidden\n") && log.contains("F red\n"), "\(log)")
        await stage.close()
    }

    @Test("logs are read whole, from the end, of the run before, and followed to the end")
    func logs() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(
            simple("web", "for i in 1 2 3; do echo line $i; done; sleep 0.3; echo last", policy: "Never")
        )
        let pod = try #require(
            await stage.until("web", "running") { $0?.phase == "Running" || $0?.phase == "Succeeded" }
        )
        func read(_ change: (inout PodLogOptions) -> Void) async throws -> String {
            var options = PodLogOptions()
            change(&options)
            var bytes: [UInt8] = []
            for try await piece in try await stage.agent.logs.logs(of: pod, container: "c", options: options) {
                bytes += piece
            }
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(try await read { $0.follow = true } == "line 1\nline 2\nline 3\nlast\n")
        #expect(try await read { $0.tailLines = 2 } == "line 3\nlast\n")
        await #expect(throws: APIError.self) { try await read { $0.previous = true } }
        await stage.close()
    }

    @Test("a pod whose init dies is made again")
    func initKilled() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(simple("web", "sleep 60"))
        try await stage.until("web", "ready") { $0.isRunningReady }
        let place = try #require(stage.told.places["web"])
        kill(place.initPID, SIGKILL)
        try await stage.until("web", "ready again") { $0.isRunningReady && $0.container()?.restartCount == 1 }
        let again = try #require(stage.told.places["web"])
        #expect(again.initPID != place.initPID && again.address == place.address)
        await stage.close()
    }

    @Test(
        "a container that takes more memory than it may is killed for it",
        .enabled(if: ControlGroups.ofThisMachine.controllers["memory"] != nil, "no writable memory controller")
    )
    func outOfMemory() async throws {
        let stage = try await Stage()
        try await stage.image()
        let greedy = "command: [/usr/bin/python3, -c, \"x = b'x' * (200 << 20)\"]"
        try await stage.apply(
            pod(
                "greedy",
                "restartPolicy: Never\ncontainers:\n- {name: c, image: base, \(greedy), resources: {limits: {memory: 64Mi, cpu: 500m}}}"
            )
        )
        let pod = try await stage.until("greedy", "Failed") { $0?.phase == "Failed" }
        guard case .terminated(let end)? = pod.map({ PodStatus($0.status) })?.containerStatuses[0].state else {
            Issue.record("not terminated")
            return
        }
        #expect(end.reason == "OOMKilled" && end.exitCode == 137)
        await stage.close()
        let uid = pod?.uid ?? ""
        for root in ControlGroups.ofThisMachine.controllers.values { #expect(access("\(root)/weft/\(uid)", F_OK) != 0) }
    }

    @Test("preStop comes before SIGTERM, and a sidecar runs from before the others until after them")
    func hooksAndSidecars() async throws {
        let stage = try await Stage()
        try await stage.image()
        let order = "\(stage.path)/order"
        try makeDirectory(order, mode: 0o777)
        chmod(order, 0o777)
        try await stage.apply(
            pod(
                "web",
                """
                terminationGracePeriodSeconds: 10
                volumes: [{name: o, hostPath: {path: \(order)}}]
                initContainers:
                - name: side
                  image: base
                  restartPolicy: Always
                  command: [sh, -c, 'echo side >> /o/log; trap "echo side-end >> /o/log; exit" TERM; while :; do sleep 0.01; done']
                  volumeMounts: [{name: o, mountPath: /o}]
                containers:
                - name: c
                  image: base
                  command: [sh, -c, 'echo main >> /o/log; trap "echo main-end >> /o/log; exit" TERM; while :; do sleep 0.01; done']
                  lifecycle: {preStop: {exec: {command: [sh, -c, 'echo hook >> /o/log']}}}
                  volumeMounts: [{name: o, mountPath: /o}]
                """
            )
        )
        try await stage.until("web", "ready") { $0.isRunningReady }
        try await stage.eventually("main") { readFile("\(order)/log")?.contains("main\n") == true }
        _ = try await stage.store.delete(Stage.key("web"), DeleteOptions())
        try await stage.until("web", "gone") { $0 == nil }
        #expect(readFile("\(order)/log") == "side\nmain\nhook\nmain-end\nside-end\n")
        await stage.close()
    }

    @Test("a volume that can never be makes the pod fail, with the reason")
    func unsupportedVolume() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(
            pod(
                "web",
                """
                volumes: [{name: data, nfs: {server: shelf, path: /}}]
                containers: [{name: c, image: base, volumeMounts: [{name: data, mountPath: /data}]}]
                """
            )
        )
        let pod = try await stage.until("web", "Failed") { $0?.phase == "Failed" }
        #expect(pod.map { PodStatus($0.status).message }?.contains("nfs is not supported") == true)
        await stage.close()
    }

    @Test("projected volumes gather their sources, and follow a ConfigMap that changes")
    func projectedVolumes() async throws {
        let stage = try await Stage()
        try await stage.image()
        func settings(_ colour: String) -> String {
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: \(colour)}"
        }
        try await stage.apply(settings("red"))
        try await stage.apply(
            pod(
                "web",
                """
                terminationGracePeriodSeconds: 0
                volumes:
                - name: all
                  projected:
                    sources:
                    - configMap: {name: settings, items: [{key: colour, path: deep/colour}]}
                    - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
                containers:
                - name: c
                  image: base
                  command: [sh, -c, 'cat /all/labels; echo; while :; do cat /all/deep/colour; echo; sleep 0.02; done']
                  volumeMounts: [{name: all, mountPath: /all}]
                """
            )
        )
        try await stage.eventually("red") { (try? await stage.log("web").contains("F red\n")) == true }
        #expect(try await stage.log("web").contains("F app=\"web\"\n"))
        try await stage.apply(settings("blue"))
        try await stage.eventually("blue") { try await stage.log("web").contains("F blue\n") }
        #expect(!(try await stage.log("web").contains("stderr")))
        await stage.close()
    }

    @Test("a stubborn program is killed after its grace, a forced deletion kills at once")
    func kills() async throws {
        let stage = try await Stage()
        try await stage.image()
        let stubborn = #"trap "" TERM; while :; do sleep 0.05; done"#
        try await stage.apply(simple("slow", stubborn))
        let patient = simple("forced", stubborn).replacing("PeriodSeconds: 5", with: "PeriodSeconds: 60")
        try await stage.apply(patient)
        for name in ["slow", "forced"] { try await stage.until(name, "ready") { $0.isRunningReady } }
        let clock = ContinuousClock()
        let start = clock.now
        _ = try await stage.store.delete(Stage.key("forced"), DeleteOptions(gracePeriodSeconds: 0))
        try await stage.eventually("end") { stage.told.places["forced"] == nil }
        #expect(clock.now - start < .seconds(50))
        _ = try await stage.store.delete(Stage.key("slow"), DeleteOptions(gracePeriodSeconds: 1))
        try await stage.until("slow", "gone") { $0 == nil }
        #expect(clock.now - start > .seconds(1))
        await stage.close()
    }

    @Test("a program that cannot be started says why in the pod's status")
    func startErrors() async throws {
        let stage = try await Stage()
        try await stage.image()
        try await stage.apply(
            pod("bad", "restartPolicy: Never\ncontainers:\n- {name: c, image: base, command: [/no/such]}")
        )
        let pod = try await stage.until("bad", "Failed") { $0?.phase == "Failed" }
        guard case .terminated(let end)? = pod.map({ PodStatus($0.status) })?.containerStatuses[0].state else {
            Issue.record("not terminated")
            return
        }
        #expect(end.reason == "StartError" && end.message == "exec /no/such: No such file or directory")
        await stage.close()
    }
}
