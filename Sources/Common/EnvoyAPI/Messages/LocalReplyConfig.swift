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
