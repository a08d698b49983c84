extension Envoy {
    /// Turns requests away while too many fail.
    ///
    /// `envoy.extensions.filters.http.admission_control.v3.AdmissionControl`
    package struct AdmissionControl: EnvoyMessage {
        package var enabled: RuntimeFeatureFlag?
        package var successCriteria: AdmissionCriteria?
        /// nil: 30 s.
        package var samplingWindow: Duration?
        package var aggression: RuntimeDouble?
        package var srThreshold: RuntimePercent?
        package var rpsThreshold: RuntimeUInt32?
        package var maxRejectionProbability: RuntimePercent?

        package init(
            enabled: RuntimeFeatureFlag? = nil,
            successCriteria: AdmissionCriteria? = nil,
            samplingWindow: Duration? = nil,
            aggression: RuntimeDouble? = nil,
            srThreshold: RuntimePercent? = nil,
            rpsThreshold: RuntimeUInt32? = nil,
            maxRejectionProbability: RuntimePercent? = nil
        ) {
            self.enabled = enabled
            self.successCriteria = successCriteria
            self.samplingWindow = samplingWindow
            self.aggression = aggression
            self.srThreshold = srThreshold
            self.rpsThreshold = rpsThreshold
            self.maxRejectionProbability = maxRejectionProbability
        }

        package static let schema = MessageSchema<AdmissionControl>(
            "envoy.extensions.filters.http.admission_control.v3.AdmissionControl",
            empty: AdmissionControl()
        ) { schema in
            schema.optional(1, "enabled", \.enabled, .message)
            schema.optional(2, "success_criteria", \.successCriteria, .message, [.required])
            schema.optional(
                3,
                "sampling_window",
                \.samplingWindow,
                .duration,
                [.durationAtLeast(.seconds(1)), .durationAtMost(.seconds(3600))]
            )
            schema.optional(4, "aggression", \.aggression, .message)
            schema.optional(5, "sr_threshold", \.srThreshold, .message)
            schema.optional(6, "rps_threshold", \.rpsThreshold, .message)
            schema.optional(7, "max_rejection_probability", \.maxRejectionProbability, .message)
        }
    }
}

extension Envoy {
    /// Which answers are successes.
    ///
    /// `envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria`
    package struct AdmissionCriteria: EnvoyMessage {
        package var httpCriteria: AdmissionHttpCriteria?
        package var grpcCriteria: AdmissionGrpcCriteria?

        package init(httpCriteria: AdmissionHttpCriteria? = nil, grpcCriteria: AdmissionGrpcCriteria? = nil) {
            self.httpCriteria = httpCriteria
            self.grpcCriteria = grpcCriteria
        }

        package static let schema = MessageSchema<AdmissionCriteria>(
            "envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria",
            empty: AdmissionCriteria()
        ) { schema in
            schema.optional(1, "http_criteria", \.httpCriteria, .message)
            schema.optional(2, "grpc_criteria", \.grpcCriteria, .message)
        }
    }
}

extension Envoy {
    /// By their status.
    ///
    /// `envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria.HttpCriteria`
    package struct AdmissionHttpCriteria: EnvoyMessage {
        package var httpSuccessStatus: [Int32Range]

        package init(httpSuccessStatus: [Int32Range] = []) {
            self.httpSuccessStatus = httpSuccessStatus
        }

        package static let schema = MessageSchema<AdmissionHttpCriteria>(
            "envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria.HttpCriteria",
            empty: AdmissionHttpCriteria()
        ) { schema in
            schema.repeated(1, "http_success_status", \.httpSuccessStatus, .message, [.minItems(1)])
        }
    }
}

extension Envoy {
    /// By the status of a call.
    ///
    /// `envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria.GrpcCriteria`
    package struct AdmissionGrpcCriteria: EnvoyMessage {
        package var grpcSuccessStatus: [UInt32]

        package init(grpcSuccessStatus: [UInt32] = []) {
            self.grpcSuccessStatus = grpcSuccessStatus
        }

        package static let schema = MessageSchema<AdmissionGrpcCriteria>(
            "envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria.GrpcCriteria",
            empty: AdmissionGrpcCriteria()
        ) { schema in
            schema.repeated(1, "grpc_success_status", \.grpcSuccessStatus, .uint32, [.minItems(1), .atMost(16)])
        }
    }
}

extension Envoy {
    /// Whole numbers from `start` up to, without, `end`.
    ///
    /// `envoy.type.v3.Int32Range`
    package struct Int32Range: EnvoyMessage {
        package var start: Int32
        package var end: Int32

        package init(start: Int32 = 0, end: Int32 = 0) {
            self.start = start
            self.end = end
        }

        package static let schema = MessageSchema<Int32Range>("envoy.type.v3.Int32Range", empty: Int32Range()) {
            schema in
            schema.field(1, "start", \.start, .int32)
            schema.field(2, "end", \.end, .int32)
        }
    }
}
