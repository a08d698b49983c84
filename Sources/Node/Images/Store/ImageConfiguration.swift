import Wire

/// What may be said about registries, limits and collection: the file `images.yaml` (docs/images.md).
package struct ImageConfiguration: Sendable, Equatable {
    package struct Registry: Sendable, Equatable {
        /// `docker.io`, `registry.local:5000`.
        package var host = ""
        /// Asked first, in order: hosts, or URLs without a path.
        package var mirrors: [String] = []
        /// HTTP without TLS is fine with it.
        package var isInsecure = false
        /// A PEM bundle of authorities in place of the system's.
        package var caFile: String?
    }

    package struct Limits: Sendable, Equatable {
        package var layer = LayerLimits()
        /// Bytes of one unpacked image.
        package var imageBytes: Int64 = 64 << 30
        /// Bytes of one packed layer.
        package var downloadBytes: Int64 = 16 << 30
    }

    package struct Collection: Sendable, Equatable {
        /// From this use of the disk on, in percent, images are collected...
        package var highPercent = 90
        /// ...down to this.
        package var lowPercent = 80
        /// Seconds since an image was last used.
        package var minimumAge: Int64 = 3600
    }

    package var registries: [Registry] = []
    package var limits = Limits()
    package var collection = Collection()

    package init() {}

    /// - Throws: `ImageError` that names the field.
    package init(_ bytes: [UInt8], file: String) throws(ImageError) {
        func wrong(_ why: String) -> ImageError { ImageError(.pull, "\(file): \(why)") }
        let value: Value
        do {
            let documents = try YAML.parse(String(decoding: bytes, as: UTF8.self))
            guard documents.count <= 1 else { throw wrong("it has more than one document") }
            value = documents.first?.value ?? .null
        } catch let error as ImageError {
            throw error
        } catch {
            throw wrong("\(error)")
        }
        if value.isNull { return }
        try Self.check(value, "", ["registries", "limits", "collection"], wrong)
        for (number, item) in (value["registries"]?.arrayValue ?? []).enumerated() {
            registries.append(try Self.registry(item, "registries[\(number)]", wrong))
        }
        if let item = value["limits"] {
            try Self.check(
                item,
                "limits",
                ["layerBytes", "layerRatio", "layerEntries", "imageBytes", "downloadBytes", "freeBytes"],
                wrong
            )
            limits.layer.bytes = try Self.size(item, "layerBytes", limits.layer.bytes, wrong)
            limits.layer.ratio = UInt64(try Self.size(item, "layerRatio", Int64(limits.layer.ratio), wrong))
            limits.layer.entries = Int(try Self.size(item, "layerEntries", Int64(limits.layer.entries), wrong))
            limits.layer.freeBytes = try Self.size(item, "freeBytes", limits.layer.freeBytes, wrong)
            limits.imageBytes = try Self.size(item, "imageBytes", limits.imageBytes, wrong)
            limits.downloadBytes = try Self.size(item, "downloadBytes", limits.downloadBytes, wrong)
        }
        if let item = value["collection"] {
            try Self.check(item, "collection", ["highPercent", "lowPercent", "minimumAgeSeconds"], wrong)
            collection.highPercent = Int(try Self.size(item, "highPercent", Int64(collection.highPercent), wrong))
            collection.lowPercent = Int(try Self.size(item, "lowPercent", Int64(collection.lowPercent), wrong))
            collection.minimumAge = try Self.size(item, "minimumAgeSeconds", collection.minimumAge, wrong)
            guard collection.lowPercent < collection.highPercent, collection.highPercent <= 100 else {
                throw wrong("collection.lowPercent must be below highPercent, and that at most 100")
            }
        }
    }

    private typealias Wrong = (String) -> ImageError

    private static func check(_ value: Value, _ path: String, _ known: [String], _ wrong: Wrong) throws(ImageError) {
        let place = path.isEmpty ? "it" : path
        guard let fields = value.fields else { throw wrong("\(place) is no object") }
        for name in fields.names where !known.contains(name) {
            throw wrong(
                "\(path.isEmpty ? name : "\(path).\(name)") is unknown; known are \(known.joined(separator: ", "))"
            )
        }
    }

    private static func registry(_ item: Value, _ path: String, _ wrong: Wrong) throws(ImageError) -> Registry {
        try check(item, path, ["host", "mirrors", "insecure", "caFile"], wrong)
        var registry = Registry()
        guard let host = item["host"]?.stringValue, ImageReference.isPlace(host) else {
            throw wrong("\(path).host is no host, nor a host and a port")
        }
        registry.host = host
        let mirrors = item["mirrors"]?.arrayValue ?? []
        registry.mirrors = mirrors.compactMap(\.stringValue)
        guard registry.mirrors.count == mirrors.count,
            registry.mirrors.allSatisfy({ RegistryEndpoint.parse(mirror: $0) != nil })
        else { throw wrong("\(path).mirrors holds what is neither a host nor a URL without a path") }
        if let flag = item["insecure"] {
            guard let isInsecure = flag.boolValue else { throw wrong("\(path).insecure is neither true nor false") }
            registry.isInsecure = isInsecure
        }
        if let file = item["caFile"] {
            guard let text = file.stringValue, text.hasPrefix("/") else {
                throw wrong("\(path).caFile is no absolute path")
            }
            registry.caFile = text
        }
        return registry
    }

    private static func size(
        _ value: Value,
        _ name: String,
        _ fallback: Int64,
        _ wrong: Wrong
    ) throws(ImageError) -> Int64 {
        guard let value = value[name] else { return fallback }
        if let number = value.intValue, number > 0 { return Int64(number) }
        let units: [(String, Int64)] = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40)]
        if let text = value.stringValue, let unit = units.first(where: { text.hasSuffix($0.0) }),
            let number = Int64(text.dropLast(2)), number > 0, number < 1 << 20
        {
            return number * unit.1
        }
        throw wrong("\(name) is no whole number above 0, nor one with Ki, Mi, Gi or Ti")
    }

    func registry(_ host: String) -> Registry { registries.first { $0.host == host } ?? Registry() }
}

extension ImageStore {
    /// The configuration as its file says it now.
    func configuration() throws(ImageError) -> ImageConfiguration {
        for file in settings.configurationFiles {
            guard let bytes = StoreFiles.read(file, limit: 1 << 20) else { continue }
            return try ImageConfiguration(bytes, file: file)
        }
        return ImageConfiguration()
    }
}
