extension Envoy {
    /// Requests of a virtual host that are counted together.
    ///
    /// `envoy.config.route.v3.VirtualCluster`
    package struct VirtualCluster: EnvoyMessage {
        package var headers: [HeaderMatcher]
        package var name: String

        package init(
            headers: [HeaderMatcher] = [],
            name: String = ""
        ) {
            self.headers = headers
            self.name = name
        }

        package static let schema = MessageSchema<VirtualCluster>(
            "envoy.config.route.v3.VirtualCluster",
            empty: VirtualCluster()
        ) { schema in
            schema.repeated(4, "headers", \.headers, .message)
            schema.field(2, "name", \.name, .string, [.minLength(1)])
        }

        package static func verify(_ message: VirtualCluster, _ reader: inout SchemaReader) {
            if message.headers.isEmpty { reader.report(.missing, at: "headers", "at least one is required") }
        }
    }
}
