/// An image that is about to come into the store: its texts, and where its layers are to be had.
struct ImagePlan: Sendable {
    struct Layer: Sendable {
        enum Place: Sendable {
            case file(FileRange)
            /// In the repository from which the image is pulled.
            case registry(Descriptor)
        }

        var place: Place
        /// What the stored bytes sum up to; nil where only the plain tar's sum is known.
        var digest: Digest?
        /// For messages.
        var name: String
    }

    var names: [String]
    var imageID: Digest
    var configBytes: [UInt8]
    var config: ImageConfig
    var manifestBytes: [UInt8]?
    /// Of the manifest, and of the list that named it.
    var manifestDigests: [Digest]
    var layers: [Layer]
    var origin: ImageOrigin

    /// - Throws: `ImageError` when layers and configuration do not fit each other.
    init(
        names: [String],
        configBytes: [UInt8],
        manifestBytes: [UInt8]?,
        manifestDigests: [Digest],
        layers: [Layer],
        origin: ImageOrigin,
        of place: String
    ) throws(ImageError) {
        self.names = names
        self.configBytes = configBytes
        self.manifestBytes = manifestBytes
        self.manifestDigests = manifestDigests
        self.layers = layers
        self.origin = origin
        imageID = Digest(of: configBytes)
        config = try ImageConfig(configBytes)
        guard config.diffIDs.count == layers.count else {
            throw ImageError(
                .inspect,
                "\(place): its manifest has \(layers.count) layers, its configuration \(config.diffIDs.count)"
            )
        }
        guard config.platform.os.isEmpty || config.platform.os == "linux" else {
            throw ImageError(.pull, "\(place) is for \(config.platform), which does not run here")
        }
    }
}
