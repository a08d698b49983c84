extension Envoy {
    /// Compresses bodies for those who take them so.
    ///
    /// `envoy.extensions.filters.http.compressor.v3.Compressor`
    package struct CompressorFilter: EnvoyMessage {
        package var compressorLibrary: CompressorLibrary?
        /// Requests are compressed only where this stands.
        package var requestDirectionConfig: CompressorRequestDirection?
        package var responseDirectionConfig: CompressorResponseDirection?
        package var chooseFirst: Bool

        package init(
            compressorLibrary: CompressorLibrary? = nil,
            requestDirectionConfig: CompressorRequestDirection? = nil,
            responseDirectionConfig: CompressorResponseDirection? = nil,
            chooseFirst: Bool = false
        ) {
            self.compressorLibrary = compressorLibrary
            self.requestDirectionConfig = requestDirectionConfig
            self.responseDirectionConfig = responseDirectionConfig
            self.chooseFirst = chooseFirst
        }

        package static let schema = MessageSchema<CompressorFilter>(
            "envoy.extensions.filters.http.compressor.v3.Compressor",
            empty: CompressorFilter()
        ) { schema in
            schema.optional(6, "compressor_library", \.compressorLibrary, .message, [.required])
            schema.optional(7, "request_direction_config", \.requestDirectionConfig, .message)
            schema.optional(8, "response_direction_config", \.responseDirectionConfig, .message)
            schema.field(9, "choose_first", \.chooseFirst, .bool)
            schema.unsupported(
                "content_length=1 content_type=2 disable_on_etag_header=3 remove_accept_encoding_header=4 runtime_enabled=5",
                why: "use response_direction_config"
            )
        }
    }
}

extension Envoy {
    /// What both directions have.
    ///
    /// `envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig`
    package struct CompressorDirection: EnvoyMessage {
        package var enabled: RuntimeFeatureFlag?
        /// Shorter bodies stay as they are; nil: 30.
        package var minContentLength: UInt32?
        /// Media types; none: the texts of the web.
        package var contentType: [String]

        package init(enabled: RuntimeFeatureFlag? = nil, minContentLength: UInt32? = nil, contentType: [String] = []) {
            self.enabled = enabled
            self.minContentLength = minContentLength
            self.contentType = contentType
        }

        package static let schema = MessageSchema<CompressorDirection>(
            "envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig",
            empty: CompressorDirection()
        ) { schema in
            schema.optional(1, "enabled", \.enabled, .message)
            schema.optional(2, "min_content_length", \.minContentLength, .uint32Value)
            schema.repeated(3, "content_type", \.contentType, .string)
            schema.unsupported("content_type_matcher=4", why: "use content_type")
        }
    }
}

extension Envoy {
    /// How requests are compressed.
    ///
    /// `envoy.extensions.filters.http.compressor.v3.Compressor.RequestDirectionConfig`
    package struct CompressorRequestDirection: EnvoyMessage {
        package var commonConfig: CompressorDirection?

        package init(commonConfig: CompressorDirection? = nil) {
            self.commonConfig = commonConfig
        }

        package static let schema = MessageSchema<CompressorRequestDirection>(
            "envoy.extensions.filters.http.compressor.v3.Compressor.RequestDirectionConfig",
            empty: CompressorRequestDirection()
        ) { schema in
            schema.optional(1, "common_config", \.commonConfig, .message)
        }
    }
}

extension Envoy {
    /// How answers are compressed.
    ///
    /// `envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig`
    package struct CompressorResponseDirection: EnvoyMessage {
        package var commonConfig: CompressorDirection?
        /// Answers with an etag stay as they are.
        package var disableOnEtagHeader: Bool
        package var removeAcceptEncodingHeader: Bool
        package var uncompressibleResponseCodes: [UInt32]
        /// A strong etag becomes a weak one instead of going.
        package var weakenEtagOnCompress: Bool

        package init(
            commonConfig: CompressorDirection? = nil,
            disableOnEtagHeader: Bool = false,
            removeAcceptEncodingHeader: Bool = false,
            uncompressibleResponseCodes: [UInt32] = [],
            weakenEtagOnCompress: Bool = false
        ) {
            self.commonConfig = commonConfig
            self.disableOnEtagHeader = disableOnEtagHeader
            self.removeAcceptEncodingHeader = removeAcceptEncodingHeader
            self.uncompressibleResponseCodes = uncompressibleResponseCodes
            self.weakenEtagOnCompress = weakenEtagOnCompress
        }

        package static let schema = MessageSchema<CompressorResponseDirection>(
            "envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig",
            empty: CompressorResponseDirection()
        ) { schema in
            schema.optional(1, "common_config", \.commonConfig, .message)
            schema.field(2, "disable_on_etag_header", \.disableOnEtagHeader, .bool)
            schema.field(3, "remove_accept_encoding_header", \.removeAcceptEncodingHeader, .bool)
            schema.repeated(
                4,
                "uncompressible_response_codes",
                \.uncompressibleResponseCodes,
                .uint32,
                [.atLeast(200), .below(600)]
            )
            schema.field(6, "weaken_etag_on_compress", \.weakenEtagOnCompress, .bool)
            schema.unsupported("status_header_enabled=5")
        }
    }
}

