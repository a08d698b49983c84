import Mesh
import Resources
import Testing
import Wire

@Suite("Objects as the mesh sees them")
struct ObjectTests {
    @Test("a Service keeps what matters")
    func service() throws {
        let service = MeshService(
            Object(
                try #require(
                    YAML.parse(
                        """
                        apiVersion: v1
                        kind: Service
                        metadata: {name: web, namespace: shop, annotations: {weft.dev/retries: "2"}}
                        spec:
                          type: LoadBalancer
                          clusterIP: 10.96.0.7
                          selector: {app: web}
                          ports: [{name: http, port: 80, targetPort: web, nodePort: 30001}, {name: raw, port: 81}]
                        status: {loadBalancer: {ingress: [{ip: 127.10.0.1}]}}
                        """
                    ).first
                ).value
            )
        )
        #expect(service.clusterIP == "10.96.0.7" && service.type == "LoadBalancer")
        #expect(
            service.ports == [
                .init(name: "http", port: 80, target: .text("web"), nodePort: 30001), .init(name: "raw", port: 81),
            ]
        )
        #expect(service.loadBalancerAddresses == ["127.10.0.1"])
        #expect(service.annotations == ["weft.dev/retries": "2"])
    }

    @Test("a pod belongs to the Deployment behind its ReplicaSet")
    func workload() throws {
        var object = Object(ResourceTypes.pods, namespace: "shop", name: "web-5d4f-x")
        object.labels = ["app": "web", "pod-template-hash": "5d4f"]
        object.metadata["ownerReferences"] = [["kind": "ReplicaSet", "name": "web-5d4f", "controller": true]]
        object.status = [
            "podIP": "10.244.0.9", "phase": "Running", "conditions": [["type": "Ready", "status": "True"]],
        ]
        let pod = try #require(MeshPod(object, networkNamespace: "/n"))
        #expect(pod.workload == Workload(kind: "Deployment", name: "web"))
        #expect(pod.isReady && !pod.isTerminating)
        object.status = ["podIP": "10.244.0.9", "phase": "Failed"]
        #expect(MeshPod(object, networkNamespace: "/n") == nil)
        object.status = [:]
        #expect(MeshPod(object, networkNamespace: "/n") == nil)
    }
}
