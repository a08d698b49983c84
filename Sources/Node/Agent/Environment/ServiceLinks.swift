package import Resources

/// The variables that tell a container where the Services of its namespace are: `WEB_SERVICE_HOST`, `WEB_SERVICE_PORT`, and
/// the older `WEB_PORT_80_TCP_ADDR` family.
package enum ServiceLinks {
    package static func variables(_ services: [Object]) -> [(String, String)] {
        services.sorted { $0.name < $1.name }.flatMap(variables)
    }

    private static func variables(_ service: Object) -> [(String, String)] {
        let spec = ServiceSpec(service.spec)
        guard !spec.isHeadless, !spec.clusterIP.isEmpty, let first = spec.ports.first else { return [] }
        let prefix = variableName(service.name)
        var variables = [
            ("\(prefix)_SERVICE_HOST", spec.clusterIP), ("\(prefix)_SERVICE_PORT", String(first.port)),
        ]
        for port in spec.ports where !port.name.isEmpty {
            variables.append(("\(prefix)_SERVICE_PORT_\(variableName(port.name))", String(port.port)))
        }
        variables.append(("\(prefix)_PORT", url(spec.clusterIP, first)))
        for port in spec.ports {
            let link = "\(prefix)_PORT_\(port.port)_\(port.protocolName.uppercased())"
            variables.append((link, url(spec.clusterIP, port)))
            variables.append(("\(link)_PROTO", port.protocolName.lowercased()))
            variables.append(("\(link)_PORT", String(port.port)))
            variables.append(("\(link)_ADDR", spec.clusterIP))
        }
        return variables
    }

    private static func url(_ address: String, _ port: ServicePort) -> String {
        "\(port.protocolName.lowercased())://\(address):\(port.port)"
    }

    private static func variableName(_ name: String) -> String {
        name.uppercased().replacing("-", with: "_")
    }
}
