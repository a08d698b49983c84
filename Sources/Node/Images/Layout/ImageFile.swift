import Wire

/// Images in files: an OCI layout as a directory or a tar, or the archive of `docker save`.
struct ImageFile: Sendable {
    let files: BlobFiles
    let platform: Platform

    /// Plans for the images in it: for the one with the tag or name `wanted`, or for all; `name` is what it is to be called, in full.
    ///
    /// - Throws: `ImageError` when it holds no such image, or one that is damaged.
    /// - Returns: at least one.
    func plans(wanted: String?, name: String?) throws(ImageError) -> [ImagePlan] {
        let plans: [ImagePlan]
        if let index = files.find("index.json"), files.find("oci-layout") != nil {
            plans = try layout(try index.bytes(limit: Manifest.mostBytes), wanted, name)
        } else if let manifest = files.find("manifest.json") {
            plans = try archive(try manifest.bytes(limit: Manifest.mostBytes), wanted, name)
        } else {
            throw ImageError(
                .inspect,
                "\(files.path) is no image: neither an OCI layout (oci-layout, index.json) nor an archive of 'docker save' (manifest.json)"
            )
        }
        guard !plans.isEmpty else {
            throw ImageError(
                .pull,
                wanted.map { "\(files.path) holds no image '\($0)'" } ?? "\(files.path) holds no image"
            )
        }
        guard name == nil || plans.count == 1 else {
            let known = plans.flatMap(\.names).joined(separator: ", ")
            throw ImageError(.pull, "\(files.path) holds \(plans.count) images (\(known)); say which one")
        }
        return plans
    }

    // MARK: OCI layout

    private func layout(_ bytes: [UInt8], _ wanted: String?, _ name: String?) throws(ImageError) -> [ImagePlan] {
        guard case .index(let entries) = try Manifest(bytes, of: files.path) else {
            throw ImageError(.inspect, "\(files.path): its index.json is no index")
        }
        var plans: [ImagePlan] = []
        for entry in entries where !entry.isAttestation {
            let names = Self.names(of: entry, in: files.path)
            if let wanted, !Self.matches(wanted, entry, names) { continue }
            // Several without names are platforms of one image.
            if entries.count > 1, wanted == nil, names.isEmpty, let own = entry.platform,
                platform.fitness(of: own) == nil
            {
                continue
            }
            plans.append(try plan(entry, name.map { [$0] } ?? names, [], depth: 0))
        }
        // The same image under several names is one.
        var merged: [ImagePlan] = []
        for plan in plans {
            if let place = merged.firstIndex(where: { $0.imageID == plan.imageID }) {
                merged[place].names = Array(Set(merged[place].names + plan.names)).sorted()
            } else {
                merged.append(plan)
            }
        }
        return merged
    }

    private static let refName = "org.opencontainers.image.ref.name"
    private static let fullName = "io.containerd.image.name"

    /// Names in full, as the layout says them.
    private static func names(of entry: Descriptor, in path: String) -> [String] {
        if let text = entry.annotations[fullName], let parsed = try? ImageReference(text) {
            return [parsed.description]
        }
        guard let text = entry.annotations[refName] else { return [] }
        if text.contains("/") || text.contains(":"), let parsed = try? ImageReference(text) {
            return [parsed.description]
        }
        // A tag alone: the directory's name stands before it.
        let base = path.split(separator: "/").last.map { String($0).lowercased() } ?? "image"
        let short = base.hasSuffix(".tar") ? String(base.dropLast(4)) : base
        return (try? ImageReference("localhost/\(short):\(text)")).map { [$0.description] } ?? []
    }

    private static func matches(_ wanted: String, _ entry: Descriptor, _ names: [String]) -> Bool {
        if entry.annotations[refName] == wanted || entry.annotations[fullName] == wanted { return true }
        if entry.digest.description == wanted { return true }
        guard let parsed = try? ImageReference(wanted) else { return false }
        return names.contains(parsed.description)
    }

    private func plan(
        _ entry: Descriptor,
        _ names: [String],
        _ above: [Digest],
        depth: Int
    ) throws(ImageError) -> ImagePlan {
        let bytes = try files.text(entry, limit: Manifest.mostBytes)
        switch try Manifest(bytes, of: files.path) {
        case .index(let entries):
            guard depth < 4 else {
                throw ImageError(.inspect, "\(files.path): its lists of manifests are nested too deep")
            }
            let chosen = try Manifest.choose(entries, for: platform, of: files.path)
            return try plan(chosen, names, above + [entry.digest], depth: depth + 1)
        case .image(let config, let layers):
            var places: [ImagePlan.Layer] = []
            for layer in layers {
                let blob = try files.blob(layer.digest)
                guard blob.size == layer.size else {
                    throw ImageError(
                        .pull,
                        "\(files.path): the blob \(layer.digest) has \(blob.size) bytes, not \(layer.size)"
                    )
                }
                places.append(ImagePlan.Layer(place: .file(blob), digest: layer.digest, name: layer.digest.short))
            }
            return try ImagePlan(
                names: names,
                configBytes: try files.text(config, limit: ImageConfig.mostBytes),
                manifestBytes: bytes,
                manifestDigests: [entry.digest] + above,
                layers: places,
                origin: .file(files.path),
                of: files.path
            )
        }
    }

    // MARK: Archive of Docker's

    private func archive(_ bytes: [UInt8], _ wanted: String?, _ name: String?) throws(ImageError) -> [ImagePlan] {
        guard let value = try? JSON.parse(bytes), let images = value.arrayValue else {
            throw ImageError(.inspect, "\(files.path): its manifest.json is no list")
        }
        var plans: [ImagePlan] = []
        for image in images {
            let tags = (image["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue)
            var names: [String] = []
            for tag in tags { if let parsed = try? ImageReference(tag) { names.append(parsed.description) } }
            if let wanted {
                let full = (try? ImageReference(wanted))?.description
                guard tags.contains(wanted) || full.map({ names.contains($0) }) == true else { continue }
            }
            plans.append(try archived(image, name.map { [$0] } ?? names))
        }
        return plans
    }

    private func archived(_ image: Value, _ names: [String]) throws(ImageError) -> ImagePlan {
        func file(_ name: String) throws(ImageError) -> FileRange {
            guard let found = files.find(name) else {
                throw ImageError(.pull, "\(files.path): the file \(name) is not in it")
            }
            return found
        }
        let layers = (image["Layers"]?.arrayValue ?? []).compactMap(\.stringValue)
        guard layers.count <= ImageConfig.mostLayers, let config = image["Config"]?.stringValue else {
            throw ImageError(.inspect, "\(files.path): its manifest.json names no configuration, or too many layers")
        }
        var places: [ImagePlan.Layer] = []
        for layer in layers {
            places.append(ImagePlan.Layer(place: .file(try file(layer)), digest: nil, name: String(layer.prefix(19))))
        }
        return try ImagePlan(
            names: names,
            configBytes: try file(config).bytes(limit: ImageConfig.mostBytes),
            manifestBytes: nil,
            manifestDigests: [],
            layers: places,
            origin: .file(files.path),
            of: files.path
        )
    }
}
