import Wire

extension Validation {
    mutating func service(_ object: Object, _ old: Object?) {
        let spec = object.spec
        let view = ServiceSpec(spec)
        if view.type == "ExternalName" {
            check("spec.externalName", view.externalName ?? "", NameRules.subdomain)
            if !view.clusterIP.isEmpty {
                add("spec.clusterIP", .forbidden, "Forbidden: may not be set for ExternalName services")
            }
        } else if view.ports.isEmpty, !view.isHeadless {
            required("spec.ports")
        }
        if view.isHeadless, view.type != "ClusterIP", view.type != "ExternalName" {
            invalid("spec.clusterIP", "None", "may not be set to 'None' for \(view.type) services")
        } else if !view.clusterIP.isEmpty, !view.isHeadless, !Addresses.isIP(view.clusterIP) {
            invalid("spec.clusterIP", view.clusterIP, "must be empty, 'None', or a valid IP address")
        }
        servicePorts(spec, view)
        labels(spec["selector"], "spec.selector")
        if let seconds = view.affinitySeconds, !(1...86_400).contains(seconds) {
            let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            invalid(path, seconds, "must be greater than 0 and less than or equal to 86400")
        }
        guard let old else { return }
        let before = ServiceSpec(old.spec)
        if !before.clusterIP.isEmpty, before.type != "ExternalName", view.type != "ExternalName",
            before.clusterIP != view.clusterIP
        {
            invalid("spec.clusterIP", view.clusterIP, "field is immutable")
        }
    }

    private mutating func servicePorts(_ spec: Value, _ view: ServiceSpec) {
        var names: Set<String> = []
        var numbers: Set<String> = []
        var nodePorts: Set<String> = []
        for (index, port) in view.ports.enumerated() {
            let at = "spec.ports[\(index)]"
            portNumber(port.port, "\(at).port")
            if port.name.isEmpty {
                if view.ports.count > 1 { required("\(at).name", "a Service with several ports must name each") }
            } else {
                check("\(at).name", port.name, NameRules.label)
                if !names.insert(port.name).inserted { duplicate("\(at).name", port.name) }
            }
            if !numbers.insert("\(port.protocolName)/\(port.port)").inserted {
                duplicate(at, "\(port.port)/\(port.protocolName)")
            }
            if !view.isHeadless { portNumberOrName(port.targetPort, "\(at).targetPort") }
            guard let nodePort = port.nodePort else { continue }
            if view.type == "ClusterIP" || view.type == "ExternalName" {
                add("\(at).nodePort", .forbidden, "Forbidden: may not be used when `type` is '\(view.type)'")
            } else if !(30000...32767).contains(nodePort) {
                invalid(
                    "\(at).nodePort",
                    nodePort,
                    "provided port is not in the valid range. The range of valid ports is 30000-32767"
                )
            } else if !nodePorts.insert("\(port.protocolName)/\(nodePort)").inserted {
                duplicate("\(at).nodePort", String(nodePort))
            }
        }
    }

    mutating func ingress(_ object: Object) {
        let spec = IngressSpec(object.spec)
        if spec.rules.isEmpty, spec.defaultBackend == nil {
            add("spec", .invalid, "Invalid value: either `defaultBackend` or `rules` must be specified")
        }
        if let backend = spec.defaultBackend { self.backend(backend, "spec.defaultBackend") }
        for (index, rule) in spec.rules.enumerated() {
            let at = "spec.rules[\(index)]"
            if !rule.host.isEmpty { host(rule.host, "\(at).host") }
            if rule.value["http"] != nil, rule.paths.isEmpty { required("\(at).http.paths") }
            for (position, path) in rule.paths.enumerated() {
                self.path(path, "\(at).http.paths[\(position)]")
            }
        }
    }

    private mutating func host(_ host: String, _ path: String) {
        if Addresses.isIP(host) { return invalid(path, host, "must be a DNS name, not an IP address") }
        let name = host.hasPrefix("*.") ? String(host.dropFirst(2)) : host
        if let problem = NameRules.subdomain(name) {
            let advice = host.contains(":") ? " (a host has no port here)" : ""
            invalid(path, host, problem + advice)
        }
    }

    private mutating func path(_ path: IngressSpec.Path, _ at: String) {
        let text = path.value.text("path") ?? ""
        if path.pathType != "ImplementationSpecific" || !text.isEmpty, !text.hasPrefix("/") {
            invalid("\(at).path", text, "must be an absolute path")
        }
        if path.pathType != "ImplementationSpecific" {
            let lowered = text.lowercased()
            for bad in ["//", "/./", "/../", "%2f", "%5c"] where lowered.split(at: bad) != nil {
                invalid("\(at).path", text, "must not contain '\(bad)'")
            }
            if text.hasSuffix("/.") || text.hasSuffix("/..") {
                invalid("\(at).path", text, "must not end with '/.' or '/..'")
            }
        }
        backend(path.backend, "\(at).backend")
    }

    private mutating func backend(_ backend: IngressSpec.Backend, _ at: String) {
        let hasService = backend.value["service"] != nil
        if hasService == (backend.value["resource"] != nil) {
            return required(at, "exactly one of `service` and `resource` must be given")
        }
        guard hasService else { return }
        check("\(at).service.name", backend.serviceName, NameRules.label1035)
        switch backend.servicePort {
        case .number(let number)?: portNumber(number, "\(at).service.port.number")
        case .text(let name)?: check("\(at).service.port.name", name, NameRules.portName)
        case nil: required("\(at).service.port", "port name or number is required")
        }
    }
}

/// IP addresses as texts.
package enum Addresses {
    /// The 32 bits of a dotted IPv4 address without leading zeros, or nil.
    package static func parseIPv4(_ text: String) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var result: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
                part.utf8.count == 1 || part.utf8.first != 48, let byte = UInt8(part)
            else { return nil }
            result = result << 8 | UInt32(byte)
        }
        return result
    }

    /// The dotted text of 32 bits.
    package static func text(_ address: UInt32) -> String {
        "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    }

    /// Whether a text is an IPv4 or (by its shape) an IPv6 address.
    package static func isIP(_ text: String) -> Bool {
        if parseIPv4(text) != nil { return true }
        let groups = text.split(separator: ":", omittingEmptySubsequences: false)
        guard groups.count >= 3, groups.count <= 8, text.utf8.count <= 39 else { return false }
        let isCompressed = text.split(at: "::") != nil
        guard isCompressed || groups.count == 8 else { return false }
        return groups.allSatisfy { $0.utf8.count <= 4 && $0.allSatisfy(\.isHexDigit) }
    }
}
