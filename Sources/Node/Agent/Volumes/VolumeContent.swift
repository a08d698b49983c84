package import Resources
package import Wire

/// The files of a volume made from objects: path in the volume, bytes, mode.
///
/// Pure.
package struct VolumeContent: Sendable, Equatable {
    package struct File: Sendable, Equatable {
        package let path: String
        package let bytes: [UInt8]
        package let mode: Int
    }

    package private(set) var files: [File] = []

    package init() {}

    /// All keys of an object, or only the items that are named.
    ///
    /// - Throws: when an item's key is missing, or a path would leave the volume.
    package mutating func add(
        _ object: Object?,
        kind: String,
        name: String,
        items: [Volume.Item],
        defaultMode: Int,
        isOptional: Bool
    ) throws(EnvironmentBuilder.Missing) {
        guard let object else {
            if isOptional { return }
            throw EnvironmentBuilder.Missing(message: "\(kind) \"\(name)\" not found")
        }
        guard !items.isEmpty else {
            for key in KeyedData.keys(of: object) {
                try put(key, KeyedData.bytes(of: key, in: object) ?? [], defaultMode)
            }
            return
        }
        for item in items {
            guard let bytes = KeyedData.bytes(of: item.key, in: object) else {
                if isOptional { continue }
                throw EnvironmentBuilder.Missing(
                    message: "\(kind) \"\(name)\" has no key \"\(item.key)\", which a volume wants"
                )
            }
            try put(item.path, bytes, item.mode ?? defaultMode)
        }
    }

    /// The items of a `downwardAPI` volume.
    package mutating func addFields(
        _ items: [Value],
        defaultMode: Int,
        from environment: EnvironmentBuilder
    ) throws(EnvironmentBuilder.Missing) {
        for item in items {
            let text: String?
            if let field = item["fieldRef"]?.text("fieldPath") {
                text = environment.field(field)
            } else {
                let from = item["resourceFieldRef"] ?? .null
                text = environment.resource(
                    from.text("containerName") ?? "",
                    from.text("resource") ?? "",
                    from.text("divisor")
                )
            }
            try put(item.text("path") ?? "", Array((text ?? "").utf8), item.integer("mode") ?? defaultMode)
        }
    }

    private mutating func put(_ path: String, _ bytes: [UInt8], _ mode: Int) throws(EnvironmentBuilder.Missing) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard !path.isEmpty, parts.allSatisfy({ !$0.isEmpty && $0 != "." && !$0.hasPrefix("..") }) else {
            throw EnvironmentBuilder.Missing(message: "\"\(path)\" is no path inside a volume")
        }
        files.removeAll { $0.path == path }
        files.append(File(path: path, bytes: bytes, mode: mode & 0o777))
    }
}
