import EnvoyAPI

/// Where the calls of a filter go: a `GrpcService`, compiled.
struct CallTarget: Sendable {
    var cluster: Int32 = -1
    var authority = ""
    /// Nanoseconds; 0 = no limit.
    var timeout: UInt64
    var metadata: [(name: String, value: String)] = []

    init(_ message: Envoy.GrpcService, timeout: UInt64, _ context: CompileContext) {
        self.timeout = nanoseconds(message.timeout) ?? timeout
        guard let grpc = message.envoyGrpc else {
            context.report("envoy_grpc: is required")
            return
        }
        cluster = context.cluster(grpc.clusterName)
        authority = grpc.authority.isEmpty ? grpc.clusterName : grpc.authority
        metadata = context.each("initial_metadata", message.initialMetadata) { header in
            let value = header.rawValue.isEmpty ? header.value : String(decoding: header.rawValue, as: UTF8.self)
            return (name: RouteCompiler.lowercased(header.key), value: value)
        }
    }

    /// A call with one message.
    func request(_ path: String, _ message: [UInt8]) -> CallRequest {
        var request = CallRequest(call: path, authority: authority, message: message)
        request.timeout = timeout
        for (name, value) in metadata { request.add(name, value) }
        return request
    }
}
