import Resources
import Wire

/// Brings objects to the state that manifests describe, as `kubectl apply` does.
///
/// What the last apply set and the manifest no longer has is removed; what others set (replicas set by `weft scale`, a
/// cluster address) stays. An object that is already as described is not written.
struct Applier: Sendable {
    enum Outcome: String, Sendable {
        case created
        case configured
        case unchanged
    }

    struct Result: Sendable {
        let type: ResourceType
        let name: String
        let outcome: Outcome
        let object: Value

        /// `deployment.apps/web created`.
        var text: String { "\(type.qualifiedSingular)/\(name) \(outcome.rawValue)" }
    }

    let client: APIClient
    /// Where objects go that name no namespace.
    let namespace: String
    var isDryRun = false

    /// A conflict means that somebody else wrote in between; the merge is made again on what is there now.
    private static let mostAttempts = 5

    /// Applies all, what others rest on first. Objects after a failed one are still tried; the first failure is thrown.
    func apply(_ manifests: [Manifest], done: (Result) -> Void = { _ in }) async throws -> [Result] {
        var results: [Result] = []
        var failures: [String] = []
        var definitions: [String: Result] = [:]
        for manifest in Self.ordered(manifests) {
            do {
                let result = try await apply(manifest, definitions)
                if result.type == ResourceTypes.definitions { definitions[result.name] = result }
                done(result)
                results.append(result)
            } catch let error as APIError {
                let field = error.details?.causes.first?.path ?? ""
                failures.append("\(manifest.place(of: field)): \(error.message)")
            }
        }
        guard failures.isEmpty else { throw CommandError(failures.joined(separator: "\n")) }
        return results
    }

    /// Namespaces, then what pods read, then what selects pods, then what makes pods; otherwise as written.
    static func ordered(_ manifests: [Manifest]) -> [Manifest] {
        let early = [
            "CustomResourceDefinition", "Namespace", "Image", "ServiceAccount", "Secret", "ConfigMap", "Service",
        ]
        func rank(_ manifest: Manifest) -> Int { early.firstIndex(of: manifest.object.kind) ?? early.count }
        return manifests.enumerated().sorted { left, right in
            (rank(left.element), left.offset) < (rank(right.element), right.offset)
        }.map(\.element)
    }

    /// Waits until a definition is in force that was applied before its objects.
    private func waitUntilEstablished(_ definition: Result) async throws {
        let path = APIPath.of(definition.type, namespace: nil, name: definition.name)
        var object = definition.object
        let end = ContinuousClock.now + Self.patience
        while true {
            let conditions = Object(object).status.views("conditions") as [Condition]
            if conditions.first(ofType: "Established")?.isTrue == true { return }
            let names = conditions.first(ofType: "NamesAccepted")
            guard ContinuousClock.now < end, names?.status != "False" else {
                let why = names.map { $0.message } ?? "it was not established within 30 s"
                throw APIError.badRequest(
                    "the definition \(definition.name) is not in force: \(why). Its objects can be applied when it is"
                )
            }
            try await Task.sleep(for: .milliseconds(20))
            object = try await client.get(path)
        }
    }

    /// How long a definition may take to be in force.
    private static let patience = Duration.seconds(30)

    private func apply(_ manifest: Manifest, _ definitions: [String: Result]) async throws -> Result {
        var wanted = manifest.object
        guard let type = manifest.type else {
            throw APIError.badRequest("no kind \"\(wanted.kind)\" in \"\(wanted.apiVersion)\" is known to Weft")
        }
        if type.isNamespaced, wanted.namespace.isEmpty { wanted.namespace = namespace }
        if !type.isOfTheHouse, let definition = definitions[type.qualifiedPlural] {
            // Of a kind that a dry run only would make, nothing can be asked.
            if isDryRun, definition.outcome == .created {
                return Result(type: type, name: wanted.name, outcome: .created, object: wanted.value)
            }
            if !isDryRun { try await waitUntilEstablished(definition) }
        }
        let path = APIPath.of(type, namespace: wanted.namespace, name: wanted.name)
        let suffix = APIPath.query([
            ("fieldManager", "weft"), ("fieldValidation", "Strict"), ("dryRun", isDryRun ? "All" : nil),
        ])
        for attempt in 1... {
            guard let present = try await client.find(path) else {
                let collection = APIPath.of(type, namespace: wanted.namespace)
                do {
                    let made = try await client.post(collection + suffix, Apply.annotated(wanted).value)
                    return Result(type: type, name: wanted.name, outcome: .created, object: made)
                } catch let error as APIError where error.reason == .alreadyExists && attempt < Self.mostAttempts {
                    continue
                }
            }
            let live = Object(present)
            let merged = Apply.merge(wanted, onto: live, of: type)
            guard merged != live else {
                return Result(type: type, name: wanted.name, outcome: .unchanged, object: present)
            }
            do {
                let written = try await client.put(path + suffix, merged.value)
                let revision = { (value: Value) in value.at("metadata", "resourceVersion") }
                let outcome = revision(written) == revision(present) ? Outcome.unchanged : .configured
                return Result(type: type, name: wanted.name, outcome: outcome, object: written)
            } catch let error as APIError where error.reason == .conflict && attempt < Self.mostAttempts {
                continue
            }
        }
        throw APIError.internalError("the object changed too often while it was applied")
    }
}