extension Envoy {
    /// What a route says of the compressor.
    ///
    /// `envoy.extensions.filters.http.compressor.v3.CompressorPerRoute`
    package struct CompressorPerRoute: EnvoyMessage {
        package var disabled: Bool
        package var overrides: CompressorOverrides?

        package init(disabled: Bool = false, overrides: CompressorOverrides? = nil) {
            self.disabled = disabled
            self.overrides = overrides
        }

        package static let schema = MessageSchema<CompressorPerRoute>(
            "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
            empty: CompressorPerRoute()
        ) { schema in
            schema.field(1, "disabled", \.disabled, .bool)
            schema.optional(2, "overrides", \.overrides, .message)
        }

        package static func verify(_ message: CompressorPerRoute, _ reader: inout SchemaReader) {
            if message.disabled == (message.overrides != nil) {
                reader.report(.missing, "one of disabled, overrides is required")
            }
        }
    }
}

extension Envoy {
    /// What a route changes in the compressor.
    ///
    /// `envoy.extensions.filters.http.compressor.v3.CompressorOverrides`
    package struct CompressorOverrides: EnvoyMessage {
        package var responseDirectionConfig: CompressorResponseOverrides?

        package init(responseDirectionConfig: CompressorResponseOverrides? = nil) {
            self.responseDirectionConfig = responseDirectionConfig
        }

        package static let schema = MessageSchema<CompressorOverrides>(
            "envoy.extensions.filters.http.compressor.v3.CompressorOverrides",
            empty: CompressorOverrides()
        ) { schema in
            schema.optional(1, "response_direction_config", \.responseDirectionConfig, .message)
            schema.unsupported("compressor_library=2", why: "use one filter for each library")
        }
    }
}

extension Envoy {
    /// What a route changes for answers.
    ///
    /// `envoy.extensions.filters.http.compressor.v3.ResponseDirectionOverrides`
    package struct CompressorResponseOverrides: EnvoyMessage {
        package var removeAcceptEncodingHeader: Bool?

        package init(removeAcceptEncodingHeader: Bool? = nil) {
            self.removeAcceptEncodingHeader = removeAcceptEncodingHeader
        }

        package static let schema = MessageSchema<CompressorResponseOverrides>(
            "envoy.extensions.filters.http.compressor.v3.ResponseDirectionOverrides",
            empty: CompressorResponseOverrides()
        ) { schema in
            schema.optional(1, "remove_accept_encoding_header", \.removeAcceptEncodingHeader, .boolValue)
        }
    }
}

extension Envoy {
    /// A library that compresses.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct CompressorLibrary: EnvoyMessage {
        package var name: String
        package var typedConfig: CompressorLibraryConfig?

        package init(name: String = "", typedConfig: CompressorLibraryConfig? = nil) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<CompressorLibrary>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: CompressorLibrary()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any, [.required])
        }
    }
}

extension Envoy {
    /// The libraries that compress here.
    package enum CompressorLibraryConfig: AnyExtension {
        case gzip(GzipCompressor)
        case brotli(BrotliCompressor)
        case zstd(ZstdCompressor)

        package static let members = AnyMembers<CompressorLibraryConfig>(
            "compressor library",
            [
                AnyMember(GzipCompressor.self, wrap: { .gzip($0) }) {
                    if case .gzip(let value) = $0 { value } else { nil }
                },
                AnyMember(BrotliCompressor.self, wrap: { .brotli($0) }) {
                    if case .brotli(let value) = $0 { value } else { nil }
                },
                AnyMember(ZstdCompressor.self, wrap: { .zstd($0) }) {
                    if case .zstd(let value) = $0 { value } else { nil }
                },
            ]
        )
    }
}
