extension Envoy {
    /// Waits for a request's whole body, within a limit.
    ///
    /// `envoy.extensions.filters.http.buffer.v3.Buffer`
    package struct BufferFilter: EnvoyMessage {
        package var maxRequestBytes: UInt32?

        package init(
            maxRequestBytes: UInt32? = nil
        ) {
            self.maxRequestBytes = maxRequestBytes
        }

        package static let schema = MessageSchema<BufferFilter>(
            "envoy.extensions.filters.http.buffer.v3.Buffer",
            empty: BufferFilter()
        ) { schema in
            schema.optional(2, "max_request_bytes", \.maxRequestBytes, .uint32Value, [.required, .above(0)])
        }
    }
}

extension Envoy {
    /// Another limit for a route, or none.
    ///
    /// `envoy.extensions.filters.http.buffer.v3.BufferPerRoute`
    package struct BufferPerRoute: EnvoyMessage {
        package var override: Override?

        /// One of these.
        package enum Override: Sendable, Equatable {
            case disabled(Bool)
            case buffer(BufferFilter)
        }

        package init(
            override: Override? = nil
        ) {
            self.override = override
        }

        package static let schema = MessageSchema<BufferPerRoute>(
            "envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
            empty: BufferPerRoute()
        ) { schema in
            schema.oneof("override", isRequired: true)
            schema.choice(1, "disabled", of: "override", \.override, .bool, [.mustBeTrue]) {
                .disabled($0)
            } get: {
                if case .disabled(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "buffer", of: "override", \.override, .message) {
                .buffer($0)
            } get: {
                if case .buffer(let value) = $0 { value } else { nil }
            }
        }
    }
}
