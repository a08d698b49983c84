extension Envoy {
    /// Choices of HTTP/2, of listeners and of clusters.
    ///
    /// `envoy.config.core.v3.Http2ProtocolOptions`
    package struct Http2ProtocolOptions: EnvoyMessage {
        package var hpackTableSize: UInt32?
        package var maxConcurrentStreams: UInt32?
        package var initialStreamWindowSize: UInt32?
        package var initialConnectionWindowSize: UInt32?
        package var allowConnect: Bool
        package var maxOutboundFrames: UInt32?
        package var maxOutboundControlFrames: UInt32?
        package var maxConsecutiveInboundFramesWithEmptyPayload: UInt32?
        package var maxInboundPriorityFramesPerStream: UInt32?
        package var maxInboundWindowUpdateFramesPerDataFrameSent: UInt32?
        package var streamErrorOnInvalidHttpMessaging: Bool
        package var overrideStreamErrorOnInvalidHttpMessage: Bool?
        package var connectionKeepalive: KeepaliveSettings?

        package init(
            hpackTableSize: UInt32? = nil,
            maxConcurrentStreams: UInt32? = nil,
            initialStreamWindowSize: UInt32? = nil,
            initialConnectionWindowSize: UInt32? = nil,
            allowConnect: Bool = false,
            maxOutboundFrames: UInt32? = nil,
            maxOutboundControlFrames: UInt32? = nil,
            maxConsecutiveInboundFramesWithEmptyPayload: UInt32? = nil,
            maxInboundPriorityFramesPerStream: UInt32? = nil,
            maxInboundWindowUpdateFramesPerDataFrameSent: UInt32? = nil,
            streamErrorOnInvalidHttpMessaging: Bool = false,
            overrideStreamErrorOnInvalidHttpMessage: Bool? = nil,
            connectionKeepalive: KeepaliveSettings? = nil
        ) {
            self.hpackTableSize = hpackTableSize
            self.maxConcurrentStreams = maxConcurrentStreams
            self.initialStreamWindowSize = initialStreamWindowSize
            self.initialConnectionWindowSize = initialConnectionWindowSize
            self.allowConnect = allowConnect
            self.maxOutboundFrames = maxOutboundFrames
            self.maxOutboundControlFrames = maxOutboundControlFrames
            self.maxConsecutiveInboundFramesWithEmptyPayload = maxConsecutiveInboundFramesWithEmptyPayload
            self.maxInboundPriorityFramesPerStream = maxInboundPriorityFramesPerStream
            self.maxInboundWindowUpdateFramesPerDataFrameSent = maxInboundWindowUpdateFramesPerDataFrameSent
            self.streamErrorOnInvalidHttpMessaging = streamErrorOnInvalidHttpMessaging
            self.overrideStreamErrorOnInvalidHttpMessage = overrideStreamErrorOnInvalidHttpMessage
            self.connectionKeepalive = connectionKeepalive
        }

        package static let schema = MessageSchema<Http2ProtocolOptions>(
            "envoy.config.core.v3.Http2ProtocolOptions",
            empty: Http2ProtocolOptions()
        ) { schema in
            schema.optional(1, "hpack_table_size", \.hpackTableSize, .uint32Value, [.atMost(1_048_576)])
            schema.optional(
                2,
                "max_concurrent_streams",
                \.maxConcurrentStreams,
                .uint32Value,
                [.atLeast(1), .atMost(2_147_483_647)]
            )
            schema.optional(
                3,
                "initial_stream_window_size",
                \.initialStreamWindowSize,
                .uint32Value,
                [.atLeast(65_535), .atMost(2_147_483_647)]
            )
            schema.optional(
                4,
                "initial_connection_window_size",
                \.initialConnectionWindowSize,
                .uint32Value,
                [.atLeast(65_535), .atMost(2_147_483_647)]
            )
            schema.field(5, "allow_connect", \.allowConnect, .bool)
            schema.optional(7, "max_outbound_frames", \.maxOutboundFrames, .uint32Value, [.atLeast(1)])
            schema.optional(8, "max_outbound_control_frames", \.maxOutboundControlFrames, .uint32Value, [.atLeast(1)])
            schema.optional(
                9,
                "max_consecutive_inbound_frames_with_empty_payload",
                \.maxConsecutiveInboundFramesWithEmptyPayload,
                .uint32Value
            )
            schema.optional(
                10,
                "max_inbound_priority_frames_per_stream",
                \.maxInboundPriorityFramesPerStream,
                .uint32Value
            )
            schema.optional(
                11,
                "max_inbound_window_update_frames_per_data_frame_sent",
                \.maxInboundWindowUpdateFramesPerDataFrameSent,
                .uint32Value,
                [.atLeast(1)]
            )
            schema.field(
                12,
                "stream_error_on_invalid_http_messaging",
                \.streamErrorOnInvalidHttpMessaging,
                .bool
            )
            schema.optional(
                14,
                "override_stream_error_on_invalid_http_message",
                \.overrideStreamErrorOnInvalidHttpMessage,
                .boolValue
            )
            schema.optional(15, "connection_keepalive", \.connectionKeepalive, .message)
            schema.ignored("use_oghttp2_codec=16", why: "HTTP/2 has one codec, which is nghttp2")
            schema.unsupported(
                "allow_metadata=6 custom_settings_parameters=13 max_metadata_size=17 enable_huffman_encoding=18"
            )
        }
    }

    /// PINGs that find out whether the peer of an HTTP/2 connection is still there.
    ///
    /// `envoy.config.core.v3.KeepaliveSettings`
    package struct KeepaliveSettings: EnvoyMessage {
        package var interval: Duration?
        package var timeout: Duration?
        package var intervalJitter: Percent?
        package var connectionIdleInterval: Duration?

        package init(
            interval: Duration? = nil,
            timeout: Duration? = nil,
            intervalJitter: Percent? = nil,
            connectionIdleInterval: Duration? = nil
        ) {
            self.interval = interval
            self.timeout = timeout
            self.intervalJitter = intervalJitter
            self.connectionIdleInterval = connectionIdleInterval
        }

        package static let schema = MessageSchema<KeepaliveSettings>(
            "envoy.config.core.v3.KeepaliveSettings",
            empty: KeepaliveSettings()
        ) { schema in
            schema.optional(1, "interval", \.interval, .duration, [.durationAtLeast(.milliseconds(1))])
            schema.optional(2, "timeout", \.timeout, .duration, [.durationAtLeast(.milliseconds(1))])
            schema.optional(3, "interval_jitter", \.intervalJitter, .message)
            schema.optional(
                4,
                "connection_idle_interval",
                \.connectionIdleInterval,
                .duration,
                [.durationAtLeast(.milliseconds(1))]
            )
        }
    }
}

extension Envoy.KeepaliveSettings {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        if message.timeout == nil { reader.report(.missing, at: "timeout", "required") }
    }
}
