import Resources
import Testing
import Wire

@Suite("Checking manifests")
struct ValidationTests {
    @Test("a manifest as it is found everywhere has nothing wrong")
    func good() throws { #expect(try complaints(deployment) == []) }

    @Test(
        "a mistake in a Deployment is named by its path",
        arguments: [
            (
                "image: shop", "imagee: shop",
                "spec.template.spec.containers[0].imagee: unknown field (did you mean \"image\"?)"
            ),
            ("replicas: 3", "replica: 3", "spec.replica: unknown field (did you mean \"replicas\"?)"),
            ("replicas: 3", "frobnicate: 3", "spec.frobnicate: unknown field"),
            (
                "replicas: 3", "replicas: \"3\"",
                "spec.replicas: must be a whole number, but is the string \"3\" (write it without quotes)"
            ),
            ("replicas: 3", "replicas: -1", "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
            (
                "replicas: 3", "paused: \"true\"",
                "spec.paused: must be true or false, but is the string \"true\" (write it without quotes)"
            ),
            (
                "matchLabels: {app: web}", "matchLabels: {app: wep}",
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"
            ),
            (
                "containerPort: 8080", "containerPort: 80800",
                "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 80800: must be between 1 and 65535, inclusive"
            ),
            (
                "containerPort: 8080", "name: http",
                "spec.template.spec.containers[0].ports[0].containerPort: Required value"
            ),
            (
                "image: shop/web:1.2", "env: [{name: A, value: 1}]",
                "spec.template.spec.containers[0].env[0].value: must be a string, but is the number 1 (put it in quotes)"
            ),
            ("image: shop/web:1.2", "command: [web]", "spec.template.spec.containers[0].image: Required value"),
            (
                "name: web\n  labels", "name: Web_1\n  labels",
                "metadata.name: Invalid value: \"Web_1\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com')"
            ),
            (
                "port: 8080}", "port: htttp-server-port}",
                "spec.template.spec.containers[0].readinessProbe.httpGet.port: Invalid value: \"htttp-server-port\": must be no more than 15 characters"
            ),
            (
                "httpGet: {path: /ready, port: 8080}", "periodSeconds: 3",
                "spec.template.spec.containers[0].readinessProbe: Required value: must specify a handler type (exec, httpGet, tcpSocket or grpc)"
            ),
            (
                "replicas: 3", "strategy: {type: Rolling}",
                "spec.strategy.type: Unsupported value: \"Rolling\": supported values: \"RollingUpdate\", \"Recreate\""
            ),
            (
                "replicas: 3", "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}",
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"
            ),
            (
                "image: shop/web:1.2", "image: web\n        volumeMounts: [{name: data, mountPath: /d}]",
                "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"data\": no volume of the pod has this name"
            ),
            (
                "image: shop/web:1.2", "image: web\n        resources: {limits: {memory: 64Mx}}",
                "spec.template.spec.containers[0].resources.limits[memory]: Invalid value: \"64Mx\": must be a quantity such as 500m, 1.5 or 64Mi"
            ),
            (
                "image: shop/web:1.2", "image: web\n        resources: {limits: {cpu: 1}, requests: {cpu: 1500m}}",
                "spec.template.spec.containers[0].resources.requests: Invalid value: \"1500m\": must be less than or equal to cpu limit of 1"
            ),
            (
                "containers:", "restartPolicy: Never\n      containers:",
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""
            ),
        ]
    )
    func mistakes(old: String, new: String, expected: String) throws {
        let text = deployment
        let range = try #require(text.range(of: old))
        let found = try complaints(text.replacingCharacters(in: range, with: new))
        #expect(found.contains(expected), "\(found)")
    }

    @Test(
        "a mistake in a Service is named by its path",
        arguments: [
            (
                "ports: [{port: 80}, {port: 81}]",
                "spec.ports[0].name: Required value: a Service with several ports must name each"
            ),
            ("ports: [{port: 0}]", "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
            ("ports: []", "spec.ports: Required value"),
            (
                "ports: [{port: 80, nodePort: 30001}]",
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"
            ),
            (
                "{type: NodePort, ports: [{port: 80, nodePort: 80}]}",
                "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"
            ),
            (
                "{type: Loadbalancer, ports: [{port: 80}]}",
                "spec.type: Unsupported value: \"Loadbalancer\": supported values: \"ClusterIP\", \"NodePort\", \"LoadBalancer\", \"ExternalName\""
            ),
            (
                "{clusterIP: 1.2.3, ports: [{port: 80}]}",
                "spec.clusterIP: Invalid value: \"1.2.3\": must be empty, 'None', or a valid IP address"
            ),
            (
                "{selector: {app: \"a b\"}, ports: [{port: 80}]}",
                "spec.selector[app]: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue')"
            ),
        ]
    )
    func services(spec: String, expected: String) throws {
        let spec = spec.hasPrefix("{") ? spec : "{\(spec)}"
        let found = try complaints("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: \(spec)}")
        #expect(found.contains(expected), "\(found)")
    }

    @Test(
        "a mistake in an Ingress is named by its path",
        arguments: [
            (
                "{path: /, backend: {service: {name: web, port: {number: 80}}}}",
                "spec.rules[0].http.paths[0].pathType: Required value"
            ),
            (
                "{path: shop, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}",
                "spec.rules[0].http.paths[0].path: Invalid value: \"shop\": must be an absolute path"
            ),
            (
                "{path: /, pathType: Prefix, backend: {service: {name: web}}}",
                "spec.rules[0].http.paths[0].backend.service.port: Required value: port name or number is required"
            ),
            (
                "{path: /, pathType: Prefix, backend: {serviceName: web, servicePort: 80}}",
                "spec.rules[0].http.paths[0].backend.serviceName: unknown field (did you mean \"service\"?)"
            ),
        ]
    )
    func ingresses(path: String, expected: String) throws {
        let found = try complaints(
            """
            {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web},
             spec: {rules: [{host: shop.local, http: {paths: [\(path)]}}]}}
            """
        )
        #expect(found.contains { $0.hasPrefix(expected) || $0.hasPrefix(String(expected.prefix(70))) }, "\(found)")
    }

    @Test(
        "ConfigMaps, Secrets and Images are checked",
        arguments: [
            ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {\"a/b\": x}}", "data[a/b]"),
            (
                "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {n: 1}}",
                "data[n]: must be a string, but is the number 1 (put it in quotes)"
            ),
            (
                "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {k: \"not base64!\"}}",
                "data[k]: Invalid value: \"not base64!\": must be base64"
            ),
            (
                "{apiVersion: weft.dev/v1alpha1, kind: Image, metadata: {name: a}, spec: {command: [run]}}",
                "spec.directory: Required value"
            ),
            (
                "{apiVersion: weft.dev/v1alpha1, kind: Image, metadata: {name: a}, spec: {directory: shop, command: [run]}}",
                "spec.directory: Invalid value: \"shop\": must be an absolute path"
            ),
            (
                "{apiVersion: v1, kind: Namespace, metadata: {name: a, lables: {}}}",
                "metadata.lables: unknown field (did you mean \"labels\"?)"
            ),
        ]
    )
    func others(yaml: String, expected: String) throws {
        let found = try complaints(yaml)
        #expect(found.contains { $0.hasPrefix(expected) }, "\(found)")
    }

    @Test("fields that are kept without effect are named in warnings")
    func warnings() throws {
        let object = try object(
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {runtimeClassName: fast, hostNetwork: false, containers: [{name: a, image: b}]}}"
        )
        let check = SchemaCheck(object.value, of: ResourceTypes.pods)
        #expect(check.warnings == ["spec.runtimeClassName: Weft keeps this field but does not act on it"])
    }

    @Test("kinds that are only kept take any field")
    func keptKinds() throws {
        #expect(
            try complaints(
                "{apiVersion: v1, kind: PodTemplate, metadata: {name: a}, spec: {anything: {goes: 1}}}"
            ) == []
        )
    }

    @Test("nulls are left out, as in Kubernetes")
    func nulls() throws {
        let check = SchemaCheck(
            try object(
                "{apiVersion: v1, kind: Pod, metadata: {name: a, creationTimestamp: null}, spec: {containers: [{name: a, image: b, env: null}]}}"
            ).value,
            of: ResourceTypes.pods
        )
        #expect(check.errors.isEmpty)
        #expect(check.pruned.at("metadata", "creationTimestamp") == nil)
        #expect(check.pruned.at("spec", "containers")?[0]?["env"] == nil)
    }

    @Test("a selector cannot be changed")
    func immutableSelector() throws {
        let old = try stored(deployment)
        var new = old
        new.value.set(["spec", "selector", "matchLabels", "tier"], "x")
        new.value.set(["spec", "template", "metadata", "labels", "tier"], "x")
        let errors = Validation(new, of: ResourceTypes.deployments, replacing: old).errors
        #expect(errors.map(\.path) == ["spec.selector"])
    }

    @Test("of a running pod only few fields change")
    func immutablePod() throws {
        let old = try stored(
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b}]}}"
        )
        var placed = old
        placed.spec["nodeName"] = "here"
        #expect(Validation(placed, of: ResourceTypes.pods, replacing: old).errors.isEmpty)
        var image = old
        image.value.update("spec") { $0.updateEach("containers") { $0["image"] = "c" } }
        #expect(Validation(image, of: ResourceTypes.pods, replacing: old).errors.isEmpty)
        var command = old
        command.value.update("spec") { $0.updateEach("containers") { $0["command"] = ["x"] } }
        #expect(Validation(command, of: ResourceTypes.pods, replacing: old).errors.map(\.path) == ["spec"])
    }

    @Test(
        "odd trees never trap",
        arguments: [
            "{apiVersion: v1, kind: Pod, metadata: 3, spec: [1]}",
            "{apiVersion: v1, kind: Pod, metadata: {name: [1], labels: 7, ownerReferences: {a: 1}}, spec: {containers: {a: b}}}",
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [1, null, {name: {}}], volumes: [[]]}}",
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicas: 1e300, selector: 1, template: []}}",
            "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 99999999999999}], selector: []}}",
            "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: [], stringData: {a: 1}}",
        ]
    )
    func oddTrees(yaml: String) throws {
        var object = try object(yaml)
        let type = try #require(object.type)
        _ = SchemaCheck(object.value, of: type)
        Defaults.fill(&object, of: type)
        _ = Validation(object, of: type).errors
        _ = Table.make([object], of: type, at: Timestamp(seconds: 0)).lines(isWide: true)
        #expect(!(try complaints(yaml)).isEmpty)
    }
}

extension String {
    func range(of part: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
            start = index(after: start)
        }
        return nil
    }

    func replacing(_ old: String, _ new: String) -> String {
        range(of: old).map { replacingCharacters(in: $0, with: new) } ?? self
    }

    func replacingCharacters(in range: Range<String.Index>, with text: String) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
