/// The versions that this program says it has.
enum Version {
    static let current = "0.1.0"
    /// The Kubernetes API that the objects follow.
    static let kubernetes = "v1.33.0"
}
