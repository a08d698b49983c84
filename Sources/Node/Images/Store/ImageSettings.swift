/// What a store of images must know about its surroundings.
package struct ImageSettings: Sendable {
    /// The store's own directory.
    package var directory: String
    package var platform = Platform.host
    /// Sockets of podman and Docker, asked in this order.
    package var engineSockets: [String] = []
    /// Files with credentials, as `docker login` writes them; the first that names a host counts.
    package var credentialFiles: [String] = []
    /// The file with registries, limits and collection (docs/images.md), read at every pull; need not be there.
    package var configurationFiles: [String] = []
    package var parallelPulls = 4
    package var parallelDownloads = 3
    /// How marks of overlayfs are made; nil: as this disk and this user can.
    package var form: WhiteoutForm?
    /// Milliseconds to wait for another process that has the store.
    package var patience = 10_000
    /// Whether files get the owners that the layers say, where this process can give them.
    package var isPrivileged: Bool
    /// Seconds since 1970.
    package var now: @Sendable () -> Int64

    package init(directory: String, isPrivileged: Bool, now: @escaping @Sendable () -> Int64) {
        self.directory = directory
        self.isPrivileged = isPrivileged
        self.now = now
    }
}

/// Who may have an image from a registry.
package struct RegistryCredential: Sendable, Hashable {
    package var user: String
    package var password: String
    /// A refresh token in place of a password (`identitytoken`).
    package var identityToken = ""

    package init(user: String, password: String, identityToken: String = "") {
        self.user = user
        self.password = password
        self.identityToken = identityToken
    }
}

/// What a resolution takes beside the reference.
package struct ResolveOptions: Sendable {
    package var policy = PullPolicy.ifNotPresent
    /// The contents of `.dockerconfigjson` (or `.dockercfg`) of the Secrets that a pod names.
    package var secrets: [[UInt8]] = []
    /// Given by hand for this pull alone.
    package var credential: RegistryCredential?
    package var platform: Platform?
    /// HTTP without TLS is fine with whoever asks.
    package var allowsPlainHTTP = false
    /// Kept until somebody removes it: no collection of unused images takes it.
    package var isPinned = false
    package var progress: (@Sendable (PullProgress) -> Void)?

    package init() {}
}

/// What the store knows of one image.
package struct ImageSummary: Sendable, Equatable {
    package var imageID: Digest
    /// References in full, sorted.
    package var names: [String]
    package var manifestDigest: Digest?
    package var platform: Platform
    package var size: Int64
    /// When it was built, in its own words.
    package var created: String
    /// Seconds since 1970.
    package var stored: Int64
    package var lastUsed: Int64
    package var isPinned: Bool
    package var layers: [Digest]
    /// Pods that run from it.
    package var users: [String]
}

/// Counts since the store was opened.
package struct ImageFigures: Sendable, Equatable {
    package var pulls: UInt64 = 0
    package var failures: [String: UInt64] = [:]
    package var fetchedBytes: UInt64 = 0
    package var pullMicroseconds: UInt64 = 0
    package var collected: UInt64 = 0
    package var images = 0
    package var storedBytes: Int64 = 0
}
