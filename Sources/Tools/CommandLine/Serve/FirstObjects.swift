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

    /// Makes the node and the Service `kubernetes`. The address of names, 10.96.0.10, is the store's own.
    func ensure() async throws(APIError) {
        try await ensureNode()
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

    private func ensureNode() async throws(APIError) {
        let key = ObjectKey(ResourceTypes.nodes, name: PodBinder.nodeName)
        if try await store.find(key) == nil {
            var node = Object(ResourceTypes.nodes, name: PodBinder.nodeName)
            node.labels = ["kubernetes.io/hostname": PodBinder.nodeName, "kubernetes.io/os": "linux"]
            node.spec = ["podCIDR": "10.244.0.0/16"]
            try await store.create(node)
        }
        let status = nodeStatus()
        do throws(APIError) {
            try await store.modifyStatus(key) { (node) throws(APIError) in node.status = status }
        } catch {
            // A full disk keeps nobody from looking after what runs.
            guard error.reason == .insufficientStorage else { throw error }
        }
    }

    private func nodeStatus() -> Value {
        let resources: Value = [
            "cpu": .string("\(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))"),
            "memory": .string("\(sysconf(Int32(_SC_PHYS_PAGES)) * (sysconf(Int32(_SC_PAGESIZE)) / 1024))Ki"),
            "pods": "1000",
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
                "kernelVersion": .string(Self.kernel), "architecture": "amd64", "osImage": "host",
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
