extension Envoy {
    /// Undoes the compression of bodies.
    ///
    /// `envoy.extensions.filters.http.decompressor.v3.Decompressor`
    package struct DecompressorFilter: EnvoyMessage {
        package var decompressorLibrary: DecompressorLibrary?
        package var requestDirectionConfig: DecompressorRequestDirection?
        package var responseDirectionConfig: DecompressorResponseDirection?

        package init(
            decompressorLibrary: DecompressorLibrary? = nil,
            requestDirectionConfig: DecompressorRequestDirection? = nil,
            responseDirectionConfig: DecompressorResponseDirection? = nil
        ) {
            self.decompressorLibrary = decompressorLibrary
            self.requestDirectionConfig = requestDirectionConfig
            self.responseDirectionConfig = responseDirectionConfig
        }

        package static let schema = MessageSchema<DecompressorFilter>(
            "envoy.extensions.filters.http.decompressor.v3.Decompressor",
            empty: DecompressorFilter()
        ) { schema in
            schema.optional(1, "decompressor_library", \.decompressorLibrary, .message, [.required])
            schema.optional(2, "request_direction_config", \.requestDirectionConfig, .message)
            schema.optional(3, "response_direction_config", \.responseDirectionConfig, .message)
        }
    }
}

extension Envoy {
    /// What both directions have.
    ///
    /// `envoy.extensions.filters.http.decompressor.v3.Decompressor.CommonDirectionConfig`
    package struct DecompressorDirection: EnvoyMessage {
        package var enabled: RuntimeFeatureFlag?
        package var ignoreNoTransformHeader: Bool

        package init(enabled: RuntimeFeatureFlag? = nil, ignoreNoTransformHeader: Bool = false) {
            self.enabled = enabled
            self.ignoreNoTransformHeader = ignoreNoTransformHeader
        }

        package static let schema = MessageSchema<DecompressorDirection>(
            "envoy.extensions.filters.http.decompressor.v3.Decompressor.CommonDirectionConfig",
            empty: DecompressorDirection()
        ) { schema in
            schema.optional(1, "enabled", \.enabled, .message)
            schema.field(2, "ignore_no_transform_header", \.ignoreNoTransformHeader, .bool)
        }
    }
}

extension Envoy {
    /// How requests are decompressed.
    ///
    /// `envoy.extensions.filters.http.decompressor.v3.Decompressor.RequestDirectionConfig`
    package struct DecompressorRequestDirection: EnvoyMessage {
        package var commonConfig: DecompressorDirection?
        /// Endpoints hear that the coding is taken; nil: they do.
        package var advertiseAcceptEncoding: Bool?

        package init(commonConfig: DecompressorDirection? = nil, advertiseAcceptEncoding: Bool? = nil) {
            self.commonConfig = commonConfig
            self.advertiseAcceptEncoding = advertiseAcceptEncoding
        }

        package static let schema = MessageSchema<DecompressorRequestDirection>(
            "envoy.extensions.filters.http.decompressor.v3.Decompressor.RequestDirectionConfig",
            empty: DecompressorRequestDirection()
        ) { schema in
            schema.optional(1, "common_config", \.commonConfig, .message)
            schema.optional(2, "advertise_accept_encoding", \.advertiseAcceptEncoding, .boolValue)
        }
    }
}

extension Envoy {
    /// How answers are decompressed.
    ///
    /// `envoy.extensions.filters.http.decompressor.v3.Decompressor.ResponseDirectionConfig`
    package struct DecompressorResponseDirection: EnvoyMessage {
        package var commonConfig: DecompressorDirection?

        package init(commonConfig: DecompressorDirection? = nil) {
            self.commonConfig = commonConfig
        }

        package static let schema = MessageSchema<DecompressorResponseDirection>(
            "envoy.extensions.filters.http.decompressor.v3.Decompressor.ResponseDirectionConfig",
            empty: DecompressorResponseDirection()
        ) { schema in
            schema.optional(1, "common_config", \.commonConfig, .message)
        }
    }
}

extension Envoy {
    /// A library that decompresses.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct DecompressorLibrary: EnvoyMessage {
        package var name: String
        package var typedConfig: DecompressorLibraryConfig?

        package init(name: String = "", typedConfig: DecompressorLibraryConfig? = nil) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<DecompressorLibrary>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: DecompressorLibrary()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any, [.required])
        }
    }
}

extension Envoy {
    /// The libraries that decompress here.
    package enum DecompressorLibraryConfig: AnyExtension {
        case gzip(GzipDecompressor)
        case brotli(BrotliDecompressor)
        case zstd(ZstdDecompressor)

        package static let members = AnyMembers<DecompressorLibraryConfig>(
            "decompressor library",
            [
                AnyMember(GzipDecompressor.self, wrap: { .gzip($0) }) {
                    if case .gzip(let value) = $0 { value } else { nil }
                },
                AnyMember(BrotliDecompressor.self, wrap: { .brotli($0) }) {
                    if case .brotli(let value) = $0 { value } else { nil }
                },
                AnyMember(ZstdDecompressor.self, wrap: { .zstd($0) }) {
                    if case .zstd(let value) = $0 { value } else { nil }
                },
            ]
        )
    }
}
