extension Envoy {
    /// Answers questions about the health of what stands behind.
    ///
    /// `envoy.extensions.filters.http.health_check.v3.HealthCheck`
    package struct HealthCheckFilter: EnvoyMessage {
        package var passThroughMode: Bool?
        package var cacheTime: Duration?
        package var clusterMinHealthyPercentages: [String: Percent]
        package var headers: [HeaderMatcher]

        package init(
            passThroughMode: Bool? = nil,
            cacheTime: Duration? = nil,
            clusterMinHealthyPercentages: [String: Percent] = [:],
            headers: [HeaderMatcher] = []
        ) {
            self.passThroughMode = passThroughMode
            self.cacheTime = cacheTime
            self.clusterMinHealthyPercentages = clusterMinHealthyPercentages
            self.headers = headers
        }

        package static let schema = MessageSchema<HealthCheckFilter>(
            "envoy.extensions.filters.http.health_check.v3.HealthCheck",
            empty: HealthCheckFilter()
        ) { schema in
            schema.optional(1, "pass_through_mode", \.passThroughMode, .boolValue, [.required])
            schema.optional(3, "cache_time", \.cacheTime, .duration)
            schema.map(4, "cluster_min_healthy_percentages", \.clusterMinHealthyPercentages, .message)
            schema.repeated(5, "headers", \.headers, .message)
        }
    }
}
