package import Resources

/// The proxy's admin port, as far as the controllers need it.
package protocol ProxyAdmin: Sendable {
    /// One GET; `path` begins with `/`.
    ///
    /// - Throws: when the proxy cannot be reached or does not answer in time.
    func get(_ path: String, timeout: Duration) async throws -> (status: Int, body: [UInt8])
}

/// Where a pod's network is: what the proxy needs to listen and to dial inside of it.
package struct PodNetwork: Sendable, Equatable {
    package var uid: String
    package var namespace: String
    package var name: String
    package var address: String
    /// A namespace file or a broker's socket: the value of `network_namespace_filepath`.
    package var namespacePath: String
    /// Without isolation there is no network of its own, but places on the machine's.
    package var sockets: PodSockets?

    package init(
        uid: String,
        namespace: String,
        name: String,
        address: String,
        namespacePath: String,
        sockets: PodSockets? = nil
    ) {
        self.sockets = sockets
        self.uid = uid
        self.namespace = namespace
        self.name = name
        self.address = address
        self.namespacePath = namespacePath
    }
}
