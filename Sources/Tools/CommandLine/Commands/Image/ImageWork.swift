import Images
import Wire

/// What `weft image` asks for, done on a store: by the daemon, or by the command itself where none runs.
struct ImageWork: Sendable {
    typealias Progress = @Sendable (Value) -> Void

    let store: ImageStore

    func list() async -> Value {
        ["images": .array(await store.list().map(Self.value))]
    }

    func inspect(_ word: String) async throws(ImageError) -> Value {
        let found = try await store.inspect(word)
        var value = Self.value(found.summary)
        value["config"] = (try? JSON.parse(found.config)) ?? .null
        value["directories"] = .array(found.directories.map { .string($0) })
        return value
    }

    func remove(_ word: String) async throws(ImageError) -> Value {
        Self.value(try await store.remove(word))
    }

    func prune(isAll: Bool) async throws(ImageError) -> Value {
        Self.value(try await store.prune(isAll: isAll))
    }

    /// `{"path": ..., "image": ..., "name": ..., "platform": ...}`.
    func load(_ request: Value, _ progress: @escaping Progress) async throws(ImageError) -> Value {
        guard let path = request["path"]?.stringValue, path.hasPrefix("/") else {
            throw ImageError(.invalidName, "'path' is no absolute path")
        }
        var options = ImageStore.LoadOptions()
        options.wanted = request["image"]?.stringValue
        options.name = request["name"]?.stringValue
        options.platform = try Self.platform(request)
        options.progress = { progress(Self.value($0)) }
        let images = try await store.load(path, options)
        return ["images": .array(images.map(Self.value))]
    }

    /// `{"reference": ..., "user": ..., "password": ..., "plainHTTP": ..., "platform": ...}`.
    func pull(_ request: Value, _ progress: @escaping Progress) async throws(ImageError) -> Value {
        guard let reference = request["reference"]?.stringValue else {
            throw ImageError(.invalidName, "'reference' is no text")
        }
        var options = ResolveOptions()
        options.policy = .always
        options.isPinned = true
        options.platform = try Self.platform(request)
        options.allowsPlainHTTP = request["plainHTTP"]?.boolValue ?? false
        if let user = request["user"]?.stringValue {
            options.credential = RegistryCredential(user: user, password: request["password"]?.stringValue ?? "")
        }
        options.progress = { progress(Self.value($0)) }
        let image = try await store.resolve(reference, options: options)
        return [
            "reference": .string(image.reference), "id": .string(image.imageID.description),
            "manifest": image.manifestDigest.map { .string($0.description) } ?? .null, "size": .int(image.size),
            "fetched": .int(image.fetchedBytes),
        ]
    }

    private static func platform(_ request: Value) throws(ImageError) -> Platform? {
        guard let text = request["platform"]?.stringValue else { return nil }
        guard let platform = Platform(text) else {
            throw ImageError(.invalidName, "'\(text)' is no platform; give one such as linux/arm64")
        }
        return platform
    }

    private static func value(_ image: ImageSummary) -> Value {
        [
            "id": .string(image.imageID.description), "names": .array(image.names.map { .string($0) }),
            "manifest": image.manifestDigest.map { .string($0.description) } ?? .null,
            "platform": .string(image.platform.description), "size": .int(image.size),
            "created": .string(image.created), "stored": .int(image.stored), "lastUsed": .int(image.lastUsed),
            "kept": .bool(image.isPinned), "layers": .array(image.layers.map { .string($0.description) }),
            "usedBy": .array(image.users.map { .string($0) }),
        ]
    }

    private static func value(_ removal: ImageStore.Removal) -> Value {
        [
            "untagged": .array(removal.untagged.map { .string($0) }),
            "deleted": .array(removal.deleted.map { .string($0.description) }), "bytes": .int(removal.bytes),
        ]
    }

    private static func value(_ progress: PullProgress) -> Value {
        switch progress {
        case .resolved(let reference, let source):
            ["step": "resolved", "reference": .string(reference), "source": .string(source)]
        case .downloading(let layer, let done, let total):
            ["step": "downloading", "layer": .string(layer), "done": .int(done), "total": .int(total)]
        case .unpacking(let layer, let number, let count):
            [
                "step": "unpacking", "layer": .string(layer), "number": .int(Int64(number)),
                "count": .int(Int64(count)),
            ]
        case .present(let layer): ["step": "present", "layer": .string(layer)]
        case .note(let text): ["step": "note", "text": .string(text)]
        }
    }
}
