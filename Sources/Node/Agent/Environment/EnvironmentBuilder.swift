package import Resources
import Wire

/// A container's environment, from its spec and the objects that it refers to, by Kubernetes' rules.
///
/// Pure. Later sources win: this machine's base, the image's, links to Services, `envFrom`, `env`. `$(NAME)` is replaced by
/// what stands before it; `$$` is a dollar; a name that is not known stays as it was written.
package struct EnvironmentBuilder: Sendable {
    /// What a container cannot be started without.
    package struct Missing: Error, Sendable, Equatable, CustomStringConvertible {
        package let message: String

        package init(message: String) { self.message = message }

        package var description: String { message }
    }

    package var pod: Object
    package var podAddress: String
    package var hostAddress: String
    package var nodeName: String
    /// By name, in the pod's namespace.
    package var configMaps: [String: Object]
    package var secrets: [String: Object]
    /// The Services of the pod's namespace, and `default/kubernetes`.
    package var services: [Object]

    package init(
        pod: Object,
        podAddress: String = "",
        hostAddress: String = "127.0.0.1",
        nodeName: String = "weft",
        configMaps: [String: Object] = [:],
        secrets: [String: Object] = [:],
        services: [Object] = []
    ) {
        self.pod = pod
        self.podAddress = podAddress
        self.hostAddress = hostAddress
        self.nodeName = nodeName
        self.configMaps = configMaps
        self.secrets = secrets
        self.services = services
    }

    /// The variables in order, each name once.
    package func variables(
        of container: Container,
        image: [EnvVar],
        base: [(String, String)]
    ) throws(Missing) -> Variables {
        var variables = Variables()
        for (name, value) in base { variables[name] = value }
        for variable in image {
            variables[variable.name] = try value(of: variable, container, variables) ?? variables[variable.name]
        }
        if PodSpec(pod.spec).enableServiceLinks {
            for (name, value) in ServiceLinks.variables(services) { variables[name] = value }
        }
        for source in container.envFrom { try add(source, to: &variables) }
        for variable in container.env {
            if let value = try value(of: variable, container, variables) { variables[variable.name] = value }
        }
        return variables
    }

    private func value(of variable: EnvVar, _ container: Container, _ known: Variables) throws(Missing) -> String? {
        switch variable.source {
        case .literal(let text): return known.expand(text)
        case .field(let path):
            guard let value = field(path) else {
                throw Missing(message: "env \(variable.name): fieldRef \(path) is not supported")
            }
            return value
        case .resourceField(let name, let resource, let divisor):
            return self.resource(name ?? container.name, resource, divisor) ?? "0"
        case .configMapKey(let name, let key, let isOptional):
            return try lookUp("configmap", name, key, isOptional, in: configMaps)
        case .secretKey(let name, let key, let isOptional):
            return try lookUp("secret", name, key, isOptional, in: secrets)
        }
    }

    private func lookUp(
        _ kind: String,
        _ name: String,
        _ key: String,
        _ isOptional: Bool,
        in objects: [String: Object]
    ) throws(Missing) -> String? {
        guard let object = objects[name] else {
            if isOptional { return nil }
            throw Missing(message: "\(kind) \"\(name)\" not found")
        }
        guard let bytes = KeyedData.bytes(of: key, in: object) else {
            if isOptional { return nil }
            throw Missing(message: "couldn't find key \(key) in \(kind) \(pod.namespace)/\(name)")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func add(_ source: EnvFromSource, to variables: inout Variables) throws(Missing) {
        let isSecret = source.secretName != nil
        guard let name = source.secretName ?? source.configMapName else { return }
        guard let object = (isSecret ? secrets : configMaps)[name] else {
            if source.isOptional { return }
            throw Missing(message: "\(isSecret ? "secret" : "configmap") \"\(name)\" not found")
        }
        for key in KeyedData.keys(of: object) where Variables.isName(source.prefix + key) {
            guard let bytes = KeyedData.bytes(of: key, in: object) else { continue }
            variables[source.prefix + key] = String(decoding: bytes, as: UTF8.self)
        }
    }

    /// The value of a `fieldRef`; nil for a path that Kubernetes does not know either.
    package func field(_ path: String) -> String? {
        switch path {
        case "metadata.name": return pod.name
        case "metadata.namespace": return pod.namespace
        case "metadata.uid": return pod.uid
        case "metadata.labels": return Self.lines(pod.labels)
        case "metadata.annotations": return Self.lines(pod.annotations)
        case "spec.nodeName": return nodeName
        case "spec.serviceAccountName": return PodSpec(pod.spec).serviceAccountName
        case "status.hostIP", "status.hostIPs": return hostAddress
        case "status.podIP", "status.podIPs": return podAddress
        default: break
        }
        for (prefix, map) in [("metadata.labels['", pod.labels), ("metadata.annotations['", pod.annotations)]
        where path.hasPrefix(prefix) && path.hasSuffix("']") {
            return map[String(path.dropFirst(prefix.count).dropLast(2))] ?? ""
        }
        return nil
    }

    private static func lines(_ map: [String: String]) -> String {
        map.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }.joined(separator: "\n")
    }

    /// A `resourceFieldRef`, in units of its divisor, rounded up.
    package func resource(_ container: String, _ resource: String, _ divisor: String?) -> String? {
        let parts = resource.split(separator: ".", maxSplits: 1).map(String.init)
        let spec = PodSpec(pod.spec)
        guard parts.count == 2,
            let found = (spec.containers + spec.initContainers).first(where: { $0.name == container })
        else { return nil }
        let needs = found.resources
        guard let quantity = parts[0] == "limits" ? needs.limit(parts[1]) : needs.request(parts[1]) else { return nil }
        guard let unit = divisor.flatMap({ Quantity($0) }), unit.milli > 0 else { return String(quantity.rounded) }
        return String((quantity.milli + unit.milli - 1) / unit.milli)
    }
}

/// Environment variables in order, each name once; the last value of a name counts.
package struct Variables: Sendable {
    private var order: [String] = []
    private var values: [String: String] = [:]

    package init() {}

    package subscript(name: String) -> String? {
        get { values[name] }
        set {
            guard let newValue, !name.isEmpty, !name.contains("=") else { return }
            if values.updateValue(newValue, forKey: name) == nil { order.append(name) }
        }
    }

    /// `NAME=value`.
    package var pairs: [String] { order.compactMap { name in values[name].map { "\(name)=\($0)" } } }

    /// Replaces `$(NAME)` by the variable's value.
    package func expand(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        var result: [UInt8] = []
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "$"), index + 1 < bytes.count else {
                result.append(bytes[index])
                index += 1
                continue
            }
            let next = bytes[index + 1]
            if next == UInt8(ascii: "$") {
                result.append(next)
                index += 2
            } else if next == UInt8(ascii: "("), let end = bytes[index...].firstIndex(of: UInt8(ascii: ")")) {
                let name = String(decoding: bytes[(index + 2)..<end], as: UTF8.self)
                result.append(contentsOf: values[name].map { Array($0.utf8) } ?? Array(bytes[index...end]))
                index = end + 1
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Whether a key of a ConfigMap may become a variable.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty && !name.contains("=") && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }
}

/// The data of ConfigMaps and Secrets.
package enum KeyedData {
    /// All keys, sorted.
    package static func keys(of object: Object) -> [String] {
        var names = Set(object["data"]?.fields?.names ?? [])
        names.formUnion(object["binaryData"]?.fields?.names ?? [])
        names.formUnion(object["stringData"]?.fields?.names ?? [])
        return names.sorted()
    }

    /// The bytes of a key, or nil.
    package static func bytes(of key: String, in object: Object) -> [UInt8]? {
        if object.kind == "Secret" {
            if let text = object["stringData"]?.text(key) { return Array(text.utf8) }
            return object["data"]?.text(key).flatMap { Wire.Base64.decode($0) }
        }
        if let text = object["data"]?.text(key) { return Array(text.utf8) }
        return object["binaryData"]?.text(key).flatMap { Wire.Base64.decode($0) }
    }
}
