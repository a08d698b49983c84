package import Wire

/// One piece of content: what it is, its digest, its size.
package struct Descriptor: Sendable, Equatable {
    package var mediaType: String
    package var digest: Digest
    package var size: Int64
    package var platform: Platform?
    package var annotations: [String: String] = [:]

    /// - Throws: `ImageError` that names what misses.
    package init(_ value: Value, in place: String) throws(ImageError) {
        guard let text = value["digest"]?.stringValue, let digest = Digest(text) else {
            let text = value["digest"]?.stringValue ?? ""
            throw ImageError(.inspect, "\(place): '\(text)' is no sha256 digest")
        }
        guard let size = value["size"]?.intValue, size >= 0 else {
            throw ImageError(.inspect, "\(place): \(digest) has no size")
        }
        self.digest = digest
        self.size = Int64(size)
        mediaType = value["mediaType"]?.stringValue ?? ""
        platform = value["platform"].flatMap { $0.fields == nil ? nil : Platform($0) }
        for (name, text) in value["annotations"]?.fields ?? Fields() { annotations[name] = text.stringValue ?? "" }
    }

    /// Layers that lie elsewhere, as of Windows, are not fetched.
    package var isForeign: Bool { mediaType.contains("foreign") || mediaType.contains("nondistributable") }
    /// Statements about an image, which builders put beside it.
    package var isAttestation: Bool {
        annotations["vnd.docker.reference.type"] == "attestation-manifest" || platform?.os == "unknown"
    }
}

/// A manifest: of one image, or a list of those of several platforms.
package enum Manifest: Sendable, Equatable {
    case image(config: Descriptor, layers: [Descriptor])
    case index([Descriptor])

    package static let mostBytes = 4 << 20
    private static let mostEntries = 1024

    /// What a registry is told that we understand.
    package static let accepted = [
        "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
    ]

    /// `place` is what it is the manifest of, for messages.
    ///
    /// - Throws: `ImageError` when it is none, or says two things.
    package init(_ bytes: [UInt8], of place: String) throws(ImageError) {
        guard bytes.count <= Self.mostBytes else {
            throw ImageError(.inspect, "\(place): its manifest has more than \(Self.mostBytes) bytes")
        }
        let value: Value
        do { value = try JSON.parse(bytes) } catch {
            throw ImageError(.inspect, "\(place): its manifest is no JSON: \(error)")
        }
        if value["schemaVersion"]?.intValue == 1 {
            throw ImageError(
                .inspect,
                "\(place): its manifest is of Docker's schema 1, which is no longer used; push the image again"
            )
        }
        let type = value["mediaType"]?.stringValue ?? ""
        if type.contains("manifest.list") || type.contains("image.index") || value["manifests"] != nil {
            // A document that says both could be read in two ways: that is how digests are made to lie.
            guard value["layers"] == nil, value["config"] == nil else {
                throw ImageError(.inspect, "\(place): its manifest is a list and an image at the same time")
            }
            self = .index(try Self.descriptors(value["manifests"], place))
            return
        }
        guard let config = value["config"], config.fields != nil else {
            throw ImageError(.inspect, "\(place): its manifest has no 'config'")
        }
        self = .image(
            config: try Descriptor(config, in: "\(place): config"),
            layers: try Self.descriptors(value["layers"], place)
        )
    }

    private static func descriptors(_ value: Value?, _ place: String) throws(ImageError) -> [Descriptor] {
        let items = value?.arrayValue ?? []
        guard items.count <= mostEntries else {
            throw ImageError(.inspect, "\(place): its manifest has \(items.count) entries; \(mostEntries) are allowed")
        }
        var descriptors: [Descriptor] = []
        for item in items { descriptors.append(try Descriptor(item, in: place)) }
        return descriptors
    }

    /// The manifest of a list that fits a platform best.
    package static func choose(
        _ entries: [Descriptor],
        for platform: Platform,
        of place: String
    ) throws(ImageError) -> Descriptor {
        let images = entries.filter { !$0.isAttestation }
        var best: (Descriptor, Int)?
        for entry in images {
            // One that says nothing fits when it is the only one.
            let fitness = entry.platform.map { platform.fitness(of: $0) } ?? (images.count == 1 ? 1 : nil)
            if let fitness, fitness > best?.1 ?? 0 { best = (entry, fitness) }
        }
        if let best { return best.0 }
        let known = images.compactMap { $0.platform?.description }.joined(separator: ", ")
        throw ImageError(.pull, "\(place) is not there for \(platform)" + (known.isEmpty ? "" : "; it is for \(known)"))
    }
}
