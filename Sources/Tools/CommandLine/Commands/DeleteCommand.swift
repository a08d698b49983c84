import Resources
import Wire

/// `weft delete`: removes objects, by name, by labels, or all that stand in manifests.
enum DeleteCommand {
    static let command = Command(
        "delete",
        operands: "[KIND NAME... | KIND/NAME... | KIND -l LABELS | -f PATH]",
        summary: "delete objects by name, by labels, or as named in manifests",
        options: [
            .files, .recursive, .namespace, .selector,
            Option("all", help: "all objects of the kind in the namespace"),
            Option("ignore-not-found", help: "an object that is not there is no failure"),
            Option("no-wait", help: "return at once"),
            Option("grace-period", value: "SECONDS", help: "how long pods may take to end (default: what they say)"),
            Option("output", short: "o", value: "FORMAT", help: "name: print names only"),
            .stateDirectory,
        ],
        examples: [
            "weft delete pod web-6d4f-x2k9p", "weft delete deployments -l part-of=shop", "weft delete -f shop/",
        ],
        operandCount: 0...Int.max
    ) { arguments in
        _ = try OutputFormat(arguments.value("output"), allowed: [.name])
        let client = try await APIClient.connected(arguments)
        let deleter = Deleter(client: client, arguments: arguments)
        let victims = try await deleter.victims()
        return try await deleter.delete(victims)
    }
}

/// Finds and deletes the objects of `weft delete`.
struct Deleter: Sendable {
    struct Victim: Sendable {
        let type: ResourceType
        let namespace: String
        let name: String
        var path: String { APIPath.of(type, namespace: namespace, name: name) }
    }

    let client: APIClient
    let arguments: Arguments

    private var namespace: String { arguments.value("namespace") ?? "default" }

    func victims() async throws -> [Victim] {
        let files = arguments.all("filename")
        if !files.isEmpty {
            guard arguments.operands.isEmpty else { throw UsageError("give either -f or names, not both") }
            let loader = ManifestLoader(isRecursive: arguments.isSet("recursive"))
            let loaded = Applier.ordered(try await loader.load(files, asking: client))
            // In the opposite order of their creation: what others rest on goes last.
            return loaded.reversed().compactMap { manifest in
                guard let type = manifest.type else { return nil }
                let namespace = manifest.object.namespace.isEmpty ? self.namespace : manifest.object.namespace
                return Victim(type: type, namespace: namespace, name: manifest.object.name)
            }
        }
        var victims: [Victim] = []
        for target in try await Target.read(arguments.operands, asking: client) {
            var names = target.names
            if names.isEmpty {
                guard arguments.isSet("all") || arguments.isSet("selector") else {
                    throw UsageError("which \(target.type.plural)? Give names, -l LABELS or --all")
                }
                let query = APIPath.query([("labelSelector", arguments.value("selector"))])
                let list = try await client.get(APIPath.of(target.type, namespace: namespace) + query)
                names = (list["items"]?.arrayValue ?? []).compactMap { $0.at("metadata", "name")?.stringValue }
            }
            victims += names.map { Victim(type: target.type, namespace: namespace, name: $0) }
        }
        return victims
    }

    func delete(_ victims: [Victim]) async throws -> ExitCode {
        guard !victims.isEmpty else {
            Terminal.note("No resources found.")
            return .success
        }
        var options: Value = ["kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"]
        if arguments.isSet("grace-period") {
            options["gracePeriodSeconds"] = .int(
                Int64(try arguments.integer("grace-period", default: 0, in: 0...86_400))
            )
        }
        var code = ExitCode.success
        var waiting: [(Victim, String?)] = []
        for victim in victims {
            do {
                let uid = try await client.get(victim.path).at("metadata", "uid")?.stringValue
                _ = try await client.delete(victim.path, options)
                waiting.append((victim, uid))
                let isShort = arguments.isSet("output")
                Terminal.print(
                    isShort
                        ? "\(victim.type.word)/\(victim.name)"
                        : "\(victim.type.word) \"\(victim.name)\" deleted"
                )
            } catch let error as APIError where error.code == 404 {
                guard !arguments.isSet("ignore-not-found") else { continue }
                Terminal.complain(error.message)
                code = .failure
            }
        }
        if !arguments.isSet("no-wait") {
            for (victim, uid) in waiting { try await waitUntilGone(victim, uid) }
        }
        return code
    }

    private func waitUntilGone(_ victim: Victim, _ uid: String?) async throws {
        while let object = try await client.find(victim.path) {
            guard object.at("metadata", "uid")?.stringValue == uid else { return }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
