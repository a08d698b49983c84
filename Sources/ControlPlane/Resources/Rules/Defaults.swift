package import Wire

/// Fills in what Kubernetes fills in, so that a stored object says everything that will happen.
package enum Defaults {
    /// Completes an object of a kind that Weft acts on; others are left as they are.
    package static func fill(_ object: inout Object, of type: ResourceType) {
        switch type.kind {
        case "CustomResourceDefinition": Definition.complete(&object)
        case "Pod":
            object.value.update("spec") {
                pod(&$0)
                if $0["enableServiceLinks"] == nil { $0["enableServiceLinks"] = true }
                serviceAccount(&$0)
            }
        case "Deployment": object.value.update("spec", deployment)
        case "ReplicaSet":
            object.value.update("spec") {
                $0.fill("replicas", 1)
                $0.update("template") { $0.update("spec", pod) }
            }
        case "Service": object.value.update("spec", service)
        case "Secret": secret(&object.value)
        case "PersistentVolumeClaim": object.value.update("spec") { $0.fill("volumeMode", "Filesystem") }
        case "PersistentVolume":
            object.value.update("spec") {
                $0.fill("volumeMode", "Filesystem")
                $0.fill("persistentVolumeReclaimPolicy", "Retain")
                $0.update("hostPath") { $0.fill("type", "") }
            }
        case "Namespace": namespace(&object)
        case "StatefulSet": object.value.update("spec", statefulSet)
        case "DaemonSet": object.value.update("spec", daemonSet)
        case "Job": job(&object)
        case "CronJob": object.value.update("spec", cronJob)
        case "HorizontalPodAutoscaler": object.value.update("spec", autoscaler)
        case "PodDisruptionBudget": break
        case "PriorityClass": object.value.fill("preemptionPolicy", "PreemptLowerPriority")
        case "Ingress": break
        case "EndpointSlice", "Endpoints": endpoints(&object.value)
        default: break
        }
    }

    private static func deployment(_ spec: inout Value) {
        spec.fill("replicas", 1)
        spec.fill("revisionHistoryLimit", 10)
        spec.fill("progressDeadlineSeconds", 600)
        spec.update("strategy", orCreate: true) { strategy in
            strategy.fill("type", "RollingUpdate")
            guard strategy.text("type") == "RollingUpdate" else { return }
            strategy.update("rollingUpdate", orCreate: true) {
                $0.fill("maxUnavailable", "25%")
                $0.fill("maxSurge", "25%")
            }
        }
        spec.update("template") { $0.update("spec", pod) }
    }

    private static func serviceAccount(_ spec: inout Value) {
        let name = spec.text("serviceAccountName") ?? spec.text("serviceAccount") ?? "default"
        spec.fill("serviceAccountName", .string(name))
        spec.fill("serviceAccount", .string(name))
    }

    static func pod(_ spec: inout Value) {
        spec.fill("restartPolicy", "Always")
        spec.fill("dnsPolicy", "ClusterFirst")
        spec.fill("terminationGracePeriodSeconds", 30)
        spec.fill("securityContext", [:])
        spec.fill("schedulerName", "default-scheduler")
        for field in ["initContainers", "containers"] { spec.updateEach(field, container) }
        spec.updateEach("volumes", volume)
    }

    private static func container(_ container: inout Value) {
        container.fill("resources", [:])
        container.fill("terminationMessagePath", "/dev/termination-log")
        container.fill("terminationMessagePolicy", "File")
        container.fill("imagePullPolicy", .string(pullPolicy(container.text("image") ?? "")))
        container.updateEach("ports") { $0.fill("protocol", "TCP") }
        container.updateEach("env") { env in
            env.update("valueFrom") { $0.update("fieldRef") { $0.fill("apiVersion", "v1") } }
        }
        container.update("resources") { resources in
            for (name, limit) in resources["limits"]?.fields ?? Fields() where resources["requests"]?[name] == nil {
                resources.set(["requests", name], limit)
            }
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            container.update(probe) {
                $0.fill("timeoutSeconds", 1)
                $0.fill("periodSeconds", 10)
                $0.fill("successThreshold", 1)
                $0.fill("failureThreshold", 3)
                handler(&$0)
            }
        }
        container.update("lifecycle") { lifecycle in
            for hook in ["postStart", "preStop"] { lifecycle.update(hook, handler) }
        }
    }

    /// `Always` for an image without a tag or with `latest`, else `IfNotPresent`.
    private static func pullPolicy(_ image: String) -> String {
        if image.contains("@") { return "IfNotPresent" }
        let last = image.split(separator: "/").last ?? ""
        guard let colon = last.lastIndex(of: ":") else { return "Always" }
        return last[colon...] == ":latest" ? "Always" : "IfNotPresent"
    }

    private static func handler(_ handler: inout Value) {
        handler.update("httpGet") {
            $0.fill("path", "/")
            $0.fill("scheme", "HTTP")
        }
        handler.update("grpc") { $0.fill("service", "") }
    }

    private static func volume(_ volume: inout Value) {
        if volume.fields?.names.allSatisfy({ $0 == "name" }) ?? false { volume["emptyDir"] = [:] }
        for source in ["configMap", "secret", "downwardAPI", "projected"] {
            volume.update(source) { $0.fill("defaultMode", 420) }
        }
        volume.update("hostPath") { $0.fill("type", "") }
        volume.update("downwardAPI") {
            $0.updateEach("items") { $0.update("fieldRef") { $0.fill("apiVersion", "v1") } }
        }
    }

    private static func service(_ spec: inout Value) {
        spec.fill("type", "ClusterIP")
        spec.fill("sessionAffinity", "None")
        let type = spec.text("type")
        if spec.text("sessionAffinity") == "ClientIP" {
            spec.update("sessionAffinityConfig", orCreate: true) {
                $0.update("clientIP", orCreate: true) { $0.fill("timeoutSeconds", 10800) }
            }
        } else {
            spec["sessionAffinityConfig"] = nil
        }
        spec.updateEach("ports") { port in
            port.fill("protocol", "TCP")
            if let number = port["port"], port["targetPort"] == nil || port["targetPort"] == 0 {
                port["targetPort"] = number
            }
        }
        guard type != "ExternalName" else { return }
        spec.fill("internalTrafficPolicy", "Cluster")
        spec.fill("ipFamilies", ["IPv4"])
        spec.fill("ipFamilyPolicy", "SingleStack")
        if let address = spec.text("clusterIP"), !address.isEmpty { spec.fill("clusterIPs", [.string(address)]) }
        if type == "NodePort" || type == "LoadBalancer" { spec.fill("externalTrafficPolicy", "Cluster") }
        if type == "LoadBalancer" { spec.fill("allocateLoadBalancerNodePorts", true) }
    }

    private static func secret(_ secret: inout Value) {
        secret.fill("type", "Opaque")
        guard let texts = secret["stringData"]?.fields else { return }
        for (key, text) in texts {
            secret.set(["data", key], .string(Base64.encode(Array((text.stringValue ?? "").utf8))))
        }
        secret["stringData"] = nil
    }

    private static func namespace(_ object: inout Object) {
        object.value.set(["metadata", "labels", "kubernetes.io/metadata.name"], .string(object.name))
        object.value.update("spec", orCreate: true) { $0.fill("finalizers", ["kubernetes"]) }
        object.value.update("status", orCreate: true) { $0.fill("phase", "Active") }
    }

    private static func endpoints(_ value: inout Value) {
        value.updateEach("ports") {
            $0.fill("protocol", "TCP")
            $0.fill("name", "")
        }
        value.updateEach("subsets") { $0.updateEach("ports") { $0.fill("protocol", "TCP") } }
    }
}

extension Value {
    /// Sets a field that is missing.
    mutating func fill(_ name: String, _ value: Value) {
        if self[name] == nil { self[name] = value }
    }

    /// Changes the object in a field, if there is one (or with `orCreate` an empty one where there is none).
    package mutating func update(_ name: String, orCreate: Bool = false, _ change: (inout Value) -> Void) {
        var child: Value
        switch self[name] {
        case .object(let fields)?: child = .object(fields)
        case nil where orCreate: child = .object(Fields())
        default: return
        }
        change(&child)
        self[name] = child
    }

    /// Changes every object of the list in a field.
    package mutating func updateEach(_ name: String, _ change: (inout Value) -> Void) {
        guard case .array(var elements)? = self[name] else { return }
        for index in elements.indices where elements[index].fields != nil { change(&elements[index]) }
        self[name] = .array(elements)
    }
}
