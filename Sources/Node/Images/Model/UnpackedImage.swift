/// When an image is asked for anew, in Kubernetes' words.
package enum PullPolicy: String, Sendable, CaseIterable {
    case always = "Always"
    case ifNotPresent = "IfNotPresent"
    case never = "Never"

    /// What Kubernetes takes when a container names none: `Always` for the tag `latest`, else `IfNotPresent`.
    package static func standard(for reference: String) -> PullPolicy {
        guard case .success(let parsed) = ImageReference.read(reference) else { return .ifNotPresent }
        return parsed.digest == nil && parsed.tag == "latest" && parsed.transport == .registry ? .always : .ifNotPresent
    }
}

/// Where an image came from.
package enum ImageOrigin: Sendable, Equatable {
    /// It was there.
    case store
    /// A directory or an archive.
    case file(String)
    /// The storage of podman or Docker.
    case engine(String)
    /// A registry, or a mirror of one.
    case registry(String)
}

/// How the layers' directories say that a file of a lower layer is gone.
package enum WhiteoutForm: String, Sendable, CaseIterable {
    /// Character devices 0/0 and `trusted.overlay.*`: overlayfs mounted by root.
    case trusted
    /// Character devices 0/0 and `user.overlay.*`: overlayfs mounted with `userxattr`.
    case user
    /// This file system can say neither: layers are copied into one.
    case none
}

/// An image whose layers lie unpacked on the disk.
package struct UnpackedImage: Sendable, Equatable {
    /// In full, such as `docker.io/library/busybox:1.36`.
    package let reference: String
    /// The digest of the configuration: what the image is, whatever it is called.
    package let imageID: Digest
    /// The digest of the manifest that was pulled; nil where there was none (an archive of Docker's).
    package let manifestDigest: Digest?
    package let config: ImageConfig
    /// Directories of the layers, lowest first; shared by all who run the image, never to be written. One alone, which holds all, where
    /// the marks of overlayfs cannot be made.
    package let layerDirectories: [String]
    /// Bytes of the unpacked layers.
    package let size: Int64
    package let origin: ImageOrigin
    /// What this resolution fetched, and how long that took: for the event `Pulled`.
    package let fetchedBytes: Int64
    package let duration: Duration

    /// What Kubernetes shows as `imageID`: `docker.io/library/busybox@sha256:...`, or the image's own digest.
    package var statusID: String {
        guard let manifestDigest, case .success(let parsed) = ImageReference.read(reference),
            parsed.transport == .registry
        else { return imageID.description }
        return "\(parsed.name)@\(manifestDigest)"
    }
}

/// How far a pull is.
package enum PullProgress: Sendable, Equatable {
    case resolved(reference: String, source: String)
    /// Bytes of a layer that came so far, of all.
    case downloading(layer: String, done: Int64, total: Int64)
    case unpacking(layer: String, number: Int, of: Int)
    /// The layer was here already.
    case present(layer: String)
    case note(String)
}
