extension Envoy {
    /// Another answer where a cluster gives none: a fixed one, or that of another cluster.
    ///
    /// `weft.filters.http.fallback.v3.Fallback`
    package struct Fallback: EnvoyMessage {
        package var statPrefix: String
        package var on: FallbackCauses?
        package var cluster: String
        package var response: FallbackResponse?

        package init(
            statPrefix: String = "",
            on: FallbackCauses? = nil,
            cluster: String = "",
            response: FallbackResponse? = nil
        ) {
            self.statPrefix = statPrefix
            self.on = on
            self.cluster = cluster
            self.response = response
        }

        package static let schema = MessageSchema<Fallback>(
            "weft.filters.http.fallback.v3.Fallback",
            empty: Fallback()
        ) { schema in
            schema.field(1, "stat_prefix", \.statPrefix, .string)
            schema.optional(2, "on", \.on, .message, [.required])
            schema.field(3, "cluster", \.cluster, .string)
            schema.optional(4, "response", \.response, .message)
        }
    }
}

extension Envoy {
    /// When it is given.
    ///
    /// `weft.filters.http.fallback.v3.Fallback.Causes`
    package struct FallbackCauses: EnvoyMessage {
        package var circuitOpen: Bool
        package var retriesExhausted: Bool
        package var noHealthyEndpoint: Bool
        package var connectFailure: Bool
        package var timeout: Bool
        package var statuses: [UInt32]

        package init(
            circuitOpen: Bool = false,
            retriesExhausted: Bool = false,
            noHealthyEndpoint: Bool = false,
            connectFailure: Bool = false,
            timeout: Bool = false,
            statuses: [UInt32] = []
        ) {
            self.circuitOpen = circuitOpen
            self.retriesExhausted = retriesExhausted
            self.noHealthyEndpoint = noHealthyEndpoint
            self.connectFailure = connectFailure
            self.timeout = timeout
            self.statuses = statuses
        }

        package static let schema = MessageSchema<FallbackCauses>(
            "weft.filters.http.fallback.v3.Fallback.Causes",
            empty: FallbackCauses()
        ) { schema in
            schema.field(1, "circuit_open", \.circuitOpen, .bool)
            schema.field(2, "retries_exhausted", \.retriesExhausted, .bool)
            schema.field(3, "no_healthy_endpoint", \.noHealthyEndpoint, .bool)
            schema.field(4, "connect_failure", \.connectFailure, .bool)
            schema.field(5, "timeout", \.timeout, .bool)
            schema.repeated(6, "statuses", \.statuses, .uint32, [.atLeast(400), .below(600)])
        }
    }
}

extension Envoy {
    /// The fixed answer.
    ///
    /// `weft.filters.http.fallback.v3.Fallback.Response`
    package struct FallbackResponse: EnvoyMessage {
        package var status: UInt32
        package var body: String
        package var contentType: String
        package var headers: [HeaderValue]

        package init(
            status: UInt32 = 0,
            body: String = "",
            contentType: String = "",
            headers: [HeaderValue] = []
        ) {
            self.status = status
            self.body = body
            self.contentType = contentType
            self.headers = headers
        }

        package static let schema = MessageSchema<FallbackResponse>(
            "weft.filters.http.fallback.v3.Fallback.Response",
            empty: FallbackResponse()
        ) { schema in
            schema.field(1, "status", \.status, .uint32, [.atLeast(200), .below(600)])
            schema.field(2, "body", \.body, .string, [.maxBytes(16384)])
            schema.field(3, "content_type", \.contentType, .string, [.headerValue])
            schema.repeated(4, "headers", \.headers, .message)
        }
    }
}
