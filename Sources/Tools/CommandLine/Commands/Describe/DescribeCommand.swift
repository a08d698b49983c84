import Resources
import Wire

/// `weft describe`: everything about some objects, for people.
enum DescribeCommand {
    static let command = Command(
        "describe",
        operands: "KIND [NAME...] | KIND/NAME...",
        summary: "tell all about objects: state, settings, what happened to them",
        details: """
            With part of a name, all objects whose names begin so. Events tell what happened, the newest last. For a
            service it also tells its traffic and why a pod gets none.
            """,
        options: [.namespace, .allNamespaces, .selector, .stateDirectory],
        examples: [
            "weft describe pod web-6d4f-x2k9p", "weft describe deployment/web service/web",
            "weft describe pods -l app=web",
            "weft describe node",
        ],
        operandCount: 1...Int.max
    ) { arguments in
        let client = try await APIClient.connected(arguments)
        let targets = try await Target.read(arguments.operands, asking: client)
        var code = ExitCode.success
        var isFirst = true
        for target in targets {
            let (objects, missing) = try await find(target, client, arguments)
            for error in missing {
                Terminal.complain(error.message)
                code = .failure
            }
            for object in objects {
                let description = try await Describer(client: client, type: target.type, object: object).describe()
                if !isFirst { Terminal.print("\n") }
                isFirst = false
                Terminal.print(description.lines.joined(separator: "\n"))
            }
        }
        if isFirst, code == .success { Terminal.note("No resources found.") }
        return code
    }

    private static func find(
        _ target: Target,
        _ client: APIClient,
        _ arguments: Arguments
    ) async throws -> ([Object], [APIError]) {
        let namespace = arguments.isSet("all-namespaces") ? nil : arguments.value("namespace") ?? "default"
        let query = APIPath.query([("labelSelector", arguments.value("selector"))])
        let path = APIPath.of(target.type, namespace: namespace)
        guard !target.names.isEmpty else { return (try await list(client, path + query, target.type), []) }
        var found: [Object] = []
        var missing: [APIError] = []
        for name in target.names {
            do {
                let one = APIPath.of(target.type, namespace: namespace ?? "default", name: name)
                found.append(Object(try await client.get(one)))
            } catch let error as APIError where error.code == 404 {
                let alike = try await list(client, path, target.type).filter { $0.name.hasPrefix(name) }
                found += alike
                if alike.isEmpty { missing.append(error) }
            }
        }
        return (found, missing)
    }

    private static func list(_ client: APIClient, _ path: String, _ type: ResourceType) async throws -> [Object] {
        (try await client.get(path)["items"]?.arrayValue ?? []).map { item in
            var item = item
            item["kind"] = .string(type.kind)
            item["apiVersion"] = .string(type.apiVersion)
            return Object(item)
        }
    }
}
