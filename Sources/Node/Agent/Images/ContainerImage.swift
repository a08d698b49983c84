/// An image made of layers that lie unpacked on this machine, and how it wants to be run.
package struct ContainerImage: Sendable, Equatable {
    /// What a status shows as `imageID`: the name with the digest of what was pulled, or the image's own digest.
    package var statusID: String
    /// What the source calls it.
    package var identity = ""
    /// Directories, lowest first; all below the source's `layersDirectory`.
    package var layers: [String]
    /// `NAME=value`, in order.
    package var env: [String] = []
    package var entrypoint: [String] = []
    package var cmd: [String] = []
    /// `user`, `uid`, `user:group` or `uid:gid`; empty: root.
    package var user = ""
    package var workingDirectory = ""
    /// Such as `SIGQUIT`; empty: SIGTERM.
    package var stopSignal = ""
    /// Bytes of the unpacked layers.
    package var size: Int64 = 0

    package init(statusID: String, layers: [String]) {
        self.statusID = statusID
        self.layers = layers
    }

    /// The program and its arguments, by Kubernetes' rules: `command` replaces the entrypoint and with it the image's own
    /// arguments; `args` replace these alone.
    package func arguments(command: [String], args: [String]) -> [String] {
        if !command.isEmpty { return command + args }
        return entrypoint + (args.isEmpty ? cmd : args)
    }

    /// An absolute path.
    package var directory: String { workingDirectory.hasPrefix("/") ? workingDirectory : "/\(workingDirectory)" }
}

/// Why an image is not to be had.
package struct ContainerImageProblem: Error, Sendable, Equatable {
    package enum Reason: String, Sendable {
        case invalidName = "InvalidImageName"
        case neverPull = "ErrImageNeverPull"
        case pull = "ErrImagePull"
        case inspect = "ImageInspectError"
        case unavailable = "RegistryUnavailable"
    }

    package let reason: Reason
    package let message: String

    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }

    /// What it becomes while nothing is tried; a pull waits under a name of its own.
    var waitingReason: String {
        switch reason {
        case .pull, .unavailable: "ImagePullBackOff"
        default: reason.rawValue
        }
    }
}

/// Where images come from.
package protocol ContainerImages: Sendable {
    /// The directory in which every layer lies.
    var layersDirectory: String { get }
    /// The image, if it is here; asks nobody.
    func find(_ reference: String) async throws(ContainerImageProblem) -> ContainerImage?
    /// Gets the image: anew when it `isForced`, else only if it is not here. `secrets` are the contents of
    /// `.dockerconfigjson` of those that the pod names.
    func pull(
        _ reference: String,
        isForced: Bool,
        secrets: [[UInt8]]
    ) async throws(ContainerImageProblem) -> ContainerImage
    /// The image stays while the pod is there.
    func retain(_ image: ContainerImage, pod uid: String) async
    /// The pod is gone.
    func release(pod uid: String) async
}
