package import Wire

/// `spec` of a Service.
package struct ServiceSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    package var type: String { value.text("type") ?? "ClusterIP" }
    /// The address, `None` for a headless Service, empty while none is given.
    package var clusterIP: String { value.text("clusterIP") ?? "" }
    package var isHeadless: Bool { clusterIP == "None" }
    /// The labels of the pods behind it; empty when its endpoints are written by hand.
    package var selector: [String: String] { value.textMap("selector") }
    package var ports: [ServicePort] { value.views("ports") }
    package var externalName: String? { value.text("externalName") }
    package var externalIPs: [String] { value.texts("externalIPs") }
    package var loadBalancerIP: String? { value.text("loadBalancerIP") }
    /// `None` or `ClientIP`.
    package var sessionAffinity: String { value.text("sessionAffinity") ?? "None" }
    /// How long a client stays with a pod after it was last seen; nil: clients do not stay.
    package var affinitySeconds: Int? {
        guard sessionAffinity == "ClientIP" else { return nil }
        return value.at("sessionAffinityConfig", "clientIP", "timeoutSeconds")?.intValue ?? 10800
    }
    package var publishNotReadyAddresses: Bool { value.flag("publishNotReadyAddresses") }
}

/// One port of a Service.
package struct ServicePort: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var name: String { value.text("name") ?? "" }
    package var port: Int { value.integer("port") ?? 0 }
    package var targetPort: IntOrString { IntOrString(value["targetPort"]) ?? .number(port) }
    package var nodePort: Int? { value.integer("nodePort").flatMap { $0 == 0 ? nil : $0 } }
    /// `TCP`, `UDP` or `SCTP`.
    package var protocolName: String { value.text("protocol") ?? "TCP" }
    package var appProtocol: String? { value.text("appProtocol") }
}

/// An EndpointSlice.
package struct EndpointSliceView: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package struct Port: ValueView {
        package let value: Value
        package init(_ value: Value) { self.value = value }

        package var name: String { value.text("name") ?? "" }
        package var port: Int { value.integer("port") ?? 0 }
        package var protocolName: String { value.text("protocol") ?? "TCP" }
        package var appProtocol: String? { value.text("appProtocol") }
    }

    package struct Endpoint: ValueView {
        package let value: Value
        package init(_ value: Value) { self.value = value }

        package var addresses: [String] { value.texts("addresses") }
        package var ready: Bool { value["conditions"]?["ready"]?.boolValue ?? true }
        package var serving: Bool { value["conditions"]?["serving"]?.boolValue ?? ready }
        package var terminating: Bool { value["conditions"]?.flag("terminating") ?? false }
        package var hostname: String? { value.text("hostname") }
        package var nodeName: String? { value.text("nodeName") }
        package var targetKind: String { value["targetRef"]?.text("kind") ?? "" }
        package var targetName: String { value["targetRef"]?.text("name") ?? "" }
        package var targetNamespace: String { value["targetRef"]?.text("namespace") ?? "" }
        package var targetUID: String { value["targetRef"]?.text("uid") ?? "" }
    }

    package var addressType: String { value.text("addressType") ?? "IPv4" }
    package var ports: [Port] { value.views("ports") }
    package var endpoints: [Endpoint] { value.views("endpoints") }
    /// The Service that this slice belongs to.
    package var serviceName: String? {
        value["metadata"]?["labels"]?["kubernetes.io/service-name"]?.stringValue
    }
}

/// `spec` of an Ingress.
package struct IngressSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package struct Backend: ValueView {
        package let value: Value
        package init(_ value: Value) { self.value = value }

        package var serviceName: String { value["service"]?.text("name") ?? "" }
        /// The port by number or name; nil when the backend is no Service.
        package var servicePort: IntOrString? {
            let port = value.at("service", "port")
            return IntOrString(port?["name"]) ?? IntOrString(port?["number"])
        }
    }

    package struct Path: ValueView {
        package let value: Value
        package init(_ value: Value) { self.value = value }

        package var path: String { value.text("path") ?? "/" }
        /// `Exact`, `Prefix` or `ImplementationSpecific`.
        package var pathType: String { value.text("pathType") ?? "ImplementationSpecific" }
        package var backend: Backend { Backend(value["backend"] ?? .null) }
    }

    package struct Rule: ValueView {
        package let value: Value
        package init(_ value: Value) { self.value = value }

        /// The host, perhaps with a leading `*.`; empty for every host.
        package var host: String { value.text("host") ?? "" }
        package var paths: [Path] { value["http"]?.views("paths") ?? [] }
    }

    package var ingressClassName: String? { value.text("ingressClassName") }
    package var defaultBackend: Backend? { value.view("defaultBackend") }
    package var rules: [Rule] { value.views("rules") }
    package var tls: [(hosts: [String], secretName: String)] {
        value.list("tls").map { ($0.texts("hosts"), $0.text("secretName") ?? "") }
    }
}

/// Addresses in `status.loadBalancer.ingress` of a Service or an Ingress.
package struct LoadBalancerStatus: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var addresses: [String] {
        (value["loadBalancer"]?.list("ingress") ?? []).compactMap { $0.text("ip") ?? $0.text("hostname") }
    }
}

/// `spec` of an Image (`weft.dev/v1alpha1`): what an image's name means on this machine.
package struct ImageSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    /// The reference that this stands for, when it is more than the object's name (`registry/shop/users:1.2`).
    package var image: String? { value.text("image") }
    /// A directory on the host: the working directory of the command.
    package var directory: String { value.text("directory") ?? "" }
    /// Program and arguments; a pod's `command` and `args` replace it as they would an image's entry point.
    package var command: [String] { value.texts("command") }
    package var env: [EnvVar] { value.views("env") }

    /// The Image that a container's `image` means: the one whose `spec.image` is the reference, else the one of that
    /// name, else the one named like the last part of its path without tag and digest.
    package static func resolve(_ reference: String, among images: [Object]) -> Object? {
        if let exact = images.first(where: { ImageSpec($0.spec).image == reference }) { return exact }
        if let named = images.first(where: { $0.name == reference }) { return named }
        let short = shortName(reference)
        return images.first { $0.name == short && ImageSpec($0.spec).image == nil }
            ?? images.first { ImageSpec($0.spec).image == short }
    }

    /// The last part of a reference's path, without tag and digest: `user-service` of `registry/shop/user-service:1.2`.
    package static func shortName(_ reference: String) -> String {
        let undigested = reference.split(separator: "@", maxSplits: 1).first ?? ""
        let last = undigested.split(separator: "/").last ?? ""
        return String(last.split(separator: ":", maxSplits: 1).first ?? "")
    }
}
