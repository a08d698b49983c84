extension Envoy {
    /// How the client's address is found, by name and type.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct OriginalIpDetection: EnvoyMessage {
        package var name: String
        package var typedConfig: OriginalIpDetectionConfig?

        package init(name: String = "", typedConfig: OriginalIpDetectionConfig? = nil) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<OriginalIpDetection>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: OriginalIpDetection()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any, [.required])
        }
    }

    /// The ways that exist here.
    package enum OriginalIpDetectionConfig: AnyExtension {
        case xff(XffConfig)
        case customHeader(CustomHeaderConfig)

        package static let members = AnyMembers<OriginalIpDetectionConfig>(
            "detection of the client's address",
            [
                AnyMember(XffConfig.self, wrap: { .xff($0) }) {
                    if case .xff(let value) = $0 { value } else { nil }
                },
                AnyMember(CustomHeaderConfig.self, wrap: { .customHeader($0) }) {
                    if case .customHeader(let value) = $0 { value } else { nil }
                },
            ]
        )
    }

    /// The client's address by `x-forwarded-for`.
    ///
    /// `envoy.extensions.http.original_ip_detection.xff.v3.XffConfig`
    package struct XffConfig: EnvoyMessage {
        package var xffNumTrustedHops: UInt32
        package var xffTrustedCidrs: XffTrustedCidrs?
        /// nil is true.
        package var skipXffAppend: Bool?

        package init(
            xffNumTrustedHops: UInt32 = 0,
            xffTrustedCidrs: XffTrustedCidrs? = nil,
            skipXffAppend: Bool? = nil
        ) {
            self.xffNumTrustedHops = xffNumTrustedHops
            self.xffTrustedCidrs = xffTrustedCidrs
            self.skipXffAppend = skipXffAppend
        }

        package static let schema = MessageSchema<XffConfig>(
            "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig",
            empty: XffConfig()
        ) { schema in
            schema.field(1, "xff_num_trusted_hops", \.xffNumTrustedHops, .uint32)
            schema.optional(2, "xff_trusted_cidrs", \.xffTrustedCidrs, .message)
            schema.optional(3, "skip_xff_append", \.skipXffAppend, .boolValue)
        }
    }

    /// Proxies that are believed.
    ///
    /// `envoy.extensions.http.original_ip_detection.xff.v3.XffTrustedCidrs`
    package struct XffTrustedCidrs: EnvoyMessage {
        package var cidrs: [CidrRange]

        package init(cidrs: [CidrRange] = []) { self.cidrs = cidrs }

        package static let schema = MessageSchema<XffTrustedCidrs>(
            "envoy.extensions.http.original_ip_detection.xff.v3.XffTrustedCidrs",
            empty: XffTrustedCidrs()
        ) { schema in
            schema.repeated(1, "cidrs", \.cidrs, .message)
        }
    }

    /// The client's address by a header of the one in front.
    ///
    /// `envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig`
    package struct CustomHeaderConfig: EnvoyMessage {
        package var headerName: String
        package var allowExtensionToSetAddressAsTrusted: Bool

        package init(
            headerName: String = "",
            allowExtensionToSetAddressAsTrusted: Bool = false
        ) {
            self.headerName = headerName
            self.allowExtensionToSetAddressAsTrusted = allowExtensionToSetAddressAsTrusted
        }

        package static let schema = MessageSchema<CustomHeaderConfig>(
            "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig",
            empty: CustomHeaderConfig()
        ) { schema in
            schema.field(1, "header_name", \.headerName, .string, [.minLength(1), .headerName])
            schema.field(
                2,
                "allow_extension_to_set_address_as_trusted",
                \.allowExtensionToSetAddressAsTrusted,
                .bool
            )
            schema.unsupported("reject_with_status=3")
        }
    }

    /// What endpoints are told of the scheme.
    ///
    /// `envoy.config.core.v3.SchemeHeaderTransformation`
    package struct SchemeHeaderTransformation: EnvoyMessage {
        /// `http` or `https`; nil: nothing is overwritten.
        package var schemeToOverwrite: String?
        /// As the endpoint is spoken to.
        package var matchUpstream: Bool

        package init(schemeToOverwrite: String? = nil, matchUpstream: Bool = false) {
            self.schemeToOverwrite = schemeToOverwrite
            self.matchUpstream = matchUpstream
        }

        package static let schema = MessageSchema<SchemeHeaderTransformation>(
            "envoy.config.core.v3.SchemeHeaderTransformation",
            empty: SchemeHeaderTransformation()
        ) { schema in
            schema.oneof("transformation")
            schema.optional(1, "scheme_to_overwrite", of: "transformation", \.schemeToOverwrite, .string)
            schema.field(2, "match_upstream", \.matchUpstream, .bool)
        }

        package static func verify(_ message: SchemeHeaderTransformation, _ reader: inout SchemaReader) {
            if let scheme = message.schemeToOverwrite, !["http", "https"].contains(scheme) {
                reader.report(.outOfRange, at: "scheme_to_overwrite", "use http or https")
            }
        }
    }
}

extension Envoy.HttpConnectionManager {
    /// When requests are logged beside their end.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.HcmAccessLogOptions`
    package struct HcmAccessLogOptions: EnvoyMessage {
        package var flushAccessLogOnNewRequest: Bool
        package var flushLogOnTunnelSuccessfullyEstablished: Bool

        package init(
            flushAccessLogOnNewRequest: Bool = false,
            flushLogOnTunnelSuccessfullyEstablished: Bool = false
        ) {
            self.flushAccessLogOnNewRequest = flushAccessLogOnNewRequest
            self.flushLogOnTunnelSuccessfullyEstablished = flushLogOnTunnelSuccessfullyEstablished
        }

        package static let schema = MessageSchema<HcmAccessLogOptions>(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.HcmAccessLogOptions",
            empty: HcmAccessLogOptions()
        ) { schema in
            schema.field(2, "flush_access_log_on_new_request", \.flushAccessLogOnNewRequest, .bool)
            schema.field(
                3,
                "flush_log_on_tunnel_successfully_established",
                \.flushLogOnTunnelSuccessfullyEstablished,
                .bool
            )
            schema.unsupported("access_log_flush_interval=1")
        }
    }
}
