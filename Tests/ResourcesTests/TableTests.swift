import Resources
import Testing
import Wire

@Suite("Tables")
struct TableTests {
    private let now = Timestamp(seconds: 1_767_323_045 + 200)

    private func cells(_ yaml: String, isWide: Bool = false) throws -> [String] {
        var object = try object(yaml)
        object.creationTimestamp = Timestamp(seconds: 1_767_323_045)
        let type = try #require(object.type)
        return Table.make([object], of: type, at: now).lines(isWide: isWide)[1]
    }

    private func pod(_ status: String, deleting: Bool = false, spec: String = "containers: [{name: a, image: b}]")
        throws -> PodSummary
    {
        let extra = deleting ? ", deletionTimestamp: 2026-01-02T03:04:05Z" : ""
        return PodSummary(
            try object(
                "{apiVersion: v1, kind: Pod, metadata: {name: a\(extra)}, spec: {\(spec)}, status: {\(status)}}"
            ),
            at: now
        )
    }

    @Test(
        "the STATUS of a pod",
        arguments: [
            ("phase: Pending", "Pending"),
            (
                "phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ContainerCreating}}}]",
                "ContainerCreating"
            ),
            (
                "phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ErrImagePull}}}]",
                "ErrImagePull"
            ),
            ("phase: Running, containerStatuses: [{name: a, ready: true, state: {running: {}}}]", "Running"),
            (
                "phase: Running, containerStatuses: [{name: a, state: {waiting: {reason: CrashLoopBackOff}}}]",
                "CrashLoopBackOff"
            ),
            (
                "phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3, reason: Error}}}]",
                "Error"
            ),
            ("phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]", "ExitCode:3"),
            (
                "phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 137, signal: 9}}}]",
                "Signal:9"
            ),
            (
                "phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}]",
                "Completed"
            ),
            ("phase: Failed, reason: Evicted", "Evicted"),
            ("phase: Pending, initContainerStatuses: [{name: i, state: {running: {}}}]", "Init:0/1"),
            (
                "phase: Pending, initContainerStatuses: [{name: i, state: {waiting: {reason: CrashLoopBackOff}}}]",
                "Init:CrashLoopBackOff"
            ),
            (
                "phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 1, reason: Error}}}]",
                "Init:Error"
            ),
            (
                "phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: a, ready: true, state: {running: {}}}, {name: b, state: {terminated: {exitCode: 0, reason: Completed}}}]",
                "Running"
            ),
        ]
    )
    func status(status: String, expected: String) throws {
        #expect(
            try pod(status, spec: "initContainers: [{name: i, image: x}], containers: [{name: a, image: b}]").status
                == expected
        )
    }

    @Test("READY and RESTARTS count, with the last restart's age") func counts() throws {
        let summary = try pod(
            "phase: Running, containerStatuses: [{name: a, ready: true, restartCount: 3, state: {running: {}}, lastState: {terminated: {exitCode: 1, finishedAt: 2026-01-02T03:07:05Z}}}, {name: b, ready: false, state: {running: {}}}]",
            spec: "containers: [{name: a, image: b}, {name: b, image: c}]"
        )
        #expect(summary.ready == "1/2")
        #expect(summary.restarts == "3 (20s ago)")
        #expect(try pod("phase: Running", deleting: true).status == "Terminating")
    }

    @Test(
        "the cells of the common kinds",
        arguments: [
            (deployment, ["web", "0/3", "0", "0", "3m20s"]),
            (
                "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, clusterIP: 10.96.1.2, ports: [{port: 80, nodePort: 30080, protocol: TCP}]}}",
                ["a", "LoadBalancer", "10.96.1.2", "<pending>", "80:30080/TCP", "3m20s"]
            ),
            (
                "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, clusterIP: 10.96.1.2, ports: [{port: 80}]}, status: {loadBalancer: {ingress: [{ip: 127.10.0.1}]}}}",
                ["a", "LoadBalancer", "10.96.1.2", "127.10.0.1", "80/TCP", "3m20s"]
            ),
            (
                "{apiVersion: v1, kind: Namespace, metadata: {name: a}, status: {phase: Active}}",
                ["a", "Active", "3m20s"]
            ),
            ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: b, c: d}}", ["a", "2", "3m20s"]),
            ("{apiVersion: v1, kind: Secret, metadata: {name: a}, type: Opaque}", ["a", "Opaque", "0", "3m20s"]),
            (
                "{apiVersion: v1, kind: Endpoints, metadata: {name: a}, subsets: [{addresses: [{ip: 1.1.1.1}, {ip: 2.2.2.2}], ports: [{port: 80}, {port: 81}]}]}",
                ["a", "1.1.1.1:80,1.1.1.1:81,2.2.2.2:80 + 1 more...", "3m20s"]
            ),
            (
                "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: [{host: shop.local}]}}",
                ["a", "<none>", "shop.local", "", "80", "3m20s"]
            ),
            (
                "{apiVersion: v1, kind: Event, metadata: {name: a}, type: Normal, reason: Started, message: \"hi\", lastTimestamp: 2026-01-02T03:04:05Z, involvedObject: {kind: Pod, name: p}}",
                ["3m20s", "Normal", "Started", "pod/p", "hi"]
            ),
            (
                "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {completions: 2}, "
                    + "status: {succeeded: 1, startTime: 2026-01-02T03:04:05Z}}",
                ["a", "Running", "1/2", "3m20s", "3m20s"]
            ),
            (
                "{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {schedule: '@daily', timeZone: Asia/Tokyo}, "
                    + "status: {active: [{name: j}], lastScheduleTime: 2026-01-02T03:04:05Z}}",
                ["a", "@daily", "Asia/Tokyo", "False", "1", "3m20s", "3m20s"]
            ),
            (
                "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a}, spec: {template: {spec: {nodeSelector: {a: b}}}}, "
                    + "status: {desiredNumberScheduled: 1, currentNumberScheduled: 1, numberReady: 1, numberAvailable: 1}}",
                ["a", "1", "1", "1", "0", "1", "a=b", "3m20s"]
            ),
            (
                "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a}, spec: {minAvailable: 50%}, "
                    + "status: {disruptionsAllowed: 2}}",
                ["a", "50%", "N/A", "2", "3m20s"]
            ),
            (
                "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: a}, spec: {maxReplicas: 5, "
                    + "scaleTargetRef: {kind: Deployment, name: web}, metrics: [{type: Resource, resource: {name: cpu, "
                    + "target: {type: Utilization, averageUtilization: 80}}}, {type: Object, object: {target: {type: Value, "
                    + "value: '10'}}}]}, status: {currentReplicas: 2, currentMetrics: [{resource: {current: "
                    + "{averageUtilization: 30}}}]}}",
                ["a", "Deployment/web", "cpu: 30%/80%, <unknown>/10", "1", "5", "2", "3m20s"]
            ),
            ("{apiVersion: v1, kind: PodTemplate, metadata: {name: a}}", ["a", "3m20s"]),
            (
                "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {accessModes: [ReadWriteOnce], "
                    + "storageClassName: standard}, status: {phase: Bound, accessModes: [ReadWriteOnce, ReadOnlyMany], "
                    + "capacity: {storage: 1Gi}}}",
                ["a", "Bound", "", "1Gi", "RWO,ROX", "standard", "3m20s"]
            ),
        ] as [(String, [String])]
    )
    func kinds(yaml: String, expected: [String]) throws { #expect(try cells(yaml) == expected) }

    @Test("wide columns come only when asked for") func wide() throws {
        let all = try cells(deployment, isWide: true)
        #expect(all.suffix(3) == ["web", "shop/web:1.2", "app=web"])
    }

    @Test("the API's form has as many cells as columns, for every kind", arguments: ResourceTypes.all)
    func shape(type: ResourceType) {
        let table = Table.make([Object(type, namespace: "a", name: "b")], of: type, at: now)
        #expect(table.rows[0].cells.count == table.columns.count)
        let value = table.value(including: .none, revision: "5")
        #expect(value["rows"]?[0]?["object"] == nil)
        #expect(value.at("metadata", "resourceVersion") == "5")
    }
}
