import Wire

/// How an image wants to be run, and what its layers are: the OCI image configuration.
package struct ImageConfig: Sendable, Equatable {
    /// `NAME=value`, in order.
    package var env: [String] = []
    package var entrypoint: [String] = []
    package var cmd: [String] = []
    /// `user`, `uid`, `user:group`, `uid:gid`; empty: root.
    package var user = ""
    /// Empty: `/`.
    package var workingDir = ""
    /// Such as `8080/tcp`, sorted.
    package var exposedPorts: [String] = []
    /// Such as `SIGQUIT`; empty: SIGTERM.
    package var stopSignal = ""
    package var labels: [String: String] = [:]
    /// Directories that the image says hold data, sorted.
    package var volumes: [String] = []
    package var platform = Platform(os: "", architecture: "")
    /// RFC 3339; empty when it is not said.
    package var created = ""
    /// Sums of the layers' plain tars, lowest first.
    package var diffIDs: [Digest] = []

    /// Bounds of one configuration: what is longer is no image that anybody built.
    package static let mostBytes = 8 << 20
    package static let mostLayers = 512
    private static let mostWords = 4096

    package init() {}

    /// - Throws: `ImageError` that names the field.
    package init(_ bytes: [UInt8]) throws(ImageError) {
        guard bytes.count <= Self.mostBytes else {
            throw ImageError(
                .inspect,
                "the image's configuration has \(bytes.count) bytes; \(Self.mostBytes) are allowed"
            )
        }
        let value: Value
        do { value = try JSON.parse(bytes) } catch {
            throw ImageError(.inspect, "the image's configuration is no JSON: \(error)")
        }
        guard value.fields != nil else { throw ImageError(.inspect, "the image's configuration is no JSON object") }
        let run = value["config"] ?? .null
        env = try Self.words(run["Env"], "Env")
        entrypoint = try Self.words(run["Entrypoint"], "Entrypoint")
        cmd = try Self.words(run["Cmd"], "Cmd")
        user = try Self.text(run["User"], "User")
        workingDir = try Self.text(run["WorkingDir"], "WorkingDir")
        stopSignal = try Self.text(run["StopSignal"], "StopSignal")
        exposedPorts = try Self.names(run["ExposedPorts"], "ExposedPorts")
        volumes = try Self.names(run["Volumes"], "Volumes")
        for (name, text) in run["Labels"]?.fields ?? Fields() { labels[name] = text.stringValue ?? "" }
        platform = Platform(value)
        created = value["created"]?.stringValue ?? ""
        for item in value.at("rootfs", "diff_ids")?.arrayValue ?? [] {
            guard let digest = item.stringValue.flatMap({ Digest($0) }) else {
                throw ImageError(.inspect, "the image's configuration: rootfs.diff_ids holds what is no sha256 digest")
            }
            diffIDs.append(digest)
        }
        guard diffIDs.count <= Self.mostLayers else {
            throw ImageError(.inspect, "the image has \(diffIDs.count) layers; \(Self.mostLayers) are allowed")
        }
    }

    private static func text(_ value: Value?, _ name: String) throws(ImageError) -> String {
        guard let value, !value.isNull else { return "" }
        guard let text = value.stringValue, !text.utf8.contains(0) else {
            throw ImageError(.inspect, "the image's configuration: config.\(name) is no text")
        }
        return text
    }

    private static func words(_ value: Value?, _ name: String) throws(ImageError) -> [String] {
        guard let value, !value.isNull else { return [] }
        let words = (value.arrayValue ?? []).compactMap(\.stringValue)
        guard let array = value.arrayValue, words.count == array.count, words.count <= mostWords,
            !words.contains(where: { $0.utf8.contains(0) })
        else { throw ImageError(.inspect, "the image's configuration: config.\(name) is no list of texts") }
        return words
    }

    private static func names(_ value: Value?, _ name: String) throws(ImageError) -> [String] {
        guard let value, !value.isNull else { return [] }
        guard let fields = value.fields, fields.count <= mostWords else {
            throw ImageError(.inspect, "the image's configuration: config.\(name) is no object")
        }
        return fields.names.sorted()
    }

    /// What a stack of layers is called: the name of the directory in which the last of them is unpacked.
    package static func chainIDs(_ diffIDs: [Digest]) -> [Digest] {
        var chain: [Digest] = []
        for diffID in diffIDs {
            guard let below = chain.last else {
                chain.append(diffID)
                continue
            }
            chain.append(Digest(of: Array("\(below) \(diffID)".utf8)))
        }
        return chain
    }
}
