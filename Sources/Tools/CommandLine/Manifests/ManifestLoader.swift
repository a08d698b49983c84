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

    /// The objects behind the paths, in the order of the words and of the files' names.
    ///
    /// - Throws: `CommandError` with every mistake of every file, each with file, line, document and field. Warnings go to
    ///   standard error.
    func load(_ paths: [String]) throws(CommandError) -> [Manifest] {
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
        found = found.map { check($0, &problems) }
        refuseDuplicates(found, &problems)
        guard found.count <= Self.mostObjects else {
            throw CommandError("\(found.count) objects are more than the limit of \(Self.mostObjects)")
        }
        guard problems.isEmpty else {
            throw CommandError(
                "nothing was applied:\n" + problems.map { "  \(Terminal.harmless($0))" }.joined(separator: "\n")
            )
        }
        guard !found.isEmpty else { throw CommandError("\(paths.joined(separator: ", ")): no object in it") }
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

    private func check(_ manifest: Manifest, _ problems: inout [String]) -> Manifest {
        var manifest = manifest
        guard let type = type(of: manifest, &problems) else { return manifest }
        let checked = SchemaCheck(manifest.object.value, of: type)
        var errors = checked.unknown + checked.errors
        for warning in checked.warnings { Terminal.warn("\(manifest.place()): \(warning)") }
        if !type.isActedOn {
            Terminal.warn("\(manifest.place()): \(type.kind) is kept, but Weft does not act on it")
        }
        if checked.errors.isEmpty {
            manifest.object.value = checked.pruned
            var complete = manifest.object
            if type.isNamespaced, complete.namespace.isEmpty { complete.namespace = "default" }
            Defaults.fill(&complete, of: type)
            errors += Validation(complete, of: type).errors
        }
        problems += errors.map { "\(manifest.place(of: $0.path)): \($0)" }
        return manifest
    }

    private func type(of manifest: Manifest, _ problems: inout [String]) -> ResourceType? {
        let object = manifest.object
        for (field, value) in [("apiVersion", object.apiVersion), ("kind", object.kind)] where value.isEmpty {
            problems.append("\(manifest.place()): \(field) is missing")
            return nil
        }
        if let type = object.type { return type }
        let sameKind = ResourceTypes.all.filter { $0.kind == object.kind }.map(\.apiVersion)
        let hint: String
        if !sameKind.isEmpty {
            hint = "; Weft knows it in \(sameKind.joined(separator: ", "))"
        } else {
            let guess = Spelling.nearest(to: object.kind, among: ResourceTypes.all.map(\.kind))
            hint = guess.map { " (did you mean \($0)?)" } ?? ""
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
