import Wire

/// What the store keeps of one image.
struct ImageRecord: Sendable, Equatable {
    var imageID: Digest
    var names: [String]
    var manifestDigests: [Digest]
    var hasManifest: Bool
    var chain: [Digest]
    var platform: Platform
    var created: String
    var stored: Int64
    var lastUsed: Int64
    var isPinned: Bool

    /// The manifest's own digest stands first, lists that named it follow.
    var manifestDigest: Digest? { manifestDigests.first }
}

/// What the store keeps of one unpacked layer.
struct LayerRecord: Sendable, Equatable {
    var diffID: Digest
    var size: Int64
    var form: WhiteoutForm
    var skipped: Int
}

/// All that the store knows, as `images.json` has it.
struct ImageIndex: Sendable, Equatable {
    var images: [Digest: ImageRecord] = [:]
    var layers: [Digest: LayerRecord] = [:]

    static let mostBytes = 16 << 20

    init() {}

    /// - Throws: `ImageError` when the text is damaged.
    init(_ bytes: [UInt8]) throws(ImageError) {
        let value: Value
        do { value = try JSON.parse(bytes) } catch {
            throw ImageError(.store, "images.json is damaged: \(error)")
        }
        guard value["version"]?.intValue == 1 else {
            throw ImageError(.store, "images.json is of a version that this Weft does not know")
        }
        for (name, item) in value["layers"]?.fields ?? Fields() {
            guard let chain = Digest(name), let diffID = item["diffID"]?.stringValue.flatMap({ Digest($0) }),
                let form = item["whiteouts"]?.stringValue.flatMap({ WhiteoutForm(rawValue: $0) })
            else { continue }
            layers[chain] = LayerRecord(
                diffID: diffID,
                size: Int64(item["size"]?.intValue ?? 0),
                form: form,
                skipped: item["skipped"]?.intValue ?? 0
            )
        }
        for (name, item) in value["images"]?.fields ?? Fields() {
            guard let id = Digest(name) else { continue }
            let chain = Self.digests(item["layers"])
            // An image without one of its layers is none.
            guard chain.allSatisfy({ layers[$0] != nil }) else { continue }
            images[id] = ImageRecord(
                imageID: id,
                names: (item["names"]?.arrayValue ?? []).compactMap(\.stringValue),
                manifestDigests: Self.digests(item["manifests"]),
                hasManifest: item["hasManifest"]?.boolValue ?? false,
                chain: chain,
                platform: Platform(item["platform"] ?? .null),
                created: item["created"]?.stringValue ?? "",
                stored: Int64(item["stored"]?.intValue ?? 0),
                lastUsed: Int64(item["lastUsed"]?.intValue ?? 0),
                isPinned: item["pinned"]?.boolValue ?? false
            )
        }
    }

    private static func digests(_ value: Value?) -> [Digest] {
        (value?.arrayValue ?? []).compactMap { $0.stringValue.flatMap { Digest($0) } }
    }

    var bytes: [UInt8] {
        var imageFields = Fields()
        for (id, image) in images.sorted(by: { $0.key.hex < $1.key.hex }) {
            imageFields[id.description] = [
                "names": .array(image.names.map { .string($0) }),
                "manifests": .array(image.manifestDigests.map { .string($0.description) }),
                "hasManifest": .bool(image.hasManifest),
                "layers": .array(image.chain.map { .string($0.description) }),
                "platform": [
                    "os": .string(image.platform.os), "architecture": .string(image.platform.architecture),
                    "variant": .string(image.platform.variant),
                ],
                "created": .string(image.created), "stored": .int(image.stored), "lastUsed": .int(image.lastUsed),
                "pinned": .bool(image.isPinned),
            ]
        }
        var layerFields = Fields()
        for (chain, layer) in layers.sorted(by: { $0.key.hex < $1.key.hex }) {
            layerFields[chain.description] = [
                "diffID": .string(layer.diffID.description), "size": .int(layer.size),
                "whiteouts": .string(layer.form.rawValue), "skipped": .int(Int64(layer.skipped)),
            ]
        }
        return JSON.bytes(
            ["version": 1, "images": .object(imageFields), "layers": .object(layerFields)],
            pretty: true
        )
    }

    /// The image that goes by a reference.
    func find(_ reference: ImageReference) -> ImageRecord? {
        if reference.transport == .identity { return reference.digest.flatMap { images[$0] } }
        let name = reference.description
        if let named = images.values.first(where: { $0.names.contains(name) }) { return named }
        // A digest says what the image is, whatever it is called here.
        guard let digest = reference.digest else { return nil }
        return images.values.first { $0.manifestDigests.contains(digest) }
    }

    func size(of record: ImageRecord) -> Int64 { record.chain.reduce(0) { $0 + (layers[$1]?.size ?? 0) } }

    /// Layers that no image needs.
    var orphans: [Digest] {
        let used = Set(images.values.flatMap(\.chain))
        return layers.keys.filter { !used.contains($0) }
    }
}
