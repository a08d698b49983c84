import Resources
import Wire

/// One object of a manifest file, and where it stands.
struct Manifest: Sendable {
    /// The path as the user wrote it, or `standard input`.
    let file: String
    /// The document's place in its file, from 1.
    let document: Int
    /// The element of a List document, from 0, or nil.
    let item: Int?
    /// The document itself, for the lines of its fields.
    let source: YAMLDocument
    var object: Object
    /// What the object is; set by the check, which refuses what nobody knows.
    var type: ResourceType?
    /// What is wrong with a definition of a custom kind.
    var definitionErrors: [FieldError] = []

    /// `web.yaml:19, document 2, Deployment/web`; the line is that of the field behind `path`.
    func place(of path: String = "") -> String {
        let inside = item.map { ["items", "\($0)"] } ?? []
        let line = source.line(of: inside + Self.steps(path))
        let name = object.name.isEmpty ? "" : "/\(object.name)"
        return "\(file):\(line), document \(document), \(object.kind.isEmpty ? "object" : object.kind)\(name)"
    }

    /// `spec.containers[0].image` as steps; `labels[a.b/c]` is one step too.
    static func steps(_ path: String) -> [String] {
        var steps: [String] = []
        var step = ""
        var isBracketed = false
        for character in path {
            switch character {
            case "." where !isBracketed, "[" where !isBracketed, "]":
                if !step.isEmpty { steps.append(step) }
                step = ""
                isBracketed = character == "["
            default: step.append(character)
            }
        }
        return step.isEmpty ? steps : steps + [step]
    }
}

/// Reads manifests from files, folders and standard input, and checks them against the schemas.
struct ManifestLoader: Sendable {
    let isRecursive: Bool

    /// Objects that one command may take.
    private static let mostObjects = 10_000

    /// What was read, before the check: the manifests, what was wrong already, and the kinds that they define.
    struct Draft: Sendable {
        var manifests: [Manifest] = []
        var problems: [String] = []
        var kinds = Kinds()

        /// Whether objects are of groups that only definitions of the daemon may have.
        var needsDaemon: Bool {
            unknown.contains { object in !ResourceTypes.all.contains { $0.apiVersion == object.apiVersion } }
        }

        /// The objects of kinds that neither this program nor the manifests know.
        fileprivate var unknown: [Object] {
            manifests.map(\.object).filter { object in
                !object.apiVersion.isEmpty && !object.kind.isEmpty
                    && kinds.find(apiVersion: object.apiVersion, kind: object.kind) == nil
            }
        }

        /// Asks the daemon for the kinds that are lacking.
        fileprivate mutating func complete(_ client: APIClient) async throws {
            let wanted = unknown
            kinds.add(try await Kinds.served(by: client))
            for object in wanted {
                guard let type = kinds.find(apiVersion: object.apiVersion, kind: object.kind), type.custom == nil
                else { continue }
                try await kinds.learn(type, from: client)
            }
        }
    }

    /// The objects behind the paths, in the order of the words and of the files' names. The daemon, if it answers, is asked
    /// for kinds that neither this program nor the files know.
    ///
    /// - Throws: `CommandError` with every mistake of every file, each with file, line, document and field. Warnings go to
    ///   standard error.
    func load(_ paths: [String], asking client: APIClient) async throws -> [Manifest] {
        try await check(try read(paths), asking: client)
    }

    /// Reads what stands behind the paths.
    ///
    /// - Throws: `CommandError` for a path that cannot be read; mistakes inside of files wait for the check.
    func read(_ paths: [String]) throws(CommandError) -> Draft {
        var problems: [String] = []
        var found: [Manifest] = []
        for path in paths {
            guard path != "-" else {
                found += read(path, named: "standard input", &problems)
                continue
            }
            for file in try FileReader.files(at: path, isRecursive: isRecursive) {
                found += read(file, named: file, &problems)
            }
        }
        guard found.count <= Self.mostObjects else {
            throw CommandError("\(found.count) objects are more than the limit of \(Self.mostObjects)")
        }
        guard !found.isEmpty || !problems.isEmpty else {
            throw CommandError("\(paths.joined(separator: ", ")): no object in it")
        }
        var draft = Draft(problems: problems)
        draft.manifests = found.map { define($0, &draft.kinds) }
        return draft
    }

    /// Adds the kind of a definition to those that are known.
    private func define(_ manifest: Manifest, _ kinds: inout Kinds) -> Manifest {
        guard manifest.object.type == ResourceTypes.definitions else { return manifest }
        var manifest = manifest
        var object = manifest.object
        Definition.complete(&object)
        let definition = Definition(object, rules: Kinds.withoutRules)
        manifest.definitionErrors = definition.errors
        if let kind = definition.kind { kinds.add(kind) }
        return manifest
    }

    /// Checks what was read against the schemas.
    func check(_ draft: Draft, asking client: APIClient) async throws -> [Manifest] {
        var draft = draft
        if !draft.unknown.isEmpty, await client.isAnswering() { try await draft.complete(client) }
        let kinds = draft.kinds
        var problems = draft.problems
        let found = draft.manifests.map { check($0, kinds, &problems) }
        refuseDuplicates(found, &problems)
        guard problems.isEmpty else {
            throw CommandError(
                "nothing was applied:\n" + problems.map { "  \(Terminal.harmless($0))" }.joined(separator: "\n")
            )
        }
        return found
    }

