import Controllers
import Glibc
import Resources
import Sandbox
import Store
import Wire

/// The objects that a cluster always has, and what a daemon's start changes in those that an earlier one left.
struct FirstObjects {
    let store: any ObjectStore
    let now: Timestamp
    /// Where NodePorts are served.
    let nodeAddress: String
    /// Where pods write: what the machine's `ephemeral-storage` is measured on.
    let stateDirectory: String

    /// Makes the node and the Service `kubernetes`. The address of names, 10.96.0.10, is the store's own.
    func ensure() async throws(APIError) {
        try await ensureNode()
        try await ensurePriorities()
        try await ensureService(
            "kubernetes",
            namespace: "default",
            address: "10.96.0.1",
            ports: [["name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443]]
        )
    }

    private func ensureService(
        _ name: String,
        namespace: String,
        address: String,
        ports: [Value]
    ) async throws(APIError) {
        let key = ObjectKey(ResourceTypes.services, namespace: namespace, name: name)
        guard try await store.find(key) == nil else { return }
        var service = Object(ResourceTypes.services, namespace: namespace, name: name)
        service.labels = ["component": "weft"]
        service.spec = ["clusterIP": .string(address), "ports": .array(ports)]
        try await store.create(service)
    }

    private func ensurePriorities() async throws(APIError) {
        let known: [(String, Int64, String)] = [
            ("system-cluster-critical", 2_000_000_000, "that must run in the cluster, but can be moved"),
            ("system-node-critical", 2_000_001_000, "that must not be moved from their current node"),
        ]
        for (name, value, what) in known {
            guard try await store.find(ObjectKey(ResourceTypes.priorityClasses, name: name)) == nil else { continue }
            var object = Object(ResourceTypes.priorityClasses, name: name)
            object["value"] = .int(value)
            object["description"] = .string("Used for system critical pods \(what).")
            object["preemptionPolicy"] = "PreemptLowerPriority"
            try await store.create(object)
        }
    }

    private func ensureNode() async throws(APIError) {
        let key = ObjectKey(ResourceTypes.nodes, name: PodBinder.nodeName)
        if try await store.find(key) == nil {
            var node = Object(ResourceTypes.nodes, name: PodBinder.nodeName)
            node.labels = Self.labels
            node.spec = ["podCIDR": "10.244.0.0/16"]
            try await store.create(node)
        }
        let status = nodeStatus()
        // A store of an earlier version knows fewer labels; what people changed stays.
        try await store.modify(key) { (node) throws(APIError) in
            node.labels = node.labels.merging(Self.labels) { said, _ in said }
        }
        do throws(APIError) {
            try await store.modifyStatus(key) { (node) throws(APIError) in node.status = status }
        } catch {
            // A full disk keeps nobody from looking after what runs.
            guard error.reason == .insufficientStorage else { throw error }
        }
    }

    private static let labels: [String: String] = {
        #if arch(arm64)
            let architecture = "arm64"
        #else
            let architecture = "amd64"
        #endif
        return [
            "kubernetes.io/hostname": PodBinder.nodeName, "kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture,
        ]
    }()

    /// The size of the file system that pods write to.
    private var diskSize: Int {
        var facts = statvfs()
        guard statvfs(stateDirectory, &facts) == 0 || statvfs("/", &facts) == 0 else { return 0 }
        return Int(
            clamping: UInt64(facts.f_blocks).multipliedReportingOverflow(by: UInt64(facts.f_frsize)).partialValue
        )
    }

    private func nodeStatus() -> Value {
        let resources: Value = [
            "cpu": .string("\(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))"),
            "memory": .string("\(sysconf(Int32(_SC_PHYS_PAGES)) * (sysconf(Int32(_SC_PAGESIZE)) / 1024))Ki"),
            "ephemeral-storage": .string("\(diskSize / 1024)Ki"), "pods": "1000",
        ]
        let time = Value.string(now.description)
        return [
            "capacity": resources, "allocatable": resources,
            "addresses": [
                ["type": "InternalIP", "address": .string(nodeAddress)],
                ["type": "Hostname", "address": .string(PodBinder.nodeName)],
            ],
            "conditions": [
                [
                    "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "weft runs pods here",
                    "lastHeartbeatTime": time, "lastTransitionTime": time,
                ]
            ],
            "nodeInfo": [
                "operatingSystem": "linux", "kubeletVersion": .string("v\(Version.current)"),
                "kernelVersion": .string(Self.kernel), "architecture": .string(Self.labels["kubernetes.io/arch"] ?? ""),
                "osImage": "host",
                "containerRuntimeVersion": .string("weft://\(Version.current)"), "machineID": "", "systemUUID": "",
                "bootID": "", "kubeProxyVersion": "",
            ],
        ]
    }

    private static var kernel: String {
        (readFile("/proc/sys/kernel/osrelease", limit: 256) ?? "unknown").split(separator: "\n").first.map(String.init)
            ?? "unknown"
    }
}
