/// Why an image is not to be had, in words that say what to do.
package struct ImageError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable, Equatable, CaseIterable {
        /// The reference is malformed.
        case invalidName = "InvalidImageName"
        /// The policy is Never and the image is not in the store.
        case neverPull = "ErrImageNeverPull"
        /// It could not be fetched: refused, unknown, damaged, too large, no room.
        case pull = "ErrImagePull"
        /// Nobody answers where it should come from.
        case unavailable = "RegistryUnavailable"
        /// What was fetched cannot be understood.
        case inspect = "ImageInspectError"
        /// There is no such image in the store.
        case notFound = "NotFound"
        /// Pods run from it.
        case inUse = "InUse"
        /// The store itself failed: the disk, or another process has it.
        case store = "StoreFailure"
        /// Whoever asked no longer wants it.
        case cancelled = "Cancelled"
    }

    package let kind: Kind
    package let message: String
    /// A registry wants other credentials.
    package let isDenied: Bool

    package init(_ kind: Kind, _ message: String, isDenied: Bool = false) {
        self.kind = kind
        self.message = message
        self.isDenied = isDenied
    }

    /// What Kubernetes shows as a waiting container's reason.
    package var reason: String {
        switch kind {
        case .invalidName, .neverPull, .unavailable, .inspect: kind.rawValue
        case .pull, .notFound, .inUse, .store, .cancelled: Kind.pull.rawValue
        }
    }

    package var description: String { message }
}