    private func read(_ path: String, named file: String, _ problems: inout [String]) -> [Manifest] {
        do {
            let documents = try YAML.parse(try FileReader.bytes(of: path))
            return documents.enumerated().flatMap { index, document in
                objects(in: document, file, index + 1, &problems)
            }
        } catch let error as WireError {
            problems.append("\(file): \(error)")
        } catch {
            problems.append(Messages.text(of: error))
        }
        return []
    }

    /// The object of a document, or the items of a List.
    private func objects(
        in document: YAMLDocument,
        _ file: String,
        _ number: Int,
        _ problems: inout [String]
    ) -> [Manifest] {
        guard case .object = document.value else {
            let type = document.value.typeName
            problems.append("\(file):\(document.line), document \(number): should be an object, is \(type)")
            return []
        }
        let folder = FileReader.folder(of: file == "standard input" ? "-" : file)
        func manifest(_ value: Value, _ item: Int?) -> Manifest {
            Manifest(
                file: file,
                document: number,
                item: item,
                source: document,
                object: Object(ImagePaths.resolved(value, in: folder))
            )
        }
        guard document.value["kind"]?.stringValue?.hasSuffix("List") == true,
            let items = document.value["items"]?.arrayValue
        else { return [manifest(document.value, nil)] }
        return items.enumerated().map { manifest($1, $0) }
    }

    private func check(_ manifest: Manifest, _ kinds: Kinds, _ problems: inout [String]) -> Manifest {
        var manifest = manifest
        guard let type = type(of: manifest, kinds, &problems) else { return manifest }
        manifest.type = type
        // Defaults of custom kinds are for the daemon to fill in: what is sent is what the user wrote.
        let checked = SchemaCheck(manifest.object.value, of: type, fillsDefaults: false)
        var errors = checked.unknown + checked.errors
        for warning in checked.warnings { Terminal.warn("\(manifest.place()): \(warning)") }
        if !type.isActedOn, type.isOfTheHouse {
            Terminal.warn("\(manifest.place()): \(type.kind) is kept, but Weft does not act on it")
        }
        if checked.errors.isEmpty {
            manifest.object.value = checked.pruned
            var complete = manifest.object
            if type.isNamespaced, complete.namespace.isEmpty { complete.namespace = "default" }
            Defaults.fill(&complete, of: type)
            errors += Validation(complete, of: type).errors + manifest.definitionErrors
            if let custom = type.custom {
                if type.hasStatus { complete.value["status"] = nil }
                complete.value = SchemaCheck(complete.value, of: type).pruned
                errors += custom.errors(of: complete, replacing: nil)
            }
        }
        problems += errors.map { "\(manifest.place(of: $0.path)): \($0)" }
        return manifest
    }

    private func type(of manifest: Manifest, _ kinds: Kinds, _ problems: inout [String]) -> ResourceType? {
        let object = manifest.object
        for (field, value) in [("apiVersion", object.apiVersion), ("kind", object.kind)] where value.isEmpty {
            problems.append("\(manifest.place()): \(field) is missing")
            return nil
        }
        if let type = kinds.find(apiVersion: object.apiVersion, kind: object.kind) { return type }
        let sameKind = kinds.all.filter { $0.kind == object.kind }.map(\.apiVersion)
        let hint: String
        if !sameKind.isEmpty {
            hint = "; Weft knows it in \(sameKind.joined(separator: ", "))"
        } else {
            let guess = Spelling.nearest(to: object.kind, among: kinds.all.map(\.kind))
            let isCustom = object.apiVersion.split(separator: "/").first?.contains(".") ?? false
            hint =
                guess.map { " (did you mean \($0)?)" }
                ?? (isCustom ? "; a custom kind needs its CustomResourceDefinition first, or beside it" : "")
        }
        problems.append("\(manifest.place(of: "kind")): no kind \(object.kind) in \(object.apiVersion) is known\(hint)")
        return nil
    }

    private func refuseDuplicates(_ manifests: [Manifest], _ problems: inout [String]) {
        var seen: [String: Manifest] = [:]
        for manifest in manifests where !manifest.object.name.isEmpty {
            let object = manifest.object
            let key = "\(object.apiVersion)/\(object.kind)/\(object.namespace)/\(object.name)"
            if let first = seen[key] {
                problems.append("\(manifest.place()): stands in \(first.place()) already")
            } else {
                seen[key] = manifest
            }
        }
    }
}

/// Directories of Images are written relative to the file in which they stand; the daemon needs them whole.
enum ImagePaths {
    static func resolved(_ value: Value, in folder: String) -> Value {
        guard value["kind"] == "Image", let directory = value.at("spec", "directory")?.stringValue,
            !directory.hasPrefix("/"), !directory.isEmpty
        else { return value }
        var value = value
        value.set(["spec", "directory"], .string(FileReader.absolute("\(folder)/\(directory)")))
        return value
    }
}
