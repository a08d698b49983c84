extension Envoy.HttpConnectionManager {
    /// How the proxy's own answers look.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig`
    package struct LocalReplyConfig: EnvoyMessage {
        /// The first whose filter admits an answer changes it.
        package var mappers: [ResponseMapper]
        /// For bodies whose mapper has no format of its own.
        package var bodyFormat: Envoy.SubstitutionFormatString?

        package init(
            mappers: [ResponseMapper] = [],
            bodyFormat: Envoy.SubstitutionFormatString? = nil
        ) {
            self.mappers = mappers
            self.bodyFormat = bodyFormat
        }

        package static let schema = MessageSchema<LocalReplyConfig>(
            "envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig",
            empty: LocalReplyConfig()
        ) { schema in
            schema.repeated(1, "mappers", \.mappers, .message)
            schema.optional(2, "body_format", \.bodyFormat, .message)
        }
    }

    /// What is changed of some of the proxy's own answers.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper`
    package struct ResponseMapper: EnvoyMessage {
        package var filter: Envoy.AccessLogFilter?
        package var statusCode: UInt32?
        package var body: Envoy.DataSource?
        package var bodyFormatOverride: Envoy.SubstitutionFormatString?
        package var headersToAdd: [Envoy.HeaderValueOption]

        package init(
            filter: Envoy.AccessLogFilter? = nil,
            statusCode: UInt32? = nil,
            body: Envoy.DataSource? = nil,
            bodyFormatOverride: Envoy.SubstitutionFormatString? = nil,
            headersToAdd: [Envoy.HeaderValueOption] = []
        ) {
            self.filter = filter
            self.statusCode = statusCode
            self.body = body
            self.bodyFormatOverride = bodyFormatOverride
            self.headersToAdd = headersToAdd
        }

        package static let schema = MessageSchema<ResponseMapper>(
            "envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper",
            empty: ResponseMapper()
        ) { schema in
            schema.optional(1, "filter", \.filter, .message, [.required])
            schema.optional(2, "status_code", \.statusCode, .uint32Value, [.below(600), .atLeast(200)])
            schema.optional(3, "body", \.body, .message)
            schema.optional(4, "body_format_override", \.bodyFormatOverride, .message)
            schema.repeated(5, "headers_to_add", \.headersToAdd, .message, [.maxItems(1000)])
        }
    }
}

extension Envoy.HttpConnectionManager {
    /// The proxy's own answers say in `proxy-status` what went wrong (RFC 9209).
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ProxyStatusConfig`
    package struct ProxyStatusConfig: EnvoyMessage {
        package var removeDetails: Bool
        package var removeResponseFlags: Bool
        /// Empty is `weft`.
        package var literalProxyName: String?

        package init(
            removeDetails: Bool = false,
            removeResponseFlags: Bool = false,
            literalProxyName: String? = nil
        ) {
            self.removeDetails = removeDetails
            self.removeResponseFlags = removeResponseFlags
            self.literalProxyName = literalProxyName
        }

        package static let schema = MessageSchema<ProxyStatusConfig>(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ProxyStatusConfig",
            empty: ProxyStatusConfig()
        ) { schema in
            schema.field(1, "remove_details", \.removeDetails, .bool)
            schema.field(3, "remove_response_flags", \.removeResponseFlags, .bool)
            schema.oneof("proxy_name")
            schema.optional(6, "literal_proxy_name", of: "proxy_name", \.literalProxyName, .string)
            schema.ignored(
                "remove_connection_termination_details=2",
                why: "no such details are told"
            )
            schema.unsupported("set_recommended_response_code=4")
            schema.unsupported("use_node_id=5", of: "proxy_name")
        }
    }
}
