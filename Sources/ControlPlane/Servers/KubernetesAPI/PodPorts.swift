package import Resources

/// Where the API finds the ports of pods.
package protocol PodPortSource: Sendable {
    /// A connection to a port of a pod, as a program inside it would make one.
    ///
    /// - Throws: `APIError` when nothing listens there or the pod does not run.
    func connect(to port: Int, of pod: Object) async throws(APIError) -> any PodConnection
}

/// A connection to a program in a pod. Released or closed, it ends.
package protocol PodConnection: AnyObject, Sendable {
    /// What the program sent; nil at its end. For one task.
    func read() async -> [UInt8]?
    /// Sends bytes; returns when they are taken, false when nobody takes them any more. For one task.
    func write(_ bytes: [UInt8]) async -> Bool
    /// Says that no more is sent.
    func endInput()
    func close()
}
